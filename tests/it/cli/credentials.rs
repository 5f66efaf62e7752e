//! `windlass credentials` against a server, a worker and a token endpoint; and that no secret gets out anywhere.

use serde_json::json;

use super::process::{ADMIN_KEY, Patience, Ran, Role, run, run_fed};
use super::roles::worker;
use crate::support::oauth::OAuthServer;
use crate::support::redis::TestRedis;

const OLD: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const NEW: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn serve(redis: &TestRedis, settings: &[(&str, &str)]) -> Role {
    let own = [("WINDLASS_ADMIN_KEY", ADMIN_KEY), ("LOG_LEVEL", "trace")];
    Role::serve(redis, &[&own[..], settings].concat())
}

fn credentials(server: &Role, arguments: &[&str], input: &str) -> Ran {
    let arguments = [&["credentials"], arguments].concat();
    run_fed(&arguments, &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", ADMIN_KEY)], input)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_added_tested_listed_and_removed_and_no_secret_gets_out() {
    let (redis, oauth) = (TestRedis::start().await, OAuthServer::start().await);
    let google = format!("{}/token", oauth.url);
    let settings = [("CREDENTIALS_KEY", OLD), ("GOOGLE_TOKEN_URL", &google), ("SMTP_URL", "smtps://u:smtp-canary@x")];
    let server = serve(&redis, &settings);
    let worker = worker(&redis, &[&settings[..], &[("LOG_LEVEL", "trace")]].concat());
    server.wait_ready().await;
    worker.wait_ready().await;

    let secrets = json!({"client_secret": "client-canary", "refresh_token": "refresh-canary-0"}).to_string();
    let add =
        ["add", "gmail", "--workspace", "acme", "--kind", "google", "--client-id", "app", "--account", "me@x.org"];
    let mut said = credentials(&server, &add, &secrets).ok();
    assert!(said.starts_with("gmail is stored, sealed with key "), "{said}");
    let mut patience = Patience::for_what("a worker that takes up a check");
    let tested = loop {
        let tested = credentials(&server, &["test", "gmail", "--workspace", "acme"], "");
        if tested.code != 4 {
            break tested;
        }
        patience.last_seen = tested.stderr;
        patience.pause().await;
    };
    let tested = tested.ok();
    assert_eq!(tested, "gmail: accepted: its provider gave a new access token\n");
    oauth.fail(400, json!({"error": "invalid_grant", "error_description": "refresh-canary-1 is bad"}));
    let refused = credentials(&server, &["test", "gmail", "--workspace", "acme"], "");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stdout.contains("gmail: not accepted: "), "{refused:?}");
    let listed = credentials(&server, &["list", "--workspace", "acme"], "").ok();
    assert!(
        ["gmail", "google", "me@x.org", "needs_reauth", "invalid_grant"].iter().all(|w| listed.contains(w)),
        "{listed}"
    );
    said += &format!("{tested}{refused:?}{listed}");
    said += &credentials(&server, &["list", "--workspace", "acme", "-o", "json"], "").ok();
    let bad = credentials(&server, &["add", "x", "--workspace", "acme", "--kind", "github"], " {\"tokn\":\"canary\"} ");
    assert_eq!(bad.code, 2, "{bad:?}");
    said += &format!("{bad:?}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let metrics = client.get(format!("{}/metrics", server.url)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nwindlass_credentials_needing_reauth 1\n"), "{metrics}");
    said += &metrics;
    said += &client.get(format!("{}/metrics", worker.url)).send().await.unwrap().text().await.unwrap();
    for key in redis.cli(&["--scan"]).lines() {
        for read in [&["GET", key][..], &["HGETALL", key], &["SMEMBERS", key], &["LRANGE", key, "0", "-1"]] {
            said += &redis.cli(read);
        }
    }
    said += &run(&["config", "check"], &settings).ok();
    assert!(said.contains("c2") || said.contains("sealed"), "something was dumped");

    assert_eq!(credentials(&server, &["remove", "gmail", "--workspace", "acme"], "").code, 0);
    assert_eq!(credentials(&server, &["remove", "gmail", "--workspace", "acme"], "").code, 3);
    assert_eq!(credentials(&server, &["test", "gmail", "--workspace", "acme"], "").code, 3);
    assert_eq!(credentials(&server, &["list", "--workspace", "acme"], "").ok(), "");
    let logs = server.wrote() + &worker.wrote();
    assert!(logs.contains("credential stored") && logs.contains("needs someone to renew it"), "{logs}");
    said += &logs;
    let leak = said.find("canary").map(|at| said[..at].chars().rev().take(100).collect::<String>());
    assert_eq!(leak.map(|before| before.chars().rev().collect::<String>()), None, "a secret got out behind this");
    assert!(!said.contains(OLD), "the key got out");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_changed_step_by_step() {
    let redis = TestRedis::start().await;
    let none = serve(&redis, &[]);
    none.wait_ready().await;
    let add = ["add", "default", "--workspace", "acme", "--kind", "github"];
    let refused = credentials(&none, &add, "ghp_x\n");
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("credentials_key_missing") && refused.stderr.contains("openssl"), "{refused:?}");

    let old = serve(&redis, &[("CREDENTIALS_KEY", OLD)]);
    old.wait_ready().await;
    credentials(&old, &add, "ghp_x\n").ok();
    let url = redis.url();
    let doctor = |settings: &[(&str, &str)]| run(&["doctor"], &[&[("REDIS_URL", url.as_str())], settings].concat());
    let lone = serve(&redis, &[("CREDENTIALS_KEY", NEW)]);
    lone.wait_ready().await;
    let rotated = credentials(&lone, &["rotate"], "");
    assert_eq!((rotated.code, rotated.stdout.as_str()), (1, "0 sealed anew, 0 were already, 1 stay unreadable\n"));
    assert!(doctor(&[("CREDENTIALS_KEY", NEW)]).stdout.contains("1 under none of these settings"));

    let both = [("CREDENTIALS_KEY", NEW), ("CREDENTIALS_OLD_KEYS", OLD)];
    let told = doctor(&both);
    assert!(told.stdout.contains("1 under old ones") && told.stdout.contains("credentials rotate"), "{told:?}");
    let new = serve(&redis, &both);
    new.wait_ready().await;
    assert_eq!(credentials(&new, &["rotate"], "").ok(), "1 sealed anew, 0 were already, 0 stay unreadable\n");
    assert_eq!(credentials(&new, &["rotate"], "").ok(), "0 sealed anew, 1 were already, 0 stay unreadable\n");
    assert!(doctor(&[("CREDENTIALS_KEY", NEW)]).stdout.contains("1 under the current key"));
}
