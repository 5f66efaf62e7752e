//! Takes steps in the store and in the model, and compares.

use std::collections::BTreeMap;
use std::time::Duration;

use windlass::domain::{JobId, JobState, Priority, RawJson, TRANSITIONS};
use windlass::store::{
    Answer, Cancelled, Claimed, Ending, Enqueued, Finished, LeaseRef, Redriven, Scope, Store, Switch, WorkspaceLimits,
};

use super::model::{Lease, Model, Verdict};
use super::step::{Block, End, Step, WORKERS, When};
use crate::support::audit::{assert_no_leak, audit};
use crate::support::jobs::{
    TestWorker, death, enqueue, from_now, give_back, hold, kind, queue, retry, shaped, success, until_past, workspace,
};
use crate::support::redis::TestRedis;

const LIFE: Duration = Duration::from_secs(3600);
const KINDS: [&str; 3] = ["echo", "sleep", "chat"];
/// What each worker offers.
const OFFERS: [&[usize]; WORKERS] = [&[0, 1, 2], &[0], &[1, 2]];

pub(super) struct World<'a> {
    redis: &'a TestRedis,
    store: &'a Store,
    model: Model,
    workers: Vec<TestWorker>,
    /// Every attempt ever handed out, newest last, with the worker that got it.
    attempts: Vec<(Claimed, usize)>,
    /// Ids in the order they were made.
    made: Vec<JobId>,
    /// As the events tell.
    told: BTreeMap<JobId, JobState>,
    last_event: String,
}

impl<'a> World<'a> {
    pub(super) async fn new(redis: &'a TestRedis, store: &'a Store) -> Self {
        let mut world = Self {
            redis,
            store,
            model: Model::default(),
            workers: Vec::new(),
            attempts: Vec::new(),
            made: Vec::new(),
            told: BTreeMap::new(),
            last_event: "-".to_owned(),
        };
        for i in 0..WORKERS {
            let worker = world.fresh_worker(i).await;
            world.workers.push(worker);
        }
        world
    }

    async fn fresh_worker(&mut self, i: usize) -> TestWorker {
        let types = OFFERS[i].iter().map(|k| kind(KINDS[*k])).collect();
        let worker = TestWorker { types, lease: LIFE, ..TestWorker::unregistered() };
        worker.heartbeat(self.store, LIFE).await;
        self.model.live.insert(worker.id);
        worker
    }

    pub(super) async fn take(&mut self, step: &Step) {
        match *step {
            Step::Enqueue { .. } => self.enqueue(step).await,
            Step::Claim { worker, want, brief, may_suspect, may_reap } => {
                let request = TestWorker { may_suspect, may_reap, ..self.workers[worker].clone() };
                self.claim(worker, request, want, brief).await;
            }
            Step::Finish { attempt, end, by_release, may_reap } => {
                if let Some((claimed, worker)) = self.nth_attempt(attempt) {
                    self.finish(claimed, worker, end, by_release, may_reap).await;
                }
            }
            Step::Progress { attempt } => {
                if let Some((claimed, _)) = self.nth_attempt(attempt) {
                    let stored = self.store.progress(&claimed, &RawJson::from_compact("{}")).await.unwrap();
                    let lease = self.model.jobs[&claimed.job.id].lease;
                    assert_eq!(stored, lease.is_some_and(|lease| lease.attempt == claimed.attempt_id));
                }
            }
            Step::Heartbeat { worker } => self.heartbeat(worker).await,
            Step::Crash { worker, want } => self.crash(worker, want).await,
            Step::Cancel { job } => self.cancel(job).await,
            Step::Redrive { job } => self.redrive(job).await,
            Step::ForgetKey { job, reuse } => self.forget_key(job, reuse).await,
            Step::Pause(block) => {
                self.store.pause(&queue(), &switch(block), "op", "").await.unwrap();
                self.model.blocks.insert(block);
            }
            Step::Resume(block) => {
                self.store.resume(&queue(), &[switch(block)]).await.unwrap();
                self.model.blocks.remove(&block);
            }
            Step::Limit { ws, weight, cap } => self.limit(ws, weight, cap).await,
            Step::Tend => drop(self.store.tend(&queue()).await.unwrap()),
        }
        self.compare().await;
    }

