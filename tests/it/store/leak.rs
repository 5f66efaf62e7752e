//! When every job has ended, nothing is left that does not run out by itself.

use std::time::Duration;

use windlass::domain::{Priority, RawJson};
use windlass::store::{Ending, Finished, Redriven, Scope, Switch, WorkspaceLimits};

use crate::support::audit::{assert_no_leak, audit};
use crate::support::jobs::{
    TestWorker, death, enqueue_many, from_now, hold, kind, queue, retry, success, until_past, workspace,
};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn nothing_of_a_job_is_left_after_every_kind_of_life() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::offering(&store, &["echo", "slow"]).await;
    let narrow = TestWorker::register(&store).await;
    let cap = WorkspaceLimits { weight: 2, max_running: Some(4) };
    store.set_workspace_limits(&workspace("capped"), cap).await.unwrap();
    let soon = from_now(&store, 30).await;
    for (name, band) in [("capped", Priority::High), ("ws", Priority::Normal), ("ws", Priority::Low)] {
        enqueue_many(&store, name, band.as_str(), 20, |s| s.priority = band).await;
        enqueue_many(&store, name, &format!("slow-{band}"), 5, |s| s.job_type = kind("slow")).await;
        enqueue_many(&store, name, &format!("at-{band}"), 5, |s| s.run_at = Some(soon)).await;
        enqueue_many(&store, name, &format!("end-{band}"), 5, |s| s.expires_at = Some(soon)).await;
    }
    store.pause(&queue(), &Switch::Workspace(workspace("ws")), "op", "").await.unwrap();
    narrow.claim(&store, 3).await;
    store.resume(&queue(), &[Switch::Workspace(workspace("ws"))]).await.unwrap();
    let crashing = TestWorker::register(&store).await;
    crashing.claim_and_lose(&store, 10).await;
    redis.forget_worker(crashing.id);
    redis.forget_worker(narrow.id);
    until_past(&store, soon).await;
    let endings =
        [retry(Duration::ZERO), hold(), death(), retry(Duration::from_millis(1)), Ending::Released, success()];
    for round in 0..6 {
        for (i, claimed) in worker.claim(&store, 12).await.into_iter().enumerate() {
            store.progress(&claimed, &RawJson::from_compact("{}")).await.unwrap();
            let report = [Finished { claimed, ending: endings[(i + round) % 6].clone() }];
            store.cycle(&report, &worker.request(0)).await.unwrap();
        }
        audit(&redis);
    }
    let all = audit(&redis);
    for id in all.members("ai:queue:held") {
        store.cancel(&queue(), id.parse().unwrap()).await.unwrap();
    }
    for id in all.members("ai:queue:dead") {
        let found = store.redrive(&queue(), id.parse().unwrap(), None).await.unwrap();
        assert_eq!(found, Redriven::Now);
    }
    // The lease that the narrow worker never gave back.
    for member in all.members("ai:queue:running") {
        store.cancel(&queue(), member[..22].parse().unwrap()).await.unwrap();
    }
    loop {
        worker.work_off(&store, 20).await;
        let summary = store.summary(&queue()).await.unwrap();
        if summary.depth + summary.scheduled + summary.running == 0 {
            break;
        }
    }
    assert_no_leak(&redis);
    let summary = store.summary(&queue()).await.unwrap();
    assert_eq!((summary.held, summary.dead), (0, 0));
    assert!(store.workers().await.unwrap().iter().any(|w| w.id == worker.id));
    let page = windlass::store::ListQuery {
        workspace: workspace("ws"),
        state: None,
        job_type: None,
        queue: None,
        request_id: None,
        created_after: None,
        created_before: None,
        limit: 200,
        from: None,
    };
    let listed = store.list(&page).await.unwrap();
    assert_eq!(listed.jobs.len(), 70, "every ended job can still be read");
    assert!(store.job(&Scope::All, listed.jobs[0].id).await.unwrap().is_some());
}
