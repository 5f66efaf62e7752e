//! Composition: what each role of the binary is made of, how it starts and how it stops.

mod bootstrap;
mod child;
mod compose;
mod demo;
mod dev;
mod doctor;
mod error;
mod fake_llm;
mod instruments;
mod log_levels;
mod redis_child;
mod run;
mod serve;
mod settings;
mod signals;
mod stack;
mod worker;
mod worker_child;
mod worker_http;

pub use error::StartError;
pub use run::{paint, run};
pub use signals::Signals;
