//! The checker against small histories made by hand: one that is valid, and for every class of violation one that
//! differs from it in what that class is about.
#![cfg(test)]

#[path = "../mod.rs"]
mod checker;

mod history;
mod mutations;
