//! Verb `heartbeat`.
