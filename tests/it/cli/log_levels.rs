//! `windlass logs level` and the fleet that follows.

use serde_json::{Value, json};

use super::process::{ADMIN_KEY, Patience, Role, http, run};
use super::roles::worker;
use crate::support::redis::TestRedis;

fn level(server: &Role, arguments: &[&str]) -> super::process::Ran {
    let settings = [("WINDLASS_URL", server.url.as_str()), ("WINDLASS_API_KEY", ADMIN_KEY)];
    run(&[&["logs", "level"], arguments].concat(), &settings)
}

fn count(role: &Role, message: &str) -> usize {
    let lines = role.stdout();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).count()
}

async fn says(role: &Role, what: &'static str, times: usize) {
    let mut patience = Patience::for_what(what);
    while count(role, what) < times {
        patience.last_seen = role.stdout().lines().last().unwrap_or_default().to_owned();
        patience.pause().await;
    }
}

const CHANGED: &str = "the log's level is changed";
const BACK: &str = "the log's level is that of the settings again";

#[tokio::test]
async fn the_whole_fleet_follows_and_goes_back_by_itself() {
    let redis = TestRedis::start().await;
    let server = Role::serve(&redis, &[("WINDLASS_ADMIN_KEY", ADMIN_KEY)]);
    let first = worker(&redis, &[]);
    server.wait_ready().await;
    assert_eq!(level(&server, &[]).ok(), "info as configured\n");
    let set = level(&server, &["debug", "--target", "store=info", "--for", "1h"]).ok();
    assert!(set.starts_with("debug,windlass::store=info until 2") && set.contains("by admin"), "{set}");
    says(&server, CHANGED, 1).await;
    says(&first, CHANGED, 1).await;
    // One that starts meanwhile as well.
    let second = worker(&redis, &[]);
    says(&second, CHANGED, 1).await;
    let submit = ["jobs", "submit", "echo", "--workspace", "acme", "--input", "{}", "--wait", "20"];
    run(&submit, &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", ADMIN_KEY)]).ok();
    let mut patience = Patience::for_what("a line of level DEBUG");
    while count(&first, "attempt ended") + count(&second, "attempt ended") == 0 {
        patience.last_seen = first.stdout();
        patience.pause().await;
    }
    level(&server, &["--reset"]).ok();
    for role in [&server, &first, &second] {
        says(role, BACK, 1).await;
    }
    assert_eq!(level(&server, &[]).ok(), "info as configured\n");
    level(&server, &["trace", "--for", "8s"]).ok();
    for role in [&server, &first, &second] {
        says(role, CHANGED, 2).await;
        says(role, BACK, 2).await;
    }
    assert_eq!(level(&server, &[]).ok(), "info as configured\n");
}

#[tokio::test]
async fn a_level_that_is_none_is_refused_by_field() {
    let redis = TestRedis::start().await;
    let server = Role::serve(&redis, &[("WINDLASS_ADMIN_KEY", ADMIN_KEY)]);
    let refused = level(&server, &["loud"]);
    assert!(refused.code != 0 && refused.stderr.contains("loud") && refused.stderr.contains("/level"), "{refused:?}");
    assert_eq!(level(&server, &["debug", "--for", "2d"]).code, 2);
    assert_eq!(level(&server, &["--reset", "debug"]).code, 2);
    let client = http();
    for (body, pointer) in [
        (json!({"level": "inof"}), "/level"),
        (json!({"level": 5}), "/level"),
        (json!({}), "/level"),
        (json!({"level": "x".repeat(501)}), "/level"),
        (json!({"level": "debug", "for_seconds": 0}), "/for_seconds"),
        (json!({"level": "debug", "for_seconds": 86_401}), "/for_seconds"),
        (json!({"level": "debug", "forever": true}), "/forever"),
    ] {
        let request = client.put(format!("{}/controls/log-level", server.url)).bearer_auth(ADMIN_KEY).json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}
