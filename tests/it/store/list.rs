//! Verb `list`.
