//! Accepting jobs: enqueues that arrive together are written by one script call (group commit, as
//! databases do with their log), which is where the factor over one call per job comes from.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::{Job, JobId, JobSpec, QueueName, SpanRef, bounds};
use crate::store::{Enqueued, Scope, Shards, Store, StoreError};

use super::guard::Guard;
use super::tasks;
use super::ticket::{Ticket, patience};
use super::tracer::{SpanKind, Tracer, facts_of_job};

/// Payload bytes in one script call.
const BATCH_BYTES: usize = 1024 * 1024;
/// Calls of one lane under way at once.
const CALLS: usize = 3;
/// Enqueues for which a call does not wait for one under way. With twice as many waiting and none under way a
/// call takes half of them, so that Redis works on one half while this process makes and reads the other.
const WORTH_A_CALL: usize = 16;
/// Enqueues that may wait for their turn; beyond it the answer is "unavailable".
const WAITING: usize = 10_000;
/// Queues that may exist: names come from clients, and each has keys, gauges and a lane.
const QUEUES: usize = 256;
/// Waits before a call whose outcome is unknown is repeated with the same ids.
const REPEATS: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_millis(1000)];
/// What a refused client is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// An accepted job.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The job: new, or the one that already had this request id.
    pub job: Job,
    /// Whether it existed before.
    pub replayed: bool,
}

/// Why a job was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// The request id belongs to another body. Not enqueued.
    #[error("this client_request_id was used with another body, for job {existing}")]
    RequestIdReused {
        /// The job that has it.
        existing: JobId,
    },
    /// The queue is at its depth limit. Not enqueued.
    #[error("queue `{queue}` is full")]
    QueueFull {
        /// The queue.
        queue: QueueName,
        /// When to try again.
        retry_after: Duration,
    },
    /// There are as many queues as may be, and this is none of them. Not enqueued.
    #[error("`{queue}` would be one queue too many: {QUEUES} exist")]
    TooManyQueues {
        /// The queue.
        queue: QueueName,
    },
    /// The queue takes no new jobs. Not enqueued.
    #[error("queue `{queue}` is draining and takes no new jobs")]
    Draining {
        /// The queue.
        queue: QueueName,
    },
    /// Redis could drop acknowledged jobs. Not enqueued.
    #[error("Redis is not safe to acknowledge jobs: {0}")]
    Unsafe(String),
    /// Redis did not take it, or (`Unknown`) may have.
    #[error(transparent)]
    Store(#[from] StoreError),
}

struct Waiting {
    id: JobId,
    /// Shared, because it goes through many hands.
    spec: Arc<JobSpec>,
    ticket: Arc<Ticket>,
    reply: oneshot::Sender<Result<Enqueued, StoreError>>,
}

/// The same as its client sees it.
struct HandedIn {
    /// What it is called, unless it is another's repeat.
    id: JobId,
    ticket: Arc<Ticket>,
    reply: oneshot::Receiver<Result<Enqueued, StoreError>>,
}

/// A lane per queue of each shard, by the shard's number.
type Lanes = Arc<[Mutex<HashMap<QueueName, mpsc::Sender<Waiting>>>]>;

/// Takes jobs in; cheap to clone.
#[derive(Clone, Debug)]
pub struct Submitter {
    shards: Shards,
    guard: Guard,
    lanes: Lanes,
    shutdown: CancellationToken,
    tracer: Tracer,
}

impl Submitter {
    /// A submitter whose lanes end with `shutdown`, after they wrote what they took.
    #[must_use]
    pub fn start(store: impl Into<Shards>, guard: Guard, shutdown: CancellationToken) -> Self {
        let shards = store.into();
        let lanes = shards.all().iter().map(|_| Mutex::default()).collect();
        Self { shards, guard, lanes, shutdown, tracer: Tracer::default() }
    }

