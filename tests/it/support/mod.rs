//! What the tests share.

pub mod jobs;
pub mod redis;
