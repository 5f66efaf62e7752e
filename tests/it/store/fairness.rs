//! Verb `fairness`.
