//! Every job's transitions as they happen, with what a person wants to know of the job.
//!
//! An event names its job and nothing else; whose it is stands in the job. One task per process reads each job about
//! once, however many watch, and hands the steps on over one bounded ring: whoever is too slow for it is told that
//! steps were missed, and holds up nobody. Without a watcher there is no task.

mod known;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{self, Receiver, Sender};

use super::events::{Delivery, EventHub, JobEvent, job_event};
use super::tasks;
use crate::domain::{JobId, JobState, JobType, QueueName, Timestamp, Workspace};
use crate::store::{Shards, StoreError};
use known::Known;

/// Steps that a watcher may be behind.
const BEHIND: usize = 4096;
/// Events looked up together.
const TOGETHER: usize = 200;
/// How often a task that nobody needs any more is noticed.
const IDLE: Duration = Duration::from_secs(5);
/// A place in one shard's stream is good for the others but for their clocks; so much earlier they are read.
const SKEW_MS: u64 = 5_000;

/// One transition of one job, with the job's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStep {
    /// Where it stands; a client resumes by it: `<epoch>-<ms>-<seq>.<n>`.
    pub cursor: String,
    /// The job.
    pub job: JobId,
    /// Whose it is.
    pub workspace: Workspace,
    /// Its type.
    pub job_type: JobType,
    /// Its queue.
    pub queue: QueueName,
    /// The state left; `None` for a new job, and where nobody saw it.
    pub from: Option<JobState>,
    /// The state reached.
    pub state: JobState,
    /// The attempt it concerns.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// Why, if there is a reason: that of the hold, or of the failure.
    pub reason: Option<String>,
    /// The failure in words.
    pub message: Option<String>,
}

/// What a watcher gets next.
#[derive(Clone, Debug)]
pub enum Watched {
    /// A transition.
    Step(Arc<JobStep>),
    /// Transitions were missed: state was lost, or the watcher or Redis was slow.
    Reset,
}

/// Transitions of all jobs; cheap to clone.
#[derive(Clone, Debug)]
pub struct WatchHub {
    hub: EventHub,
    store: Shards,
    feed: Arc<Mutex<Option<Sender<Watched>>>>,
}

/// One watcher's place in the ring.
#[derive(Debug)]
pub struct Watch {
    receiver: Receiver<Watched>,
}

impl Watch {
    /// The next transition of any job; `None` when the hub stops. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Watched> {
        match self.receiver.recv().await {
            Ok(watched) => Some(watched),
            Err(RecvError::Lagged(_)) => Some(Watched::Reset),
            Err(RecvError::Closed) => None,
        }
    }
}

impl WatchHub {
    /// Watches what `hub` hears of. Nothing runs before the first [`WatchHub::watch`].
    #[must_use]
    pub fn new(hub: EventHub, store: Shards) -> Self {
        Self { hub, store, feed: Arc::default() }
    }

