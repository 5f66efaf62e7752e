//! Verb `outage`.
