//! Verb `summary`.
