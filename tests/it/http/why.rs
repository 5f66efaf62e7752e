//! Every cause that a job or a queue can wait for, met once.

use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::llm::{Block, BlockKind};
use windlass::domain::{Failure, FailureReason, JobId, WaitReason, WorkerState};
use windlass::store::{Ending, WorkspaceLimits};

use crate::support::api::{ADMIN, Api};
use crate::support::fleet::until;
use crate::support::jobs::{TestWorker, enqueue_new, from_now, hold, shaped, success, until_past, workspace};

struct Asked {
    api: Api,
    key: String,
}

impl Asked {
    async fn start() -> Self {
        let api = Api::start().await;
        let key = api.client_key("acme").await;
        Self { api, key }
    }

    async fn submit(&self, n: &str) -> JobId {
        self.api.submit(&self.key, n).await.id()
    }

    async fn job(&self, id: JobId) -> Value {
        self.api.get(&self.key, &format!("/ai/jobs/{id}/why")).await.json()
    }

    async fn queue(&self) -> Value {
        self.api.get(ADMIN, "/queues/default/why").await.json()
    }

    /// The job and its queue wait for this; the command to go on with, and words of the sentence.
    async fn both(&self, id: JobId, blocker: WaitReason, next: &str, said: &str) {
        for why in [self.job(id).await, self.queue().await] {
            assert_eq!(why["blocker"], blocker.as_str(), "{why}");
            assert_eq!(why["next"], next, "{why}");
            assert!(why["detail"].as_str().is_some_and(|text| text.contains(said)), "{why}");
            assert_eq!(why["runbook"], format!("runbook.md#{}", blocker.section()));
        }
    }
}

async fn stands(api: &Api, worker: &mut TestWorker, state: WorkerState) {
    worker.state = state;
    worker.heartbeat(&api.store, Duration::from_secs(60)).await;
}

#[tokio::test]
async fn the_fleet_and_pauses_in_the_order_in_which_they_are_to_be_mended() {
    let asked = Asked::start().await;
    let (api, id) = (&asked.api, asked.submit("r1").await);
    asked.both(id, WaitReason::NoWorker, "windlass worker --queues default", "no worker is alive").await;
    let mut worker = TestWorker::unregistered();
    for (state, reason, next) in [
        (WorkerState::Stopping, WaitReason::WorkersStopping, "windlass worker --queues default"),
        (WorkerState::Deaf, WaitReason::WorkersDeaf, "windlass workers list"),
        (WorkerState::Quiet, WaitReason::WorkersQuiet, "windlass workers resume --all"),
    ] {
        stands(api, &mut worker, state).await;
        asked.both(id, reason, next, &format!("none claims: 1 {state} (told by op)")).await;
    }
    stands(api, &mut worker, WorkerState::Active).await;
    assert_eq!(asked.job(id).await["detail"], "it is next in line");
    let queue = asked.queue().await;
    assert_eq!((&queue["blocker"], &queue["next"]), (&json!("in_line"), &json!(format!("windlass why {id}"))));
    for (body, reason, option) in [
        (json!({"workspace": "acme", "reason": "debts"}), WaitReason::WorkspacePaused, " --workspace acme"),
        (json!({"type": "echo", "reason": "bug"}), WaitReason::TypePaused, " --type echo"),
        (json!({"reason": "db work"}), WaitReason::QueuePaused, ""),
    ] {
        api.post(ADMIN, "/queues/default/pause", &body).await;
        assert!(worker.claim(&api.store, 1).await.is_empty());
        let said = "paused by admin since 20".to_owned();
        if reason == WaitReason::TypePaused {
            // It was parked behind its workspace: the job's answer names what comes first, the queue's where it is.
            assert_eq!(asked.job(id).await["blocker"], reason.as_str());
            continue;
        }
        asked.both(id, reason, &format!("windlass queues resume default{option}"), &said).await;
    }
    stands(api, &mut worker, WorkerState::Quiet).await;
    assert_eq!(asked.job(id).await["blocker"], "queue_paused", "resuming workers would change nothing yet");
}

