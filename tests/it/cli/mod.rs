//! The command line: the built binary, run as users run it.

mod dev;
mod exit_codes;
mod help;
mod operators;
mod process;
mod settings;
