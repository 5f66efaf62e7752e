//! Several servers at a time: replicas, promotions, Sentinel.

mod lost_window;
pub(crate) mod pair;
mod sentinel;
mod strict;
