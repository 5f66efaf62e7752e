//! API keys. A caller can give away what it has itself and no more.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::IntoResponse;
use http::StatusCode;
use secrecy::ExposeSecret as _;

use crate::api::ErrorCode;
use crate::api::key::{CreateKey, KeyList, KeyView, NewKey};
use crate::domain::AUDIT;
use crate::store::KeyRecord;

use super::super::auth::{Caller, Permission, mint_key};
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::super::{body, views};
use super::{COMMAND, Param};

/// Scopes that concern the whole fleet, and so make no sense on a key of one workspace.
const FLEET_SCOPES: [&str; 3] = ["queue:operate", "metrics:read", "system:admin"];

/// Whether the caller may see and revoke the key.
fn sees(caller: &Caller, record: &KeyRecord) -> bool {
    caller.info.workspace.as_ref().is_none_or(|own| own.as_str() == record.workspace)
}

/// List API keys: all, or those of the caller's workspace.
#[utoipa::path(
    get, path = "/keys", tag = "admin", operation_id = "list_keys",
    responses((status = 200, description = "The keys, newest first; never their secrets.", body = KeyList))
)]
pub(in crate::http) async fn list(State(state): State<HttpState>, caller: Caller) -> Result<Json<KeyList>, ApiError> {
    caller.require(Permission::WorkspaceAdmin)?;
    let mut records = state.services().store.keys().await?;
    records.retain(|record| sees(&caller, record));
    records.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
    Ok(Json(KeyList { keys: records.iter().map(views::key).collect() }))
}

/// Make an API key. The answer is the only time it is shown.
///
/// A key that is bound to a workspace can make keys for that workspace only, and nobody can give
/// a scope that they do not have.
#[utoipa::path(
    post, path = "/keys", tag = "admin", operation_id = "create_key",
    request_body = CreateKey,
    responses((status = 201, description = "The key.", body = NewKey))
)]
pub(in crate::http) async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<impl IntoResponse, ApiError> {
    caller.require(Permission::WorkspaceAdmin)?;
    let document = body::document(request, COMMAND, state.options().body_timeout).await?;
    let wanted = CreateKey::read(document)?;
    may_give(&caller, &wanted)?;
    let store = &state.services().store;
    let scopes: Vec<&str> = wanted.scopes.iter().map(String::as_str).collect();
    let name = wanted.name.as_deref().unwrap_or_default();
    let (secret, record) = mint_key(&wanted.workspace, &scopes, name, store.now().await?);
    store.put_key(&record).await?;
    tracing::info!(target: AUDIT, key = record.id, tenant_id = record.workspace, scopes = ?record.scopes, by = caller.name(), "key made");
    let view: KeyView = views::key(&record);
    Ok((StatusCode::CREATED, Json(NewKey { key: secret.expose_secret().to_owned(), view })))
}

fn may_give(caller: &Caller, wanted: &CreateKey) -> Result<(), ApiError> {
    if caller.info.workspace.as_ref().is_some_and(|own| own.as_str() != wanted.workspace) {
        return Err(ApiError::at(ErrorCode::Forbidden, "/workspace", "must be the workspace of your own key"));
    }
    for (i, scope) in wanted.scopes.iter().enumerate() {
        let pointer = format!("/scopes/{i}");
        if !caller.info.has(scope) {
            return Err(ApiError::at(ErrorCode::Forbidden, &pointer, "is a scope that your own key lacks"));
        }
        if wanted.workspace != "*" && FLEET_SCOPES.contains(&scope.as_str()) {
            let detail = "concerns every workspace; make the key for workspace `*`";
            return Err(ApiError::at(ErrorCode::InvalidField, &pointer, detail));
        }
    }
    Ok(())
}

/// Revoke an API key. It stops working everywhere within five seconds.
#[utoipa::path(
    delete, path = "/keys/{id}", tag = "admin", operation_id = "revoke_key",
    params(("id" = String, Path, description = "The key's public id.")),
    responses((status = 204, description = "Revoked, now or before."))
)]
pub(in crate::http) async fn revoke(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
    request: Request,
) -> Result<StatusCode, ApiError> {
    caller.require(Permission::WorkspaceAdmin)?;
    body::none(request, state.options().body_timeout).await?;
    let no_key = || ApiError::new(ErrorCode::NotFound, "there is no such key");
    let Path(id) = id.map_err(|_| no_key())?;
    let store = &state.services().store;
    let records = store.keys().await?;
    let record = records.iter().find(|record| record.id == id && sees(&caller, record)).ok_or_else(no_key)?;
    if record.revoked_at.is_none() && !store.revoke_key(&record.id).await? {
        return Err(no_key());
    }
    state.auth().forget();
    tracing::info!(target: AUDIT, key = record.id, by = caller.name(), "key revoked");
    Ok(StatusCode::NO_CONTENT)
}
