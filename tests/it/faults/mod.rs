//! Whole processes that are killed, stopped and cut off, against a real redis-server.

mod api;
mod chaos;
mod fairness;
mod operations;
mod poison;
mod providers;
mod shutdown;
