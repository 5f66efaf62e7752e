//! What tests share.

pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod book;
pub(crate) mod calls;
pub(crate) mod cluster;
pub(crate) mod context;
pub(crate) mod effects;
pub(crate) mod feed;
pub(crate) mod fleet;
pub(crate) mod halted;
pub(crate) mod jobs;
#[expect(clippy::disallowed_methods, reason = "tests start processes of their own")]
pub(crate) mod llmock;
pub(crate) mod outside;
#[expect(clippy::disallowed_methods, reason = "tests start processes of their own")]
pub(crate) mod processes;
pub(crate) mod proxy;
pub(crate) mod receiver;
pub(crate) mod redis;
pub(crate) mod scripted;
pub(crate) mod socket;
