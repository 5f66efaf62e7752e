//! Which layer wins, what is refused, and that no secret is shown.

use secrecy::ExposeSecret;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn from_env(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_layers(None, &environment(pairs), &Overrides::default())
}

fn problem(pairs: &[(&str, &str)]) -> String {
    from_env(pairs).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_defaults_stand_and_cover_every_setting() {
    let config = from_env(&[]).unwrap();
    assert_eq!(config.rows().count(), SETTINGS.len());
    assert_eq!((config.server.port, config.server.host.as_str()), (8000, "0.0.0.0"));
    assert_eq!(config.queue.idempotency_ttl.as_secs(), 86_400);
    assert_eq!(config.worker.port, Some(8001));
    assert!(config.llm.is_none(), "llm.chat needs a key or an address");
}

#[test]
fn later_layers_win() {
    let file = "[server]\nport = 1\nhost = \"::1\"\n[worker]\nconcurrency = 3\n";
    let env = environment(&[("PORT", "2"), ("WORKER_CONCURRENCY", "")]);
    let flags = Overrides::default().with("PORT", "--port", 3);
    let path = Path::new("windlass.toml");
    let config = Config::from_layers(Some((path, file)), &env, &flags).unwrap();
    assert_eq!((config.server.port, config.server.host.as_str(), config.worker.slots), (3, "::1", 3));
    let origins: Vec<String> = config.rows().take(2).map(|(_, _, origin)| origin.to_string()).collect();
    assert_eq!(origins, ["windlass.toml", "--port"]);
}

#[test]
fn the_env_block_of_the_source_runbook_starts() {
    let config = from_env(&[
        ("REDIS_URL", "redis://default:password@host:6379"),
        ("ACTIONS_ENABLED", "true"),
        ("ALLOW_ACTIONS_DEFAULT", "gmail.send,outlook.send,task.create"),
        ("AI_MODEL", "gpt-4o-mini"),
        ("AI_MAX_OUTPUT_TOKENS", "800"),
        ("LOG_LEVEL", "INFO"),
    ])
    .unwrap();
    assert_eq!(config.actions.allow, ["gmail.send", "outlook.send", "task.create"]);
}

#[test]
fn unknown_keys_are_refused_by_name() {
    let flags = Overrides::default();
    for (text, expected) in [
        ("[redis]\nulr = \"x\"", "unknown key `redis.ulr`; [redis] has url, shards"),
        ("[rdis]\nurl = \"x\"", "unknown key `rdis.url`; topics are server, redis"),
        ("port = 1", "unknown key `port`"),
        ("[server]\nport = \"80\"", "must be a whole number, not string"),
        ("[server", "not valid TOML (line 1)"),
    ] {
        let file = Some((Path::new("w.toml"), text));
        let error = Config::from_layers(file, &Environment::default(), &flags).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("w.toml"), "{error}");
    }
}

#[test]
fn unsafe_combinations_are_refused() {
    for (pairs, expected) in [
        (&[("HEARTBEAT_MS", "1001"), ("LEASE_MS", "3000")][..], "three heartbeats"),
        (&[("DRAIN_GRACE_SECONDS", "30")], "shorter than the kill timeout"),
        (&[("RETENTION_SECONDS", "3600")], "IDEMPOTENCY_TTL"),
        (&[("IDEMPOTENCY_TTL", "59")], "from 60 to"),
        (&[("REDIS_POOL_SIZE", "11")], "from 1 to 10"),
        (&[("DURABILITY_REPLICAS", "1")], "unless DURABILITY is `strict`"),
        (&[("REDIS_URL", "redis-sentinel://h:26379")], "sentinelServiceName"),
        (&[("QUEUES", "a=0")], "weight"),
        (&[("QUEUES", "a,a")], "twice"),
        (&[("QUEUES", "UPPER")], "must match"),
        (&[("WINDLASS_ADMIN_KEY", "short")], "at least 16"),
        (&[("LLM_URL", "localhost:11434")], "http:// or https://"),
        (&[("LOG_LEVEL", "loud")], "LOG_LEVEL"),
    ] {
        let error = problem(pairs);
        assert!(error.contains(expected) && error.contains(pairs[0].0.split('_').next().unwrap()), "{error}");
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    let error = problem(&[("PORT", "x"), ("EVENTS", "maybe")]);
    assert!(error.contains("PORT: ") && error.contains("EVENTS: "), "{error}");
}

#[test]
fn secrets_are_never_shown() {
    let config = from_env(&[
        ("REDIS_URL", "redis://u:hunter2@h:1"),
        ("OPENAI_API_KEY", "sk-hunter2"),
        ("WINDLASS_ADMIN_KEY", "hunter2-hunter2-hunter2"),
        ("WEBHOOK_SIGNING_SECRET", "whsec_hunter2"),
        ("WEBHOOK_SIGNING_SECRET_PREVIOUS", "whsec_hunter2"),
        ("GITHUB_TOKEN", "ghp_hunter2"),
    ])
    .unwrap();
    let shown: String = config.rows().map(|(_, value, origin)| format!("{value} {origin}\n")).collect();
    assert!(!shown.contains("hunter2") && !format!("{config:?}").contains("hunter2"), "{shown}");
    let error = problem(&[("REDIS_URL", "redis://u:hunter2#@h:x")]);
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_secret_may_come_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "sk-from-file\n").unwrap();
    let path = path.to_str().unwrap();
    let config = from_env(&[("OPENAI_API_KEY_FILE", path)]).unwrap();
    let key = config.llm.and_then(|mut l| l.providers.remove(0).api_key).unwrap();
    assert_eq!(key.expose_secret(), "sk-from-file");
    let both = problem(&[("OPENAI_API_KEY_FILE", path), ("OPENAI_API_KEY", "x")]);
    assert!(both.contains("both set"), "{both}");
    let missing = problem(&[("OPENAI_API_KEY_FILE", "/nonexistent/key")]);
    assert!(missing.contains("cannot read"), "{missing}");
}
