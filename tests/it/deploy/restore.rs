//! `restore.sh`: what comes back, what is refused, and the way back.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use windlass::clock;
use windlass::domain::Timestamp;

use super::archive::{Started, Yard};
use crate::support::fleet::until;
use crate::support::processes::{ADMIN, Process};
use crate::support::redis::TestRedis;

const AT_ONCE: &[&str] = &["--repl-diskless-sync-delay", "0"];

/// One request of an operator to an API.
async fn call(url: &str, method: Method, path: &str, body: Option<Value>) -> Value {
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = client.request(method, format!("{url}{path}")).bearer_auth(ADMIN);
    let request = request.header("X-Windlass-Workspace", "acme");
    let request = if let Some(body) = body { request.json(&body) } else { request };
    let answer = request.send().await.expect("an answer");
    let (status, text) = (answer.status(), answer.text().await.expect("a body"));
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).expect("JSON")
}

async fn submit(url: &str, id: &str, run_at: Option<&str>) -> String {
    let job = json!({"client_request_id": id, "type": "echo", "input": {"n": id}, "run_at": run_at});
    call(url, Method::POST, "/ai/jobs", Some(job)).await["id"].as_str().expect("an id").to_owned()
}

/// Jobs in line, one for later, one that was cancelled; and how the API lists them.
async fn fill(redis: &TestRedis) -> Value {
    let (_serve, url) = Process::serve(redis, &[]);
    for id in ["r-1", "r-2", "r-3"] {
        submit(&url, id, None).await;
    }
    let tomorrow = Timestamp::from_unix_ms(clock::wall().unix_ms() + 86_400_000);
    submit(&url, "r-later", Some(&tomorrow.to_string())).await;
    let gone = submit(&url, "r-gone", None).await;
    call(&url, Method::POST, &format!("/ai/jobs/{gone}/cancel"), None).await;
    call(&url, Method::GET, "/ai/jobs", None).await
}

/// All data, but the epoch, which a restore takes away.
fn digest(redis: &TestRedis) -> String {
    redis.ask(&["DEL", "ai:epoch"]);
    redis.ask(&["DEBUG", "DIGEST"])
}

#[tokio::test]
async fn a_backup_in_an_empty_server_has_the_same_jobs_keys_and_counts() {
    let (source, yard) = (TestRedis::start_with(AT_ONCE).await, Yard::new());
    let jobs = fill(&source).await;
    let epoch = source.ask(&["GET", "ai:epoch"]);
    yard.back_up(&source).ok();
    let expected = digest(&source);

    let mut target = TestRedis::start_with(AT_ONCE).await;
    assert_eq!(target.cli_int(&["DBSIZE"]), 0);
    target.kill();
    let (start, started) = Started::by_command(&target);
    let folder = target.folder().display().to_string();
    let arguments = ["--yes", "--data-dir", &folder, "--start-with", &start, &yard.latest()];
    let said = yard.run("restore.sh", &target.url(), &arguments, &[]).ok();
    assert!(said.contains("restore: well"), "{said}");
    assert_eq!(target.ask(&["DEBUG", "DIGEST"]), expected, "the same data, byte by byte");
    assert_eq!(target.cli_int(&["LLEN", "ai:queue:pending"]), 3);

    // It keeps what it got: the append-only file alone brings it back.
    drop(started);
    target.launch().await;
    assert_eq!(target.ask(&["DEBUG", "DIGEST"]), expected);
    let (_serve, url) = Process::serve(&target, &[]);
    assert_eq!(call(&url, Method::GET, "/ai/jobs", None).await, jobs);
    let again = target.ask(&["GET", "ai:epoch"]);
    assert!(!again.is_empty() && again != epoch, "readers of events and effects learn that state was lost");
    let job = json!({"client_request_id": "r-1", "type": "echo", "input": {"n": "r-1"}, "run_at": null});
    let replay = call(&url, Method::POST, "/ai/jobs", Some(job)).await;
    assert!(jobs["jobs"].as_array().unwrap().iter().any(|job| job["id"] == replay["id"]), "its key came back too");
}

#[tokio::test]
async fn a_damaged_archive_is_refused_and_nothing_is_touched() {
    let (source, yard) = (TestRedis::start_with(AT_ONCE).await, Yard::new());
    source.ask(&["SET", "ai:layout", "2:1"]);
    yard.back_up(&source).ok();
    let good = std::fs::read(yard.latest()).unwrap();
    let data = yard.path("data");
    std::fs::create_dir(&data).unwrap();
    yard.write("data/dump.rdb", "what is there");
    let restore = |archive: &std::path::Path| {
        let (data, archive) = (data.display().to_string(), archive.display().to_string());
        let nobody = format!("redis+unix://{}", yard.path("nobody").display());
        let said = yard.run("restore.sh", &nobody, &["--yes", "--data-dir", &data, &archive], &[]);
        let left: Vec<_> = std::fs::read_dir(&data).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["dump.rdb"], "{said:?}");
        said
    };
    // One byte off, with the checksum beside it and without.
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let name = yard.archives().remove(0);
    std::fs::write(yard.path("out").join(&name), &bytes).unwrap();
    restore(&yard.path("out/latest.tar.gz")).says(4, "it is not what its .sha256 says");
    let alone = yard.path("alone.tar.gz");
    std::fs::write(&alone, &bytes).unwrap();
    restore(&alone).says(4, "is damaged");
    std::fs::write(&alone, &good[..good.len() / 2]).unwrap();
    restore(&alone).says(4, "is damaged");
    // A sound archive with another snapshot in it.
    std::fs::write(yard.path("out").join(&name), &good).unwrap();
    let unpacked = yard.unpack();
    let snapshot = unpacked.join("redis-1.rdb");
    let rdb = std::fs::read(&snapshot).unwrap();
    std::fs::write(&snapshot, [&rdb[..], b"more"].concat()).unwrap();
    let tar = std::process::Command::new("tar").arg("-C").arg(&unpacked).arg("-czf").arg(&alone).arg(".").status();
    assert!(tar.unwrap().success());
    restore(&alone).says(4, "its files are not what its MANIFEST says");
    restore(&yard.write("empty.tar.gz", "")).says(4, "is damaged");
    restore(&yard.path("none")).says(2, "no such archive");
}