#[tokio::test]
async fn types_caps_slots_and_places_in_line() {
    let asked = Asked::start().await;
    let api = &asked.api;
    let sleeper = TestWorker::offering(&api.store, &["sleep"]).await;
    let first = asked.submit("r1").await;
    asked.both(first, WaitReason::TypeNotOffered, "windlass workers list", "runs echo").await;
    let mut quiet = TestWorker::unregistered();
    stands(api, &mut quiet, WorkerState::Deaf).await;
    let next = "windlass workers list";
    asked.both(first, WaitReason::TypeNotOffered, next, "1 that do not claim would").await;
    stands(api, &mut quiet, WorkerState::Quiet).await;
    let next = "windlass workers resume --all";
    asked.both(first, WaitReason::TypeNotOffered, next, "1 that do not claim would").await;
    api.redis.forget_worker(quiet.id);
    api.redis.forget_worker(sleeper.id);
    let worker = TestWorker::register(&api.store).await;
    let limits = WorkspaceLimits { weight: 1, max_running: Some(1) };
    api.store.set_workspace_limits(&workspace("acme"), limits).await.unwrap();
    let second = asked.submit("r2").await;
    let claimed = worker.claim(&api.store, 2).await.remove(0);
    let capped = if claimed.job.id == first { second } else { first };
    let next = "windlass workspaces limits acme --max-running none";
    asked.both(capped, WaitReason::WorkspaceCap, next, "already runs the 1 job it may").await;
    let limits = WorkspaceLimits { weight: 2, max_running: None };
    api.store.set_workspace_limits(&workspace("acme"), limits).await.unwrap();
    let other = api.client_key("other").await;
    api.submit(&other, "theirs").await;
    let last = asked.submit("r3").await;
    let behind = asked.job(last).await;
    assert_eq!((&behind["blocker"], &behind["position"]), (&json!("in_line"), &json!(2)), "{behind}");
    assert!(!behind.to_string().contains("other\""), "another workspace's name is not told: {behind}");
    let of = behind["ahead"]["of"].as_array().unwrap();
    assert_eq!((of.len(), &of[0]["workspace"], &of[0]["weight"]), (2, &json!("acme"), &json!(2)), "{behind}");
    let all = api.get(ADMIN, &format!("/ai/jobs/{last}/why")).await.json();
    assert!(all["detail"].as_str().is_some_and(|text| text.contains("of other (weight 1)")), "{all}");
    assert_eq!(worker.claim(&api.store, 3).await.len(), 3);
    let full = asked.submit("r4").await;
    asked.both(full, WaitReason::SlotsBusy, "windlass worker --queues default", "all 4 slots are busy: 4 echo").await;
}

