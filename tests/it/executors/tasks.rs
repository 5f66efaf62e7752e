//! `task.create` against the documented APIs of Google Tasks and Microsoft To Do, and against GitHub's.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::FailureReason::{NeedsReauth, OutcomeUnknown, Permanent, RateLimited};
use windlass::domain::HeldReason;
use windlass::engine::{Disposition, Executor};
use windlass::executors::actions::{Cooldowns, CredentialKind, Github, GithubOptions, Means, TaskCreate, TaskOptions};

use crate::support::context::{FakeJob, run, run_job};
use crate::support::github::FakeGithub;
use crate::support::json_server::Fault;
use crate::support::tasks::{FakeTasks, TODO_LIST};
use crate::support::vault::{FixedVault, bearer};

const TOKEN: &str = "tok-canary";

fn vault() -> FixedVault {
    let github = FixedVault::with(bearer(CredentialKind::Github, TOKEN));
    github.and(bearer(CredentialKind::Google, TOKEN)).and(bearer(CredentialKind::Microsoft, TOKEN))
}

fn creator_with(tasks: &FakeTasks, github_url: &str, vault: FixedVault) -> TaskCreate {
    let options =
        TaskOptions { google_url: tasks.google_url(), graph_url: tasks.graph_url(), ..TaskOptions::default() };
    let means = Means { vault: Some(Arc::new(vault)), cooldowns: Cooldowns::default() };
    let (owner, repo) = (Some("acme".to_owned()), Some("site".to_owned()));
    let github = GithubOptions { api_url: github_url.to_owned(), owner, repo, ..GithubOptions::default() };
    let github = Arc::new(Github::new(&github, means.clone()).unwrap());
    TaskCreate::new(&options, github, means).unwrap()
}

fn creator(tasks: &FakeTasks) -> TaskCreate {
    creator_with(tasks, "http://127.0.0.1:9", vault())
}

fn task(provider: &str) -> Value {
    json!({"provider": provider, "title": "Call back", "notes": "About the offer", "due": "2026-01-31"})
}

const BOTH: [&str; 2] = ["google", "microsoft"];

#[tokio::test]
async fn a_task_at_google_carries_its_mark_in_the_notes() {
    let tasks = FakeTasks::start(TOKEN).await;
    let job = FakeJob::new();
    let result = run_job(&job, &creator(&tasks), task("google")).await.unwrap();
    assert_eq!((&result["id"], &result["provider"]), (&json!("g0"), &json!("google")));
    let made = &tasks.google()[0];
    assert_eq!(made["notes"], format!("About the offer\n\n[windlass:{}.send]", job.id));
    assert_eq!((&made["title"], &made["due"]), (&json!("Call back"), &json!("2026-01-31T00:00:00.000Z")));
}

#[tokio::test]
async fn a_task_at_microsoft_goes_to_the_default_list_with_the_key_as_a_linked_resource() {
    let tasks = FakeTasks::start(TOKEN).await;
    let job = FakeJob::new();
    let result = run_job(&job, &creator(&tasks), task("microsoft")).await.unwrap();
    assert_eq!((&result["id"], &result["list"]), (&json!("t0"), &json!(TODO_LIST)));
    let made = &tasks.todo()[0];
    assert_eq!(made["linkedResources"][0]["externalId"], format!("{}.send", job.id));
    assert_eq!(made["body"], json!({"content": "About the offer", "contentType": "text"}));
    assert_eq!(made["dueDateTime"], json!({"dateTime": "2026-01-31T00:00:00", "timeZone": "UTC"}));
    let mut elsewhere = task("microsoft");
    elsewhere["list"] = json!("AQMk-other");
    let failed = run(&creator(&tasks), elsewhere).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Permanent, Disposition::Dead), "{}", failed.2);
}

#[tokio::test]
async fn a_task_at_github_is_an_issue_and_found_again() {
    let (tasks, github) = (FakeTasks::start(TOKEN).await, FakeGithub::start(TOKEN).await);
    let creator = creator_with(&tasks, &github.url(), vault());
    let mut job = FakeJob::new();
    github.fail_next(Fault::DoneThenHangUp);
    run_job(&job, &creator, task("github")).await.unwrap_err();
    job.attempt = 2;
    job.effects.age(Duration::from_secs(31));
    let result = run_job(&job, &creator, task("github")).await.unwrap();
    assert_eq!((&result["number"], github.made().len()), (&json!(1), 1));
    let body = github.issue(1)["body"].as_str().unwrap().to_owned();
    assert!(body.starts_with("About the offer\n\nDue: 2026-01-31\n\n<!-- windlass:"), "{body}");
    assert_eq!(creator.facts(&task("github")).repository.as_deref(), Some("acme/site"));
}

