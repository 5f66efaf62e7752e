//! What the commands meet: Redis, an API, two workers, two model providers, and jobs in every state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::bash::{self, Ran};
use crate::children::{Server, free_ports, scrape};
use crate::support::processes::{ADMIN, Process, wait_for};

/// Short, so that a dead worker is missed soon.
const LEASE_MS: &str = "2000";
/// Of Redis; the one that is rotated comes later.
const PASSWORD: &str = "first-password";
const NEXT_PASSWORD: &str = "second-password";
/// 32 bytes in base64.
const CREDENTIALS_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// What a command may name of the project.
const SHARED: [&str; 6] = ["config", "deploy", "docs", "openapi.json", "scripts", "examples"];

/// Everything that runs, and what a shell knows of it.
pub(crate) struct Stack {
    pub(crate) redis: Server,
    /// The provider `local`, which is asked first.
    pub(crate) local: Server,
    _openai: Server,
    prometheus: Server,
    pub(crate) serve: Option<Process>,
    pub(crate) workers: Vec<Process>,
    worker_port: u16,
    /// Variables of the shell. The processes are started with the same.
    pub(crate) environment: BTreeMap<String, String>,
    folder: TempDir,
}

impl Stack {
    /// Starts all of it.
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let redis = Server::redis(&folder.path().join("redis"), PASSWORD);
        let (local, openai) = (Server::model(folder.path()), Server::model(folder.path()));
        let rules = project().join("deploy/prometheus");
        let prometheus = Server::prometheus(&folder.path().join("prometheus"), &rules);
        let mut stack = Self {
            environment: environment(folder.path(), &redis, &local, &openai),
            redis,
            local,
            _openai: openai,
            prometheus,
            serve: None,
            workers: Vec::new(),
            worker_port: free_ports().nth(1).expect("a free port"),
            folder,
        };
        for name in SHARED {
            std::os::unix::fs::symlink(project().join(name), stack.folder.path().join(name)).expect("a link");
        }
        let url = format!("http://{}", stack.prometheus.address);
        stack.set("PROMETHEUS_URL", &url);
        stack.start_api();
        stack.start_workers();
        stack.fill();
        stack
    }

    /// An API, in the place of the one that runs.
    pub(crate) fn start_api(&mut self) {
        self.serve = None;
        let settings = self.settings();
        let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (serve, url) = Process::serve_at(self.folder.path(), &self.environment["REDIS_URL"], &settings);
        self.serve = Some(serve);
        let prometheus = self.folder.path().join("prometheus");
        scrape(&prometheus, "windlass-api", url.trim_start_matches("http://"));
        self.set("WINDLASS_URL", &url);
        self.eventually("the API is ready", "curl -sf \"$WINDLASS_URL/ready\"");
    }

    /// Two workers, in the place of those that run. The first has a port.
    pub(crate) fn start_workers(&mut self) {
        self.workers.clear();
        let mut settings = self.settings();
        for port in [self.worker_port, 0] {
            settings.insert("WORKER_PORT".to_owned(), port.to_string());
            let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let redis = &self.environment["REDIS_URL"];
            self.workers.push(Process::at("worker", self.folder.path(), redis, &settings));
        }
        let prometheus = self.folder.path().join("prometheus");
        scrape(&prometheus, "windlass-worker", &format!("127.0.0.1:{}", self.worker_port));
        self.set("WORKER_URL", &format!("http://127.0.0.1:{}", self.worker_port));
        self.eventually("a worker is ready", "curl -sf \"$WORKER_URL/ready\"");
        self.eventually("both are seen", "[ \"$(windlass workers list -o json | jq '.workers | length')\" = 2 ]");
    }

    /// SIGKILL to every worker.
    pub(crate) fn kill_workers(&mut self) {
        self.workers.drain(..).for_each(Process::kill);
    }

    /// What the processes are told beyond their addresses.
    fn settings(&self) -> BTreeMap<String, String> {
        let shells = ["PATH", "HOME", "REDIS_URL", "WINDLASS_URL", "WORKER_URL", "PROMETHEUS_URL", "auth"];
        let own = self.environment.iter().filter(|(name, _)| !shells.contains(&name.as_str()));
        own.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Sets a variable of the shell.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Runs a script as the runbook's are.
    pub(crate) fn run(&self, script: &str) -> Ran {
        bash::run(script, self.folder.path(), &self.environment)
    }

    /// Runs a script that has to succeed, and returns what it printed.
    pub(crate) fn sh(&self, script: &str) -> String {
        let ran = self.run(script);
        assert_eq!(ran.code, Some(0), "{script}\n{}", ran.output);
        ran.output.trim_end().to_owned()
    }

    /// Waits until a script succeeds.
    pub(crate) fn eventually(&self, what: &str, script: &str) {
        wait_for(what, || self.run(script).code == Some(0));
    }

    /// Submits a job of the workspace `acme` and returns its id.
    pub(crate) fn submit(&self, arguments: &str) -> String {
        let printed = self.sh(&format!("windlass jobs submit --workspace acme -o json {arguments} 2>/dev/null"));
        let job: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}"));
        job["id"].as_str().unwrap_or_else(|| panic!("{printed}")).to_owned()
    }

    /// Waits until a job is in a state.
    pub(crate) fn reaches(&self, id: &str, state: &str) {
        let look = format!("[ \"$(windlass jobs show '{id}' -o json | jq -r .state)\" = {state} ]");
        self.eventually(&format!("{id} is {state}"), &look);
    }

    /// Jobs in every state, of which `JOB_ID` waits for its time.
    fn fill(&mut self) {
        let later = self.submit("echo --id later --run-at $(date -u -d tomorrow +%FT%TZ) --input '{}'");
        let dead = self.submit("sleep --id broken --max-attempts 1 --input '{\"ms\":1,\"fail\":\"permanent\"}'");
        self.sh("windlass actions set --workspace acme --rule webhook.send=approve");
        let held =
            self.submit("webhook.send --id ask --input '{\"url\":\"https://hooks.example.org/\",\"payload\":{}}'");
        let done = self.submit("echo --id done --input '{\"text\":\"hello\"}'");
        let asked =
            self.submit("llm.chat --id asked --input '{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'");
        for (id, state) in [(&dead, "dead"), (&held, "held"), (&done, "succeeded"), (&asked, "succeeded")] {
            self.reaches(id, state);
        }
        self.set("JOB_ID", &later);
        for (name, id) in [("DEAD_JOB", dead), ("HELD_JOB", held)] {
            self.set(name, &id);
        }
    }

    /// The Redis that everybody uses has a new password from now on.
    pub(crate) fn use_new_password(&mut self) {
        let url = self.environment["NEW_REDIS_URL"].clone();
        self.set("REDIS_URL", &url);
        self.start_api();
        self.start_workers();
    }

    /// What the API logged as more than information, for a failure's report.
    pub(crate) fn complaints(&self) -> String {
        let log = self.serve.as_ref().map(Process::log).unwrap_or_default();
        log.lines().filter(|line| !line.contains("\"INFO\"")).collect::<Vec<_>>().join("\n")
    }
}

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Variables of the shell, those that the first block of the runbook exports among them.
fn environment(folder: &Path, redis: &Server, local: &Server, openai: &Server) -> BTreeMap<String, String> {
    let built = Path::new(env!("CARGO_BIN_EXE_windlass")).parent().expect("a folder").display().to_string();
    let found = crate::support::processes::variable("PATH").unwrap_or_default();
    let redis_url = |password: &str| format!("redis://default:{password}@{}", redis.address);
    let fixed = [
        ("WINDLASS_API_KEY", ADMIN.to_owned()),
        ("auth", format!("Authorization: Bearer {ADMIN}")),
        ("PATH", format!("{built}:{}", found.to_string_lossy())),
        ("HOME", folder.display().to_string()),
        ("REDIS_URL", redis_url(PASSWORD)),
        ("NEW_REDIS_URL", redis_url(NEXT_PASSWORD)),
        ("OLD_PASSWORD", PASSWORD.to_owned()),
        ("NEW_PASSWORD", NEXT_PASSWORD.to_owned()),
        ("REDIS_COMMAND_TIMEOUT_SECONDS", "2".to_owned()),
        ("LEASE_MS", LEASE_MS.to_owned()),
        ("ACTIONS_ENABLED", "true".to_owned()),
        ("ALLOW_ACTIONS_DEFAULT", "webhook.send".to_owned()),
        ("WEBHOOK_SIGNING_SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned()),
        ("WEBHOOK_ALLOWED_HOSTS", "hooks.example.org".to_owned()),
        ("CREDENTIALS_KEY", CREDENTIALS_KEY.to_owned()),
        ("LLM_URL", format!("http://{}", local.address)),
        ("LLM_MODEL", "fake-model".to_owned()),
        ("OPENAI_API_KEY", "a-key".to_owned()),
        ("OPENAI_BASE_URL", format!("http://{}/v1", openai.address)),
        ("OPENAI_DEFAULT_MODEL", "fake-model".to_owned()),
        ("PROVIDER", "local".to_owned()),
        ("MODEL", "fake-model".to_owned()),
    ];
    fixed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
