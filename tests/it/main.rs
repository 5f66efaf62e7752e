//! Integration tests, one binary. `store` holds a file per verb, `engine` the worker and its
//! companions, `faults` whole processes that are killed and cut off; `executors`, `http` and `cli`
//! mirror the sources; `topology` has several servers at a time; `alerts` has a real
//! Prometheus and Alertmanager over a stack that is broken on purpose; `deploy` uses what `deploy/` ships;
//! `support` is what they share.

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod executors;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod http;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod store;
#[cfg(test)]
mod support;
#[cfg(test)]
mod topology;
