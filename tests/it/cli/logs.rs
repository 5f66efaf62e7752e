//! The logs of real processes: their fields, their files, and that nothing stops because they cannot be written.

use std::path::Path;

use serde_json::{Value, json};

use super::process::{ADMIN_KEY, Patience, Role, http, run};
use super::roles::worker;
use crate::support::ports::Reserved;
use crate::support::redis::TestRedis;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn of_file(dir: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    // Perhaps in the middle of a line.
    lines(&text[..text.rfind('\n').map_or(0, |end| end + 1)])
}

fn serve(redis: &TestRedis, variables: &[(&str, &str)]) -> Role {
    Role::serve(redis, &[&[("WINDLASS_ADMIN_KEY", ADMIN_KEY)], variables].concat())
}

fn cli(server: &Role, arguments: &[&str]) -> super::process::Ran {
    run(arguments, &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", ADMIN_KEY)])
}

async fn get(url: &str, path: &str) -> reqwest::Response {
    let client = http();
    client.get(format!("{url}{path}")).send().await.unwrap()
}

/// Waits for lines that satisfy `wanted`.
async fn wait_for(what: &'static str, look: impl Fn() -> Vec<Value>, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut patience = Patience::for_what(what);
    loop {
        let all = look();
        let found: Vec<Value> = all.iter().filter(|line| wanted(line)).cloned().collect();
        if !found.is_empty() {
            return found;
        }
        patience.last_seen = format!("{:?}", all.last());
        patience.pause().await;
    }
}

#[tokio::test]
async fn a_request_leaves_one_line_with_the_contracts_fields_and_a_job_is_found_in_every_process() {
    let (redis, dir) = (TestRedis::start().await, tempfile::tempdir().unwrap());
    let at = dir.path().join("logs");
    let own = [("LOG_DIR", at.to_str().unwrap()), ("LOG_LEVEL", "debug")];
    let (server, worker) = (serve(&redis, &own), worker(&redis, &own));
    server.wait_ready().await;
    let client = http();
    let answer = client
        .post(format!("{}/ai/jobs", server.url))
        .bearer_auth(ADMIN_KEY)
        .header("x-windlass-workspace", "acme")
        .header("x-request-id", "from-the-client-1")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .json(&json!({"client_request_id": "r1", "type": "echo", "input": {}}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.headers()["x-request-id"], "from-the-client-1");
    let job = answer.json::<Value>().await.unwrap()["id"].clone();
    let access = |line: &Value| line["stream"] == "access" && line["endpoint"] == "/ai/jobs";
    let found = wait_for("the line of the request", || of_file(&at, "combined.log"), access).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let line = &found[0];
    let expected = json!({
        "level": "INFO", "service": "windlass-api", "method": "POST", "endpoint": "/ai/jobs", "status": 202,
        "tenant_id": "acme", "request_id": "from-the-client-1", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "job_id": job, "message": "request",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name} of {line}");
    }
    assert!(line["user_roles"].as_array().is_some_and(|roles| roles.contains(&json!("system:admin"))), "{line}");
    assert!(line["duration_ms"].is_number() && line["timestamp"].as_str().is_some_and(|t| t.ends_with('Z')), "{line}");
    let of_attempt = |line: &Value| line["message"] == "attempt ended";
    let attempt = wait_for("the line of the attempt", || of_file(&at.join("worker-1"), "app.log"), of_attempt).await;
    let attempt = &attempt[0];
    assert_eq!((&attempt["job_id"], &attempt["attempt"], &attempt["tenant_id"]), (&job, &json!(1), &json!("acme")));
    assert!(attempt["trace_id"].as_str().is_some_and(|id| id.len() == 32), "{attempt}");
    let (said, did) = (server.stdout(), worker.stdout());
    assert_eq!((server.stop(), worker.stop()), (Some(0), Some(0)));
    for line in lines(&said).iter().chain(&lines(&did)) {
        for name in ["timestamp", "level", "service", "stream", "target", "message"] {
            assert!(line[name].is_string(), "{name} of {line}");
        }
    }
}

#[tokio::test]
async fn who_did_what_is_an_audit_line_whatever_the_level_is() {
    let (redis, dir) = (TestRedis::start().await, tempfile::tempdir().unwrap());
    let at = dir.path().to_owned();
    let server = serve(
        &redis,
        &[("LOG_DIR", at.to_str().unwrap()), ("LOG_LEVEL", "error,windlass::app=info,windlass::audit=off")],
    );
    cli(&server, &["queues", "pause", "default", "--reason", "a test"]).ok();
    let made = cli(&server, &["keys", "create", "--workspace", "acme", "--scope", "jobs:read", "-o", "json"]).json();
    let denied = run(
        &["workers", "list"],
        &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", made["key"].as_str().unwrap())],
    );
    assert_eq!(denied.code, 4, "{denied:?}");
    let last = |line: &Value| line["message"] == "denied";
    wait_for("the denial", || of_file(&at, "audit.log"), last).await;
    let audit = of_file(&at, "audit.log");
    let told: Vec<&str> = audit.iter().filter_map(|line| line["message"].as_str()).collect();
    assert_eq!(told, ["pause", "key made", "denied"]);
    assert!(audit.iter().all(|line| line["stream"] == "audit" && line["request_id"].is_string()), "{audit:?}");
    assert_eq!((&audit[0]["by"], &audit[2]["status"]), (&json!("admin"), &json!(403)));
    assert!(!audit.iter().any(|line| line.to_string().contains(made["key"].as_str().unwrap())), "a key in the log");
    wait_for("the denial on stdout", || lines(&server.stdout()), last).await;
    let app = of_file(&at, "app.log");
    assert!(app.iter().all(|line| line["stream"] == "app"), "neither requests nor who did what: {app:?}");
}

#[tokio::test]
async fn full_files_are_put_away_and_compressed() {
    let (redis, dir) = (TestRedis::start().await, tempfile::tempdir().unwrap());
    let at = dir.path().to_owned();
    let server = serve(&redis, &[("LOG_DIR", at.to_str().unwrap()), ("LOG_ROTATE_BYTES", "2000")]);
    let archives = || {
        let names = std::fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("app.2") && name.ends_with(".log.gz")).collect::<Vec<_>>()
    };
    let patience = Patience::for_what("two compressed files");
    while archives().len() < 2 {
        get(&server.url, "/healthz").await;
        patience.pause().await;
    }
    assert_eq!(server.stop(), Some(0));
    for name in archives() {
        let file = std::fs::File::open(at.join(&name)).unwrap();
        let text = std::io::read_to_string(flate2::read::GzDecoder::new(file)).unwrap();
        assert!(!lines(&text).is_empty() && text.len() <= 2000, "{name}: {text}");
    }
}

#[tokio::test]
async fn a_folder_that_is_gone_stops_nothing_and_is_told_of_once() {
    let (redis, dir) = (TestRedis::start().await, tempfile::tempdir().unwrap());
    let at = dir.path().join("logs");
    let server = serve(&redis, &[("LOG_DIR", at.to_str().unwrap())]);
    wait_for("a first line", || of_file(&at, "app.log"), |_| true).await;
    std::fs::remove_dir_all(&at).unwrap();
    // Nothing can be made where a file is.
    std::fs::write(&at, "").unwrap();
    let mut patience = Patience::for_what("dropped lines in the metrics");
    loop {
        let text = get(&server.url, "/metrics").await.text().await.unwrap();
        let dropped = text.lines().find_map(|line| line.strip_prefix("windlass_log_lines_dropped_total "));
        if dropped.is_some_and(|count| count != "0") {
            break;
        }
        patience.last_seen = format!("{dropped:?}");
        patience.pause().await;
    }
    assert_eq!(server.stderr().matches("log lines are dropped").count(), 1, "{}", server.stderr());
    std::fs::remove_file(&at).unwrap();
    let patience = Patience::for_what("lines in a new file");
    while of_file(&at, "app.log").is_empty() {
        get(&server.url, "/healthz").await;
        patience.pause().await;
    }
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_holds_up_neither_requests_nor_the_end() {
    let redis = TestRedis::start().await;
    let (url, reserved, dir) = (redis.url(), Reserved::new(), tempfile::tempdir().unwrap());
    let port = reserved.port().to_string();
    let settings = [("REDIS_URL", url.as_str()), ("WINDLASS_ADMIN_KEY", ADMIN_KEY), ("PORT", &port)];
    let mut command = super::process::windlass(dir.path(), &settings);
    let mut child =
        command.args(["serve", "--host", "127.0.0.1"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let client = http();
    let address = format!("http://127.0.0.1:{port}/healthz");
    let patience = Patience::for_what("the server");
    while client.get(&address).send().await.is_err() {
        patience.pause().await;
    }
    // A pipe holds 64 KiB, some 200 lines.
    for _ in 0..600 {
        assert_eq!(client.get(&address).send().await.unwrap().status(), 200);
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
