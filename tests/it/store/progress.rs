//! Verb `progress`.