    fn nth_attempt(&self, n: usize) -> Option<(Claimed, usize)> {
        let at = self.attempts.len().checked_sub(1 + n)?;
        Some(self.attempts[at].clone())
    }

    async fn enqueue(&mut self, step: &Step) {
        let Step::Enqueue { ws, request, kind: k, band, run, ends_soon, other_body } = *step else { unreachable!() };
        let soon = from_now(self.store, 1).await;
        let far = from_now(self.store, 3_600_000).await;
        let spec = shaped(&format!("ws{ws}"), &format!("r{request}"), |s| {
            s.job_type = kind(KINDS[k]);
            s.priority = band;
            s.run_at = [None, Some(soon), Some(far)][run as usize];
            s.expires_at = ends_soon.then_some(soon);
            s.fingerprint = format!("body-{other_body}");
        });
        let answer = enqueue(self.store, spec).await;
        match self.model.keys.get(&(ws, request)) {
            Some(owner) if self.model.jobs[owner].other_body == other_body => {
                assert!(matches!(answer, Enqueued::Replay(id) if id == *owner), "{answer:?}");
            }
            Some(owner) => assert!(matches!(answer, Enqueued::OtherBody(id) if id == *owner), "{answer:?}"),
            None if self.model.blocks.contains(&Block::Intake) => {
                assert!(matches!(answer, Enqueued::Draining), "{answer:?}");
            }
            None => {
                let Enqueued::New(job) = answer else { panic!("expected a new job: {answer:?}") };
                let waits = job.state == JobState::Scheduled;
                assert!(waits == (run == When::Far) || run == When::Soon);
                self.model.add(job.id, (ws, request, k, other_body), job.state, run, ends_soon);
                self.made.push(job.id);
                until_past(self.store, soon).await;
            }
        }
    }

    async fn claim(&mut self, worker: usize, request: TestWorker, want: usize, brief: bool) {
        let lease = if brief { Duration::from_millis(1) } else { LIFE };
        let asked = TestWorker { lease, ..request };
        let claims = asked.claims(self.store, want).await;
        if brief {
            until_past(self.store, claims.now.plus(lease)).await;
        }
        self.model.tend(asked.may_reap);
        let taken: Vec<JobId> = claims.jobs.iter().map(|claimed| claimed.job.id).collect();
        if let Some(first) = claims.jobs.first() {
            let lease = Lease { attempt: first.attempt_id, worker: asked.id, over: brief };
            self.model.claim(&taken, want, OFFERS[worker], asked.may_suspect, lease);
        } else {
            let nobody = Lease { attempt: windlass::domain::AttemptId::random(), worker: asked.id, over: false };
            self.model.claim(&[], want, OFFERS[worker], asked.may_suspect, nobody);
        }
        self.attempts.extend(claims.jobs.into_iter().map(|claimed| (claimed, worker)));
    }

    async fn finish(&mut self, claimed: Claimed, worker: usize, end: End, by_release: bool, may_reap: bool) {
        let (id, attempt) = (claimed.job.id, claimed.attempt_id);
        let report = [Finished { claimed, ending: ending(end) }];
        let answer = if by_release {
            self.store.release(&queue(), &report).await.unwrap()[0]
        } else {
            let asked = TestWorker { may_reap, ..self.workers[worker].clone() };
            self.store.cycle(&report, &asked.request(0)).await.unwrap().0[0]
        };
        let verdict = self.model.report(id, attempt, end);
        let expected = match verdict {
            Verdict::Done => Answer::Done,
            Verdict::DoneBefore => Answer::DoneBefore,
            Verdict::Stale => Answer::Stale,
        };
        assert_eq!(answer, expected, "{id} {end:?}");
        if !by_release {
            // The job that this very call sets aside is due a moment later at the earliest.
            let waits = verdict == Verdict::Done && self.model.hold_back(id);
            self.model.tend(may_reap);
            if waits {
                self.model.let_go(id);
            }
        }
        until_past(self.store, from_now(self.store, 1).await).await;
    }

