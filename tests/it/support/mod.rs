//! What tests share.

pub(crate) mod action;
pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod book;
pub(crate) mod bulk;
pub(crate) mod calls;
pub(crate) mod cluster;
pub(crate) mod context;
pub(crate) mod effects;
pub(crate) mod feed;
pub(crate) mod fleet;
pub(crate) mod github;
pub(crate) mod gmail;
pub(crate) mod graph;
pub(crate) mod halted;
pub(crate) mod jobs;
pub(crate) mod json_server;
#[expect(clippy::disallowed_methods, reason = "tests start processes of their own")]
pub(crate) mod llmock;
#[expect(clippy::disallowed_methods, reason = "tests start processes of their own")]
pub(crate) mod monitoring;
pub(crate) mod oauth;
pub(crate) mod operations;
pub(crate) mod outside;
pub(crate) mod ports;
#[expect(clippy::disallowed_methods, reason = "tests start processes of their own")]
pub(crate) mod processes;
pub(crate) mod proxy;
pub(crate) mod receiver;
pub(crate) mod redis;
pub(crate) mod rest;
pub(crate) mod scripted;
pub(crate) mod shortened;
pub(crate) mod smtp;
#[expect(clippy::disallowed_methods, reason = "tests start processes of their own")]
pub(crate) mod smtp_sink;
pub(crate) mod socket;
pub(crate) mod tasks;
pub(crate) mod vault;
