//! Verb `redrive`.
