//! Reading the stream of lifecycle events.

use std::time::Duration;

use fred::interfaces::StreamsInterface;
use fred::prelude::Value;

use crate::clock;
use crate::domain::{JobId, JobState, Timestamp};

use super::link::BLOCKING_LIMIT;
use super::reply::{Reply, corrupt, int, text};
use super::route::Reader;
use super::{Store, StoreError};

/// Length of an id in a packed entry, of a job or of an attempt.
const ID: usize = 22;

/// One transition as the stream has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transitioned {
    /// The stream entry, `<ms>-<seq>`; one entry holds all transitions of one script call.
    pub entry: String,
    /// The job.
    pub job: JobId,
    /// The state reached; `Running` also for a progress report.
    pub state: JobState,
    /// The attempt.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// Its number among the transitions of its entry, from 0.
    pub index: u32,
    /// A report of progress: the state did not change.
    pub is_progress: bool,
}

/// What came since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tailed {
    /// Transitions, oldest first.
    pub transitions: Vec<Transitioned>,
    /// Jobs whose streams got text; a hint, which may be lost.
    pub streamed: Vec<JobId>,
}

/// Follows the stream from now on, on a connection of its own; and beside it the jobs whose streams got text.
pub struct EventTail {
    store: Store,
    reader: Reader,
    /// Of transitions, and of jobs that got text.
    keys: [String; 2],
    /// How far it is in each.
    last: Option<[String; 2]>,
}

impl EventTail {
    /// The next batch; empty when nothing happened for `limit` (5 s at most).
    ///
    /// # Errors
    /// When the connection broke; the next call goes on where this one stood.
    pub async fn next(&mut self, limit: Duration) -> Result<Tailed, StoreError> {
        let blocking = match self.reader.ready(limit).await {
            Ok(blocking) => blocking,
            Err(error) => {
                self.store.inner.lineage.broke();
                return Err(error);
            }
        };
        let Some(from) = self.last.clone() else { return Err(corrupt("a tail without a place")) };
        let limit = limit.clamp(Duration::from_millis(1), BLOCKING_LIMIT);
        let block = u64::try_from(limit.as_millis()).unwrap_or(1);
        let asked = clock::now();
        let read: Result<Value, _> =
            blocking.client.xread(Some(200), Some(block), self.keys.to_vec(), from.to_vec()).await;
        let value = match read {
            Ok(value) => value,
            Err(error) => {
                let Some(error) = blocking.judge(error, limit, asked.elapsed()) else { return Ok(Tailed::default()) };
                self.store.inner.lineage.broke();
                self.reader.heed(&error).await;
                return Err(error);
            }
        };
        let mut streams = Reply::array(value)?;
        let mut found = Tailed::default();
        while !streams.is_empty() {
            let mut stream = streams.nested()?;
            let of_transitions = stream.text()? == self.keys[0];
            for (id, packed) in entries(stream.value()?)? {
                if of_transitions {
                    unpack(&id, &packed, &mut found.transitions);
                    self.store.inner.lineage.saw(&id, self.store.link_breaks());
                } else {
                    found.streamed.extend(packed.split(' ').filter_map(|job| job.parse::<JobId>().ok()));
                }
                if let Some(last) = &mut self.last {
                    last[usize::from(!of_transitions)] = id;
                }
            }
        }
        Ok(found)
    }

    /// Whether it has a place to go on from.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.last.is_some()
    }

    /// Goes on after what there is now.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn take_place(&mut self) -> Result<(), StoreError> {
        // `$` would skip what comes between two reads.
        self.last = Some([self.store.newest(&self.keys[0]).await?, self.store.newest(&self.keys[1]).await?]);
        Ok(())
    }
}

impl Store {
    /// Opens a tail.
    ///
    /// # Errors
    /// When the connection cannot be configured.
    pub fn event_tail(&self) -> Result<EventTail, StoreError> {
        let (reader, keys) = (self.inner.link.reader()?, [self.inner.keys.events(), self.inner.keys.streamed()]);
        Ok(EventTail { store: self.clone(), reader, keys, last: None })
    }

