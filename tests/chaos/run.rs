//! One run: start everything, a calm beginning, faults, losses, healing, quiet, and the history of it all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use windlass::clock;

use super::children::{self, Launcher};
use super::client::Api;
use super::fleet::{ADMIN, Fleet, Plan};
use super::history::{History, Stream};
use super::nemesis::Stage;
use super::proxy::{Proxy, Target};
use super::redis::Pair;
use super::sinks::Sinks;
use super::watch::Watch;
use super::workload::{TYPES, WORKSPACES, Workload};
use super::{finish, pace};

/// Short, so that a fault of a few seconds is longer.
const LEASE_MS: u64 = 2_000;
/// Clients alone, to learn the throughput before the faults.
const CALM: Duration = Duration::from_secs(8);
/// Throughput must be back within this.
const RECOVERY: Duration = Duration::from_secs(10);
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
}

/// Everything that runs.
struct World {
    history: Arc<History>,
    pair: Arc<Pair>,
    fleet: Arc<Fleet>,
    sinks: Arc<Sinks>,
    api: Arc<Api>,
    watch: Arc<Watch>,
    workload: Arc<Workload>,
    /// Data of the servers and our own copy of the binary; goes last.
    _root: TempDir,
}

/// Makes a history; whether the run itself went as it should.
pub(crate) async fn run(options: &Options) -> std::io::Result<bool> {
    let history = Arc::new(History::create(&options.folder)?);
    let world = build(options, &history).await?;
    meta(options, &history).await?;
    let (pair, fleet, sinks, api, watch) = (&world.pair, &world.fleet, &world.sinks, &world.api, &world.watch);
    let stage = Stage::new(&history, pair, fleet, sinks, api, watch, LEASE_MS, options.faults.clone());
    let clients = world.workload.start(options.seed);
    pace::pause(Duration::from_secs(3)).await;
    let baseline = finish::throughput(watch, CALM).await;
    println!("chaos: {baseline:.0} jobs/s before the faults");

    let total = Duration::from_secs_f64(options.minutes * 60.0);
    let (start, mut last_part) = (clock::now(), total.mul_f64(1.0 - WITHOUT_LOSS));
    let lanes = stage.start(options.seed, start + total.mul_f64(WITHOUT_LOSS));
    for lane in lanes {
        let _ = lane.await;
    }
    stage.mend_redis().await;
    println!("chaos: {} faults without loss; now the others", stage.faults.load(std::sync::atomic::Ordering::Relaxed));
    last_part = last_part.min(total.saturating_sub(start.elapsed()));
    stage.lose(options.seed, clock::now() + last_part).await;

    let healed = stage.heal().await;
    history.line(Stream::Nemesis, json!({"metric": "healed", "all_up": healed}));
    let recovered = finish::recovery(&history, watch, baseline, RECOVERY).await;
    world.workload.stop();
    for client in clients {
        let _ = client.await;
    }
    let quiet = finish::quiesce(&history, watch, QUIET).await;
    finish::dump(&history, &pair.primary(), api).await?;
    history.flush();
    report(&world, &stage, healed, recovered, quiet);
    Ok(healed && quiet)
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
    let names = WORKSPACES.iter().map(|(name, _)| format!("w:{name}")).chain(TYPES.iter().map(|name| format!("t:{name}")));
    let watch = Watch::start(&pair, history, names.collect());
    let workload = Workload::new(&api, &watch, format!("http://{}/hook", receiver.address));
    Ok(World { history: Arc::clone(history), pair, fleet, sinks, api, watch, workload, _root: root })
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
        ("DRAIN_GRACE_SECONDS", "2"),
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

fn report(world: &World, stage: &Stage, healed: bool, recovered: bool, quiet: bool) {
    use std::sync::atomic::Ordering::Relaxed;
    println!(
        "chaos: {} faults, {} jobs enqueued, {} outcomes unknown, {} claims, {} ends, {} foreign replies",
        stage.faults.load(Relaxed),
        world.workload.enqueued.load(Relaxed),
        world.workload.unknown.load(Relaxed),
        world.watch.begun(),
        world.watch.ended(),
        world.api.canaries(),
    );
    println!("chaos: all up {healed}, throughput back {recovered}, quiet {quiet}");
    println!("chaos: history in {}", shown(world.history.folder()));
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
