//! An API server on a port of its own, over a private Redis.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use windlass::domain::JobId;
use windlass::engine::{AllowList, Control, EventHub, Guard, Operations, Policies, Registry, Submitter, tasks};
use windlass::executors::{ExecutorOptions, register_all};
use windlass::http::{HttpOptions, HttpState, ServerOptions, Services, mint_key, router, serve};
use windlass::store::{Shards, Store};

use super::redis::TestRedis;

/// The key of the configuration.
pub(crate) const ADMIN: &str = "the-admin-key-of-the-tests";

/// A running API.
pub(crate) struct Api {
    pub(crate) redis: TestRedis,
    pub(crate) store: Store,
    pub(crate) address: std::net::SocketAddr,
    client: reqwest::Client,
    /// Stops the server.
    pub(crate) shutdown: CancellationToken,
    /// Fires when the server has stopped.
    pub(crate) stopped: CancellationToken,
    _stop: DropGuard,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The code of a problem, after a look at its form.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"), "{self:?}");
        problem["code"].as_str().expect("a code").to_owned()
    }

    /// The pointers of a problem's errors.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|e| e["pointer"].as_str().expect("a pointer").to_owned()).collect()
    }

    /// The id of a job.
    pub(crate) fn id(&self) -> JobId {
        self.json()["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no job: {self:?}"))
    }
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(TestRedis::start().await, |_, _| {}).await
    }

    pub(crate) async fn start_with(
        redis: TestRedis,
        change: impl FnOnce(&mut HttpOptions, &mut ServerOptions),
    ) -> Self {
        let store = redis.store().await;
        Self::start_on(redis, store, change).await
    }

    /// An API over this store, which may have options of its own, or over all shards.
    pub(crate) async fn start_on(
        redis: TestRedis,
        store: impl Into<Shards>,
        change: impl FnOnce(&mut HttpOptions, &mut ServerOptions),
    ) -> Self {
        let allow = AllowList { actions_enabled: true, ..AllowList::default() };
        let mut registry = Registry::new(allow);
        register_all(&mut registry, &ExecutorOptions::default()).expect("executors");
        Self::start_offering(redis, store, Arc::new(registry), change).await
    }

    /// An API that takes the jobs of this registry.
    pub(crate) async fn start_offering(
        redis: TestRedis,
        store: impl Into<Shards>,
        registry: Arc<Registry>,
        change: impl FnOnce(&mut HttpOptions, &mut ServerOptions),
    ) -> Self {
        let (shutdown, stopped) = (CancellationToken::new(), CancellationToken::new());
        let shards = store.into();
        let services = services(&shards, &shutdown, registry).await;
        let store = shards.first().clone();
        let mut options = HttpOptions {
            admin_key: Some(ADMIN.into()),
            cursor_secret: "cursors".into(),
            shutdown: shutdown.clone(),
            ..HttpOptions::default()
        };
        let mut server = ServerOptions { grace: Duration::from_secs(5), ..ServerOptions::default() };
        change(&mut options, &mut server);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (app, stop, done) = (router(HttpState::new(services, options)), shutdown.clone(), stopped.clone());
        tasks::spawn("api", async move {
            serve(listener, app, server, stop).await;
            done.cancel();
        });
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { redis, store, address, client, stopped, _stop: shutdown.clone().drop_guard(), shutdown }
    }

    /// Stores a new key and returns its text.
    pub(crate) async fn key(&self, workspace: &str, scopes: &[&str]) -> String {
        let now = self.store.now().await.expect("a time");
        let (key, record) = mint_key(workspace, scopes, "tester", now);
        self.store.put_key(&record).await.expect("stored");
        key.expose_secret().to_owned()
    }

    /// A key that may read and write the jobs of a workspace.
    pub(crate) async fn client_key(&self, workspace: &str) -> String {
        self.key(workspace, &["jobs:read", "jobs:write"]).await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        send(self.request(Method::GET, path).bearer_auth(key)).await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.post_text(key, path, &body.to_string()).await
    }

    pub(crate) async fn post_text(&self, key: &str, path: &str, body: &str) -> Answer {
        let request = self.request(Method::POST, path).bearer_auth(key).header("content-type", "application/json");
        send(request.body(body.to_owned())).await
    }

    /// A command without a body.
    pub(crate) async fn command(&self, key: &str, path: &str) -> Answer {
        send(self.request(Method::POST, path).bearer_auth(key)).await
    }

    /// Submits an `echo` job.
    pub(crate) async fn submit(&self, key: &str, request_id: &str) -> Answer {
        self.post(key, "/ai/jobs", &json!({"client_request_id": request_id, "type": "echo", "input": {"n": 1}})).await
    }

    /// Everything Redis holds but for what changes by itself, to show that nothing was written.
    pub(crate) fn keys_in_redis(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.redis.cli(&["KEYS", "*"]).lines().map(str::to_owned).collect();
        keys.sort();
        keys
    }
}

async fn services(store: &Shards, shutdown: &CancellationToken, registry: Arc<Registry>) -> Services {
    let guard = Guard::start(store.clone(), shutdown.clone());
    guard.first_look().await;
    let hub = EventHub::start(store.clone(), shutdown.clone()).expect("a hub");
    // The hub tells everyone to read anew once it listens.
    let listening: Vec<_> = store.all().iter().map(|s| hub.subscribe(JobId::new(0, s.shard()))).collect();
    for mut told in listening {
        // Told before it subscribed, which a busy machine makes possible, it is not told again.
        drop(tokio::time::timeout(Duration::from_secs(2), told.next()).await);
    }
    let operations = Operations::new(store.clone());
    operations.start(shutdown.clone());
    Services {
        operations,
        submitter: Submitter::start(store.clone(), guard.clone(), shutdown.clone()),
        control: Control::new(store.clone()),
        policies: Policies::start(store.clone(), registry.allow_list().clone(), shutdown.clone()),
        hub,
        guard,
        registry,
        store: store.clone(),
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("a body") }
}
