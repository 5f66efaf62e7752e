//! Credentials at rest: sealed on the way into Redis, opened on the way out, sealed anew when the key changes.

mod content;
mod keyring;
mod release;

use std::sync::Arc;

use crate::domain::{CredentialKind, CredentialName, CredentialState, Material, Timestamp, Workspace};
use crate::store::{CredentialRecord, PutCredential, Shards, StoreError};

use keyring::Place;
pub use keyring::{KeyError, Keyring, SealError};
pub use release::{Released, release_needing_reauth};

/// How often a put is repeated that another one overtook.
const TRIES: usize = 5;

/// Why a credential cannot be stored or read. Messages never contain one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SafeError {
    /// This process has no key.
    #[error("CREDENTIALS_KEY is not set in this process")]
    NoKey,
    /// It does not open.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// It opens, and is of a form that this version does not know.
    #[error("it was written by another version")]
    Unknown,
    /// The workspace has as many as it may.
    #[error("the workspace has as many credentials as it may have ({})", crate::store::MOST_CREDENTIALS)]
    Full,
    /// Others change it all the time.
    #[error("it is being changed by others")]
    Busy,
    /// Redis did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A credential to be stored.
#[derive(Clone)]
pub struct NewCredential {
    /// What it is for.
    pub kind: CredentialKind,
    /// Whose account it is.
    pub account: Option<String>,
    /// What it may do, as far as known.
    pub scopes: Vec<String>,
    /// Its content.
    pub material: Material,
}

/// What one step of sealing anew did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Where the next step begins; `None` after the last.
    pub next: Option<u64>,
    /// Sealed under the current key now.
    pub resealed: u64,
    /// Were already.
    pub current: u64,
    /// Stay as they are: no key here opens them.
    pub unreadable: u64,
}

/// The credentials of all workspaces, with the keys to them.
#[derive(Clone, Debug)]
pub struct Safe {
    store: Shards,
    keyring: Option<Arc<Keyring>>,
}

impl Safe {
    /// A safe over this store; without a keyring it can list and remove, and nothing else.
    #[must_use]
    pub fn new(store: impl Into<Shards>, keyring: Option<Arc<Keyring>>) -> Self {
        Self { store: store.into(), keyring }
    }

    /// Where the records are.
    #[must_use]
    pub fn store(&self) -> &Shards {
        &self.store
    }

    /// The keys of this process.
    #[must_use]
    pub fn keyring(&self) -> Option<&Keyring> {
        self.keyring.as_deref()
    }

    fn key(&self) -> Result<&Keyring, SafeError> {
        self.keyring().ok_or(SafeError::NoKey)
    }

    /// Stores a credential, in the place of one of that name if there is one, whose time of adding it keeps.
    ///
    /// # Errors
    /// See [`SafeError`]; repeating is safe.
    pub async fn add(
        &self,
        workspace: &Workspace,
        name: &CredentialName,
        new: &NewCredential,
    ) -> Result<CredentialRecord, SafeError> {
        let store = self.store.credentials();
        for _ in 0..TRIES {
            let now = store.now().await?;
            let had = store.credential(workspace, name).await?;
            let empty = CredentialRecord {
                workspace: workspace.clone(),
                name: name.clone(),
                kind: new.kind,
                account: new.account.clone(),
                scopes: new.scopes.clone(),
                key_id: String::new(),
                nonce: String::new(),
                sealed: String::new(),
                revision: had.as_ref().map_or(0, |had| had.revision),
                state: CredentialState::Ok,
                reason: None,
                created_at: had.map_or(now, |had| had.created_at),
                updated_at: now,
                expires_at: None,
            };
            let mut record = self.seal(empty, &new.material)?;
            match store.put_credential(&record).await? {
                PutCredential::Stored(revision) => {
                    record.revision = revision;
                    return Ok(record);
                }
                PutCredential::Full => return Err(SafeError::Full),
                PutCredential::Changed => {}
            }
        }
        Err(SafeError::Busy)
    }

    /// The same record with this content, sealed under the current key; not stored yet.
    ///
    /// # Errors
    /// Without a key.
    pub fn seal(&self, record: CredentialRecord, material: &Material) -> Result<CredentialRecord, SafeError> {
        let bytes = content::write(material).ok_or(SafeError::Unknown)?;
        self.close(record, &bytes)
    }

    fn close(&self, record: CredentialRecord, bytes: &[u8]) -> Result<CredentialRecord, SafeError> {
        let place = Place { workspace: &record.workspace, name: &record.name, kind: record.kind };
        let sealed = self.key()?.seal(place, bytes)?;
        Ok(CredentialRecord { key_id: sealed.key_id, nonce: sealed.nonce, sealed: sealed.content, ..record })
    }

    /// The content of a record.
    ///
    /// # Errors
    /// Without its key, or when it is damaged.
    pub fn open(&self, record: &CredentialRecord) -> Result<Material, SafeError> {
        content::read(&self.key()?.open(record)?).ok_or(SafeError::Unknown)
    }

    /// Seals a page of all credentials anew, under the current key; a repeat finds them done.
    ///
    /// # Errors
    /// Without a key, or when Redis did not answer; repeating is safe.
    pub async fn reseal(&self, from: u64) -> Result<Resealed, SafeError> {
        let (keyring, store) = (self.key()?, self.store.credentials());
        let page = store.all_credentials(from).await?;
        let mut done = Resealed { next: page.next, ..Resealed::default() };
        for record in page.records {
            if record.key_id == keyring.current_id() {
                done.current += 1;
            } else {
                self.reseal_one(&record.workspace, &record.name, &mut done).await?;
            }
        }
        Ok(done)
    }

    /// Reads it again before each try: a renewal may have been quicker, with an older key even.
    async fn reseal_one(
        &self,
        workspace: &Workspace,
        name: &CredentialName,
        done: &mut Resealed,
    ) -> Result<(), SafeError> {
        let (keyring, store) = (self.key()?, self.store.credentials());
        for _ in 0..TRIES {
            let Some(record) = store.credential(workspace, name).await? else { return Ok(()) };
            if record.key_id == keyring.current_id() {
                done.current += 1;
                return Ok(());
            }
            let Ok(bytes) = keyring.open(&record) else {
                done.unreadable += 1;
                return Ok(());
            };
            let closed = self.close(record, &bytes)?;
            if let PutCredential::Stored(_) = store.put_credential(&closed).await? {
                done.resealed += 1;
                return Ok(());
            }
        }
        Err(SafeError::Busy)
    }

    /// Redis' time, as this process estimates it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.store.now_estimate()
    }
}
