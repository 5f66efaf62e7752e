//! `echo`, `sleep`, and the registry they are registered in.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use windlass::domain::FailureReason;
use windlass::engine::{AllowList, Disposition, Executor, Registry, TypeRefusal};
use windlass::executors::llm::LlmOptions;
use windlass::executors::{Echo, ExecutorOptions, Sleep, register_all};

use crate::support::context::{FakeJob, run, run_job};

fn registry(allow: &[&str], options: &ExecutorOptions) -> Registry {
    let allowed: BTreeSet<String> = allow.iter().map(ToString::to_string).collect();
    let mut registry = Registry::new(AllowList { actions_enabled: !allowed.is_empty(), allowed });
    register_all(&mut registry, options).unwrap();
    registry
}

#[tokio::test]
async fn echo_returns_its_input() {
    let input = json!({"a": [1, null, "ä"]});
    assert_eq!(run(&Echo::new().unwrap(), input.clone()).await, Ok(input));
}

#[tokio::test]
async fn sleep_ends_as_told() {
    let sleep = Sleep::new().unwrap();
    assert_eq!(run(&sleep, json!({"ms": 1})).await, Ok(json!({"slept_ms": 1})));
    let (_, disposition, _) = run(&sleep, json!({"ms": 0, "fail": "retryable"})).await.unwrap_err();
    assert_eq!(disposition, Disposition::Retry { after: None });
    let (reason, disposition, _) = run(&sleep, json!({"ms": 0, "fail": "permanent"})).await.unwrap_err();
    assert_eq!((reason, disposition), (FailureReason::Permanent, Disposition::Dead));
}

#[tokio::test]
async fn sleep_may_fail_the_first_attempts_only() {
    let sleep = Sleep::new().unwrap();
    let mut job = FakeJob::new();
    let input = json!({"ms": 0, "fail": "retryable", "fail_attempts": 2});
    for attempt in 1..=2 {
        job.attempt = attempt;
        assert!(run_job(&job, &sleep, input.clone()).await.is_err(), "{attempt}");
    }
    job.attempt = 3;
    assert!(run_job(&job, &sleep, input).await.is_ok());
}

#[tokio::test]
async fn sleep_can_panic_for_drills() {
    let handle = windlass::engine::tasks::spawn("drill", async {
        run(&Sleep::new().unwrap(), json!({"ms": 0, "fail": "panic"})).await
    });
    assert!(handle.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn sleep_reports_progress_until_it_is_dropped() {
    let sleep = Sleep::new().unwrap();
    let mut job = FakeJob::new();
    let attempt = sleep.run(job.context(&sleep, &json!({"ms": 3_600_000})));
    let progress = tokio::select! {
        _ = attempt => panic!("an hour has not passed"),
        progress = job.progress.recv() => progress.unwrap(),
    };
    assert_eq!(progress["total_ms"], 3_600_000);
    assert!(progress["slept_ms"].as_u64().unwrap() >= 1000);
}

#[test]
fn sleep_input_is_checked_at_the_door() {
    let registry = registry(&[], &ExecutorOptions::default());
    let admit = |input: Value| registry.admit("sleep", &input).is_ok();
    assert!(admit(json!({"ms": 0})) && admit(json!({"ms": 3_600_000, "fail": "panic", "fail_attempts": 1})));
    for bad in [
        json!({}),
        json!({"ms": -1}),
        json!({"ms": 3_600_001}),
        json!({"ms": 1.5}),
        json!({"ms": 5.0}),
        json!({"ms": "1"}),
        json!({"ms": 1, "fail": "crash"}),
        json!({"ms": 1, "fail_attempts": 2}),
        json!({"ms": 1, "extra": 1}),
        json!(null),
    ] {
        assert!(!admit(bad.clone()), "{bad}");
    }
}

#[test]
fn types_are_registered_by_what_is_configured() {
    let none = registry(&[], &ExecutorOptions::default());
    let names = |r: &Registry, actions: bool| {
        let names = r.types().filter(|info| info.is_action == actions).map(|info| info.name.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&none, false), ["echo", "sleep"]);
    let actions = [
        "github.issue.close",
        "github.issue.comment",
        "github.issue.create",
        "github.issue.list",
        "github.issue.update",
        "github.pr.comment",
        "github.pr.create",
        "github.pr.list",
        "github.repo.list",
        "github.user.get",
        "gmail.send",
        "http.request",
        "outlook.send",
        "smtp.send",
        "task.create",
        "webhook.send",
    ];
    assert_eq!(names(&none, true), actions);
    assert!(none.executor("webhook.send").unwrap().info().is_action);
    assert!(matches!(none.executor("llm.chat"), Err(TypeRefusal::Unknown(_))));
    let llm = Some(LlmOptions::new("http://127.0.0.1:1", "m"));
    let all = registry(&[], &ExecutorOptions { llm, ..ExecutorOptions::default() });
    assert_eq!(names(&all, false), ["echo", "llm.chat", "sleep"]);
}
