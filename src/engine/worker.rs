//! A worker process: claims jobs for its slots, runs them, reports their ends with its next claim.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Instant};
use crate::domain::{JobType, LeaseTiming, ProviderName, QueueName, WorkerId, WorkerState};
use crate::metrics;
use crate::store::{Shards, StoreError, Verification, WorkerAbout};

use super::claim_loop::{ClaimLoop, Offered};
use super::deltas::DeltaWriter;
use super::effect_log::Rules;
use super::judge::Judge;
use super::keeper::Keeper;
use super::policy::Policies;
use super::registry::Registry;
use super::slots::Slots;
use super::tasks;
use super::tracer::Tracer;

/// The claim loop is deaf when it has not come around for this long: three times the longest wait
/// it ever asks for.
const DEAF_AFTER: Duration = Duration::from_secs(15);

/// How a worker process works.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Queues with weights: the first choice is random by weight, then the others in order.
    pub queues: Vec<(QueueName, u32)>,
    /// Jobs at once.
    pub slots: usize,
    /// Lease, heartbeat and margin.
    pub timing: LeaseTiming,
    /// How long running jobs may go on after the shutdown began.
    pub drain_grace: Duration,
    /// The machine's name, for operators.
    pub host: String,
    /// This build's version, for operators.
    pub version: &'static str,
    /// Where demands to probe a provider of language models go; one that finds no room is dropped.
    pub probes: Option<mpsc::Sender<ProviderName>>,
    /// Rules of an embedding program, asked before an effect when others are in force than when its job was judged;
    /// `None` for those that are kept in Redis.
    pub rules: Option<Arc<dyn Rules>>,
    /// Where demands to check a credential go; one that finds no room is dropped.
    pub checks: Option<mpsc::Sender<Verification>>,
    /// The rules for actions, if the process knows them already; they must outlive the worker.
    pub policies: Option<Policies>,
    /// Takes the spans of attempts.
    pub tracer: Tracer,
}

impl Default for WorkerOptions {
    /// Eight slots on queue `default`, a lease of 15 s, a grace of 25 s.
    fn default() -> Self {
        Self {
            queues: vec![(QueueName::default_queue(), 1)],
            slots: 8,
            timing: LeaseTiming::default(),
            drain_grace: Duration::from_secs(25),
            host: String::new(),
            version: crate::VERSION,
            probes: None,
            rules: None,
            checks: None,
            policies: None,
            tracer: Tracer::default(),
        }
    }
}

impl WorkerOptions {
    /// The first choice is random by weight, the others follow in order.
    pub(super) fn queue_order(&self) -> Vec<QueueName> {
        let total: u32 = self.queues.iter().map(|(_, weight)| *weight).sum();
        let mut at = rand::random_range(0..total.max(1));
        let mut first = 0;
        for (i, (_, weight)) in self.queues.iter().enumerate() {
            if at < *weight {
                first = i;
                break;
            }
            at -= weight;
        }
        let mut order: Vec<QueueName> = self.queues.iter().map(|(name, _)| name.clone()).collect();
        if first < order.len() {
            order[..=first].rotate_right(1);
        }
        order
    }
}

/// Why a worker stopped other than by its shutdown.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The registry offers nothing.
    #[error("no job type is allowed here, so the worker would have nothing to do")]
    NothingOffered,
    /// The system gave no thread for the lease keeper.
    #[error("the lease keeper could not start: {0}")]
    Keeper(#[from] std::io::Error),
    /// A connection cannot be configured.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a worker process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerHealth {
    /// Its id.
    pub id: WorkerId,
    /// Jobs it may run at once.
    pub slots: usize,
    /// Jobs it runs.
    pub busy: usize,
    /// Handlers that did not stop when told to.
    pub leaked: usize,
    /// Since when the claim loop has not come around, once that is too long.
    pub deaf: Option<Duration>,
    /// Whether it is shutting down.
    pub draining: bool,
    /// Whether an operator told it to claim nothing.
    pub quiet: bool,
    /// Whether its last heartbeat succeeded in time.
    pub redis_up: bool,
}

