//! What GitHub says of an account, which a token of one repository must not tell.

use std::sync::Arc;

use serde_json::json;
use windlass::domain::FailureReason::NeedsReauth;
use windlass::domain::HeldReason;
use windlass::engine::{Disposition, Executor};
use windlass::executors::actions::{Github, GithubAccount, GithubOptions, Means};

use super::github::{TOKEN, means, options, token};
use crate::support::context::run;
use crate::support::github::FakeGithub;

fn read(name: &str, options: &GithubOptions, means: Means) -> GithubAccount {
    let github = Arc::new(Github::new(options, means).unwrap());
    GithubAccount::all(&github).unwrap().into_iter().find(|read| read.info().name.as_str() == name).unwrap()
}

#[tokio::test]
async fn whose_token_it_is_and_what_it_reaches_is_told_without_the_rest() {
    let github = FakeGithub::start(TOKEN).await;
    let user = run(&read("github.user.get", &options(&github), means(token())), json!({})).await.unwrap();
    assert_eq!(user, json!({"login": "bot", "id": 7, "name": null, "type": "Bot", "url": null}));
    let list = read("github.repo.list", &options(&github), means(token()));
    let first = run(&list, json!({"limit": 1})).await.unwrap();
    assert_eq!((&first["count"], &first["items"][0]["repository"]), (&json!(1), &json!("acme/site")));
    assert_eq!(first["items"][0]["may_push"], true);
    assert_eq!(run(&list, json!({"limit": 1, "page": 2})).await.unwrap()["count"], 0);
}

#[tokio::test]
async fn the_token_of_the_settings_does_not_tell_of_its_account() {
    let github = FakeGithub::start(TOKEN).await;
    let own = GithubOptions { token: Some(TOKEN.into()), ..options(&github) };
    for name in ["github.user.get", "github.repo.list"] {
        let failed = run(&read(name, &own, Means::default()), json!({})).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (NeedsReauth, Disposition::Hold(HeldReason::NeedsReauth)), "{}", failed.2);
    }
    assert!(github.asked().is_empty());
}
