//! The command line: the built binary, run as users run it.
#![expect(clippy::disallowed_methods, reason = "tests start the binary and look at its processes")]

mod actions;
mod control;
mod credentials;
mod demo;
mod dev;
mod exit_codes;
mod help;
mod log_levels;
mod logs;
mod metrics_auth;
mod operations;
mod operators;
mod process;
mod providers;
mod pty;
mod roles;
mod settings;
mod shell;
mod tail;
mod top;
mod traces;
