//! API keys. The key itself is shown once, when it is made; the server keeps its hash only.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A request for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// The workspace it is bound to, or `*` for all.
    #[schema(example = "acme")]
    pub workspace: String,
    /// What it may do.
    #[schema(schema_with = super::schema::scopes)]
    pub scopes: Vec<String>,
    /// A name for people, at most 100 bytes; it is recorded with what the key does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub name: Option<String>,
}

/// A key as listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Key")]
pub struct KeyView {
    /// Its public id, also a part of the key.
    pub id: String,
    /// The workspace it is bound to, or `*`.
    pub workspace: String,
    /// What it may do.
    #[schema(schema_with = super::schema::scopes)]
    pub scopes: Vec<String>,
    /// Its name.
    pub name: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was revoked.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
}

/// A key as made. Prints without the secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewKey {
    /// The key: send it as `Authorization: Bearer …`. It is not shown again.
    #[schema(example = "wl_…")]
    pub key: String,
    /// What it is.
    #[serde(flatten)]
    pub view: KeyView,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("view", &self.view).finish_non_exhaustive()
    }
}

/// All keys, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// The keys.
    pub keys: Vec<KeyView>,
}
