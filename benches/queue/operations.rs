//! A million dead letters: looked at, and redriven while workers process and the process that carries it on is killed.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use windlass::clock::{self, Instant};
use windlass::domain::{JobFilter, JobId, Operation, OperationAction, OperationPlan, OperationState};
use windlass::engine::Operations;
use windlass::store::Store;

use crate::fleet::Process;
use crate::jobs::PAYLOAD;
use crate::redis::{Raw, Redis};
use crate::table::{Table, median};

const ADMIN_KEY: &str = "the-admin-key-of-the-bench";

/// Jobs that one call of the seeding script writes.
const SEED: usize = 1_000;

/// Between two looks at what was done so far.
const LOOK: Duration = Duration::from_millis(100);

/// A `windlass serve`; killed when dropped.
struct Api {
    child: Child,
    client: reqwest::Client,
    url: String,
}

impl Api {
    async fn start(redis: &Redis) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", free.local_addr().expect("an address"));
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_windlass"))
            .arg("serve")
            .env("REDIS_URL", redis.url())
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("WINDLASS_ADMIN_KEY", ADMIN_KEY)
            .env("LOG_LEVEL", "warn")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary is built");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let api = Self { child, client, url };
        while api.get("/ready").await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        api
    }

    /// How long an answer took, if there was one.
    async fn get(&self, path: &str) -> Option<Duration> {
        let from = clock::now();
        let answer = self.client.get(format!("{}{path}", self.url)).bearer_auth(ADMIN_KEY).send().await.ok()?;
        let ok = answer.status().is_success();
        answer.bytes().await.ok()?;
        ok.then(|| from.elapsed())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Dead letters of 100 workspaces and 50 causes, in the store's own format; those of a call died in one millisecond.
fn seed(redis: &Redis, jobs: usize) {
    let mut raw = redis.raw();
    let sha = raw.ask(&["SCRIPT", "LOAD", include_str!("dead.lua")]);
    let now = u64::try_from(clock::wall().unix_ms()).unwrap_or_default() - 3_600_000;
    for first in (0..jobs).step_by(SEED) {
        let died = now + (first / SEED) as u64;
        let ids: Vec<String> = (first..jobs.min(first + SEED)).map(|_| JobId::new(died, 0).to_string()).collect();
        let (number, died) = (first.to_string(), died.to_string());
        let mut command = vec!["EVALSHA", &sha, "0", "ai", &number, &died, PAYLOAD];
        command.extend(ids.iter().map(String::as_str));
        raw.push(&command);
        if first / SEED % 8 == 7 {
            raw.flush();
        }
    }
    raw.flush();
}

fn plan(filter: JobFilter) -> OperationPlan {
    let filter = JobFilter { states: OperationAction::Redrive.default_states().to_vec(), ..filter };
    OperationPlan { action: OperationAction::Redrive, filter, target: None, rate: 100_000, note: String::new() }
}

/// The longest command since the log was reset, and the first words of it.
fn slowest(raw: &mut Raw) -> String {
    const SCRIPT: &str = "local most, what = 0, '' for _, e in ipairs(redis.call('SLOWLOG', 'GET', '100000')) do \
                          if e[3] > most then most, what = e[3], e[4][1] .. ' ' .. (e[4][2] or '') end end \
                          return most .. ' ' .. what";
    raw.ask(&["EVAL", SCRIPT, "0"])
}

/// Asks until it is so; the operation then, and how long `/metrics` took meanwhile.
async fn watch(
    operations: &Operations,
    api: &Api,
    id: JobId,
    scrapes: &mut Vec<f64>,
    so: impl Fn(&Operation) -> bool,
) -> Operation {
    loop {
        let operation = operations.get(id).await.expect("the operation");
        if so(&operation) {
            return operation;
        }
        if let Some(took) = api.get("/metrics").await {
            scrapes.push(took.as_secs_f64() * 1000.0);
        }
        tokio::time::sleep(LOOK).await;
    }
}

pub(crate) async fn million(table: &mut Table, jobs: usize) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let redis = Redis::start();
    seed(&redis, jobs);
    let store = redis.store(|_| {}).await;
    let (mut raw, operations) = (redis.raw(), Operations::new(store.clone()));
    for setting in [["slowlog-log-slower-than", "1000"], ["slowlog-max-len", "100000"]] {
        raw.ask(&["CONFIG", "SET", setting[0], setting[1]]);
    }
    raw.ask(&["SLOWLOG", "RESET"]);
    let api = Api::start(&redis).await;
    look(table, &api, &operations, &store, jobs).await;
    redrive(table, &redis, api, &operations, jobs as u64).await;
    let slowest = slowest(&mut raw);
    let (micros, what) = slowest.split_once(' ').unwrap_or_default();
    let ms = micros.parse::<f64>().unwrap_or(f64::NAN) / 1000.0;
    table.row("slowest command of all that", &format!("{ms:.1} ms"), "< 10 ms", &format!("from SLOWLOG: {what}"));
}

