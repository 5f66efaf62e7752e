//! What every handler can reach.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Instant};
use crate::domain::llm::ProviderInfo;
use crate::engine::{
    Control, EventHub, Guard, Keyring, Operations, Policies, Registry, Safe, Submitter, Tracer, WatchHub,
};
use crate::store::Shards;

use super::auth::Auth;
use super::cursor::Cursors;
use super::gate::MetricsGate;
use super::metrics::Fleet;
use super::openapi::openapi_json;
use super::probes::Probes;
use super::standing::Standing;

/// The parts of the engine behind the API.
#[derive(Clone, Debug)]
pub struct Services {
    /// Reads.
    pub store: Shards,
    /// Takes jobs in.
    pub submitter: Submitter,
    /// Commands to jobs and queues.
    pub control: Control,
    /// Bulk operations.
    pub operations: Operations,
    /// Events of jobs.
    pub hub: EventHub,
    /// Whether Redis may be trusted.
    pub guard: Guard,
    /// Types.
    pub registry: Arc<Registry>,
    /// The rules for actions.
    pub policies: Policies,
}

/// How a dependency stands, for `GET /health`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceState {
    /// Configured and, as far as is known, working.
    Ok,
    /// Configured and not working.
    Error,
    /// Not configured.
    #[default]
    Disabled,
}

/// Settings of the API. The defaults are for production.
#[derive(Clone)]
pub struct HttpOptions {
    /// The key with every scope that the configuration names; works without Redis.
    pub admin_key: Option<SecretString>,
    /// Signs cursors. Replicas that share it accept each other's; a random one is fine for a
    /// single process.
    pub cursor_secret: SecretString,
    /// The environment's name in `GET /health`.
    pub environment: String,
    /// The language model provider in `GET /health`.
    pub llm: ServiceState,
    /// The GitHub actions in `GET /health`.
    pub github: ServiceState,
    /// The providers of language models in `GET /providers`, without their credentials.
    pub providers: Arc<[ProviderInfo]>,
    /// Seals credentials; without it none can be added.
    pub keyring: Option<Arc<Keyring>>,
    /// Renders what this process recorded, for `GET /metrics`.
    pub prometheus: Option<PrometheusHandle>,
    /// Who may read them.
    pub metrics: MetricsGate,
    /// Takes the spans of requests.
    pub tracer: Tracer,
    /// What this process logs by its settings.
    pub log_level: String,
    /// A body has to arrive within this time.
    pub body_timeout: Duration,
    /// A request has to be answered within this time, its body included; waiting on request
    /// (`Prefer: wait`) comes on top.
    pub request_timeout: Duration,
    /// Requests in work at once; more are refused with 503.
    pub max_in_flight: usize,
    /// Waiting reads and event streams at once; more are refused or answered without waiting.
    pub max_waiting: usize,
    /// WebSockets at once; more are refused with 503.
    pub max_websockets: usize,
    /// Comments on an idle event stream come this often, so that proxies keep it.
    pub keep_alive: Duration,
    /// Between two pings on a WebSocket; below the minute after which proxies close what is silent. A client that
    /// gives no sign of itself over two of them is gone.
    pub ping: Duration,
    /// A test of a provider waits this long for its probe.
    pub probe_patience: Duration,
    /// Ends event streams, so that a server can stop.
    pub shutdown: CancellationToken,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            admin_key: None,
            cursor_secret: uuid::Uuid::new_v4().to_string().into(),
            environment: "production".into(),
            llm: ServiceState::Disabled,
            github: ServiceState::Disabled,
            providers: Arc::from([]),
            keyring: None,
            prometheus: None,
            metrics: MetricsGate::open(),
            tracer: Tracer::default(),
            log_level: "info".into(),
            body_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(30),
            max_in_flight: 4096,
            max_waiting: 2048,
            max_websockets: 2048,
            keep_alive: Duration::from_secs(15),
            ping: Duration::from_secs(20),
            // A worker may be in the middle of a round, and a round and a probe take 5 s each at most.
            probe_patience: Duration::from_secs(12),
            shutdown: CancellationToken::new(),
        }
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions").field("environment", &self.environment).finish_non_exhaustive()
    }
}

/// Dry runs of bulk operations at once. Each looks at many jobs; clients that repeat one are no reason to slow Redis down.
const PREVIEWS: usize = 4;

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct HttpState(Arc<Inner>);

struct Inner {
    services: Services,
    options: HttpOptions,
    auth: Auth,
    cursors: Cursors,
    fleet: Fleet,
    probes: Probes,
    standing: Standing,
    safe: Safe,
    watch_hub: WatchHub,
    in_flight: Semaphore,
    waiting: Arc<Semaphore>,
    websockets: Arc<Semaphore>,
    previews: Semaphore,
    openapi: Bytes,
    started: Instant,
}

impl HttpState {
    /// Assembles the state of one API process.
    #[must_use]
    pub fn new(services: Services, options: HttpOptions) -> Self {
        Self(Arc::new(Inner {
            auth: Auth::new(services.store.clone(), options.admin_key.as_ref()),
            cursors: Cursors::new(&options.cursor_secret),
            fleet: Fleet::new(services.store.clone()),
            probes: Probes::new(services.store.clone(), options.providers.iter().map(|p| p.name.clone()).collect()),
            standing: Standing::new(services.store.clone(), Arc::clone(&options.providers)),
            safe: Safe::new(services.store.clone(), options.keyring.clone()),
            watch_hub: WatchHub::new(services.hub.clone(), services.store.clone()),
            in_flight: Semaphore::new(options.max_in_flight),
            waiting: Arc::new(Semaphore::new(options.max_waiting)),
            websockets: Arc::new(Semaphore::new(options.max_websockets)),
            previews: Semaphore::new(PREVIEWS),
            openapi: openapi_json().into(),
            started: clock::now(),
            services,
            options,
        }))
    }

    pub(super) fn services(&self) -> &Services {
        &self.0.services
    }

    pub(super) fn options(&self) -> &HttpOptions {
        &self.0.options
    }

    pub(super) fn auth(&self) -> &Auth {
        &self.0.auth
    }

    pub(super) fn cursors(&self) -> &Cursors {
        &self.0.cursors
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.0.fleet
    }

    pub(super) fn probes(&self) -> &Probes {
        &self.0.probes
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.0.standing
    }

    pub(super) fn safe(&self) -> &Safe {
        &self.0.safe
    }

    pub(super) fn watch_hub(&self) -> &WatchHub {
        &self.0.watch_hub
    }

    pub(super) fn in_flight(&self) -> &Semaphore {
        &self.0.in_flight
    }

    pub(super) fn waiting(&self) -> &Arc<Semaphore> {
        &self.0.waiting
    }

    pub(super) fn websockets(&self) -> &Arc<Semaphore> {
        &self.0.websockets
    }

    pub(super) fn previews(&self) -> &Semaphore {
        &self.0.previews
    }

    pub(super) fn openapi(&self) -> Bytes {
        self.0.openapi.clone()
    }

    pub(super) fn uptime(&self) -> Duration {
        clock::now().duration_since(self.0.started)
    }
}

impl fmt::Debug for HttpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpState").field("options", &self.0.options).finish_non_exhaustive()
    }
}
