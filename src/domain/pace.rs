//! How fast a queue takes jobs in and hands them out, told from its counters at two moments.

use std::time::Duration;

use super::Timestamp;

/// The counters of a queue at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// Jobs ever enqueued.
    pub enqueued: u64,
    /// Jobs ever claimed.
    pub dequeued: u64,
}

/// What is remembered of a queue's pace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pace {
    /// The latest notes, oldest first.
    pub notes: Vec<Note>,
    /// Mean time that an attempt holds its slot, once some were seen: jobs under a lease over jobs claimed (Little's law).
    pub run: Option<Duration>,
    /// Slots of a worker of the queue, when some were seen.
    pub slots: Option<u32>,
}

/// Jobs per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Taken in.
    pub enqueue: f64,
    /// Handed out.
    pub dequeue: f64,
}

/// Rates are told over this long at most, so that they follow a change within minutes.
const WINDOW: Duration = Duration::from_secs(120);
/// Over less than this they would jump.
const LEAST: Duration = Duration::from_secs(4);

impl Pace {
    /// The rates up to `now`, from the oldest note that is not too old; `None` before there is one, and after the
    /// counters went backwards (Redis was restored).
    #[must_use]
    pub fn rates(&self, now: Note) -> Option<Rates> {
        let age = |note: &Note| now.at.since(note.at);
        let since = self.notes.iter().find(|note| age(note) <= WINDOW)?;
        if age(since) < LEAST {
            return None;
        }
        let seconds = age(since).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "jobs of two minutes are far below 2^53")]
        let rate = |before: u64, after: u64| Some(after.checked_sub(before)? as f64 / seconds);
        Some(Rates { enqueue: rate(since.enqueued, now.enqueued)?, dequeue: rate(since.dequeued, now.dequeued)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(seconds: i64, enqueued: u64, dequeued: u64) -> Note {
        Note { at: Timestamp::from_unix_ms(seconds * 1000), enqueued, dequeued }
    }

    #[test]
    fn rates_are_told_over_the_last_minutes() {
        let pace = Pace { notes: vec![note(0, 0, 0), note(100, 50, 10), note(190, 60, 20)], ..Pace::default() };
        assert_eq!(pace.rates(note(200, 150, 60)), Some(Rates { enqueue: 1.0, dequeue: 0.5 }));
    }

    #[test]
    fn nothing_is_told_of_too_short_a_time_or_counters_that_ran_backwards() {
        let pace = Pace { notes: vec![note(100, 50, 10)], ..Pace::default() };
        assert_eq!(pace.rates(note(102, 60, 20)), None);
        assert_eq!(pace.rates(note(110, 3, 2)), None);
        assert_eq!(pace.rates(note(400, 60, 20)), None, "the note is too old");
        assert_eq!(Pace::default().rates(note(110, 3, 2)), None);
    }
}
