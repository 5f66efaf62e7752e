//! Jobs as the benches use them, and how to enqueue and drain them through the store.

use std::time::Duration;

use windlass::domain::{
    AttemptId, JobId, JobSpec, JobType, Priority, QueueName, RawJson, RequestId, WorkerId, Workspace,
};
use windlass::store::{ClaimRequest, Ending, Finished, Store, WorkerAbout};

/// 200 bytes of JSON.
pub(crate) const PAYLOAD: &str = concat!(
    "{\"messages\":[{\"role\":\"user\",\"content\":\"0123456789012345678901234567890123456789012345678901234567890123456789",
    "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456\"}]}"
);
const _: () = assert!(PAYLOAD.len() == 200);

/// One of 100 workspaces, as if by chance: they do not take turns, so that a call of 100 jobs has some
/// of a workspace twice and none of another.
pub(crate) fn workspace(n: usize) -> String {
    workspace_among(n, 100)
}

/// One of `among` workspaces, as if by chance.
fn workspace_among(n: usize, among: usize) -> String {
    format!("ws-{:02}", (n.wrapping_mul(2_654_435_761) >> 8) % among)
}

/// 26 bytes, as long as a ULID.
pub(crate) fn request_id(series: &str, n: usize) -> String {
    format!("{series:.<14}{n:012}")
}

pub(crate) fn spec(series: &str, n: usize, job_type: &str, input: &str) -> JobSpec {
    JobSpec {
        workspace: Workspace::new(&workspace(n)).expect("a name"),
        request_id: RequestId::new(&request_id(series, n)).expect("an id"),
        job_type: JobType::new(job_type).expect("a name"),
        queue: QueueName::default_queue(),
        priority: Priority::Normal,
        run_at: None,
        expires_at: None,
        timeout: Duration::from_secs(60),
        max_attempts: 3,
        callback_url: None,
        requester: None,
        origin: None,
        metadata: RawJson::from_compact("{}"),
        input: RawJson::from_compact(input),
        // As long as the ones that the API makes.
        fingerprint: format!("{n:011x}"),
    }
}

pub(crate) fn fresh_id(store: &Store) -> JobId {
    JobId::new(u64::try_from(store.now_estimate().unix_ms()).unwrap_or_default(), 0)
}

/// Enqueues `from..to` for 100 workspaces, 100 a call, some calls in flight.
pub(crate) async fn enqueue_all(store: &Store, series: &str, range: (usize, usize), job_type: &str, input: &str) {
    enqueue_among(100, store, series, range, job_type, input).await;
}

/// The same for as many workspaces as `among` says.
pub(crate) async fn enqueue_among(
    among: usize,
    store: &Store,
    series: &str,
    (from, to): (usize, usize),
    job_type: &str,
    input: &str,
) {
    let of_workspace = |n: usize| {
        let workspace = Workspace::new(&workspace_among(n, among)).expect("a name");
        JobSpec { workspace, ..spec(series, n, job_type, input) }
    };
    let calls: Vec<usize> = (from..to).step_by(100).collect();
    for group in calls.chunks(4) {
        let call = async |first: &usize| {
            let items: Vec<(JobId, JobSpec)> =
                (*first..to.min(first + 100)).map(|n| (fresh_id(store), of_workspace(n))).collect();
            store.enqueue(&QueueName::default_queue(), &items).await.expect("the jobs are accepted")
        };
        futures_util::future::join_all(group.iter().map(call)).await;
    }
}

/// A worker process as far as the store can tell: it claims, and reports with its next claim.
pub(crate) struct Drain<'a> {
    store: &'a Store,
    queue: QueueName,
    worker: WorkerId,
    types: Vec<JobType>,
    batch: usize,
    ended: Vec<Finished>,
}

impl<'a> Drain<'a> {
    pub(crate) async fn start(store: &'a Store, batch: usize) -> Self {
        let worker = WorkerId::fresh();
        let about = WorkerAbout {
            host: "bench".into(),
            pid: 1,
            version: "0".into(),
            queues: vec![("default".into(), 1)],
            types: vec!["echo".into()],
            slots: 100,
            busy: 0,
            status: "running".into(),
            started_ms: 0,
            hears: true,
            claims: true,
            told_by: String::new(),
        };
        store.heartbeat(worker, Duration::from_secs(600), &about, &[]).await.expect("a registration");
        let types = vec![JobType::new("echo").expect("a name")];
        Self { store, queue: QueueName::default_queue(), worker, types, batch, ended: Vec::new() }
    }

    /// One exchange; says how many jobs came.
    pub(crate) async fn cycle(&mut self, want: usize) -> usize {
        let request = ClaimRequest {
            queue: &self.queue,
            want,
            worker: self.worker,
            attempt_id: AttemptId::random(),
            lease: Duration::from_secs(60),
            may_suspect: true,
            may_reap: true,
            types: &self.types,
        };
        let (_, claims) = self.store.cycle(&self.ended, &request).await.expect("an exchange");
        let result = RawJson::from_compact("{\"ok\":true,\"n\":12345678901234567}");
        let succeeded = || Ending::Succeeded { result: result.clone(), progress: None };
        self.ended = claims.jobs.into_iter().map(|claimed| Finished { claimed, ending: succeeded() }).collect();
        self.ended.len()
    }

    /// Claims and ends `jobs`.
    pub(crate) async fn take(&mut self, jobs: usize) {
        let mut taken = 0;
        while taken < jobs {
            let came = self.cycle(self.batch.min(jobs - taken)).await;
            assert!(came > 0, "jobs are missing: {taken} of {jobs} came");
            taken += came;
        }
        self.cycle(0).await;
    }
}
