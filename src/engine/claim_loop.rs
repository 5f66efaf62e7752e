//! The loop at the heart of a worker: one exchange with Redis at a time (several while the line is long), so
//! that everything that ended meanwhile rides with the next claim; no polling, because the bell and the
//! due times wake it.

mod drain;
mod flight;
mod heed;
mod stream;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Instant;
use crate::domain::{JobType, QueueName, WorkerId, bounds};
use crate::metrics;
use crate::store::{Answer, Bell, Claimed, Claims, Finished, LeaseRef, Store, StoreError};

use super::attempt::{Attempt, Ended, repeatable};
use super::deltas::DeltaWriter;
use super::judge::Judge;
use super::keeper::Keeper;
use super::lease::Lease;
use super::listener::BellListener;
use super::registry::Registry;
use super::slots::{Grant, Slots};
use super::tasks;
use super::worker::{Vitals, WorkerOptions};
use flight::Seen;

/// Result bytes that ride with one claim.
const REPORT_BYTES: usize = 4 * 1024 * 1024;
/// Shortest wait before looking again without having been called.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The wait before looking again at what is overdue and may not be reaped yet.
const NOT_YET: Duration = Duration::from_secs(1);

/// What an attempt's task sends back.
#[derive(Debug)]
pub(super) struct Report {
    claimed: Claimed,
    ended: Ended,
}

/// The types that a worker runs; they change with the rules for actions.
pub(super) type Offered = Arc<[JobType]>;

/// The state of the loop.
pub(super) struct ClaimLoop {
    worker: WorkerId,
    store: Store,
    registry: Arc<Registry>,
    judge: Arc<Judge>,
    offered: watch::Receiver<Offered>,
    options: WorkerOptions,
    keeper: Arc<Keeper>,
    vitals: Arc<Vitals>,
    deltas: DeltaWriter,
    reports: UnboundedSender<Report>,
    inbox: UnboundedReceiver<Report>,
    waiting: HashMap<QueueName, VecDeque<Finished>>,
    slots: Slots,
    /// The number of the store's shard.
    shard: usize,
    running: usize,
    suspects: usize,
    hungry: bool,
    /// The latest claim brought as many jobs as one can.
    long_line: bool,
    look_at: Option<Instant>,
    quiet_until: Option<Instant>,
    /// A token heard while other shards had the slots, and until when it is kept for the next free one.
    token: Option<(QueueName, Instant)>,
    failures: u32,
    /// The latest exchange failed: a pause comes before the next.
    tired: bool,
    /// The latest exchange left reports to be repeated: no more jobs until they are confirmed.
    unconfirmed: bool,
    /// It came around at least once.
    turned: bool,
}

impl ClaimLoop {
    pub(super) fn new(
        (worker, store, registry): (WorkerId, Store, Arc<Registry>),
        (judge, offered): (Arc<Judge>, watch::Receiver<Offered>),
        (options, slots): (WorkerOptions, Slots),
        (keeper, vitals, deltas): (Arc<Keeper>, Arc<Vitals>, DeltaWriter),
        (reports, inbox): (UnboundedSender<Report>, UnboundedReceiver<Report>),
    ) -> Self {
        Self {
            worker,
            shard: usize::from(store.shard()),
            store,
            registry,
            judge,
            offered,
            options,
            keeper,
            vitals,
            deltas,
            reports,
            inbox,
            waiting: HashMap::new(),
            slots,
            running: 0,
            suspects: 0,
            hungry: true,
            long_line: false,
            look_at: None,
            quiet_until: None,
            token: None,
            failures: 0,
            tired: false,
            unconfirmed: false,
            turned: false,
        }
    }

