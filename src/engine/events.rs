//! Lifecycle events, tailed once per process and handed to whoever waits for a job.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::domain::{JobId, JobState, Timestamp};
use crate::store::{EventTail, Shards, Store, StoreError, Transitioned};

use super::tasks;

/// Deliveries a slow subscriber may be behind before it is told to read the job anew.
const BEHIND: usize = 64;
/// Deliveries that whoever reads the events of all jobs may be behind; allocated while there is one.
const BEHIND_ALL: usize = 8192;
/// How long one read of the stream blocks.
const BLOCK: Duration = Duration::from_secs(5);
/// Between two tries while the stream cannot be read.
const PAUSE: Duration = Duration::from_millis(200);

/// One transition of one job.
#[derive(Clone, Debug)]
pub struct JobEvent {
    /// Where it stands in the stream: `<epoch>-<ms>-<seq>`; a client resumes by it.
    pub cursor: String,
    /// The job.
    pub job: JobId,
    /// The state reached.
    pub state: JobState,
    /// The attempt it concerns.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// Its number among the transitions at the same place.
    pub index: u32,
    /// A report of progress: the state did not change.
    pub is_progress: bool,
}

/// What a subscriber gets next.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A transition.
    Event(JobEvent),
    /// Events were missed (trimmed, state lost, or the subscriber was slow): read the job anew.
    Reset,
    /// The job's stream got text: read it from where you stand. A hint: told once for any number of entries, and
    /// possibly lost, so whoever follows the text reads it after every other delivery too.
    Text,
}

#[derive(Debug)]
struct Listener {
    number: u64,
    sender: mpsc::Sender<Delivery>,
    missed: Arc<AtomicBool>,
    text: Arc<Notify>,
}

#[derive(Debug)]
struct Inner {
    store: Shards,
    /// By shard.
    epochs: Mutex<Vec<String>>,
    listeners: Mutex<HashMap<JobId, Vec<Listener>>>,
    next_number: AtomicU64,
    /// Of all jobs, while someone reads it.
    all: Mutex<Option<broadcast::Sender<Delivery>>>,
}

/// Events of one job; unsubscribes when dropped.
#[derive(Debug)]
pub struct Subscription {
    job: JobId,
    number: u64,
    receiver: mpsc::Receiver<Delivery>,
    missed: Arc<AtomicBool>,
    text: Arc<Notify>,
    hub: EventHub,
}

impl Subscription {
    /// The next delivery; `None` when the hub stops. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Delivery> {
        let delivery = tokio::select! {
            biased;
            delivery = self.receiver.recv() => delivery?,
            () = self.text.notified() => return Some(Delivery::Text),
        };
        if self.missed.swap(false, Ordering::Relaxed) {
            return Some(Delivery::Reset);
        }
        Some(delivery)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut listeners = self.hub.listeners();
        if let Some(of_job) = listeners.get_mut(&self.job) {
            of_job.retain(|listener| listener.number != self.number);
            if of_job.is_empty() {
                listeners.remove(&self.job);
            }
        }
    }
}

/// Fans the event stream out to subscribers; cheap to clone.
#[derive(Clone, Debug)]
pub struct EventHub {
    inner: Arc<Inner>,
}

impl EventHub {
    /// Starts the tail; it ends with `shutdown`.
    ///
    /// # Errors
    /// When the tail's connection cannot be configured.
    pub fn start(store: impl Into<Shards>, shutdown: CancellationToken) -> Result<Self, StoreError> {
        let store = store.into();
        let tails: Vec<EventTail> = store.all().iter().map(Store::event_tail).collect::<Result<_, _>>()?;
        let hub = Self {
            inner: Arc::new(Inner {
                epochs: Mutex::new(vec![String::new(); store.count()]),
                store,
                listeners: Mutex::default(),
                next_number: AtomicU64::new(0),
                all: Mutex::default(),
            }),
        };
        for (store, tail) in hub.inner.store.all().iter().zip(tails) {
            tasks::spawn("events", hub.clone().follow(store.clone(), tail, shutdown.clone()));
        }
        Ok(hub)
    }

    /// Events of `job` from now on. Subscribe first, then read the job: nothing falls between.
    #[must_use]
    pub fn subscribe(&self, job: JobId) -> Subscription {
        let (sender, receiver) = mpsc::channel(BEHIND);
        let number = self.inner.next_number.fetch_add(1, Ordering::Relaxed);
        let missed = Arc::new(AtomicBool::new(false));
        let text = Arc::new(Notify::new());
        let listener = Listener { number, sender, missed: Arc::clone(&missed), text: Arc::clone(&text) };
        self.listeners().entry(job).or_default().push(listener);
        Subscription { job, number, receiver, missed, text, hub: self.clone() }
    }

