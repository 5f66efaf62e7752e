//! Verb `cancel`.
