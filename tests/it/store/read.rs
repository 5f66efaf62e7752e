//! Verb `read`.
