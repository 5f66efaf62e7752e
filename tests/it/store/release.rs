//! Verb `release`.
