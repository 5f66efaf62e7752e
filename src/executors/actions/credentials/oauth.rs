//! Asking for access tokens: one form POST each, written by hand.
//!
//! Google: [refreshing an access token](https://developers.google.com/identity/protocols/oauth2/web-server#offline).
//! Microsoft: [refresh the access token](https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow#refresh-the-access-token)
//! and [client credentials](https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow).
//! Both answer in the forms of RFC 6749, sections 5.1 and 5.2.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::domain::{CredentialKind, OAuth};
use crate::executors::outbound::{BodyEnd, read_at_most, root_cause};

/// Bound on one request, from connecting to the end of the answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// An answer is read up to here; those of Microsoft have some 5 KB.
const BODY_LIMIT: usize = 64 * 1024;

/// Life of a token whose answer does not say. RFC 6749 only recommends `expires_in`; both providers send it.
const UNSAID_LIFE: Duration = Duration::from_secs(600);

/// What an application may do on its own at Microsoft Graph, when its credential names no scopes.
const GRAPH_DEFAULT: &str = "https://graph.microsoft.com/.default";

/// The directory of work, school and personal accounts alike.
const ANY_TENANT: &str = "common";

/// Words of RFC 6749 and OpenID Connect that no repeat mends: someone has to look at the credential.
const FINAL: &[&str] = &[
    "invalid_grant",
    "invalid_client",
    "unauthorized_client",
    "interaction_required",
    "consent_required",
    "invalid_scope",
];

/// Where tokens are asked for.
#[derive(Clone, Debug)]
pub struct TokenEndpoints {
    /// The whole address at Google.
    pub google: String,
    /// The address of Microsoft's login, before the tenant.
    pub microsoft: String,
}

impl Default for TokenEndpoints {
    fn default() -> Self {
        Self {
            google: "https://oauth2.googleapis.com/token".to_owned(),
            microsoft: "https://login.microsoftonline.com".to_owned(),
        }
    }
}

/// An access token, fresh.
pub(super) struct Granted {
    pub(super) access_token: SecretString,
    /// The next refresh token, when the old one is to be forgotten: always at Microsoft, seldom at Google.
    pub(super) refresh_token: Option<SecretString>,
    pub(super) life: Duration,
    pub(super) scopes: Option<Vec<String>>,
}

/// Why there is none. Messages hold neither tokens nor what the provider wrote beyond its code words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TokenError {
    /// Someone has to give a new credential.
    Refused(String),
    /// It may work later.
    Unavailable(String),
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
    scope: Option<String>,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: String,
    /// Microsoft's numbers, such as 700082 for a refresh token that ran out.
    #[serde(default)]
    error_codes: Vec<u64>,
}

/// Asks for an access token.
pub(super) async fn ask(
    http: &reqwest::Client,
    endpoints: &TokenEndpoints,
    (kind, scopes): (CredentialKind, &[String]),
    oauth: &OAuth,
) -> Result<Granted, TokenError> {
    let (url, form) = request(endpoints, kind, scopes, oauth)?;
    let request = http
        .post(url)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json")
        .timeout(PATIENCE)
        .body(form);
    let response = request.send().await.map_err(|error| unreachable(&error))?;
    let status = response.status().as_u16();
    let (body, end) = read_at_most(response, BODY_LIMIT, PATIENCE).await;
    if status != 200 {
        return Err(refused(status, serde_json::from_slice(&body).unwrap_or_default()));
    }
    let bad = || TokenError::Unavailable("the token endpoint's answer could not be read".to_owned());
    if end != BodyEnd::Complete {
        return Err(bad());
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| bad())?;
    Ok(Granted {
        access_token: answer.access_token.into(),
        refresh_token: answer.refresh_token.filter(|token| !token.is_empty()).map(Into::into),
        life: answer.expires_in.map_or(UNSAID_LIFE, Duration::from_secs),
        scopes: answer.scope.map(|list| list.split_whitespace().map(str::to_owned).collect()),
    })
}

