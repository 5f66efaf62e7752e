//! Following one job: its changes of state and its text, in one order that every surface tells.
//!
//! A follower waits for the hub and reads the job's stream from where it stands, at its own pace: a slow client is
//! behind, holds some 256 KiB, and is in nobody's way. What it missed of the states is replaced by the job as it is.
//! The text stands before the end of the job, always.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use crate::api::ErrorCode;
use crate::domain::{Job, JobId};
use crate::engine::{Delivery, JobEvent, Subscription};
use crate::store::{Delta, DeltaPlace};

use super::auth::{Caller, Tenure};
use super::error::ApiError;
use super::state::HttpState;

/// Entries read at once, of 16 KiB at most.
const AT_ONCE: usize = 16;

/// How far a client has come: `<event>` before any text, then `<event>.<place>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The place in the event stream; empty while no event was told.
    pub(super) event: String,
    /// The place in the job's own stream.
    pub(super) text: Option<DeltaPlace>,
}

impl Cursor {
    /// What `Display` wrote; `None` for a text that it never writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (event, place) = text.split_once('.').map_or((text, None), |(event, place)| (event, Some(place)));
        let text = place.map(str::parse).transpose().ok()?;
        (text.is_some() || !event.is_empty()).then(|| Self { event: event.to_owned(), text })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.event)?;
        self.text.map_or(Ok(()), |place| write!(f, ".{place}"))
    }
}

/// Which text a follower tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// All of it; but of a job that ended before, only to a client that has some of it already.
    Live,
    /// All of it.
    Kept,
    /// None.
    Not,
}

/// What a client is told.
pub(super) enum Told {
    /// The job as it is, at the beginning.
    Job(Box<Job>),
    /// The job as it is, because transitions were missed.
    Missed(Box<Job>),
    /// A transition; with the job, when it ended.
    State(JobEvent, Option<Box<Job>>),
    /// All text so far is void: this attempt begins an answer.
    StartsOver(u32),
    /// A piece of text.
    Text(Delta),
}

/// What is still to be told.
enum Held {
    Told(Told),
    /// Whatever text there is by then.
    Text,
}

/// One client's view of one job.
pub(super) struct Follower {
    state: HttpState,
    tenure: Tenure,
    id: JobId,
    subscription: Subscription,
    ready: VecDeque<Told>,
    held: VecDeque<Held>,
    text: Text,
    /// Whether the client has text.
    has_text: bool,
    /// How far the job's stream was read.
    at: Option<DeltaPlace>,
    cursor: Cursor,
    /// Places in the event stream told from the backlog, which the subscription may bring again.
    told: HashSet<String>,
    /// Whether nothing comes once all is told.
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// Begins to follow; `None` when the job ended and the client has seen its end.
    ///
    /// # Errors
    /// When there is no such job for the caller, when too many are followed, and when Redis cannot be read.
    pub(super) async fn begin(
        state: &HttpState,
        caller: &Caller,
        id: JobId,
        seen: Option<Cursor>,
        text: Text,
    ) -> Result<Option<Self>, ApiError> {
        let busy = |_| ApiError::new(ErrorCode::Overloaded, "too many streams").retry_after(Duration::from_secs(5));
        let permit = state.waiting().clone().try_acquire_owned().map_err(busy)?;
        let hub = &state.services().hub;
        // Subscribed first, read after: no transition falls between.
        let subscription = hub.subscribe(id);
        let job = read(state, caller, id).await?;
        let mut this = Self {
            state: state.clone(),
            tenure: Tenure::of(caller.clone()),
            id,
            subscription,
            ready: VecDeque::new(),
            held: VecDeque::new(),
            text,
            has_text: seen.as_ref().is_some_and(|seen| seen.text.is_some()),
            at: seen.as_ref().and_then(|seen| seen.text),
            cursor: seen.clone().unwrap_or_default(),
            told: HashSet::new(),
            ended: false,
            _permit: permit,
        };
        match seen.filter(|seen| !seen.event.is_empty()) {
            None => {
                let ended = job.state.is_terminal();
                this.hold_job(Told::Job(Box::new(job)), ended);
            }
            Some(seen) => {
                let since = hub.since(id, &seen.event).await?;
                if since.is_empty() && job.state.is_terminal() {
                    return Ok(None);
                }
                this.held.push_back(Held::Text);
                for delivery in since {
                    if let Delivery::Event(event) = &delivery {
                        this.told.insert(event.cursor.clone());
                    }
                    this.hold(delivery, Some(&job));
                }
            }
        }
        Ok(Some(this))
    }

