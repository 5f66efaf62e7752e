//! Verb `claim`.
