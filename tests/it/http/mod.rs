//! The HTTP API over real sockets and a private Redis.

mod actions;
mod auth;
mod bad_input;
mod batch;
mod contract;
mod credentials;
mod deltas;
mod events;
mod health;
mod held;
mod keys;
mod limits;
mod list;
mod llm;
mod matrix;
mod openapi;
mod operations;
mod operations_walls;
mod operators;
mod outage;
mod providers;
mod read;
mod submit;
mod watch;
mod ws;
mod ws_limits;
