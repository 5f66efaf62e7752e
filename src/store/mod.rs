//! The only code that speaks Redis: keys, scripts, one Rust file per Lua verb.
//!
//! Redis `TIME` is the only clock that decides anything. Every verb is one script, so a transition
//! and its counters are all or nothing. A call ends as done, definitely not done, or unknown
//! ([`StoreError`]).

mod access;
mod bell;
mod cancel;
mod cap;
mod claim;
mod cluster;
mod codec;
mod compact;
mod confirm;
mod cooldown;
mod credential;
mod crew;
mod cycle;
mod deltas;
mod durable;
mod effect;
mod enqueue;
mod epoch;
mod error;
mod events;
mod fence;
mod fleet;
mod hands;
mod heartbeat;
mod held;
mod keys;
mod ledger;
mod level;
mod limit;
mod link;
mod list;
mod locate;
mod mended;
mod merged;
mod merged_list;
mod meter;
mod mirror;
mod note;
mod operate;
mod operation;
mod options;
mod order;
mod outlook;
mod pause;
#[cfg(feature = "chaos")]
pub mod planted;
mod policy;
mod probe;
mod probed;
mod progress;
mod read;
mod receipts;
mod redrive;
mod release;
mod replay;
mod reply;
mod reserve;
mod resume;
mod retire;
mod ring;
mod route;
mod scripts;
mod server;
mod settle;
mod shards;
mod summary;
mod survey;
mod sweep;
mod tend;
mod turn;
mod unhold;
mod verify;
mod views;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fred::prelude::Value;
use secrecy::ExposeSecret;

use crate::domain::{QueueName, Timestamp};

pub use bell::{Bell, Inbox, Message};
pub use cancel::Cancelled;
pub use claim::{ClaimRequest, Claimed, Claims};
pub use cluster::one_host_first;
pub use cooldown::Cooling;
pub use credential::{CredentialPage, CredentialRecord, CredentialTurn, MOST_CREDENTIALS, PutCredential};
pub use cycle::{Answer, Ending, Finished};
pub use deltas::{Delta, DeltaPlace, DeltaPlaceError, NewDelta};
pub use effect::EffectBegun;
pub use enqueue::Enqueued;
pub use error::StoreError;
pub use events::{EventTail, Tailed, Transitioned};
pub use hands::InHand;
pub use heartbeat::{LeaseRef, WorkerAbout};
pub use ledger::{Figures, LEDGER_DAYS, LedgerLine};
pub use level::{LevelOrder, Standing};
pub use meter::{BreakerState, LimitUse, TargetState};
pub use operate::{OperationPart, PLACE_END, PartPlace, Step};
pub use operation::{MOST_RUNNING, OperationRecord, PutOperation};
pub use options::{StoreOptions, Strict};
pub use order::Ordered;
pub use pause::{Switch, Switched};
pub use policy::{PolicyChange, StoredPolicies};
pub use probe::{ProbeAsked, Turn};
pub use probed::{Found, ProviderHealth};
pub use read::Stored;
pub use redrive::Redriven;
pub use reserve::MOST_CANDIDATES;
pub use server::{LAYOUT, ServerFacts};
pub use shards::{CLUSTER_SHARDS, Shards};
pub use survey::{JobGroups, LAST_PASS, Place, Survey, Surveyed};
pub use sweep::Swept;
pub use tend::Tended;
pub use unhold::{Unheld, Unhold};
pub use verify::{Verification, Verified, VerifyAsked};
pub use views::{
    Ahead, Blocker, Crew, DeadGroup, KeyRecord, ListPage, ListPlace, ListPosition, ListQuery, QueueSummary, QueueWhy,
    Scope, SwitchedBy, Waiting, Why, WorkerSummary, WorkspaceLimits,
};

/// A handle to the queue in Redis, or to one shard of it in a cluster ([`Shards`] are all of it); cheap
/// to clone.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    link: route::Route,
    /// Connections of their own for what waits for replicas; `None` when nothing does.
    durable: Option<durable::Lane>,
    scripts: scripts::Scripts,
    keys: keys::Keys,
    options: StoreOptions,
    lineage: epoch::Lineage,
    /// Which shard it is.
    shard: u8,
    /// Redis time minus this machine's, in milliseconds, from the latest reply.
    offset_ms: AtomicI64,
}

