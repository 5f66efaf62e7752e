//! Limits by brute force: every question is answered by a look at every call there ever was.

use windlass::domain::llm::{BlockKind, Quota};

const DAY: i64 = 86_400;

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// For this moment, in milliseconds.
    Booked { at: i64 },
    /// Until then, unless it is settled.
    Open { until: i64 },
    /// Settled, or given up as dead: what it used stays.
    Over,
    /// A booking that was given back.
    Gone,
}

/// One call, with what it may use or has used.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) scopes: [usize; 3],
    pub(super) tokens: u64,
    pub(super) nano: u64,
    pub(super) state: State,
    /// The second that it is booked for or began in.
    pub(super) cell: i64,
    /// When it began, in milliseconds.
    pub(super) begun: i64,
}

/// What `reserve` has to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Granted,
    /// Scope, limit, and when, in milliseconds, where the model can tell.
    Later(usize, BlockKind, Option<i64>),
}

pub(super) struct Model {
    pub(super) limits: Vec<Quota>,
    pub(super) calls: Vec<Call>,
    /// The latest second booked of each scope, while there are bookings.
    last: Vec<i64>,
}

impl Model {
    pub(super) fn new(limits: Vec<Quota>) -> Self {
        Self { last: vec![0; limits.len()], limits, calls: Vec::new() }
    }

    /// What ran out by now (milliseconds) is given back.
    pub(super) fn run_out(&mut self, now: i64) {
        for n in 0..self.calls.len() {
            match self.calls[n].state {
                State::Booked { at } if at + 61_000 <= now => self.unbook(n),
                State::Open { until } if until <= now => self.calls[n].state = State::Over,
                _ => {}
            }
        }
    }

    pub(super) fn unbook(&mut self, n: usize) {
        self.calls[n].state = State::Gone;
        for scope in self.calls[n].scopes {
            if !self.calls.iter().any(|c| c.scopes.contains(&scope) && matches!(c.state, State::Booked { .. })) {
                self.last[scope] = 0;
            }
        }
    }

    pub(super) fn book(&mut self, mut call: Call, at: i64) {
        (call.state, call.cell) = (State::Booked { at }, at.div_euclid(1_000));
        for scope in call.scopes {
            self.last[scope] = self.last[scope].max(call.cell);
        }
        self.calls.push(call);
    }

    pub(super) fn begin(&mut self, mut call: Call, now: i64, hold: i64) {
        (call.state, call.cell, call.begun) = (State::Open { until: now + hold }, now.div_euclid(1_000), now);
        self.calls.push(call);
    }

    /// Whether a call fits into the 61 seconds that end with `end`.
    fn fits(&self, call: &Call, scope: usize, end: i64, with_booked: bool) -> Option<BlockKind> {
        let inside = self.calls.iter().filter(|c| c.scopes.contains(&scope) && (end - 60..=end).contains(&c.cell));
        let counted = inside.filter(|c| match c.state {
            State::Booked { .. } => with_booked,
            State::Open { .. } | State::Over => true,
            State::Gone => false,
        });
        let (n, sum) = counted.fold((1, call.tokens), |(n, sum), c| (n + 1, sum + c.tokens));
        let limit = self.limits[scope];
        if limit.requests_per_minute.is_some_and(|most| n > most) {
            return Some(BlockKind::Requests);
        }
        limit.tokens_per_minute.is_some_and(|most| sum > most).then_some(BlockKind::Tokens)
    }

    fn crowded(&self, call: &Call, scope: usize, second: i64, own: bool) -> Option<BlockKind> {
        // What has begun is looked at first: it says which limit is named when two are in the way.
        let begun = self.fits(call, scope, second, false);
        begun.or_else(|| {
            (second..=second + 60).find_map(|end| if own { None } else { self.fits(call, scope, end, true) })
        })
    }

    /// When the rates have room, in milliseconds.
    fn room(&self, call: &Call, second: i64, own: bool) -> i64 {
        let latest = call.scopes.iter().map(|scope| self.last[*scope]).max().unwrap_or_default();
        let from = if own { second } else { second.max(latest) };
        let all_fit = |end: &i64| call.scopes.iter().all(|scope| self.fits(call, *scope, *end, !own).is_none());
        (from..=from + 61).find(all_fit).expect("an empty window has room") * 1_000
    }

    fn spending(&self, scope: usize, day: i64) -> u64 {
        let counted = |c: &&Call| c.scopes.contains(&scope) && c.state != State::Gone && c.cell.div_euclid(DAY) == day;
        self.calls.iter().filter(counted).map(|c| c.nano).sum()
    }

    pub(super) fn open(&self, scope: usize, now: i64) -> u64 {
        let open = |c: &&Call| c.scopes.contains(&scope) && matches!(c.state, State::Open { until } if until > now);
        self.calls.iter().filter(open).count() as u64
    }

    /// The answer to a demand now (milliseconds); `own` for one whose booking has just been given back.
    pub(super) fn answer(&self, call: &Call, now: i64, own: bool) -> Expected {
        let second = now.div_euclid(1_000);
        let day = second.div_euclid(DAY);
        for scope in call.scopes {
            let budget = self.limits[scope].nano_usd_per_day;
            if budget.is_some_and(|most| self.spending(scope, day) + call.nano > most) {
                return Expected::Later(scope, BlockKind::Budget, Some((day + 1) * DAY * 1_000));
            }
        }
        for scope in call.scopes {
            if let Some(kind) = self.crowded(call, scope, second, own) {
                return Expected::Later(scope, kind, Some(self.room(call, second, own)));
            }
        }
        let full = |scope: &usize| self.limits[*scope].concurrency.is_some_and(|most| self.open(*scope, now) >= most);
        match call.scopes.into_iter().find(full) {
            Some(scope) => Expected::Later(scope, BlockKind::Concurrency, None),
            None => Expected::Granted,
        }
    }

    /// No limit is exceeded, by the times at which calls really began: no model, only facts.
    pub(super) fn judge(&self, now: i64) {
        for (scope, limit) in self.limits.iter().enumerate() {
            let of_scope = || self.calls.iter().filter(|c| c.scopes.contains(&scope));
            let began = |c: &&Call| matches!(c.state, State::Open { .. } | State::Over);
            let minute: Vec<&Call> = of_scope().filter(began).filter(|c| c.begun > now - 60_000).collect();
            let tokens: u64 = minute.iter().map(|c| c.tokens).sum();
            assert!(limit.requests_per_minute.is_none_or(|most| minute.len() as u64 <= most), "{scope}: {minute:?}");
            assert!(limit.tokens_per_minute.is_none_or(|most| tokens <= most), "{scope}: {minute:?}");
            assert!(limit.concurrency.is_none_or(|most| self.open(scope, now) <= most), "{scope}");
            let spent = self.spending(scope, now.div_euclid(DAY * 1_000));
            assert!(limit.nano_usd_per_day.is_none_or(|most| spent <= most), "{scope}: {spent}");
        }
    }
}
