//! Takes steps in the store, translates them into commands of the model, and compares the replies.

use std::collections::BTreeMap;
use std::time::Duration;

use windlass::domain::{EffectClass, JobId, JobSpec, JobState, Priority, RawJson};
use windlass::store::{
    Answer as Finish, Cancelled, Claimed, Claims, EffectBegun, Ending, Enqueued, Finished, LeaseRef, Redriven, Scope,
    Store, Switch, Unheld, Unhold, WorkspaceLimits,
};

use super::command::{Answer, Block, Cancel, Claim, Command, End, Item, Redrive, Reply, Verdict, When};
use super::model::{Model, step};
use super::step::{Ask, Step, WORKERS, WORKSPACES};
use crate::support::audit::assert_no_leak;
use crate::support::jobs::{
    TestWorker, death, from_now, give_back, hold, kind, overdue_record, queue, retry, shaped, success, until_past,
    workspace,
};
use crate::support::redis::TestRedis;

const LIFE: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);
pub(super) const KINDS: [&str; 3] = ["echo", "sleep", "chat"];
/// What each worker offers.
const OFFERS: [&[usize]; WORKERS] = [&[0, 1, 2], &[0], &[1, 2]];
/// Jobs that may wait in the queue of these tests.
pub(super) const DEPTH_LIMIT: usize = 12;

pub(super) struct World<'a> {
    pub(super) redis: &'a TestRedis,
    pub(super) store: &'a Store,
    pub(super) model: Model,
    /// The worker in each place, and its number.
    workers: Vec<(TestWorker, usize)>,
    born: usize,
    /// Every attempt ever handed out, newest last.
    attempts: Vec<Handed>,
    claims: usize,
    /// Ids by the model's numbers.
    pub(super) made: Vec<JobId>,
    /// As the events tell.
    pub(super) told: BTreeMap<JobId, JobState>,
    pub(super) last_event: String,
}

#[derive(Clone)]
struct Handed {
    claimed: Claimed,
    job: usize,
    attempt: usize,
    place: usize,
}

impl<'a> World<'a> {
    pub(super) async fn new(redis: &'a TestRedis, store: &'a Store) -> Self {
        let mut world = Self {
            redis,
            store,
            model: Model { depth_limit: Some(DEPTH_LIMIT), ..Model::default() },
            workers: Vec::new(),
            born: 0,
            attempts: Vec::new(),
            claims: 0,
            made: Vec::new(),
            told: BTreeMap::new(),
            last_event: "-".to_owned(),
        };
        for place in 0..WORKERS {
            let worker = world.fresh_worker(place).await;
            world.workers.push(worker);
        }
        world
    }

    async fn fresh_worker(&mut self, place: usize) -> (TestWorker, usize) {
        let types = OFFERS[place].iter().map(|k| kind(KINDS[*k])).collect();
        let worker = TestWorker { types, ..TestWorker::unregistered() };
        worker.heartbeat(self.store, LIFE).await;
        let number = self.born;
        self.born += 1;
        self.expect(Command::Heartbeat { worker: number, leases: Vec::new() }, Reply::Held(Vec::new()));
        (worker, number)
    }

    /// The model has to answer a command as the store did.
    #[track_caller]
    fn expect(&mut self, command: Command, reply: Reply) {
        let expected = step(&mut self.model, &command).unwrap_or_else(|wrong| panic!("{command:?}: {wrong}"));
        assert_eq!(reply, expected, "{command:?}");
    }

    pub(super) async fn take(&mut self, step: &Step) {
        match step {
            Step::Enqueue(items) => self.enqueue(items).await,
            Step::Exchange { reports, release, ask } => {
                let claim = (!release || reports.is_empty()).then_some(ask);
                self.exchange(reports, claim).await;
            }
            Step::Progress { attempt } => self.progress(*attempt).await,
            Step::Heartbeat { worker } => self.heartbeat(*worker).await,
            Step::Crash { ask } => self.crash(ask).await,
            Step::Lapse { worker } => self.lapse(*worker),
            Step::Cancel { job } => self.cancel(*job).await,
            Step::Redrive { job } => self.redrive(*job).await,
            Step::Intent { attempt } => self.intent(*attempt).await,
            Step::Unhold { job, nothing_happened } => self.unhold(*job, *nothing_happened).await,
            Step::ForgetKey { job, reuse } => self.forget_key(*job, *reuse).await,
            Step::Overdue { job } => self.overdue(*job).await,
            Step::Pause(block) => {
                self.store.pause(&queue(), &switch(*block), "op", "").await.unwrap();
                self.expect(Command::Pause(*block), Reply::Nothing);
            }
            Step::Resume(block) => {
                self.store.resume(&queue(), &[switch(*block)]).await.unwrap();
                self.expect(Command::Resume(*block), Reply::Nothing);
            }
            Step::Limit { ws, weight, cap } => self.limit(*ws, *weight, *cap).await,
            Step::Tend => {
                self.store.tend(&queue()).await.unwrap();
                self.expect(Command::Tend, Reply::Nothing);
            }
        }
        self.compare().await;
    }

