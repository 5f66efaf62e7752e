//! Credentials of workspaces: written, used by workers, never read.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::StatusCode;

use crate::api::ErrorCode;
use crate::api::credential::{
    CredentialCheck, CredentialList, CredentialRotation, CredentialView, PutCredential, RotateCredentials,
    StoredCredential,
};
use crate::clock;
use crate::domain::{AUDIT, CredentialName, Workspace};
use crate::engine::{NewCredential, Released, SafeError, release_needing_reauth};
use crate::store::{CredentialRecord, Verification, Verified};

use super::super::auth::{Caller, Permission};
use super::super::body;
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::{COMMAND, Param};

/// How long a check waits for a worker, which waits for a provider.
const CHECK_PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks for what a check found.
const CHECK_LOOK: Duration = Duration::from_millis(100);

/// The two names of a path.
type Place = Result<Path<(String, String)>, PathRejection>;

/// A workspace that the caller may administrate.
fn own(caller: &Caller, workspace: Option<Workspace>) -> Result<Workspace, ApiError> {
    caller.require(Permission::WorkspaceAdmin)?;
    let own = |named: &Workspace| caller.info.workspace.as_ref().is_none_or(|own| own == named);
    workspace.filter(own).ok_or_else(|| ApiError::new(ErrorCode::NotFound, "there is no such workspace"))
}

fn place(caller: &Caller, path: Place) -> Result<(Workspace, CredentialName), ApiError> {
    let texts = path.ok().map(|Path(texts)| texts);
    let workspace = own(caller, texts.as_ref().and_then(|(workspace, _)| Workspace::new(workspace).ok()))?;
    let name = texts.and_then(|(_, name)| CredentialName::new(&name).ok()).ok_or_else(no_credential)?;
    Ok((workspace, name))
}

fn no_credential() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such credential in this workspace")
}

fn refused(error: SafeError) -> ApiError {
    match error {
        SafeError::Store(error) => error.into(),
        SafeError::NoKey => ApiError::new(ErrorCode::CredentialsKeyMissing, error.to_string()),
        SafeError::Full => ApiError::new(ErrorCode::TooManyCredentials, error.to_string()),
        SafeError::Busy => ApiError::new(ErrorCode::Overloaded, error.to_string()).retry_after(Duration::from_secs(1)),
        SafeError::Sealed(_) | SafeError::Unknown => {
            tracing::error!(%error, "a credential could not be sealed or opened");
            ApiError::new(ErrorCode::Internal, "the credential could not be sealed or opened")
        }
    }
}

fn view(record: &CredentialRecord) -> CredentialView {
    CredentialView {
        name: record.name.to_string(),
        kind: record.kind.to_string(),
        account: record.account.clone(),
        scopes: record.scopes.clone(),
        state: record.state.to_string(),
        reason: record.reason.clone(),
        key_id: record.key_id.clone(),
        created_at: record.created_at.to_string(),
        updated_at: record.updated_at.to_string(),
        expires_at: record.expires_at.map(|at| at.to_string()),
    }
}

/// List the credentials of a workspace; never what is secret in them.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/credentials", tag = "admin", operation_id = "list_credentials",
    params(("workspace" = String, Path, description = "The workspace's name.")),
    responses((status = 200, description = "The credentials, by name.", body = CredentialList))
)]
pub(in crate::http) async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    path: Param,
) -> Result<Json<CredentialList>, ApiError> {
    let workspace = own(&caller, path.ok().and_then(|Path(text)| Workspace::new(&text).ok()))?;
    let records = state.safe().store().credentials().workspace_credentials(&workspace).await?;
    Ok(Json(CredentialList { credentials: records.iter().map(view).collect() }))
}

/// Store a credential, in the place of one of that name if there is one.
///
/// Jobs of the workspace that are held because a credential had to be renewed go back in line, a thousand at most.
#[utoipa::path(
    put, path = "/workspaces/{workspace}/credentials/{name}", tag = "admin", operation_id = "put_credential",
    params(
        ("workspace" = String, Path, description = "The workspace's name."),
        ("name" = String, Path, description = "The credential's name; actions that name none mean `default`."),
    ),
    request_body = PutCredential,
    responses((status = 200, description = "What is stored now.", body = StoredCredential))
)]
pub(in crate::http) async fn put(
    State(state): State<HttpState>,
    caller: Caller,
    path: Place,
    request: Request,
) -> Result<Json<StoredCredential>, ApiError> {
    let (workspace, name) = place(&caller, path)?;
    let document = body::document(request, COMMAND, state.options().body_timeout).await?;
    let given = PutCredential::read(document)?;
    let new =
        NewCredential { kind: given.kind, account: given.account, scopes: given.scopes, material: given.material };
    let record = state.safe().add(&workspace, &name, &new).await.map_err(refused)?;
    tracing::info!(target: AUDIT, tenant_id = %workspace, credential = %name, kind = %record.kind, by = caller.name(), "credential stored");
    let released =
        release_needing_reauth(state.safe().store(), &workspace).await.map_err(|error| error.after_change())?;
    Ok(Json(stored(&record, released)))
}

