//! Verb `deltas`: the text of a streaming answer, in the capped stream of its job, and reading it.
//!
//! A stream holds one answer: the entry that begins another (a later attempt, or the same one starting over) takes the
//! place of all before it. Its places are `<made>-<seq>`, where `made` is the time in milliseconds at which the stream
//! was made and `seq` counts its entries from 1, without a gap and over all answers. So a reader that has a place
//! needs nothing else to go on, and whoever writes may repeat a call whose reply was lost.

use std::fmt;
use std::str::FromStr;

use fred::prelude::Value;

use crate::domain::{JobId, bounds};

use super::events::entries;
use super::heartbeat::LeaseRef;
use super::reply::{Reply, corrupt};
use super::{Store, StoreError};

/// A stream is gone this long after its last entry, in seconds.
const LIFE: u32 = 3600;
/// Wake-ups kept, each of one call: a hub reads them as they come, and one that is behind has lost nothing but time.
const WAKE_UPS: u32 = 1000;

/// Where an entry stands in the stream of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeltaPlace {
    /// When the stream was made, in milliseconds since the epoch. Another value means another stream: the one before
    /// ran out or was lost.
    pub made: u64,
    /// The number of the entry, from 1.
    pub seq: u64,
}

impl DeltaPlace {
    /// The place behind this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { made: self.made, seq: self.seq.saturating_add(1) }
    }
}

impl fmt::Display for DeltaPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.made, self.seq)
    }
}

/// A text that is no place in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a stream of text")]
pub struct DeltaPlaceError;

impl FromStr for DeltaPlace {
    type Err = DeltaPlaceError;

    fn from_str(text: &str) -> Result<Self, DeltaPlaceError> {
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten();
        let (made, seq) = text.split_once('-').ok_or(DeltaPlaceError)?;
        Ok(Self { made: digits(made).ok_or(DeltaPlaceError)?, seq: digits(seq).ok_or(DeltaPlaceError)? })
    }
}

/// One entry to write.
#[derive(Clone, Copy, Debug)]
pub struct NewDelta<'a> {
    /// The lease of the attempt that writes.
    pub lease: &'a LeaseRef,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Where it goes: behind the entry written before. `None` begins an answer.
    pub place: Option<DeltaPlace>,
    /// Text was left out here, and nothing more of this answer follows.
    pub truncated: bool,
    /// At most [`bounds::DELTA`] bytes.
    pub text: &'a str,
}

/// One entry as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Delta {
    /// Where it stands.
    pub place: DeltaPlace,
    /// The attempt that wrote it.
    pub attempt: u32,
    /// It begins an answer: what came before does not count.
    pub begins: bool,
    /// Text was left out behind it.
    pub truncated: bool,
    /// The text, possibly empty.
    pub text: String,
}

impl fmt::Debug for Delta {
    /// The text is a completion.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delta")
            .field("place", &self.place)
            .field("attempt", &self.attempt)
            .field("begins", &self.begins)
            .field("truncated", &self.truncated)
            .field("bytes", &self.text.len())
            .finish()
    }
}

impl Store {
    /// Appends at most 100 entries, each of another job, and wakes whoever follows these jobs. Answers where each
    /// stands; `None` when its attempt no longer holds the job.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe, except that what begins an answer then begins it anew. `Corrupt`
    /// also when there are too many entries or one is too long.
    pub async fn deltas(&self, new: &[NewDelta<'_>]) -> Result<Vec<Option<DeltaPlace>>, StoreError> {
        if new.len() > bounds::SCRIPT_ITEMS || new.iter().any(|delta| delta.text.len() > bounds::DELTA) {
            return Err(corrupt("more text than one call may bring"));
        }
        let kept = if self.inner.options.events_kept == 0 { 0 } else { WAKE_UPS };
        let mut args: Vec<Value> = vec!["-".into(), LIFE.to_string().into(), kept.to_string().into()];
        for delta in new {
            args.push(delta.lease.queue.as_str().into());
            args.push(delta.lease.job.to_string().into());
            args.push(delta.lease.attempt_id.to_string().into());
            args.push(delta.place.map(|place| place.to_string()).unwrap_or_default().into());
            args.push(pack(delta).into());
        }
        let places = Reply::array(self.run(&self.inner.scripts.deltas, args).await?)?.texts()?;
        if places.len() != new.len() {
            return Err(corrupt("an answer of another length"));
        }
        let place = |text: &String| text.parse().map(Some).map_err(|_| corrupt("the place of a delta"));
        places.iter().map(|text| if text.is_empty() { Ok(None) } else { place(text) }).collect()
    }

    /// Entries of a job's stream behind `after`, or from its beginning, oldest first and `limit` at most.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn deltas_after(
        &self,
        job: JobId,
        after: Option<DeltaPlace>,
        limit: usize,
    ) -> Result<Vec<Delta>, StoreError> {
        let from = after.map_or_else(|| "-".to_owned(), |place| format!("({place}"));
        let key = self.inner.keys.stream(&job.to_string());
        let args = vec![key.into(), from.into(), "+".into(), "COUNT".into(), limit.to_string().into()];
        let found = entries(self.inner.link.command("XRANGE", args).await?)?;
        found.iter().map(|(place, packed)| unpack(place, packed).ok_or_else(|| corrupt("a delta"))).collect()
    }

    /// The newest entry's place in a job's stream; `None` while there is no stream.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn newest_delta(&self, job: JobId) -> Result<Option<DeltaPlace>, StoreError> {
        let key = self.inner.keys.stream(&job.to_string());
        let args = vec![key.into(), "+".into(), "-".into(), "COUNT".into(), "1".into()];
        let newest = entries(self.inner.link.command("XREVRANGE", args).await?)?.pop();
        newest.map(|(place, _)| place.parse().map_err(|_| corrupt("the place of a delta"))).transpose()
    }
}

/// Attempt, flags, line feed, text. Flags: `b` begins an answer, `t` truncated; a reader passes over others.
fn pack(delta: &NewDelta<'_>) -> String {
    let begins = if delta.place.is_none() { "b" } else { "" };
    let truncated = if delta.truncated { "t" } else { "" };
    format!("{} {begins}{truncated}\n{}", delta.attempt, delta.text)
}

fn unpack(place: &str, packed: &str) -> Option<Delta> {
    let (head, text) = packed.split_once('\n')?;
    let (attempt, flags) = head.split_once(' ')?;
    Some(Delta {
        place: place.parse().ok()?,
        attempt: attempt.parse().ok()?,
        begins: flags.contains('b'),
        truncated: flags.contains('t'),
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_two_numbers() {
        let place = DeltaPlace { made: 1_700_000_000_000, seq: 3 };
        assert_eq!(place.to_string().parse(), Ok(place));
        assert_eq!(place.next().to_string(), "1700000000000-4");
        for bad in ["", "1", "1-", "-1", "1-2-3", "+1-2", "a-1"] {
            assert_eq!(bad.parse::<DeltaPlace>(), Err(DeltaPlaceError), "{bad}");
        }
    }

    #[test]
    fn the_text_of_an_entry_is_any_text_and_is_not_shown() {
        let delta = unpack("5-1", "2 bt?\nline one\nline two").expect("a delta");
        assert_eq!((delta.attempt, delta.begins, delta.truncated), (2, true, true));
        assert_eq!(delta.text, "line one\nline two");
        assert!(!format!("{delta:?}").contains("line"));
        assert_eq!(unpack("5-1", "junk"), None);
    }
}
