//! Verb `fleet`.
