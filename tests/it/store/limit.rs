//! Verb `limit`.
