//! What one process remembers of credentials for a moment, so that a thousand jobs ask Redis once.
//!
//! Only what can be used is remembered, and that a provider is away. That a credential is missing or refused is not: it
//! may be replaced at any moment, which makes the jobs that wait for it run.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Credential, VaultError};
use crate::clock::{self, Instant};
use crate::domain::{CredentialKind, Workspace};

/// How long a credential is used without a look at Redis. One that was removed works this much longer.
const LIFE: Duration = Duration::from_secs(5);

/// How long a provider that was away is left alone.
const AWAY: Duration = Duration::from_secs(2);

/// Entries before all are forgotten.
const MOST: usize = 1_000;

type Key = (Workspace, CredentialKind, Option<String>);
type Outcome = Result<Arc<Credential>, VaultError>;
type Slot = Arc<tokio::sync::Mutex<Option<(Outcome, Instant)>>>;

/// Credentials by how they were asked for.
#[derive(Default)]
pub(super) struct Remembered(Mutex<HashMap<Key, Slot>>);

impl Remembered {
    /// What is remembered, or what `look_up` finds; others who ask for the same wait for it.
    pub(super) async fn get_or(&self, key: Key, look_up: impl Future<Output = Outcome>) -> Outcome {
        let slot = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= MOST && !all.contains_key(&key) {
                all.clear();
            }
            Arc::clone(all.entry(key).or_default())
        };
        let mut entry = slot.lock().await;
        if let Some((outcome, until)) = &*entry
            && clock::now() < *until
        {
            return outcome.clone();
        }
        let outcome = look_up.await;
        *entry = match &outcome {
            Ok(_) => Some((outcome.clone(), clock::now() + LIFE)),
            Err(VaultError::Unavailable(_)) => Some((outcome.clone(), clock::now() + AWAY)),
            Err(_) => None,
        };
        outcome
    }

    /// Forgets a workspace's credentials of a kind.
    pub(super) fn forget(&self, workspace: &Workspace, kind: CredentialKind) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(of, what, _), _| of != workspace || *what != kind);
    }
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remembered(..)")
    }
}
