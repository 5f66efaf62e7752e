//! Who is calling, and what they may do.
//!
//! A key is sent as `Authorization: Bearer wl_…`, is bound to one workspace or to all (`*`), and
//! carries scopes. Every scope stands for itself; only `system:admin` implies the others. Keys are
//! looked up by hash and remembered for a few seconds, so a revoked key dies within
//! [`cache::LIFE`]. The admin key of the configuration works without Redis.

pub(super) mod cache;
mod mint;
mod tenure;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::api::ErrorCode;
use crate::domain::{SpanRef, Workspace};
use crate::store::{KeyRecord, Scope, Shards, StoreError};

use super::error::ApiError;
use super::note::Note;
use super::state::HttpState;
use cache::KeyCache;
pub(in crate::http) use mint::digest;
pub use mint::{hash_key, mint_key};
pub(in crate::http) use tenure::Tenure;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    JobsRead,
    JobsWrite,
    JobsApprove,
    QueueStats,
    QueueOperate,
    WorkspaceAdmin,
    MetricsRead,
    SystemAdmin,
}

impl Permission {
    pub(super) const fn scope(self) -> &'static str {
        match self {
            Self::JobsRead => "jobs:read",
            Self::JobsWrite => "jobs:write",
            Self::JobsApprove => "jobs:approve",
            Self::QueueStats => "queue:stats",
            Self::QueueOperate => "queue:operate",
            Self::WorkspaceAdmin => "workspace:admin",
            Self::MetricsRead => "metrics:read",
            Self::SystemAdmin => "system:admin",
        }
    }
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyInfo {
    pub(super) id: String,
    pub(super) name: String,
    /// `None` for all workspaces.
    pub(super) workspace: Option<Workspace>,
    pub(super) scopes: Vec<String>,
}

impl KeyInfo {
    /// `None` for a revoked key and for one whose workspace is no name.
    fn of(record: KeyRecord) -> Option<Self> {
        if record.revoked_at.is_some() {
            return None;
        }
        let workspace = match record.workspace.as_str() {
            "*" => None,
            name => Some(Workspace::new(name).ok()?),
        };
        Some(Self { id: record.id, name: record.name, workspace, scopes: record.scopes })
    }

    fn admin() -> Self {
        let scopes = crate::api::schema::SCOPES.iter().map(ToString::to_string).collect();
        Self { id: "admin".into(), name: "admin".into(), workspace: None, scopes }
    }

    pub(super) fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|s| s == scope || s == Permission::SystemAdmin.scope())
    }
}

/// Checks keys.
pub(super) struct Auth {
    store: Shards,
    cache: KeyCache,
    admin_hash: Option<[u8; 32]>,
    admin: Arc<KeyInfo>,
}

/// The longest text that can be a key; anything longer is refused before it is hashed.
const KEY_LIMIT: usize = 256;

impl Auth {
    pub(super) fn new(store: Shards, admin_key: Option<&SecretString>) -> Self {
        let admin_hash = admin_key.map(|key| mint::digest(key.expose_secret()));
        Self { store, cache: KeyCache::default(), admin_hash, admin: Arc::new(KeyInfo::admin()) }
    }

    /// The key with this digest; `None` when there is none or it was revoked.
    pub(super) async fn find(&self, digest: &[u8; 32]) -> Result<Option<Arc<KeyInfo>>, StoreError> {
        if self.admin_hash.as_ref().is_some_and(|admin| bool::from(admin.ct_eq(digest))) {
            return Ok(Some(self.admin.clone()));
        }
        if let Some(info) = self.cache.get(digest) {
            return Ok(Some(info));
        }
        let asked = crate::clock::now();
        let record = self.store.key_by_hash(&mint::hex(digest)).await.map_err(StoreError::before_change)?;
        let info = record.and_then(KeyInfo::of).map(Arc::new);
        if let Some(info) = &info {
            self.cache.put(*digest, info.clone(), asked);
        }
        Ok(info)
    }

