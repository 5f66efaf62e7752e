//! Cross-checks: combinations of settings that would lose work or never start are refused.

use secrecy::ExposeSecret;

use super::catalogue as c;
use super::layers::Resolved;
use super::{Config, Problem};
use crate::store::one_host_first;

/// The shortest bootstrap key that is accepted, in characters: it guards everything.
const ADMIN_KEY_MIN: usize = 16;

/// What is wrong, with the sources of the settings at fault.
struct Refusals<'a> {
    resolved: &'a Resolved,
    problems: Vec<Problem>,
}

impl Refusals<'_> {
    fn add(&mut self, setting: &c::Setting, message: impl std::fmt::Display) {
        self.problems.push(Problem::of(setting, self.resolved.origin(setting), message));
    }
}

/// Every combination that must not start.
pub(super) fn run(config: &Config, resolved: &Resolved) -> Vec<Problem> {
    let mut refusals = Refusals { resolved, problems: Vec::new() };
    check_times(config, &mut refusals);
    check_addresses(config, &mut refusals);
    if config.queue.durability_replicas > 0 && !config.queue.strict {
        refusals.add(&c::DURABILITY_REPLICAS, "nobody waits for replicas unless DURABILITY is `strict`");
    }
    if config.server.admin_key.as_ref().is_some_and(|k| k.expose_secret().chars().count() < ADMIN_KEY_MIN) {
        refusals.add(&c::WINDLASS_ADMIN_KEY, format_args!("must have at least {ADMIN_KEY_MIN} characters"));
    }
    if config.metrics.token.as_ref().is_some_and(|k| k.expose_secret().chars().count() < ADMIN_KEY_MIN) {
        refusals.add(&c::METRICS_TOKEN, format_args!("must have at least {ADMIN_KEY_MIN} characters"));
    }
    if config.metrics.token.is_some() && !config.metrics.closed {
        refusals.add(&c::METRICS_TOKEN, "nobody asks for it unless METRICS_AUTH is `token`");
    }
    if let Err(message) = super::log_filter(&config.log.level) {
        refusals.add(&c::LOG_LEVEL, message);
    }
    refusals.problems
}

fn check_times(config: &Config, refusals: &mut Refusals<'_>) {
    let timing = &config.worker.timing;
    if timing.lease < timing.heartbeat * 3 {
        let (lease, heartbeat) = (timing.lease.as_millis(), timing.heartbeat.as_millis());
        let text = "so that two may be lost";
        let text = format_args!("a lease of {lease} ms must last at least three heartbeats of {heartbeat} ms, {text}");
        refusals.add(&c::HEARTBEAT_MS, text);
    }
    let (grace, kill) = (config.worker.drain_grace.as_secs(), config.worker.kill_timeout.as_secs());
    if grace >= kill {
        let message = format_args!(
            "a drain grace of {grace} s must be shorter than the kill timeout of {kill} s (KILL_TIMEOUT_SECONDS), \
             or running jobs are killed instead of handed back"
        );
        refusals.add(&c::DRAIN_GRACE_SECONDS, message);
    }
    let life = config.queue.idempotency_ttl;
    let kept =
        [(&c::RETENTION_SECONDS, config.queue.retention), (&c::DEAD_RETENTION_SECONDS, config.queue.dead_retention)];
    for (setting, retention) in kept.into_iter().filter(|(_, kept)| *kept < life) {
        let (retention, life) = (retention.as_secs(), life.as_secs());
        let message = format_args!(
            "records are kept {retention} s, shorter than request ids stay taken ({life} s, IDEMPOTENCY_TTL): \
             a replay could not show its job"
        );
        refusals.add(setting, message);
    }
}

fn check_addresses(config: &Config, refusals: &mut Refusals<'_>) {
    if let Some(message) = redis_url_problem(config.redis.url.expose_secret()) {
        refusals.add(&c::REDIS_URL, message);
    }
    if config.redis.shards > 1 && !config.redis.url.expose_secret().contains("-cluster://") {
        refusals.add(&c::REDIS_SHARDS, "needs a cluster: a single Redis has one shard (REDIS_URL=redis-cluster://…)");
    }
    for setting in [&c::LLM_URL, &c::OPENAI_BASE_URL, &c::GROK_BASE_URL, &c::OLLAMA_HOST, &c::WINDLASS_URL] {
        let text = match *setting {
            // Many machines have it for Ollama's own sake.
            c::OLLAMA_HOST => {
                super::llm::ollama_host(refusals.resolved).filter(|_| refusals.resolved.flag(&c::OLLAMA_ENABLED))
            }
            _ => refusals.resolved.text(setting),
        };
        if text.is_some_and(|text| !is_http_url(&text)) {
            refusals.add(setting, "must be an http:// or https:// URL");
        }
    }
}

pub(super) fn is_http_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
}

/// Says what is wrong without repeating the text, which may hold a password.
fn redis_url_problem(text: &str) -> Option<String> {
    let known = [
        "redis",
        "rediss",
        "redis+unix",
        "redis-sentinel",
        "rediss-sentinel",
        "redis-cluster",
        "rediss-cluster",
        "valkey",
        "valkeys",
        "valkey-cluster",
        "valkeys-cluster",
    ];
    match url::Url::parse(&one_host_first(text)) {
        Ok(url)
            if url.scheme().ends_with("-sentinel") && !url.query_pairs().any(|(k, _)| k == "sentinelServiceName") =>
        {
            Some("a Sentinel URL needs ?sentinelServiceName=, the name that the sentinels know it by".to_owned())
        }
        Ok(url) if known.contains(&url.scheme()) => None,
        Ok(url) => Some(format!(
            "the scheme `{}` is not known; use redis://, rediss://, redis+unix://, redis-sentinel:// or redis-cluster://",
            url.scheme()
        )),
        Err(error) => {
            Some(format!("not a URL ({error}); characters such as #, /, ? and @ in a password must be percent-encoded"))
        }
    }
}