    /// The newest entry of the stream, `0-0` when it is empty.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn newest_event(&self) -> Result<String, StoreError> {
        self.newest(&self.inner.keys.events()).await
    }

    /// Transitions of all jobs from entry `from` on, oldest first, and whether these are all: the stream reaches back
    /// that far, and there are 2,000 entries at most.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn events_from(&self, from: &str) -> Result<(Vec<Transitioned>, bool), StoreError> {
        const MOST: usize = 2_000;
        let oldest = self.entries("-", 1).await?.pop();
        // A stream that is shorter than what is kept was never trimmed: nothing was before its oldest entry.
        let reaches = oldest.is_none_or(|(id, _)| order(&id) <= order(from)) || self.is_untrimmed().await?;
        let batch = self.entries(from, MOST + 1).await?;
        let (all, mut found) = (batch.len() <= MOST, Vec::new());
        batch.iter().for_each(|(id, packed)| unpack(id, packed, &mut found));
        Ok((found, reaches && all))
    }

    /// The newest entry of a stream.
    async fn newest(&self, key: &str) -> Result<String, StoreError> {
        let newest = vec![key.into(), "+".into(), "-".into(), "COUNT".into(), "1".into()];
        Ok(entries(self.inner.link.command("XREVRANGE", newest).await?)?
            .pop()
            .map_or_else(|| "0-0".to_owned(), |(id, _)| id))
    }

    /// Transitions of `job` after entry `after`, oldest first, and whether the stream still reaches
    /// back that far. Looks at 20,000 entries at most.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn events_after(&self, job: JobId, after: &str) -> Result<(Vec<Transitioned>, bool), StoreError> {
        let reaches = self.entries("-", 1).await?.pop().is_none_or(|(id, _)| order(&id) <= order(after));
        let (mut found, mut from) = (Vec::new(), after.to_owned());
        for _ in 0..40 {
            let batch = self.entries(&format!("({from}"), 500).await?;
            let full = batch.len() == 500;
            for (id, packed) in batch {
                unpack(&id, &packed, &mut found);
                from = id;
            }
            found.retain(|event| event.job == job);
            if !full {
                return Ok((found, reaches));
            }
        }
        Ok((found, false))
    }

    async fn is_untrimmed(&self) -> Result<bool, StoreError> {
        let length = int(&self.inner.link.command("XLEN", vec![self.inner.keys.events().into()]).await?)?;
        Ok(u64::try_from(length).is_ok_and(|length| length < self.inner.options.events_kept))
    }

    async fn entries(&self, from: &str, n: usize) -> Result<Vec<(String, String)>, StoreError> {
        let args = vec![self.inner.keys.events().into(), from.into(), "+".into(), "COUNT".into(), n.to_string().into()];
        entries(self.inner.link.command("XRANGE", args).await?)
    }
}

fn order(id: &str) -> (u64, u64) {
    let (ms, seq) = id.split_once('-').unwrap_or((id, "0"));
    (ms.parse().unwrap_or_default(), seq.parse().unwrap_or_default())
}

/// Stream entries as (id, packed transitions).
pub(super) fn entries(value: Value) -> Result<Vec<(String, String)>, StoreError> {
    let mut list = Reply::array(value)?;
    let mut found = Vec::with_capacity(list.len());
    while !list.is_empty() {
        let mut entry = list.nested()?;
        let id = entry.text()?;
        let mut fields = entry.nested()?;
        fields.text()?;
        found.push((id, text(fields.value()?)?));
    }
    Ok(found)
}

/// Letters of a newer version are passed over.
fn unpack(entry: &str, packed: &str, into: &mut Vec<Transitioned>) {
    let at = Timestamp::from_unix_ms(i64::try_from(order(entry).0).unwrap_or_default());
    for (index, item) in (0..).zip(packed.split(' ')) {
        if let Ok((job, state, is_progress, attempt)) = transition(item) {
            into.push(Transitioned { entry: entry.to_owned(), job, state, attempt, at, index, is_progress });
        }
    }
}

fn transition(item: &str) -> Result<(JobId, JobState, bool, u32), StoreError> {
    let bad = || corrupt("an event");
    let id = item.get(..ID).ok_or_else(bad)?.parse().map_err(|_| bad())?;
    // The id of the attempt that ended or wrote is for whoever checks the log.
    let what = match item.get(ID..).ok_or_else(bad)?.strip_prefix(':') {
        Some(named) => named.get(ID..).ok_or_else(bad)?,
        None => &item[ID..],
    };
    let state = match what.get(..1) {
        Some("S") => JobState::Scheduled,
        Some("P") => JobState::Pending,
        Some("R" | "p") => JobState::Running,
        Some("H") => JobState::Held,
        Some("s") => JobState::Succeeded,
        Some("d") => JobState::Dead,
        Some("c") => JobState::Cancelled,
        Some("e") => JobState::Expired,
        _ => return Err(bad()),
    };
    let attempt = what.get(1..).and_then(|n| n.parse().ok()).ok_or_else(bad)?;
    Ok((id, state, what.starts_with('p'), attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_entry_holds_many_transitions() {
        let (a, b) = (JobId::new(1, 0), JobId::new(2, 0));
        let mut found = Vec::new();
        unpack("1500-3", &format!("{a}R1 {b}:{a}s2 {b}?1 {b}:junk junk {a}p1"), &mut found);
        let places: Vec<(u32, bool)> = found.iter().map(|event| (event.index, event.is_progress)).collect();
        assert_eq!(places, [(0, false), (1, false), (5, true)]);
        assert_eq!((found[0].state, found[1].state), (JobState::Running, JobState::Succeeded));
        assert_eq!(found[1].at.unix_ms(), 1500);
    }
}
