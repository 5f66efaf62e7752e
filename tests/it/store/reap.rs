//! Verb `reap`.
