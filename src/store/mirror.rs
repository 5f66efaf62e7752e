//! Pauses, limits and rules for actions: written on every shard, because each script looks at its own; the first shard
//! has the truth, and the janitor repairs the others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::domain::{DrainThen, QueueName, Workspace};

use super::pause::{Switch, Switched, switched_by};
use super::reply::{Reply, text};
use super::shards::{Shards, share};
use super::views::WorkspaceLimits;
use super::{Store, StoreError};

/// Before the name of a workspace, in the limits of the first shard: the limits over all shards. No
/// workspace's name has a colon.
const WHOLE: &str = "whole:";

impl Shards {
    /// See [`Store::pause`].
    ///
    /// # Errors
    /// `Unknown`: repeating is safe. If the first shard took it, the janitor brings it to the others.
    pub async fn pause(
        &self,
        queue: &QueueName,
        what: &Switch,
        by: &str,
        reason: &str,
    ) -> Result<Switched, StoreError> {
        let switched = self.first().pause(queue, what, by, reason).await?;
        try_join_all(self.others().map(|store| store.pause(queue, what, by, reason))).await?;
        Ok(switched)
    }

    /// See [`Store::drain`]. The deadline is so long from now, by Redis' time.
    ///
    /// # Errors
    /// As for [`Self::pause`].
    pub async fn drain(
        &self,
        queue: &QueueName,
        by: (&str, &str),
        deadline: Option<(Duration, DrainThen)>,
    ) -> Result<Switched, StoreError> {
        let deadline = match deadline {
            Some((after, then)) => Some((self.now().await?.plus(after), then)),
            None => None,
        };
        let switched = self.first().drain(queue, by, deadline.as_ref()).await?;
        try_join_all(self.others().map(|store| store.drain(queue, by, deadline.as_ref()))).await?;
        Ok(switched)
    }

    /// See [`Store::resume`].
    ///
    /// # Errors
    /// As for [`Self::pause`].
    pub async fn resume(&self, queue: &QueueName, what: &[Switch]) -> Result<(), StoreError> {
        self.first().resume(queue, what).await?;
        try_join_all(self.others().map(|store| store.resume(queue, what))).await.map(drop)
    }

