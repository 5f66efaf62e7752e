//! The GitHub actions against GitHub's documented API.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::FailureReason::{Invalid, NeedsReauth, Permanent, RateLimited};
use windlass::domain::HeldReason;
use windlass::engine::{Disposition, Executor};
use windlass::executors::actions::{Cooldowns, CredentialKind, Github, GithubAction, GithubOptions, Means};

use crate::support::context::{FakeJob, run, run_job};
use crate::support::github::FakeGithub;
use crate::support::json_server::Fault;
use crate::support::receiver::Receiver;
use crate::support::vault::{FixedVault, bearer};

pub(crate) const TOKEN: &str = "ghp_canary0000";

pub(crate) fn options(github: &FakeGithub) -> GithubOptions {
    GithubOptions {
        api_url: github.url(),
        owner: Some("acme".to_owned()),
        repo: Some("site".to_owned()),
        ..GithubOptions::default()
    }
}

pub(crate) fn means(vault: FixedVault) -> Means {
    Means { vault: Some(Arc::new(vault)), cooldowns: Cooldowns::default() }
}

pub(crate) fn token() -> FixedVault {
    FixedVault::with(bearer(CredentialKind::Github, TOKEN))
}

pub(crate) fn action(name: &str, options: &GithubOptions, means: Means) -> GithubAction {
    let github = Arc::new(Github::new(options, means).unwrap());
    let all = GithubAction::all(&github).unwrap();
    all.into_iter().find(|action| action.info().name.as_str() == name).unwrap()
}

fn at(github: &FakeGithub, name: &str) -> GithubAction {
    action(name, &options(github), means(token()))
}

#[tokio::test]
async fn an_issue_is_opened_with_a_hidden_mark() {
    let github = FakeGithub::start(TOKEN).await;
    let job = FakeJob::new();
    let input = json!({"title": "Broken", "body": "It is.", "labels": ["bug"], "assignees": ["me"]});
    let result = run_job(&job, &at(&github, "github.issue.create"), input).await.unwrap();
    assert_eq!((&result["number"], &result["repository"]), (&json!(1), &json!("acme/site")));
    assert_eq!(result["url"], "https://github.com/acme/site/issues/1");
    let issue = github.issue(1);
    assert_eq!((&issue["title"], &issue["labels"][0]["name"]), (&json!("Broken"), &json!("bug")));
    assert_eq!(issue["body"], format!("It is.\n\n<!-- windlass:{}.send -->", job.id));
}

#[tokio::test]
async fn issues_are_changed_closed_and_commented_on() {
    let github = FakeGithub::start(TOKEN).await;
    run(&at(&github, "github.issue.create"), json!({"title": "One"})).await.unwrap();
    run(&at(&github, "github.issue.update"), json!({"number": 1, "title": "Two"})).await.unwrap();
    assert_eq!(github.issue(1)["title"], "Two");
    let comment = run(&at(&github, "github.issue.comment"), json!({"number": 1, "body": "Seen."})).await.unwrap();
    assert_eq!(comment["comment_id"], 1000);
    let closed = run(&at(&github, "github.issue.close"), json!({"number": 1})).await.unwrap();
    assert_eq!(closed["state"], "closed");
    assert_eq!((&github.issue(1)["state"], &github.issue(1)["state_reason"]), (&json!("closed"), &json!("completed")));
    let made: Vec<_> = github.made().into_iter().map(|made| made.what).collect();
    assert_eq!(made, ["issue", "change", "comment", "change"]);
}

