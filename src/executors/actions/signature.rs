//! Signatures by which a receiver knows who sent a webhook, after the Standard Webhooks
//! specification 1.0.0 (<https://www.standardwebhooks.com>).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

/// The specification asks for 24 to 64 bytes; longer ones do no harm.
const SHORTEST: usize = 24;

/// A secret that cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// After `whsec_` comes no base64.
    #[error("the signing secret begins with whsec_, but what follows is not base64")]
    NotBase64,
    /// Shorter than 24 bytes.
    #[error("the signing secret must have at least {SHORTEST} bytes")]
    TooShort,
}

/// The key that signs.
#[derive(Clone)]
pub struct SigningSecret(SecretSlice<u8>);

impl SigningSecret {
    /// From `whsec_` and base64, or from plain text that is taken byte for byte.
    ///
    /// # Errors
    /// When the secret is malformed or too short; the message does not repeat it.
    pub fn parse(text: &SecretString) -> Result<Self, SecretError> {
        let text = text.expose_secret().trim();
        let bytes = match text.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| SecretError::NotBase64)?,
            None => text.as_bytes().to_vec(),
        };
        if bytes.len() < SHORTEST {
            return Err(SecretError::TooShort);
        }
        Ok(Self(bytes.into()))
    }

    /// The value of `webhook-signature`: `v1,` and the base64 of the HMAC-SHA256 over
    /// `id.timestamp.body`, with the timestamp in Unix seconds and the body as sent.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()) else {
            // HMAC takes keys of any length; an empty signature is refused by every receiver.
            return String::new();
        };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Result<SigningSecret, SecretError> {
        SigningSecret::parse(&SecretString::from(text))
    }

    #[test]
    fn the_vector_of_the_specification_holds() {
        let signature = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn weak_and_broken_secrets_are_refused_and_never_shown() {
        assert_eq!(secret("whsec_???").unwrap_err(), SecretError::NotBase64);
        assert_eq!(secret("whsec_c2hvcnQ=").unwrap_err(), SecretError::TooShort);
        assert_eq!(secret("short").unwrap_err(), SecretError::TooShort);
        assert_eq!(format!("{:?}", secret(&"plain".repeat(5)).unwrap()), "SigningSecret");
    }
}
