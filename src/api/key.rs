//! API keys. The key itself is shown once, when it is made; the server keeps its hash only.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::Workspace;

use super::json::Json;
use super::read::Fields;
use super::schema::SCOPES;
use super::{ErrorCode, Problem};

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

impl CreateKey {
    /// Reads a request for a key. Whether the caller may give these scopes is for the server.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<Self, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let workspace = fields.required("workspace", |text| match text {
            "*" => Ok(text.to_owned()),
            name => Workspace::new(name).map(|_| text.to_owned()),
        });
        let scopes = read_scopes(&mut fields);
        let name = fields.short_text("name", 100);
        fields.finish()?;
        Ok(Self { workspace: workspace.unwrap_or_default(), scopes, name })
    }
}

fn read_scopes(fields: &mut Fields) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    let Some(value) = fields.take("scopes") else {
        fields.fail(ErrorCode::MissingField, "scopes", "is required");
        return scopes;
    };
    let known = |item: &Json| match item {
        Json::String(scope) if SCOPES.contains(&scope.as_str()) => Some(scope.clone()),
        _ => None,
    };
    match value {
        Json::Array(items) if !items.is_empty() && items.iter().all(|item| known(item).is_some()) => {
            scopes = items.iter().filter_map(known).collect();
            scopes.sort();
            scopes.dedup();
        }
        _ => fields.fail(ErrorCode::InvalidField, "scopes", format!("must be some of {}", SCOPES.join(", "))),
    }
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CreateKey, Box<Problem>> {
        CreateKey::read(crate::api::json::read(text.as_bytes()).expect("JSON"))
    }

    #[test]
    fn a_key_names_a_workspace_and_known_scopes() {
        let key = read(r#"{"workspace":"*","scopes":["jobs:write","jobs:read","jobs:read"],"name":"ci"}"#);
        assert_eq!(key.expect("accepted").scopes, ["jobs:read", "jobs:write"]);
        for bad in [
            r#"{"workspace":"a:b","scopes":["jobs:read"]}"#,
            r#"{"workspace":"a","scopes":[]}"#,
            r#"{"workspace":"a","scopes":["jobs:*"]}"#,
            r#"{"workspace":"a","scopes":"jobs:read"}"#,
            r#"{"workspace":"a"}"#,
            r#"{"workspace":"a","scopes":["jobs:read"],"name":"a\nb"}"#,
            r#"{"workspace":"a","scopes":["jobs:read"],"hash":"x"}"#,
        ] {
            assert_eq!(read(bad).expect_err(bad).status, 400);
        }
    }
}
