//! The processes: one API, three workers, and the hand that kills them.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use windlass::client::Client;
use windlass::store::Store;

use crate::Plan;
use crate::sinks::Sinks;
use crate::support::processes::{ADMIN, Process, stat};
use crate::support::redis::TestRedis;

/// The workspace of all jobs.
pub(crate) const WORKSPACE: &str = "letters";
const WORKERS: usize = 3;
/// Attempts of a process at once. Few, so that one that dies takes few jobs with it.
pub(crate) const SLOTS: usize = 4;
/// Without an answer that waits for this long, no work is left, or it waits for something else.
const QUIET: Duration = Duration::from_secs(20);

/// Kills, by what they met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kills {
    /// Workers killed.
    pub(crate) all: usize,
    /// Of these, with at least one effect whose answer they did not live to see.
    pub(crate) inside: usize,
}

/// Everything that runs.
pub(crate) struct Fleet {
    pub(crate) redis: TestRedis,
    pub(crate) store: Store,
    pub(crate) client: Client,
    settings: Vec<(&'static str, String)>,
    workers: Vec<Process>,
    _api: Process,
}

impl Fleet {
    /// Starts an API and workers over a Redis of their own.
    pub(crate) async fn start(plan: Plan, sinks: &Sinks) -> Self {
        let redis = TestRedis::start().await;
        let mut settings = sinks.settings();
        settings.extend([
            ("ACTIONS_ENABLED", "true".to_owned()),
            ("LEASE_MS", "1000".to_owned()),
            ("WORKER_CONCURRENCY", SLOTS.to_string()),
            ("EFFECT_SETTLE_SECONDS", "1".to_owned()),
            ("MAIL_TIMEOUT_SECONDS", "3".to_owned()),
            ("LOG_LEVEL", "warn".to_owned()),
            ("MAX_DEPTH", "100000".to_owned()),
        ]);
        if plan.unguarded {
            settings.push(("WINDLASS_PLANTED_BUG", "effect_guard_off".to_owned()));
        }
        let quiet = settings.iter().filter(|(name, _)| *name != "LOG_LEVEL");
        let of_api: Vec<_> = quiet.map(|(name, value)| (*name, value.as_str())).collect();
        let (api, url) = Process::serve(&redis, &of_api);
        let client = Client::new(&url, Some(ADMIN.to_owned().into())).expect("a usable address");
        let store = redis.store().await;
        let mut fleet = Self { redis, store, client, settings, workers: Vec::new(), _api: api };
        fleet.put_credential(&url).await;
        fleet.workers = (0..WORKERS).map(|_| fleet.worker()).collect();
        fleet
    }

    fn worker(&self) -> Process {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Process::worker(&self.redis, &settings)
    }

    /// The mailbox that `gmail.send` sends from.
    async fn put_credential(&self, url: &str) {
        let body: Value = json!({
            "kind": "google", "account": "me@example.org", "access_token": "a-token",
            "scopes": ["https://www.googleapis.com/auth/gmail.compose"],
        });
        let put = reqwest::Client::new()
            .put(format!("{url}/workspaces/{WORKSPACE}/credentials/default"))
            .bearer_auth(ADMIN)
            .json(&body)
            .send()
            .await
            .expect("the API answers");
        assert!(put.status().is_success(), "{}", put.text().await.unwrap_or_default());
    }

    /// Kills a worker whenever answers wait, until enough were killed or no work is left.
    pub(crate) async fn kill_in_the_window(&mut self, plan: Plan, sinks: &Sinks, kills: &mut Kills) {
        let mut dice = StdRng::seed_from_u64(plan.seed.wrapping_add(kills.all as u64));
        let mut before = sinks.orphaned();
        while kills.inside < plan.kills {
            if tokio::time::timeout(QUIET, sinks.answer_waits()).await.is_err() {
                break;
            }
            let victim = dice.random_range(0..self.workers.len());
            self.workers.swap_remove(victim).kill();
            kills.all += 1;
            let another = self.worker();
            self.workers.push(another);
            // The start of the other took longer than the end of a connection takes to show.
            let now = sinks.orphaned();
            kills.inside += usize::from(now > before);
            before = now;
        }
    }

    /// Sends a document to the API.
    ///
    /// # Errors
    /// What it says when it refuses.
    pub(crate) async fn post(&self, url: &str, body: &Value) -> Result<(), String> {
        let request = reqwest::Client::new().post(url).bearer_auth(ADMIN).header("x-windlass-workspace", WORKSPACE);
        let answer = request.json(body).send().await.map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(answer.text().await.unwrap_or_default()) }
    }

    /// Jobs that ended or are held.
    pub(crate) fn settled(&self) -> i64 {
        let held = self.redis.cli_int(&["ZCARD", "ai:queue:held"]);
        stat(&self.redis, "succeeded") + self.redis.cli_int(&["ZCARD", "ai:queue:dead"]) + held
    }
}