/// Groups and dry runs.
async fn look(table: &mut Table, api: &Api, operations: &Operations, store: &Store, jobs: usize) {
    let took = api.get("/dead-letters").await.expect("the groups").as_secs_f64();
    let groups = store.dead_groups().await.expect("the groups").len();
    table.row(
        &format!("{jobs} dead letters grouped"),
        &format!("{:.1} ms", took * 1000.0),
        "≤ 2 s",
        &format!("over HTTP, {groups} groups"),
    );
    let counted = from_preview(operations, JobFilter::default(), jobs as u64).await;
    let before = Some(store.now().await.expect("a time"));
    let walked = from_preview(operations, JobFilter { before, ..JobFilter::default() }, jobs as u64).await;
    let text = format!("all, each looked at; {counted:.3} s by the counts of groups");
    table.row("dry run of a redrive", &format!("{walked:.2} s"), "≤ 5 s", &text);
}

/// Seconds that a dry run takes.
async fn from_preview(operations: &Operations, filter: JobFilter, jobs: u64) -> f64 {
    let from = clock::now();
    let preview = operations.preview(&plan(filter)).await.expect("a preview");
    assert_eq!((preview.matched, preview.complete), (jobs, true), "a dry run counts all");
    from.elapsed().as_secs_f64()
}

/// The redrive; its API process is killed at two fifths and another goes on.
async fn redrive(table: &mut Table, redis: &Redis, api: Api, operations: &Operations, jobs: u64) {
    let mut raw = redis.raw();
    let mut count = |field: &str| raw.ask_number(&["HGET", "ai:queue:stats", field]);
    let _worker = Process::start(redis, 400, 15_000);
    let (id, from) = (JobId::new(u64::try_from(clock::wall().unix_ms()).unwrap_or_default(), 0), clock::now());
    let mut scrapes = Vec::new();
    operations.begin(id, &plan(JobFilter::default()), "bench", Some(jobs)).await.expect("it begins");
    let first = watch(operations, &api, id, &mut scrapes, |o| o.counts.done >= jobs * 2 / 5).await.counts.done;
    let (took, ended) = (from.elapsed().as_secs_f64(), count("succeeded"));
    drop(api);
    let killed = clock::now();
    let between = operations.get(id).await.expect("the operation").counts.done;
    let api = Api::start(redis).await;
    let went_on = gap(operations, id, between, killed).await;
    let end = watch(operations, &api, id, &mut scrapes, |o| o.state == OperationState::Finished).await;
    let rate = format!("{:.0} jobs/s", first as f64 / took);
    table.row("redrive while a worker processes", &rate, "≥ 2,000 jobs/s", &format!("{ended} succeeded meanwhile"));
    let most = scrapes.iter().copied().fold(0.0, f64::max);
    let scrape = median(&mut scrapes);
    let detail = format!("over HTTP, meanwhile; the longest of {} {most:.1} ms", scrapes.len());
    table.row("/metrics with all of these", &format!("{scrape:.1} ms"), "≤ 20 ms", &detail);
    while count("succeeded") < jobs && is_busy(redis) {
        tokio::time::sleep(LOOK).await;
    }
    let counts = end.counts;
    let wrong =
        [counts.matched, counts.done, count("redriven"), count("succeeded")].iter().filter(|n| **n != jobs).count();
    let detail = format!(
        "process killed at {between}, another went on after {went_on:.1} s; matched {}, done {}, redriven {}, succeeded {}",
        counts.matched,
        counts.done,
        count("redriven"),
        count("succeeded")
    );
    table.row("counts that are not the number of jobs", &wrong.to_string(), "0", &detail);
}

/// Seconds from the death of the process to the next change.
async fn gap(operations: &Operations, id: JobId, done: u64, killed: Instant) -> f64 {
    while operations.get(id).await.expect("the operation").counts.done == done {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    killed.elapsed().as_secs_f64()
}

/// Whether something is left to wait for.
fn is_busy(redis: &Redis) -> bool {
    let mut raw = redis.raw();
    raw.ask_number(&["LLEN", "ai:queue:pending"]) + raw.ask_number(&["ZCARD", "ai:queue:running"]) > 1
}
