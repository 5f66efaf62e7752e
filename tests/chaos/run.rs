//! One run: start everything, a calm beginning, faults, losses, healing, quiet, and the history of it all.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use windlass::clock;

use super::children::{self, Launcher};
use super::client::Api;
use super::finish::Rate;
use super::fleet::{ADMIN, Fleet, Plan};
use super::history::{History, Stream};
use super::nemesis::process::faketime;
use super::nemesis::{LANES, Stage};
use super::proxy::{Proxy, Target};
use super::redis::Pair;
use super::sinks::Sinks;
use super::watch::Watch;
use super::workload::{TYPES, WORKSPACES, Workload};
use super::{dump, finish, pace};

/// Short, so that a fault of a few seconds is longer.
const LEASE_MS: u64 = 2_000;
/// Clients alone, to learn the throughput before the faults.
const CALM: Duration = Duration::from_secs(8);
/// Throughput must be back within this.
const RECOVERY: Duration = Duration::from_secs(10);
/// So long may a job that was taken before the faults ended go on harming workers: three crashes and their leases.
const HARM: Duration = Duration::from_millis(4 * LEASE_MS);
/// Everything must have ended within this.
const QUIET: Duration = Duration::from_secs(90);
/// The part of the time in which nothing acknowledged may be lost.
const WITHOUT_LOSS: f64 = 0.72;

/// What a run is made of.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) minutes: f64,
    pub(crate) folder: PathBuf,
    /// Kinds of faults; empty for all.
    pub(crate) faults: Vec<String>,
    /// A planted bug of the special build.
    pub(crate) bug: Option<String>,
    /// How long a drill waits for everything to end.
    pub(crate) quiet: Duration,
}

/// How long a drill waits for its fleet to be well.
const HEALING: Duration = Duration::from_secs(30);

/// Lanes that go on while Redis loses what it acknowledged; the others are about Redis itself, or need it.
const BESIDE_LOSS: &[&str] = &["process", "network"];

/// Everything that runs.
struct World {
    stage: Arc<Stage>,
    workload: Arc<Workload>,
    /// Data of the servers and our own copy of the binary; goes last.
    _root: TempDir,
}

/// Makes a history.
pub(crate) async fn run(options: &Options) -> std::io::Result<()> {
    let history = Arc::new(History::create(&options.folder)?);
    let world = build(options, &history).await?;
    meta(options, &history).await?;
    let total = Duration::from_secs_f64(options.minutes * 60.0);
    let stage = &world.stage;

    world.workload.set_tame(true);
    let clients = world.workload.start(options.seed);
    pace::pause(Duration::from_secs(3)).await;
    let baseline = finish::throughput(stage, CALM).await;
    println!("chaos: {:.0} jobs/s before the faults", baseline.per_second);
    world.workload.set_tame(false);
    let all: Vec<&str> = LANES.iter().map(|(name, ..)| *name).collect();
    join(stage.start(options.seed, &all, clock::now() + total.mul_f64(WITHOUT_LOSS))).await?;
    world.settle(clients, baseline, "safe.json").await?;

    println!("chaos: {} faults without loss; now with", stage.faults.load(Relaxed));
    world.workload.set_tame(false);
    let clients = world.workload.start(options.seed + 1);
    pace::pause(Duration::from_secs(3)).await;
    let end = clock::now() + total.mul_f64(1.0 - WITHOUT_LOSS);
    let lanes = stage.start(options.seed + 1, BESIDE_LOSS, end);
    stage.lose(options.seed, end).await;
    join(lanes).await?;
    world.settle(clients, baseline, "final.json").await?;
    world.report();
    Ok(())
}

/// Makes a short history for one question: faults without loss for its minutes, then quiet.
/// How fast the fleet is and comes back is not asked.
pub(crate) async fn drill(options: &Options) -> std::io::Result<()> {
    let history = Arc::new(History::create(&options.folder)?);
    let world = build(options, &history).await?;
    meta(options, &history).await?;
    let (stage, clients) = (&world.stage, world.workload.start(options.seed));
    pace::pause(Duration::from_secs(2)).await;
    let all: Vec<&str> = LANES.iter().map(|(name, ..)| *name).collect();
    join(stage.start(options.seed, &all, clock::now() + Duration::from_secs_f64(options.minutes * 60.0))).await?;
    // A bug may keep the fleet from becoming well.
    let healed = tokio::time::timeout(HEALING, stage.heal()).await.unwrap_or(false);
    history.line(Stream::Nemesis, json!({"metric": "healed", "all_up": healed}));
    world.workload.stop();
    join(clients).await?;
    finish::quiesce(&history, &stage.watch, options.quiet).await;
    dump::write(&history, "final.json", &stage.pair.primary(), &stage.api).await?;
    history.line(Stream::Nemesis, json!({"metric": "dumped", "file": "final.json"}));
    history.flush();
    Ok(())
}

/// Waits for tasks; one that panicked has said why, and there is no history without it.
async fn join(tasks: Vec<JoinHandle<()>>) -> std::io::Result<()> {
    for task in tasks {
        task.await.map_err(std::io::Error::other)?;
    }
    Ok(())
}