#[derive(Debug)]
pub(super) struct Vitals {
    pub(super) busy: AtomicUsize,
    pub(super) leaked: AtomicUsize,
    pub(super) draining: AtomicBool,
    /// By shard.
    pub(super) turned: Mutex<Vec<Instant>>,
    /// How many claim loops came around since the start.
    pub(super) loops: AtomicUsize,
}

impl Vitals {
    /// The claim loop came around: Redis answered it, or every slot is taken.
    pub(super) fn turn(&self, shard: usize) {
        self.turned.lock().unwrap_or_else(PoisonError::into_inner)[shard] = clock::now();
    }

    /// Whether every claim loop came around since the start.
    pub(super) fn came_round(&self) -> bool {
        let shards = self.turned.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.loops.load(Ordering::Relaxed) >= shards
    }

    /// For how long the loop that came around least has not, once that is too long.
    pub(super) fn deaf(&self) -> Option<Duration> {
        let turned = self.turned.lock().unwrap_or_else(PoisonError::into_inner).iter().min().copied();
        turned.map(|at| clock::now().duration_since(at)).filter(|silent| *silent > DEAF_AFTER)
    }
}

/// Looks at a worker from outside; cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    id: WorkerId,
    slots: usize,
    vitals: Arc<Vitals>,
    keeper: Arc<Keeper>,
}

impl WorkerHandle {
    /// How the worker stands; also sets its gauges.
    #[must_use]
    pub fn health(&self) -> WorkerHealth {
        let health = WorkerHealth {
            id: self.id,
            slots: self.slots,
            busy: self.vitals.busy.load(Ordering::Relaxed),
            leaked: self.vitals.leaked.load(Ordering::Relaxed),
            deaf: self.vitals.deaf(),
            draining: self.vitals.draining.load(Ordering::Relaxed),
            quiet: self.keeper.orders.quiet(),
            redis_up: self.keeper.registered_everywhere(),
        };
        ::metrics::counter!(metrics::UNREADABLE_JOBS.name).increment(0);
        ::metrics::gauge!(metrics::WORKER_SLOTS.name).set(health.slots as f64);
        ::metrics::gauge!(metrics::WORKER_BUSY.name).set(health.busy as f64);
        ::metrics::gauge!(metrics::WORKER_DEAF.name).set(if health.deaf.is_some() { 1.0 } else { 0.0 });
        health
    }
}

/// A worker process, not yet running.
#[derive(Debug)]
pub struct Worker {
    id: WorkerId,
    shards: Shards,
    registry: Arc<Registry>,
    options: WorkerOptions,
    vitals: Arc<Vitals>,
    keeper: Arc<Keeper>,
}

impl Worker {
    /// A worker under a fresh id, for one store or all shards of a cluster.
    #[must_use]
    pub fn new(shards: impl Into<Shards>, registry: Arc<Registry>, options: WorkerOptions) -> Self {
        let shards = shards.into();
        let id = WorkerId::fresh();
        let vitals = Arc::new(Vitals {
            busy: AtomicUsize::new(0),
            leaked: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            turned: Mutex::new(vec![clock::now(); shards.count()]),
            loops: AtomicUsize::new(0),
        });
        let about = WorkerAbout {
            host: options.host.clone(),
            pid: std::process::id(),
            version: options.version.to_owned(),
            queues: options.queues.iter().map(|(name, weight)| (name.to_string(), *weight)).collect(),
            types: Vec::new(),
            slots: u32::try_from(options.slots).unwrap_or(u32::MAX),
            busy: 0,
            status: WorkerState::Active.status().to_owned(),
            started_ms: clock::wall().unix_ms(),
            hears: true,
            claims: false,
            told_by: String::new(),
        };
        let parts = (shards.clone(), Arc::clone(&vitals));
        let keeper = Keeper::new(id, options.timing, about, parts, (options.probes.clone(), options.checks.clone()));
        Self { id, shards, registry, options, vitals, keeper }
    }

