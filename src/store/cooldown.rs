//! Verb `cooldown`: leave something outside alone for a while, such as an endpoint that asked for it, in every process
//! of the fleet.

use std::time::Duration;

use super::reply::{Reply, corrupt};
use super::{Shards, Store, StoreError};

/// How long things are left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cooling {
    /// The scope that was asked for; zero when it is not left alone.
    pub scope: Duration,
    /// The longest of all scopes; while it is zero there is nothing to ask for.
    pub any: Duration,
}

impl Store {
    /// Leaves `scope` alone for `time`, a day at most, or for as long as it is already; zero only looks.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn cooldown(&self, scope: &str, time: Duration) -> Result<Cooling, StoreError> {
        let args = vec!["-".into(), scope.into(), time.as_millis().to_string().into()];
        let mut reply = Reply::array(self.run(&self.inner.scripts.cooldown, args).await?)?;
        Ok(Cooling { scope: left(&mut reply)?, any: left(&mut reply)? })
    }
}

fn left(reply: &mut Reply) -> Result<Duration, StoreError> {
    reply.text()?.parse().map(Duration::from_millis).map_err(|_| corrupt("a number of milliseconds"))
}

impl Shards {
    /// See [`Store::cooldown`]; there is one for all shards.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn cooldown(&self, scope: &str, time: Duration) -> Result<Cooling, StoreError> {
        self.first().cooldown(scope, time).await
    }
}
