//! The end of a run: how fast it recovered, when all was quiet, and everything that is left.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use windlass::clock::{self, Instant};

use super::client::{Api, Call, Phase};
use super::cpu::Cpu;
use super::history::{History, Stream};
use super::nemesis::Stage;
use super::pace;
use super::redis::Server;
use super::resp::{Connection, Patient, Reply};
use super::watch::Watch;
use super::workload::WORKSPACES;

const LOOK: &str = include_str!("lua/look.lua");

/// A window of throughput, in half seconds.
const WINDOW: usize = 4;

/// Ends of jobs per second, and the part of the machine they had.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) machine: f64,
}

/// A moment to measure from.
struct Mark {
    at: Instant,
    ended: u64,
    cpu: Cpu,
}

impl Mark {
    fn now(stage: &Stage) -> Self {
        Self { at: clock::now(), ended: stage.watch.ended(), cpu: Cpu::now(&stage.pids()) }
    }

    fn until(&self, later: &Self) -> Rate {
        let per_second = (later.ended - self.ended) as f64 / (later.at - self.at).as_secs_f64();
        Rate { per_second, machine: later.cpu.left_since(&self.cpu) }
    }
}

/// Throughput over a while.
pub(crate) async fn throughput(stage: &Stage, time: Duration) -> Rate {
    let start = Mark::now(stage);
    pace::pause(time).await;
    start.until(&Mark::now(stage))
}

/// Waits until a window has 90 % of the throughput from before the faults, and writes down how long that took. Less is
/// expected of less of a machine.
pub(crate) async fn recovery(stage: &Stage, before: Rate, limit: Duration) -> bool {
    let start = clock::now();
    let (mut marks, mut windows) = (VecDeque::from([Mark::now(stage)]), Vec::new());
    let mut recovered = None;
    while start.elapsed() < limit {
        pace::pause_ms(500).await;
        marks.push_back(Mark::now(stage));
        if marks.len() <= WINDOW {
            continue;
        }
        let (Some(from), Some(to)) = (marks.pop_front(), marks.back()) else { break };
        let rate = from.until(to);
        let wanted = 0.9 * before.per_second * (rate.machine / before.machine).min(1.0);
        windows.push(json!([rate.per_second.round(), wanted.round()]));
        if rate.per_second >= wanted {
            recovered = Some(start.elapsed().as_millis() as u64);
            break;
        }
    }
    let line = json!({"metric": "throughput", "baseline_per_s": before.per_second.round(),
        "baseline_machine": (before.machine * 100.0).round() / 100.0, "recovered_ms": recovered, "windows_per_s": windows});
    stage.history.line(Stream::Nemesis, line);
    recovered.is_some()
}

/// Waits until nothing waits or runs, and writes down how long that took.
pub(crate) async fn quiesce(history: &History, watch: &Watch, limit: Duration) -> bool {
    let (start, mut redis, mut calm) = (clock::now(), Patient::new(), 0);
    let quiet = pace::until!(limit, {
        let figures = watch.snapshot(&mut redis).await.unwrap_or_default();
        let zero = |name: &str| figures.iter().all(|of| of[name].as_i64() == Some(0));
        let still =
            !figures.is_empty() && ["pending_len", "running", "scheduled", "held"].iter().all(|name| zero(name));
        calm = if still { calm + 1 } else { 0 };
        calm >= 10
    });
    watch.catch_up().await;
    for figures in watch.snapshot(&mut redis).await.unwrap_or_default() {
        history.line(Stream::Snapshots, figures);
    }
    let line = json!({"metric": "quiesce", "reached": quiet, "ms": start.elapsed().as_millis() as u64});
    history.line(Stream::Nemesis, line);
    quiet
}

/// Every key of Redis with its content, and every acknowledged job as the API shows it.
pub(crate) async fn dump(history: &History, name: &str, redis: &Server, api: &Api) -> std::io::Result<()> {
    let entry = redis.newest_entry().await;
    let keys = keys(redis).await?;
    let jobs = jobs(api).await;
    history.document(name, &json!({"entry": entry, "keys": keys, "jobs": jobs}))
}

async fn keys(redis: &Server) -> std::io::Result<Value> {
    let mut connection = Connection::open(&redis.socket()).await?;
    let (mut found, mut cursor) = (Map::new(), "0".to_owned());
    loop {
        let page = connection.ask(&["SCAN", &cursor, "COUNT", "1000"]).await?;
        let [next, names] = page.list() else { return Err(std::io::Error::other(format!("SCAN said {page:?}"))) };
        let names: Vec<String> = names.list().iter().map(Reply::text).collect();
        let mut look = vec!["EVAL", LOOK, "0"];
        look.extend(names.iter().map(String::as_str));
        let looks = connection.ask(&look).await?;
        for (name, key) in names.iter().zip(looks.list()) {
            let [kind, left, text] = key.list() else { continue };
            let value = match text {
                Reply::Text(text) => json!(text),
                _ => content(&mut connection, name, &kind.text()).await?,
            };
            found.insert(name.clone(), json!({"type": kind.text(), "pttl": left.json(), "value": value}));
        }
        cursor = next.text();
        if cursor == "0" {
            return Ok(Value::Object(found));
        }
    }
}

async fn content(connection: &mut Connection, name: &str, kind: &str) -> std::io::Result<Value> {
    let command: &[&str] = match kind {
        "hash" => &["HGETALL", name],
        "list" => &["LRANGE", name, "0", "-1"],
        "set" => &["SMEMBERS", name],
        "zset" => &["ZRANGE", name, "0", "-1", "WITHSCORES"],
        // The log is the tail's business.
        "stream" => &["XLEN", name],
        _ => return Ok(Value::Null),
    };
    let reply = connection.ask(command).await?;
    Ok(match (kind, &reply) {
        ("hash" | "zset", Reply::List(_)) => reply.object(),
        _ => reply.json(),
    })
}

/// Lists first, which costs a request per two hundred jobs; one by one what no list has.
async fn jobs(api: &Api) -> Value {
    let mut acked = api.take_acked();
    let mut found = Map::new();
    for (workspace, _) in WORKSPACES {
        let mut path = "/ai/jobs?limit=200".to_owned();
        loop {
            let page = api.send(0, &Call::get(workspace, &path)).await;
            for job in page.body["jobs"].as_array().into_iter().flatten() {
                let id = job["id"].as_str().unwrap_or_default().to_owned();
                acked.remove(&id);
                found.insert(id, job.clone());
            }
            match page.body["next_cursor"].as_str() {
                Some(cursor) => path = format!("/ai/jobs?limit=200&cursor={cursor}"),
                None if page.phase == Phase::Done => break,
                None => pace::pause_ms(100).await,
            }
        }
    }
    let rest: Vec<(String, String)> = acked.into_iter().collect();
    for some in rest.chunks(16) {
        let shown = some.iter().map(async |(id, workspace)| (id.clone(), show(api, id, workspace).await));
        found.extend(join_all(shown).await);
    }
    Value::Object(found)
}

/// One job as the API shows it, or that it does not.
async fn show(api: &Api, id: &str, workspace: &str) -> Value {
    let mut answer = api.send(0, &Call::get(workspace, format!("/ai/jobs/{id}"))).await;
    for n in 1..20 {
        if answer.phase == Phase::Done {
            return answer.body;
        }
        if answer.status == 404 {
            break;
        }
        pace::pause_ms(100).await;
        answer = api.send(n, &Call::get(workspace, format!("/ai/jobs/{id}"))).await;
    }
    json!({"missing": answer.status})
}
