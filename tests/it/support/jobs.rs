//! Short ways to make jobs and to claim them.

use std::time::Duration;

use windlass::domain::{
    AttemptId, Failure, FailureReason, HeldReason, JobId, JobSpec, JobState, JobType, Priority, QueueName, RawJson,
    RequestId, Timestamp, WorkerId, WorkerState, Workspace,
};
use windlass::store::{Answer, ClaimRequest, Claimed, Claims, Ending, Enqueued, Finished, Scope, Store, WorkerAbout};

use super::redis::TestRedis;

/// An `echo` job of workspace `ws` in queue `default`.
pub(crate) fn spec(request: &str) -> JobSpec {
    spec_of("ws", request)
}

pub(crate) fn spec_of(workspace: &str, request: &str) -> JobSpec {
    JobSpec {
        workspace: Workspace::new(workspace).unwrap(),
        request_id: RequestId::new(request).unwrap(),
        job_type: JobType::new("echo").unwrap(),
        queue: QueueName::default_queue(),
        priority: Priority::Normal,
        run_at: None,
        expires_at: None,
        timeout: Duration::from_secs(60),
        max_attempts: 3,
        callback_url: None,
        requester: None,
        metadata: RawJson::from_compact("{}"),
        input: RawJson::from_compact(format!("{{\"n\":\"{request}\"}}")),
        fingerprint: format!("print-of-{request}"),
        origin: None,
    }
}

/// `spec_of` with changes.
pub(crate) fn shaped(workspace: &str, request: &str, change: impl FnOnce(&mut JobSpec)) -> JobSpec {
    let mut spec = spec_of(workspace, request);
    change(&mut spec);
    spec
}

pub(crate) fn kind(name: &str) -> JobType {
    JobType::new(name).unwrap()
}

pub(crate) fn workspace(name: &str) -> Workspace {
    Workspace::new(name).unwrap()
}

pub(crate) fn queue() -> QueueName {
    QueueName::default_queue()
}

pub(crate) async fn enqueue(store: &Store, spec: JobSpec) -> Enqueued {
    let id = JobId::new(store.now().await.unwrap().unix_ms() as u64, 0);
    let queue = spec.queue.clone();
    store.enqueue(&queue, &[(id, spec)]).await.unwrap().remove(0)
}

/// Enqueues `n` jobs in calls of 100; their requests are `<prefix>-<i>`.
pub(crate) async fn enqueue_many(
    store: &Store,
    workspace: &str,
    prefix: &str,
    n: usize,
    change: impl Fn(&mut JobSpec),
) -> Vec<JobId> {
    let now = store.now().await.unwrap().unix_ms() as u64;
    let items: Vec<(JobId, JobSpec)> =
        (0..n).map(|i| (JobId::new(now, 0), shaped(workspace, &format!("{prefix}-{i}"), &change))).collect();
    for batch in items.chunks(100) {
        for answer in store.enqueue(&queue(), batch).await.unwrap() {
            assert!(matches!(answer, Enqueued::New(_)), "{answer:?}");
        }
    }
    items.into_iter().map(|(id, _)| id).collect()
}

/// Redis time, this much later.
pub(crate) async fn from_now(store: &Store, ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(store.now().await.unwrap().unix_ms() + ms)
}

/// Asks Redis for the time until it is past `moment`.
pub(crate) async fn until_past(store: &Store, moment: Timestamp) {
    while store.now().await.unwrap() <= moment {}
}

pub(crate) async fn state(store: &Store, id: JobId) -> JobState {
    store.job(&Scope::All, id).await.unwrap().expect("the job is kept").state
}

/// Enqueues and returns the id of the new job.
pub(crate) async fn enqueue_new(store: &Store, spec: JobSpec) -> JobId {
    match enqueue(store, spec).await {
        Enqueued::New(job) => job.id,
        other => panic!("expected a new job, got {other:?}"),
    }
}

/// A worker that offers `echo`.
#[derive(Clone, Debug)]
pub(crate) struct TestWorker {
    pub(crate) id: WorkerId,
    pub(crate) types: Vec<JobType>,
    pub(crate) lease: Duration,
    pub(crate) may_suspect: bool,
    pub(crate) may_reap: bool,
    pub(crate) queue: QueueName,
    pub(crate) state: WorkerState,
}

impl TestWorker {
    /// A worker whose registration lasts a minute.
    pub(crate) async fn register(store: &Store) -> Self {
        let worker = Self::unregistered();
        worker.heartbeat(store, Duration::from_secs(60)).await;
        worker
    }

    /// One that Redis does not know, as after its registration ran out.
    pub(crate) fn unregistered() -> Self {
        Self {
            id: WorkerId::fresh(),
            types: vec![JobType::new("echo").unwrap()],
            lease: Duration::from_secs(15),
            may_suspect: true,
            may_reap: true,
            queue: queue(),
            state: WorkerState::Active,
        }
    }

    /// A registered worker that offers these types.
    pub(crate) async fn offering(store: &Store, types: &[&str]) -> Self {
        let worker = Self { types: types.iter().map(|name| kind(name)).collect(), ..Self::unregistered() };
        worker.heartbeat(store, Duration::from_secs(60)).await;
        worker
    }

    /// Claims up to `want` jobs under leases that have run out when this returns.
    pub(crate) async fn claim_and_lose(&self, store: &Store, want: usize) -> Vec<Claimed> {
        let brief = Self { lease: Duration::from_millis(1), ..self.clone() };
        let claims = brief.claims(store, want).await;
        until_past(store, claims.now.plus(Duration::from_millis(1))).await;
        claims.jobs
    }

