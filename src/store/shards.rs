//! All shards of one installation: which one a verb goes to, and the verbs of a single job.
//!
//! A [`Store`] is one shard. Without a cluster there is one, and nothing here costs a round trip.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::domain::{Approval, EffectRecord, HeldReason, Job, JobId, QueueName, RequestId, Timestamp, Workspace};

use super::cancel::Cancelled;
use super::cluster::{self, Cluster};
use super::durable::{self, Lane};
use super::keys::Keys;
use super::link::Target;
use super::read::Stored;
use super::redrive::Redriven;
use super::route::Route;
use super::unhold::{Unheld, Unhold};
use super::views::{KeyRecord, Scope, Why};
use super::{Store, StoreError, StoreOptions};

/// Shards of a cluster when none are asked for: enough for eight masters, and few enough that an idle
/// worker, which sends under two commands a second to each, costs nothing to speak of.
pub const CLUSTER_SHARDS: u8 = 8;

/// A handle to the queue in Redis, whatever its topology; cheap to clone.
#[derive(Clone, Debug)]
pub struct Shards {
    all: Arc<[Store]>,
    options: Arc<StoreOptions>,
    /// Epoch and run id that each shard had last: one that is away has lost nothing yet.
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl From<Store> for Shards {
    /// One shard as the whole.
    fn from(store: Store) -> Self {
        let options = Arc::new(store.options().clone());
        Self { all: Arc::from([store]), options, seen: Arc::new(Mutex::new(vec![Default::default()])) }
    }
}

impl Shards {
    /// Opens the connections, to a cluster if the URL names one. Must run inside a tokio runtime, which
    /// then drives them. Returns without waiting for Redis.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub async fn connect(options: StoreOptions) -> Result<Self, StoreError> {
        if !cluster::is_cluster(options.url.expose_secret()) {
            return Store::connect(options).await.map(Self::from);
        }
        let url: SecretString = cluster::one_host_first(options.url.expose_secret()).into();
        let (target, size) = (Target::of(&url), options.pool_size);
        let cluster = Cluster::open(&target, size, options.command_timeout)?;
        let waiting = match durable::waited_for(&options) {
            Some(strict) => Some((strict, Cluster::open(&target, size, options.command_timeout + strict.wait)?)),
            None => None,
        };
        let shards = if options.shards == 0 { CLUSTER_SHARDS } else { options.shards };
        let all = (0..shards).map(|number| {
            let own = StoreOptions {
                base: format!("{{{}:{number}}}", options.base),
                shards,
                max_depth: share(options.max_depth, number, shards).max(1),
                events_kept: options.events_kept.div_ceil(u64::from(shards)),
                ..options.clone()
            };
            let key = Keys::new(&own.base).jobs();
            let durable = waiting.as_ref().map(|(strict, cluster)| Lane::new(Route::to_key(cluster, &key), *strict));
            Store::open(Route::to_key(&cluster, &key), durable, own, number)
        });
        let seen = Arc::new(Mutex::new(vec![Default::default(); usize::from(shards)]));
        Ok(Self { all: all.collect(), options: Arc::new(options), seen })
    }

