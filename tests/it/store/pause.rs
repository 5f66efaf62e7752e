//! Verb `pause`.
