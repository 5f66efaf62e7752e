//! Several servers at a time: replicas, promotions, Sentinel.

pub(crate) mod pair;
mod strict;