#[tokio::test]
async fn times_limits_budgets_breakers_decisions_and_nothing() {
    let asked = Asked::start().await;
    let api = &asked.api;
    let worker = TestWorker::register(&api.store).await;
    assert_eq!(asked.queue().await["blocker"], "empty");
    let later = from_now(&api.store, 600_000).await;
    for (kind, reason, next) in [
        (None, WaitReason::Backoff, None),
        (Some(BlockKind::Requests), WaitReason::Limit, Some("windlass providers list")),
        (Some(BlockKind::Budget), WaitReason::Budget, Some("windlass workspaces limits acme")),
        (Some(BlockKind::Cooling), WaitReason::Breaker, Some("windlass providers list")),
    ] {
        let id = asked.submit(reason.as_str()).await;
        let claimed = worker.claim_one(&api.store).await;
        let message = kind.map(|kind| Block { whose: "provider openai".to_owned(), kind }.waits_until(later));
        let why = if kind.is_some() { FailureReason::RateLimited } else { FailureReason::Error };
        let failure = Failure::new(why, message.as_deref().unwrap_or("it broke"), later);
        let ending = Ending::Retry { after: Duration::from_secs(600), failure, charged: kind.is_none() };
        worker.end(&api.store, &claimed, ending).await;
        let found = asked.job(id).await;
        assert_eq!(found["blocker"], reason.as_str(), "{found}");
        assert!(found["until"].is_string() && message.is_none_or(|text| found["detail"] == text), "{found}");
        assert_eq!(found["next"], next.map_or_else(|| format!("windlass jobs show {id}"), str::to_owned));
    }
    let due = asked.queue().await;
    assert!(due["blocker"] == "run_at" && due["until"].is_string(), "{due}");
    let id = asked.submit("held").await;
    let claimed = worker.claim_one(&api.store).await;
    assert_eq!(asked.job(id).await["blocker"], "none", "it runs");
    worker.end(&api.store, &claimed, hold()).await;
    let held = asked.job(id).await;
    assert_eq!((&held["blocker"], &held["runbook"]), (&json!("held"), &json!("runbook.md#a-held-job")));
    let id = asked.submit("done").await;
    let claimed = worker.claim_one(&api.store).await;
    worker.end(&api.store, &claimed, success()).await;
    assert_eq!(asked.job(id).await["blocker"], "none");
    assert_eq!(api.get(ADMIN, "/queues/other/why").await.code(), "not_found");
}

#[tokio::test]
async fn what_nothing_has_moved_on_yet_is_told_with_what_it_waits_for() {
    let asked = Asked::start().await;
    let api = &asked.api;
    let worker = TestWorker::register(&api.store).await;
    let lost = asked.submit("lost").await;
    assert_eq!(worker.claim_and_lose(&api.store, 1).await.len(), 1);
    api.redis.forget_worker(worker.id);
    let next = "windlass worker --queues default";
    asked.both(lost, WaitReason::NoWorker, next, "no worker is alive").await;
    let told = |why: &Value| why["detail"].as_str().unwrap_or_default().to_owned();
    assert!(told(&asked.job(lost).await).starts_with("its worker was lost, and its lease ended at 20"));
    assert!(
        told(&asked.queue().await).ends_with("the one job in line waits for that; 1 ran on a worker that was lost")
    );
    let at = from_now(&api.store, 1500).await;
    let later = enqueue_new(&api.store, shaped("acme", "later", |spec| spec.run_at = Some(at))).await;
    until_past(&api.store, at).await;
    assert!(told(&asked.job(later).await).starts_with(&format!("its time came at {at}; no worker is alive")));
    let at = from_now(&api.store, 1500).await;
    let late = enqueue_new(&api.store, shaped("acme", "late", |spec| spec.expires_at = Some(at))).await;
    until_past(&api.store, at).await;
    assert!(told(&asked.job(late).await).ends_with(&format!("its last moment in line was {at}: it will expire")));
}

#[tokio::test]
async fn an_unsafe_redis_comes_before_a_pause_and_a_slow_one_behind() {
    let asked = Asked::start().await;
    let (api, id) = (&asked.api, asked.submit("r1").await);
    TestWorker::register(&api.store).await;
    api.command(ADMIN, "/queues/default/pause").await;
    api.redis.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let becomes = async |wanted: &str| (asked.job(id).await["blocker"] == wanted).then_some(());
    until("the guard sees it", async || becomes("redis_unsafe").await).await;
    asked.both(id, WaitReason::RedisUnsafe, "windlass doctor", "policy: allkeys-lru").await;
    api.redis.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    until("the guard sees it", async || becomes("queue_paused").await).await;
    api.command(ADMIN, "/queues/default/resume").await;
    let slow = async || {
        api.redis.ask(&["CLIENT", "PAUSE", "1800", "ALL"]);
        becomes("redis_slow").await
    };
    until("a look at Redis takes long", slow).await;
}
