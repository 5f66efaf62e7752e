//! Where effects arrive, and the books that are kept there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Json, Router, routing::post};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::github::FakeGithub;
use crate::support::gmail::GmailFake;
use crate::support::smtp::SmtpFake;
use crate::window::{self, Habits, Seen};

/// How answers to effects are treated on the way: most wait for long enough to be met by a kill.
const HABITS: Habits = Habits { held: 0.8, hold: Duration::from_millis(400), lost: 0.01 };

/// A delivered webhook: its id and its label.
type Deliveries = Arc<Mutex<Vec<(String, String)>>>;

/// Every sink, and the ways to them.
pub(crate) struct Sinks {
    gmail: GmailFake,
    github: FakeGithub,
    smtp: SmtpFake,
    hooks: Deliveries,
    ways: Ways,
    seen: Arc<Seen>,
}

struct Ways {
    gmail: SocketAddr,
    github: SocketAddr,
    smtp: SocketAddr,
    hooks: SocketAddr,
}

impl Sinks {
    pub(crate) async fn start(seed: u64) -> Self {
        let gmail = GmailFake::start("a-token").await;
        let github = FakeGithub::start("a-token").await;
        let smtp = SmtpFake::start(&[], &["8BITMIME"]).await;
        let (hooks, hooks_address) = start_hooks().await;
        let seen = Arc::new(Seen::default());
        let way = |sink: SocketAddr, n: u64| window::open(sink, HABITS, seed.wrapping_add(n), seen.clone());
        let ways = Ways {
            gmail: way(gmail.address, 1).await,
            github: way(address_of(&github.url()), 2).await,
            smtp: way(smtp.address, 3).await,
            hooks: way(hooks_address, 4).await,
        };
        Self { gmail, github, smtp, hooks, ways, seen }
    }

    /// What processes have to be told to find them.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let Ways { gmail, github, smtp, hooks } = &self.ways;
        vec![
            ("ALLOW_ACTIONS_DEFAULT", "gmail.send,smtp.send,github.issue.create,webhook.send".to_owned()),
            ("GMAIL_BASE_URL", format!("http://{gmail}")),
            ("GITHUB_ENABLED", "true".to_owned()),
            ("GITHUB_TOKEN", "a-token".to_owned()),
            ("GITHUB_OWNER", "acme".to_owned()),
            ("GITHUB_REPO", "site".to_owned()),
            ("GITHUB_API_URL", format!("http://{github}")),
            ("SMTP_URL", format!("smtp+plain://{smtp}")),
            ("SMTP_FROM", "me@example.org".to_owned()),
            ("WEBHOOK_ALLOW_INTERNAL", hooks.to_string()),
            ("CREDENTIALS_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned()),
        ]
    }

    /// Where webhooks go.
    pub(crate) fn hook(&self) -> String {
        format!("http://{}/hook", self.ways.hooks)
    }

    /// Waits until an answer to an effect waits.
    pub(crate) async fn answer_waits(&self) {
        while self.seen.waiting.load(Ordering::Relaxed) == 0 {
            self.seen.began.notified().await;
        }
    }

    /// From now on answers go on at once: enough were killed.
    pub(crate) fn let_pass(&self) {
        self.seen.over.store(true, Ordering::Relaxed);
    }

    /// Effects whose worker was gone before their answer went on.
    pub(crate) fn orphaned(&self) -> usize {
        self.seen.orphaned.load(Ordering::Relaxed)
    }

    /// Answers that were lost on purpose.
    pub(crate) fn lost(&self) -> usize {
        self.seen.lost.load(Ordering::Relaxed)
    }

    /// Webhooks delivered, repeats of one id included.
    pub(crate) fn deliveries(&self) -> usize {
        self.hooks.lock().expect("no panic").len()
    }

    /// How often each label was seen. A webhook's receiver keeps the ids that it has seen, as Standard Webhooks asks.
    pub(crate) fn effects(&self) -> BTreeMap<String, usize> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut see = |label: String| *seen.entry(label).or_default() += 1;
        self.gmail.sent().iter().filter_map(|mail| mail.header("subject")).for_each(&mut see);
        let subject = |data: &str| crate::support::gmail::header(data, "subject");
        self.smtp.mails().iter().filter_map(|mail| subject(&mail.data)).for_each(&mut see);
        let issues = self.github.made().into_iter().filter(|made| made.what == "issue");
        let title = |number| self.github.issue(number)["title"].as_str().map(str::to_owned);
        issues.filter_map(|made| title(made.number)).for_each(&mut see);
        let distinct: BTreeSet<_> = self.hooks.lock().expect("no panic").iter().cloned().collect();
        distinct.into_iter().map(|(_, label)| label).for_each(&mut see);
        seen
    }
}

fn address_of(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address")
}

async fn start_hooks() -> (Deliveries, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let deliveries = Deliveries::default();
    let app = Router::new().route("/hook", post(receive)).with_state(deliveries.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (deliveries, address)
}

async fn receive(State(deliveries): State<Deliveries>, headers: HeaderMap, Json(body): Json<Value>) -> StatusCode {
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let label = body["label"].as_str().unwrap_or_default().to_owned();
    deliveries.lock().expect("no panic").push((id, label));
    StatusCode::NO_CONTENT
}
