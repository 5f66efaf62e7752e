//! The lease keeper: renews a worker's registration and leases on a thread and a connection of its
//! own, so that busy handlers cannot starve it; ends leases that are lost, cancelled or in doubt.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Instant};
use crate::domain::{AttemptId, JobId, LeaseTiming, ProviderName, WorkerId, WorkerState, bounds};
use crate::store::{LeaseRef, Message, Shards, Store, StoreError, StoreOptions, Verification, WorkerAbout};

use super::lease::{Lease, Stop};
use super::orders::Orders;
use super::worker::Vitals;

/// Between two tries while heartbeats fail.
const RETRY: Duration = Duration::from_millis(250);
/// How long one look into the inbox blocks.
const INBOX_BLOCK: Duration = Duration::from_secs(5);

/// Cancels remembered for claims under way: more than a worker gets in the time of one claim.
const EARLY: usize = 256;

type Held = HashMap<(JobId, AttemptId), Arc<Lease>>;

/// How the link to Redis stands, as the heartbeats see it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Link {
    /// When the last renewal that succeeded was sent.
    pub(super) renewed: Option<Instant>,
    /// Since when every heartbeat succeeded and no connection broke.
    pub(super) calm_since: Option<Instant>,
}

/// What the keeper and the claim loop share.
#[derive(Debug)]
pub(super) struct Keeper {
    held: Mutex<Held>,
    /// Cancels of attempts that are not held: ended ones, and those whose claim is under way.
    early: Mutex<VecDeque<(JobId, AttemptId)>>,
    about: Mutex<WorkerAbout>,
    /// By shard.
    beats: Vec<Beat>,
    worker: WorkerId,
    timing: LeaseTiming,
    /// The claim loops' stores: a break there counts as well.
    claims: Shards,
    /// Where demands to probe a provider go.
    probes: Option<mpsc::Sender<ProviderName>>,
    /// Where demands to check a credential go.
    checks: Option<mpsc::Sender<Verification>>,
    /// Whether the claim loops come around, which a heartbeat tells from a thread that they cannot hold up.
    vitals: Arc<Vitals>,
    /// What operators told this process.
    pub(super) orders: Orders,
}

/// The heartbeats of one shard.
#[derive(Debug, Default)]
struct Beat {
    link: watch::Sender<Link>,
    nudge: Notify,
}

impl Keeper {
    pub(super) fn new(
        worker: WorkerId,
        timing: LeaseTiming,
        about: WorkerAbout,
        (claims, vitals): (Shards, Arc<Vitals>),
        (probes, checks): (Option<mpsc::Sender<ProviderName>>, Option<mpsc::Sender<Verification>>),
    ) -> Arc<Self> {
        let (held, early, about) = (Mutex::default(), Mutex::default(), Mutex::new(about));
        let beats = claims.all().iter().map(|_| Beat::default()).collect();
        let orders = Orders::default();
        Arc::new(Self { held, early, about, beats, worker, timing, claims, probes, checks, vitals, orders })
    }

    pub(super) fn link(&self, shard: usize) -> watch::Receiver<Link> {
        self.beats[shard].link.subscribe()
    }

    /// Whether the registration certainly lives on every shard.
    pub(super) fn registered_everywhere(&self) -> bool {
        (0..self.beats.len()).all(|shard| self.registered(shard))
    }

    /// Whether the registration certainly lives, so that a crash would be told from a lost reply.
    pub(super) fn registered(&self, shard: usize) -> bool {
        let renewed = self.beats[shard].link.borrow().renewed;
        renewed.is_some_and(|at| clock::now().duration_since(at) < self.timing.hold())
    }

    /// Whether leases of others may be taken away: after a broken connection their holders get one
    /// interval to renew first.
    pub(super) fn may_reap(&self, shard: usize) -> bool {
        let calm = self.beats[shard].link.borrow().calm_since;
        calm.is_some_and(|since| clock::now().duration_since(since) >= self.timing.heartbeat)
    }

    pub(super) fn hold(&self, lease: Arc<Lease>) {
        let name = (lease.of.job, lease.of.attempt_id);
        let early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        if early.contains(&name) {
            lease.end(Stop::Cancelled);
        }
        // Under the guard of `early`: a cancel finds the lease here, or leaves its name there.
        self.lock().insert(name, lease);
        drop(early);
    }

    pub(super) fn forget(&self, of: &LeaseRef) {
        self.lock().remove(&(of.job, of.attempt_id));
    }

    /// Ends every lease still held; their attempts stop.
    pub(super) fn end_all(&self, why: Stop) {
        self.lock().values().for_each(|lease| lease.end(why));
    }

    /// Changes what the worker says of itself, and says it soon.
    pub(super) fn describe(&self, change: impl FnOnce(&mut WorkerAbout)) {
        change(&mut self.about.lock().unwrap_or_else(PoisonError::into_inner));
        self.nudge();
    }

    /// Has the worker say soon how it stands.
    pub(super) fn nudge(&self) {
        self.beats.iter().for_each(|beat| beat.nudge.notify_one());
    }

    /// What the worker says of itself now.
    fn about(&self) -> WorkerAbout {
        let mut about = self.about.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stopping = self.vitals.draining.load(Ordering::Relaxed) || self.orders.stopped().is_cancelled();
        let state = match self.vitals.deaf() {
            _ if stopping => WorkerState::Stopping,
            Some(_) => WorkerState::Deaf,
            None if self.orders.quiet() => WorkerState::Quiet,
            None => WorkerState::Active,
        };
        state.status().clone_into(&mut about.status);
        about.claims = state == WorkerState::Active && self.vitals.came_round();
        about.told_by = self.orders.by().unwrap_or_default();
        about
    }

