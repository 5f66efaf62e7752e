//! The worker and its companions, against a real redis-server.

mod worker;
