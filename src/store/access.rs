//! API keys: stored by hash, never as themselves.

use fred::interfaces::HashesInterface;
use fred::prelude::Value;
use serde_json::json;

use crate::domain::Timestamp;

use super::reply::{corrupt, text};
use super::views::KeyRecord;
use super::{Store, StoreError, link};

/// Marks that a bootstrap key was minted once.
const BOOTSTRAPPED: &str = "bootstrapped";

impl Store {
    /// Stores a new key.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn put_key(&self, key: &KeyRecord) -> Result<(), StoreError> {
        let client = self.inner.link.client()?;
        let entries = vec![(key.hash.as_str(), encode(key)), (BOOTSTRAPPED, "1".to_owned())];
        client.hset::<(), _, _>(self.inner.keys.api_keys(), entries).await.map_err(link::classify)
    }

    /// Stores the bootstrap key unless any key was ever stored; says whether it was taken.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn put_first_key(&self, key: &KeyRecord) -> Result<bool, StoreError> {
        let client = self.inner.link.client()?;
        let first: i64 = client.hsetnx(self.inner.keys.api_keys(), BOOTSTRAPPED, "1").await.map_err(link::classify)?;
        if first == 1 {
            self.put_key(key).await?;
        }
        Ok(first == 1)
    }

    /// The key with this SHA-256 (hex), revoked or not.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn key_by_hash(&self, hash: &str) -> Result<Option<KeyRecord>, StoreError> {
        if hash == BOOTSTRAPPED {
            return Ok(None);
        }
        let client = self.inner.link.client()?;
        let value: Value = client.hget(self.inner.keys.api_keys(), hash).await.map_err(link::classify)?;
        let stored = text(value)?;
        if stored.is_empty() { Ok(None) } else { decode(hash, &stored).map(Some) }
    }

    /// Every key, newest first.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let client = self.inner.link.client()?;
        let all: std::collections::HashMap<String, String> =
            client.hgetall(self.inner.keys.api_keys()).await.map_err(link::classify)?;
        let mut keys = all
            .iter()
            .filter(|(hash, _)| hash.as_str() != BOOTSTRAPPED)
            .map(|(hash, stored)| decode(hash, stored))
            .collect::<Result<Vec<_>, _>>()?;
        keys.sort_by_key(|key| std::cmp::Reverse(key.created_at));
        Ok(keys)
    }

    /// Revokes a key; false when there is none with this id.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn revoke_key(&self, id: &str) -> Result<bool, StoreError> {
        let Some(mut key) = self.keys().await?.into_iter().find(|key| key.id == id) else { return Ok(false) };
        if key.revoked_at.is_none() {
            key.revoked_at = Some(self.now().await?);
            self.put_key(&key).await?;
        }
        Ok(true)
    }
}

fn encode(key: &KeyRecord) -> String {
    json!({
        "id": key.id,
        "workspace": key.workspace,
        "scopes": key.scopes,
        "name": key.name,
        "created_at": key.created_at.unix_ms(),
        "revoked_at": key.revoked_at.map(Timestamp::unix_ms),
    })
    .to_string()
}

fn decode(hash: &str, stored: &str) -> Result<KeyRecord, StoreError> {
    let value: serde_json::Value = serde_json::from_str(stored).map_err(|_| corrupt("an API key's record"))?;
    let word = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let scopes = value["scopes"].as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned));
    Ok(KeyRecord {
        id: word("id"),
        hash: hash.to_owned(),
        workspace: word("workspace"),
        scopes: scopes.collect(),
        name: word("name"),
        created_at: Timestamp::from_unix_ms(value["created_at"].as_i64().unwrap_or_default()),
        revoked_at: value["revoked_at"].as_i64().map(Timestamp::from_unix_ms),
    })
}