fn stored(record: &CredentialRecord, released: Released) -> StoredCredential {
    StoredCredential { credential: view(record), released_jobs: released.jobs, more_held: released.more }
}

/// Remove a credential. Workers that used it just now may use it for five more seconds.
#[utoipa::path(
    delete, path = "/workspaces/{workspace}/credentials/{name}", tag = "admin", operation_id = "remove_credential",
    params(
        ("workspace" = String, Path, description = "The workspace's name."),
        ("name" = String, Path, description = "The credential's name."),
    ),
    responses((status = 204, description = "Removed."))
)]
pub(in crate::http) async fn remove(
    State(state): State<HttpState>,
    caller: Caller,
    path: Place,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let (workspace, name) = place(&caller, path)?;
    body::none(request, state.options().body_timeout).await?;
    if !state.safe().store().credentials().remove_credential(&workspace, &name).await? {
        return Err(no_credential());
    }
    tracing::info!(target: AUDIT, tenant_id = %workspace, credential = %name, by = caller.name(), "credential removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Have a worker check a credential now, without an effect, and show what came of it.
///
/// google and microsoft: a new access token is asked for. github: whose token it is. Others are opened only. When its
/// provider accepts it, jobs that were held for it go back in line. The answer is 200 also when it is not accepted.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/credentials/{name}/test", tag = "admin", operation_id = "test_credential",
    params(
        ("workspace" = String, Path, description = "The workspace's name."),
        ("name" = String, Path, description = "The credential's name."),
    ),
    responses((status = 200, description = "What the check found.", body = CredentialCheck))
)]
pub(in crate::http) async fn test(
    State(state): State<HttpState>,
    caller: Caller,
    path: Place,
    request: Request,
) -> Result<Json<CredentialCheck>, ApiError> {
    let (workspace, name) = place(&caller, path)?;
    body::none(request, state.options().body_timeout).await?;
    let store = state.safe().store();
    if store.credentials().credential(&workspace, &name).await?.is_none() {
        return Err(no_credential());
    }
    let asked = store.verify(&workspace, &name).await?;
    let demand = Verification { workspace, name, asked: asked.at };
    let until = clock::now() + CHECK_PATIENCE;
    while asked.told > 0 && clock::now() < until {
        if let Some(Verified { accepted, detail }) = store.credentials().verification(&demand).await? {
            if accepted == Some(true) {
                tracing::info!(target: AUDIT, tenant_id = %demand.workspace, credential = %demand.name, by = caller.name(), "credential found well");
                release_needing_reauth(store, &demand.workspace).await?;
            }
            return Ok(Json(CredentialCheck { accepted, detail }));
        }
        tokio::time::sleep(CHECK_LOOK).await;
    }
    let detail = format!("{} live workers were told, and none said in time what it found", asked.told);
    Err(ApiError::new(ErrorCode::NoWorker, detail))
}

/// Seal some hundred credentials anew under the current key: a step of changing the key.
///
/// Repeat with `next` as `from` until it is null. Repeating a step is safe.
#[utoipa::path(
    post, path = "/credentials/rotate", tag = "admin", operation_id = "rotate_credentials",
    request_body = RotateCredentials,
    responses((status = 200, description = "What was done.", body = CredentialRotation))
)]
pub(in crate::http) async fn rotate(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<Json<CredentialRotation>, ApiError> {
    caller.require_fleet(Permission::SystemAdmin)?;
    let document = body::optional(request, COMMAND, state.options().body_timeout).await?;
    let from = RotateCredentials::read(document)?.cursor();
    let done = state.safe().reseal(from).await.map_err(refused)?;
    tracing::info!(
        target: AUDIT,
        resealed = done.resealed,
        unreadable = done.unreadable,
        by = caller.name(),
        "credentials sealed anew"
    );
    Ok(Json(CredentialRotation {
        next: done.next.map(|next| next.to_string()),
        resealed: done.resealed,
        current: done.current,
        unreadable: done.unreadable,
    }))
}