    /// With somebody who takes spans.
    #[must_use]
    pub fn with_tracer(mut self, tracer: Tracer) -> Self {
        self.tracer = tracer;
        self
    }

    /// Writes one job.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(&self, spec: JobSpec) -> Result<Submitted, SubmitError> {
        let began = clock::unix_nanos();
        self.admit()?;
        let spec = Arc::new(spec);
        let HandedIn { id, ticket, reply } = self.hand_in(Arc::clone(&spec)).await?;
        let outcome = match tokio::time::timeout(patience(self.shards.options()), reply).await {
            Ok(outcome) => outcome.unwrap_or_else(|_| Err(StoreError::Unknown("the process is stopping".to_owned()))),
            Err(_) => Err(ticket.give_up()),
        };
        if let Err(error @ StoreError::Unknown(_)) = &outcome {
            tracing::warn!(job_id = %id, tenant_id = %spec.workspace, %error, "nobody knows whether a job was enqueued");
        }
        let outcome = outcome?;
        let submitted = self.answer(&spec, outcome).await?;
        if !submitted.replayed {
            self.trace(&submitted.job, spec.origin, began);
        }
        Ok(submitted)
    }

    /// The root of the job's trace, with the request that brought it.
    fn trace(&self, job: &Job, origin: Option<SpanRef>, began: u64) {
        let trace = self.tracer.of_job(job.id);
        let Some(mut span) = trace.open_root(SpanKind::Producer, || format!("enqueue {}", job.queue)) else { return };
        facts_of_job(&mut span, job, ("enqueue", "send"));
        span.link(origin);
        span.between(began, clock::unix_nanos());
    }

    /// Writes many jobs; each item is all or nothing, the batch never. Results keep the order.
    pub async fn submit_many(&self, specs: Vec<JobSpec>) -> Vec<Result<Submitted, SubmitError>> {
        futures_util::future::join_all(specs.into_iter().map(|spec| self.submit(spec))).await
    }

    fn admit(&self) -> Result<(), SubmitError> {
        self.guard.judge(|findings| {
            if let Some(reason) = findings.unsafe_reason() {
                return Err(SubmitError::Unsafe(reason));
            }
            findings.full.as_ref().map_or(Ok(()), |full| Err(StoreError::Full(full.clone()).into()))
        })
    }

    async fn hand_in(&self, spec: Arc<JobSpec>) -> Result<HandedIn, SubmitError> {
        let store = self.shards.of_request(&spec.workspace, &spec.request_id);
        let lane = self.lane(store, &spec.queue).await?;
        let (reply, receiver) = oneshot::channel();
        let made = u64::try_from(store.now_estimate().unix_ms()).unwrap_or_default();
        let ticket = Arc::<Ticket>::default();
        let id = JobId::new(made, store.shard());
        let waiting = Waiting { id, spec, ticket: Arc::clone(&ticket), reply };
        lane.try_send(waiting).map_err(|_| StoreError::Unavailable("too many enqueues are waiting".to_owned()))?;
        Ok(HandedIn { id, ticket, reply: receiver })
    }

    async fn lane(&self, store: &Store, queue: &QueueName) -> Result<mpsc::Sender<Waiting>, SubmitError> {
        let lanes = &self.lanes[usize::from(store.shard())];
        if let Some(lane) = lanes.lock().unwrap_or_else(PoisonError::into_inner).get(queue) {
            return Ok(lane.clone());
        }
        let known = store.queue_names().await.map_err(StoreError::before_change)?;
        if known.len() >= QUEUES && !known.contains(queue) {
            return Err(SubmitError::TooManyQueues { queue: queue.clone() });
        }
        let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= QUEUES && !lanes.contains_key(queue) {
            return Err(SubmitError::TooManyQueues { queue: queue.clone() });
        }
        let lane = lanes.entry(queue.clone()).or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(WAITING);
            tasks::spawn("enqueue", run_lane(store.clone(), queue.clone(), receiver, self.shutdown.clone()));
            sender
        });
        Ok(lane.clone())
    }

    async fn answer(&self, spec: &JobSpec, outcome: Enqueued) -> Result<Submitted, SubmitError> {
        match outcome {
            Enqueued::New(job) => Ok(Submitted { job: *job, replayed: false }),
            Enqueued::Replay(id) => {
                let scope = Scope::Workspace(spec.workspace.clone());
                let job = self.shards.job(&scope, id).await?;
                let gone = || StoreError::Corrupt(format!("job {id} has a request id and no record"));
                Ok(Submitted { job: job.ok_or_else(gone)?, replayed: true })
            }
            Enqueued::OtherBody(existing) => Err(SubmitError::RequestIdReused { existing }),
            Enqueued::Full => Err(SubmitError::QueueFull { queue: spec.queue.clone(), retry_after: RETRY_AFTER }),
            Enqueued::Draining => Err(SubmitError::Draining { queue: spec.queue.clone() }),
            Enqueued::Broken => {
                let what = format!("the idempotency key of request id `{}` is not ours", spec.request_id);
                Err(StoreError::Corrupt(what).into())
            }
        }
    }
}

