//! Providers of language models.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use futures_util::future::try_join_all;

use crate::api::ErrorCode;
use crate::api::provider::{
    HealthView, LimitView, LimitsView, MeterView, ModelView, OfferedModel, ProviderList, ProviderModels, ProviderView,
};
use crate::clock;
use crate::domain::llm::{ModelInfo, ProviderInfo, Quota, Target};
use crate::store::{BreakerState, LimitUse, ProviderHealth, Shards, StoreError};

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::Param;

/// Between two looks for what a probe found.
const PROBE_LOOK: Duration = Duration::from_millis(100);

/// List the configured providers of language models, how they stand and what is left of their limits.
#[utoipa::path(
    get, path = "/providers", tag = "operators", operation_id = "list_providers",
    responses((status = 200, description = "The providers.", body = ProviderList))
)]
pub(in crate::http) async fn list(
    State(state): State<HttpState>,
    caller: Caller,
) -> Result<Json<ProviderList>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let store = &state.services().store;
    let providers = try_join_all(state.options().providers.iter().map(|info| provider(store, info))).await?;
    Ok(Json(ProviderList { providers }))
}

pub(super) async fn provider(store: &Shards, info: &ProviderInfo) -> Result<ProviderView, StoreError> {
    let used = store.provider_use(&info.name).await?;
    let models = try_join_all(info.models.iter().map(|of| model(store, info, of))).await?;
    let found = store.provider_health(&info.name).await?;
    Ok(ProviderView {
        name: info.name.to_string(),
        kind: info.kind.to_owned(),
        open_models: info.open_models,
        health: found.map(|found| health(store, &found)),
        limits: limits(&info.quota, &used),
        usage: meter(&used),
        models,
    })
}

async fn model(store: &Shards, provider: &ProviderInfo, info: &ModelInfo) -> Result<ModelView, StoreError> {
    let target = Target { provider: provider.name.clone(), model: info.name.clone() };
    let (used, state) = (store.model_use(&target).await?, store.target_state(&target).await?);
    let breaker = match state.breaker {
        BreakerState::Closed => "closed",
        BreakerState::Cooling => "cooling",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half_open",
    };
    Ok(ModelView {
        name: info.name.to_string(),
        aliases: info.aliases.clone(),
        context_window: info.context_window,
        priced: info.price.is_some(),
        breaker: breaker.to_owned(),
        cooling_until: state.until.map(|until| until.to_string()),
        reason: state.why,
        calls_last_minute: state.good + state.faulty,
        failures_last_minute: state.faulty,
        limits: limits(&info.quota, &used),
        usage: meter(&used),
    })
}

fn limits(quota: &Quota, used: &LimitUse) -> LimitsView {
    let view = |limit: Option<u64>, used: u64| limit.map(|limit| LimitView { limit, left: limit.saturating_sub(used) });
    LimitsView {
        requests_per_minute: view(quota.requests_per_minute, used.requests),
        tokens_per_minute: view(quota.tokens_per_minute, used.tokens),
        concurrency: view(quota.concurrency, used.under_way),
        nano_usd_per_day: view(quota.nano_usd_per_day, used.spent.saturating_add(used.reserved)),
    }
}

fn meter(used: &LimitUse) -> MeterView {
    MeterView {
        requests: used.requests,
        tokens: used.tokens,
        under_way: used.under_way,
        booked: used.booked,
        spent_nano_usd: used.spent,
        reserved_nano_usd: used.reserved,
        average_ms: used.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// The configured provider that a path names.
fn named(state: &HttpState, path: Param) -> Result<&ProviderInfo, ApiError> {
    let found = path.ok().and_then(|Path(text)| state.options().providers.iter().find(|p| p.name.as_str() == text));
    found.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "there is no such provider"))
}

fn health(store: &Shards, found: &ProviderHealth) -> HealthView {
    let age_ms = store.now_estimate().unix_ms().saturating_sub(found.at.unix_ms()).max(0);
    HealthView {
        at: found.at.to_string(),
        age_seconds: u64::try_from(age_ms / 1000).unwrap_or_default(),
        ok: found.is_ok(),
        reason: found.failure.clone(),
        latency_ms: u64::try_from(found.took.as_millis()).unwrap_or(u64::MAX),
        models: found.models,
    }
}

/// List the models that a provider offers, and which of them are configured.
#[utoipa::path(
    get, path = "/providers/{provider}/models", tag = "operators", operation_id = "list_provider_models",
    params(("provider" = String, Path, description = "The provider's name.")),
    responses((status = 200, description = "Its models.", body = ProviderModels))
)]
pub(in crate::http) async fn models(
    State(state): State<HttpState>,
    caller: Caller,
    provider: Param,
) -> Result<Json<ProviderModels>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let (info, store) = (named(&state, provider)?, &state.services().store);
    let found = store.provider_models(&info.name).await?;
    // It said so, or nobody knows.
    let said = found.as_ref().is_some_and(|(health, _)| health.models.is_some());
    let offered = found.as_ref().map(|(_, names)| names.as_slice()).unwrap_or_default();
    let configured = |name: &str| info.models.iter().any(|model| &*model.name == name);
    let missing = info.models.iter().map(|model| model.name.to_string()).filter(|name| !offered.contains(name));
    let missing = missing.map(|name| OfferedModel { name, offered: said.then_some(false), configured: true });
    let offered = offered.iter().map(|name| OfferedModel {
        name: name.clone(),
        offered: Some(true),
        configured: configured(name),
    });
    let models = missing.chain(offered).collect();
    Ok(Json(ProviderModels { health: found.as_ref().map(|(found, _)| health(store, found)), models }))
}

/// Have a worker ask a provider for its models now, and show what came of it.
///
/// Costs nothing: no completion is asked for. The answer is 200 also when the provider is not well; see `ok`.
#[utoipa::path(
    post, path = "/providers/{provider}/test", tag = "operators", operation_id = "test_provider",
    params(("provider" = String, Path, description = "The provider's name.")),
    responses((status = 200, description = "What the probe found.", body = HealthView))
)]
pub(in crate::http) async fn test(
    State(state): State<HttpState>,
    caller: Caller,
    provider: Param,
) -> Result<Json<HealthView>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let (info, store) = (named(&state, provider)?, &state.services().store);
    let asked = store.probe(&info.name).await?;
    let until = clock::now() + state.options().probe_patience;
    while asked.told > 0 && clock::now() < until {
        match store.provider_health(&info.name).await? {
            Some(found) if found.at >= asked.at => return Ok(Json(health(store, &found))),
            _ => tokio::time::sleep(PROBE_LOOK).await,
        }
    }
    let told = asked.told;
    let detail = format!("{told} live workers were told, and none said in time how the provider stands");
    Err(ApiError::new(ErrorCode::NoWorker, detail))
}
