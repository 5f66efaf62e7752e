//! GitHub acts and its answer is lost: what the next attempt does.

use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::FailureReason::{Error, OutcomeUnknown};
use windlass::domain::{EffectClass, HeldReason, RawJson};
use windlass::engine::{Disposition, EffectLog};

use super::github::{TOKEN, action, means, options, token};
use crate::support::context::{FakeJob, run_job};
use crate::support::effects::MemoryLog;
use crate::support::github::FakeGithub;
use crate::support::json_server::Fault;

const RETRY: Disposition = Disposition::Retry { after: None };

fn input(name: &str) -> Value {
    match name {
        "github.issue.create" => json!({"title": "x", "body": "y"}),
        "github.pr.create" => json!({"title": "x", "head": "fix", "base": "main"}),
        _ => json!({"number": 1, "body": "y"}),
    }
}

const CREATING: [&str; 4] = ["github.issue.create", "github.issue.comment", "github.pr.create", "github.pr.comment"];

#[tokio::test]
async fn what_was_made_before_the_answer_was_lost_is_found_and_not_made_again() {
    for fault in [Fault::DoneThenHangUp, Fault::DoneThenBadGateway] {
        for name in CREATING {
            let github = FakeGithub::start(TOKEN).await;
            github.others_open(1);
            let create = action(name, &options(&github), means(token()));
            let mut job = FakeJob::new();
            github.fail_next(fault.clone());
            let lost = run_job(&job, &create, input(name)).await.unwrap_err();
            assert_eq!((lost.0, lost.1), (Error, RETRY), "{name}: {}", lost.2);
            github.others_open(60);
            job.attempt = 2;
            job.effects.age(Duration::from_secs(31));
            let result = run_job(&job, &create, input(name)).await.unwrap();
            assert!(result["url"].is_string(), "{name}: {result}");
            assert_eq!(github.made().len(), 1, "{name}");
        }
    }
}

#[tokio::test]
async fn what_never_arrived_is_made_once_by_the_next_attempt() {
    for name in CREATING {
        let github = FakeGithub::start(TOKEN).await;
        github.others_open(1);
        let create = action(name, &options(&github), means(token()));
        let mut job = FakeJob::new();
        github.fail_next(Fault::Refuse(502, Vec::new(), json!({"message": "Server Error"})));
        run_job(&job, &create, input(name)).await.unwrap_err();
        job.attempt = 2;
        job.effects.age(Duration::from_secs(31));
        run_job(&job, &create, input(name)).await.unwrap();
        assert_eq!(github.made().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_lookup_waits_until_the_lost_request_must_be_over() {
    let github = FakeGithub::start(TOKEN).await;
    let create = action("github.issue.create", &options(&github), means(token()));
    let mut job = FakeJob::new();
    github.fail_next(Fault::DoneThenHangUp);
    run_job(&job, &create, input("github.issue.create")).await.unwrap_err();
    let asked = github.asked().len();
    job.attempt = 2;
    job.effects.age(Duration::from_secs(20));
    let early = run_job(&job, &create, input("github.issue.create")).await.unwrap_err();
    let Disposition::Postpone { after } = early.1 else { panic!("{early:?}") };
    assert!(after <= Duration::from_secs(10), "{after:?}");
    assert_eq!(github.asked().len(), asked);
}

#[tokio::test]
async fn a_quoted_mark_is_not_taken_for_the_original() {
    let github = FakeGithub::start(TOKEN).await;
    let create = action("github.issue.create", &options(&github), means(token()));
    let mut job = FakeJob::new();
    github.fail_next(Fault::DoneThenHangUp);
    run_job(&job, &create, input("github.issue.create")).await.unwrap_err();
    let quoting = FakeJob::new();
    let quote = json!({"title": "re", "body": format!("> <!-- windlass:{}.send -->", job.id)});
    run_job(&quoting, &create, quote).await.unwrap();
    job.attempt = 2;
    job.effects.age(Duration::from_secs(31));
    let result = run_job(&job, &create, input("github.issue.create")).await.unwrap();
    assert_eq!(result["number"], 1);
}

#[tokio::test]
async fn among_more_than_can_be_looked_through_nobody_can_tell() {
    let github = FakeGithub::start(TOKEN).await;
    let create = action("github.issue.create", &options(&github), means(token()));
    let mut job = FakeJob::new();
    github.fail_next(Fault::Refuse(502, Vec::new(), json!({})));
    run_job(&job, &create, input("github.issue.create")).await.unwrap_err();
    github.others_open(600);
    job.attempt = 2;
    job.effects.age(Duration::from_secs(31));
    let held = run_job(&job, &create, input("github.issue.create")).await.unwrap_err();
    assert_eq!((held.0, held.1), (OutcomeUnknown, Disposition::Hold(HeldReason::OutcomeUnknown)));
    assert!(github.made().is_empty());
}

#[tokio::test]
async fn older_entries_end_the_search() {
    let github = FakeGithub::start(TOKEN).await;
    github.others_open(600);
    github.age(2);
    let create = action("github.issue.create", &options(&github), means(token()));
    let mut job = FakeJob::new();
    github.fail_next(Fault::Refuse(502, Vec::new(), json!({})));
    run_job(&job, &create, input("github.issue.create")).await.unwrap_err();
    job.attempt = 2;
    job.effects.age(Duration::from_secs(31));
    run_job(&job, &create, input("github.issue.create")).await.unwrap();
    let lists = github.asked().iter().filter(|asked| asked.method == "GET").count();
    assert_eq!((github.made().len(), lists), (1, 1));
}

#[tokio::test]
async fn a_receipt_on_record_is_the_result_and_github_is_not_asked() {
    let github = FakeGithub::start(TOKEN).await;
    let create = action("github.issue.create", &options(&github), means(token()));
    let mut job = FakeJob::new();
    let made = run_job(&job, &create, input("github.issue.create")).await.unwrap();
    assert_eq!(job.effects.get("send").unwrap().class, EffectClass::Reconcilable);
    let log = MemoryLog { record: job.effects.clone(), attempt: 1 };
    log.receipt("send", &RawJson::from_value(&made)).await.unwrap();
    let asked = github.asked().len();
    job.attempt = 2;
    assert_eq!(run_job(&job, &create, input("github.issue.create")).await.unwrap(), made);
    assert_eq!(github.asked().len(), asked);
}

#[tokio::test]
async fn a_worker_that_dies_before_its_receipt_is_on_record_leaves_one_issue() {
    let github = FakeGithub::start(TOKEN).await;
    let create = action("github.issue.create", &options(&github), means(token()));
    let mut job = FakeJob::new();
    let made = run_job(&job, &create, input("github.issue.create")).await.unwrap();
    job.attempt = 2;
    job.effects.age(Duration::from_secs(31));
    assert_eq!(run_job(&job, &create, input("github.issue.create")).await.unwrap(), made);
    assert_eq!(github.made().len(), 1);
}

#[tokio::test]
async fn a_change_is_made_again_since_it_leads_to_the_same_state() {
    let github = FakeGithub::start(TOKEN).await;
    github.others_open(1);
    let close = action("github.issue.close", &options(&github), means(token()));
    let mut job = FakeJob::new();
    github.fail_next(Fault::DoneThenHangUp);
    assert_eq!(run_job(&job, &close, json!({"number": 1})).await.unwrap_err().1, RETRY);
    job.attempt = 2;
    run_job(&job, &close, json!({"number": 1})).await.unwrap();
    assert_eq!(github.issue(1)["state"], "closed");
}
