//! Random operations, taken in the store and in the model.

use std::time::Duration;

use proptest::prelude::*;
use windlass::domain::llm::{BlockKind, Demand, Quota, Reserved, Usage};
use windlass::store::Store;

use super::model::{Call, Expected, Model, State};
use crate::support::calls::{Bridge, START, candidate, demand, settlement};
use crate::support::jobs::workspace;

/// Reservations at once: a call gives back as many at most.
const MOST: usize = 20;
const HOLD: i64 = 25_000;

/// One operation; numbers name jobs by their order, and wrap around.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Ask {
        provider: usize,
        workspace: usize,
        tokens: u64,
    },
    Wait {
        ms: i64,
    },
    /// An open call ends; it used so many percent of its tokens and money.
    Settle {
        job: usize,
        percent: u64,
    },
    /// A job with a booking asks, so long after its time (or now, if that is over).
    Return {
        job: usize,
        late: i64,
    },
    /// A job with a booking asks now.
    Early {
        job: usize,
    },
    /// A job with an open call asks: with the same call, or with another because its worker died.
    Again {
        job: usize,
        same: bool,
    },
}

impl Step {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let late = prop_oneof![4 => Just(0_i64), 3 => 0..8_000_i64, 1 => 0..70_000_i64];
        prop_oneof![
            8 => (0..2_usize, 0..2_usize, 1..=120_u64)
                .prop_map(|(provider, workspace, tokens)| Self::Ask { provider, workspace, tokens }),
            2 => (0..9_000_i64).prop_map(|ms| Self::Wait { ms }),
            3 => (0..MOST, 0..=100_u64).prop_map(|(job, percent)| Self::Settle { job, percent }),
            4 => (0..MOST, late).prop_map(|(job, late)| Self::Return { job, late }),
            1 => (0..MOST).prop_map(|job| Self::Early { job }),
            1 => (0..MOST, any::<bool>()).prop_map(|(job, same)| Self::Again { job, same }),
        ]
    }
}

/// Names of the scopes, as blocks say them: providers, their models, workspaces.
const SCOPES: [&str; 9] = [
    "provider p0",
    "provider p1",
    "provider p2",
    "model p0/m",
    "model p1/m",
    "model p2/m",
    "workspace w0",
    "workspace w1",
    "workspace w2",
];

fn limits() -> Vec<Quota> {
    let quota = |requests_per_minute, tokens_per_minute, concurrency, nano_usd_per_day| Quota {
        requests_per_minute,
        tokens_per_minute,
        concurrency,
        nano_usd_per_day,
    };
    vec![
        quota(Some(5), Some(300), Some(3), None),
        quota(Some(8), None, None, Some(20_000)),
        quota(Some(5), Some(300), None, None),
        quota(None, Some(350), None, None),
        quota(None, None, Some(6), None),
        quota(None, None, None, None),
        quota(Some(6), Some(400), Some(5), None),
        quota(Some(9), None, None, Some(25_000)),
        quota(Some(6), None, None, None),
    ]
}

/// A job, with the call of the model that it has.
struct Job {
    demand: Demand,
    scopes: [usize; 3],
    call: Option<usize>,
}

pub(super) struct History<'a> {
    bridge: &'a Bridge,
    other: Store,
    model: Model,
    jobs: Vec<Job>,
    /// Milliseconds since the epoch.
    pub(super) now: i64,
    asked: usize,
}

impl<'a> History<'a> {
    pub(super) async fn new(bridge: &'a Bridge) -> Self {
        let other = bridge.redis.store().await;
        Self { bridge, other, model: Model::new(limits()), jobs: Vec::new(), now: START, asked: 0 }
    }

    fn go_to(&mut self, ms: i64) {
        self.now = self.now.max(ms);
        self.bridge.at(self.now - START);
    }

    /// The n-th job whose call stands so.
    fn find(&self, n: usize, wanted: impl Fn(State) -> bool) -> Option<usize> {
        let is = |job: &Job| job.call.is_some_and(|call| wanted(self.model.calls[call].state));
        let found: Vec<usize> = (0..self.jobs.len()).filter(|job| is(&self.jobs[*job])).collect();
        found.get(n % found.len().max(1)).copied()
    }

