//! The text of streaming answers on its way to Redis. Attempts put it down and go on; one task per shard writes what
//! waits, of all attempts in as few calls as possible, because 500 streams of 50 tokens a second would otherwise be
//! 25,000 calls.
//!
//! Streaming is best effort: the result in the job is the truth. What can be neither written nor kept is left out and
//! marked so.

mod answer;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::bounds;
use crate::store::{DeltaPlace, NewDelta, Store, StoreError};

use super::executor::DeltaSink;
use super::lease::Lease;
use answer::{Answer, Cut, Wait};

/// The wait between two rounds of writing: text reaches its readers at most so much later than it could.
const PERIOD: Duration = Duration::from_millis(100);
/// Text that may wait in the process, per shard; past it, text is left out.
const WAITING: usize = 16 * 1024 * 1024;
/// Text in one call.
const CALL: usize = 512 * 1024;
/// The pause after a call that failed.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the end of an attempt waits for its last text. Far below a lease's life.
const LAST: Duration = Duration::from_secs(1);

/// Writes the text of all attempts of one shard; cheap to clone.
#[derive(Clone)]
pub(super) struct DeltaWriter(Arc<Shared>);

type Attempts = Vec<Arc<AttemptDeltas>>;

struct Shared {
    store: Store,
    /// Attempts whose text waits for the next round.
    due: Mutex<Attempts>,
    work: Notify,
    /// Attempts whose text does not wait: written by themselves, so that an attempt that ends does not make a round of
    /// what all others have.
    urgent: Mutex<Attempts>,
    hurry: Notify,
    /// Bytes of text in memory.
    waiting: AtomicUsize,
}

