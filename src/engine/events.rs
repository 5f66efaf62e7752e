//! Lifecycle events, tailed once per process and handed to whoever waits for a job.

use crate::domain::{JobId, JobState, Timestamp};
use crate::store::StoreError;

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
}

/// What a subscriber gets next.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A transition.
    Event(JobEvent),
    /// Events were missed (trimmed, state lost, or the subscriber was slow): read the job anew.
    Reset,
}

/// Events of one job.
#[derive(Debug)]
pub struct Subscription {
    _private: (),
}

impl Subscription {
    /// The next delivery; `None` when the hub stops.
    pub async fn next(&mut self) -> Option<Delivery> {
        todo!()
    }
}

/// Fans the event stream out to subscribers; cheap to clone.
#[derive(Clone, Debug)]
pub struct EventHub {
    _private: (),
}

impl EventHub {
    /// Events of `job` from now on. Subscribe first, then read the job: nothing falls between.
    #[must_use]
    pub fn subscribe(&self, _job: JobId) -> Subscription {
        todo!()
    }

    /// Events of `job` after `cursor`, oldest first, as far as the stream still has them;
    /// `Reset` first when it does not reach back that far or Redis lost state since.
    ///
    /// # Errors
    /// When Redis cannot be read.
    pub async fn since(&self, _job: JobId, _cursor: &str) -> Result<Vec<Delivery>, StoreError> {
        todo!()
    }
}
