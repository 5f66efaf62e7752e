//! Sealing: what a credential holds is encrypted and bound to its place.
//!
//! XChaCha20-Poly1305 with a random nonce of 24 bytes, long enough to be drawn at random without end
//! ([draft-irtf-cfrg-xchacha](https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha)). Workspace, name, kind and
//! key id are authenticated with it: a record that is moved to another place does not open there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::zeroize::{Zeroize, Zeroizing};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::{Digest, Sha256};

use crate::domain::{CredentialKind, CredentialName, Workspace};
use crate::store::CredentialRecord;

/// Bytes of a key.
const KEY: usize = 32;

/// Bytes of a nonce.
const NONCE: usize = 24;

/// A key that cannot be used. The message never contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 32 bytes in base64.
    #[error("must be {KEY} bytes in base64, such as `openssl rand -base64 {KEY}` prints")]
    Form,
    /// A key that stands twice.
    #[error("names a key twice")]
    Twice,
}

/// Why something does not open or close. The message never contains content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed under a key that is not here.
    #[error("it was sealed under the key {0}, which is neither CREDENTIALS_KEY nor in CREDENTIALS_OLD_KEYS here")]
    UnknownKey(String),
    /// It is damaged, or was moved here from elsewhere.
    #[error("it is damaged, or was not sealed for this place")]
    Damaged,
}

/// Where a credential belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) name: &'a CredentialName,
    pub(super) kind: CredentialKind,
}

/// Sealed content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) key_id: String,
    pub(super) nonce: String,
    pub(super) content: String,
}

struct Key {
    id: String,
    bytes: SecretBox<[u8; KEY]>,
}

/// The keys of this process: the current one seals, all of them open.
pub struct Keyring {
    current: Key,
    old: Vec<Key>,
}

impl Keyring {
    /// A ring of the current key and of older ones, each 32 bytes in base64.
    ///
    /// # Errors
    /// When one is no key, or stands twice.
    pub fn new(current: &SecretString, old: &[SecretString]) -> Result<Self, KeyError> {
        let current = Key::parse(current)?;
        let old = old.iter().map(Key::parse).collect::<Result<Vec<_>, _>>()?;
        let mut ids: Vec<&str> = std::iter::once(&current).chain(&old).map(|key| key.id.as_str()).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(KeyError::Twice);
        }
        Ok(Self { current, old })
    }

    /// The name of the current key.
    #[must_use]
    pub fn current_id(&self) -> &str {
        &self.current.id
    }

    /// Whether a key of this name is here.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    fn find(&self, id: &str) -> Option<&Key> {
        std::iter::once(&self.current).chain(&self.old).find(|key| key.id == id)
    }

    pub(super) fn seal(&self, place: Place<'_>, content: &[u8]) -> Result<Sealed, SealError> {
        let nonce: [u8; NONCE] = rand::random();
        let aad = aad(place, &self.current.id);
        let payload = Payload { msg: content, aad: aad.as_bytes() };
        let sealed = self.current.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Damaged)?;
        Ok(Sealed { key_id: self.current.id.clone(), nonce: STANDARD.encode(nonce), content: STANDARD.encode(sealed) })
    }

    pub(super) fn open(&self, record: &CredentialRecord) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let key = self.find(&record.key_id).ok_or_else(|| SealError::UnknownKey(record.key_id.clone()))?;
        let nonce = STANDARD.decode(&record.nonce).ok().and_then(|nonce| <[u8; NONCE]>::try_from(nonce).ok());
        let (Some(nonce), Ok(sealed)) = (nonce, STANDARD.decode(&record.sealed)) else {
            return Err(SealError::Damaged);
        };
        let place = Place { workspace: &record.workspace, name: &record.name, kind: record.kind };
        let aad = aad(place, &key.id);
        let payload = Payload { msg: &sealed, aad: aad.as_bytes() };
        let opened = key.cipher().decrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Damaged)?;
        Ok(Zeroizing::new(opened))
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("current", &self.current.id).field("old", &self.old.len()).finish()
    }
}

