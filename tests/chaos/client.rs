//! Clients of the API. Each call is written down before it is sent, and again with what became of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::dice::Dice;
use super::fleet::ADMIN;
use super::history::{History, Stream};
use super::proxy::Proxy;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Done,
    /// Definitely not done.
    Failed,
    /// Nobody told.
    Unknown,
}

/// What became of a call.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) phase: Phase,
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// The API as seen from outside.
pub(crate) struct Api {
    http: reqwest::Client,
    doors: Vec<Arc<Proxy>>,
    history: Arc<History>,
    /// By workspace.
    keys: Mutex<HashMap<String, String>>,
    canaries: Mutex<u64>,
    /// Acknowledged jobs, and whose they are.
    acked: Mutex<BTreeMap<String, String>>,
}

/// A call to make.
pub(crate) struct Call<'a> {
    /// Whose key is used; `*` for the operator's.
    pub(crate) workspace: &'a str,
    pub(crate) method: reqwest::Method,
    pub(crate) path: String,
    pub(crate) body: Option<String>,
    /// Seconds to wait for a job's end, for reads of one.
    pub(crate) wait: Option<u64>,
}

impl<'a> Call<'a> {
    pub(crate) fn get(workspace: &'a str, path: impl Into<String>) -> Self {
        Self { workspace, method: reqwest::Method::GET, path: path.into(), body: None, wait: None }
    }

    pub(crate) fn post(workspace: &'a str, path: impl Into<String>, body: Option<String>) -> Self {
        Self { workspace, method: reqwest::Method::POST, path: path.into(), body, wait: None }
    }
}

impl Api {
    pub(crate) fn new(doors: Vec<Arc<Proxy>>, history: &Arc<History>) -> Arc<Self> {
        // The client wants one even where it speaks plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        let history = Arc::clone(history);
        Arc::new(Self {
            http,
            doors,
            history,
            keys: Mutex::default(),
            canaries: Mutex::default(),
            acked: Mutex::default(),
        })
    }

    /// Makes a key for each workspace and sets its cap, again after a loss took them.
    pub(crate) async fn provision(&self, workspaces: &[(&str, Option<u32>)]) -> bool {
        for (workspace, cap) in workspaces {
            let wanted = json!({"workspace": workspace, "scopes": ["jobs:read", "jobs:write"], "name": "chaos"});
            let Some(made) = self.insist(&Call::post("*", "/keys", Some(wanted.to_string()))).await else {
                return false;
            };
            let key = made["key"].as_str().unwrap_or_default().to_owned();
            self.keys.lock().unwrap().insert((*workspace).to_owned(), key);
            if self.limit(workspace, *cap).await.is_none() {
                return false;
            }
        }
        true
    }

    /// Sets a workspace's cap, until it is certain.
    pub(crate) async fn limit(&self, workspace: &str, cap: Option<u32>) -> Option<Value> {
        let body = json!({"weight": 1, "max_running": cap}).to_string();
        let path = format!("/workspaces/{workspace}/limits");
        let call = Call { method: reqwest::Method::PUT, ..Call::post("*", path, Some(body)) };
        for n in 0..200 {
            let about = json!({"f": "limit", "ws": workspace, "cap": cap});
            let outcome = self.tell(n % 2, about, &call).await;
            if outcome.phase == Phase::Done {
                return Some(outcome.body);
            }
            super::pace::pause_ms(100).await;
        }
        None
    }

    /// A call that is repeated until it is done; for what is not under test.
    async fn insist(&self, call: &Call<'_>) -> Option<Value> {
        for n in 0..200 {
            let outcome = self.send(n % 2, call).await;
            if outcome.phase == Phase::Done {
                return Some(outcome.body);
            }
            super::pace::pause_ms(100).await;
        }
        None
    }

    /// Makes a call and writes down its beginning and its end; `about` names it.
    pub(crate) async fn tell(&self, via: usize, about: Value, call: &Call<'_>) -> Outcome {
        let op = self.begin(via, about.clone());
        let outcome = self.send(via, call).await;
        self.end(op, via, about, &outcome);
        outcome
    }

    /// Writes down that something is asked for.
    pub(crate) fn begin(&self, via: usize, mut about: Value) -> u64 {
        let op = self.history.op();
        about["op"] = json!(op);
        about["phase"] = json!("invoke");
        about["via"] = json!(format!("api{via}"));
        self.history.line(Stream::Ops, about);
        op
    }

