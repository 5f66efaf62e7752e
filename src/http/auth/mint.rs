//! Making keys. Only the hash of a key is ever stored.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt as _;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::domain::Timestamp;
use crate::store::KeyRecord;

/// Digits of a public id: 50 bits, which need not be secret, only distinct.
const ID_DIGITS: usize = 10;
const ID_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Makes a key: `wl_`, its public id, `_`, and 256 random bits. The text is returned once; the
/// record, which holds the hash only, is for the store. A plain hash is enough because the secret
/// is random: there is nothing to guess.
#[must_use]
pub fn mint_key(workspace: &str, scopes: &[&str], name: &str, now: Timestamp) -> (SecretString, KeyRecord) {
    let mut random = [0_u8; ID_DIGITS + 32];
    rand::rng().fill(&mut random);
    let (id, secret) = random.split_at(ID_DIGITS);
    let id: String = id.iter().map(|b| char::from(ID_ALPHABET[usize::from(b & 31)])).collect();
    let key = format!("wl_{id}_{}", URL_SAFE_NO_PAD.encode(secret));
    let record = KeyRecord {
        id,
        hash: hash_key(&key),
        workspace: workspace.to_owned(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        name: name.to_owned(),
        created_at: now,
        revoked_at: None,
    };
    (key.into(), record)
}

/// The hash under which a key is stored: SHA-256 in hex.
#[must_use]
pub fn hash_key(key: &str) -> String {
    hex(&digest(key))
}

pub(in crate::http) fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

pub(super) fn hex(digest: &[u8; 32]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_key_has_its_id_and_enough_randomness_and_is_kept_as_a_hash() {
        let (key, record) = mint_key("acme", &["jobs:read"], "ci", Timestamp::from_unix_ms(0));
        let text = key.expose_secret();
        let rest = text.strip_prefix("wl_").and_then(|t| t.strip_prefix(&record.id)).expect("prefix");
        assert_eq!(rest.len(), 1 + 43);
        assert_eq!(record.hash, hash_key(text));
        assert!(!format!("{key:?} {record:?}").contains(rest));
        assert_ne!(record.hash, mint_key("acme", &[], "", Timestamp::from_unix_ms(0)).1.hash);
    }
}
