//! Several servers at a time: replicas, promotions, Sentinel.

mod cluster;
mod cluster_faults;
mod cluster_operations;
mod lost_window;
pub(crate) mod pair;
mod sentinel;
mod strict;
