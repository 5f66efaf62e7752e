//! Verb `full`.