#[tokio::test]
async fn what_was_made_before_the_answer_was_lost_is_found_and_not_made_again() {
    for fault in [Fault::DoneThenHangUp, Fault::DoneThenBadGateway] {
        for provider in BOTH {
            let tasks = FakeTasks::start(TOKEN).await;
            let mut job = FakeJob::new();
            tasks.fail_next(fault.clone());
            let lost = run_job(&job, &creator(&tasks), task(provider)).await.unwrap_err();
            assert_eq!(lost.1, Disposition::Retry { after: None }, "{provider}: {}", lost.2);
            tasks.others_make(120);
            // Someone was faster than the second attempt.
            tasks.delete_all();
            job.attempt = 2;
            job.effects.age(Duration::from_secs(31));
            let result = run_job(&job, &creator(&tasks), task(provider)).await.unwrap();
            assert!(result["id"].is_string(), "{provider}: {result}");
            assert_eq!(tasks.made().len(), 1, "{provider}");
        }
    }
}

#[tokio::test]
async fn what_never_arrived_is_made_once_by_the_next_attempt() {
    for provider in BOTH {
        let tasks = FakeTasks::start(TOKEN).await;
        let mut job = FakeJob::new();
        tasks.fail_next(Fault::Refuse(503, Vec::new(), json!({})));
        run_job(&job, &creator(&tasks), task(provider)).await.unwrap_err();
        tasks.others_make(150);
        job.attempt = 2;
        job.effects.age(Duration::from_secs(31));
        run_job(&job, &creator(&tasks), task(provider)).await.unwrap();
        assert_eq!(tasks.made().len(), 1, "{provider}");
    }
}

#[tokio::test]
async fn where_nobody_can_tell_the_job_is_held() {
    let tasks = FakeTasks::start(TOKEN).await;
    let mut job = FakeJob::new();
    tasks.fail_next(Fault::DoneThenHangUp);
    run_job(&job, &creator(&tasks), task("microsoft")).await.unwrap_err();
    tasks.expand_no_more();
    job.attempt = 2;
    job.effects.age(Duration::from_secs(31));
    let held = run_job(&job, &creator(&tasks), task("microsoft")).await.unwrap_err();
    assert_eq!((held.0, held.1), (OutcomeUnknown, Disposition::Hold(HeldReason::OutcomeUnknown)));
    assert_eq!(tasks.made().len(), 1);
}

#[tokio::test]
async fn limits_cool_the_identity_and_lack_of_permission_does_not() {
    for provider in BOTH {
        let tasks = FakeTasks::start(TOKEN).await;
        let creator = creator(&tasks);
        let headers = vec![("retry-after".to_owned(), "60".to_owned())];
        tasks.fail_next(Fault::Refuse(429, headers, json!({"error": {"code": "TooManyRequests"}})));
        let failed = run(&creator, task(provider)).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (RateLimited, Disposition::Postpone { after: Duration::from_secs(60) }));
        let asked = tasks.asked().len();
        assert!(matches!(run(&creator, task(provider)).await.unwrap_err().1, Disposition::Postpone { .. }));
        assert_eq!(tasks.asked().len(), asked, "{provider}");
    }
    let tasks = FakeTasks::start(TOKEN).await;
    for (reason, wanted) in [("insufficientPermissions", Permanent), ("userRateLimitExceeded", RateLimited)] {
        let body = json!({"error": {"code": 403, "message": "No", "errors": [{"reason": reason}]}});
        tasks.fail_next(Fault::Refuse(403, Vec::new(), body));
        assert_eq!(run(&creator(&tasks), task("google")).await.unwrap_err().0, wanted);
    }
}

#[tokio::test]
async fn a_credential_that_is_refused_or_missing_holds_the_job_and_is_never_shown() {
    let tasks = FakeTasks::start("another").await;
    for provider in BOTH {
        let creator = creator(&tasks);
        let failed = run(&creator, task(provider)).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (NeedsReauth, Disposition::Hold(HeldReason::NeedsReauth)));
        assert!(!format!("{failed:?} {creator:?}").contains("canary"));
        let none = creator_with(&tasks, "http://127.0.0.1:9", FixedVault::default());
        assert_eq!(run(&none, task(provider)).await.unwrap_err().0, NeedsReauth);
    }
    assert!(tasks.made().is_empty());
}
