//! A primary and a replica, with a proxy between them.

use std::time::Duration;

use windlass::store::{Store, Strict};

use crate::support::fleet::until;
use crate::support::proxy::Proxy;
use crate::support::redis::TestRedis;

/// Long enough that a live replica is in time on a busy machine, short enough for tests of a dead one.
const WAIT: Duration = Duration::from_millis(700);

pub(crate) struct Pair {
    pub(crate) primary: TestRedis,
    pub(crate) replica: TestRedis,
    /// The way of the replication stream.
    pub(crate) between: Proxy,
}

impl Pair {
    /// Both in step.
    pub(crate) async fn start() -> Self {
        let primary = TestRedis::start_with(&["--repl-diskless-sync-delay", "0"]).await;
        let between = Proxy::start(&primary).await;
        let replica = TestRedis::start_with(&["--replicaof", "127.0.0.1", &between.port().to_string()]).await;
        let pair = Self { primary, replica, between };
        pair.in_step().await;
        pair
    }

    /// Waits until the replica follows.
    pub(crate) async fn in_step(&self) {
        let online = async || self.primary.ask(&["INFO", "replication"]).contains("state=online").then_some(());
        until("the replica follows", online).await;
    }

    /// Kills the primary and makes the replica one.
    pub(crate) fn fail_over(&mut self) {
        self.primary.kill();
        self.replica.ask(&["REPLICAOF", "NO", "ONE"]);
    }

    /// A store of the primary that acknowledges what the replica has.
    pub(crate) async fn strict(&self) -> Store {
        strict_of(&self.primary, 1).await
    }
}

/// A store that waits for this many replicas.
pub(crate) async fn strict_of(redis: &TestRedis, replicas: u32) -> Store {
    redis.store_with(|options| options.strict = Some(Strict { replicas, wait: WAIT })).await
}
