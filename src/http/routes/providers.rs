//! Providers of language models.

use axum::Json;
use axum::extract::State;
use futures_util::future::try_join_all;

use crate::api::provider::{LimitView, LimitsView, MeterView, ModelView, ProviderList, ProviderView};
use crate::domain::llm::{ModelInfo, ProviderInfo, Quota, Target};
use crate::store::{BreakerState, LimitUse, Shards, StoreError};

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::state::HttpState;

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

async fn provider(store: &Shards, info: &ProviderInfo) -> Result<ProviderView, StoreError> {
    let used = store.provider_use(&info.name).await?;
    let models = try_join_all(info.models.iter().map(|of| model(store, info, of))).await?;
    Ok(ProviderView {
        name: info.name.to_string(),
        kind: info.kind.to_owned(),
        open_models: info.open_models,
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
