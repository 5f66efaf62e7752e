//! One file per verb: happy, repeated, wrong owner, missing, concurrent.

mod cycle;
mod enqueue;
