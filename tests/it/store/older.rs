//! What an older version left in Redis is read, and its jobs are finished: the data of a build from before bulk operations
//! and orders to workers, as its processes wrote them (`older.jsonl`).

use std::collections::BTreeMap;

use windlass::domain::{JobId, JobState, WorkerState};
use windlass::store::{Cancelled, Enqueued, Redriven, Scope, Store, Switch};

use crate::support::audit::{assert_no_leak, audit};
use crate::support::jobs::{TestWorker, enqueue, kind, queue, shaped, state, workspace};
use crate::support::processes::stat;
use crate::support::redis::TestRedis;

const LEFT: &str = include_str!("older.jsonl");

/// The types that its worker offered.
const TYPES: [&str; 3] = ["echo", "sleep", "webhook.send"];

/// Workspace and request of each job, and how it stood.
const JOBS: [(&str, &str, JobState); 17] = [
    ("ws", "done", JobState::Succeeded),
    ("ws", "dead-1", JobState::Dead),
    ("ws", "dead-2", JobState::Dead),
    ("appr", "held", JobState::Held),
    ("appr", "approved", JobState::Pending),
    ("ws", "retrying", JobState::Scheduled),
    ("ws", "later", JobState::Scheduled),
    ("ws", "cancelled", JobState::Cancelled),
    ("ws", "running", JobState::Running),
    ("ws", "running-2", JobState::Running),
    ("ws", "within-effect", JobState::Running),
    ("capped", "capped-1", JobState::Running),
    ("capped", "capped-2", JobState::Pending),
    ("ws", "paused", JobState::Pending),
    ("ws", "pending-high", JobState::Pending),
    ("ws", "pending-normal", JobState::Pending),
    ("ws", "pending-low", JobState::Pending),
];

struct Left {
    redis: TestRedis,
    store: Store,
    /// When its processes were killed.
    at: i64,
    ids: BTreeMap<&'static str, JobId>,
}

/// A server with the data, at the moment they were left.
async fn left() -> Left {
    let lines = LEFT.lines().filter(|line| !line.starts_with('#'));
    let mut commands = lines.map(|line| serde_json::from_str::<Vec<String>>(line).expect("a command"));
    let at = commands.next().expect("a moment")[1].parse().expect("milliseconds");
    let redis = TestRedis::start_halted(at).await;
    for command in commands {
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let said = redis.ask(&command);
        assert!(!said.starts_with("ERR") && !said.starts_with("WRONGTYPE"), "{command:?}: {said}");
    }
    let ids = JOBS.iter().map(|(workspace, request, _)| (*request, key(&redis, workspace, request).0)).collect();
    Left { store: redis.store().await, redis, at, ids }
}

/// The job that has a request, and the fingerprint of its body.
fn key(redis: &TestRedis, workspace: &str, request: &str) -> (JobId, String) {
    let key = redis.ask(&["GET", &format!("ai:idempotency:{workspace}:{request}")]);
    let (id, fingerprint) = key.split_at(22);
    (id.parse().expect("an id"), fingerprint.to_owned())
}

#[tokio::test]
async fn what_an_older_version_left_is_read() {
    let Left { redis, store, ids, .. } = left().await;
    audit(&redis);
    assert!(store.server_facts().await.unwrap().layout_ok);
    for (workspace, request, stood) in JOBS {
        assert_eq!(state(&store, ids[request]).await, stood, "{request}");
        let (id, fingerprint) = key(&redis, workspace, request);
        let again = shaped(workspace, request, |spec| spec.fingerprint = fingerprint);
        assert!(matches!(enqueue(&store, again).await, Enqueued::Replay(same) if same == id), "{request}");
    }
    let summary = store.summary(&queue()).await.unwrap();
    assert_eq!((summary.depth, summary.running, summary.held, summary.dead, summary.workers), (6, 4, 1, 2, 1));
    assert_eq!(summary.paused_parts[0].1.reason, "by the old one");
    assert_eq!(store.dead_groups().await.unwrap()[0].count, 2);
    assert_eq!(store.effects(ids["within-effect"], None).await.unwrap().len(), 1, "its intent");
    assert!(store.approval(ids["approved"]).await.unwrap().is_some());
    assert_eq!(store.keys().await.unwrap()[0].name, "of-a-client");
    assert_eq!(store.workspace_limits(&workspace("capped")).await.unwrap().max_running, Some(1));
    // It claims, which it does not say, and it does not know orders.
    let worker = &store.workers().await.unwrap()[0];
    assert_eq!((worker.state(), worker.hears, worker.claims), (WorkerState::Active, false, false));
    audit(&redis);
}

#[tokio::test]
async fn what_an_older_version_left_is_finished() {
    let Left { redis, store, at, ids } = left().await;
    // Later than the leases and the registration of the worker that was killed, and than the time of the retry.
    redis.set_clock(at + 60_000);
    assert_eq!(store.cancel(&queue(), ids["held"]).await.unwrap(), Cancelled::Now);
    assert_eq!(store.redrive(&queue(), ids["dead-1"], None).await.unwrap(), Redriven::Now);
    store.resume(&queue(), &[Switch::Type(kind("sleep"))]).await.unwrap();
    audit(&redis);
    let worker = TestWorker::offering(&store, &TYPES).await;
    let claimed = worker.claim(&store, 1).await.remove(0);
    audit(&redis);
    assert_eq!(worker.end(&store, &claimed, crate::support::jobs::success()).await, windlass::store::Answer::Done);
    let mut done = vec![claimed.job.id];
    // A suspect is run alone: a step that claims none of them is followed by one that does.
    done.extend(worker.work_off(&store, 4).await);
    assert_eq!(stat(&redis, "lease_expiries"), 4);
    let crashed = store.job(&Scope::All, ids["within-effect"]).await.unwrap().expect("it is kept");
    assert_eq!((crashed.state, crashed.crashes), (JobState::Succeeded, 1));
    redis.set_clock(at + 2 * 3_600_000);
    worker.heartbeat(&store, std::time::Duration::from_secs(60)).await;
    done.extend(worker.work_off(&store, 4).await);
    assert_eq!(store.redrive(&queue(), ids["dead-2"], None).await.unwrap(), Redriven::Now);
    done.extend(worker.work_off(&store, 4).await);
    done.sort();
    let ended = ["done", "held", "cancelled"];
    let mut live: Vec<JobId> = JOBS.iter().filter(|job| !ended.contains(&job.1)).map(|job| ids[job.1]).collect();
    live.sort();
    assert_eq!(done, live, "each once");
    assert_eq!((stat(&redis, "enqueue"), stat(&redis, "succeeded"), stat(&redis, "cancelled")), (17, 15, 2));
    redis.ask(&["DEL", "ai:keys"]);
    assert_no_leak(&redis);
}