    /// Notes what shards said of themselves; epochs and run ids of all, empty until each has said them.
    pub(super) fn remember(&self, said: impl Iterator<Item = Option<(String, String)>>) -> (String, String) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (known, said) in seen.iter_mut().zip(said) {
            *known = said.unwrap_or_else(|| std::mem::take(known));
        }
        if seen.iter().any(|(epoch, _)| epoch.is_empty()) {
            return Default::default();
        }
        let join = |part: fn(&(String, String)) -> &str| seen.iter().map(part).collect::<Vec<_>>().join(",");
        (join(|known| &known.0), join(|known| &known.1))
    }

    /// The options it was opened with.
    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// The shards, by number.
    #[must_use]
    pub fn all(&self) -> &[Store] {
        &self.all
    }

    /// Number of shards.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The shard of a job. An id that names none is no job of ours, on whichever shard it is looked for.
    #[must_use]
    pub fn of(&self, id: JobId) -> &Store {
        self.all.get(usize::from(id.shard())).unwrap_or(self.first())
    }

    /// The shard of a request: the same for every process and version, since idempotency rests on it.
    #[must_use]
    pub fn of_request(&self, workspace: &Workspace, id: &RequestId) -> &Store {
        if self.all.len() == 1 {
            return self.first();
        }
        let mut hash = Sha256::new_with_prefix(workspace.as_str());
        hash.update([0]);
        hash.update(id.as_str());
        let digest = hash.finalize();
        let number = digest.iter().take(4).fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
        let index = usize::try_from(number).unwrap_or_default() % self.all.len();
        self.all.get(index).unwrap_or(self.first())
    }

    /// The shard that holds what belongs to none: API keys, and the truth about pauses and limits.
    #[must_use]
    pub fn first(&self) -> &Store {
        &self.all[0]
    }

    /// Waits until every shard is connected, `limit` at most.
    ///
    /// # Errors
    /// `Unavailable` when one is not by then.
    pub async fn wait_connected(&self, limit: Duration) -> Result<(), StoreError> {
        try_join_all(self.all.iter().map(|store| store.wait_connected(limit))).await.map(drop)
    }

    /// Redis `TIME` of the first shard.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        self.first().now().await
    }

    /// See [`Store::now_estimate`]; of the first shard.
    #[must_use]
    pub fn now_estimate(&self) -> Timestamp {
        self.first().now_estimate()
    }

    /// See [`Store::job`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn job(&self, scope: &Scope, id: JobId) -> Result<Option<Job>, StoreError> {
        self.of(id).job(scope, id).await
    }

    /// See [`Store::stored`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn stored(&self, scope: &Scope, id: JobId) -> Result<Option<Stored>, StoreError> {
        self.of(id).stored(scope, id).await
    }

    /// See [`Store::job_of_request`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn job_of_request(&self, ws: &Workspace, id: &RequestId) -> Result<Option<JobId>, StoreError> {
        self.of_request(ws, id).job_of_request(ws, id).await
    }

    /// See [`Store::why`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn why(&self, scope: &Scope, id: JobId) -> Result<Option<Why>, StoreError> {
        self.of(id).why(scope, id).await
    }

    /// See [`Store::cancel`].
    ///
    /// # Errors
    /// `Unknown`: repeating is safe.
    pub async fn cancel(&self, queue: &QueueName, id: JobId) -> Result<Cancelled, StoreError> {
        self.of(id).cancel(queue, id).await
    }

    /// See [`Store::redrive`].
    ///
    /// # Errors
    /// `Unknown`: repeating is safe.
    pub async fn redrive(&self, queue: &QueueName, id: JobId, bucket: Option<i64>) -> Result<Redriven, StoreError> {
        self.of(id).redrive(queue, id, bucket).await
    }

    /// See [`Store::unhold`].
    ///
    /// # Errors
    /// `Unknown`: a repeat answers `NotHeld` when it was done.
    pub async fn unhold(
        &self,
        queue: &QueueName,
        id: JobId,
        reason: Option<HeldReason>,
        change: Unhold,
    ) -> Result<Unheld, StoreError> {
        self.of(id).unhold(queue, id, reason, change).await
    }

    /// What is on record of the effects of a job that `scope` may see; nothing for others. See [`Store::effects`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn effects(&self, scope: &Scope, id: JobId) -> Result<Vec<EffectRecord>, StoreError> {
        match self.stored(scope, id).await? {
            Some(stored) => self.of(id).effects(id, stored.bucket).await,
            None => Ok(Vec::new()),
        }
    }

    /// The latest approval of a live job that `scope` may see. See [`Store::approval`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn approval(&self, scope: &Scope, id: JobId) -> Result<Option<Approval>, StoreError> {
        match self.stored(scope, id).await? {
            Some(_) => self.of(id).approval(id).await,
            None => Ok(None),
        }
    }

    /// See [`Store::put_key`].
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn put_key(&self, key: &KeyRecord) -> Result<(), StoreError> {
        self.first().put_key(key).await
    }

    /// See [`Store::put_first_key`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn put_first_key(&self, key: &KeyRecord) -> Result<bool, StoreError> {
        self.first().put_first_key(key).await
    }

    /// See [`Store::key_by_hash`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn key_by_hash(&self, hash: &str) -> Result<Option<KeyRecord>, StoreError> {
        self.first().key_by_hash(hash).await
    }

    /// See [`Store::keys`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.first().keys().await
    }

    /// See [`Store::revoke_key`].
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn revoke_key(&self, id: &str) -> Result<bool, StoreError> {
        self.first().revoke_key(id).await
    }
}

/// The part of a bound that shard `number` of `shards` holds: all parts together are the bound.
pub(super) fn share(whole: u64, number: u8, shards: u8) -> u64 {
    let n = u64::from(shards.max(1));
    whole / n + u64::from(u64::from(number) < whole % n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_a_bound_add_up_to_it() {
        for (whole, shards) in [(0, 3), (1, 3), (8, 3), (1_000_000, 7), (5, 1)] {
            let shares: Vec<u64> = (0..shards).map(|i| share(whole, i, shards)).collect();
            assert_eq!(shares.iter().sum::<u64>(), whole);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }

    #[tokio::test]
    async fn a_request_has_one_shard_for_ever_and_requests_spread() {
        let options = StoreOptions { shards: 4, pool_size: 1, ..StoreOptions::new("redis-cluster://127.0.0.1:1") };
        let shards = Shards::connect(options).await.unwrap();
        let ws = Workspace::new("ws").unwrap();
        let number = |i: usize| shards.of_request(&ws, &RequestId::new(&format!("r{i}")).unwrap()).shard();
        // Written down: another answer in a later version would let a repeat make a second job.
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(number), [2, 1, 2, 1, 0, 2, 2, 3]);
        let mut counts = [0; 4];
        (0..4000).for_each(|i| counts[usize::from(number(i))] += 1);
        assert!(counts.iter().all(|n| (900..1100).contains(n)), "{counts:?}");
        assert_eq!(shards.first().options().base, "{ai:0}");
        assert_eq!(shards.all().iter().map(|s| s.options().max_depth).sum::<u64>(), 1_000_000);
        let foreign = JobId::new(1, 200);
        assert_eq!(shards.of(foreign).shard(), 0);
    }
}