impl DeltaWriter {
    pub(super) fn new(store: Store) -> Self {
        Self(Arc::new(Shared {
            store,
            due: Mutex::default(),
            work: Notify::new(),
            urgent: Mutex::default(),
            hurry: Notify::new(),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// A place for the text of one attempt.
    pub(super) fn open(&self, lease: &Arc<Lease>, attempt: u32) -> AttemptSink {
        AttemptSink(Arc::new(AttemptDeltas {
            shared: Arc::clone(&self.0),
            lease: Arc::clone(lease),
            attempt,
            answer: Mutex::default(),
            written: Notify::new(),
        }))
    }

    /// Writes what comes until `done`.
    pub(super) async fn run(self, done: CancellationToken) {
        // The first text after a silence goes at once.
        let (mut earliest, mut any) = (clock::now(), false);
        while !done.is_cancelled() {
            let outcome = tokio::select! {
                () = done.cancelled() => return,
                () = self.0.hurry.notified() => self.0.write(&self.0.urgent).await,
                () = self.0.work.notified(), if !any => {
                    any = true;
                    Ok(())
                }
                () = tokio::time::sleep_until(earliest), if any => {
                    (earliest, any) = (clock::now() + PERIOD, false);
                    self.0.write(&self.0.due).await
                }
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "text of streaming answers waits");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Shared {
    /// Writes an entry of every attempt in a list; what is left of its text waits for the next round.
    async fn write(&self, list: &Mutex<Attempts>) -> Result<(), StoreError> {
        let attempts = std::mem::take(&mut *lock(list));
        let cuts: Vec<_> = attempts.into_iter().filter_map(|of| of.change(Answer::cut).map(|cut| (of, cut))).collect();
        let mut rest = &cuts[..];
        while !rest.is_empty() {
            let (call, later) = rest.split_at(fitting(rest));
            let mut outcome = self.call(call).await;
            if matches!(outcome, Err(StoreError::Corrupt(_))) {
                // One broken job must not take the text of its neighbours along.
                outcome = self.one_by_one(call).await;
            }
            match outcome {
                Ok(places) => call.iter().zip(places).for_each(|((of, _), place)| AttemptDeltas::wrote(of, place)),
                Err(error) => {
                    for (of, _) in rest {
                        of.change(Answer::failed);
                        AttemptDeltas::queue(of, Answer::wait);
                    }
                    return Err(error);
                }
            }
            rest = later;
        }
        Ok(())
    }

    /// An entry that Redis cannot digest ends the text of its attempt, as if that were stale: no later try mends it.
    async fn one_by_one(&self, call: &[(Arc<AttemptDeltas>, Cut)]) -> Result<Vec<Option<DeltaPlace>>, StoreError> {
        let mut places = Vec::with_capacity(call.len());
        for one in call {
            match self.call(std::slice::from_ref(one)).await {
                Ok(place) => places.extend(place),
                Err(StoreError::Corrupt(what)) => {
                    tracing::error!(job_id = %one.0.lease.of.job, %what, "Redis could not digest text of a streaming answer");
                    places.push(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(places)
    }

    async fn call(&self, call: &[(Arc<AttemptDeltas>, Cut)]) -> Result<Vec<Option<DeltaPlace>>, StoreError> {
        let new: Vec<NewDelta<'_>> = call
            .iter()
            .map(|(of, cut)| NewDelta {
                lease: &of.lease.of,
                attempt: of.attempt,
                place: cut.place,
                truncated: cut.truncated,
                text: &cut.text,
            })
            .collect();
        self.store.deltas(&new).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many go into one call.
fn fitting(cuts: &[(Arc<AttemptDeltas>, Cut)]) -> usize {
    let mut bytes = 0;
    let over = cuts.iter().position(|(_, cut)| {
        bytes += cut.text.len();
        bytes > CALL
    });
    over.unwrap_or(cuts.len()).clamp(1, bounds::SCRIPT_ITEMS)
}

/// The text of one attempt, between its handler and the writer.
struct AttemptDeltas {
    shared: Arc<Shared>,
    lease: Arc<Lease>,
    attempt: u32,
    answer: Mutex<Answer>,
    written: Notify,
}

impl AttemptDeltas {
    /// Changes the answer, and counts what it holds.
    fn change<T>(&self, change: impl FnOnce(&mut Answer) -> T) -> T {
        let mut answer = lock(&self.answer);
        let before = answer.held();
        let result = change(&mut answer);
        self.shared.waiting.fetch_add(answer.held(), Ordering::Relaxed);
        self.shared.waiting.fetch_sub(before, Ordering::Relaxed);
        result
    }

    /// Puts an attempt on a list if it has to be there.
    fn queue(this: &Arc<Self>, which: impl FnOnce(&mut Answer) -> Wait) {
        let (list, wake) = match this.change(which) {
            Wait::Not => return,
            Wait::Round => (&this.shared.due, &this.shared.work),
            Wait::No => (&this.shared.urgent, &this.shared.hurry),
        };
        lock(list).push(Arc::clone(this));
        wake.notify_one();
    }

    fn wrote(this: &Arc<Self>, place: Option<DeltaPlace>) {
        this.change(|answer| answer.wrote(place));
        Self::queue(this, Answer::wait);
        this.written.notify_one();
    }

    /// Takes nothing more, and forgets what waits.
    fn close(&self) {
        self.change(Answer::close);
        self.written.notify_one();
    }
}

impl Drop for AttemptDeltas {
    fn drop(&mut self) {
        self.change(Answer::close);
    }
}

/// Where the handler of one attempt puts its text.
pub(super) struct AttemptSink(Arc<AttemptDeltas>);

impl AttemptSink {
    /// Waits until everything is written, a second at most, and takes nothing more: what is told of the attempt after
    /// this comes after its text.
    pub(super) async fn finish(&self) {
        let written = async {
            while !lock(&self.0.answer).is_written() {
                AttemptDeltas::queue(&self.0, Answer::hurry);
                self.0.written.notified().await;
            }
        };
        // Most attempts stream nothing.
        let nothing = lock(&self.0.answer).is_written();
        if !nothing && tokio::time::timeout(LAST, written).await.is_err() {
            tracing::debug!(job_id = %self.0.lease.of.job, "the last text of a streaming answer was left out");
        }
        self.0.close();
    }

    /// Takes nothing more, and leaves out what is not written.
    pub(super) fn abandon(&self) {
        self.0.close();
    }
}

impl DeltaSink for AttemptSink {
    fn push(&self, text: &str) {
        let room = WAITING.saturating_sub(self.0.shared.waiting.load(Ordering::Relaxed));
        AttemptDeltas::queue(&self.0, |answer| {
            answer.push(text, room);
            answer.wait()
        });
    }

    fn reset(&self) {
        AttemptDeltas::queue(&self.0, |answer| {
            answer.reset();
            answer.wait()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AttemptId, QueueName};
    use crate::store::{LeaseRef, StoreOptions};

    async fn sink() -> (DeltaWriter, AttemptSink, CancellationToken) {
        let nowhere = StoreOptions { pool_size: 1, ..StoreOptions::new("redis://127.0.0.1:1") };
        let writer = DeltaWriter::new(Store::connect(nowhere).await.unwrap());
        let of = LeaseRef {
            queue: QueueName::default_queue(),
            job: crate::domain::JobId::new(1, 0),
            attempt_id: AttemptId::random(),
        };
        let sink = writer.open(&Lease::new(of, clock::now(), Duration::from_secs(10)), 1);
        let done = CancellationToken::new();
        crate::engine::tasks::spawn("deltas", writer.clone().run(done.clone()));
        (writer, sink, done)
    }

    #[tokio::test]
    async fn an_attempt_waits_a_second_at_most_for_text_that_cannot_be_written() {
        let (writer, sink, done) = sink().await;
        let begun = clock::now();
        sink.push("text");
        sink.finish().await;
        let took = clock::now() - begun;
        assert!((LAST..LAST * 3).contains(&took), "{took:?}");
        assert_eq!(writer.0.waiting.load(Ordering::Relaxed), 0, "what waited is forgotten");
        done.cancel();
    }

    #[tokio::test]
    async fn text_over_the_bound_of_the_process_is_left_out() {
        let (writer, sink, done) = sink().await;
        writer.0.waiting.fetch_add(WAITING - 2, Ordering::Relaxed);
        sink.push("text");
        assert_eq!(lock(&sink.0.answer).held(), 2);
        sink.abandon();
        assert_eq!(writer.0.waiting.load(Ordering::Relaxed), WAITING - 2);
        done.cancel();
    }
}
