//! Verb `tend`.
