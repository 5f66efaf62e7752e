//! Exit codes that scripts may rely on.

use std::process::Stdio;

use super::process::{ADMIN_KEY, Server, run, windlass};
use crate::support::redis::TestRedis;

#[test]
fn a_wrong_command_line_is_2() {
    for arguments in [&["jobs", "lits"][..], &["jobs", "show", "not-an-id"], &["jobs", "list", "--limit", "0"], &[]] {
        assert_eq!(run(arguments, &[]).code, 2, "{arguments:?}");
    }
}

#[test]
fn no_answer_is_5_and_says_where_it_looked() {
    let ran = run(&["queues", "list"], &[("WINDLASS_URL", "http://127.0.0.1:9")]);
    assert_eq!(ran.code, 5);
    assert!(ran.stderr.contains("127.0.0.1:9") && ran.stderr.contains("hint:"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}

#[test]
fn doctor_without_redis_is_5_and_says_what_to_do() {
    let ran = run(&["doctor"], &[("REDIS_URL", "redis+unix:///nonexistent/redis.sock")]);
    assert_eq!(ran.code, 5);
    assert!(ran.stdout.contains("unreachable") && ran.stdout.contains("REDIS_URL"), "{}", ran.stdout);
}

#[tokio::test]
async fn a_refusal_is_4_and_a_missing_job_is_3() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    assert_eq!(server.run(&["jobs", "show", "01dVmX8Y1uj8y5I0EHlEd0"]).code, 3);
    assert_eq!(server.run(&["keys", "revoke", "nosuchkey"]).code, 3);
    let unknown = server.run(&["jobs", "submit", "no.such.type", "--workspace", "acme"]);
    assert_eq!(unknown.code, 4, "{}", unknown.stderr);
    let keyless = run(&["queues", "list"], &[("WINDLASS_URL", &server.url)]);
    assert_eq!(keyless.code, 4);
    assert!(keyless.stderr.contains("WINDLASS_API_KEY"), "{}", keyless.stderr);
    assert_eq!(server.run(&["doctor"]).code, 0);
}

#[tokio::test]
async fn a_reader_that_left_is_no_error() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let dir = tempfile::tempdir().unwrap();
    let mut child = windlass(dir.path(), &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", ADMIN_KEY)])
        .args(["queues", "list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn an_evicting_redis_is_1_with_a_remedy() {
    let redis = TestRedis::start_with(&["--maxmemory-policy", "allkeys-lru"]).await;
    let ran = run(&["doctor"], &[("REDIS_URL", &redis.url())]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("policy") && ran.stdout.contains("noeviction"), "{}", ran.stdout);
}