    /// How far the client has come with all that `next` returned.
    pub(super) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// What to tell next; `None` at the end, and when the client has to come back: the server stops, the key was
    /// revoked, or Redis cannot be read.
    pub(super) async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                self.note(&told);
                return Some(told);
            }
            match self.held.pop_front() {
                Some(Held::Text) => self.read_text().await?,
                Some(Held::Told(told)) => {
                    let told = self.complete(told).await;
                    self.ready.push_back(told);
                }
                None if self.ended => return None,
                None => {
                    let delivery = self.delivery().await?;
                    let again = matches!(&delivery, Delivery::Event(event) if self.told.remove(&event.cursor));
                    if matches!(delivery, Delivery::Reset) {
                        let job = read(&self.state, self.tenure.caller(), self.id).await.ok()?;
                        self.hold(delivery, Some(&job));
                    } else if !again {
                        self.hold(delivery, None);
                    }
                }
            }
        }
    }

    /// Puts a delivery into the order: text after a state, unless the state is the last.
    fn hold(&mut self, delivery: Delivery, job: Option<&Job>) {
        match delivery {
            Delivery::Text => self.held.push_back(Held::Text),
            Delivery::Reset => {
                if let Some(job) = job {
                    self.hold_job(Told::Missed(Box::new(job.clone())), job.state.is_terminal());
                }
            }
            Delivery::Event(event) => {
                self.ended = event.state.is_terminal();
                self.hold_in_order(Told::State(event, None));
            }
        }
    }

    fn hold_job(&mut self, told: Told, ended: bool) {
        self.ended = ended;
        // A client that comes to a job that ended finds everything in the job.
        let late = ended && matches!(told, Told::Job(_));
        if late && self.text == Text::Live && !self.has_text {
            self.held.push_back(Held::Told(told));
        } else {
            self.hold_in_order(told);
        }
    }

    fn hold_in_order(&mut self, told: Told) {
        let told = Held::Told(told);
        self.held.extend(if self.ended { [Held::Text, told] } else { [told, Held::Text] });
    }

    /// Gets ready what the stream has, a few entries at a time.
    async fn read_text(&mut self) -> Option<()> {
        if self.text == Text::Not {
            return Some(());
        }
        let store = self.state.services().store.of(self.id);
        let found = store.deltas_after(self.id, self.at, AT_ONCE).await.ok()?;
        if found.len() == AT_ONCE {
            self.held.push_front(Held::Text);
        }
        for mut delta in found {
            let follows = self.at.is_some_and(|at| at.next() == delta.place);
            if delta.begins && std::mem::take(&mut self.has_text) {
                self.ready.push_back(Told::StartsOver(delta.attempt));
            }
            // Redis lost the entries before it.
            delta.truncated |= !delta.begins && !follows;
            self.at = Some(delta.place);
            if !delta.text.is_empty() || delta.truncated {
                self.has_text = true;
                self.ready.push_back(Told::Text(delta));
            }
        }
        Some(())
    }

    /// The end of a job is told with the job.
    async fn complete(&self, told: Told) -> Told {
        match told {
            Told::State(event, None) if event.state.is_terminal() => {
                let job = read(&self.state, self.tenure.caller(), self.id).await.ok();
                Told::State(event, job.map(Box::new))
            }
            other => other,
        }
    }

    fn note(&mut self, told: &Told) {
        match told {
            Told::State(event, _) => self.cursor.event.clone_from(&event.cursor),
            Told::Text(delta) => self.cursor.text = Some(delta.place),
            Told::Job(_) | Told::Missed(_) | Told::StartsOver(_) => {}
        }
    }

    async fn delivery(&mut self) -> Option<Delivery> {
        let Self { state, tenure, subscription, .. } = self;
        // The future is kept over the checks: dropping it could lose what it was about to return.
        let next = subscription.next();
        tokio::pin!(next);
        while !tenure.is_over(state.auth()).await {
            tokio::select! {
                delivery = &mut next => return delivery,
                () = state.options().shutdown.cancelled() => return None,
                () = tokio::time::sleep_until(tenure.until()) => {}
            }
        }
        None
    }
}

async fn read(state: &HttpState, caller: &Caller, id: JobId) -> Result<Job, ApiError> {
    state.services().store.job(&caller.scope(), id).await?.ok_or_else(ApiError::no_job)
}

/// What a result says of the tokens that it took.
pub(super) fn usage(job: &Job) -> Option<serde_json::Value> {
    #[derive(serde::Deserialize)]
    struct Part {
        usage: Option<serde_json::Value>,
    }
    let part: Part = serde_json::from_str(job.result.as_ref()?.as_str()).ok()?;
    part.usage.filter(serde_json::Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_holds_the_places_of_both_streams() {
        for text in ["e1-1700000000000-3", "e1-1700000000000-3.1700000000001-5", ".1700000000001-5"] {
            assert_eq!(Cursor::parse(text).expect("a cursor").to_string(), text);
        }
        assert_eq!(Cursor::parse("e1-1-3").expect("an id of old").text, None);
        for bad in ["", ".", "e1-1-3.", "e1-1-3.x", "e1-1-3.1-2.3"] {
            assert_eq!(Cursor::parse(bad), None, "{bad}");
        }
    }
}
