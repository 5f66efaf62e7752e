//! Connections to Redis. Nothing outside this module and its siblings names fred, which is dormant
//! upstream.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fred::error::{Error as FredError, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface, LuaInterface};
use fred::prelude::{Builder, Client, Config, ReconnectPolicy, Value};
use fred::types::CustomCommand;
use fred::types::config::{Server, ServerConfig, UnresponsiveConfig};
use secrecy::{ExposeSecret, SecretString};

use super::StoreError;
use super::mended::Mended;
use super::scripts::Script;
use crate::clock::{self, Instant};

/// A command that blocks longer than its own timeout by this much is on a dead connection.
const BLOCKING_GRACE: Duration = Duration::from_secs(2);
/// The longest time a blocking read may ask for.
pub(super) const BLOCKING_LIMIT: Duration = Duration::from_secs(5);

/// Which server, and how to speak to it.
#[derive(Clone)]
pub(super) struct Target {
    url: SecretString,
    /// One server of the cluster that the URL names.
    node: Option<Server>,
}

impl Target {
    /// The server that the URL names.
    pub(super) fn of(url: &SecretString) -> Self {
        Self { url: url.clone(), node: None }
    }

    /// One server of the cluster.
    pub(super) fn at(&self, server: Server) -> Self {
        Self { url: self.url.clone(), node: Some(server) }
    }

    /// The servers that the URL names.
    pub(super) fn servers(&self) -> Result<Vec<Server>, StoreError> {
        self.config().map(|config| config.server.hosts())
    }

    fn config(&self) -> Result<Config, StoreError> {
        let mut config = Config::from_url(self.url.expose_secret())
            .map_err(|e| StoreError::Unavailable(format!("REDIS_URL cannot be used: {:?}", e.kind())))?;
        if let Some(server) = &self.node {
            config.server = ServerConfig::Centralized { server: server.clone() };
        }
        Ok(config)
    }
}

/// A set of pipelining connections for commands.
#[derive(Clone)]
pub(super) struct Link {
    clients: Arc<[Mended]>,
    next: Arc<AtomicUsize>,
    breaks: Arc<AtomicU64>,
    /// When Redis answered last, on whichever connection.
    answered: Arc<Mutex<Option<Instant>>>,
    /// What the last broken or refused connection said: a wrong password is no outage.
    last_error: Arc<Mutex<String>>,
    target: Target,
}

impl Link {
    /// Starts connecting in the background; only a malformed URL is an error.
    pub(super) fn open(target: &Target, size: usize, timeout: Duration) -> Result<Self, StoreError> {
        let breaks = Arc::new(AtomicU64::new(0));
        let last_error = Arc::new(Mutex::new(String::new()));
        let mut clients = Vec::with_capacity(size);
        for _ in 0..size.clamp(1, 10) {
            let client = build(target, timeout)?;
            let (seen, said) = (Arc::clone(&breaks), Arc::clone(&last_error));
            drop(client.on_error(move |(error, _)| {
                metrics::counter!(crate::metrics::REDIS_BREAKS.name).increment(1);
                seen.fetch_add(1, Ordering::Relaxed);
                error.details().clone_into(&mut said.lock().unwrap_or_else(PoisonError::into_inner));
                std::future::ready(Ok(()))
            }));
            drop(client.connect());
            clients.push(Mended::new(client));
        }
        let (clients, next, answered) = (clients.into(), Arc::default(), Arc::default());
        Ok(Self { clients, next, breaks, answered, last_error, target: target.clone() })
    }

    /// A connection of its own for blocking reads.
    pub(super) fn open_blocking(&self) -> Result<Blocking, StoreError> {
        let client = build(&self.target, BLOCKING_LIMIT + BLOCKING_GRACE)?;
        drop(client.connect());
        Ok(Blocking { client: Mended::new(client) })
    }

    /// Grows with every broken connection: whoever sees it change may have missed something.
    pub(super) fn breaks(&self) -> u64 {
        self.breaks.load(Ordering::Relaxed)
    }