    pub(super) async fn run(mut self, bell: Bell, shutdown: CancellationToken) {
        let mut listener = BellListener::new(bell);
        let mut link = self.keeper.link(self.shard);
        let mut orders = self.keeper.orders.changes();
        while !shutdown.is_cancelled() {
            while let Ok(report) = self.inbox.try_recv() {
                self.take(report);
            }
            let wants = self.hungry && self.may_claim();
            let may_claim = wants && self.free() > 0;
            // With fewer free slots a stream would not begin, and this loop would spin.
            if may_claim && self.long_line && self.free() >= bounds::SCRIPT_ITEMS && !self.slots.shared() {
                self.stream(&shutdown).await;
                continue;
            }
            if may_claim || self.has_reports() {
                self.exchange(true).await;
                continue;
            }
            self.slots.want(self.shard, wants);
            let (full, quiet) = (self.free() == 0, self.keeper.orders.quiet());
            if full || quiet {
                self.turn();
            }
            // A slot that another shard frees brings no report here, so the bell is heard then too.
            if (!full || self.slots.shared()) && self.quiet_until.is_none() && !self.hungry && !quiet {
                listener.arm(self.options.timing.lease / 3);
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                Some(report) = self.inbox.recv() => self.take(report),
                heard = listener.heard() => self.hear(heard).await,
                // Taken, or a moment in the past would make a full worker's loop spin.
                () = until(self.look_at) => (self.look_at, self.hungry) = (None, true),
                () = until(self.quiet_until) => self.quiet_until = None,
                () = until(self.token.as_ref().map(|(_, until)| *until)) => self.pass_token_on().await,
                _ = link.changed(), if self.hungry => {}
                _ = orders.changed() => self.obey().await,
                () = tokio::time::sleep(self.options.timing.lease / 3), if quiet => {}
                () = self.slots.freed(self.shard) => {}
            }
        }
        self.slots.want(self.shard, false);
        self.pass_token_on().await;
        self.drain(listener).await;
    }

    fn free(&self) -> usize {
        self.slots.free(self.shard)
    }

    fn has_reports(&self) -> bool {
        self.waiting.values().any(|queue| !queue.is_empty())
    }

    /// One attempt ended: its slot is free, and its report waits for the next exchange.
    fn take(&mut self, report: Report) {
        let suspect = report.claimed.job.is_suspect();
        self.running -= 1;
        self.suspects -= usize::from(suspect);
        self.slots.give(self.shard, suspect);
        self.show_busy();
        if report.ended.leaked {
            self.vitals.leaked.fetch_add(1, Ordering::Relaxed);
            tracing::error!(job_id = %report.claimed.job.id, "a handler did not stop when told to; it blocks its thread");
        }
        match report.ended.ending {
            Some(ending) => {
                let queue = report.claimed.job.queue.clone();
                self.waiting.entry(queue).or_default().push_back(Finished { claimed: report.claimed, ending });
            }
            None => {
                self.keeper.forget(&lease_of(&report.claimed));
                self.hungry = true;
            }
        }
    }

    fn show_busy(&self) {
        let busy = self.slots.busy();
        self.vitals.busy.store(busy, Ordering::Relaxed);
        self.keeper.set_busy(busy);
    }

    /// Reports what ended and claims for the free slots, a call per queue that has either.
    async fn exchange(&mut self, claim: bool) {
        let may_claim = claim && self.may_claim() && !self.unconfirmed;
        self.unconfirmed = false;
        let grant = if may_claim { self.slots.take(self.shard, usize::MAX) } else { Grant::default() };
        if grant.slots > 0 {
            self.token = None; // a claim rings for what it leaves
        }
        let before = (self.running, self.suspects);
        let seen = self.exchange_within(grant).await;
        self.settle_grant(grant, before);
        if let Some(seen) = seen {
            self.conclude(&seen, may_claim);
            // Other shards have the slots: there may be work here once they let go.
            self.hungry |= may_claim && grant.slots == 0 && self.slots.shared();
        }
        self.rest().await;
    }

    async fn exchange_within(&mut self, grant: Grant) -> Option<Seen> {
        let mut want = grant.slots;
        let mut seen = Seen::default();
        for queue in self.options.queue_order() {
            let batch = self.next_batch(&queue);
            let ask = want.min(bounds::SCRIPT_ITEMS);
            if batch.is_empty() && ask == 0 {
                continue;
            }
            let landed = self.flight(queue, batch, ask, grant.suspect).await;
            let here = self.land(landed).await?;
            want = want.saturating_sub(here.came);
            seen.add(&here);
        }
        Some(seen)
    }

    /// Gives back what a claim left of its slots; `before`: what ran, and how many suspects among it.
    fn settle_grant(&self, grant: Grant, before: (usize, usize)) {
        self.slots.settle(self.shard, grant, self.running - before.0, self.suspects - before.1);
        self.show_busy();
    }

    /// The next reports of a queue: 100 at most, and not too many bytes of results.
    fn next_batch(&mut self, queue: &QueueName) -> Vec<Finished> {
        let Some(waiting) = self.waiting.get_mut(queue) else { return Vec::new() };
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = waiting.front() {
            bytes += size_of(next);
            if batch.len() == bounds::SCRIPT_ITEMS || (bytes > REPORT_BYTES && !batch.is_empty()) {
                break;
            }
            batch.extend(waiting.pop_front());
        }
        batch
    }

