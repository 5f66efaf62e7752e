//! `windlass providers` against a server and a worker.

use super::process::{ADMIN_KEY, Patience, Role, run};
use super::roles::worker;
use crate::support::receiver::{Receiver, answer};
use crate::support::redis::TestRedis;

async fn roles(redis: &TestRedis, llm: &str) -> (Role, Role) {
    let settings = [("LLM_URL", llm), ("LLM_MODEL", "qwen"), ("LLM_API_KEY", "sk-canary")];
    let server = Role::serve(redis, &[&settings[..], &[("WINDLASS_ADMIN_KEY", ADMIN_KEY)]].concat());
    let worker = worker(redis, &settings);
    server.wait_ready().await;
    worker.wait_ready().await;
    (server, worker)
}

fn providers(server: &Role, arguments: &[&str]) -> super::process::Ran {
    let arguments = [&["providers"], arguments].concat();
    run(&arguments, &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", ADMIN_KEY)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_tested_and_its_models_are_listed() {
    let redis = TestRedis::start().await;
    let llm = Receiver::start(answer(200, "", r#"{"data":[{"id":"llama"}]}"#)).await;
    let (server, _worker) = roles(&redis, &llm.url("")).await;
    let mut patience = Patience::for_what("a worker that takes up a test");
    loop {
        let tested = providers(&server, &["test", "local"]);
        if tested.code == 0 {
            assert!(
                tested.stdout.contains("local: ok in ") && tested.stdout.contains(", 1 model\n"),
                "{}",
                tested.stdout
            );
            break;
        }
        patience.last_seen = tested.stderr;
        patience.pause().await;
    }
    let list = providers(&server, &["list"]).ok();
    assert!(list.contains("HEALTH") && list.contains("ok in ") && list.contains("s ago, 1 model"), "{list}");
    let table = providers(&server, &["models", "local"]).ok();
    assert!(["llama", "qwen", "OFFERED"].iter().all(|cell| table.contains(cell)), "{table}");
    let models = providers(&server, &["models", "local", "-o", "json"]).json()["models"].clone();
    let expected = serde_json::json!([
        {"name": "qwen", "offered": false, "configured": true}, {"name": "llama", "offered": true, "configured": false},
    ]);
    assert_eq!(models, expected);
    let keys = llm.received().iter().filter(|r| r.header("authorization") == Some("Bearer sk-canary")).count();
    assert_eq!(keys, llm.received().len());
    assert_eq!(providers(&server, &["test", "none"]).code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_a_provider_that_is_not_well_fails() {
    let redis = TestRedis::start().await;
    let llm = Receiver::start(answer(401, "", "{}")).await;
    let (server, _worker) = roles(&redis, &llm.url("")).await;
    let mut patience = Patience::for_what("a worker that takes up a test");
    loop {
        let tested = providers(&server, &["test", "local", "-o", "json"]);
        if tested.code == 1 {
            assert!(tested.stderr.contains("local is not well: refused"), "{}", tested.stderr);
            let found: serde_json::Value = serde_json::from_str(&tested.stdout).unwrap();
            assert_eq!((&found["ok"], &found["reason"]), (&false.into(), &"refused".into()));
            return;
        }
        patience.last_seen = tested.stderr;
        patience.pause().await;
    }
}