    fn number(&self, id: JobId) -> usize {
        self.made.iter().position(|made| *made == id).unwrap_or_else(|| panic!("{id} is unknown"))
    }

    /// All in one call.
    async fn enqueue(&mut self, wanted: &[(Item, Priority)]) {
        let (soon, far) = (from_now(self.store, 1).await, from_now(self.store, 3_600_000).await);
        let specs: Vec<(JobId, JobSpec)> = wanted
            .iter()
            .map(|(item, band)| {
                let spec = shaped(&format!("ws{}", item.ws), &format!("r{}", item.request), |s| {
                    s.job_type = kind(KINDS[item.kind]);
                    s.priority = *band;
                    s.run_at = [None, Some(soon), Some(far)][item.run as usize];
                    s.expires_at = item.ends_soon.then_some(soon);
                    s.fingerprint = format!("body-{}", item.other_body);
                });
                (JobId::new(soon.unix_ms() as u64, 0), spec)
            })
            .collect();
        let outcomes = self.store.enqueue(&queue(), &specs).await.unwrap();
        let (mut items, mut answers) = (Vec::new(), Vec::new());
        for (outcome, (item, _)) in outcomes.into_iter().zip(wanted) {
            let mut item = *item;
            answers.push(match outcome {
                Enqueued::New(job) => {
                    let later = job.state == JobState::Scheduled;
                    // The moment may have come before the script did.
                    if item.run == When::Soon && !later {
                        item.run = When::Now;
                    }
                    self.made.push(job.id);
                    Answer::New(self.made.len() - 1, later)
                }
                Enqueued::Replay(id) => Answer::Replay(self.number(id)),
                Enqueued::OtherBody(id) => Answer::OtherBody(self.number(id)),
                Enqueued::Full => Answer::Full,
                Enqueued::Draining => Answer::Draining,
                Enqueued::Broken => panic!("a broken key"),
            });
            items.push(item);
        }
        self.expect(Command::Enqueue(items), Reply::Enqueued(answers));
        until_past(self.store, soon).await;
    }

    /// The reports of these attempts, the newest being 0, and a claim.
    async fn exchange(&mut self, ends: &[(usize, End)], ask: Option<&Ask>) {
        let (mut reports, mut finished): (Vec<(usize, usize, End)>, Vec<Finished>) = (Vec::new(), Vec::new());
        for (nth, end) in ends {
            let Some(handed) = self.nth_attempt(*nth) else { continue };
            // A worker names an attempt once.
            if !reports.iter().any(|(job, attempt, _)| (*job, *attempt) == (handed.job, handed.attempt)) {
                reports.push((handed.job, handed.attempt, *end));
                finished.push(Finished { claimed: handed.claimed, ending: ending(*end) });
            }
        }
        let (answers, claims) = match ask {
            Some(ask) => self.ask(&finished, ask).await,
            None if finished.is_empty() => return,
            None => (self.store.release(&queue(), &finished).await.unwrap(), None),
        };
        let verdicts = answers.iter().map(verdict).collect();
        let claim = ask.zip(claims).map(|(ask, claims)| self.claimed(ask, claims));
        self.expect(Command::Exchange { reports, claim }, Reply::Reported(verdicts));
        until_past(self.store, from_now(self.store, 1).await).await;
    }

    async fn ask(&self, finished: &[Finished], ask: &Ask) -> (Vec<Finish>, Option<Claims>) {
        let lease = if ask.brief { MOMENT } else { LIFE };
        let (may_suspect, may_reap) = (ask.may_suspect, ask.may_reap);
        let asking = TestWorker { lease, may_suspect, may_reap, ..self.workers[ask.worker].0.clone() };
        let request = asking.request(ask.want);
        let (answers, claims) = match finished {
            [] => (Vec::new(), self.store.claim(&request).await.unwrap()),
            _ => self.store.cycle(finished, &request).await.unwrap(),
        };
        if ask.brief {
            until_past(self.store, claims.now.plus(lease)).await;
        }
        (answers, Some(claims))
    }

