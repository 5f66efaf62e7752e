//! What clients do all the time: enqueue in batches and alone, repeat, read, wait, list, cancel, redrive, pry.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use windlass::engine::tasks;

use super::client::{Api, Call, Outcome, Phase};
use super::dice::Dice;
use super::pace;
use super::requests::{Request, Requests};
use super::watch::{QUEUES, Watch};

/// Workspaces and their caps. `mallory` owns nothing and asks for what others own.
pub(crate) const WORKSPACES: [(&str, Option<u32>); 5] =
    [("red", None), ("green", None), ("blue", None), ("capped", Some(3)), ("mallory", None)];

/// Types that clients use.
pub(crate) const TYPES: [&str; 5] = ["echo", "sleep", "webhook.send", "llm.chat", "chaos.fault"];

/// Jobs of one batch, and how often one is sent by each of three clients.
const BATCH: usize = 100;
const BATCH_EVERY_MS: u64 = 600;
/// Batches wait while more than this is in line.
const ENOUGH_IN_LINE: u64 = 4_000;
/// Clients remember this many jobs and requests.
const REMEMBERED: usize = 2_000;

/// The clients.
pub(crate) struct Workload {
    api: Arc<Api>,
    watch: Arc<Watch>,
    /// Acknowledged jobs, newest last: workspace and id.
    known: Mutex<VecDeque<(String, String)>>,
    sent: Mutex<VecDeque<Request>>,
    /// Jobs that ended in a way that a redrive can mend.
    over: Mutex<VecDeque<(String, String)>>,
    stop: AtomicBool,
    /// No jobs that harm their workers.
    tame: AtomicBool,
    receiver: String,
    pub(crate) enqueued: AtomicU64,
    pub(crate) unknown: AtomicU64,
}

impl Workload {
    pub(crate) fn new(api: &Arc<Api>, watch: &Arc<Watch>, receiver: String) -> Arc<Self> {
        Arc::new(Self {
            api: Arc::clone(api),
            watch: Arc::clone(watch),
            known: Mutex::default(),
            sent: Mutex::default(),
            over: Mutex::default(),
            stop: AtomicBool::new(false),
            tame: AtomicBool::new(false),
            receiver,
            enqueued: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
        })
    }

    /// Starts all clients.
    pub(crate) fn start(self: &Arc<Self>, seed: u64) -> Vec<JoinHandle<()>> {
        self.stop.store(false, Ordering::Relaxed);
        let mut clients = Vec::new();
        for (n, (workspace, _)) in WORKSPACES.into_iter().enumerate().take(3) {
            let requests = self.requests(seed, &format!("batch-{workspace}"));
            clients.push(tasks::spawn("batches", Arc::clone(self).batches(workspace, n, requests)));
        }
        for n in 0..8_usize {
            let workspace = WORKSPACES[n % 4].0;
            let requests = self.requests(seed, &format!("one-{workspace}-{n}"));
            clients.push(tasks::spawn("singles", Arc::clone(self).singles(workspace, n, requests)));
        }
        clients.push(tasks::spawn("prober", Arc::clone(self).pry(Dice::of(seed, "mallory"))));
        clients
    }

    /// Whether clients keep to jobs that do their workers no harm.
    pub(crate) fn set_tame(&self, tame: bool) {
        self.tame.store(tame, Ordering::Relaxed);
    }

