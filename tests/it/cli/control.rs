//! Operators' commands with real worker processes.

use std::sync::atomic::{AtomicBool, Ordering};

use windlass::domain::{JobSpec, JobType, RawJson};
use windlass::store::Store;

use super::process::Server;
use super::pty::Pty;
use crate::support::jobs::{enqueue_new, spec};
use crate::support::processes::{Process, ids, stat, wait_for, wait_long_for};
use crate::support::redis::TestRedis;

async fn lasting(store: &Store, n: usize, ms: u64) {
    for i in 0..n {
        let input = RawJson::from_compact(format!("{{\"ms\":{ms}}}"));
        let job = JobSpec { job_type: JobType::new("sleep").unwrap(), input, ..spec(&format!("r{i}-{ms}")) };
        enqueue_new(store, job).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn why_tells_a_job_from_a_queue_and_what_is_neither_ends_with_3() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let job = server.run(&["jobs", "submit", "echo", "--workspace", "acme", "-o", "json"]).json();
    for subject in [job["id"].as_str().unwrap(), "default"] {
        let said = server.run(&["why", subject]).ok();
        assert!(said.contains("no worker is alive on queue default"), "{said}");
        assert!(said.contains("next: windlass worker --queues default"), "{said}");
        assert!(said.contains("see:  runbook.md#no-live-worker"), "{said}");
    }
    for subject in ["typo", "01dYYPmhqlwgqv9oepz~O0", "No Name"] {
        let neither = server.run(&["why", subject]);
        assert_eq!(neither.code, 3, "{subject}: {}", neither.stderr);
        assert!(
            neither.stderr.contains("queues: default") && neither.stderr.contains("windlass jobs list"),
            "{}",
            neither.stderr
        );
    }
    let stats = server.run(&["queues", "stats"]).ok();
    assert!(stats.contains("SUGGESTED") && stats.contains("total"), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_quieted_resumed_and_stopped_from_afar_and_exits_with_0() {
    let redis = TestRedis::start().await;
    let (server, store) = (Server::start(&redis).await, redis.store().await);
    let worker = Process::worker(&redis, &[("DRAIN_GRACE_SECONDS", "0")]);
    let id = worker.id.clone();
    let told = server.run(&["workers", "quiet", &id]).ok();
    assert!(told.contains("obeys"), "{told}");
    assert!(server.run(&["workers", "list"]).ok().contains("quiet by admin"));
    lasting(&store, 1, 60_000).await;
    let why = server.run(&["why", "default"]).ok();
    assert!(why.contains("workers_quiet") && why.contains("windlass workers resume --all"), "{why}");
    server.run(&["workers", "resume", "--all"]).ok();
    wait_for("it claims", || redis.ask(&["ZCOUNT", "ai:queue:running", "0", "(+inf"]) == "1");
    let host = server.run(&["workers", "list", "-o", "json"]).json()["workers"][0]["host"].as_str().unwrap().to_owned();
    assert_eq!(server.run(&["workers", "stop", "--host", "elsewhere.invalid"]).code, 3);
    server.run(&["workers", "stop", "--host", &host]).ok();
    assert_eq!(worker.exit().code(), Some(0));
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1, "given back");
    assert_eq!((stat(&redis, "lease_expiries"), ids(&redis).len()), (0, 0));
    let gone = server.run(&["workers", "stop", &id]);
    assert_eq!(gone.code, 3, "{}", gone.stderr);
    assert_eq!(server.run(&["workers", "stop"]).code, 2, "which ones has to be said");
}

/// Starts three workers and starts each again that ends, as systemd would; how many ended, and with which codes.
fn supervise(redis: &TestRedis, stop: &AtomicBool) -> Vec<Option<i32>> {
    let settings = [("WORKER_CONCURRENCY", "2")];
    let start = || Process::at("worker", redis.folder(), &redis.url(), &settings);
    let (mut workers, mut ended) = (vec![start(), start(), start()], Vec::new());
    loop {
        let over = || stop.load(Ordering::SeqCst);
        wait_long_for("a worker ends, or the test is over", || over() || workers.iter_mut().any(|w| !w.runs()));
        if over() {
            return ended;
        }
        for worker in &mut workers {
            if !worker.runs() {
                ended.push(std::mem::replace(worker, start()).exit().code());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_replaces_every_process_and_loses_nothing() {
    let redis = TestRedis::start().await;
    let (server, store) = (Server::start(&redis).await, redis.store().await);
    lasting(&store, 300, 50).await;
    let stop = AtomicBool::new(false);
    let (before, after, ended) = std::thread::scope(|scope| {
        let fleet = scope.spawn(|| supervise(&redis, &stop));
        wait_for("three workers live", || ids(&redis).len() == 3);
        let before = ids(&redis);
        let restarted = server.run(&["workers", "restart", "--rolling", "--wait", "60s"]);
        let after = ids(&redis);
        let done = |restarted: &super::process::Ran| restarted.code == 0 && restarted.stderr.contains("3 of 3");
        let said = restarted.stderr.clone();
        let ok = done(&restarted);
        if ok {
            wait_for("every job succeeds", || stat(&redis, "succeeded") == 300);
        }
        stop.store(true, Ordering::SeqCst);
        let ended = fleet.join().unwrap();
        assert!(ok, "{said}");
        (before, after, ended)
    });
    assert_eq!(ended, [Some(0), Some(0), Some(0)]);
    assert!(before.iter().all(|id| !after.contains(id)), "{before:?} {after:?}");
    assert_eq!((stat(&redis, "dead"), stat(&redis, "lease_expiries"), stat(&redis, "enqueue")), (0, 0, 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_without_a_supervisor_gives_up_after_the_first_and_says_how_to_go_on() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let (first, mut second) = (Process::worker(&redis, &[]), Process::worker(&redis, &[]));
    let gave_up = server.run(&["workers", "restart", "--rolling", "--wait", "1s"]);
    assert_eq!(gave_up.code, 1, "{}", gave_up.stderr);
    for said in ["0 of 2 processes were replaced", "Restart=always", "--started-before"] {
        assert!(gave_up.stderr.contains(said), "{said}: {}", gave_up.stderr);
    }
    assert_eq!(first.exit().code(), Some(0));
    assert!(second.runs(), "one at a time");
    let nothing = server.run(&["workers", "restart", "--rolling", "--started-before", "2020-01-01T00:00:00Z"]);
    assert!(nothing.code == 0 && nothing.stderr.contains("0 processes to restart"), "{}", nothing.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_is_watched_until_the_queue_is_empty() {
    let redis = TestRedis::start().await;
    let (server, store) = (Server::start(&redis).await, redis.store().await);
    lasting(&store, 6, 100).await;
    let worker = Process::worker(&redis, &[("WORKER_CONCURRENCY", "2")]);
    let drained = server.run(&["queues", "drain", "default", "--wait", "--deadline", "10m", "--then", "hold"]);
    assert_eq!(drained.code, 0, "{}", drained.stderr);
    assert!(drained.stdout.contains("default is drained"), "{}", drained.stdout);
    assert!(drained.stderr.contains("takes no new jobs; what is left at"), "{}", drained.stderr);
    assert_eq!(stat(&redis, "succeeded"), 6);
    let again = server.run(&["queues", "drain", "default"]);
    assert!(again.code == 0 && again.stderr.contains("takes no new jobs already"), "{}", again.stderr);
    let unknown = server.run(&["queues", "drain", "typo"]);
    assert!(unknown.code == 3 && unknown.stderr.contains("there are default"), "{}", unknown.stderr);
    assert_eq!(server.run(&["queues", "drain", "default", "--then", "hold"]).code, 2, "then needs a deadline");
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn switches_name_what_they_cover_are_json_for_scripts_and_a_watched_drain_outlives_ctrl_c() {
    let redis = TestRedis::start().await;
    let (server, store) = (Server::start(&redis).await, redis.store().await);
    let paused = server.run(&["queues", "pause", "default", "--type", "echo", "-o", "json"]);
    assert!(paused.stderr.contains("echo in default is paused"), "{}", paused.stderr);
    assert_eq!(paused.json()["paused_parts"][0]["type"], "echo");
    let said = server.run(&["queues", "resume", "default", "--workspace", "acme"]).stderr;
    assert!(said.contains("workspace acme in default goes on"), "{said}");
    assert_eq!(server.run(&["queues", "resume", "default", "-o", "json"]).json()["name"], "default");
    lasting(&store, 1, 1).await;
    server.run(&["queues", "pause", "default", "--reason", "a look"]).ok();
    let why = server.run(&["why", "default"]).ok();
    assert_eq!(why.matches("a look").count(), 1, "a pause is told once: {why}");
    let mut watched = Pty::run(&server.url, &["queues", "drain", "default", "--wait"]);
    watched.wait_for(0, "Ctrl-C ends the watching only");
    watched.press("\u{3}");
    assert_eq!(watched.ended(), Some(130));
    assert!(server.run(&["queues", "drain", "default", "-o", "json"]).json()["draining"].is_object());
    let refused = server.run(&["jobs", "submit", "echo", "--workspace", "acme"]);
    assert!(refused.code == 4 && refused.stderr.contains("`windlass queues resume default`"), "{}", refused.stderr);
}