    /// A connected client, the next in turn.
    ///
    /// # Errors
    /// `Unavailable` at once while none is connected: a command that waits for a connection could
    /// be written long after its caller gave up.
    pub(super) fn client(&self) -> Result<&Mended, StoreError> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        (0..self.clients.len())
            .map(|i| &self.clients[(start + i) % self.clients.len()])
            .find(|client| client.stands())
            .ok_or_else(|| self.not_connected())
    }

    /// The first connected client: what is sent over it in turn is done in turn.
    fn first_client(&self) -> Result<&Mended, StoreError> {
        self.clients.iter().find(|client| client.stands()).ok_or_else(|| self.not_connected())
    }

    /// Whether any connection stands.
    pub(super) fn is_connected(&self) -> bool {
        self.clients.iter().any(Mended::stands)
    }

    /// Whether this is a handle to the same connections.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.clients, &other.clients)
    }

    /// Waits until any connection stands, or `limit` has passed.
    pub(super) async fn wait_any(&self, limit: Duration) -> Result<(), StoreError> {
        let any = async {
            while !self.is_connected() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(limit, any).await.map_err(|_| self.not_connected())
    }

    /// Ends the connections; commands under way end as unknown.
    pub(super) fn close(&self) {
        self.clients.iter().for_each(Mended::close);
    }

    fn not_connected(&self) -> StoreError {
        let said = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        StoreError::Unavailable(if said.is_empty() {
            "not connected".to_owned()
        } else {
            format!("not connected: {said}")
        })
    }

    /// Waits until a connection stands, or `limit` has passed.
    pub(super) async fn wait_connected(&self, limit: Duration) -> Result<(), StoreError> {
        let all = async {
            while !self.clients.iter().all(Mended::stands) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(limit, all).await.map_err(|_| self.not_connected())
    }

    /// A command that fred has no method for in the features we use.
    pub(super) async fn command(&self, name: &'static str, args: Vec<Value>) -> Result<Value, StoreError> {
        let (client, asked) = (self.client()?, clock::now());
        let outcome: Result<Value, _> = client.custom(CustomCommand::new_static(name, None, false), args).await;
        self.mend(client, asked, outcome.as_ref().err());
        outcome.map_err(classify)
    }

    /// Runs a verb. A script that Redis does not know (restart, failover, `SCRIPT FLUSH`) was not
    /// run, so loading it and asking again is safe.
    pub(super) async fn run(&self, script: &Script, key: &str, args: Vec<Value>) -> Result<Value, StoreError> {
        let client = if script.in_order { self.first_client()? } else { self.client()? };
        let started = clock::now();
        let first: Result<Value, _> = client.evalsha(script.sha.as_str(), vec![key], args.clone()).await;
        let outcome = match first {
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                let _: Value = client.script_load(script.text.as_str()).await.map_err(classify)?;
                metrics::counter!(crate::metrics::REDIS_RESENT.name).increment(1);
                client.evalsha(script.sha.as_str(), vec![key], args).await
            }
            other => other,
        };
        metrics::histogram!(crate::metrics::REDIS_SCRIPT.name, "script" => script.name)
            .record(started.elapsed().as_secs_f64());
        self.mend(client, started, outcome.as_ref().err());
        outcome.map_err(classify)
    }

    /// Learns from how a command ended that was `asked` over a connection: one that is of no more use is replaced.
    /// When Redis has said nothing on any connection since then, all are: otherwise each would be found silent by a
    /// caller of its own, one timeout after the other, and what is asked meanwhile would wait although nobody answers.
    pub(super) fn mend(&self, client: &Mended, asked: Instant, error: Option<&FredError>) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if error.is_none_or(|error| has_code(error.details())) {
            *answered = Some(clock::now());
        }
        let Some(why) = error.and_then(useless) else { return };
        let dumb = why == SILENT && answered.is_none_or(|at| at <= asked);
        drop(answered);
        let all = self.clients.iter().filter(|one| dumb || std::ptr::eq(*one, client));
        let replaced = all.filter(|one| one.replace(why)).count() as u64;
        metrics::counter!(crate::metrics::REDIS_BREAKS.name).increment(replaced);
        self.breaks.fetch_add(replaced, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Link {
    /// The URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({} connections)", self.clients.len())
    }
}

/// A connection that one reader blocks on.
pub(super) struct Blocking {
    pub(super) client: Mended,
}

impl Blocking {
    /// Sorts what a blocking read that asked for `limit` ended with: `None` when nothing came. A read
    /// that lasts longer than it asked for is on a connection that died.
    pub(super) fn judge(&self, error: FredError, limit: Duration, lasted: Duration) -> Option<StoreError> {
        if !nothing_came(&error) {
            if let Some(why) = useless(&error) {
                self.client.replace(why);
            }
            return Some(classify(error));
        }
        if lasted < limit + BLOCKING_GRACE / 2 {
            return None;
        }
        self.client.replace(SILENT);
        Some(StoreError::Unavailable("the connection died".to_owned()))
    }
}

const SILENT: &str = "it does not answer";

/// Why the connection on which a command ended so is of no more use, if it is not.
fn useless(error: &FredError) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::Timeout => Some(SILENT),
        // The server was a primary once: behind the same address, or known to a sentinel, there is another.
        _ if error.details().starts_with("READONLY") => Some("it leads to a replica"),
        _ => None,
    }
}