    /// Forgets what this process remembers, so that a change made here is seen here at once.
    pub(super) fn forget(&self) {
        self.cache.clear();
    }

    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        self.caller_with(bearer(headers)?, headers).await
    }

    /// The caller that this key stands for, in the workspace that the headers name.
    ///
    /// # Errors
    /// 401 without a key or with one that is unknown or revoked, 403 for another's workspace, and what Redis says.
    pub(super) async fn caller_with(&self, key: Option<&str>, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let unknown = || ApiError::new(ErrorCode::Unauthorized, "the API key is missing, unknown or revoked");
        let key = key.filter(|key| key.len() <= KEY_LIMIT).ok_or_else(unknown)?;
        let digest = mint::digest(key);
        let info = self.find(&digest).await?.ok_or_else(unknown)?;
        let workspace = chosen_workspace(&info, headers)?;
        Ok(Caller { info, workspace, digest, origin: None })
    }
}

/// The key in the `Authorization` header; `None` when there is no such header or it holds
/// something else.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(ApiError::at(ErrorCode::InvalidHeader, "Authorization", "must stand once"));
    }
    let Some((scheme, key)) = first.and_then(|v| v.to_str().ok()).and_then(|v| v.split_once(' ')) else {
        return Ok(None);
    };
    Ok(scheme.eq_ignore_ascii_case("bearer").then_some(key.trim()))
}

/// The header in which a key for all workspaces names one.
pub(super) const WORKSPACE_HEADER: &str = "x-windlass-workspace";

/// The workspace the request is about: the key's own, or the one that a key for all names.
fn chosen_workspace(info: &KeyInfo, headers: &HeaderMap) -> Result<Option<Workspace>, ApiError> {
    let mut values = headers.get_all(WORKSPACE_HEADER).iter();
    let named = match (values.next(), values.next()) {
        (None, _) => return Ok(info.workspace.clone()),
        (Some(value), None) => value.to_str().ok().and_then(|v| Workspace::new(v).ok()),
        (Some(_), Some(_)) => None,
    };
    let named = named
        .ok_or_else(|| ApiError::at(ErrorCode::InvalidHeader, "X-Windlass-Workspace", "must name one workspace"))?;
    match &info.workspace {
        Some(own) if *own != named => Err(ApiError::new(ErrorCode::Forbidden, "the API key is bound to a workspace")),
        _ => Ok(Some(named)),
    }
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) info: Arc<KeyInfo>,
    workspace: Option<Workspace>,
    digest: [u8; 32],
    /// The request that it came with, for traces.
    origin: Option<SpanRef>,
}

impl Caller {
    /// # Errors
    /// 403 when the key lacks the scope.
    pub(super) fn require(&self, permission: Permission) -> Result<(), ApiError> {
        self.require_one(&[permission])
    }

    /// # Errors
    /// 403 when the key has none of these scopes.
    pub(super) fn require_one(&self, permissions: &[Permission]) -> Result<(), ApiError> {
        if permissions.iter().any(|permission| self.info.has(permission.scope())) {
            return Ok(());
        }
        let scopes: Vec<_> = permissions.iter().map(|permission| permission.scope()).collect();
        Err(ApiError::new(ErrorCode::Forbidden, format!("the API key lacks the scope {}", scopes.join(" or "))))
    }

    /// For what concerns every workspace: the scope, on a key that is bound to none.
    ///
    /// # Errors
    /// 403 when the key lacks the scope or is bound to a workspace.
    pub(super) fn require_fleet(&self, permission: Permission) -> Result<(), ApiError> {
        self.require_fleet_any(&[permission])
    }

    /// The same for any of several scopes.
    ///
    /// # Errors
    /// 403 when the key lacks all of them or is bound to a workspace.
    pub(super) fn require_fleet_any(&self, permissions: &[Permission]) -> Result<(), ApiError> {
        self.require_one(permissions)?;
        if self.info.workspace.is_none() {
            return Ok(());
        }
        Err(ApiError::new(ErrorCode::Forbidden, "this concerns every workspace, and the API key is bound to one"))
    }

    /// The span of the request that it came with.
    pub(super) fn origin(&self) -> Option<SpanRef> {
        self.origin
    }

