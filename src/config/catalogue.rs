//! Every setting: its key in the file, its environment variable, and what a value may look like.

/// What a value may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text; empty means unset.
    Text,
    /// A URL whose password is hidden when shown; may come from a file.
    SecretUrl,
    /// Text that is never shown; may come from a file. Empty means unset.
    Secret,
    /// A whole number within bounds, both included.
    Integer(u64, u64),
    /// An amount of US dollars up to this many, fractions allowed.
    Usd(u32),
    /// True or false.
    Flag,
    /// A list of words; in the environment separated by commas.
    List,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// Whether the value must not be shown as it is, and may come from a `*_FILE`.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretUrl)
    }
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `topic.name` as in the file.
    pub key: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// What a value may look like.
    pub kind: Kind,
}

macro_rules! settings {
    ($($env:ident = $key:literal, $kind:expr;)+) => {
        $(pub(super) const $env: Setting = Setting { key: $key, env: stringify!($env), kind: $kind };)+

        /// Every setting, by topic. What each means is said in `config/default.toml`.
        pub const SETTINGS: &[Setting] = &[$($env,)+];
    };
}

const YEAR: u64 = 365 * 86_400;

/// The most that a limit of calls or tokens may be.
const MOST: u64 = 1_000_000_000_000;

/// The samplers of OpenTelemetry's specification.
const SAMPLERS: &[&str] = &[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

settings! {
    HOST = "server.host", Kind::Text;
    PORT = "server.port", Kind::Integer(0, 65_535);
    MAX_CONNECTIONS = "server.max_connections", Kind::Integer(1, 1_000_000);
    REQUEST_TIMEOUT_SECONDS = "server.request_timeout_seconds", Kind::Integer(1, 3_600);
    ENVIRONMENT = "server.environment", Kind::Text;
    WINDLASS_ADMIN_KEY = "server.admin_key", Kind::Secret;
    CURSOR_SECRET = "server.cursor_secret", Kind::Secret;
    REDIS_URL = "redis.url", Kind::SecretUrl;
    REDIS_SHARDS = "redis.shards", Kind::Integer(0, 64);
    REDIS_POOL_SIZE = "redis.pool_size", Kind::Integer(1, 10);
    REDIS_COMMAND_TIMEOUT_SECONDS = "redis.command_timeout_seconds", Kind::Integer(1, 60);
    IDEMPOTENCY_TTL = "queue.idempotency_ttl_seconds", Kind::Integer(60, YEAR);
    RETENTION_SECONDS = "queue.retention_seconds", Kind::Integer(60, YEAR);
    DEAD_RETENTION_SECONDS = "queue.dead_retention_seconds", Kind::Integer(60, YEAR);
    MAX_DEPTH = "queue.max_depth", Kind::Integer(1, 100_000_000);
    EVENTS = "queue.events", Kind::Flag;
    LISTING_INDEX = "queue.listing_index", Kind::Flag;
    DURABILITY = "queue.durability", Kind::Choice(&["standard", "strict"]);
    DURABILITY_REPLICAS = "queue.durability_replicas", Kind::Integer(0, 16);
    DURABILITY_TIMEOUT_MS = "queue.durability_timeout_ms", Kind::Integer(10, 30_000);
    QUEUES = "worker.queues", Kind::List;
    WORKER_CONCURRENCY = "worker.concurrency", Kind::Integer(0, 4_096);
    WORKER_PORT = "worker.port", Kind::Integer(0, 65_535);
    LEASE_MS = "worker.lease_ms", Kind::Integer(500, 3_600_000);
    HEARTBEAT_MS = "worker.heartbeat_ms", Kind::Integer(0, 1_200_000);
    DRAIN_GRACE_SECONDS = "worker.drain_grace_seconds", Kind::Integer(0, 86_400);
    KILL_TIMEOUT_SECONDS = "worker.kill_timeout_seconds", Kind::Integer(1, 86_400);
    ACTIONS_ENABLED = "actions.enabled", Kind::Flag;
    ALLOW_ACTIONS_DEFAULT = "actions.allow", Kind::List;
    EFFECT_SETTLE_SECONDS = "actions.effect_settle_seconds", Kind::Integer(0, 3_600);
    OPENAI_ENABLED = "llm.enabled", Kind::Flag;
    OPENAI_API_KEY = "llm.api_key", Kind::Secret;
    OPENAI_BASE_URL = "llm.base_url", Kind::Text;
    OPENAI_DEFAULT_MODEL = "llm.default_model", Kind::Text;
    LLM_URL = "llm.url", Kind::Text;
    LLM_MODEL = "llm.model", Kind::Text;
    LLM_API_KEY = "llm.url_api_key", Kind::Secret;
    AI_MODEL = "llm.fallback_model", Kind::Text;
    AI_MAX_OUTPUT_TOKENS = "llm.max_output_tokens", Kind::Integer(1, 1_000_000);
    LLM_DEFAULT_PROVIDER = "llm.default_provider", Kind::Text;
    LLM_ENABLE_FALLBACK = "llm.enable_fallback", Kind::Flag;
    LLM_LOAD_BALANCING = "llm.load_balancing", Kind::Choice(&["default", "round-robin", "random", "lowest-cost"]);
    LLM_TIMEOUT_SECONDS = "llm.timeout_seconds", Kind::Integer(1, 86_400);
    LLM_WORKSPACE_REQUESTS_PER_MINUTE = "llm.workspace_requests_per_minute", Kind::Integer(0, MOST);
    LLM_WORKSPACE_TOKENS_PER_MINUTE = "llm.workspace_tokens_per_minute", Kind::Integer(0, MOST);
    LLM_WORKSPACE_USD_PER_DAY = "llm.workspace_usd_per_day", Kind::Usd(1_000_000);
    LLM_WORKSPACE_CONCURRENCY = "llm.workspace_concurrency", Kind::Integer(0, MOST);
    GROK_ENABLED = "grok.enabled", Kind::Flag;
    GROK_API_KEY = "grok.api_key", Kind::Secret;
    GROK_BASE_URL = "grok.base_url", Kind::Text;
    GROK_DEFAULT_MODEL = "grok.default_model", Kind::Text;
    OLLAMA_ENABLED = "ollama.enabled", Kind::Flag;
    OLLAMA_HOST = "ollama.host", Kind::Text;
    OLLAMA_DEFAULT_MODEL = "ollama.default_model", Kind::Text;
    WEBHOOK_SIGNING_SECRET = "webhook.signing_secret", Kind::Secret;
    WEBHOOK_SIGNING_SECRET_PREVIOUS = "webhook.signing_secret_previous", Kind::Secret;
    WEBHOOK_ALLOWED_HOSTS = "webhook.allowed_hosts", Kind::List;
    WEBHOOK_ALLOW_INTERNAL = "webhook.allow_internal", Kind::List;
    WEBHOOK_TIMEOUT_SECONDS = "webhook.timeout_seconds", Kind::Integer(1, 300);
    CREDENTIALS_KEY = "credentials.key", Kind::Secret;
    CREDENTIALS_OLD_KEYS = "credentials.old_keys", Kind::Secret;
    GOOGLE_TOKEN_URL = "credentials.google_token_url", Kind::Text;
    MICROSOFT_LOGIN_URL = "credentials.microsoft_login_url", Kind::Text;
    SMTP_URL = "smtp.url", Kind::SecretUrl;
    SMTP_FROM = "smtp.from", Kind::Text;
    GMAIL_BASE_URL = "mail.gmail_base_url", Kind::Text;
    MAIL_TIMEOUT_SECONDS = "mail.timeout_seconds", Kind::Integer(1, 300);
    HTTP_ALLOWED_HOSTS = "http.allowed_hosts", Kind::List;
    HTTP_ALLOW_INTERNAL = "http.allow_internal", Kind::List;
    HTTP_TIMEOUT_SECONDS = "http.timeout_seconds", Kind::Integer(1, 300);
    GITHUB_ENABLED = "github.enabled", Kind::Flag;
    GITHUB_TOKEN = "github.token", Kind::Secret;
    GITHUB_OWNER = "github.owner", Kind::Text;
    GITHUB_REPO = "github.repo", Kind::Text;
    GITHUB_API_URL = "github.api_url", Kind::Text;
    GOOGLE_TASKS_BASE_URL = "google.tasks_base_url", Kind::Text;
    GRAPH_BASE_URL = "microsoft.graph_base_url", Kind::Text;
    LOG_LEVEL = "log.level", Kind::Text;
    LOG_DIR = "log.dir", Kind::Text;
    LOG_ROTATE_BYTES = "log.rotate_bytes", Kind::Integer(1_000, MOST);
    LOG_KEEP_DAYS = "log.keep_days", Kind::Integer(1, 3_650);
    METRICS_AUTH = "metrics.auth", Kind::Choice(&["open", "token"]);
    METRICS_TOKEN = "metrics.token", Kind::Secret;
    OTEL_EXPORTER_OTLP_ENDPOINT = "otel.endpoint", Kind::Text;
    OTEL_EXPORTER_OTLP_HEADERS = "otel.headers", Kind::Secret;
    OTEL_SERVICE_NAME = "otel.service_name", Kind::Text;
    OTEL_TRACES_SAMPLER = "otel.sampler", Kind::Choice(SAMPLERS);
    OTEL_TRACES_SAMPLER_ARG = "otel.sampler_arg", Kind::Text;
    WINDLASS_URL = "client.url", Kind::Text;
    WINDLASS_API_KEY = "client.api_key", Kind::Secret;
}

/// The setting with this key, if there is one.
#[must_use]
pub(super) fn by_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.key == key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_and_variables_are_unique() {
        let keys: BTreeSet<_> = SETTINGS.iter().map(|s| s.key).collect();
        let variables: BTreeSet<_> = SETTINGS.iter().map(|s| s.env).collect();
        assert_eq!((keys.len(), variables.len()), (SETTINGS.len(), SETTINGS.len()));
    }

    #[test]
    fn the_defaults_file_explains_every_setting_by_its_variable() {
        for setting in SETTINGS {
            let start = format!("# {}: ", setting.env);
            assert!(crate::config::DEFAULTS.lines().any(|l| l.starts_with(&start)), "{} is not explained", setting.env);
        }
    }
}
