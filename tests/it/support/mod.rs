//! What tests share.

pub(crate) mod context;
pub(crate) mod receiver;
