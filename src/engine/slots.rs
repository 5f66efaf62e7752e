//! The slots of a worker process, shared by the claim loops of its shards.
//!
//! With one shard this is a counter. With several, who wants slots while others do too may hold a fair
//! share, and what is free is given in the order of asking, so that a shard with a long line does not
//! keep the others from theirs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Shared by the loops; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    state: Mutex<State>,
    shards: Vec<Notify>,
}

#[derive(Debug)]
struct State {
    /// Slots held, by shard: running jobs and claims under way.
    held: Vec<usize>,
    /// Running jobs.
    running: usize,
    /// Since which ticket a shard has wanted more than it got.
    waiting: Vec<Option<u64>>,
    next_ticket: u64,
    /// Suspects that run, and a claim under way that may bring one.
    suspects: usize,
}

/// What one claim may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grant {
    /// Jobs.
    pub(super) slots: usize,
    /// Whether a suspect may be among them: a process runs one at a time.
    pub(super) suspect: bool,
}

impl Slots {
    pub(super) fn new(total: usize, shards: usize) -> Self {
        let (held, waiting) = (vec![0; shards], vec![None; shards]);
        let state = Mutex::new(State { held, running: 0, waiting, next_ticket: 0, suspects: 0 });
        Self(Arc::new(Inner { total, state, shards: (0..shards).map(|_| Notify::new()).collect() }))
    }

    /// Jobs that run.
    pub(super) fn busy(&self) -> usize {
        self.state().running
    }

    /// Whether several shards share them.
    pub(super) fn shared(&self) -> bool {
        self.0.shards.len() > 1
    }

    /// How many slots a claim of this shard would get now.
    pub(super) fn free(&self, shard: usize) -> usize {
        self.0.available(&self.state(), shard)
    }

    /// Takes what this shard may have, `limit` at most.
    pub(super) fn take(&self, shard: usize, limit: usize) -> Grant {
        let mut state = self.state();
        let slots = self.0.available(&state, shard).min(limit);
        if slots == 0 {
            return Grant::default();
        }
        state.waiting[shard] = None;
        state.held[shard] += slots;
        let suspect = state.suspects == 0;
        state.suspects += usize::from(suspect);
        Grant { slots, suspect }
    }

    /// Gives back what a claim left of its grant, which it began this many jobs of.
    pub(super) fn settle(&self, shard: usize, grant: Grant, began: usize, suspects: usize) {
        let mut state = self.state();
        state.running += began;
        state.suspects = (state.suspects + suspects).saturating_sub(usize::from(grant.suspect));
        self.0.give(&mut state, shard, grant.slots.saturating_sub(began));
    }

    /// A job ended.
    pub(super) fn give(&self, shard: usize, suspect: bool) {
        let mut state = self.state();
        state.running = state.running.saturating_sub(1);
        state.suspects = state.suspects.saturating_sub(usize::from(suspect));
        self.0.give(&mut state, shard, 1);
    }

    /// This shard wants slots: it waits in line for them.
    pub(super) fn line_up(&self, shard: usize) {
        let mut state = self.state();
        if state.waiting[shard].is_none() {
            state.waiting[shard] = Some(state.next_ticket);
            state.next_ticket += 1;
            self.0.tell(&state);
        }
    }

    /// This shard wants no slot now.
    pub(super) fn leave(&self, shard: usize) {
        let mut state = self.state();
        if state.waiting[shard].take().is_some() {
            self.0.tell(&state);
        }
    }

    /// Comes back when slots may have become free for a shard that waits.
    pub(super) async fn freed(&self, shard: usize) {
        self.0.shards[shard].notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn available(&self, state: &State, shard: usize) -> usize {
        let free = self.total.saturating_sub(state.held.iter().sum());
        let others =
            state.waiting.iter().enumerate().filter(|(other, since)| *other != shard && since.is_some()).count();
        if others == 0 {
            return free;
        }
        let share = self.total.div_ceil(others + 1);
        let room = |of: usize| share.saturating_sub(state.held[of]);
        let mine = state.waiting[shard].unwrap_or(u64::MAX);
        let before = state.waiting.iter().enumerate();
        let before = before.filter(|(other, since)| *other != shard && since.is_some_and(|ticket| ticket < mine));
        let promised: usize = before.map(|(other, _)| room(other)).sum();
        free.saturating_sub(promised).min(room(shard))
    }

    fn give(&self, state: &mut State, shard: usize, n: usize) {
        state.held[shard] = state.held[shard].saturating_sub(n);
        if n > 0 {
            self.tell(state);
        }
    }

    fn tell(&self, state: &State) {
        if self.shards.len() == 1 {
            return; // its own report wakes the only one there is
        }
        for (shard, since) in state.waiting.iter().enumerate() {
            if since.is_some() && self.available(state, shard) > 0 {
                self.shards[shard].notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a loop with work in line: takes what it may and runs it, else waits.
    fn run(slots: &Slots, shard: usize) -> usize {
        let grant = slots.take(shard, 9);
        slots.settle(shard, grant, grant.slots, 0);
        if grant.slots == 0 {
            slots.line_up(shard);
        }
        grant.slots
    }

    #[test]
    fn one_shard_has_them_all() {
        let slots = Slots::new(8, 1);
        let grant = slots.take(0, 9);
        assert_eq!(grant, Grant { slots: 8, suspect: true });
        slots.settle(0, grant, 3, 1);
        assert_eq!((slots.busy(), slots.free(0)), (3, 5));
        assert!(!slots.take(0, 9).suspect, "one suspect runs");
        assert_eq!(slots.take(0, 9), Grant::default());
        slots.give(0, true);
        assert_eq!(slots.take(0, 9), Grant { slots: 1, suspect: true });
    }

    #[test]
    fn who_waits_gets_its_share_of_what_a_long_line_frees() {
        let slots = Slots::new(4, 2);
        assert_eq!((run(&slots, 0), run(&slots, 1)), (4, 0));
        slots.give(0, false);
        assert_eq!((run(&slots, 0), run(&slots, 1)), (0, 1), "the first holds three, over its share of two");
        assert_eq!(run(&slots, 1), 0);
        slots.give(0, false);
        assert_eq!((run(&slots, 0), run(&slots, 1)), (0, 1));
        assert_eq!(run(&slots, 1), 0);
        slots.give(0, false);
        assert_eq!((run(&slots, 1), run(&slots, 0)), (0, 1), "two and two is fair");
    }

    #[test]
    fn with_fewer_slots_than_shards_they_go_round() {
        let slots = Slots::new(1, 3);
        assert_eq!([0, 1, 2].map(|shard| run(&slots, shard)), [1, 0, 0]);
        let (mut holder, mut order) = (0, Vec::new());
        for _ in 0..6 {
            slots.give(holder, false);
            assert_eq!(run(&slots, holder), 0, "others came first");
            holder = (0..3).find(|shard| run(&slots, *shard) == 1).unwrap();
            order.push(holder);
        }
        assert_eq!(order, [1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn who_leaves_holds_nothing_up() {
        let slots = Slots::new(1, 2);
        assert_eq!((run(&slots, 0), run(&slots, 1)), (1, 0));
        slots.give(0, false);
        assert_eq!(run(&slots, 0), 0);
        slots.leave(1);
        assert_eq!(run(&slots, 0), 1);
    }

    #[tokio::test]
    async fn who_waits_is_told() {
        let slots = Slots::new(1, 2);
        assert_eq!((run(&slots, 0), run(&slots, 1)), (1, 0));
        slots.give(0, false);
        slots.freed(1).await;
        assert_eq!(run(&slots, 1), 1);
    }
}
