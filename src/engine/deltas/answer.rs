//! One streaming answer on its way: what waits, what is being written, and where the next entry goes.

use std::sync::Arc;

use crate::domain::bounds;
use crate::store::DeltaPlace;

/// One entry, to be repeated as it is until it is known to be written.
#[derive(Clone)]
pub(super) struct Cut {
    pub(super) place: Option<DeltaPlace>,
    pub(super) text: Arc<str>,
    pub(super) truncated: bool,
    /// The answer it is of.
    number: u32,
}

/// How long an attempt's text may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// There is none, or it is seen to.
    Not,
    /// For the next round.
    Round,
    /// Not at all.
    No,
}

/// The state of an attempt's text.
#[derive(Default)]
pub(super) struct Answer {
    /// Grows when the attempt starts over.
    number: u32,
    text: String,
    cut: Option<Cut>,
    /// A call with the cut is under way.
    under_way: bool,
    /// Where the next entry goes; `None` begins the answer.
    next: Option<DeltaPlace>,
    /// Bytes taken of this answer.
    taken: usize,
    /// Readers may have text of an earlier answer of this attempt, and do not know yet that it is void.
    owes_reset: bool,
    /// Text was left out, so nothing more is taken; and whether readers have to be told yet.
    truncated: bool,
    owes_mark: bool,
    /// On the list of those that wait for a round, or of those that do not.
    listed: Option<Wait>,
    closed: bool,
}

impl Answer {
    /// Takes text, as far as `room` and the bound of an answer allow; the rest is left out.
    pub(super) fn push(&mut self, text: &str, room: usize) {
        if self.closed || self.truncated {
            return;
        }
        let fits = text.floor_char_boundary(room.min(bounds::DELTAS - self.taken));
        self.text.push_str(&text[..fits]);
        self.taken += fits;
        self.truncated = fits < text.len();
        self.owes_mark = self.truncated;
    }

    /// Another answer begins.
    pub(super) fn reset(&mut self) {
        if self.closed {
            return;
        }
        self.owes_reset |= self.next.is_some() || self.cut.is_some();
        self.number += 1;
        self.text.clear();
        (self.next, self.taken) = (None, 0);
        (self.truncated, self.owes_mark) = (false, false);
    }

    /// The next entry; `None` when there is nothing to write or a call is under way.
    pub(super) fn cut(&mut self) -> Option<Cut> {
        self.listed = None;
        if self.under_way || self.is_written() {
            return None;
        }
        let cut = match self.cut.take().filter(|cut| cut.number == self.number) {
            Some(cut) => cut,
            // What was void before it was written.
            None if !self.owes_anything() => return None,
            None => self.cut_off(),
        };
        self.under_way = true;
        self.cut = Some(cut.clone());
        Some(cut)
    }

    fn cut_off(&mut self) -> Cut {
        let end = self.text.floor_char_boundary(bounds::DELTA);
        let rest = self.text.split_off(end);
        let text = std::mem::replace(&mut self.text, rest).into();
        let truncated = self.owes_mark && self.text.is_empty();
        Cut { place: self.next, text, truncated, number: self.number }
    }

    /// The cut was written there, or refused because the attempt is stale.
    pub(super) fn wrote(&mut self, place: Option<DeltaPlace>) {
        self.under_way = false;
        let Some(place) = place else { return self.close() };
        let Some(cut) = self.cut.take() else { return };
        if cut.number == self.number {
            self.next = Some(place.next());
            self.owes_reset = false;
            self.owes_mark &= !cut.truncated;
        }
    }

    /// The call failed: the cut may be written or not.
    pub(super) fn failed(&mut self) {
        self.under_way = false;
    }

    /// Takes nothing more, and forgets what waits.
    pub(super) fn close(&mut self) {
        *self = Self { closed: true, listed: self.listed, ..Self::default() };
    }

    /// Where to put it on a list, unless it is on one or a call of it is under way.
    pub(super) fn wait(&mut self) -> Wait {
        let full = self.text.len() >= bounds::DELTA;
        self.list(if full { Wait::No } else { Wait::Round })
    }

    /// Like `wait`, without waiting for a round.
    pub(super) fn hurry(&mut self) -> Wait {
        self.list(Wait::No)
    }

    fn list(&mut self, wanted: Wait) -> Wait {
        let listed = self.listed == Some(wanted) || self.listed == Some(Wait::No);
        if listed || self.under_way || self.is_written() {
            return Wait::Not;
        }
        self.listed = Some(wanted);
        wanted
    }