fn request(
    endpoints: &TokenEndpoints,
    kind: CredentialKind,
    scopes: &[String],
    oauth: &OAuth,
) -> Result<(String, String), TokenError> {
    let mut form = Serializer::new(String::new());
    form.append_pair("client_id", &oauth.client_id);
    if let Some(secret) = &oauth.client_secret {
        form.append_pair("client_secret", secret.expose_secret());
    }
    let grant = match &oauth.refresh_token {
        Some(token) => {
            form.append_pair("refresh_token", token.expose_secret());
            "refresh_token"
        }
        None if kind == CredentialKind::Microsoft && oauth.client_secret.is_some() => "client_credentials",
        None => return Err(TokenError::Refused("it has no refresh token".to_owned())),
    };
    form.append_pair("grant_type", grant);
    if kind != CredentialKind::Microsoft {
        return Ok((endpoints.google.clone(), form.finish()));
    }
    if grant == "client_credentials" && scopes.is_empty() {
        form.append_pair("scope", GRAPH_DEFAULT);
    } else if !scopes.is_empty() {
        form.append_pair("scope", &scopes.join(" "));
    }
    let tenant = oauth.tenant.as_deref().unwrap_or(ANY_TENANT);
    let base = endpoints.microsoft.trim_end_matches('/');
    Ok((format!("{base}/{tenant}/oauth2/v2.0/token"), form.finish()))
}

fn unreachable(error: &reqwest::Error) -> TokenError {
    if error.is_timeout() {
        return TokenError::Unavailable("the token endpoint did not answer in time".to_owned());
    }
    TokenError::Unavailable(format!("the token endpoint cannot be reached: {}", root_cause(error)))
}

fn refused(status: u16, refusal: Refusal) -> TokenError {
    // A word of a list that was checked, and numbers: nothing that a provider echoes can get out.
    let word = FINAL.iter().find(|word| **word == refusal.error);
    let numbers: Vec<String> = refusal.error_codes.iter().take(3).map(|code| format!("AADSTS{code}")).collect();
    let more = if numbers.is_empty() { String::new() } else { format!(" ({})", numbers.join(", ")) };
    match word {
        Some(word) if (400..=403).contains(&status) => {
            TokenError::Refused(format!("the token endpoint answered {status} {word}{more}"))
        }
        _ => TokenError::Unavailable(format!("the token endpoint answered {status}{more}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oauth() -> OAuth {
        OAuth {
            client_id: "the id".into(),
            client_secret: Some("s&=".into()),
            refresh_token: Some("r/1".into()),
            ..OAuth::default()
        }
    }

    #[test]
    fn requests_have_the_documented_forms() {
        let ends = TokenEndpoints::default();
        let (url, form) = request(&ends, CredentialKind::Google, &["x".into()], &oauth()).expect("a request");
        assert_eq!(url, "https://oauth2.googleapis.com/token");
        assert_eq!(form, "client_id=the+id&client_secret=s%26%3D&refresh_token=r%2F1&grant_type=refresh_token");

        let scopes = ["offline_access".to_owned(), "Mail.Send".to_owned()];
        let (url, form) = request(&ends, CredentialKind::Microsoft, &scopes, &oauth()).expect("a request");
        assert_eq!(url, "https://login.microsoftonline.com/common/oauth2/v2.0/token");
        assert!(form.ends_with("grant_type=refresh_token&scope=offline_access+Mail.Send"), "{form}");

        let app = OAuth { refresh_token: None, tenant: Some("contoso.onmicrosoft.com".into()), ..oauth() };
        let (url, form) = request(&ends, CredentialKind::Microsoft, &[], &app).expect("a request");
        assert_eq!(url, "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token");
        assert!(form.contains("grant_type=client_credentials&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default"));
        assert!(request(&ends, CredentialKind::Google, &[], &app).is_err());
    }

    #[test]
    fn only_words_that_no_repeat_mends_ask_for_a_person() {
        let said = |status, body: &str| refused(status, serde_json::from_str(body).unwrap_or_default());
        let gone = r#"{"error":"invalid_grant","error_description":"the token r/1 is bad","error_codes":[700082]}"#;
        let text = "the token endpoint answered 400 invalid_grant (AADSTS700082)";
        assert_eq!(said(400, gone), TokenError::Refused(text.into()));
        assert!(matches!(said(401, r#"{"error":"invalid_client"}"#), TokenError::Refused(_)));
        for (status, body) in [
            (400, r#"{"error":"invalid_request"}"#),
            (400, "<html>"),
            (429, r#"{"error":"invalid_grant"}"#),
            (503, r#"{"error":"temporarily_unavailable"}"#),
            (302, ""),
        ] {
            assert!(matches!(said(status, body), TokenError::Unavailable(_)), "{status} {body}");
        }
    }
}