    pub(super) async fn take(&mut self, step: &Step) {
        let (booked, open) = (|s: State| matches!(s, State::Booked { .. }), |s: State| matches!(s, State::Open { .. }));
        match *step {
            Step::Ask { provider, workspace, tokens } => self.ask_anew(provider, workspace, tokens).await,
            Step::Wait { ms } => self.go_to(self.now + ms),
            Step::Settle { job, percent } => {
                if let Some(job) = self.find(job, open) {
                    self.settle(job, percent).await;
                }
            }
            Step::Return { job, late } => {
                if let Some(job) = self.find(job, booked) {
                    self.go_to(self.booked_for(job) + late);
                    self.ask(job).await;
                }
            }
            Step::Early { job } => {
                if let Some(job) = self.find(job, booked) {
                    self.ask(job).await;
                }
            }
            Step::Again { job, same } => {
                if let Some(job) = self.find(job, open) {
                    self.again(job, same).await;
                }
            }
        }
    }

    fn booked_for(&self, job: usize) -> i64 {
        match self.jobs[job].call.map(|call| self.model.calls[call].state) {
            Some(State::Booked { at }) => at,
            other => panic!("no booking: {other:?}"),
        }
    }

    async fn ask_anew(&mut self, provider: usize, of: usize, tokens: u64) {
        let held = |c: &&Call| matches!(c.state, State::Booked { .. } | State::Open { .. });
        if self.model.calls.iter().filter(held).count() >= MOST {
            return;
        }
        let scopes = [provider, provider + 3, of + 6];
        let limits = scopes.map(|scope| self.model.limits[scope]);
        let demand = demand(|d| {
            d.workspace = workspace(&format!("w{of}"));
            d.hold = Duration::from_millis(HOLD as u64);
            d.workspace_default = limits[2];
            d.candidates = vec![candidate(&format!("p{provider}"), "m")];
            let to = &mut d.candidates[0];
            (to.tokens, to.nano_usd, to.provider, to.model) = (tokens, tokens * 10, limits[0], limits[1]);
        });
        self.jobs.push(Job { demand, scopes, call: None });
        self.ask(self.jobs.len() - 1).await;
    }

    async fn again(&mut self, job: usize, same: bool) {
        if !same {
            self.asked += 1;
            self.jobs[job].demand.call = format!("again-{}", self.asked).into();
            self.ask(job).await;
            return;
        }
        self.model.run_out(self.now);
        if let Some(State::Open { .. }) = self.jobs[job].call.map(|call| self.model.calls[call].state) {
            let answer = self.bridge.reserve(&self.jobs[job].demand).await;
            assert_eq!(answer, Reserved::Granted { candidate: 0, probe: false }, "a repeat");
        }
    }

    /// Asks in turn through either handle; what comes back is what the model says.
    async fn ask(&mut self, n: usize) {
        self.asked += 1;
        let store = if self.asked.is_multiple_of(2) { &self.other } else { &self.bridge.store };
        let answer = store.reserve(&self.jobs[n].demand).await.unwrap();
        self.model.run_out(self.now);
        let own = match self.jobs[n].call.map(|call| (call, self.model.calls[call].state)) {
            Some((_, State::Booked { at })) if self.now < at - 50 => {
                assert!(matches!(answer, Reserved::Later { at: told, .. } if told.unix_ms() == at), "{answer:?}");
                return;
            }
            Some((call, State::Booked { .. })) => {
                self.model.unbook(call);
                true
            }
            Some((call, State::Open { .. })) => {
                self.model.calls[call].state = State::Over;
                false
            }
            _ => false,
        };
        let to = &self.jobs[n].demand.candidates[0];
        let (scopes, tokens, nano) = (self.jobs[n].scopes, to.tokens, to.nano_usd);
        let call = Call { scopes, tokens, nano, state: State::Gone, cell: 0, begun: 0 };
        let expected = self.model.answer(&call, self.now, own);
        self.follow(n, call, own, &expected, &answer);
        self.model.judge(self.now);
    }

