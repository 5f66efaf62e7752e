//! Verb `compact`.
