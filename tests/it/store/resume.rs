//! Verb `resume`.
