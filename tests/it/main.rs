//! Integration tests, one binary. `store` holds a file per verb, `engine` the worker and its
//! companions, `executors`, `http` and `cli` mirror the sources; `support` is what they share.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod store;
mod support;