    /// Events of all jobs from now on, with a `Reset` after a gap. Every process needs one reader at most: what it
    /// makes of them is handed on by [`super::WatchHub`].
    pub(super) fn subscribe_all(&self) -> broadcast::Receiver<Delivery> {
        let mut all = self.inner.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_or_insert_with(|| broadcast::channel(BEHIND_ALL).0).subscribe()
    }

    fn deliver_to_all(&self, delivery: impl FnOnce() -> Delivery) {
        let mut all = self.inner.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.as_ref().is_some_and(|sender| sender.send(delivery()).is_err()) {
            *all = None;
        }
    }

    /// Events of `job` after `cursor`, oldest first, as far as the stream still has them;
    /// `Reset` first when it does not reach back that far or Redis lost state since.
    ///
    /// # Errors
    /// When Redis cannot be read.
    pub async fn since(&self, job: JobId, cursor: &str) -> Result<Vec<Delivery>, StoreError> {
        let mut parts = cursor.rsplitn(3, '-');
        let (seq, ms, epoch) = (parts.next(), parts.next(), parts.next());
        let (Some(seq), Some(ms), Some(epoch)) = (seq, ms, epoch) else { return Ok(vec![Delivery::Reset]) };
        let store = self.inner.store.of(job);
        let ours = store.epoch().await?;
        if epoch != ours || seq.parse::<u64>().is_err() || ms.parse::<u64>().is_err() {
            return Ok(vec![Delivery::Reset]);
        }
        let (events, reaches) = store.events_after(job, &format!("{ms}-{seq}")).await?;
        let mut deliveries = if reaches { Vec::new() } else { vec![Delivery::Reset] };
        deliveries.extend(events.iter().map(|event| Delivery::Event(job_event(&ours, event))));
        Ok(deliveries)
    }

    async fn follow(self, store: Store, mut tail: EventTail, shutdown: CancellationToken) {
        let (mut broken, mut epoch) = (true, store.known_epoch());
        while !shutdown.is_cancelled() {
            if broken && !self.learn_epoch(&store, &mut tail).await {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            match tail.next(BLOCK).await {
                Ok(tailed) => {
                    tailed.transitions.iter().for_each(|event| self.deliver(&store, event));
                    self.hint(&tailed.streamed);
                    // Whoever looked at Redis last may have found state lost.
                    let now = store.known_epoch();
                    broken = now != epoch;
                    epoch = now;
                }
                Err(error) => {
                    tracing::debug!(%error, "the event stream cannot be read");
                    broken = true;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        // Drops the senders: `next` answers `None`.
        self.listeners().clear();
        *self.inner.all.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// After lost state the old places mean nothing: everyone reads anew.
    async fn learn_epoch(&self, store: &Store, tail: &mut EventTail) -> bool {
        if !self.take_place(store, tail, false).await {
            return false;
        }
        let Ok(found) = store.epoch().await else { return false };
        let changed = {
            let mut epochs = self.inner.epochs.lock().unwrap_or_else(PoisonError::into_inner);
            let epoch = &mut epochs[usize::from(store.shard())];
            let changed = !epoch.is_empty() && *epoch != found;
            *epoch = found;
            changed
        };
        if changed {
            return self.take_place(store, tail, true).await;
        }
        true
    }

    /// Gives the tail a place, then tells every listener of the shard that what happened before may be missed. The
    /// first thing a hub does, so that few listeners come before it.
    async fn take_place(&self, store: &Store, tail: &mut EventTail, anew: bool) -> bool {
        if (anew || !tail.has_place()) && tail.take_place().await.is_err() {
            return false;
        }
        let ours = |job: &JobId| self.inner.store.of(*job).shard() == store.shard();
        for listener in self.listeners().iter().filter(|(job, _)| ours(job)).flat_map(|(_, of_job)| of_job) {
            drop(listener.sender.try_send(Delivery::Reset));
        }
        self.deliver_to_all(|| Delivery::Reset);
        true
    }

    fn deliver(&self, store: &Store, event: &Transitioned) {
        let listeners = self.listeners();
        let epochs = self.inner.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = &epochs[usize::from(store.shard())];
        self.deliver_to_all(|| Delivery::Event(job_event(epoch, event)));
        let Some(of_job) = listeners.get(&event.job) else { return };
        for listener in of_job {
            if listener.sender.try_send(Delivery::Event(job_event(epoch, event))).is_err() {
                listener.missed.store(true, Ordering::Relaxed);
            }
        }
    }

    fn hint(&self, streamed: &[JobId]) {
        let listeners = self.listeners();
        for listener in streamed.iter().filter_map(|job| listeners.get(job)).flatten() {
            listener.text.notify_one();
        }
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Vec<Listener>>> {
        self.inner.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn job_event(epoch: &str, event: &Transitioned) -> JobEvent {
    JobEvent {
        cursor: format!("{epoch}-{}", event.entry),
        job: event.job,
        state: event.state,
        attempt: event.attempt,
        at: event.at,
        index: event.index,
        is_progress: event.is_progress,
    }
}
