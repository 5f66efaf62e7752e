//! `serve` and `worker` as a supervisor runs them.

use windlass::client::Client;

use super::process::{ADMIN_KEY, Patience, Role, Server, run};
use crate::support::ports::Reserved;
use crate::support::redis::TestRedis;

pub(super) fn worker(redis: &TestRedis, extra: &[(&str, &str)]) -> Role {
    let (url, reserved) = (redis.url(), Reserved::new());
    let port = reserved.port().to_string();
    let mut variables = vec![("REDIS_URL", url.as_str()), ("HOST", "127.0.0.1"), ("WORKER_PORT", port.as_str())];
    variables.extend(extra);
    Role::start(&["worker"], &variables).on(reserved)
}

#[tokio::test]
async fn a_server_that_starts_before_redis_becomes_ready_with_it() {
    let mut redis = TestRedis::start_durable().await;
    redis.kill();
    let server = Role::serve(&redis, &[("WINDLASS_ADMIN_KEY", ADMIN_KEY)]);
    let client = Client::new(&server.url, None).unwrap();
    assert!(!client.ready().await.unwrap().ready);
    redis.launch().await;
    server.wait_ready().await;
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn the_first_key_is_made_once_and_works() {
    let redis = TestRedis::start().await;
    let server = Role::serve(&redis, &[]);
    server.wait_ready().await;
    let patience = Patience::for_what("the first key");
    while !server.stderr().contains("narrower") {
        patience.pause().await;
    }
    let said = server.stderr();
    let key = said.lines().find_map(|l| l.trim().strip_prefix("WINDLASS_API_KEY=")).unwrap();
    run(&["queues", "list"], &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", key)]).ok();
    let second = Role::serve(&redis, &[]);
    second.wait_ready().await;
    run(&["queues", "list"], &[("WINDLASS_URL", &second.url), ("WINDLASS_API_KEY", key)]).ok();
    assert_eq!(second.stderr(), "");
}

#[tokio::test]
async fn the_env_block_of_the_older_runbook_starts_cleanly() {
    let redis = TestRedis::start().await;
    let server = Role::serve(
        &redis,
        &[
            ("ACTIONS_ENABLED", "true"),
            ("ALLOW_ACTIONS_DEFAULT", "gmail.send,outlook.send,task.create"),
            ("AI_MODEL", "gpt-4o-mini"),
            ("AI_MAX_OUTPUT_TOKENS", "800"),
            ("WINDLASS_ADMIN_KEY", ADMIN_KEY),
        ],
    );
    server.wait_ready().await;
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn a_worker_runs_jobs_reports_its_health_and_drains_on_request() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let worker = worker(&redis, &[]);
    let echo = server.run(&["jobs", "submit", "echo", "--workspace", "acme", "--wait", "30", "-o", "json"]).json();
    assert_eq!(echo["state"], "succeeded", "{echo}");
    worker.wait_ready().await;
    let metrics = reqwest::get(format!("{}/metrics", worker.url)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("windlass_worker_slots "), "{metrics}");
    let health = reqwest::get(format!("{}/healthz", worker.url)).await.unwrap();
    assert_eq!(health.json::<serde_json::Value>().await.unwrap()["status"], "healthy");
    assert!(server.run(&["workers", "list"]).ok().contains("echo"));
    assert_eq!(worker.stop(), Some(0));
}

#[tokio::test]
async fn a_job_that_outlasts_the_grace_is_handed_back_uncharged() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let worker = worker(&redis, &[("DRAIN_GRACE_SECONDS", "0")]);
    let input = ["--input", "{\"ms\":3600000}", "--timeout-ms", "7200000"];
    let submit = ["jobs", "submit", "sleep", "--workspace", "acme", "-o", "json"];
    let job = server.run(&[&submit[..], &input[..]].concat()).json();
    let show = ["jobs", "show", job["id"].as_str().unwrap(), "-o", "json"];
    let patience = Patience::for_what("the job to run");
    while server.run(&show).json()["state"] != "running" {
        patience.pause().await;
    }
    assert_eq!(worker.stop(), Some(0));
    let after = server.run(&show).json();
    assert_eq!((&after["state"], &after["attempt"]), (&"pending".into(), &0.into()), "{after}");
}

#[tokio::test]
async fn two_servers_of_one_redis_accept_each_others_cursors() {
    let redis = TestRedis::start().await;
    let (first, second) = (Server::start(&redis).await, Server::start(&redis).await);
    for number in ["1", "2"] {
        first.run(&["jobs", "submit", "echo", "--workspace", "acme", "--id", number]).ok();
    }
    let page = |server: &Server, cursor: Option<String>| {
        let client = Client::new(&server.url, Some(ADMIN_KEY.to_owned().into())).unwrap();
        let client = client.in_workspace(Some("acme".parse().unwrap()));
        async move {
            let filter = windlass::client::JobFilter { limit: Some(1), cursor, ..Default::default() };
            client.jobs(&filter).await.unwrap()
        }
    };
    let one = page(&first, None).await;
    let two = page(&second, one.next_cursor).await;
    assert_ne!(one.jobs[0].id, two.jobs[0].id);
}
