//! `windlass doctor`: looks at Redis through the same guard as the server, asks the API, and says
//! what to do.

use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::compose;
use crate::cli::{Code, Failure, Output};
use crate::client::{Client, ClientError};
use crate::clock;
use crate::config::Config;
use crate::engine::{Findings, Guard, Level};
use crate::store::Shards;

/// How long connecting may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Pages of credentials that are looked at; each has some hundred.
const CREDENTIAL_PAGES: usize = 100;

#[derive(Debug, Serialize)]
struct Finding {
    part: &'static str,
    check: String,
    status: String,
    found: String,
    remedy: String,
}

#[derive(Debug, Serialize)]
struct Diagnosis {
    ok: bool,
    findings: Vec<Finding>,
}

/// Checks Redis when REDIS_URL is set and the API when WINDLASS_URL is; both when neither is.
pub(super) async fn run(config: &Config, out: &mut Output) -> Result<(), Failure> {
    let neither = !config.redis.url_is_set && !config.client.url_is_set;
    let mut findings = Vec::new();
    if config.redis.url_is_set || neither {
        findings.extend(redis(config).await?);
    }
    if config.client.url_is_set || neither {
        findings.extend(api(config).await?);
    }
    let unreachable = findings.iter().any(|f| f.status == "unreachable");
    let failed = unreachable || findings.iter().any(|f| f.status == "failed");
    let degraded = findings.iter().any(|f| f.status == "degraded");
    let diagnosis = Diagnosis { ok: !failed, findings };
    out.table(&diagnosis, &["PART", "CHECK", "STATUS", "FOUND", "WHAT TO DO"], |diagnosis| {
        let row =
            |f: &Finding| vec![f.part.to_owned(), f.check.clone(), f.status.clone(), f.found.clone(), f.remedy.clone()];
        diagnosis.findings.iter().map(row).collect()
    })?;
    match (unreachable, failed, degraded) {
        (true, ..) => Err(Failure::new(Code::Unreachable, "something cannot be reached")),
        (_, true, _) => Err(Failure::new(Code::Failure, "something is wrong")),
        (_, _, true) => out.note("works, with risks: see `degraded`"),
        _ => out.note("all is well"),
    }
}

async fn redis(config: &Config) -> Result<Vec<Finding>, Failure> {
    let store = compose::store(config).await?;
    let stop = CancellationToken::new();
    let _stop_guard = stop.clone().drop_guard();
    let guard = Guard::start(store.clone(), stop);
    let deadline = clock::now() + LIMIT;
    let mut findings = guard.look().await;
    while !is_seen(&findings) && clock::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
        findings = guard.look().await;
    }
    if findings.checks.is_empty() {
        return Ok(vec![Finding {
            part: "redis",
            check: "redis".to_owned(),
            status: "unreachable".to_owned(),
            found: format!("no answer within {} s", LIMIT.as_secs()),
            remedy: "is it running there, and is REDIS_URL right? `windlass config check` shows it".to_owned(),
        }]);
    }
    let status = |name: &str, level| match level {
        Level::Ok => "ok",
        Level::Degraded => "degraded",
        Level::Failed if name == "redis" => "unreachable",
        Level::Failed => "failed",
    };
    let finding = |(name, check): (&&'static str, &crate::engine::Check)| Finding {
        part: "redis",
        check: (*name).to_owned(),
        status: status(name, check.level).to_owned(),
        found: check.detail.clone(),
        remedy: check.remedy.clone(),
    };
    let mut all: Vec<Finding> = findings.checks.iter().map(finding).collect();
    if is_seen(&findings) {
        all.extend(credentials(config, &store).await);
    }
    Ok(all)
}

/// Under which keys the credentials are; `None` when there are none.
async fn credentials(config: &Config, store: &Shards) -> Option<Finding> {
    let finding = |status: &str, found, remedy: &str| Finding {
        part: "redis",
        check: "credentials".to_owned(),
        status: status.to_owned(),
        found,
        remedy: remedy.to_owned(),
    };
    let (keyring, mut from) = (config.credentials.keyring.as_deref(), 0);
    let (mut current, mut old, mut unknown) = (0_u64, 0_u64, 0_u64);
    for _ in 0..CREDENTIAL_PAGES {
        let Ok(page) = store.credentials().all_credentials(from).await else { break };
        for record in page.records {
            match keyring {
                Some(ring) if ring.current_id() == record.key_id => current += 1,
                Some(ring) if ring.has(&record.key_id) => old += 1,
                _ => unknown += 1,
            }
        }
        let Some(next) = page.next else { break };
        from = next;
    }
    if keyring.is_none() && unknown > 0 {
        let found = format!("{unknown} of them; without CREDENTIALS_KEY here nothing tells whether they open");
        return Some(finding("ok", found, ""));
    }
    let (status, remedy) = match (current, old, unknown) {
        (0, 0, 0) => return None,
        (_, _, 1..) => ("failed", "set CREDENTIALS_KEY or CREDENTIALS_OLD_KEYS to the keys that sealed them"),
        (_, 1.., _) => ("degraded", "windlass credentials rotate"),
        _ => ("ok", ""),
    };
    let found =
        format!("{current} under the current key, {old} under old ones, {unknown} under none of these settings");
    Some(finding(status, found, remedy))
}

/// Whether Redis answered: connecting takes a moment.
fn is_seen(findings: &Findings) -> bool {
    findings.checks.get("redis").is_some_and(|check| check.level < Level::Failed)
}

async fn api(config: &Config) -> Result<Vec<Finding>, Failure> {
    let client = Client::new(&config.client.url, None)?;
    let finding = |check: String, status: &str, found: String, remedy: String| Finding {
        part: "api",
        check,
        status: status.to_owned(),
        found,
        remedy,
    };
    match client.ready().await {
        Ok(report) => {
            let row = |(name, check): (String, crate::api::health::CheckView)| {
                finding(name, &check.status, check.detail, check.remedy.unwrap_or_default())
            };
            Ok(report.checks.into_iter().map(row).collect())
        }
        Err(error @ ClientError::Unreachable { .. }) => {
            let remedy = "is `windlass serve` running there, and is WINDLASS_URL right?";
            Ok(vec![finding("reach".to_owned(), "unreachable", error.to_string(), remedy.to_owned())])
        }
        Err(error) => {
            let remedy = "does WINDLASS_URL lead to a Windlass API?";
            Ok(vec![finding("reach".to_owned(), "failed", error.to_string(), remedy.to_owned())])
        }
    }
}
