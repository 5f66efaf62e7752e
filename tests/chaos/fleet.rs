//! Our processes: API and workers, each with a supervisor that starts it again, and a proxy on each of its edges.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;
use tokio::sync::watch;
use windlass::engine::tasks;

use super::children::{self, Launcher};
use super::history::{History, Stream};
use super::pace;
use super::proxy::{Proxy, Target};

/// The key of every process's configuration.
pub(crate) const ADMIN: &str = "the-admin-key-of-the-chaos-run";

/// Between the end of a process and its next start.
const RESTART_MS: u64 = 200;

/// What stays the same for a slot's processes.
pub(crate) struct Slot {
    /// `api0`, `worker2`, …
    pub(crate) name: String,
    role: &'static str,
    settings: Vec<(String, String)>,
    /// To Redis.
    pub(crate) redis: Arc<Proxy>,
    /// An API's front door, or a worker's way to the model.
    pub(crate) other: Arc<Proxy>,
    front: Option<watch::Sender<Option<Target>>>,
    now: Mutex<Now>,
}

/// What is true of a slot now.
#[derive(Default)]
struct Now {
    pid: u32,
    /// The worker's id; empty before it registered, and for an API.
    id: String,
    ready: bool,
    /// Variables for the next start, such as a shifted clock.
    extra: Vec<(String, String)>,
}

impl Slot {
    pub(crate) fn pid(&self) -> u32 {
        self.now.lock().unwrap().pid
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.now.lock().unwrap().ready
    }

    pub(crate) fn worker_id(&self) -> String {
        self.now.lock().unwrap().id.clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        children::signal(self.pid(), signal);
    }

    /// Variables of the next start.
    pub(crate) fn set_extra(&self, extra: Vec<(String, String)>) {
        self.now.lock().unwrap().extra = extra;
    }

    fn command(&self, launcher: &Launcher, program: &PathBuf) -> std::io::Result<Child> {
        let mut command = launcher.command(program);
        command.arg(self.role).current_dir(std::env::temp_dir()).env_clear();
        command.envs(self.settings.iter().cloned()).envs(self.now.lock().unwrap().extra.clone());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }
}

/// All slots.
pub(crate) struct Fleet {
    pub(crate) apis: Vec<Arc<Slot>>,
    pub(crate) workers: Vec<Arc<Slot>>,
}

/// What the processes are made with.
pub(crate) struct Plan {
    pub(crate) launcher: Launcher,
    pub(crate) program: PathBuf,
    pub(crate) redis: watch::Receiver<Option<Target>>,
    /// The fake model.
    pub(crate) model: watch::Receiver<Option<Target>>,
    /// Settings of all, by variable.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) history: Arc<History>,
}

impl Fleet {
    pub(crate) async fn start(plan: Plan, apis: usize, workers: usize) -> std::io::Result<Arc<Self>> {
        let mut fleet = Self { apis: Vec::new(), workers: Vec::new() };
        for n in 0..apis {
            fleet.apis.push(Arc::new(api(&plan, n).await?));
        }
        for n in 0..workers {
            fleet.workers.push(Arc::new(worker(&plan, n).await?));
        }
        let plan = Arc::new(plan);
        for slot in fleet.all() {
            tasks::spawn("supervisor", supervise(Arc::clone(slot), Arc::clone(&plan)));
        }
        Ok(Arc::new(fleet))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.apis.iter().chain(&self.workers)
    }

    /// Every edge of our processes.
    pub(crate) fn edges(&self) -> Vec<Arc<Proxy>> {
        self.all().flat_map(|slot| [Arc::clone(&slot.redis), Arc::clone(&slot.other)]).collect()
    }

    /// The slot whose process registered under this id.
    pub(crate) fn of_worker(&self, id: &str) -> Option<Arc<Slot>> {
        self.workers.iter().find(|slot| !id.is_empty() && slot.worker_id() == id).cloned()
    }
}

