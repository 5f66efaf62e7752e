//! Verb `policy`: the documents of rules for actions, and the revision that tells one state of them from another.
//!
//! They stand on every shard, since the script that begins an effect compares its own; the first shard has the truth, and
//! the janitor repairs the others. No workspace is called `rev`, because documents are kept under `w:<workspace>`.

use std::collections::BTreeMap;

use fred::prelude::Value;
use futures_util::future::try_join_all;

use crate::domain::{DEFAULT_DOCUMENT, Workspace, bounds};

use super::reply::{Reply, text};
use super::{Shards, Store, StoreError};

/// The field with the revision.
const REVISION: &str = "rev";

/// Documents as stored, by workspace, or `*` for the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredPolicies {
    /// Changes with every change of any of them; empty before the first.
    pub revision: String,
    /// JSON texts.
    pub documents: BTreeMap<String, String>,
}

/// One document to write; `None` for the workspace is the default for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// Whose.
    pub workspace: Option<Workspace>,
    /// Its JSON text; `None` removes it.
    pub document: Option<String>,
}

impl Store {
    /// The revision on this shard.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn policy_revision(&self) -> Result<String, StoreError> {
        text(self.inner.link.command("HGET", vec![self.inner.keys.policy().into(), REVISION.into()]).await?)
    }

    /// All documents on this shard, with their revision.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn policies(&self) -> Result<StoredPolicies, StoreError> {
        let mut fields = self.policy_fields().await?;
        let revision = fields.remove(REVISION).unwrap_or_default();
        let documents = fields.into_iter().filter_map(|(field, text)| Some((name(&field)?.to_owned(), text)));
        Ok(StoredPolicies { revision, documents: documents.collect() })
    }

    async fn policy_fields(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let all = self.inner.link.command("HGETALL", vec![self.inner.keys.policy().into()]).await?;
        Ok(Reply::array(all)?.pairs()?.into_iter().collect())
    }

    /// Writes fields, 100 in a call; the revision comes with the last ones.
    async fn write_policy(&self, revision: &str, fields: &[(String, String)]) -> Result<(), StoreError> {
        let mut chunks = fields.chunks(bounds::SCRIPT_ITEMS).peekable();
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let last = chunks.peek().is_none();
            let mut args: Vec<Value> = vec![crate::domain::QueueName::default_queue().as_str().into()];
            args.extend([if last { revision } else { "" }.into(), chunk.len().to_string().into()]);
            args.extend(chunk.iter().flat_map(|(field, text)| [field.as_str().into(), text.as_str().into()]));
            self.run(&self.inner.scripts.policy, args).await?;
            if last {
                return Ok(());
            }
        }
    }
}

impl Shards {
    /// Writes a document under a fresh revision, which is returned.
    ///
    /// # Errors
    /// `Unknown`: repeating is safe. If the first shard took it, the janitor brings it to the others.
    pub async fn set_policy(&self, change: &PolicyChange) -> Result<String, StoreError> {
        let revision = uuid::Uuid::new_v4().simple().to_string();
        let field = match &change.workspace {
            None => DEFAULT_DOCUMENT.to_owned(),
            Some(workspace) => format!("w:{workspace}"),
        };
        let fields = [(field, change.document.clone().unwrap_or_default())];
        self.first().write_policy(&revision, &fields).await?;
        let others = self.all().iter().skip(1).map(|store| store.write_policy(&revision, &fields));
        try_join_all(others).await.map_err(StoreError::after_change)?;
        Ok(revision)
    }

    /// Brings a shard to what the first says; true when something differed.
    pub(super) async fn repair_policies(&self, store: &Store) -> Result<bool, StoreError> {
        if store.policy_revision().await? == self.first().policy_revision().await? {
            return Ok(false);
        }
        let (has, mut wanted) = (store.policy_fields().await?, self.first().policy_fields().await?);
        let revision = wanted.remove(REVISION).unwrap_or_default();
        let surplus = has.keys().filter(|field| *field != REVISION && !wanted.contains_key(*field));
        let mut fields: Vec<(String, String)> = surplus.map(|field| (field.clone(), String::new())).collect();
        fields.extend(wanted.into_iter().filter(|(field, text)| has.get(field) != Some(text)));
        store.write_policy(&revision, &fields).await?;
        Ok(true)
    }
}

/// The workspace of a field, or `*`.
fn name(field: &str) -> Option<&str> {
    if field == DEFAULT_DOCUMENT { Some(field) } else { field.strip_prefix("w:") }
}
