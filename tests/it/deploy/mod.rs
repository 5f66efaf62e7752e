//! What `deploy/` ships, used as an operator uses it.
#![expect(clippy::disallowed_methods, reason = "tests run scripts and servers as an operator does")]

mod archive;
mod backup;
mod environments;
mod image;
mod proxies;
mod restore;