impl World {
    /// Heals, measures, waits until all is quiet, and writes down all that is there.
    async fn settle(&self, clients: Vec<JoinHandle<()>>, baseline: Rate, name: &str) -> std::io::Result<()> {
        let (stage, history) = (&self.stage, &self.stage.history);
        self.workload.set_tame(true);
        // Jobs that harm their workers have to have done their harm.
        let (healed, ()) = tokio::join!(stage.heal(), pace::pause(HARM));
        history.line(Stream::Nemesis, json!({"metric": "healed", "all_up": healed}));
        let recovered = finish::recovery(stage, baseline, RECOVERY).await;
        self.workload.stop();
        join(clients).await?;
        let quiet = finish::quiesce(history, &stage.watch, QUIET).await;
        dump::write(history, name, &stage.pair.primary(), &stage.api).await?;
        history.line(Stream::Nemesis, json!({"metric": "dumped", "file": name}));
        history.flush();
        println!("chaos: all up {healed}, throughput back {recovered}, quiet {quiet}");
        Ok(())
    }

    fn report(&self) {
        let stage = &self.stage;
        println!(
            "chaos: {} faults, {} jobs enqueued, {} outcomes unknown, {} claims, {} ends, {} foreign replies",
            stage.faults.load(Relaxed),
            self.workload.enqueued.load(Relaxed),
            self.workload.unknown.load(Relaxed),
            stage.watch.begun(),
            stage.watch.ended(),
            stage.api.canaries(),
        );
        println!("chaos: history in {}", stage.history.folder().display());
    }
}

async fn build(options: &Options, history: &Arc<History>) -> std::io::Result<World> {
    let root = TempDir::new()?;
    let launcher = Launcher::detect().await;
    let program = children::own_copy(root.path())?;
    let logs = history.folder().join("logs");
    let pair = Arc::new(Pair::start(root.path(), &logs, &launcher).await?);
    let sinks = Sinks::start(history, &pair).await?;
    let sink = watch::Sender::new(Some(Target::Tcp(sinks.address)));
    let receiver = Proxy::start("workers-receiver", sink.subscribe()).await?;
    let settings = settings(options, &receiver.address.to_string());
    let plan = Plan {
        launcher,
        program,
        redis: pair.target.subscribe(),
        model: sink.subscribe(),
        settings,
        history: Arc::clone(history),
    };
    let fleet = Fleet::start(plan, 2, 3).await?;
    sinks.meet(&fleet);
    let api = Api::new(fleet.apis.iter().map(|slot| Arc::clone(&slot.other)).collect(), history);
    let up = pace::until!(Duration::from_secs(60), fleet.all().all(|slot| slot.is_ready()));
    if !up || !api.provision(&WORKSPACES).await {
        return Err(std::io::Error::other("the fleet does not come up; its logs are in the history's folder"));
    }
    let names =
        WORKSPACES.iter().map(|(name, _)| format!("w:{name}")).chain(TYPES.iter().map(|name| format!("t:{name}")));
    let watch = Watch::start(&pair, history, names.collect());
    let workload = Workload::new(&api, &watch, format!("http://{}/hook", receiver.address));
    let stage = Arc::new(Stage {
        history: Arc::clone(history),
        pair,
        fleet,
        sinks,
        api,
        watch,
        receiver,
        lease_ms: LEASE_MS,
        faketime: faketime(),
        faults: AtomicU64::new(0),
        only: options.faults.clone(),
    });
    Ok(World { stage, workload, _root: root })
}

fn settings(options: &Options, receiver: &str) -> Vec<(String, String)> {
    let lease = LEASE_MS.to_string();
    let mut all = vec![
        ("HOST", "127.0.0.1"),
        ("WINDLASS_ADMIN_KEY", ADMIN),
        ("CURSOR_SECRET", "the-cursor-secret-of-the-chaos-run"),
        ("REDIS_COMMAND_TIMEOUT_SECONDS", "2"),
        ("LEASE_MS", &lease),
        ("QUEUES", "default=3,side=1"),
        ("WORKER_CONCURRENCY", "16"),
        ("DRAIN_GRACE_SECONDS", "1"),
        ("ACTIONS_ENABLED", "true"),
        ("ALLOW_ACTIONS_DEFAULT", "webhook.send"),
        ("WEBHOOK_ALLOW_INTERNAL", receiver),
        ("WEBHOOK_TIMEOUT_SECONDS", "4"),
        ("OPENAI_API_KEY", "fake"),
        ("LLM_URL", "http://127.0.0.1:9/v1"),
        ("LLM_MODEL", "fake-model"),
        ("LOG_LEVEL", "info"),
    ];
    if let Some(bug) = &options.bug {
        all.push(("WINDLASS_PLANTED_BUG", bug));
    }
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

async fn meta(options: &Options, history: &History) -> std::io::Result<()> {
    let git = children::run("git", &["rev-parse", "--short", "HEAD"]).await.unwrap_or_default();
    let caps: Value = WORKSPACES.iter().map(|(name, cap)| ((*name).to_owned(), json!(cap))).collect();
    let settings: Value = settings(options, "").into_iter().map(|(name, value)| (name, json!(value))).collect();
    let meta = json!({"seed": options.seed, "minutes": options.minutes, "git": git.trim(),
        "started": super::history::now_us(), "lease_ms": LEASE_MS, "max_attempts_default": 3, "events_kept": 100_000,
        "settings": settings, "caps": caps, "durability": "always", "bug": options.bug, "loss_classes": ["S", "F"],
        "recovery_limit_ms": RECOVERY.as_millis() as u64});
    history.document("meta.json", &meta)
}