    /// A handle for health checks.
    #[must_use]
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle {
            id: self.id,
            slots: self.options.slots,
            vitals: Arc::clone(&self.vitals),
            keeper: Arc::clone(&self.keeper),
        }
    }

    /// Works until `shutdown`, or until an operator tells it to stop; then claims nothing more, gives running jobs the
    /// grace to finish, gives the rest back uncharged, and returns.
    ///
    /// # Errors
    /// When it cannot start. Once started, it mends itself after any outage.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        let queues: Vec<QueueName> = self.options.queues.iter().map(|(name, _)| name.clone()).collect();
        let done = CancellationToken::new();
        let _stop = done.clone().drop_guard();
        let start = || Policies::start(self.shards.clone(), self.registry.allow_list().clone(), done.clone());
        let policies = self.options.policies.clone().unwrap_or_else(start);
        let offered = self.offer(&policies, &done)?;
        let keeper_done = done.clone();
        let keeper = Arc::clone(&self.keeper);
        let thread = tasks::spawn_thread("lease-keeper", move || keeper.run(keeper_done))?;
        tracing::info!(worker_id = %self.id, slots = self.options.slots, ?queues, "worker started");

        let end = shutdown.child_token();
        let (stopped, told) = (self.keeper.orders.stopped(), end.clone());
        tasks::spawn(
            "told-to-stop",
            end.clone().run_until_cancelled_owned(async move {
                stopped.cancelled().await;
                told.cancel();
            }),
        );
        self.work((policies, offered), &queues, &end).await?;

        done.cancel();
        // The thread ends within one tick of its runtime; a panic in it was logged. It ends first,
        // because a last heartbeat would register the worker again.
        drop(tokio::task::spawn_blocking(move || thread.join()).await);
        for store in self.shards.all() {
            if let Err(error) = store.retire(self.id, &queues).await {
                tracing::debug!(%error, "the registration runs out by itself");
            }
        }
        tracing::info!(worker_id = %self.id, "worker stopped");
        Ok(())
    }

    /// What this worker offers, which changes with the rules for actions.
    fn offer(&self, policies: &Policies, done: &CancellationToken) -> Result<watch::Receiver<Offered>, WorkerError> {
        let mut changes = policies.changes();
        let types: Offered = policies.offered(&self.registry).into();
        if types.is_empty() {
            return Err(WorkerError::NothingOffered);
        }
        let (keeper, registry, policies) = (Arc::clone(&self.keeper), Arc::clone(&self.registry), policies.clone());
        keeper.describe(|about| about.types = types.iter().map(JobType::to_string).collect());
        let (sender, offered) = watch::channel(types);
        let done = done.clone();
        tasks::spawn("offer", async move {
            while let Some(Ok(())) = done.run_until_cancelled(changes.changed()).await {
                let types: Offered = policies.offered(&registry).into();
                if *sender.borrow() != types {
                    keeper.describe(|about| about.types = types.iter().map(JobType::to_string).collect());
                    sender.send_replace(types);
                }
            }
        });
        Ok(offered)
    }

    /// A claim loop per shard; one that waits for its server holds up no other.
    async fn work(
        &self,
        (policies, offered): (Policies, watch::Receiver<Offered>),
        queues: &[QueueName],
        shutdown: &CancellationToken,
    ) -> Result<(), StoreError> {
        let slots = Slots::new(self.options.slots, self.shards.count());
        let mut loops = Vec::with_capacity(self.shards.count());
        let done = CancellationToken::new();
        let _stop = done.clone().drop_guard();
        for store in self.shards.all() {
            let deltas = DeltaWriter::new(store.clone());
            tasks::spawn("deltas", deltas.clone().run(done.clone()));
            let (registry, policies) = (Arc::clone(&self.registry), policies.clone());
            let judge = Arc::new(Judge { policies, registry, store: store.clone() });
            let claim_loop = ClaimLoop::new(
                (self.id, store.clone(), Arc::clone(&self.registry)),
                (judge, offered.clone()),
                (self.options.clone(), slots.clone()),
                (Arc::clone(&self.keeper), Arc::clone(&self.vitals), deltas),
                mpsc::unbounded_channel(),
            );
            loops.push(claim_loop.run(store.bell(queues)?, shutdown.clone()));
        }
        futures_util::future::join_all(loops).await;
        Ok(())
    }
}
