//! Cross-checks: combinations of settings that would lose work or never start are refused.

use secrecy::ExposeSecret;

use super::catalogue as c;
use super::layers::Resolved;
use super::{Config, Problem};

/// The shortest bootstrap key that is accepted, in characters: it guards everything.
const ADMIN_KEY_MIN: usize = 16;

/// Every combination that must not start.
pub(super) fn run(config: &Config, resolved: &Resolved) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refuse = |setting: &c::Setting, message: String| {
        problems.push(Problem::of(setting, resolved.origin(setting), message));
    };
    let timing = &config.worker.timing;
    if timing.lease < timing.heartbeat * 3 {
        let (lease, heartbeat) = (timing.lease.as_millis(), timing.heartbeat.as_millis());
        refuse(
            &c::HEARTBEAT_MS,
            format!(
                "a lease of {lease} ms must last at least three heartbeats of {heartbeat} ms, so that two may be lost"
            ),
        );
    }
    let (grace, kill) = (config.worker.drain_grace, config.worker.kill_timeout);
    if grace >= kill {
        let message = format!(
            "a drain grace of {} s must be shorter than the kill timeout of {} s (KILL_TIMEOUT_SECONDS), \
             or running jobs are killed instead of handed back",
            grace.as_secs(),
            kill.as_secs()
        );
        refuse(&c::DRAIN_GRACE_SECONDS, message);
    }
    let life = config.queue.idempotency_ttl;
    let kept =
        [(&c::RETENTION_SECONDS, config.queue.retention), (&c::DEAD_RETENTION_SECONDS, config.queue.dead_retention)];
    for (setting, retention) in kept.into_iter().filter(|(_, kept)| *kept < life) {
        let message = format!(
            "records are kept {} s, shorter than request ids stay taken ({} s, IDEMPOTENCY_TTL): \
             a replay could not show its job",
            retention.as_secs(),
            life.as_secs()
        );
        refuse(setting, message);
    }
    if config.queue.strict {
        refuse(&c::DURABILITY, "`strict` is not available in this version; use `standard`".to_owned());
    }
    if let Some(message) = redis_url_problem(config.redis.url.expose_secret()) {
        refuse(&c::REDIS_URL, message);
    }
    if config.server.admin_key.as_ref().is_some_and(|k| k.expose_secret().chars().count() < ADMIN_KEY_MIN) {
        refuse(&c::WINDLASS_ADMIN_KEY, format!("must have at least {ADMIN_KEY_MIN} characters"));
    }
    for setting in [&c::LLM_URL, &c::OPENAI_BASE_URL, &c::WINDLASS_URL] {
        if resolved.text(setting).is_some_and(|text| !is_http_url(&text)) {
            refuse(setting, "must be an http:// or https:// URL".to_owned());
        }
    }
    if let Err(message) = super::log_filter(&config.log_level) {
        refuse(&c::LOG_LEVEL, message);
    }
    problems
}

fn is_http_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
}

/// Says what is wrong without repeating the text, which may hold a password.
fn redis_url_problem(text: &str) -> Option<String> {
    let known = ["redis", "rediss", "redis+unix", "redis-sentinel", "rediss-sentinel", "valkey", "valkeys"];
    match url::Url::parse(text) {
        Ok(url) if known.contains(&url.scheme()) => None,
        Ok(url) => {
            Some(format!("the scheme `{}` is not known; use redis://, rediss:// or redis+unix://", url.scheme()))
        }
        Err(error) => {
            Some(format!("not a URL ({error}); characters such as #, /, ? and @ in a password must be percent-encoded"))
        }
    }
}
