//! Rules for actions and decisions about held jobs, from the command line.

use windlass::domain::HeldReason;
use windlass::store::{Ending, Store};

use super::process::{ADMIN_KEY, Role, Server, run, run_in};
use crate::support::jobs::{TestWorker, failure};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn rules_are_set_shown_switched_and_removed() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let shown = server.run(&["actions", "show", "--workspace", "acme"]).ok();
    assert!(shown.contains("webhook.send") && shown.contains("ACTIONS_ENABLED"), "{shown}");
    let folder = tempfile::tempdir().unwrap();
    let rules = r#"{"rules":{"webhook.send":{"decision":"allow","hosts":["example.org"],"max_per_hour":7}}}"#;
    std::fs::write(folder.path().join("rules.json"), rules).unwrap();
    let variables = [("WINDLASS_URL", server.url.as_str()), ("WINDLASS_API_KEY", ADMIN_KEY)];
    let set = ["actions", "set", "--workspace", "acme", "rules.json"];
    let set = run_in(folder.path(), &set, &variables).ok();
    assert!(set.contains("at example.org, 7 an hour"), "{set}");
    let one =
        ["actions", "set", "--workspace", "acme", "--rule", "webhook.send=approve", "--rule", "*=deny", "-o", "json"];
    let own = server.run(&one).json()["own"].clone();
    assert_eq!(own["rules"]["webhook.send"]["decision"], "approve");
    assert_eq!(own["rules"]["webhook.send"]["max_per_hour"], 7, "its limits stay");
    assert_eq!(own["rules"]["*"]["decision"], "deny");
    let off = server.run(&["actions", "disable", "--workspace", "acme"]);
    assert!(off.stderr.contains("switched off"), "{}", off.stderr);
    let on = server.run(&["actions", "enable", "--workspace", "acme", "-o", "json"]).json();
    assert_eq!((&on["own"]["enabled"], &on["own"]["rules"]["*"]["decision"]), (&true.into(), &"deny".into()));
    server.run(&["actions", "remove", "--workspace", "acme"]).ok();
    assert!(server.run(&["actions", "show", "--workspace", "acme", "-o", "json"]).json()["own"].is_null());
    for bad in [&["--rule", "webhook.send=perhaps"][..], &["--rule", "webhook.send"], &[]] {
        assert_eq!(server.run(&[&["actions", "set"], bad].concat()).code, 2, "{bad:?}");
    }
    let unknown = server.run(&["actions", "set", "--rule", "mail.sent=allow"]);
    assert_eq!((unknown.code, unknown.stderr.contains("/rules/mail.sent")), (4, true), "{}", unknown.stderr);
}

/// Sets aside what is in line.
async fn hold(store: &Store, reason: HeldReason) {
    let worker = TestWorker::offering(store, &["webhook.send"]).await;
    let claimed = worker.claim_one(store).await;
    let mut failure = failure();
    failure.at = store.now().await.unwrap();
    worker.end(store, &claimed, Ending::Held { reason, failure }).await;
}

#[tokio::test]
async fn a_held_job_is_shown_approved_rejected_resolved_and_released() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let role = Role::serve(
        &redis,
        &[
            ("WINDLASS_ADMIN_KEY", ADMIN_KEY),
            ("ACTIONS_ENABLED", "true"),
            ("ALLOW_ACTIONS_DEFAULT", "webhook.send"),
            ("WEBHOOK_ALLOWED_HOSTS", "example.org"),
        ],
    );
    role.wait_ready().await;
    let with =
        |key: &str, arguments: &[&str]| run(arguments, &[("WINDLASS_URL", &role.url), ("WINDLASS_API_KEY", key)]);
    let admin = |arguments: &[&str]| with(ADMIN_KEY, arguments);
    let made =
        admin(&["keys", "create", "--workspace", "*", "--scope", "system:admin", "--name", "ann", "-o", "json"]).json();
    let ann = made["key"].as_str().unwrap().to_owned();
    let input = r#"{"url":"https://example.org/hook","payload":{"n":1}}"#;
    let submit = |id: &str| {
        let arguments =
            ["jobs", "submit", "webhook.send", "--workspace", "acme", "--id", id, "--input", input, "-o", "json"];
        admin(&arguments).json()["id"].as_str().unwrap().to_owned()
    };

    let id = submit("r1");
    hold(&store, HeldReason::Approval).await;
    assert!(admin(&["jobs", "list", "--workspace", "acme", "--state", "held"]).ok().contains("approval: it broke"));
    assert!(admin(&["why", &id]).ok().contains(&format!("next: windlass jobs approve {id}")));
    let shown = admin(&["jobs", "effects", &id, "-o", "json"]).json();
    let digest = shown["digest"].as_str().unwrap();
    let asked = with(&ann, &["jobs", "approve", &id]);
    assert_eq!(asked.code, 2, "it asks first: {}", asked.stderr);
    for said in [digest, "https://example.org/hook", "--yes"] {
        assert!(asked.stderr.contains(said), "{said}: {}", asked.stderr);
    }
    let other = with(&ann, &["jobs", "approve", &id, "--yes", "--digest", &"0".repeat(64)]);
    assert_eq!(other.code, 4, "{}", other.stderr);
    let own = admin(&["jobs", "approve", &id, "--yes"]);
    assert_eq!((own.code, own.stderr.contains("requester_may_not_approve")), (4, true), "{}", own.stderr);
    assert!(with(&ann, &["jobs", "approve", &id, "--yes", "--digest", digest]).ok().contains("pending"));

    hold(&store, HeldReason::Approval).await;
    assert!(admin(&["jobs", "reject", &id, "--reason", "no"]).ok().contains("cancelled"));
    assert!(admin(&["jobs", "show", &id]).ok().contains("rejected by admin: no"));

    let id = submit("r2");
    hold(&store, HeldReason::NeedsReauth).await;
    assert!(admin(&["jobs", "release", &id]).ok().contains("pending"));
    hold(&store, HeldReason::OutcomeUnknown).await;
    assert_eq!(admin(&["jobs", "release", &id]).code, 4);
    assert_eq!(admin(&["jobs", "resolve", &id, "perhaps"]).code, 2);
    let happened = ["jobs", "resolve", &id, "happened", "--receipt", "{\"seen\":true}", "--reason", "asked them"];
    assert!(admin(&happened).ok().contains("pending"));
    let effects = admin(&["jobs", "effects", &id]).ok();
    assert!(effects.contains("send is done") && effects.contains("as admin: asked them says"), "{effects}");
}