/// One lane per queue. What arrives during a call makes up the next, which does not wait for the first to end
/// if it is worth it: a busy lane keeps both sides at work, and a quiet one makes no small calls. Calls go out
/// and are answered in order, over one connection.
async fn run_lane(store: Store, queue: QueueName, mut waiting: mpsc::Receiver<Waiting>, shutdown: CancellationToken) {
    let mut ahead: VecDeque<Waiting> = VecDeque::new();
    let mut fresh = Vec::with_capacity(bounds::SCRIPT_ITEMS);
    let mut calls = FuturesOrdered::new();
    loop {
        let room = bounds::SCRIPT_ITEMS.saturating_sub(ahead.len());
        if room > 0 {
            let limit = room.min(waiting.len());
            (0..limit).for_each(|_| ahead.extend(waiting.try_recv()));
        }
        let worth = ahead.len() >= WORTH_A_CALL || bytes_of(&ahead) > BATCH_BYTES;
        if !ahead.is_empty() && (calls.is_empty() || (worth && calls.len() < CALLS)) {
            calls.push_back(write(&store, &queue, next_batch(&mut ahead, calls.is_empty())));
            continue;
        }
        tokio::select! {
            biased;
            Some(()) = calls.next() => {}
            n = waiting.recv_many(&mut fresh, room), if room > 0 => match n {
                0 if calls.is_empty() => return,
                0 => { calls.next().await; }
                _ => ahead.extend(fresh.drain(..)),
            },
            () = shutdown.cancelled(), if calls.is_empty() => return,
        }
    }
}

fn bytes_of(waiting: &VecDeque<Waiting>) -> usize {
    waiting.iter().map(|one| one.spec.input.as_str().len()).sum()
}

/// As many as go into one call, one at least. `first`: none is under way.
fn next_batch(ahead: &mut VecDeque<Waiting>, first: bool) -> Vec<Waiting> {
    let most = if first && ahead.len() >= 2 * WORTH_A_CALL { ahead.len().div_ceil(2) } else { ahead.len() };
    let mut bytes = 0;
    let fits = ahead.iter().take(most.min(bounds::SCRIPT_ITEMS)).take_while(|one| {
        bytes += one.spec.input.as_str().len();
        bytes <= BATCH_BYTES
    });
    let count = fits.count().max(1);
    ahead.drain(..count).collect()
}

