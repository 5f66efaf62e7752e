//! The HTTP API over real sockets and a private Redis.

mod actions;
mod auth;
mod bad_input;
mod batch;
mod contract;
mod control;
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
mod operators;
mod outage;
mod providers;
mod read;
mod scaling;
mod submit;
mod why;
mod ws;
mod ws_limits;
