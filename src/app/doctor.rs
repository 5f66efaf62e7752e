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

/// How long connecting may take.
const LIMIT: Duration = Duration::from_secs(3);

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
    let guard = Guard::start(store, stop);
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
    Ok(findings.checks.iter().map(finding).collect())
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
