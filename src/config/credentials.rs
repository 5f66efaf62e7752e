//! Credentials: the keys that seal them, where tokens are renewed, and what workspaces without their own fall back on.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::Problem;
use super::catalogue as c;
use super::layers::Resolved;
use crate::domain::{SmtpLogin, SmtpSecurity};
use crate::engine::Keyring;
use crate::executors::actions::{TokenEndpoints, VaultDefaults};

/// Credentials of workspaces.
#[derive(Clone, Debug)]
pub struct CredentialsConfig {
    /// Seals and opens them; `None` when no key is set.
    pub keyring: Option<Arc<Keyring>>,
    /// Where access tokens are asked for.
    pub endpoints: TokenEndpoints,
    /// For workspaces that have none of their own.
    pub defaults: VaultDefaults,
}

impl CredentialsConfig {
    pub(super) fn of(r: &Resolved) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut add = |setting: &c::Setting, message: String| {
            problems.push(Problem::of(setting, r.origin(setting), message));
        };
        let keyring = keyring(r).unwrap_or_else(|(setting, message)| {
            add(setting, message);
            None
        });
        let smtp = r.text(&c::SMTP_URL).and_then(|text| match smtp(&text) {
            Ok(server) => Some((server, r.text(&c::SMTP_FROM))),
            Err(message) => {
                add(&c::SMTP_URL, message);
                None
            }
        });
        for setting in [&c::GOOGLE_TOKEN_URL, &c::MICROSOFT_LOGIN_URL] {
            if !r.text(setting).is_some_and(|text| super::checks::is_http_url(&text)) {
                add(setting, "must be an http:// or https:// URL".to_owned());
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let endpoints = TokenEndpoints {
            google: r.text(&c::GOOGLE_TOKEN_URL).unwrap_or_default(),
            microsoft: r.text(&c::MICROSOFT_LOGIN_URL).unwrap_or_default(),
        };
        Ok(Self { keyring, endpoints, defaults: VaultDefaults { smtp } })
    }
}

type Refusal = (&'static c::Setting, String);

fn keyring(r: &Resolved) -> Result<Option<Arc<Keyring>>, Refusal> {
    let listed = r.secret(&c::CREDENTIALS_OLD_KEYS);
    let old: Vec<SecretString> = listed
        .iter()
        .flat_map(|list| list.expose_secret().split([',', '\n']))
        .map(str::trim)
        .filter(|key| !key.is_empty())
        .map(SecretString::from)
        .collect();
    let Some(current) = r.secret(&c::CREDENTIALS_KEY) else {
        let lost = "are set without CREDENTIALS_KEY, which seals what they open";
        return if old.is_empty() { Ok(None) } else { Err((&c::CREDENTIALS_OLD_KEYS, lost.to_owned())) };
    };
    // The current one by itself first, so that the message names the setting at fault.
    Keyring::new(&current, &[]).map_err(|error| (&c::CREDENTIALS_KEY, error.to_string()))?;
    let ring = Keyring::new(&current, &old).map_err(|error| (&c::CREDENTIALS_OLD_KEYS, error.to_string()))?;
    Ok(Some(Arc::new(ring)))
}

/// Reads `smtp[s|+plain]://user:password@host:port`. Messages never repeat it.
fn smtp(text: &str) -> Result<SmtpLogin, String> {
    let form = "must be smtp://, smtps:// or smtp+plain://, with user:password@ if it wants a login, and a host";
    let url = Url::parse(text).map_err(|_| form.to_owned())?;
    let (security, port) = match url.scheme() {
        "smtp" => (SmtpSecurity::StartTls, 587),
        "smtps" => (SmtpSecurity::Tls, 465),
        "smtp+plain" => (SmtpSecurity::None, 25),
        _ => return Err(form.to_owned()),
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| form.to_owned())?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("must end with the host or its port; characters such as #, /, ? and @ in a password must be \
                    percent-encoded"
            .to_owned());
    }
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        (user, Some(password)) if !user.is_empty() => Some((plain(user)?, SecretString::from(plain(password)?))),
        _ => return Err("must have both a user and a password, or neither".to_owned()),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(SmtpLogin { host, port: url.port().unwrap_or(port), security, login })
}

/// Without percent-encoding.
fn plain(text: &str) -> Result<String, String> {
    // A `+` is itself here, unlike in a form.
    let form = format!("x={}", text.replace('+', "%2B"));
    let decoded = url::form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned());
    decoded.filter(|text| !text.contains('\u{fffd}')).ok_or_else(|| "has a login that is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Environment, Overrides};

    const ONE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const TWO: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    fn load(text: &str) -> Result<CredentialsConfig, String> {
        let environment = Environment::default();
        let loaded = Config::from_layers(Some((Path::new("t.toml"), text)), &environment, &Overrides::default());
        loaded.map(|config| config.credentials).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_key_there_is_no_keyring() {
        let config = load("").expect("accepted");
        assert!(config.keyring.is_none() && config.defaults.smtp.is_none());
        assert_eq!(config.endpoints.google, "https://oauth2.googleapis.com/token");
        assert_eq!(config.endpoints.microsoft, "https://login.microsoftonline.com");
    }

    #[test]
    fn keys_are_read_and_a_bad_one_is_named_by_its_setting_and_not_shown() {
        let ring =
            load(&format!("[credentials]\nkey = \"{ONE}\"\nold_keys = \"{TWO}, \"\n")).expect("accepted").keyring;
        assert!(ring.is_some_and(|ring| ring.has(ring.current_id())));
        for (text, setting) in [
            ("key = \"c2hvcnQ=\"".to_owned(), "CREDENTIALS_KEY"),
            (format!("key = \"{ONE}\"\nold_keys = \"c2hvcnQ=\""), "CREDENTIALS_OLD_KEYS"),
            (format!("key = \"{ONE}\"\nold_keys = \"{ONE}\""), "CREDENTIALS_OLD_KEYS"),
            (format!("old_keys = \"{ONE}\""), "CREDENTIALS_OLD_KEYS"),
        ] {
            let error = load(&format!("[credentials]\n{text}\n")).expect_err(&text);
            assert!(error.contains(&format!("{setting} ")), "{error}");
            assert!(!error.contains("c2hvcnQ") && !error.contains(ONE), "{error}");
        }
    }

    #[test]
    fn a_mail_server_is_read_from_its_address() {
        let login = |server: &SmtpLogin| {
            server.login.as_ref().map(|(user, password)| format!("{user} {}", password.expose_secret()))
        };
        for (url, host, port, security, expected) in [
            ("smtp://me%40x.org:p%2Fw+1@mail.x.org", "mail.x.org", 587, SmtpSecurity::StartTls, Some("me@x.org p/w+1")),
            ("smtps://u:p@mail.x.org:8465", "mail.x.org", 8465, SmtpSecurity::Tls, Some("u p")),
            ("smtp+plain://127.0.0.1:1025", "127.0.0.1", 1025, SmtpSecurity::None, None),
        ] {
            let server = smtp(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((server.host.as_str(), server.port, server.security), (host, port, security));
            assert_eq!(login(&server).as_deref(), expected);
        }
        for url in ["", "mail.x.org", "http://x", "smtp://u@x", "smtp://u:p@x/path", "smtp://u:p?w@x", "smtp://"] {
            let error = smtp(url).err().unwrap_or_else(|| panic!("{url} is accepted"));
            assert!(!error.contains("u:p@x"), "{error}");
        }
    }
}