    fn follow(&mut self, n: usize, call: Call, own: bool, expected: &Expected, answer: &Reserved) {
        self.jobs[n].call = None;
        match (expected, answer) {
            (Expected::Granted, Reserved::Granted { candidate: 0, probe: false }) => {
                self.model.begin(call, self.now, HOLD);
                self.jobs[n].call = Some(self.model.calls.len() - 1);
            }
            (Expected::Later(scope, kind, at), Reserved::Later { at: told, block }) => {
                assert_eq!((block.whose.as_str(), block.kind), (SCOPES[*scope], *kind));
                let told = told.unix_ms();
                assert!(at.is_none_or(|at| at == told), "{told} instead of {at:?}");
                let rate = matches!(kind, BlockKind::Requests | BlockKind::Tokens);
                if rate || (own && *kind == BlockKind::Concurrency) {
                    self.model.book(call, told);
                    self.jobs[n].call = Some(self.model.calls.len() - 1);
                }
            }
            _ => panic!("{answer:?} instead of {expected:?}"),
        }
    }

    async fn settle(&mut self, job: usize, percent: u64) {
        let Some(n) = self.jobs[job].call else { return };
        let call = &mut self.model.calls[n];
        (call.state, call.tokens, call.nano) = (State::Over, call.tokens * percent / 100, call.nano * percent / 100);
        let mut settlement = settlement(&self.jobs[job].demand, 0);
        settlement.usage = Usage { output: call.tokens, ..Usage::default() };
        settlement.nano_usd = Some(call.nano);
        self.other.settle(&settlement).await.unwrap();
    }

    /// Until `until`, every job that has a booking asks exactly at its time, and begins.
    pub(super) async fn keep_bookings(&mut self, until: i64, percent: u64) {
        loop {
            let booked = |job: &usize| {
                self.jobs[*job]
                    .call
                    .is_some_and(|call| matches!(self.model.calls[call].state, State::Booked { at } if at <= until))
            };
            let next = (0..self.jobs.len()).filter(booked).min_by_key(|job| self.booked_for(*job));
            let Some(job) = next else { break };
            self.go_to(self.booked_for(job));
            self.ask(job).await;
            let call = self.jobs[job].call.expect("a call");
            assert!(matches!(self.model.calls[call].state, State::Open { .. }), "it did not begin at its time");
            self.settle(job, percent).await;
        }
        if until < i64::MAX {
            self.go_to(until);
        }
    }

    /// A new job asks the third provider, which has rates only; if it begins, it ends at once.
    pub(super) async fn arrive(&mut self, tokens: u64, percent: u64) {
        self.ask_anew(2, 2, tokens).await;
        let begun = self.jobs.last().and_then(|job| job.call).map(|call| self.model.calls[call].state);
        if matches!(begun, Some(State::Open { .. })) {
            self.settle(self.jobs.len() - 1, percent).await;
        }
    }

    /// When every hold has run out, nothing is reserved or booked any more.
    pub(super) async fn end(&mut self) {
        self.go_to(self.now + 3_600_000);
        let last = demand(|d| d.candidates = vec![candidate("last", "m")]);
        self.bridge.begin(&last).await;
        self.bridge.settle(&last, |_| {}).await;
        let lua = "local left = {} for _, key in ipairs(redis.call('KEYS', '*:llm:*')) do
            if key:find(':calls:') or key:find(':holds') or key:find(':reserved') then left[#left + 1] = key
            elseif key:find(':rate:') then for _, f in ipairs({ 'br', 'bt' }) do
              if redis.call('HGET', key, f) ~= '0' then left[#left + 1] = key .. f end end
            elseif key:find(':money:') then
              if redis.call('HGET', key, 'reserved') ~= '0' then left[#left + 1] = key end end end
            return table.concat(left, ' ')";
        assert_eq!(self.bridge.redis.ask(&["EVAL", lua, "0"]), "");
    }
}
