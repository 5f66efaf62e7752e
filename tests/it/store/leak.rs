//! Verb `leak`.
