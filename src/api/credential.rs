//! Credentials of workspaces. What is secret in one is written and never read.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{CredentialKind, HeaderValue, Material, OAuth, SmtpLogin, SmtpSecurity};

use super::json::Json;
use super::read::Fields;
use super::{ErrorCode, Problem};

/// The longest secret, in bytes. Access tokens of Microsoft have some 2 KB.
const SECRET: usize = 8 * 1024;
/// The longest text that is no secret, in bytes.
const TEXT: usize = 320;
/// Most scopes, and most keys of webhooks.
const MOST: usize = 32;

/// A credential to be stored, in the place of one of that name if there is one. Which fields belong to which kind stands
/// at each; those of other kinds are refused.
#[derive(Clone, Default, Serialize, ToSchema)]
#[schema(title = "PutCredential")]
pub struct PutCredential {
    /// What it is for.
    #[schema(schema_with = super::schema::credential_kinds)]
    pub kind: String,
    /// Whose mailbox or account it is, such as `me@example.org`; for smtp, the sender of mails that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// google, microsoft, github: what it may do; microsoft asks for these when it renews.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// google, microsoft: the application's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// google, microsoft: the application's secret. At microsoft without a `refresh_token`, the application acts on its
    /// own, and `tenant` is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub client_secret: Option<String>,
    /// google, microsoft: what access tokens are renewed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub refresh_token: Option<String>,
    /// google, microsoft: instead of all of these, an access token that nobody renews.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub access_token: Option<String>,
    /// microsoft: the directory, by id or domain; default `common`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// github: the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub token: Option<String>,
    /// smtp: the server. http_header: the host that it may be sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// smtp: the port; default 465 for `tls`, 587 for `starttls`, 25 for `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// smtp: `tls` from the first byte, `starttls` (required), or `none`; default `starttls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<String>,
    /// smtp: the login, with `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// smtp: its password.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub password: Option<String>,
    /// webhook: keys that sign, `whsec_` and base64, the current one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(write_only)]
    pub keys: Vec<String>,
    /// http_header: the header's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// http_header: its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub value: Option<String>,
}

impl std::fmt::Debug for PutCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PutCredential").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A credential as it was read from a request.
#[derive(Clone)]
pub struct GivenCredential {
    /// What it is for.
    pub kind: CredentialKind,
    /// Whose account it is.
    pub account: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Its content.
    pub material: Material,
}

/// A credential as listed: never what is secret in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Credential")]
pub struct CredentialView {
    /// Its name in the workspace.
    pub name: String,
    /// What it is for.
    #[schema(schema_with = super::schema::credential_kinds)]
    pub kind: String,
    /// Whose account it is.
    pub account: Option<String>,
    /// What it may do, as far as known.
    pub scopes: Vec<String>,
    /// Whether it can be used: `ok`, or `needs_reauth` when someone has to replace it.
    #[schema(schema_with = super::schema::credential_states)]
    pub state: String,
    /// Why someone has to.
    pub reason: Option<String>,
    /// Names the key that sealed it.
    pub key_id: String,
    /// When it was added.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was replaced or renewed last.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// When its access token ends; it is renewed before.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// The credentials of a workspace, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialList {
    /// The credentials.
    pub credentials: Vec<CredentialView>,
}

/// What a check of a credential found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialCheck {
    /// Whether its provider accepts it; `null` when only its use would tell, or the provider could not be asked.
    pub accepted: Option<bool>,
    /// What was done and found.
    pub detail: String,
}

/// A credential as it was stored, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoredCredential {
    /// What is stored now.
    #[serde(flatten)]
    pub credential: CredentialView,
    /// Jobs that were held because a credential had to be renewed, and are in line again.
    pub released_jobs: u64,
    /// Whether others were held too: an operation puts them back in line.
    pub more_held: bool,
}

