//! The content of a credential as it is sealed: JSON, in memory that is wiped.

use secrecy::zeroize::{Zeroize, Zeroizing};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::domain::{HeaderValue, Material, OAuth, SmtpLogin, SmtpSecurity};

/// Room for the largest content that comes in over HTTP, so that writing it never moves it.
const ROOM: usize = 40 * 1024;

/// Whatever its kind has, by name. Absent is empty: content of an older version opens in a newer one.
#[derive(Default, Serialize, Deserialize)]
struct Plain {
    #[serde(default)]
    form: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    host: String,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    security: String,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: Option<String>,
}

impl Drop for Plain {
    fn drop(&mut self) {
        let some = [&mut self.client_secret, &mut self.refresh_token, &mut self.access_token, &mut self.token];
        some.into_iter().for_each(Zeroize::zeroize);
        [&mut self.password, &mut self.value].into_iter().for_each(Zeroize::zeroize);
        self.keys.zeroize();
    }
}

fn shown(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}

fn secret(text: &mut Option<String>) -> Option<SecretString> {
    text.take().map(SecretString::from)
}

/// The bytes to be sealed.
pub(super) fn write(material: &Material) -> Option<Zeroizing<Vec<u8>>> {
    let mut plain = Plain::default();
    plain.form = match material {
        Material::OAuth(oauth) => {
            plain.client_id.clone_from(&oauth.client_id);
            plain.client_secret = oauth.client_secret.as_ref().map(shown);
            plain.refresh_token = oauth.refresh_token.as_ref().map(shown);
            plain.tenant.clone_from(&oauth.tenant);
            plain.access_token = oauth.access_token.as_ref().map(shown);
            "oauth"
        }
        Material::Token(token) => {
            plain.token = Some(shown(token));
            "token"
        }
        Material::Smtp(smtp) => {
            plain.host.clone_from(&smtp.host);
            plain.port = smtp.port;
            plain.security = smtp.security.as_str().to_owned();
            plain.username = smtp.login.as_ref().map(|(name, _)| name.clone());
            plain.password = smtp.login.as_ref().map(|(_, password)| shown(password));
            "smtp"
        }
        Material::Signing(keys) => {
            plain.keys = keys.iter().map(shown).collect();
            "signing"
        }
        Material::Header(header) => {
            plain.host.clone_from(&header.host);
            plain.name.clone_from(&header.name);
            plain.value = Some(shown(&header.value));
            "header"
        }
    }
    .to_owned();
    let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM));
    serde_json::to_writer(&mut *bytes, &plain).ok()?;
    Some(bytes)
}

/// The content of sealed bytes; `None` when they are of a form that this version does not know.
pub(super) fn read(bytes: &[u8]) -> Option<Material> {
    let mut plain: Plain = serde_json::from_slice(bytes).ok()?;
    match plain.form.as_str() {
        "oauth" => Some(Material::OAuth(OAuth {
            client_id: std::mem::take(&mut plain.client_id),
            client_secret: secret(&mut plain.client_secret),
            refresh_token: secret(&mut plain.refresh_token),
            tenant: plain.tenant.take(),
            access_token: secret(&mut plain.access_token),
        })),
        "token" => secret(&mut plain.token).map(Material::Token),
        "smtp" => Some(Material::Smtp(SmtpLogin {
            host: std::mem::take(&mut plain.host),
            port: plain.port,
            security: SmtpSecurity::from_word(&plain.security)?,
            login: plain.username.take().zip(secret(&mut plain.password)),
        })),
        "signing" => {
            Some(Material::Signing(std::mem::take(&mut plain.keys).into_iter().map(SecretString::from).collect()))
        }
        "header" => Some(Material::Header(HeaderValue {
            host: std::mem::take(&mut plain.host),
            name: std::mem::take(&mut plain.name),
            value: secret(&mut plain.value)?,
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_the_same_after_a_round() {
        let all = [
            Material::OAuth(OAuth {
                client_id: "id".into(),
                client_secret: Some("s".into()),
                refresh_token: Some("r".into()),
                tenant: Some("t".into()),
                access_token: Some("a".into()),
            }),
            Material::OAuth(OAuth::default()),
            Material::Token("t".into()),
            Material::Smtp(SmtpLogin {
                host: "h".into(),
                port: 587,
                security: SmtpSecurity::StartTls,
                login: Some(("u".into(), "p".into())),
            }),
            Material::Signing(vec!["whsec_1".into(), "whsec_2".into()]),
            Material::Header(HeaderValue { host: "h".into(), name: "n".into(), value: "v".into() }),
        ];
        for material in all {
            let bytes = write(&material).expect("written");
            let again = write(&read(&bytes).expect("read")).expect("written");
            assert_eq!(*again, *bytes);
        }
        assert!(read(b"{\"form\":\"of the future\"}").is_none() && read(b"nonsense").is_none());
    }
}