fn settings_of(plan: &Plan, redis: &Proxy, own: &[(&str, String)]) -> Vec<(String, String)> {
    let mut all = plan.settings.clone();
    all.push(("REDIS_URL".to_owned(), format!("redis://{}", redis.address)));
    all.extend(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    all
}

async fn api(plan: &Plan, n: usize) -> std::io::Result<Slot> {
    let redis = Proxy::start(&format!("api{n}-redis"), plan.redis.clone()).await?;
    let front = watch::Sender::new(None);
    let other = Proxy::start(&format!("client-api{n}"), front.subscribe()).await?;
    let settings = settings_of(plan, &redis, &[("PORT", "0".to_owned())]);
    Ok(Slot {
        name: format!("api{n}"),
        role: "serve",
        settings,
        redis,
        other,
        front: Some(front),
        now: Mutex::default(),
    })
}

async fn worker(plan: &Plan, n: usize) -> std::io::Result<Slot> {
    let redis = Proxy::start(&format!("worker{n}-redis"), plan.redis.clone()).await?;
    let other = Proxy::start(&format!("worker{n}-model"), plan.model.clone()).await?;
    let model = format!("http://{}/v1", other.address);
    let settings = settings_of(plan, &redis, &[("WORKER_PORT", "0".to_owned()), ("LLM_URL", model)]);
    Ok(Slot { name: format!("worker{n}"), role: "worker", settings, redis, other, front: None, now: Mutex::default() })
}

/// Starts the slot's process again whenever it ends.
async fn supervise(slot: Arc<Slot>, plan: Arc<Plan>) {
    loop {
        match slot.command(&plan.launcher, &plan.program) {
            Ok(child) => watch_over(&slot, &plan.history, child).await,
            Err(error) => say(&slot, &plan.history, json!({"event": "exit", "status": error.to_string()})),
        }
        pace::pause_ms(RESTART_MS).await;
    }
}

async fn watch_over(slot: &Arc<Slot>, history: &Arc<History>, mut child: Child) {
    let pid = child.id().unwrap_or(0);
    {
        let mut now = slot.now.lock().unwrap();
        (now.pid, now.ready) = (pid, false);
        now.id.clear();
    }
    say(slot, history, json!({"event": "start", "pid": pid}));
    let log = history.folder().join("logs").join(format!("{}.log", slot.name));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (own, file, seen) = (Arc::clone(slot), log.clone(), Arc::clone(history));
    let reads = tasks::spawn("stdout", async move {
        let Some(stdout) = stdout else { return };
        follow(stdout, &file, |line| note(&own, &seen, line)).await;
    });
    tasks::spawn("stderr", async move {
        let Some(stderr) = stderr else { return };
        follow(stderr, &log, |_| {}).await;
    });
    let status = child.wait().await;
    let id = slot.worker_id();
    {
        let mut now = slot.now.lock().unwrap();
        (now.pid, now.ready) = (0, false);
    }
    if let Some(front) = &slot.front {
        front.send_replace(None);
    }
    reads.abort();
    let status = status.map_or_else(|e| e.to_string(), |s| s.to_string());
    say(slot, history, json!({"event": "exit", "pid": pid, "worker": id, "status": status}));
}

async fn follow(from: impl tokio::io::AsyncRead + Unpin, log: &PathBuf, mut see: impl FnMut(&str)) {
    let Ok(mut file) = tokio::fs::File::options().create(true).append(true).open(log).await else { return };
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        see(&line);
        let _ = file.write_all(format!("{line}\n").as_bytes()).await;
    }
}

/// Learns from a log line where an API listens and what a worker is called.
fn note(slot: &Slot, history: &History, line: &str) {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    let message = line["message"].as_str().unwrap_or_default();
    let address = line["url"].as_str().and_then(|url| url.strip_prefix("http://")?.parse().ok());
    if let (Some(front), Some(address), "the API is served") = (&slot.front, address, message) {
        front.send_replace(Some(Target::Tcp(address)));
    } else if let (Some(id), "worker started") = (line["worker_id"].as_str(), message) {
        id.clone_into(&mut slot.now.lock().unwrap().id);
    } else {
        return;
    }
    slot.now.lock().unwrap().ready = true;
    say(slot, history, json!({"event": "ready", "pid": slot.pid(), "worker": slot.worker_id()}));
}

fn say(slot: &Slot, history: &History, mut what: Value) {
    what["name"] = json!(slot.name);
    if what["worker"].is_null() {
        what["worker"] = json!("");
    }
    history.line(Stream::Workers, what);
}