    async fn heartbeat(&mut self, worker: usize) {
        let me = self.workers[worker].id;
        let mine: Vec<&Claimed> =
            self.attempts.iter().rev().filter(|(_, w)| *w == worker).map(|(c, _)| c).take(50).collect();
        let leases: Vec<LeaseRef> =
            mine.iter().map(|c| LeaseRef { queue: queue(), job: c.job.id, attempt_id: c.attempt_id }).collect();
        let held = self.store.heartbeat(me, LIFE, &self.workers[worker].about(), &leases).await.unwrap();
        for (lease, held) in leases.iter().zip(held) {
            let job = self.model.jobs.get_mut(&lease.job).unwrap();
            let current = job.lease.as_mut().filter(|current| current.attempt == lease.attempt_id);
            assert_eq!(held, current.is_some(), "{lease:?}");
            if let Some(current) = current {
                current.over = false;
            }
        }
    }

    async fn cancel(&mut self, n: usize) {
        let Some(id) = self.nth_job(n) else { return };
        let was = self.model.jobs[&id].state;
        let changed = self.model.cancel(id);
        let expected = match (changed, was) {
            (true, _) => Cancelled::Now,
            (false, JobState::Dead) => Cancelled::Dead,
            (false, _) => Cancelled::NotLive,
        };
        assert_eq!(self.store.cancel(&queue(), id).await.unwrap(), expected);
    }

    async fn redrive(&mut self, n: usize) {
        if let Some(id) = self.nth_job(n) {
            self.redrive_job(id).await;
        }
    }

    async fn redrive_job(&mut self, id: JobId) {
        let bucket = self.store.stored(&Scope::All, id).await.unwrap().unwrap().bucket;
        let answer = self.store.redrive(&queue(), id, bucket).await.unwrap();
        let may = matches!(self.model.jobs[&id].state, JobState::Dead | JobState::Cancelled | JobState::Expired);
        let expected = match may.then(|| self.model.redrive(id)) {
            None => Redriven::NotRedrivable,
            Some(None) => Redriven::Now,
            Some(Some(owner)) => Redriven::Superseded(owner),
        };
        assert_eq!(answer, expected);
    }

    async fn forget_key(&mut self, n: usize, reuse: bool) {
        let Some(id) = self.nth_job(n) else { return };
        let job = self.model.jobs[&id].clone();
        let (ws, request) = (job.ws, job.request);
        if !job.state.is_terminal() || self.model.keys.get(&(ws, request)) != Some(&id) {
            return;
        }
        self.redis.ask(&["DEL", &format!("ai:idempotency:ws{ws}:r{request}")]);
        self.model.keys.remove(&(ws, request));
        if reuse {
            let (kind, other_body, band) = (job.kind, job.other_body, Priority::Normal);
            self.enqueue(&Step::Enqueue { ws, request, kind, band, run: When::Now, ends_soon: false, other_body })
                .await;
            self.redrive_job(id).await;
        }
    }

    async fn crash(&mut self, worker: usize, want: usize) {
        let me = TestWorker { may_suspect: true, may_reap: true, ..self.workers[worker].clone() };
        let gone = me.id;
        self.claim(worker, me, want, true).await;
        self.redis.forget_worker(gone);
        self.model.live.remove(&gone);
        self.workers[worker] = self.fresh_worker(worker).await;
    }

    async fn limit(&mut self, ws: usize, weight: u32, cap: Option<u32>) {
        let limits = WorkspaceLimits { weight, max_running: cap };
        self.store.set_workspace_limits(&workspace(&format!("ws{ws}")), limits).await.unwrap();
        match cap {
            Some(cap) => self.model.caps.insert(ws, cap),
            None => self.model.caps.remove(&ws),
        };
    }

    fn nth_job(&self, n: usize) -> Option<JobId> {
        (!self.made.is_empty()).then(|| self.made[n % self.made.len()])
    }

    /// Reads everything back and compares it with the model.
    async fn compare(&mut self) {
        audit(self.redis);
        self.follow_events();
        for ids in self.made.chunks(100) {
            for (id, stored) in ids.iter().zip(self.store.jobs(ids).await.unwrap()) {
                let job = stored.unwrap_or_else(|| panic!("{id} is lost")).job;
                let model = &self.model.jobs[id];
                let seen = (job.state, job.attempt, job.crashes);
                assert_eq!(seen, (model.state, model.attempt, model.crashes), "{id} should be {model:?}");
                assert_eq!(self.told[id], job.state, "the events of {id} end elsewhere");
            }
        }
    }