impl Key {
    fn parse(text: &SecretString) -> Result<Self, KeyError> {
        let mut bytes = SecretBox::new(Box::new([0; KEY]));
        let decoded = STANDARD.decode(text.expose_secret().trim()).map(Zeroizing::new).map_err(|_| KeyError::Form)?;
        let mut exact = <[u8; KEY]>::try_from(decoded.as_slice()).map_err(|_| KeyError::Form)?;
        secrecy::ExposeSecretMut::expose_secret_mut(&mut bytes).copy_from_slice(&exact);
        exact.zeroize();
        let id = Sha256::digest(bytes.expose_secret()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { id, bytes })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.bytes.expose_secret().into())
    }
}

/// Names contain no line ends, so no two places share this text.
fn aad(place: Place<'_>, key_id: &str) -> String {
    format!("windlass credential\n{}\n{}\n{}\n{key_id}", place.workspace, place.name, place.kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CredentialState, Timestamp};

    fn key(byte: u8) -> SecretString {
        STANDARD.encode([byte; KEY]).into()
    }

    fn sealed(ring: &Keyring) -> CredentialRecord {
        let (workspace, name) = (Workspace::new("acme").expect("a name"), CredentialName::new("mail").expect("a name"));
        let place = Place { workspace: &workspace, name: &name, kind: CredentialKind::Github };
        let Sealed { key_id, nonce, content } = ring.seal(place, b"the secret").expect("sealed");
        CredentialRecord {
            workspace,
            name,
            kind: CredentialKind::Github,
            account: None,
            scopes: Vec::new(),
            key_id,
            nonce,
            sealed: content,
            revision: 0,
            state: CredentialState::Ok,
            reason: None,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            expires_at: None,
        }
    }

    fn ring(current: u8, old: &[u8]) -> Keyring {
        Keyring::new(&key(current), &old.iter().map(|byte| key(*byte)).collect::<Vec<_>>()).expect("keys")
    }

    #[test]
    fn what_was_sealed_opens_under_the_same_key_also_when_it_is_an_old_one() {
        let record = sealed(&ring(1, &[]));
        assert_eq!(ring(1, &[]).open(&record).expect("opens").as_slice(), b"the secret");
        assert_eq!(ring(2, &[3, 1]).open(&record).expect("opens").as_slice(), b"the secret");
        assert_eq!(ring(2, &[3]).open(&record), Err(SealError::UnknownKey(record.key_id.clone())));
        let renamed = CredentialRecord { key_id: ring(2, &[]).current_id().to_owned(), ..record };
        assert_eq!(ring(2, &[]).open(&renamed), Err(SealError::Damaged), "another key does not open it");
    }

    #[test]
    fn a_record_opens_in_its_own_place_only() {
        let ring = ring(1, &[2]);
        let record = sealed(&ring);
        let other = |text| Workspace::new(text).expect("a name");
        let moved = [
            CredentialRecord { workspace: other("evil"), ..record.clone() },
            CredentialRecord { name: CredentialName::new("other").expect("a name"), ..record.clone() },
            CredentialRecord { kind: CredentialKind::Smtp, ..record.clone() },
            CredentialRecord { nonce: STANDARD.encode([0; NONCE]), ..record.clone() },
            CredentialRecord { nonce: "AAAA".into(), ..record.clone() },
            CredentialRecord { sealed: "not base64!".into(), ..record.clone() },
        ];
        for record in moved {
            assert_eq!(ring.open(&record), Err(SealError::Damaged), "{record:?}");
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let ring = ring(1, &[]);
        let record = sealed(&ring);
        let bytes = STANDARD.decode(&record.sealed).expect("base64");
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let bad = CredentialRecord { sealed: STANDARD.encode(bad), ..record.clone() };
            assert_eq!(ring.open(&bad), Err(SealError::Damaged), "byte {at}");
        }
    }

    #[test]
    fn the_same_content_never_looks_the_same() {
        let ring = ring(1, &[]);
        let (one, other) = (sealed(&ring), sealed(&ring));
        assert!(one.nonce != other.nonce && one.sealed != other.sealed);
    }

    #[test]
    fn keys_are_checked_and_never_shown() {
        for bad in ["", "short", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33])] {
            assert_eq!(Keyring::new(&SecretString::from(bad), &[]).err(), Some(KeyError::Form), "{bad}");
        }
        assert_eq!(Keyring::new(&key(1), &[key(2), key(1)]).err(), Some(KeyError::Twice));
        let shown = format!("{:?}", ring(1, &[2]));
        assert!(!shown.contains("AQEB") && !shown.contains("1, 1"), "{shown}");
    }
}