impl Store {
    /// Opens the connections of a store on one server. Must run inside a tokio runtime, which then
    /// drives them. Returns without waiting for Redis.
    ///
    /// # Errors
    /// When the URL cannot be used. A cluster is more than one store: see [`Shards::connect`].
    #[expect(clippy::unused_async, reason = "connecting needs a runtime, and async says so")]
    pub async fn connect(options: StoreOptions) -> Result<Self, StoreError> {
        if cluster::is_cluster(options.url.expose_secret()) {
            return Err(StoreError::Unavailable("a cluster is opened as its shards".to_owned()));
        }
        let target = link::Target::of(&options.url);
        let link = link::Link::open(&target, options.pool_size, options.command_timeout)?;
        let durable = match durable::waited_for(&options) {
            Some(strict) => {
                let patience = options.command_timeout + strict.wait;
                let link = link::Link::open(&target, options.pool_size, patience)?;
                Some(durable::Lane::new(route::Route::One(link), strict))
            }
            None => None,
        };
        Ok(Self::open(route::Route::One(link), durable, StoreOptions { shards: 1, ..options }, 0))
    }

    fn open(link: route::Route, durable: Option<durable::Lane>, options: StoreOptions, shard: u8) -> Self {
        let keys = keys::Keys::new(&options.base);
        let scripts = scripts::Scripts::assemble();
        #[cfg(feature = "chaos")]
        let scripts = planted::patched(scripts, options.planted);
        let (offset_ms, lineage) = (AtomicI64::new(0), epoch::Lineage::default());
        Self { inner: Arc::new(Inner { link, durable, scripts, keys, options, shard, lineage, offset_ms }) }
    }

    /// Its number among the shards; the last byte of the ids of its jobs.
    #[must_use]
    pub fn shard(&self) -> u8 {
        self.inner.shard
    }

    /// The options it was opened with.
    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.inner.options
    }

    /// Waits until Redis is connected, `limit` at most.
    ///
    /// # Errors
    /// `Unavailable` when it is not by then.
    pub async fn wait_connected(&self, limit: Duration) -> Result<(), StoreError> {
        self.inner.link.wait_connected(limit).await?;
        match &self.inner.durable {
            Some(lane) => lane.route().wait_connected(limit).await,
            None => Ok(()),
        }
    }

    /// Grows whenever a connection broke: leases may have run out unseen, events may be missed.
    #[must_use]
    pub fn link_breaks(&self) -> u64 {
        self.inner.link.breaks() + self.inner.durable.as_ref().map_or(0, |lane| lane.route().breaks())
    }

    /// Redis `TIME`.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        let mut parts = reply::Reply::array(self.inner.link.command("TIME", Vec::new()).await?)?;
        let ms = parts.int()? * 1000 + parts.int()? / 1000;
        self.saw_time(&ms.to_string())
    }

    /// What Redis `TIME` should read now, from the latest reply and this machine's clock. Good for
    /// stamping ids, never for deciding.
    #[must_use]
    pub fn now_estimate(&self) -> Timestamp {
        let wall = crate::clock::wall().unix_ms();
        Timestamp::from_unix_ms(wall + self.inner.offset_ms.load(Ordering::Relaxed))
    }

    /// Reads the time of a reply, and behind a slash the entry of the log that the call wrote.
    fn saw_time(&self, text: &str) -> Result<Timestamp, StoreError> {
        let (ms, entry) = text.split_once('/').unwrap_or((text, ""));
        self.inner.lineage.saw(entry, self.link_breaks());
        let now: i64 = ms.parse().map_err(|_| reply::corrupt("a time"))?;
        self.inner.offset_ms.store(now - crate::clock::wall().unix_ms(), Ordering::Relaxed);
        Ok(Timestamp::from_unix_ms(now))
    }

    async fn run(&self, script: &scripts::Script, args: Vec<Value>) -> Result<Value, StoreError> {
        let (value, durable) = self.run_reporting(script, args).await?;
        durable.map(|()| value)
    }

    /// Like `run`, for a verb whose answer counts although it is not known to be durable.
    async fn run_reporting(
        &self,
        script: &scripts::Script,
        args: Vec<Value>,
    ) -> Result<(Value, Result<(), StoreError>), StoreError> {
        let key = self.inner.keys.jobs();
        match &self.inner.durable {
            Some(lane) if script.durable => lane.run(script, &self.inner.scripts.confirm, &key, args).await,
            _ => Ok((self.inner.link.run(script, &key, args).await?, Ok(()))),
        }
    }

    /// The arguments that every verb starts with that ends jobs.
    fn ending_args(&self, queue: &QueueName) -> Vec<Value> {
        let o = &self.inner.options;
        vec![
            queue.as_str().into(),
            o.events_kept.to_string().into(),
            o.idempotency_ttl.as_secs().to_string().into(),
            o.retention.as_secs().to_string().into(),
        ]
    }
}