#[tokio::test]
async fn pull_requests_are_opened_listed_and_commented_on() {
    let github = FakeGithub::start(TOKEN).await;
    let input = json!({"title": "Fix", "head": "fix", "base": "main", "body": "Fixes it.", "draft": true});
    let result = run(&at(&github, "github.pr.create"), input).await.unwrap();
    assert_eq!(result["number"], 1);
    let comment = run(&at(&github, "github.pr.comment"), json!({"number": 1, "body": "Ready."})).await.unwrap();
    assert_eq!(comment["number"], 1);
    let list = run(&at(&github, "github.pr.list"), json!({"head": "fix"})).await.unwrap();
    assert_eq!((&list["count"], &list["items"][0]["head"]), (&json!(1), &json!("fix")));
    assert_eq!(run(&at(&github, "github.pr.list"), json!({"head": "other"})).await.unwrap()["count"], 0);
    assert_eq!(run(&at(&github, "github.issue.list"), json!({})).await.unwrap()["count"], 0, "no issue");
}

#[tokio::test]
async fn issues_are_listed_without_their_bodies() {
    let github = FakeGithub::start(TOKEN).await;
    github.others_open(3);
    let list = run(&at(&github, "github.issue.list"), json!({"limit": 2})).await.unwrap();
    assert_eq!((&list["count"], &list["items"][0]["number"]), (&json!(2), &json!(3)));
    assert!(!list.to_string().contains("no mark"), "{list}");
    let query = github.asked().pop().unwrap().query;
    assert_eq!((&*query["per_page"], &*query["state"], &*query["sort"]), ("2", "open", "created"));
}

#[tokio::test]
async fn a_pull_request_that_someone_else_opened_is_no_success() {
    let github = FakeGithub::start(TOKEN).await;
    let input = json!({"title": "Fix", "head": "fix", "base": "main"});
    run(&at(&github, "github.pr.create"), input.clone()).await.unwrap();
    let mut other = FakeJob::new();
    other.id = windlass::domain::JobId::new(2_000, 0);
    let failed = run_job(&other, &at(&github, "github.pr.create"), input).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Permanent, Disposition::Dead));
    assert!(failed.2.contains("already: #1"), "{}", failed.2);
    assert_eq!(github.made().len(), 1);
}

#[tokio::test]
async fn each_refusal_of_github_has_its_rule() {
    for (status, word) in
        [(403, "may not do this"), (404, "may not see it"), (410, "switched off"), (422, "title: custom")]
    {
        let github = FakeGithub::start(TOKEN).await;
        let body = json!({"message": "No", "errors": [{"field": "title", "code": "custom", "value": "secret"}]});
        github.fail_next(Fault::Refuse(status, Vec::new(), body));
        let failed = run(&at(&github, "github.issue.create"), json!({"title": "x"})).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (Permanent, Disposition::Dead), "{status}");
        assert!(failed.2.contains(word) && !failed.2.contains("secret"), "{}", failed.2);
        assert!(github.made().is_empty());
    }
}

#[tokio::test]
async fn a_limit_cools_the_identity_in_all_its_jobs() {
    let github = FakeGithub::start(TOKEN).await;
    let means = means(token());
    let create = action("github.issue.create", &options(&github), means.clone());
    let close = action("github.issue.close", &options(&github), means);
    let body = json!({"message": "You have exceeded a secondary rate limit."});
    github.fail_next(Fault::Refuse(403, Vec::new(), body));
    let failed = run(&create, json!({"title": "x"})).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (RateLimited, Disposition::Postpone { after: Duration::from_secs(60) }));
    let asked = github.asked().len();
    let other = run(&close, json!({"number": 1})).await.unwrap_err();
    assert!(matches!(other.1, Disposition::Postpone { after } if after > Duration::from_secs(1)), "{other:?}");
    assert_eq!(github.asked().len(), asked, "another action of the account leaves GitHub alone too");
}