    pub(super) fn set_busy(&self, busy: usize) {
        let mut about = self.about.lock().unwrap_or_else(PoisonError::into_inner);
        about.busy = u32::try_from(busy).unwrap_or(u32::MAX);
    }

    /// Runs on the keeper's thread until `done`.
    pub(super) async fn run(self: Arc<Self>, done: CancellationToken) {
        // Short timeouts, so that a connection that died silently is noticed, replaced, and the
        // leases renewed over the new one before they are in doubt.
        let options = self.claims.options().clone();
        let command_timeout = options.command_timeout.min(self.timing.lease / 5);
        let options = StoreOptions { pool_size: 1, command_timeout, strict: None, ..options };
        let shards = match Shards::connect(options).await {
            Ok(shards) => shards,
            Err(error) => {
                tracing::error!(%error, "the lease keeper has no connection");
                return;
            }
        };
        tokio::select! {
            () = done.cancelled() => {}
            () = each(&shards, |store| self.beat(store)) => {}
            () = self.fence() => {}
            () = each(&shards, |store| self.read_inbox(store)) => {}
        }
    }

    async fn beat(&self, store: &Store) {
        let Some(beat) = self.beats.get(usize::from(store.shard())) else { return };
        // Not yet connected is no failed heartbeat.
        drop(store.wait_connected(self.timing.heartbeat).await);
        let mut breaks = self.breaks(store);
        let mut failing = false;
        loop {
            let outcome = self.renew(store).await;
            let now_breaks = self.breaks(store);
            let calm = outcome.is_ok() && now_breaks == breaks;
            breaks = now_breaks;
            if outcome.is_err() != failing {
                failing = !failing;
                tracing::warn!(failing, error = ?outcome.as_ref().err(), "heartbeats");
            }
            beat.link.send_modify(|link| {
                if let Ok(sent) = outcome {
                    link.renewed = Some(sent);
                    link.calm_since = if calm { link.calm_since.or(Some(sent)) } else { Some(clock::now()) };
                } else {
                    link.calm_since = None;
                }
            });
            let pause = if failing { RETRY } else { self.timing.heartbeat };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = beat.nudge.notified() => {}
            }
        }
    }

    /// One heartbeat over everything held; the time its first call was sent.
    async fn renew(&self, store: &Store) -> Result<Instant, StoreError> {
        let ours = |lease: &&Arc<Lease>| self.claims.of(lease.of.job).shard() == store.shard();
        let leases: Vec<Arc<Lease>> = self.lock().values().filter(ours).cloned().collect();
        let about = self.about();
        let first_sent = clock::now();
        let mut chunks = leases.chunks(bounds::SCRIPT_ITEMS);
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let refs: Vec<LeaseRef> = chunk.iter().map(|lease| lease.of.clone()).collect();
            let sent = clock::now();
            let held = store.heartbeat(self.worker, self.timing.lease, &about, &refs).await?;
            for (lease, held) in chunk.iter().zip(held) {
                if held {
                    lease.renew(sent);
                } else {
                    // Ended and not yet forgotten, taken over, or cancelled: the attempt's own
                    // report tells which.
                    lease.end(Stop::Lost);
                }
            }
            if chunks.len() == 0 {
                return Ok(first_sent);
            }
        }
    }

    /// Stops attempts before their lease could end. Separate from the heartbeats, because one of
    /// them may hang for as long as a command may.
    async fn fence(&self) {
        loop {
            tokio::time::sleep(self.timing.margin / 5).await;
            for lease in self.lock().values() {
                if !lease.stop.is_cancelled() && lease.in_doubt() {
                    tracing::warn!(job_id = %lease.of.job, "the lease could not be renewed; the attempt is stopped");
                    lease.end(Stop::Doubt);
                }
            }
        }
    }

    async fn read_inbox(&self, store: &Store) {
        let inbox = match store.inbox(self.worker) {
            Ok(inbox) => inbox,
            Err(error) => {
                tracing::error!(%error, "the worker has no inbox; heartbeats still tell it of cancels");
                return std::future::pending().await;
            }
        };
        loop {
            match inbox.wait(INBOX_BLOCK).await {
                Ok(Some(Message::Cancel(job, attempt))) => {
                    self.cancel((job, attempt));
                }
                Ok(Some(Message::Probe(provider))) => {
                    // A full channel has demands enough; whoever made this one may make it again.
                    self.probes.as_ref().map(|probes| probes.try_send(provider));
                }
                Ok(Some(Message::Verify(demand))) => {
                    self.checks.as_ref().map(|checks| checks.try_send(demand));
                }
                Ok(Some(Message::Order(order, by))) => {
                    self.orders.take(self.worker, order, &by);
                    self.nudge();
                }
                Ok(Some(Message::Unknown) | None) => {}
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// A cancel can overtake the reply of the claim that it concerns.
    fn cancel(&self, name: (JobId, AttemptId)) {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lease) = self.lock().get(&name) {
            return lease.end(Stop::Cancelled);
        }
        if early.len() == EARLY {
            early.pop_front();
        }
        early.push_back(name);
    }

    fn breaks(&self, own: &Store) -> u64 {
        let claims = self.claims.all().get(usize::from(own.shard()));
        own.link_breaks() + claims.map_or(0, Store::link_breaks)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One future per shard, all at once.
async fn each<'a, F: Future<Output = ()>>(shards: &'a Shards, future: impl FnMut(&'a Store) -> F) {
    futures_util::future::join_all(shards.all().iter().map(future)).await;
}
