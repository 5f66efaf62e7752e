//! Integration tests, one binary. `store` holds a file per verb, `engine` the worker and its
//! companions, `executors`, `http` and `cli` mirror the sources; `support` is what they share.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod executors;
#[cfg(test)]
mod http;
#[cfg(test)]
mod store;
#[cfg(test)]
mod support;