#[tokio::test]
async fn the_primary_limit_is_waited_for_until_its_reset() {
    let github = FakeGithub::start(TOKEN).await;
    let reset = (windlass::clock::wall().unix_ms() / 1000 + 600).to_string();
    let headers = vec![("x-ratelimit-remaining".to_owned(), "0".to_owned()), ("x-ratelimit-reset".to_owned(), reset)];
    github.fail_next(Fault::Refuse(403, headers, json!({"message": "API rate limit exceeded"})));
    let failed = run(&at(&github, "github.issue.create"), json!({"title": "x"})).await.unwrap_err();
    let Disposition::Postpone { after } = failed.1 else { panic!("{failed:?}") };
    assert!(after > Duration::from_secs(300) && after <= Duration::from_secs(600), "{after:?}");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_call_made_again() {
    let github = FakeGithub::start("ghp_new").await;
    let vault = Arc::new(token().renewing_to(bearer(CredentialKind::Github, "ghp_new")));
    let means = Means { vault: Some(vault.clone()), cooldowns: Cooldowns::default() };
    run(&action("github.issue.create", &options(&github), means), json!({"title": "x"})).await.unwrap();
    assert_eq!((github.made().len(), vault.renewals()), (1, 1));
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_holds_the_job() {
    let github = FakeGithub::start("another").await;
    let failed = run(&at(&github, "github.issue.create"), json!({"title": "x"})).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (NeedsReauth, Disposition::Hold(HeldReason::NeedsReauth)));
    github.now_takes(TOKEN);
    run(&at(&github, "github.issue.create"), json!({"title": "x"})).await.unwrap();
}

#[tokio::test]
async fn the_token_of_the_settings_serves_its_own_repository_only() {
    let github = FakeGithub::start("ghp_own").await;
    let own = GithubOptions { token: Some("ghp_own".into()), ..options(&github) };
    run(&action("github.issue.create", &own, Means::default()), json!({"title": "x"})).await.unwrap();
    let elsewhere = json!({"title": "x", "owner": "someone", "repo": "else"});
    let failed = run(&action("github.issue.create", &own, Means::default()), elsewhere).await.unwrap_err();
    assert_eq!(failed.0, NeedsReauth);
    assert_eq!(github.asked().len(), 1);
    let named = json!({"title": "x", "credential": "mine"});
    assert_eq!(run(&action("github.issue.create", &own, Means::default()), named).await.unwrap_err().0, NeedsReauth);
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused_at_the_door_and_at_the_run() {
    let canary = Receiver::canary().await;
    let options = GithubOptions { api_url: canary.url(""), ..GithubOptions::default() };
    let create = action("github.issue.create", &options, means(token()));
    for (owner, repo) in [("..", "x"), ("a/b", "x"), ("a", ".."), ("a", "x/../../user"), ("a", "x?y"), ("a", "x#y")] {
        let input = json!({"title": "x", "owner": owner, "repo": repo});
        assert!(create.check(&input).is_err(), "{owner}/{repo}");
        assert_eq!(run(&create, input).await.unwrap_err().0, Invalid);
    }
    assert!(create.check(&json!({"title": "x"})).unwrap_err().contains("GITHUB_OWNER"));
    assert_eq!(canary.connections(), 0);
}

#[test]
fn rules_see_the_repository_whatever_its_case() {
    let options = GithubOptions { owner: Some("Acme".into()), repo: Some("Site".into()), ..GithubOptions::default() };
    let create = action("github.issue.create", &options, Means::default());
    let repository = |input: Value| create.facts(&input).repository;
    assert_eq!(repository(json!({"title": "x"})).as_deref(), Some("acme/site"));
    assert_eq!(repository(json!({"title": "x", "owner": "B", "repo": "c"})).as_deref(), Some("b/c"));
}

#[tokio::test]
async fn no_token_is_in_an_error_a_result_or_debug() {
    let github = FakeGithub::start(TOKEN).await;
    let own = GithubOptions { token: Some(TOKEN.into()), ..options(&github) };
    let create = action("github.issue.create", &own, means(token()));
    github.fail_next(Fault::Refuse(500, Vec::new(), json!({"message": "oops"})));
    let failed = run(&create, json!({"title": "x"})).await.unwrap_err();
    let result = run(&create, json!({"title": "x"})).await.unwrap();
    let seen = format!("{failed:?} {result} {create:?} {own:?}");
    assert!(!seen.contains("canary"), "{seen}");
}