    /// Asks the clients to end after what they are at.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn requests(&self, seed: u64, part: &str) -> Requests {
        Requests::new(Dice::of(seed, part), &format!("{part}-{seed}"), &self.receiver)
    }

    fn going(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    async fn batches(self: Arc<Self>, workspace: &'static str, n: usize, mut requests: Requests) {
        while self.going() {
            pace::pause_ms(BATCH_EVERY_MS).await;
            if self.watch.pending() > ENOUGH_IN_LINE {
                continue;
            }
            let mut batch: Vec<Request> = (0..BATCH).map(|_| requests.echo(workspace)).collect();
            if requests.dice.chance(30) {
                batch.extend(self.earlier(workspace, &mut requests.dice));
            }
            let via = (n + requests.dice.between(0, 1) as usize) % 2;
            let outcomes = self.batch(via, workspace, &batch).await;
            let unknown: Vec<Request> =
                batch.into_iter().zip(outcomes).filter(|(_, o)| o.phase == Phase::Unknown).map(|(r, _)| r).collect();
            if !unknown.is_empty() {
                pace::pause_ms(requests.dice.between(100, 2500)).await;
                self.batch(via ^ 1, workspace, &unknown).await;
            }
        }
    }

    /// An item each of the batch is an operation of its own.
    async fn batch(&self, via: usize, workspace: &str, batch: &[Request]) -> Vec<Outcome> {
        let ops: Vec<(u64, Value)> = batch
            .iter()
            .map(|request| {
                let mut about = request.about();
                about["batch"] = json!(true);
                (self.api.begin(via, about.clone()), about)
            })
            .collect();
        let body = Value::Array(batch.iter().map(|request| request.body.clone()).collect()).to_string();
        let whole = self.api.send(via, &Call::post(workspace, "/ai/jobs/batch", Some(body))).await;
        let mut outcomes = Vec::with_capacity(batch.len());
        for (n, ((op, about), request)) in ops.into_iter().zip(batch).enumerate() {
            let outcome = item(&whole, n);
            self.api.end(op, via, about, &outcome);
            self.remember(request, &outcome);
            outcomes.push(outcome);
        }
        outcomes
    }

    fn remember(&self, request: &Request, outcome: &Outcome) {
        let push = |request: &Request| {
            let mut sent = self.sent.lock().unwrap();
            sent.push_back(request.clone());
            if sent.len() > REMEMBERED {
                sent.pop_front();
            }
        };
        match outcome.phase {
            Phase::Done => {
                let id = outcome.body["id"].as_str().unwrap_or_default().to_owned();
                if outcome.status == 202 {
                    self.enqueued.fetch_add(1, Ordering::Relaxed);
                    push(request);
                }
                let mut known = self.known.lock().unwrap();
                known.push_back((request.workspace.clone(), id));
                if known.len() > REMEMBERED {
                    known.pop_front();
                }
            }
            Phase::Unknown => {
                self.unknown.fetch_add(1, Ordering::Relaxed);
                push(request);
            }
            Phase::Failed => {}
        }
    }

    /// A few requests of before, some of them altered.
    fn earlier(&self, workspace: &str, dice: &mut Dice) -> Vec<Request> {
        let sent = self.sent.lock().unwrap();
        let own: Vec<&Request> = sent.iter().rev().filter(|r| r.workspace == workspace).take(300).collect();
        let mut found = Vec::new();
        for _ in 0..5.min(own.len()) {
            let request = dice.pick(&own);
            found.push(if dice.chance(30) { request.altered(dice) } else { (**request).clone() });
        }
        found
    }

    async fn singles(self: Arc<Self>, workspace: &'static str, n: usize, mut requests: Requests) {
        while self.going() {
            pace::pause_ms(requests.dice.between(40, 240)).await;
            requests.tame = self.tame.load(Ordering::Relaxed);
            let via = (n + requests.dice.between(0, 1) as usize) % 2;
            match requests.dice.between(0, 99) {
                0..55 => {
                    let request = requests.any(workspace);
                    self.one(via, request, &mut requests.dice).await;
                }
                55..63 => {
                    if let Some(request) = self.earlier(workspace, &mut requests.dice).pop() {
                        self.one(via, request, &mut requests.dice).await;
                    }
                }
                63..67 => self.race(requests.any(workspace)).await,
                67..73 => {
                    let request = requests.any(workspace);
                    self.regret(via, &request).await;
                }
                _ => self.about_known(via, workspace, &mut requests.dice).await,
            }
        }
    }

    /// Enqueues one, as an application would: when nobody told what became of it, once more with the same id.
    async fn one(&self, via: usize, request: Request, dice: &mut Dice) {
        for again in 0..4 {
            let outcome = self.enqueue(via ^ (again & 1), &request).await;
            if outcome.phase != Phase::Unknown {
                break;
            }
            pace::pause_ms(dice.between(100, 2500)).await;
        }
    }

    async fn enqueue(&self, via: usize, request: &Request) -> Outcome {
        let call = Call::post(&request.workspace, "/ai/jobs", Some(request.body.to_string()));
        let outcome = self.api.tell(via, request.about(), &call).await;
        self.remember(request, &outcome);
        outcome
    }

    /// The same request from two clients at the same time.
    async fn race(&self, request: Request) {
        tokio::join!(self.enqueue(0, &request), self.enqueue(1, &request));
    }

    /// Enqueues and cancels at once.
    async fn regret(&self, via: usize, request: &Request) {
        let outcome = self.enqueue(via, request).await;
        let Some(job) = outcome.body["id"].as_str().filter(|_| outcome.phase == Phase::Done) else { return };
        let call = Call::post(&request.workspace, format!("/ai/jobs/{job}/cancel"), None);
        let cancel = self.api.tell(via ^ 1, json!({"f": "cancel", "ws": request.workspace, "job": job}), &call).await;
        self.note_end(&request.workspace, &cancel);
    }

    fn note_end(&self, workspace: &str, outcome: &Outcome) {
        let ended = matches!(outcome.body["state"].as_str(), Some("dead" | "cancelled" | "expired"));
        let Some(job) = outcome.body["id"].as_str().filter(|_| ended) else { return };
        let mut over = self.over.lock().unwrap();
        over.push_back((workspace.to_owned(), job.to_owned()));
        if over.len() > 100 {
            over.pop_front();
        }
    }

    /// A job that a redrive may mend, if one is known.
    fn mendable(&self, workspace: &str) -> Option<String> {
        let over = self.over.lock().unwrap();
        over.iter().rev().find(|(ws, _)| ws == workspace).map(|(_, job)| job.clone())
    }

    /// Something about a job of before.
    async fn about_known(&self, via: usize, workspace: &str, dice: &mut Dice) {
        let job = {
            let known = self.known.lock().unwrap();
            let own: Vec<&String> = known.iter().filter(|(ws, _)| ws == workspace).map(|(_, id)| id).collect();
            if own.is_empty() {
                return;
            }
            (*dice.pick(&own)).clone()
        };
        let redrive = self.mendable(workspace).filter(|_| dice.chance(20));
        let (choice, job) = redrive.map_or((dice.between(0, 99), job), |mendable| (99, mendable));
        let path = format!("/ai/jobs/{job}");
        let (f, call) = match choice {
            0..40 => ("get", Call::get(workspace, path)),
            40..55 => ("wait", Call { wait: Some(dice.between(1, 2)), ..Call::get(workspace, path) }),
            55..70 => {
                let queue = dice.pick(&QUEUES);
                ("list", Call::get(workspace, format!("/ai/jobs?limit=20&queue={queue}")))
            }
            70..90 => ("cancel", Call::post(workspace, format!("{path}/cancel"), None)),
            _ => ("redrive", Call::post(workspace, format!("{path}/redrive"), None)),
        };
        let mut about = json!({"f": f, "ws": workspace});
        if f != "list" {
            about["job"] = json!(job);
        }
        let outcome = self.api.tell(via, about, &call).await;
        self.note_end(workspace, &outcome);
    }

    /// Asks for jobs of others, which must look like jobs that do not exist.
    async fn pry(self: Arc<Self>, mut dice: Dice) {
        while self.going() {
            pace::pause_ms(dice.between(200, 600)).await;
            let known = self.known.lock().unwrap().iter().last().cloned();
            let Some((owner, job)) = known else { continue };
            let path = format!("/ai/jobs/{job}");
            let (f, call) = match dice.between(0, 3) {
                0 | 1 => ("get", Call::get("mallory", path)),
                2 => ("cancel", Call::post("mallory", format!("{path}/cancel"), None)),
                _ => ("redrive", Call::post("mallory", format!("{path}/redrive"), None)),
            };
            let about = json!({"f": f, "ws": "mallory", "job": job, "foreign": owner});
            self.api.tell(dice.between(0, 1) as usize, about, &call).await;
        }
    }
}

/// What became of one item of a batch.
fn item(whole: &Outcome, n: usize) -> Outcome {
    if whole.phase != Phase::Done {
        return whole.clone();
    }
    let result = &whole.body["results"][n];
    let status = result["status"].as_u64().unwrap_or(0) as u16;
    let body = if result["job"].is_null() { &result["problem"] } else { &result["job"] };
    let code = body["code"].as_str().unwrap_or_default();
    Outcome { phase: super::client::judge(status, code), status, body: body.clone() }
}
