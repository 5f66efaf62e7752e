//! Verb `ring`.
