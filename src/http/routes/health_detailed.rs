//! Health with everything behind it, for operators.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use futures_util::future::try_join_all;
use tokio::time::timeout;

use crate::api::health::{HealthDetailed, ProviderHealthView, RedisHealth, WorkersHealth};
use crate::clock;
use crate::domain::WorkerState;
use crate::engine::Findings;
use crate::store::{ServerFacts, Shards, StoreError};

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::super::{process, views};
use super::health::report;
use super::providers::provider;

/// How long the answer waits for Redis.
const PATIENCE: Duration = Duration::from_secs(3);

/// Show the server, its process, Redis, the providers of language models and the workers.
///
/// The answer is 200 also when something is wrong: look at `status` and at what has an `error`.
#[utoipa::path(
    get, path = "/health/detailed", tag = "operators", operation_id = "health_detailed",
    responses((status = 200, description = "Health, with everything behind it.", body = HealthDetailed))
)]
pub(in crate::http) async fn show(
    State(state): State<HttpState>,
    caller: Caller,
) -> Result<Json<HealthDetailed>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let store = &state.services().store;
    let findings = state.services().guard.findings();
    let (mut health, cpu, redis, workers, providers) =
        tokio::join!(report(&state), process::cpu(), redis(store, &findings), workers(store), providers(&state));
    if redis.error.is_some() {
        // Newer than what the last regular look found.
        health.status = "degraded".to_owned();
        health.services.database = "error".to_owned();
    }
    Ok(Json(HealthDetailed { health, memory: process::memory(), cpu, redis, workers, providers }))
}

/// What Redis said, or why it did not.
async fn asked<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    match timeout(PATIENCE, answer).await {
        Ok(Ok(said)) => Ok(said),
        Ok(Err(error)) => {
            // What Redis says may name hosts: it is logged here and not sent.
            tracing::warn!(%error, "Redis did not say how it is");
            Err("Redis did not answer; see the log".to_owned())
        }
        Err(_) => Err(format!("Redis did not answer within {} s", PATIENCE.as_secs())),
    }
}

async fn redis(store: &Shards, findings: &Findings) -> RedisHealth {
    let checks = findings.checks.iter().map(|(name, check)| ((*name).to_owned(), views::check(check))).collect();
    let begun = clock::now();
    let ping = asked(async { store.now().await.map(drop) }).await;
    let latency = ping.is_ok().then(|| clock::now().duration_since(begun).as_secs_f64() * 1e3);
    let facts = match ping {
        Ok(()) => asked(store.server_facts()).await,
        Err(error) => Err(error),
    };
    let (error, facts) = match facts {
        Ok(facts) => (None, facts),
        Err(error) => (Some(error), ServerFacts::default()),
    };
    let up = error.is_none();
    let word = |text: String| Some(text).filter(|text| !text.is_empty());
    RedisHealth {
        status: if up { "ok" } else { "error" }.to_owned(),
        error,
        latency_ms: latency.map(|ms| (ms * 1e3).round() / 1e3),
        version: word(facts.valkey_version.map_or(facts.redis_version, |version| format!("Valkey {version}"))),
        role: word(facts.role),
        used_memory_bytes: up.then_some(facts.used_memory),
        max_memory_bytes: up.then_some(facts.max_memory),
        policy: word(facts.policy),
        aof: up.then_some(facts.aof),
        aof_ok: up.then_some(facts.aof_ok),
        fsync: facts.fsync,
        replicas: up.then_some(facts.replicas),
        shards: store.count(),
        shards_away: facts.shards_away,
        durability: findings.durability.to_owned(),
        checks,
    }
}

async fn workers(store: &Shards) -> WorkersHealth {
    match asked(store.workers()).await {
        Ok(live) => {
            let with = |state: WorkerState| live.iter().filter(|worker| worker.state() == state).count();
            WorkersHealth {
                live: live.len(),
                deaf: with(WorkerState::Deaf),
                draining: with(WorkerState::Stopping),
                slots: live.iter().map(|worker| u64::from(worker.slots)).sum(),
                busy: live.iter().map(|worker| u64::from(worker.busy)).sum(),
                error: None,
            }
        }
        Err(error) => WorkersHealth { error: Some(error), ..WorkersHealth::default() },
    }
}

async fn providers(state: &HttpState) -> Vec<ProviderHealthView> {
    let (store, infos) = (&state.services().store, &state.options().providers);
    let all = asked(try_join_all(infos.iter().map(|info| provider(store, info)))).await.unwrap_or_default();
    let known = |name: &str| all.iter().find(|view| view.name == name);
    let view = |info: &crate::domain::llm::ProviderInfo| {
        let found = known(info.name.as_str());
        let probe = found.and_then(|view| view.health.clone());
        let status = match &probe {
            Some(probe) if probe.ok => "ok",
            Some(_) => "error",
            None => "unknown",
        };
        let open =
            |view: &crate::api::provider::ProviderView| view.models.iter().filter(|m| m.breaker != "closed").count();
        ProviderHealthView {
            name: info.name.to_string(),
            kind: info.kind.to_owned(),
            status: status.to_owned(),
            probe,
            models: info.models.len(),
            models_not_called: found.map_or(0, open),
        }
    };
    infos.iter().map(view).collect()
}