    /// Whether nothing waits.
    pub(super) fn is_written(&self) -> bool {
        self.closed || (self.cut.is_none() && !self.owes_anything())
    }

    fn owes_anything(&self) -> bool {
        !self.text.is_empty() || self.owes_reset || self.owes_mark
    }

    /// Bytes of text in memory.
    pub(super) fn held(&self) -> usize {
        self.text.len() + self.cut.as_ref().map_or(0, |cut| cut.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(seq: u64) -> DeltaPlace {
        DeltaPlace { made: 9, seq }
    }

    fn pushed(text: &str) -> Answer {
        let mut answer = Answer::default();
        answer.push(text, usize::MAX);
        answer
    }

    #[test]
    fn a_cut_is_repeated_as_it_was_until_it_is_written() {
        let mut answer = pushed("one");
        assert_eq!(answer.cut().map(|cut| (cut.place, cut.text)), Some((None, "one".into())));
        answer.push(" two", usize::MAX);
        assert!(answer.cut().is_none(), "a call is under way");
        answer.failed();
        assert_eq!(answer.cut().map(|cut| cut.text), Some("one".into()));
        answer.wrote(Some(place(1)));
        assert_eq!(answer.cut().map(|cut| (cut.place, cut.text)), Some((Some(place(2)), " two".into())));
        answer.wrote(Some(place(2)));
        assert!(answer.is_written() && answer.held() == 0);
    }

    #[test]
    fn an_answer_that_starts_over_forgets_what_waits_and_tells_what_was_told() {
        let mut answer = pushed("void");
        answer.reset();
        assert!(answer.is_written(), "nobody saw any of it");
        answer.push("seen", usize::MAX);
        answer.cut().expect("an entry");
        answer.reset();
        answer.wrote(Some(place(1)));
        let begins = answer.cut().expect("the reset");
        assert_eq!((begins.place, &*begins.text), (None, ""));
        answer.wrote(Some(place(2)));
        answer.push("new", usize::MAX);
        assert_eq!(answer.cut().map(|cut| (cut.place, cut.text)), Some((Some(place(3)), "new".into())));
    }

    #[test]
    fn what_is_over_the_bound_is_left_out_and_marked_once() {
        let mut answer = pushed(&"ä".repeat(bounds::DELTAS));
        answer.push("more", usize::MAX);
        let mut bytes = 0;
        let mut marks = Vec::new();
        for seq in 1.. {
            let Some(cut) = answer.cut() else { break };
            assert!(cut.text.len() <= bounds::DELTA);
            bytes += cut.text.len();
            marks.push(cut.truncated);
            answer.wrote(Some(place(seq)));
        }
        assert_eq!(bytes, bounds::DELTAS);
        assert_eq!(marks.iter().rposition(|mark| *mark), Some(marks.len() - 1));
        assert_eq!(marks.iter().filter(|mark| **mark).count(), 1);
        answer.reset();
        answer.push("short", usize::MAX);
        assert_eq!(answer.cut().map(|cut| (cut.place, cut.truncated)), Some((None, false)));
    }

    #[test]
    fn without_room_text_is_left_out_too() {
        let mut answer = pushed("ab");
        answer.push("cdé", 3);
        answer.push("f", usize::MAX);
        assert_eq!(answer.cut().map(|cut| (cut.text, cut.truncated)), Some(("abcd".into(), true)));
    }

    #[test]
    fn a_stale_attempt_stops_and_holds_nothing() {
        let mut answer = pushed("text");
        answer.cut().expect("an entry");
        answer.push("more", usize::MAX);
        answer.wrote(None);
        answer.push("and more", usize::MAX);
        assert!(answer.is_written() && answer.held() == 0 && answer.cut().is_none());
    }

    #[test]
    fn an_attempt_is_listed_once_and_again_when_it_is_in_a_hurry() {
        let mut answer = pushed("text");
        assert_eq!((answer.wait(), answer.wait()), (Wait::Round, Wait::Not));
        assert_eq!((answer.hurry(), answer.hurry(), answer.wait()), (Wait::No, Wait::Not, Wait::Not));
        answer.cut().expect("an entry");
        answer.push("more", usize::MAX);
        assert_eq!(answer.wait(), Wait::Not, "under way");
        answer.wrote(Some(place(1)));
        assert_eq!(answer.wait(), Wait::Round);
    }
}
