//! A real Prometheus and a real Alertmanager with the settings of `deploy`, in which time passes faster, over processes
//! of a test; and the Slack that they tell.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use windlass::clock;

use super::receiver::{Receiver, answer};
use super::shortened::shortened;

/// How much faster time passes: a scrape every 750 ms instead of 15 s.
pub(crate) const FACTOR: u64 = 20;

/// A server that takes longer to start has failed.
const START: Duration = Duration::from_secs(60);

/// Who is scraped: the job's name and its address.
pub(crate) type Targets<'a> = &'a [(&'a str, String)];

/// Both servers; killed when dropped.
pub(crate) struct Monitoring {
    prometheus: Server,
    _alertmanager: Server,
    http: reqwest::Client,
    slack: Receiver,
    _dir: TempDir,
}

/// A child that listens.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Monitoring {
    /// Starts both, and waits until they are ready.
    pub(crate) async fn start(targets: Targets<'_>) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let slack = Receiver::start(answer(200, "", "ok")).await;
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let alertmanager = start_alertmanager(dir.path(), &slack, &http).await;
        let prometheus = start_prometheus(dir.path(), &alertmanager.url, targets, &http).await;
        Self { prometheus, _alertmanager: alertmanager, http, slack, _dir: dir }
    }

    /// The lines of all messages that arrived in Slack, in order; what ended begins with `Over:`.
    pub(crate) fn said(&self) -> Vec<String> {
        let bodies = self.slack.received().into_iter().map(|message| message.body);
        let messages = bodies.map(|body| serde_json::from_str::<Value>(&body).expect("Slack takes JSON"));
        let texts = messages.map(|message| {
            let part = |name: &str| message["attachments"][0][name].as_str().expect("a text").to_owned();
            format!("{}\n{}", part("title"), part("text"))
        });
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// What Prometheus answers to a query: its series; or its error.
    pub(crate) async fn query(&self, promql: &str) -> Result<Vec<Value>, String> {
        let url = format!("{}/api/v1/query", self.prometheus.url);
        let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", promql).finish();
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer: Value = match request.send().await {
            Ok(answer) => answer.json().await.map_err(|e| e.to_string())?,
            Err(error) => return Err(error.to_string()),
        };
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default()),
            _ => Err(format!("{promql}: {}", answer["error"])),
        }
    }

    /// Waits until something of the messages or of Prometheus holds.
    pub(crate) async fn wait_for(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let end = clock::now() + Duration::from_secs(300);
        while !holds(self).await {
            assert!(clock::now() < end, "never happened: {what}; Slack was told:\n{}", self.said().join("\n"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A file of `deploy`, in which time passes faster.
fn deployed(path: &str) -> String {
    shortened(&super::super::alerts::deployed(path), FACTOR)
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, text).expect("a file");
    path
}

async fn start_alertmanager(dir: &Path, slack: &Receiver, http: &reqwest::Client) -> Server {
    let secret = write(dir, "slack_url", &slack.url("/services/secret"));
    let place = "/run/secrets/slack_url";
    let settings = deployed("alertmanager/alertmanager.yml");
    assert!(settings.contains(place), "the address of Slack is read from a file");
    let settings = settings.replace(place, &secret.display().to_string());
    let file = write(dir, "alertmanager.yml", &settings);
    write(dir, "templates/slack.tmpl", &super::super::alerts::deployed("alertmanager/templates/slack.tmpl"));
    let data = dir.join("alertmanager");
    let named =
        |names: [&str; 2]| names.into_iter().find(|name| installed(name)).expect("`make test` installs it").to_owned();
    let program = named(["alertmanager", "prometheus-alertmanager"]);
    start(http, |address| {
        let mut command = Command::new(&program);
        command.arg(format!("--config.file={}", file.display())).arg(format!("--storage.path={}", data.display()));
        command.arg(format!("--web.listen-address={address}")).args(["--cluster.listen-address=", "--log.level=error"]);
        command
    })
    .await
}

async fn start_prometheus(dir: &Path, alertmanager: &str, targets: Targets<'_>, http: &reqwest::Client) -> Server {
    for name in ["recording.yml", "alerts.yml", "slo.yml"] {
        write(dir, name, &deployed(&format!("prometheus/{name}")));
    }
    let alertmanager = alertmanager.trim_start_matches("http://");
    // The committed one finds its targets by DNS; the names of the jobs are the same. A scrape may take as long as
    // its interval: on a busy machine 250 ms would not do.
    let mut settings = "global: {scrape_interval: 15s, scrape_timeout: 15s, evaluation_interval: 15s}\n\
                        rule_files: [recording.yml, alerts.yml, slo.yml]\n"
        .to_owned();
    settings
        .push_str(&format!("alerting: {{alertmanagers: [{{static_configs: [{{targets: [\"{alertmanager}\"]}}]}}]}}\n"));
    settings.push_str("scrape_configs:\n");
    for (job, address) in targets {
        let at = format!("static_configs: [{{targets: [\"{address}\"]}}]");
        match settings.find(&format!("job_name: {job},")) {
            Some(_) => {
                settings = settings.replace(
                    &format!("{job}, static_configs: [{{targets: ["),
                    &format!("{job}, static_configs: [{{targets: [\"{address}\", "),
                )
            }
            None => settings.push_str(&format!("  - {{job_name: {job}, {at}}}\n")),
        }
    }
    let file = write(dir, "prometheus.yml", &shortened(&settings, FACTOR));
    let data = dir.join("prometheus");
    start(http, |address| {
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display())).arg(format!("--storage.tsdb.path={}", data.display()));
        command.arg(format!("--web.listen-address={address}")).arg("--log.level=error");
        // Those that have a default of minutes.
        for flag in ["--query.lookback-delta=5m", "--rules.alert.resend-delay=1m", "--rules.alert.for-grace-period=10m"]
        {
            let (name, value) = flag.split_once('=').expect("a value");
            command.arg(format!("{name}={}", shortened(value, FACTOR)));
        }
        command
    })
    .await
}

/// Starts a server on a free port; another process may take it first.
async fn start(http: &reqwest::Client, command: impl Fn(&str) -> Command) -> Server {
    for _ in 0..10 {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let address = format!("127.0.0.1:{port}");
        let child =
            command(&address).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("`make test` installs it");
        let mut server = Server { child, url: format!("http://{address}") };
        let end = clock::now() + START;
        while server.child.try_wait().expect("a status").is_none() {
            if http.get(format!("{}/-/ready", server.url)).send().await.is_ok_and(|r| r.status() == 200) {
                return server;
            }
            assert!(clock::now() < end, "{} is not ready", server.url);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    panic!("a server ended at its start, ten times");
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