/// Where a step of sealing anew begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RotateCredentials {
    /// `next` of the step before; absent at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What a step of sealing anew did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialRotation {
    /// Where the next step begins; `null` after the last.
    pub next: Option<String>,
    /// Sealed under the current key now.
    pub resealed: u64,
    /// Were already.
    pub current: u64,
    /// Stay as they are: no key of this server opens them.
    pub unreadable: u64,
}

impl RotateCredentials {
    /// Reads where a step begins.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<Self, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let number = |text: &str| match text.parse::<u64>() {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err("must be `next` of the step before"),
        };
        let from = fields.parsed("from", number);
        fields.finish()?;
        Ok(Self { from })
    }

    /// The place as a number, 0 for the beginning.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.from.as_ref().and_then(|from| from.parse().ok()).unwrap_or_default()
    }
}

impl PutCredential {
    /// Reads a credential. What is wrong is said by field, without its value.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<GivenCredential, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let kind = needed(&mut fields, "kind", |fields| {
            let known = CredentialKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
            let unknown = || format!("must be one of {known}");
            fields.parsed("kind", |word| CredentialKind::from_word(word).ok_or_else(unknown))
        });
        let account = fields.short_text("account", TEXT);
        let scopes = match kind {
            Some(CredentialKind::Google | CredentialKind::Microsoft | CredentialKind::Github) => scopes(&mut fields),
            _ => Vec::new(),
        };
        let material = kind.and_then(|kind| material(&mut fields, kind));
        let (Some(kind), Some(material)) = (kind, material) else {
            // What is missing was noted; without a note this would be no answer.
            fields.fail(ErrorCode::InvalidField, "", "is no credential");
            fields.finish()?;
            return Err(Box::new(Problem::new(ErrorCode::InvalidField, "the body is no credential")));
        };
        fields.finish()?;
        Ok(GivenCredential { kind, account, scopes, material })
    }
}

fn material(fields: &mut Fields, kind: CredentialKind) -> Option<Material> {
    match kind {
        CredentialKind::Google | CredentialKind::Microsoft => oauth(fields, kind).map(Material::OAuth),
        CredentialKind::Github => needed(fields, "token", |fields| secret(fields, "token")).map(Material::Token),
        CredentialKind::Smtp => smtp(fields).map(Material::Smtp),
        CredentialKind::Webhook => keys(fields).map(Material::Signing),
        CredentialKind::HttpHeader => header(fields).map(Material::Header),
    }
}

/// A field that must be there; `read` notes what else is wrong with it.
fn needed<T>(fields: &mut Fields, key: &str, read: impl FnOnce(&mut Fields) -> Option<T>) -> Option<T> {
    if !fields.has(key) {
        fields.take(key);
        fields.fail(ErrorCode::MissingField, key, "is required");
        return None;
    }
    read(fields)
}

/// Text that goes into a header or a form: no control characters, no blanks around it.
fn secret(fields: &mut Fields, key: &str) -> Option<SecretString> {
    let text = fields.text(key)?;
    if text.is_empty() || text.len() > SECRET || text.trim() != text || text.chars().any(char::is_control) {
        let detail = format!("must be 1 to {SECRET} bytes without control characters or blanks around them");
        fields.fail(ErrorCode::InvalidField, key, detail);
    }
    Some(text.into())
}

fn scopes(fields: &mut Fields) -> Vec<String> {
    let fits = |scope: &str| (1..=TEXT).contains(&scope.len()) && scope.bytes().all(|b| b.is_ascii_graphic());
    texts(fields, "scopes", fits, "must be at most 32 scopes, each of visible ASCII without blanks")
}

fn texts(fields: &mut Fields, key: &str, fits: impl Fn(&str) -> bool, rule: &str) -> Vec<String> {
    let items = match fields.take(key) {
        None => return Vec::new(),
        Some(Json::Array(items)) => items,
        Some(_) => {
            fields.fail(ErrorCode::InvalidField, key, rule);
            return Vec::new();
        }
    };
    let count = items.len();
    let texts: Vec<String> = items
        .into_iter()
        .filter_map(|item| match item {
            Json::String(text) if fits(&text) => Some(text),
            _ => None,
        })
        .collect();
    if texts.len() != count || count > MOST {
        fields.fail(ErrorCode::InvalidField, key, rule);
    }
    texts
}