    /// The workspace of the request, if it has one.
    pub(super) fn tenant(&self) -> Option<&Workspace> {
        self.workspace.as_ref()
    }

    /// Whose jobs the caller sees.
    pub(super) fn scope(&self) -> Scope {
        self.workspace.clone().map_or(Scope::All, Scope::Workspace)
    }

    /// The workspace of the request.
    ///
    /// # Errors
    /// 400 when a key for all workspaces names none.
    pub(super) fn workspace(&self) -> Result<&Workspace, ApiError> {
        self.workspace.as_ref().ok_or_else(|| {
            ApiError::at(ErrorCode::WorkspaceRequired, "X-Windlass-Workspace", "has to name a workspace")
        })
    }

    /// Who did it, for the record.
    pub(super) fn name(&self) -> &str {
        if self.info.name.is_empty() { &self.info.id } else { &self.info.name }
    }

    /// Whether the key is certainly gone; `false` while Redis cannot tell.
    pub(super) async fn is_revoked(&self, auth: &Auth) -> bool {
        matches!(auth.find(&self.digest).await, Ok(None))
    }
}

impl FromRequestParts<HttpState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        let mut caller = state.auth().caller(&parts.headers).await?;
        if let Some(note) = parts.extensions.get::<Note>() {
            caller.origin = Some(note.own());
            note.caller_is(&caller);
        }
        Ok(caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(workspace: Option<&str>, scopes: &[&str]) -> KeyInfo {
        KeyInfo {
            id: "k1".into(),
            name: String::new(),
            workspace: workspace.map(|w| Workspace::new(w).expect("a name")),
            scopes: scopes.iter().map(ToString::to_string).collect(),
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, http::HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn one_bearer_key_is_read() {
        assert_eq!(bearer(&headers(&[("authorization", "bearer  wl_x ")])).ok(), Some(Some("wl_x")));
        for other in ["Basic abc", "wl_x", ""] {
            let map: HeaderMap = [(header::AUTHORIZATION, other.parse().expect("a header"))].into_iter().collect();
            assert_eq!(bearer(&map).ok(), Some(None), "{other}");
        }
        let twice = headers(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]);
        assert_eq!(bearer(&twice).expect_err("two keys").into_problem().status, 400);
    }

    #[test]
    fn a_bound_key_cannot_name_another_workspace() {
        let own = info(Some("a"), &[]);
        assert_eq!(chosen_workspace(&own, &headers(&[])).expect("own").expect("own").as_str(), "a");
        assert!(chosen_workspace(&own, &headers(&[(WORKSPACE_HEADER, "a")])).is_ok());
        let error = chosen_workspace(&own, &headers(&[(WORKSPACE_HEADER, "b")])).expect_err("foreign");
        assert_eq!(error.into_problem().status, 403);
    }

    #[test]
    fn a_key_for_all_names_one_workspace_or_none() {
        let all = info(None, &[]);
        assert_eq!(chosen_workspace(&all, &headers(&[])).expect("none"), None);
        assert!(chosen_workspace(&all, &headers(&[(WORKSPACE_HEADER, "a:b")])).is_err());
        let twice = headers(&[(WORKSPACE_HEADER, "a"), (WORKSPACE_HEADER, "b")]);
        assert!(chosen_workspace(&all, &twice).is_err());
    }

    #[test]
    fn only_the_system_scope_implies_others() {
        assert!(info(None, &["system:admin"]).has("jobs:write"));
        assert!(!info(None, &["workspace:admin"]).has("jobs:write"));
        assert!(!info(None, &["jobs:write"]).has("jobs:read"));
    }

    #[test]
    fn a_bound_operator_may_not_touch_the_fleet() {
        let caller = |workspace| Caller {
            info: Arc::new(info(workspace, &["queue:operate"])),
            workspace: None,
            digest: [0; 32],
            origin: None,
        };
        assert!(caller(None).require_fleet(Permission::QueueOperate).is_ok());
        assert!(caller(Some("a")).require_fleet(Permission::QueueOperate).is_err());
        assert!(caller(None).require_fleet(Permission::SystemAdmin).is_err());
    }
}
