//! Verb `locate`.
