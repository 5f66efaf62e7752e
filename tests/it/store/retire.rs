//! Verb `retire`.