async fn write(store: &Store, queue: &QueueName, mut batch: Vec<Waiting>) {
    batch.retain(|one| one.ticket.send());
    if batch.is_empty() {
        return;
    }
    let (mut replies, items): (Vec<_>, Vec<_>) = batch.into_iter().map(|w| (w.reply, (w.id, w.spec))).unzip();
    match write_surely(store, queue, &items).await {
        // One of them is the cause: apart, it fails alone. A repeat with the same ids is safe.
        Err(StoreError::Corrupt(error)) if items.len() > 1 => {
            tracing::error!(%queue, jobs = items.len(), %error, "Redis could not digest a batch");
            for (reply, item) in replies.drain(..).zip(&items) {
                let outcome = write_surely(store, queue, std::slice::from_ref(item)).await;
                let none = || StoreError::Corrupt("an enqueue without an answer".to_owned());
                let outcome = outcome.map_err(StoreError::after_change);
                drop(reply.send(outcome.and_then(|mut one| one.pop().ok_or_else(none))));
            }
        }
        Ok(outcomes) => {
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                // A client that went away reads its job by repeating the request.
                drop(reply.send(Ok(outcome)));
            }
        }
        Err(error) => {
            tracing::warn!(queue = %queue, jobs = items.len(), %error, "an enqueue was not confirmed");
            for reply in replies {
                drop(reply.send(Err(error.clone())));
            }
        }
    }
}

/// Repeats a call whose outcome is unknown: with the same ids that is safe, and most often it turns
/// "unknown" into an answer. Not for longer than somebody waits for it.
async fn write_surely(
    store: &Store,
    queue: &QueueName,
    items: &[(JobId, Arc<JobSpec>)],
) -> Result<Vec<Enqueued>, StoreError> {
    let until = clock::now() + patience(store.options());
    let mut unknown = match store.enqueue(queue, items).await {
        Err(error @ StoreError::Unknown(_)) => error,
        other => return other,
    };
    for wait in REPEATS.into_iter().take_while(|wait| clock::now() + *wait < until) {
        tokio::time::sleep(wait).await;
        match store.enqueue(queue, items).await {
            Ok(outcomes) => return Ok(outcomes),
            Err(error @ StoreError::Unknown(_)) => unknown = error,
            // "Not done" of a repeat says nothing of the first call.
            Err(_) => {}
        }
    }
    Err(unknown)
}

#[cfg(test)]
mod tests {
    use crate::domain::{JobType, RawJson, RequestId, Workspace};

    use super::*;

    fn waiting(count: usize, bytes: usize) -> VecDeque<Waiting> {
        let one = |n: usize| {
            let names = (Workspace::new("ws").unwrap(), RequestId::new(&format!("r{n}")).unwrap());
            let input = RawJson::from_compact(format!("\"{}\"", "x".repeat(bytes)));
            let spec = JobSpec::new(names.0, names.1, JobType::new("echo").unwrap(), input);
            Waiting { id: JobId::new(1, 0), spec: Arc::new(spec), ticket: Arc::default(), reply: oneshot::channel().0 }
        };
        (0..count).map(one).collect()
    }

    /// Sizes of the calls that a lane makes of what waits, when none ends meanwhile.
    fn calls(mut ahead: VecDeque<Waiting>) -> Vec<usize> {
        let mut sizes = Vec::new();
        while !ahead.is_empty() {
            sizes.push(next_batch(&mut ahead, sizes.is_empty()).len());
        }
        sizes
    }

    #[test]
    fn many_are_divided_so_that_both_sides_work_and_few_are_not() {
        assert_eq!(calls(waiting(1, 2)), [1]);
        assert_eq!(calls(waiting(2 * WORTH_A_CALL - 1, 2)), [2 * WORTH_A_CALL - 1]);
        assert_eq!(calls(waiting(64, 2)), [32, 32]);
        assert_eq!(calls(waiting(250, 2)), [100, 100, 50]);
    }

    #[test]
    fn a_call_carries_a_mebibyte_or_one_item() {
        assert_eq!(calls(waiting(10, BATCH_BYTES / 4)), [3, 3, 3, 1]);
        assert_eq!(calls(waiting(2, BATCH_BYTES + 1)), [1, 1]);
    }
}