fn oauth(fields: &mut Fields, kind: CredentialKind) -> Option<OAuth> {
    if fields.has("access_token") && !fields.has("refresh_token") && !fields.has("client_id") {
        let access_token = secret(fields, "access_token");
        return Some(OAuth { access_token, ..OAuth::default() });
    }
    let client_id = needed(fields, "client_id", |fields| fields.short_text("client_id", TEXT));
    let client_secret = secret(fields, "client_secret");
    let alone = kind == CredentialKind::Microsoft && client_secret.is_some() && !fields.has("refresh_token");
    let tenant = if kind == CredentialKind::Microsoft { fields.parsed("tenant", tenant) } else { None };
    let refresh_token = if alone {
        if matches!(tenant.as_deref(), None | Some("common" | "organizations" | "consumers")) {
            let detail = "must name one directory: without a refresh_token the application acts on its own";
            fields.fail(ErrorCode::MissingField, "tenant", detail);
        }
        None
    } else {
        Some(needed(fields, "refresh_token", |fields| secret(fields, "refresh_token"))?)
    };
    Some(OAuth { client_id: client_id?, client_secret, refresh_token, tenant, access_token: None })
}

/// It becomes a part of a path.
fn tenant(text: &str) -> Result<String, &'static str> {
    let fits = (1..=TEXT).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        && !text.contains("..");
    fits.then(|| text.to_owned()).ok_or("must be the id or the domain of a directory")
}

fn host(text: &str) -> Result<String, &'static str> {
    let fits = (1..=253).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'));
    fits.then(|| text.to_ascii_lowercase()).ok_or("must be a host name or an IP address, without a port")
}

fn smtp(fields: &mut Fields) -> Option<SmtpLogin> {
    let host = needed(fields, "host", |fields| fields.parsed("host", host));
    let unknown = "must be tls, starttls or none";
    let security = fields.parsed("security", |word| SmtpSecurity::from_word(word).ok_or(unknown));
    let security = security.unwrap_or(SmtpSecurity::StartTls);
    let port = fields.integer("port", 1, 65_535).and_then(|port| u16::try_from(port).ok());
    let usual = match security {
        SmtpSecurity::Tls => 465,
        SmtpSecurity::StartTls => 587,
        SmtpSecurity::None => 25,
    };
    let (username, password) = (fields.short_text("username", TEXT), secret(fields, "password"));
    match (&username, &password) {
        (Some(_), None) => fields.fail(ErrorCode::MissingField, "password", "is required with `username`"),
        (None, Some(_)) => fields.fail(ErrorCode::MissingField, "username", "is required with `password`"),
        _ => {}
    }
    Some(SmtpLogin { host: host?, port: port.unwrap_or(usual), security, login: username.zip(password) })
}

fn keys(fields: &mut Fields) -> Option<Vec<SecretString>> {
    let fits = |key: &str| key.starts_with("whsec_") && key.len() <= 256 && key.bytes().all(|b| b.is_ascii_graphic());
    let rule = "must be 1 to 32 keys, each `whsec_` and base64";
    needed(fields, "keys", |fields| {
        let keys = texts(fields, "keys", fits, rule);
        if keys.is_empty() {
            fields.fail(ErrorCode::InvalidField, "keys", rule);
        }
        Some(keys.into_iter().map(SecretString::from).collect())
    })
}

fn header(fields: &mut Fields) -> Option<HeaderValue> {
    let host = needed(fields, "host", |fields| fields.parsed("host", host));
    let name = needed(fields, "header", |fields| {
        let token = |text: &str| {
            let fits = (1..=100).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
            fits.then(|| text.to_owned()).ok_or("must be the name of a header")
        };
        fields.parsed("header", token)
    });
    let value = needed(fields, "value", |fields| secret(fields, "value"));
    Some(HeaderValue { host: host?, name: name?, value: value? })
}

#[cfg(test)]
mod tests;