    /// Forgets what is reported, and returns what has to be reported again.
    fn settle(&self, batch: Vec<Finished>, answers: &[Answer]) -> Vec<Finished> {
        let mut repeat = Vec::new();
        for (finished, answer) in batch.into_iter().zip(answers) {
            if *answer == Answer::Unconfirmed {
                repeat.push(finished);
                continue;
            }
            self.keeper.forget(&lease_of(&finished.claimed));
            if *answer == Answer::Stale {
                tracing::warn!(job_id = %finished.claimed.job.id, "the attempt's report came too late and changed nothing");
            }
        }
        repeat
    }

    /// Puts reports back to be repeated.
    fn keep(&mut self, reports: Vec<Finished>) {
        self.unconfirmed |= !reports.is_empty();
        for finished in reports.into_iter().rev() {
            self.waiting.entry(finished.claimed.job.queue.clone()).or_default().push_front(finished);
        }
    }

    /// Keeps the reports for the next exchange. A batch that Redis cannot digest is reported one by
    /// one, so that one broken job does not hold up its neighbours.
    async fn failed(&mut self, queue: &QueueName, batch: Vec<Finished>, error: &StoreError) {
        self.failures += 1;
        if self.failures == 1 {
            tracing::warn!(%queue, reports = batch.len(), %error, "an exchange with Redis failed");
        }
        if repeatable(error) {
            for finished in batch.into_iter().rev() {
                self.waiting.entry(queue.clone()).or_default().push_front(finished);
            }
        } else {
            tracing::error!(%queue, %error, "Redis could not digest an exchange");
            for finished in batch {
                if let Err(error) = self.store.release(queue, std::slice::from_ref(&finished)).await {
                    tracing::error!(job_id = %finished.claimed.job.id, %error, "a report was dropped; its lease runs out");
                }
                self.keeper.forget(&lease_of(&finished.claimed));
            }
        }
        (self.hungry, self.tired) = (true, true);
    }

    /// Pauses after a failure; in that time it must not stand in the way of other shards.
    async fn rest(&mut self) {
        if !std::mem::take(&mut self.tired) {
            return;
        }
        self.slots.want(self.shard, false);
        let backoff = Duration::from_millis(50) * 2_u32.pow(self.failures.min(5));
        tokio::time::sleep(backoff.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
    }

    /// `sent` is when the claim was: the leases are as old.
    fn start_all(&mut self, claims: Claims, sent: Instant) {
        for claimed in claims.jobs {
            let job = &claimed.job;
            if claimed.is_new {
                let able = job.run_at.unwrap_or(job.created_at).max(job.created_at);
                let waited = claims.now.since(able).as_secs_f64();
                ::metrics::histogram!(metrics::JOB_WAIT.name, "queue" => job.queue.to_string()).record(waited);
            }
            self.running += 1;
            self.suspects += usize::from(job.is_suspect());
            let lease = Lease::new(lease_of(&claimed), sent, self.options.timing.hold());
            self.keeper.hold(Arc::clone(&lease));
            self.start(claimed, lease);
        }
    }

    fn start(&self, claimed: Claimed, lease: Arc<Lease>) {
        let (store, registry) = (self.store.clone(), Arc::clone(&self.registry));
        let (reports, deltas, judge) = (self.reports.clone(), self.deltas.clone(), Arc::clone(&self.judge));
        let rules = self.options.rules.clone().unwrap_or_else(|| Arc::clone(&judge) as Arc<dyn super::Rules>);
        let tracer = self.options.tracer.clone();
        let attempt = Attempt { store, registry, judge, rules, claimed: claimed.clone(), lease, deltas, tracer };
        tasks::spawn("attempt", async move {
            let ended = attempt.run().await;
            // The loop outlives every attempt.
            drop(reports.send(Report { claimed, ended }));
        });
    }
}

fn lease_of(claimed: &Claimed) -> LeaseRef {
    LeaseRef { queue: claimed.job.queue.clone(), job: claimed.job.id, attempt_id: claimed.attempt_id }
}

fn size_of(finished: &Finished) -> usize {
    match finished.ending.plain() {
        crate::store::Ending::Succeeded { result, .. } => result.as_str().len(),
        _ => 0,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