    /// What a claim brought, in the model's terms.
    fn claimed(&mut self, ask: &Ask, claims: Claims) -> Claim {
        let (attempt, place) = (self.claims, ask.worker);
        self.claims += 1;
        let taken: Vec<usize> = claims.jobs.iter().map(|claimed| self.number(claimed.job.id)).collect();
        let handed = |(claimed, job): (Claimed, &usize)| Handed { claimed, job: *job, attempt, place };
        self.attempts.extend(claims.jobs.into_iter().zip(&taken).map(handed));
        Claim {
            worker: self.workers[place].1,
            attempt,
            want: ask.want,
            kinds: OFFERS[place].to_vec(),
            may_suspect: ask.may_suspect,
            may_reap: ask.may_reap,
            brief: ask.brief,
            taken,
        }
    }

    fn nth_attempt(&self, n: usize) -> Option<Handed> {
        let at = self.attempts.len().checked_sub(1 + n)?;
        Some(self.attempts[at].clone())
    }

    async fn progress(&mut self, nth: usize) {
        if let Some(Handed { claimed, job, attempt, .. }) = self.nth_attempt(nth) {
            let stored = self.store.progress(&claimed, &RawJson::from_compact("{}")).await.unwrap();
            self.expect(Command::Progress { job, attempt }, Reply::Stored(stored));
        }
    }

    async fn intent(&mut self, nth: usize) {
        if let Some(Handed { claimed, job, attempt, .. }) = self.nth_attempt(nth) {
            let begun = self.store.effect_begin(&claimed, "send", EffectClass::Once, false, "").await.unwrap();
            self.expect(Command::Intent { job, attempt }, Reply::Stored(begun != EffectBegun::Stale));
        }
    }

    async fn unhold(&mut self, n: usize, nothing_happened: bool) {
        let Some(job) = self.nth_job(n) else { return };
        let change = if nothing_happened { Unhold::NotHappened { by: "op".to_owned() } } else { Unhold::Release };
        let found = self.store.unhold(&queue(), self.made[job], None, change).await.unwrap();
        self.expect(Command::Unhold { job, nothing_happened }, Reply::Unheld(found == Unheld::Now));
    }

    async fn heartbeat(&mut self, place: usize) {
        let (me, worker) = self.workers[place].clone();
        let mine: Vec<&Handed> = self.attempts.iter().rev().filter(|h| h.place == place).take(50).collect();
        let name = |h: &&Handed| LeaseRef { queue: queue(), job: h.claimed.job.id, attempt_id: h.claimed.attempt_id };
        let names: Vec<LeaseRef> = mine.iter().map(name).collect();
        let leases = mine.iter().map(|h| (h.job, h.attempt)).collect();
        let held = self.store.heartbeat(me.id, LIFE, &me.about(), &names).await.unwrap();
        self.expect(Command::Heartbeat { worker, leases }, Reply::Held(held));
    }

    async fn crash(&mut self, ask: &Ask) {
        let ask = Ask { brief: true, may_suspect: true, may_reap: true, ..*ask };
        self.exchange(&[], Some(&ask)).await;
        self.lapse(ask.worker);
        self.workers[ask.worker] = self.fresh_worker(ask.worker).await;
    }

    fn lapse(&mut self, place: usize) {
        let (worker, number) = (self.workers[place].0.id, self.workers[place].1);
        self.redis.forget_worker(worker);
        self.expect(Command::WorkerGone(number), Reply::Nothing);
    }

    async fn cancel(&mut self, n: usize) {
        let Some(job) = self.nth_job(n) else { return };
        let found = match self.store.cancel(&queue(), self.made[job]).await.unwrap() {
            Cancelled::Now => Cancel::Now,
            Cancelled::Dead => Cancel::Dead,
            Cancelled::NotLive | Cancelled::NotHeld => Cancel::NotLive,
        };
        self.expect(Command::Cancel(job), Reply::Cancelled(found));
    }

    async fn redrive(&mut self, n: usize) {
        let Some(job) = self.nth_job(n) else { return };
        let bucket = self.store.stored(&Scope::All, self.made[job]).await.unwrap().unwrap().bucket;
        let found = match self.store.redrive(&queue(), self.made[job], bucket).await.unwrap() {
            Redriven::Now => Redrive::Now,
            Redriven::Superseded(owner) => Redrive::Superseded(self.number(owner)),
            Redriven::NotRedrivable => Redrive::NotRedrivable,
        };
        self.expect(Command::Redrive(job), Reply::Redriven(found));
    }

