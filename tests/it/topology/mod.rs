//! Several servers at a time: replicas, promotions, Sentinel.

mod cluster;
mod cluster_faults;
pub(crate) mod pair;
mod strict;
