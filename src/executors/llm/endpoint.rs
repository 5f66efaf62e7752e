//! Where the provider is and how a request is authorised.
//!
//! The library's own configuration type fills unset fields from `OPENAI_API_KEY`, `OPENAI_ORG_ID`
//! and others, so that a local endpoint without a key would be sent the real OpenAI key. This one
//! knows only what it was given.

use async_openai::config::Config;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::LlmSetupError;

/// The provider's address and credentials.
#[derive(Clone)]
pub(super) struct Endpoint {
    base: String,
    key: SecretString,
    headers: HeaderMap,
}

impl Endpoint {
    /// Checks address and key.
    pub(super) fn new(base_url: &str, api_key: Option<&SecretString>) -> Result<Self, LlmSetupError> {
        let key = api_key.cloned().unwrap_or_default();
        let mut headers = HeaderMap::new();
        if !key.expose_secret().is_empty() {
            headers.insert(AUTHORIZATION, bearer(key.expose_secret())?);
        }
        Ok(Self { base: normalize(base_url)?, key, headers })
    }

    /// `text` without the key: some providers repeat it in their error messages.
    pub(super) fn redact(&self, text: &str) -> String {
        match self.key.expose_secret() {
            "" => text.to_owned(),
            key => text.replace(key, "[redacted]"),
        }
    }
}

fn bearer(key: &str) -> Result<HeaderValue, LlmSetupError> {
    if !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(LlmSetupError::ApiKey);
    }
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| LlmSetupError::ApiKey)?;
    value.set_sensitive(true);
    Ok(value)
}

fn normalize(text: &str) -> Result<String, LlmSetupError> {
    let mut url = Url::parse(text.trim()).map_err(|_| LlmSetupError::BaseUrl)?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !matches!(url.scheme(), "http" | "https") || !plain || url.fragment().is_some() {
        return Err(LlmSetupError::BaseUrl);
    }
    if url.path() == "/" {
        url.set_path("/v1");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

impl Config for Endpoint {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(base: &str, key: Option<&str>) -> Result<Endpoint, LlmSetupError> {
        Endpoint::new(base, key.map(SecretString::from).as_ref())
    }

    #[test]
    fn the_base_url_may_lack_its_version() {
        for (given, wanted) in [
            ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
            ("http://127.0.0.1:11434/", "http://127.0.0.1:11434/v1"),
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
            ("https://example.com/v1beta/openai/", "https://example.com/v1beta/openai"),
        ] {
            assert_eq!(endpoint(given, None).unwrap().api_base(), wanted);
        }
        for bad in ["", "api.openai.com", "ftp://x/v1", "http://user:pass@x/v1", "http://x/v1?key=1", "http://x/#a"] {
            assert!(endpoint(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_key_means_no_header_whatever_the_environment_says() {
        assert!(endpoint("http://x", None).unwrap().headers().is_empty());
        assert!(endpoint("http://x", Some("")).unwrap().headers().is_empty());
    }

    #[test]
    fn a_key_is_sent_but_never_shown() {
        let endpoint = endpoint("http://x", Some("sk-canary")).unwrap();
        assert_eq!(endpoint.headers()[AUTHORIZATION], "Bearer sk-canary");
        assert!(!format!("{:?}", endpoint.headers()).contains("canary"));
        assert_eq!(endpoint.redact("bad key sk-canary!"), "bad key [redacted]!");
    }

    #[test]
    fn a_key_that_cannot_be_a_header_is_refused_at_the_start() {
        for bad in ["sk\n", "sk a", "sk\u{0}", "schlüssel"] {
            assert!(matches!(endpoint("http://x", Some(bad)), Err(LlmSetupError::ApiKey)), "{bad:?}");
        }
    }
}