    /// Transitions of all jobs from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = feed.as_ref() {
            return Watch { receiver: sender.subscribe() };
        }
        let (sender, receiver) = broadcast::channel(BEHIND);
        *feed = Some(sender.clone());
        tasks::spawn("watch", self.clone().run(self.hub.subscribe_all(), sender));
        Watch { receiver }
    }

    /// Where the streams are now, as a cursor.
    ///
    /// # Errors
    /// When Redis cannot be read.
    pub async fn place(&self) -> Result<String, StoreError> {
        let first = self.store.first();
        Ok(format!("{}-{}.{}", first.epoch().await?, first.newest_event().await?, u32::MAX))
    }

    /// Transitions of all jobs after `cursor`, oldest first, the latest 4,096 at most; `Reset` first when they are not
    /// all, which is so for a cursor of another epoch. On the shards that the cursor is not of, some may be told again.
    ///
    /// # Errors
    /// When Redis cannot be read.
    pub async fn since(&self, cursor: &str) -> Result<Vec<Watched>, StoreError> {
        let Some(place) = Place::parse(cursor) else { return Ok(vec![Watched::Reset]) };
        let (mut events, mut complete, mut ours) = (Vec::new(), true, false);
        for store in self.store.all() {
            let epoch = store.epoch().await?;
            let own = epoch == place.epoch;
            ours |= own;
            let from = if own { place.entry() } else { format!("{}-0", place.ms.saturating_sub(SKEW_MS)) };
            let (found, all) = store.events_from(&from).await?;
            complete &= all;
            let seen = |entry: &str, index: u32| own && entry == from && index <= place.index;
            let new = found.iter().filter(|event| !seen(&event.entry, event.index));
            events.extend(new.map(|event| job_event(&epoch, event)));
        }
        if !ours {
            return Ok(vec![Watched::Reset]);
        }
        events.sort_by_key(|event| event.at);
        // An entry of the stream has all transitions of one call: a few thousand entries may be hundreds of thousands.
        let over = events.len().saturating_sub(BEHIND);
        let mut watched = if complete && over == 0 { Vec::new() } else { vec![Watched::Reset] };
        let mut known = Known::default();
        for batch in events[over..].chunks(TOGETHER) {
            watched.extend(known.steps(&self.store, batch).await?.into_iter().map(Watched::Step));
        }
        Ok(watched)
    }

    async fn run(self, mut tap: Receiver<Delivery>, sender: Sender<Watched>) {
        let mut known = Known::default();
        loop {
            let heard = tokio::time::timeout(IDLE, tap.recv()).await;
            if self.is_over(&sender) {
                return;
            }
            let (events, missed) = match heard {
                Err(_) => continue,
                Ok(Ok(delivery)) => gather(delivery, &mut tap),
                Ok(Err(RecvError::Lagged(_))) => (Vec::new(), true),
                Ok(Err(RecvError::Closed)) => break,
            };
            // An error of a send says that nobody watches.
            if missed {
                known = Known::default();
                let _ = sender.send(Watched::Reset);
            }
            match known.steps(&self.store, &events).await {
                Ok(steps) => steps.into_iter().for_each(|step| drop(sender.send(Watched::Step(step)))),
                Err(error) => {
                    tracing::debug!(%error, "jobs cannot be read for those who watch");
                    let _ = sender.send(Watched::Reset);
                }
            }
        }
        *self.feed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether nobody watches; then the next watcher starts another task.
    fn is_over(&self, sender: &Sender<Watched>) -> bool {
        // Under the lock nobody can subscribe between the look and the end.
        let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        let over = sender.receiver_count() == 0;
        if over {
            *feed = None;
        }
        over
    }
}

/// What is there already, and whether some of it was missed.
fn gather(first: Delivery, tap: &mut Receiver<Delivery>) -> (Vec<JobEvent>, bool) {
    let (mut events, mut missed, mut next) = (Vec::new(), false, Some(first));
    while let Some(delivery) = next {
        match delivery {
            Delivery::Event(event) => events.push(event),
            Delivery::Reset => missed = true,
            Delivery::Text => {}
        }
        next = match tap.try_recv() {
            Ok(delivery) if events.len() < TOGETHER => Some(delivery),
            Ok(Delivery::Event(event)) => {
                events.push(event);
                None
            }
            Ok(_) | Err(TryRecvError::Lagged(_)) => {
                missed = true;
                None
            }
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        };
    }
    (events, missed)
}

/// A cursor, taken apart.
struct Place<'a> {
    epoch: &'a str,
    ms: u64,
    seq: u64,
    index: u32,
}

impl<'a> Place<'a> {
    fn parse(cursor: &'a str) -> Option<Self> {
        let (place, index) = cursor.rsplit_once('.')?;
        let mut parts = place.rsplitn(3, '-');
        let (seq, ms, epoch) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
        Some(Self { epoch, ms, seq, index: index.parse().ok()? })
    }

    fn entry(&self) -> String {
        format!("{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_one_transition_of_one_entry() {
        let place = Place::parse("e-1-1700000000000-3.7").expect("a cursor");
        assert_eq!((place.epoch, place.entry().as_str(), place.index), ("e-1", "1700000000000-3", 7));
        for bad in ["", "x", "e-1-2", "e-1-x.0", "e-1-2.", "1-2.3"] {
            assert!(Place::parse(bad).is_none(), "{bad}");
        }
    }
}