    async fn forget_key(&mut self, n: usize, reuse: bool) {
        let Some(job) = self.nth_job(n) else { return };
        let item = self.model.jobs[job].item;
        let (ws, request) = (item.ws, item.request);
        if !self.model.jobs[job].state.is_terminal() || self.model.keys.get(&(ws, request)) != Some(&job) {
            return;
        }
        self.redis.ask(&["DEL", &format!("ai:idempotency:ws{ws}:r{request}")]);
        self.expect(Command::KeyEnds { ws, request }, Reply::Nothing);
        if reuse {
            self.enqueue(&[(Item { run: When::Now, ends_soon: false, ..item }, Priority::Normal)]).await;
            self.redrive(job).await;
        }
    }

    /// Sets a waiting job's last moment in line into the past, and lets the janitor look.
    async fn overdue(&mut self, n: usize) {
        let Some(job) = self.nth_job(n) else { return };
        if !matches!(self.model.jobs[job].state, JobState::Scheduled | JobState::Pending) {
            return;
        }
        let id = self.made[job].to_string();
        let record = self.redis.ask(&["HGET", "ai:jobs", &id]);
        self.redis.ask(&["HSET", "ai:jobs", &id, &overdue_record(&record)]);
        let mut swept = self.store.sweep(None).await.unwrap();
        while let Some(next) = swept.next {
            swept = self.store.sweep(Some(&next)).await.unwrap();
        }
        // What the janitor asks for: nothing, so that only what is due is done.
        let janitor = TestWorker { may_reap: false, types: Vec::new(), ..TestWorker::unregistered() };
        janitor.claims(self.store, 0).await;
        self.expect(Command::InLineOver(job), Reply::Nothing);
    }

    async fn limit(&mut self, ws: usize, weight: u32, cap: Option<usize>) {
        let limits = WorkspaceLimits { weight, max_running: cap.map(|cap| cap as u32) };
        self.store.set_workspace_limits(&workspace(&format!("ws{ws}")), limits).await.unwrap();
        self.expect(Command::Limit { ws, cap }, Reply::Nothing);
    }

    fn nth_job(&self, n: usize) -> Option<usize> {
        (!self.made.is_empty()).then(|| n % self.made.len())
    }

    /// Lifts every block and ends every job; nothing may be left.
    pub(super) async fn drain(&mut self) {
        for block in self.model.blocks.clone() {
            self.take(&Step::Resume(block)).await;
        }
        for ws in 0..WORKSPACES {
            self.take(&Step::Limit { ws, weight: 1, cap: None }).await;
        }
        self.take(&Step::Heartbeat { worker: 0 }).await;
        for job in 0..self.made.len() {
            let now = &self.model.jobs[job];
            let lease = now.lease.is_some_and(|lease| !lease.over);
            if lease || matches!(now.state, JobState::Held | JobState::Scheduled) {
                self.take(&Step::Cancel { job }).await;
            }
        }
        let ask = Ask { worker: 0, want: 50, brief: false, may_suspect: true, may_reap: true };
        loop {
            let before = self.attempts.len();
            self.exchange(&[], Some(&ask)).await;
            let fresh: Vec<(usize, End)> = (0..self.attempts.len() - before).map(|n| (n, End::Succeed)).collect();
            if fresh.is_empty() {
                break;
            }
            self.exchange(&fresh, None).await;
        }
        // The claims above may have met a third crash over a doubt.
        for job in 0..self.made.len() {
            if self.model.jobs[job].state == JobState::Held {
                self.take(&Step::Cancel { job }).await;
            }
        }
        self.compare().await;
        for job in 0..self.made.len() {
            let now = &self.model.jobs[job];
            assert!(now.state.is_terminal(), "{now:?}");
            // Only dead letters keep a record, and outlive their keys.
            if now.state == JobState::Dead {
                self.forget_key(job, false).await;
            }
        }
        self.compare().await;
        self.bury_the_dead();
        assert_no_leak(self.redis);
    }

    /// Takes the dead letters away, which are meant to stay.
    fn bury_the_dead(&self) {
        for (id, _) in self.made.iter().zip(&self.model.jobs).filter(|(_, job)| job.state == JobState::Dead) {
            let id = id.to_string();
            for key in ["ai:jobs", "ai:attempts", "ai:progress", "ai:effects"] {
                self.redis.ask(&["HDEL", key, &id]);
            }
            self.redis.ask(&["ZREM", "ai:queue:dead", &id]);
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

fn verdict(answer: &Finish) -> Verdict {
    match answer {
        Finish::Done => Verdict::Done,
        Finish::DoneBefore => Verdict::DoneBefore,
        Finish::Stale => Verdict::Stale,
        Finish::Unconfirmed => panic!("durability is not strict here"),
    }
}

fn ending(end: End) -> Ending {
    let delay = |when| match when {
        When::Now => Duration::ZERO,
        When::Soon => MOMENT,
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