#[tokio::test]
async fn nothing_is_replaced_under_processes_without_a_word_or_a_yes() {
    let (mut redis, yard) = (TestRedis::start_with(AT_ONCE).await, Yard::new());
    // One that this process holds no connections to.
    redis.kill();
    let _started = Started::now(&redis);
    let (serve, _) = Process::serve(&redis, &[]);
    yard.back_up(&redis).ok();
    let folder = redis.folder().display().to_string();
    let stop = ["--data-dir", &folder, "--stop-with", "false", &yard.latest()];
    yard.run("restore.sh", &redis.url(), &stop, &[]).says(4, "these are connected to Redis");
    serve.kill();
    let alone = async || (redis.ask(&["CLIENT", "LIST", "TYPE", "normal"]).lines().count() == 1).then_some(());
    until("the connections end", alone).await;
    yard.run("restore.sh", &redis.url(), &["--yes", "--data-dir", &folder, &yard.latest()], &[])
        .says(4, "Redis runs: stop it");
    yard.run("restore.sh", &redis.url(), &stop, &[]).says(4, "nothing was done");
    let with_password = format!("redis+unix://:wrong@{}", redis.socket().display());
    redis.ask(&["CONFIG", "SET", "requirepass", "right"]);
    yard.run("restore.sh", &with_password, &stop, &[]).says(5, "whether Redis runs cannot be told");
}

#[tokio::test]
async fn what_was_there_is_put_aside_and_taken_again() {
    let (mut redis, yard) = (TestRedis::start_with(AT_ONCE).await, Yard::new());
    redis.ask(&["SET", "ai:layout", "2:1"]);
    yard.write("etc/windlass.env", "LOG_LEVEL=debug\n");
    yard.back_up(&redis).ok();
    redis.ask(&["SET", "since", "then"]);
    redis.kill();
    let folder = redis.folder().display().to_string();
    // An address that says nothing, as the name of a stopped container does.
    let nowhere = format!("redis+unix://{}/below", yard.latest());
    let restore = ["--yes", "--data-dir", &folder, &yard.latest()];
    yard.run("restore.sh", &nowhere, &restore, &[]).says(5, "whether Redis runs cannot be told");
    let config = yard.path("config").display().to_string();
    yard.run("restore.sh", &nowhere, &[&["--down", "--config-to", &config], &restore[..]].concat(), &[]).ok();
    let env = yard.path("config").join(yard.path("etc/windlass.env").strip_prefix("/").unwrap());
    assert_eq!(std::fs::read_to_string(env).unwrap(), "LOG_LEVEL=debug\n");
    redis.launch().await;
    assert_eq!(redis.ask(&["EXISTS", "since"]), "0");
    yard.run("restore.sh", &redis.url(), &["--check", &yard.latest()], &[]).ok();
    redis.kill();
    yard.run("restore.sh", &redis.url(), &["--yes", "--data-dir", &folder, "--back"], &[]).ok();
    redis.launch().await;
    assert_eq!(redis.ask(&["GET", "since"]), "then");
    yard.run("restore.sh", &redis.url(), &["--check", &yard.latest()], &[]).ok();
    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    yard.run("restore.sh", &redis.url(), &["--check", &yard.latest()], &[]).says(1, "not noeviction");
}

#[tokio::test]
async fn a_restore_that_finds_no_room_has_touched_nothing_and_one_that_is_cut_short_says_how_to_go_back() {
    let (mut redis, yard) = (TestRedis::start_with(AT_ONCE).await, Yard::new());
    fill(&redis).await;
    yard.back_up(&redis).ok();
    let expected = digest(&redis);
    redis.kill();
    let folder = redis.folder().to_path_buf();
    let listing = || {
        let names = std::fs::read_dir(&folder).expect("a folder").map(|e| e.expect("an entry").file_name());
        names.map(|name| name.into_string().expect("text")).collect::<BTreeSet<_>>()
    };
    let (before, data) = (listing(), folder.display().to_string());
    let arguments = ["--yes", "--data-dir", &data, &yard.latest()];
    let restore = |settings: &[(&str, &str)]| yard.run("restore.sh", &redis.url(), &arguments, settings);

    yard.program("cp", "echo half >\"${@: -1}\"; echo 'cp: No space left on device' >&2; exit 1");
    restore(&[]).says(4, "nothing was changed");
    assert_eq!(listing(), before);

    // The last move fails: it is half done, and says so.
    std::fs::remove_file(yard.path("bin/cp")).expect("a file");
    yard.program("mv", "case \"$*\" in *restoring*) exit 1 ;; esac; exec /bin/mv \"$@\"");
    let said = restore(&[]);
    said.says(1, "do not start Redis");
    std::fs::remove_file(yard.path("bin/mv")).expect("a file");
    let back = said.text.lines().find_map(|line| line.split_once("--back ")).expect("the way back").1;
    yard.run("restore.sh", &redis.url(), &["--yes", "--data-dir", &data, "--back", back], &[]).ok();
    redis.launch().await;
    assert_eq!(digest(&redis), expected);
}
