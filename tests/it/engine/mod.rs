//! The worker and its companions, against a real redis-server.

mod bell;
mod deltas;
mod drain;
mod effect_flow;
mod effects;
mod events;
mod fencing;
mod fleet;
mod guard;
mod keeper;
mod long_line;
mod lost_replies;
mod operations;
mod orders;
mod policy;
mod submit;
mod watch;
mod worker;