    /// Every change told is a row of the table.
    fn follow_events(&mut self) {
        let text = self.redis.ask(&["XRANGE", "ai:events", &self.last_event, "+"]);
        // Id, e, transitions, a, the attempt id of a claim or nothing.
        let lines: Vec<&str> = text.split('\n').collect();
        for entry in lines.chunks_exact(5) {
            self.last_event = format!("({}", entry[0]);
            for told in entry[2].split_whitespace() {
                let id: JobId = told[..22].parse().unwrap();
                let at = if told[22..].starts_with(':') { 45 } else { 22 };
                let to = match &told[at..=at] {
                    "S" => JobState::Scheduled,
                    "P" => JobState::Pending,
                    "R" => JobState::Running,
                    "H" => JobState::Held,
                    "s" => JobState::Succeeded,
                    "d" => JobState::Dead,
                    "c" => JobState::Cancelled,
                    "e" => JobState::Expired,
                    "p" => continue,
                    other => panic!("an event {other}"),
                };
                let from = self.told.insert(id, to);
                assert!(TRANSITIONS.iter().any(|t| t.from == from && t.to == to), "{id}: {from:?} to {to}");
            }
        }
    }

    /// Lifts every block and ends every job; nothing may be left.
    pub(super) async fn drain(&mut self) {
        let blocks: Vec<Block> = self.model.blocks.drain().collect();
        let switches: Vec<Switch> = blocks.into_iter().map(switch).collect();
        self.store.resume(&queue(), &switches).await.unwrap();
        for ws in 0..super::step::WORKSPACES {
            self.limit(ws, 1, None).await;
        }
        let ids = self.made.clone();
        for id in ids {
            let job = &self.model.jobs[&id];
            let lease = job.lease.is_some_and(|lease| !lease.over);
            if lease || matches!(job.state, JobState::Held | JobState::Scheduled) {
                self.model.cancel(id);
                assert_eq!(self.store.cancel(&queue(), id).await.unwrap(), Cancelled::Now);
            }
        }
        self.compare().await;
        loop {
            let worker = self.workers[0].clone();
            let before = self.attempts.len();
            self.claim(0, worker, 50, false).await;
            let claimed: Vec<_> = self.attempts[before..].to_vec();
            for (claimed, worker) in claimed {
                self.finish(claimed, worker, End::Succeed, true, true).await;
            }
            if self.attempts.len() == before {
                break;
            }
        }
        // Only dead letters keep a record.
        for id in self.made.clone() {
            assert!(self.model.jobs[&id].state.is_terminal(), "{:?}", self.model.jobs[&id]);
            if self.model.jobs[&id].state == JobState::Dead {
                let job = &self.model.jobs[&id];
                let name = format!("ai:idempotency:ws{}:r{}", job.ws, job.request);
                if self.model.keys.get(&(job.ws, job.request)) == Some(&id) {
                    self.redis.ask(&["DEL", &name]);
                    self.model.keys.remove(&(job.ws, job.request));
                }
            }
        }
        self.compare().await;
        self.bury_the_dead();
        assert_no_leak(self.redis);
    }

    /// Takes the dead letters away, which are meant to stay.
    fn bury_the_dead(&self) {
        for (id, job) in &self.model.jobs {
            if job.state == JobState::Dead {
                let id = id.to_string();
                self.redis.ask(&["HDEL", "ai:jobs", &id]);
                self.redis.ask(&["HDEL", "ai:attempts", &id]);
                self.redis.ask(&["HDEL", "ai:progress", &id]);
                self.redis.ask(&["ZREM", "ai:queue:dead", &id]);
            }
        }
        self.redis.ask(&["DEL", "ai:dead:groups"]);
    }
}

fn switch(block: Block) -> Switch {
    match block {
        Block::Queue => Switch::Queue,
        Block::Intake => Switch::Intake,
        Block::Kind(k) => Switch::Type(kind(KINDS[k])),
        Block::Workspace(ws) => Switch::Workspace(workspace(&format!("ws{ws}"))),
    }
}

fn ending(end: End) -> Ending {
    let delay = |when| match when {
        When::Now => Duration::ZERO,
        When::Soon => Duration::from_millis(1),
        When::Far => LIFE,
    };
    match end {
        End::Succeed => success(),
        End::Retry(when) => retry(delay(when)),
        End::GiveBack(when) => give_back(delay(when)),
        End::Release => Ending::Released,
        End::Die => death(),
        End::Hold => hold(),
    }
}