    /// The limits of a workspace over all shards, the defaults if none were set.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn workspace_limits(&self, workspace: &Workspace) -> Result<WorkspaceLimits, StoreError> {
        if self.count() == 1 {
            return self.first().workspace_limits(workspace).await;
        }
        let stored = self.first().limit_field(&format!("{WHOLE}{workspace}")).await?;
        Ok(WorkspaceLimits::read(&stored))
    }

    /// Sets the limits in every queue. A cap is divided among the shards, so that all together never run
    /// more; it must be 0 or at least the number of shards, see [`Self::least_cap`].
    ///
    /// # Errors
    /// As for [`Self::pause`].
    pub async fn set_workspace_limits(&self, ws: &Workspace, limits: WorkspaceLimits) -> Result<(), StoreError> {
        if self.count() == 1 {
            return self.first().set_workspace_limits(ws, limits).await;
        }
        self.first().set_limit_field(&format!("{WHOLE}{ws}"), limits).await?;
        try_join_all(self.all().iter().map(|store| store.set_workspace_limits(ws, part(store, limits)))).await.map(drop)
    }

    /// The smallest cap that lets every shard run something.
    #[must_use]
    pub fn least_cap(&self) -> u32 {
        u32::try_from(self.count()).unwrap_or(u32::MAX)
    }

    /// Brings the other shards to what the first says; true when something differed. What an operator
    /// changes meanwhile is repaired by the next round at the latest.
    ///
    /// # Errors
    /// When a shard did not answer.
    pub async fn repair_control(&self) -> Result<bool, StoreError> {
        let mut repaired = false;
        for store in self.others() {
            for queue in self.queue_names().await? {
                repaired |= self.repair_switches(store, &queue).await?;
            }
            repaired |= self.repair_limits(store).await?;
            repaired |= self.repair_policies(store).await?;
        }
        Ok(repaired)
    }

    /// The other shard is read first: what it lacks then and the first has now was never written there.
    async fn repair_switches(&self, store: &Store, queue: &QueueName) -> Result<bool, StoreError> {
        let (has, wanted) = (store.switches(queue).await?, self.first().switches(queue).await?);
        for (field, said) in wanted.iter().filter(|(field, _)| !has.contains_key(*field)) {
            if let Some(switch) = Switch::from_field(field) {
                let by = switched_by(said);
                match switch {
                    Switch::Intake => store.drain(queue, (&by.by, &by.reason), by.deadline.as_ref()).await?,
                    switch => store.pause(queue, &switch, &by.by, &by.reason).await?,
                };
            }
        }
        let surplus = has.keys().filter(|field| !wanted.contains_key(*field));
        let surplus: Vec<Switch> = surplus.filter_map(|field| Switch::from_field(field)).collect();
        if !surplus.is_empty() {
            store.resume(queue, &surplus).await?;
        }
        let names = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<BTreeSet<_>>();
        Ok(names(&has) != names(&wanted))
    }

    async fn repair_limits(&self, store: &Store) -> Result<bool, StoreError> {
        let (has, wanted) = (store.limit_fields().await?, self.first().limit_fields().await?);
        let mut repaired = false;
        for (ws, whole) in wanted.iter().filter_map(|(field, whole)| Some((field.strip_prefix(WHOLE)?, whole))) {
            let limits = part(store, WorkspaceLimits::read(whole));
            let (Ok(name), false) = (Workspace::new(ws), has.get(ws).is_some_and(|own| *own == limits.text())) else {
                continue;
            };
            store.set_workspace_limits(&name, limits).await?;
            repaired = true;
        }
        Ok(repaired)
    }

    fn others(&self) -> impl Iterator<Item = &Store> {
        self.all().iter().skip(1)
    }
}

/// The part of a shard. Weights are relative, so they are the same everywhere.
fn part(store: &Store, limits: WorkspaceLimits) -> WorkspaceLimits {
    let shards = store.options().shards;
    let own = |cap: u32| u32::try_from(share(u64::from(cap), store.shard(), shards)).unwrap_or(cap);
    WorkspaceLimits { weight: limits.weight, max_running: limits.max_running.map(own) }
}

impl WorkspaceLimits {
    /// As stored: weight \t cap, the cap empty for none.
    pub(super) fn read(stored: &str) -> Self {
        let mut parts = stored.split('\t');
        let weight = parts.next().and_then(|w| w.parse().ok()).unwrap_or(1);
        Self { weight, max_running: parts.next().and_then(|cap| cap.parse().ok()) }
    }

    fn text(self) -> String {
        let cap = self.max_running.map(|cap| cap.to_string()).unwrap_or_default();
        format!("{}\t{cap}", self.weight.clamp(1, 100))
    }
}

impl Store {
    /// What is switched off in a queue, by field.
    async fn switches(&self, queue: &QueueName) -> Result<BTreeMap<String, String>, StoreError> {
        let args = vec![self.inner.keys.blocked(queue.as_str()).into()];
        Ok(Reply::array(self.inner.link.command("HGETALL", args).await?)?.pairs()?.into_iter().collect())
    }

    async fn limit_fields(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let args = vec![self.inner.keys.limits().into()];
        Ok(Reply::array(self.inner.link.command("HGETALL", args).await?)?.pairs()?.into_iter().collect())
    }

    pub(super) async fn limit_field(&self, field: &str) -> Result<String, StoreError> {
        text(self.inner.link.command("HGET", vec![self.inner.keys.limits().into(), field.into()]).await?)
    }

    async fn set_limit_field(&self, field: &str, limits: WorkspaceLimits) -> Result<(), StoreError> {
        let args = vec![self.inner.keys.limits().into(), field.into(), limits.text().into()];
        self.inner.link.command("HSET", args).await.map(drop)
    }
}