    /// Writes down what became of it.
    pub(crate) fn end(&self, op: u64, via: usize, mut about: Value, outcome: &Outcome) {
        about["op"] = json!(op);
        about["phase"] = json!(match outcome.phase {
            Phase::Done => "ok",
            Phase::Failed => "fail",
            Phase::Unknown => "unknown",
        });
        about["via"] = json!(format!("api{via}"));
        about["status"] = json!(outcome.status);
        let body = &outcome.body;
        for (name, value) in [
            ("code", &body["code"]),
            ("state", &body["state"]),
            ("attempt", &body["attempt"]),
            ("job", &body["id"]),
            ("reason", &body["failure"]["reason"]),
        ] {
            if !value.is_null() && (name != "job" || about["job"].is_null()) {
                about[name] = value.clone();
            }
        }
        if about["f"] == "enqueue" && outcome.phase == Phase::Done {
            about["replay"] = json!(outcome.status == 200);
        }
        if let Some(jobs) = body["jobs"].as_array() {
            about["jobs"] = json!(jobs.len());
        }
        if about["f"] == "enqueue" && outcome.phase == Phase::Done {
            let text = |name: &str| about[name].as_str().unwrap_or_default().to_owned();
            self.acked.lock().unwrap().insert(text("job"), text("ws"));
        }
        self.history.line(Stream::Ops, about);
    }

    /// The jobs acknowledged since this was asked last, and whose they are.
    pub(crate) fn take_acked(&self) -> BTreeMap<String, String> {
        std::mem::take(&mut *self.acked.lock().unwrap())
    }

    /// Replies seen that held what belongs to another workspace.
    pub(crate) fn canaries(&self) -> u64 {
        *self.canaries.lock().unwrap()
    }

    /// Makes a call.
    pub(crate) async fn send(&self, via: usize, call: &Call<'_>) -> Outcome {
        let door = &self.doors[via % self.doors.len()];
        let url = format!("http://{}{}", door.address, call.path);
        let key = match call.workspace {
            "*" => ADMIN.to_owned(),
            workspace => self.keys.lock().unwrap().get(workspace).cloned().unwrap_or_default(),
        };
        let mut request = self.http.request(call.method.clone(), url).bearer_auth(key);
        if let Some(seconds) = call.wait {
            request = request.header("prefer", format!("wait={seconds}"));
        }
        if let Some(body) = &call.body {
            request = request.header("content-type", "application/json").body(body.clone());
        }
        let text = match request.send().await {
            Ok(response) => (response.status().as_u16(), response.text().await),
            Err(error) => {
                let phase = if error.is_connect() { Phase::Failed } else { Phase::Unknown };
                return Outcome { phase, status: 0, body: Value::Null };
            }
        };
        let (status, Ok(text)) = text else { return Outcome { phase: Phase::Unknown, status: 0, body: Value::Null } };
        self.look_for_canaries(call.workspace, &call.path, &text);
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        Outcome { phase: judge(status, body["code"].as_str().unwrap_or_default()), status, body }
    }

    /// A workspace's reply that holds what another workspace sent.
    fn look_for_canaries(&self, workspace: &str, path: &str, text: &str) {
        if workspace == "*" {
            return;
        }
        for (at, mark) in text.match_indices("CANARY-") {
            let owner = text[at + mark.len()..].split('-').next().unwrap_or_default();
            if owner != workspace {
                *self.canaries.lock().unwrap() += 1;
                let about = json!({"f": "canary", "phase": "fail", "op": self.history.op(), "ws": workspace,
                    "foreign": owner, "path": path});
                self.history.line(Stream::Ops, about);
            }
        }
    }
}

pub(crate) fn judge(status: u16, code: &str) -> Phase {
    match (status, code) {
        (200..=299, _) => Phase::Done,
        (500 | 502 | 504, _) | (503, "outcome_unknown" | "durability_unknown" | "timeout") => Phase::Unknown,
        (503, "redis_unavailable" | "redis_unsafe" | "redis_full" | "queue_draining" | "overloaded")
        | (400..=499, _) => Phase::Failed,
        _ => Phase::Unknown,
    }
}

/// Text that only this workspace may see again.
pub(crate) fn canary(workspace: &str, dice: &mut Dice) -> String {
    format!("CANARY-{workspace}-{}", dice.token())
}