    pub(crate) async fn heartbeat(&self, store: &Store, life: Duration) {
        store.heartbeat(self.id, life, &self.about(), &[]).await.unwrap();
    }

    pub(crate) fn about(&self) -> WorkerAbout {
        WorkerAbout {
            host: "test".into(),
            pid: 1,
            version: "0".into(),
            queues: vec![(self.queue.to_string(), 1)],
            types: self.types.iter().map(ToString::to_string).collect(),
            slots: 4,
            busy: 0,
            status: self.state.status().into(),
            started_ms: 0,
            hears: true,
            claims: self.state == WorkerState::Active,
            told_by: if self.state == WorkerState::Active { String::new() } else { "op".into() },
        }
    }

    pub(crate) fn request(&self, want: usize) -> ClaimRequest<'_> {
        ClaimRequest {
            queue: &self.queue,
            want,
            worker: self.id,
            attempt_id: AttemptId::random(),
            lease: self.lease,
            may_suspect: self.may_suspect,
            may_reap: self.may_reap,
            types: &self.types,
        }
    }

    pub(crate) async fn claims(&self, store: &Store, want: usize) -> Claims {
        store.claim(&self.request(want)).await.unwrap()
    }

    pub(crate) async fn claim(&self, store: &Store, want: usize) -> Vec<Claimed> {
        self.claims(store, want).await.jobs
    }

    /// Claims the one job there is.
    pub(crate) async fn claim_one(&self, store: &Store) -> Claimed {
        let mut jobs = self.claim(store, 1).await;
        assert_eq!(jobs.len(), 1, "a job is claimable");
        jobs.remove(0)
    }

    /// Claims and completes one job after the other until none is left; the ids in that order.
    pub(crate) async fn work_off(&self, store: &Store, at_once: usize) -> Vec<JobId> {
        let (mut done, mut finished) = (Vec::new(), Vec::new());
        loop {
            let (answers, claims) = store.cycle(&finished, &self.request(at_once)).await.unwrap();
            assert!(answers.iter().all(|answer| *answer == Answer::Done), "{answers:?}");
            if claims.jobs.is_empty() {
                return done;
            }
            done.extend(claims.jobs.iter().map(|claimed| claimed.job.id));
            finished = claims.jobs.into_iter().map(|claimed| Finished { claimed, ending: success() }).collect();
        }
    }

    /// Ends one attempt and claims nothing.
    pub(crate) async fn end(&self, store: &Store, claimed: &Claimed, ending: Ending) -> Answer {
        let finished = [Finished { claimed: claimed.clone(), ending }];
        store.cycle(&finished, &self.request(0)).await.unwrap().0[0]
    }
}

pub(crate) fn success() -> Ending {
    Ending::Succeeded { result: RawJson::from_compact("{\"ok\":true}"), progress: None }
}

pub(crate) fn failure() -> Failure {
    Failure::new(FailureReason::Error, "it broke", Timestamp::from_unix_ms(1))
}

pub(crate) fn retry(after: Duration) -> Ending {
    Ending::Retry { after, failure: failure(), charged: true }
}

pub(crate) fn give_back(after: Duration) -> Ending {
    Ending::Retry { after, failure: failure(), charged: false }
}

pub(crate) fn hold() -> Ending {
    Ending::Held { reason: HeldReason::OutcomeUnknown, failure: failure() }
}

pub(crate) fn death() -> Ending {
    Ending::Dead { failure: failure() }
}

/// A record whose last moment in line is long past.
pub(crate) fn overdue_record(record: &str) -> String {
    // Behind workspace, type, fingerprint and the time of creation, if it is there.
    let created = record.split('\t').nth(3).is_some_and(|field| is_time(field, 'C'));
    let (mut fields, input) = without(record, &['X']);
    fields.insert(if created { 4 } else { 3 }, "X1000000000000");
    format!("{}\n{input}", fields.join("\t"))
}

/// A record that leaves its times to the id.
pub(crate) fn timeless_record(record: &str) -> String {
    let (fields, input) = without(record, &['C', 'X']);
    format!("{}\n{input}", fields.join("\t"))
}

fn without<'a>(record: &'a str, times: &[char]) -> (Vec<&'a str>, &'a str) {
    let (head, input) = record.split_once('\n').unwrap();
    let other = |field: &&str| !times.iter().any(|letter| is_time(field, *letter));
    (head.split('\t').filter(other).collect(), input)
}

fn is_time(field: &str, letter: char) -> bool {
    field.len() == 14 && field.strip_prefix(letter).is_some_and(|time| time.bytes().all(|b| b.is_ascii_digit()))
}

/// In line since that long ago, as a job that was written then and names no times.
pub(crate) async fn enqueue_ago(redis: &TestRedis, store: &Store, request: &str, ago: Duration) -> JobId {
    let made = store.now().await.unwrap().unix_ms() as u64 - ago.as_millis() as u64;
    let id = JobId::new(made, 0);
    store.enqueue(&queue(), &[(id, spec(request))]).await.unwrap();
    let record = redis.cli(&["HGET", "ai:jobs", &id.to_string()]);
    assert!(record.contains("\tC"), "written as if now, since its id is of another time");
    redis.cli(&["HSET", "ai:jobs", &id.to_string(), &timeless_record(&record)]);
    id
}