/// fred reports the nil reply of a blocking read as a timeout; both mean "nothing came".
fn nothing_came(error: &FredError) -> bool {
    matches!(error.kind(), ErrorKind::Timeout)
}

fn build(target: &Target, timeout: Duration) -> Result<Client, StoreError> {
    let mut config = target.config()?;
    // Redis may come up after us: the first connection is retried like any other.
    config.fail_fast = false;
    Builder::from_config(config)
        .with_connection_config(|c| {
            // fred's default re-sends a command whose reply was lost; most verbs must not run twice.
            c.max_command_attempts = 1;
            // By default LOADING or READONLY to one command breaks the connection, and fred answers every
            // command behind it with the same words, although Redis may carry those out.
            c.reconnect_errors = Vec::new();
            // A command behind one that waits must not wait for its acknowledgement too.
            c.tcp.nodelay = Some(true);
            c.connection_timeout = Duration::from_secs(3);
            c.internal_command_timeout = Duration::from_secs(3);
            c.max_command_buffer_len = 10_000;
            c.unresponsive = UnresponsiveConfig {
                max_timeout: Some(timeout + Duration::from_secs(5)),
                interval: Duration::from_secs(2),
            };
        })
        .with_performance_config(|p| p.default_command_timeout = timeout)
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 1_000, 2))
        .build()
        .map_err(|e| StoreError::Unavailable(format!("{:?}", e.kind())))
}

fn has_code(details: &str) -> bool {
    let code = details.split(' ').next().unwrap_or_default();
    !code.is_empty() && code.bytes().all(|b| b.is_ascii_uppercase())
}

/// Sorts an error into done, definitely not done, or unknown.
pub(super) fn classify(error: FredError) -> StoreError {
    let details = error.details().to_owned();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|p| details.starts_with(p));
    if starts(&["OOM"]) {
        return StoreError::Full(details);
    }
    if starts(&["READONLY", "MISCONF", "NOREPLICAS"]) {
        return StoreError::ReadOnly(details);
    }
    // The one refusal for which fred breaks a connection whatever it is told: said to one command, and handed
    // to all behind it.
    if starts(&["CLUSTERDOWN"]) {
        return StoreError::Unknown(details);
    }
    if starts(&["LOADING", "BUSY", "MASTERDOWN", "NOAUTH", "WRONGPASS", "NOPERM", "NOSCRIPT"])
        || starts(&["MOVED", "ASK", "TRYAGAIN"])
    {
        return StoreError::Unavailable(details);
    }
    // fred gives these the kind `Unknown`. The first three are said before a byte is written; the last
    // is said of a command that had its one attempt.
    if starts(&["Failed to route command", "Failed to send command to router", "Client is not initialized"]) {
        return StoreError::Unavailable("not connected".to_owned());
    }
    if starts(&["Too many failed write attempts"]) {
        return StoreError::Unknown(details);
    }
    match error.kind() {
        // fred's own: the command was dropped with its connection, or would have to be sent twice.
        // What Redis says begins with a code in capitals.
        ErrorKind::Unknown if !has_code(&details) => StoreError::Unknown(details),
        ErrorKind::Timeout | ErrorKind::IO | ErrorKind::Canceled => StoreError::Unknown(details),
        ErrorKind::Backpressure | ErrorKind::Auth | ErrorKind::Routing | ErrorKind::Sentinel | ErrorKind::Tls => {
            StoreError::Unavailable(details)
        }
        _ => StoreError::Corrupt(details),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_redis_says_is_unexpected_data() {
        let sorted = |details: &'static str| classify(FredError::new(ErrorKind::Unknown, details));
        assert!(matches!(sorted("WLTYPE ai:jobs is a list"), StoreError::Corrupt(_)));
        assert!(matches!(sorted("ERR user_script:1: attempt to index nil"), StoreError::Corrupt(_)));
        assert!(matches!(sorted("channel closed"), StoreError::Unknown(_)));
        assert!(matches!(sorted("Too many failed write attempts."), StoreError::Unknown(_)));
        assert!(matches!(sorted("OOM command not allowed"), StoreError::Full(_)));
    }
}
