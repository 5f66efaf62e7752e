//! What happens to Redis without a loss of what it acknowledged.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::children;
use crate::dice::Dice;
use crate::pace;
use crate::redis::Server;

use super::Stage;

pub(super) const KINDS: &[&str] = &[
    "redis_kill",
    "redis_stop",
    "client_pause",
    "client_kill",
    "script_flush",
    "busy_script",
    "oom",
    "read_only",
    "misconf",
    "eviction_policy",
    "disk_full_always",
    "disk_full_everysec",
];

impl Stage {
    pub(super) async fn strike_redis(&self, kind: &str, dice: &mut Dice) {
        let redis = self.pair.primary();
        // Redis 7.0.15 could not read its file again that had been rewritten and then met a full disk: its own fault.
        let rewritten = redis.info("persistence", "aof_base_size").await.parse().is_ok_and(|bytes: u64| bytes > 4_096);
        let kind = if rewritten && kind.starts_with("disk_full") { "redis_kill" } else { kind };
        let ms = dice.between(600, 3_000);
        let begun = self.begin(kind, "S", &redis.name, json!({"ms": ms}));
        let mut args = Value::Null;
        match kind {
            "redis_kill" => {
                redis.kill().await;
                pace::pause_ms(ms / 2).await;
            }
            "redis_stop" => {
                redis.signal(Signal::SIGSTOP);
                pace::pause_ms(ms + 1_000).await;
                redis.signal(Signal::SIGCONT);
            }
            "client_pause" => {
                let what = *dice.pick(&["ALL", "WRITE"]);
                redis.ask(&["CLIENT", "PAUSE", &ms.to_string(), what]).await;
                pace::pause_ms(ms).await;
            }
            "client_kill" => {
                for _ in 0..dice.between(1, 5) {
                    redis.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
                    pace::pause_ms(ms / 5).await;
                }
            }
            "script_flush" => {
                for _ in 0..ms / 100 {
                    redis.ask(&["SCRIPT", "FLUSH", "SYNC"]).await;
                    pace::pause_ms(100).await;
                }
            }
            "busy_script" => busy(&redis, ms).await,
            "oom" => {
                let used = redis.info("memory", "used_memory").await;
                redis.set("maxmemory", &used).await;
                pace::pause_ms(ms + 1_000).await;
            }
            "read_only" => {
                redis.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
                pace::pause_ms(ms).await;
            }
            "misconf" => misconf(&redis, ms).await,
            "eviction_policy" => {
                let policy = *dice.pick(&["allkeys-lru", "volatile-lru", "volatile-ttl"]);
                redis.set("maxmemory-policy", policy).await;
                pace::pause_ms(5_000).await;
            }
            "disk_full_always" => args = json!({"ended": full(&redis).await}),
            _ => args = json!({"refused": full_everysec(&redis, ms).await}),
        }
        self.mend_redis().await;
        self.end(begun, args);
    }

    /// Brings the primary back to life and to its settings.
    pub(crate) async fn mend_redis(&self) {
        let redis = self.pair.primary();
        redis.signal(Signal::SIGCONT);
        if redis.ended().await {
            redis.kill().await;
            if let Err(error) = redis.launch().await {
                self.history.note(&format!("{}: {error}", redis.name));
            }
        }
        let settings =
            [("maxmemory", "2gb"), ("maxmemory-policy", "noeviction"), ("save", ""), ("appendfsync", "always")];
        for (name, value) in settings {
            redis.set(name, value).await;
        }
        if redis.info("replication", "role").await != "master" {
            redis.ask(&["REPLICAOF", "NO", "ONE"]).await;
        }
    }
}

/// A script that does not end, until it is told to.
async fn busy(redis: &Server, ms: u64) {
    let endless = ["EVAL", "while true do end", "0"];
    let killed = async {
        pace::pause_ms(ms).await;
        // Redis listens to nothing but this once the script counts as slow.
        pace::until!(Duration::from_secs(5), {
            redis.ask(&["SCRIPT", "KILL"]).await.is_some_and(|reply| reply.text() == "OK")
        });
    };
    tokio::join!(redis.ask(&endless), killed);
}

/// A snapshot that cannot be written: a folder has its name.
async fn misconf(redis: &Server, ms: u64) {
    let blocked = redis.folder().join("dump.rdb");
    let _ = std::fs::remove_file(&blocked);
    let _ = std::fs::create_dir(&blocked);
    redis.set("save", "3600 1000000").await;
    redis.ask(&["BGSAVE"]).await;
    pace::until!(Duration::from_secs(5), redis.info("persistence", "rdb_last_bgsave_status").await == "err");
    pace::pause_ms(ms).await;
    redis.set("save", "").await;
    let _ = std::fs::remove_dir(&blocked);
}

/// The size of the append-only file that grows: during a rewrite there are two.
fn grown(redis: &Server) -> u64 {
    let files = std::fs::read_dir(redis.folder().join("appendonlydir")).into_iter().flatten().flatten();
    let growing = files.filter(|file| file.file_name().to_string_lossy().ends_with(".incr.aof"));
    let sizes = growing.filter_map(|file| file.metadata().ok()).map(|data| (data.modified().ok(), data.len()));
    sizes.max().map_or(0, |(_, size)| size)
}

/// The disk under the append-only file is full from here on, or not any more. A limit on the size of a
/// process' files does it without any right.
async fn limit(redis: &Server, bytes: Option<u64>) {
    let soft = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let (pid, size) = (redis.pid().to_string(), format!("--fsize={soft}:unlimited"));
    children::run("prlimit", &["--pid", &pid, &size]).await;
}

/// Under `always` Redis ends rather than answer for what it could not write.
async fn full(redis: &Server) -> bool {
    limit(redis, Some(grown(redis) + 20_000)).await;
    let ended = pace::until!(Duration::from_secs(5), redis.ended().await);
    pace::pause_ms(300).await;
    if !ended {
        limit(redis, None).await;
    }
    ended
}

/// Under `everysec` it refuses writes until there is room again; what it has it writes then.
async fn full_everysec(redis: &Server, ms: u64) -> bool {
    redis.set("appendfsync", "everysec").await;
    limit(redis, Some(grown(redis) + 20_000)).await;
    let ok = async || redis.info("persistence", "aof_last_write_status").await == "ok";
    let refused = pace::until!(Duration::from_secs(5), !ok().await);
    pace::pause_ms(ms).await;
    limit(redis, None).await;
    pace::until!(Duration::from_secs(10), ok().await);
    // `always` waits for the disk, so that nothing is outstanding when a kill comes.
    redis.set("appendfsync", "always").await;
    pace::pause_ms(1_200).await;
    refused
}
