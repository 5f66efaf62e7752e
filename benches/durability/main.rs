//! `make durability`: acknowledged jobs that a failover or a power cut takes away, under the default and
//! under strict, side by side. Fails if strict lost one.
//!
//! - **Failover**: the replication link goes silent under load, a moment later the primary is killed and
//!   the replica promoted. Strict waits for that replica.
//! - **Power cut**: Redis is killed under load, and its append-only file cut to what its disk must have:
//!   under `everysec` (the default) to the second before, under `always` (strict without replicas), which
//!   syncs before every answer, to the moment of the kill.
#![expect(clippy::expect_used, reason = "a bench that cannot go on should say so")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what it is for")]
#![expect(clippy::disallowed_methods, reason = "it starts servers of its own")]

mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use windlass::clock;
use windlass::domain::{JobId, JobSpec, JobType, Priority, QueueName, RawJson, RequestId, Workspace};
use windlass::engine::{Guard, Submitter, tasks};
use windlass::store::{Scope, Store, Strict};

use server::{Server, Way};

/// Clients that submit one job after the other.
const CLIENTS: usize = 16;
/// How long strict waits for its replica.
const WAIT: Duration = Duration::from_millis(500);

/// What one fault did.
#[derive(Clone, Copy, Debug, Default)]
struct Toll {
    acknowledged: usize,
    refused: usize,
    lost: usize,
}

fn main() -> std::process::ExitCode {
    let rounds = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(5);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let lost_by_strict = runtime.block_on(run(rounds));
    if lost_by_strict == 0 { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

async fn run(rounds: usize) -> usize {
    let mut totals = [Toll::default(); 4];
    for round in 1..=rounds {
        let tolls = [failover(false).await, failover(true).await, power_cut(false).await, power_cut(true).await];
        eprintln!("round {round}: {tolls:?}");
        for (total, toll) in totals.iter_mut().zip(tolls) {
            total.acknowledged += toll.acknowledged;
            total.refused += toll.refused;
            total.lost += toll.lost;
        }
    }
    println!(
        "\n{:<10}  {:<34}  {:>6}  {:>12}  {:>10}  {:>6}",
        "fault", "mode", "faults", "acknowledged", "in doubt", "lost"
    );
    let rows = [
        ("failover", "standard"),
        ("failover", "strict, 1 replica"),
        ("power cut", "standard, appendfsync everysec"),
        ("power cut", "strict, appendfsync always"),
    ];
    for ((fault, mode), toll) in rows.iter().zip(totals) {
        let Toll { acknowledged, refused, lost } = toll;
        println!("{fault:<10}  {mode:<34}  {rounds:>6}  {acknowledged:>12}  {refused:>10}  {lost:>6}");
    }
    totals[1].lost + totals[3].lost
}

async fn failover(strict: bool) -> Toll {
    let mut primary = Server::start(&["--appendfsync", "everysec"]);
    let way = Way::to(&primary).await;
    let replica = Server::start(&["--replicaof", "127.0.0.1", &way.port.to_string()]);
    while !primary.ask("INFO replication").contains("state=online") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let strict = strict.then_some(Strict { replicas: 1, wait: WAIT });
    let load = Load::start(primary.store(|options| options.strict = strict).await).await;
    tokio::time::sleep(Duration::from_millis(rand::random_range(500..1500))).await;
    way.go_silent();
    tokio::time::sleep(Duration::from_millis(rand::random_range(50..500))).await;
    primary.kill();
    replica.ask("REPLICAOF NO ONE");
    load.toll(&replica.store(|_| {}).await).await
}

async fn power_cut(strict: bool) -> Toll {
    let fsync = if strict { "always" } else { "everysec" };
    let mut redis = Server::start(&["--appendfsync", fsync]);
    let strict_options = strict.then_some(Strict { replicas: 0, wait: WAIT });
    let load = Load::start(redis.store(|options| options.strict = strict_options).await).await;
    tokio::time::sleep(Duration::from_millis(rand::random_range(2500..3500))).await;
    redis.kill();
    let second = u64::try_from(clock::wall().unix_ms() / 1000).expect("after 1970");
    redis.truncate(if strict { second } else { second - 1 });
    redis.restart();
    load.toll(&redis.store(|_| {}).await).await
}

/// Clients of one API process, through its own submitter.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<(Vec<JobId>, usize)>>,
    shutdown: CancellationToken,
}

impl Load {
    async fn start(store: Store) -> Self {
        let (stop, shutdown) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let guard = Guard::start(store.clone(), shutdown.clone());
        assert!(guard.first_look().await.ready(), "{:?}", guard.findings().checks);
        let submitter = Submitter::start(store, guard, shutdown.clone());
        let client = |n| tasks::spawn("client", submit(submitter.clone(), n, Arc::clone(&stop)));
        Self { clients: (0..CLIENTS).map(client).collect(), stop, shutdown }
    }

    /// Stops, and looks every acknowledged job up in what is left.
    async fn toll(self, left: &Store) -> Toll {
        self.stop.store(true, Ordering::Relaxed);
        let (mut acknowledged, mut refused) = (Vec::new(), 0);
        for client in self.clients {
            let (jobs, without) = client.await.expect("a client");
            acknowledged.extend(jobs);
            refused += without;
        }
        self.shutdown.cancel();
        let kept = stream::iter(acknowledged.clone())
            .map(async |id| left.job(&Scope::All, id).await.expect("an answer").is_some())
            .buffer_unordered(64)
            .filter(|kept| std::future::ready(*kept))
            .count()
            .await;
        Toll { acknowledged: acknowledged.len(), refused, lost: acknowledged.len() - kept }
    }
}

/// The jobs that were acknowledged, and how many were not.
async fn submit(submitter: Submitter, client: usize, stop: Arc<AtomicBool>) -> (Vec<JobId>, usize) {
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match submitter.submit(spec(&format!("{client}-{n}"))).await {
            Ok(submitted) => acknowledged.push(submitted.job.id),
            Err(_) => {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    (acknowledged, refused)
}

fn spec(request: &str) -> JobSpec {
    JobSpec {
        workspace: Workspace::new("acme").expect("a name"),
        request_id: RequestId::new(request).expect("a request id"),
        job_type: JobType::new("echo").expect("a type"),
        queue: QueueName::default_queue(),
        priority: Priority::Normal,
        run_at: None,
        expires_at: None,
        timeout: Duration::from_secs(60),
        max_attempts: 3,
        callback_url: None,
        requester: None,
        origin: None,
        metadata: RawJson::from_compact("{}"),
        input: RawJson::from_compact("{}"),
        fingerprint: request.to_owned(),
    }
}
