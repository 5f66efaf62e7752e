//! The rules for actions, as one process knows them: read at its start, looked at again every two seconds, and at once
//! when the record of effects says that they changed. The order for what is logged is seen by the same look.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::{
    AUDIT, ActionFacts, DEFAULT_DOCUMENT, Decision, Denial, JobId, JobType, PolicyDocument, Settings, Verdict,
    Workspace, ruling,
};
use crate::store::{LevelOrder, PolicyChange, Shards, StoreError};

use super::executor::TypeInfo;
use super::registry::{AllowList, Registry};
use super::tasks;

/// Between two looks at the revision.
const INTERVAL: Duration = Duration::from_secs(2);

/// A document as known; `None` for text that this version does not understand, which denies everything.
type Documents = BTreeMap<String, Option<PolicyDocument>>;

/// One state of the rules.
#[derive(Debug)]
struct Known {
    revision: String,
    documents: Documents,
}

/// Why a job may not run now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The rules forbid it.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// This process has not read the rules yet: Redis has not answered since its start.
    #[error("the rules for actions are not known yet, since Redis has not answered")]
    NotKnown,
}

/// The rules; cheap to clone.
#[derive(Clone, Debug)]
pub struct Policies {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shards: Shards,
    allow: AllowList,
    known: RwLock<Option<Arc<Known>>>,
    /// Held while they are read, so that what is known only becomes newer.
    reading: tokio::sync::Mutex<()>,
    /// Counts the states seen.
    changes: watch::Sender<u64>,
    /// What the fleet is to log for a while: it is kept beside the rules, to be seen by the same look.
    level: watch::Sender<Option<LevelOrder>>,
}

impl Policies {
    /// Knows nothing yet, and looks until `shutdown`.
    #[must_use]
    pub fn start(shards: impl Into<Shards>, allow: AllowList, shutdown: CancellationToken) -> Self {
        let (known, changes) = (RwLock::new(None), watch::Sender::default());
        let policies = Self {
            inner: Arc::new(Inner {
                shards: shards.into(),
                allow,
                known,
                changes,
                level: watch::Sender::default(),
                reading: tokio::sync::Mutex::default(),
            }),
        };
        let own = policies.clone();
        tasks::spawn("policies", async move {
            loop {
                if let Err(error) = own.refresh().await {
                    tracing::debug!(%error, "the rules for actions could not be read");
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(INTERVAL) => {}
                }
            }
        });
        policies
    }

    /// Reads the rules unless some are known already. When Redis does not answer, they stay unknown.
    pub async fn first_look(&self) {
        if self.known().is_none() {
            // What fails here is tried again by the task, which logs it.
            drop(self.refresh().await);
        }
    }

    /// Reads the rules if they changed.
    ///
    /// # Errors
    /// When Redis did not answer; what was known stays.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.inner.reading.lock().await;
        let first = self.inner.shards.first();
        let has = self.known().map(|known| known.revision.clone());
        let standing = first.standing().await?;
        self.inner.level.send_if_modified(|known| {
            let changed = *known != standing.level;
            *known = standing.level;
            changed
        });
        if has == Some(standing.revision) {
            return Ok(());
        }
        let stored = first.policies().await?;
        let read = |(name, text): (String, String)| {
            let document = serde_json::from_str(&text);
            if let Err(error) = &document {
                tracing::error!(document = name, %error, "rules for actions cannot be read, so they deny everything");
            }
            (name, document.ok())
        };
        let documents = stored.documents.into_iter().map(read).collect();
        let known = Known { revision: stored.revision, documents };
        *self.inner.known.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(known));
        self.inner.changes.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Which state of the rules this process knows; empty while none was ever set or known. An effect begins under this
    /// revision or is judged again.
    #[must_use]
    pub fn revision(&self) -> String {
        self.known().map(|known| known.revision.clone()).unwrap_or_default()
    }

    /// What the rules say of a job.
    ///
    /// # Errors
    /// When it may not run.
    pub fn judge(&self, workspace: &Workspace, action: &str, facts: &ActionFacts) -> Result<Verdict, Refusal> {
        let known = self.known().ok_or(Refusal::NotKnown)?;
        Ok(self.ruled(&known, Some(workspace), action, |ruling| ruling.judge(facts))?)
    }

    /// As [`Self::judge`], and looks at the rules again before it refuses: what switches actions on brings jobs back
    /// in line at once.
    pub(super) async fn judge_latest(
        &self,
        workspace: &Workspace,
        action: &str,
        facts: &ActionFacts,
    ) -> Result<Verdict, Refusal> {
        match self.judge(workspace, action, facts) {
            Ok(verdict) => Ok(verdict),
            Err(refusal) => {
                if let Err(error) = self.refresh().await {
                    tracing::debug!(%error, "the rules for actions could not be read");
                    return Err(refusal);
                }
                self.judge(workspace, action, facts)
            }
        }
    }

    /// What becomes of jobs of an action before their input is looked at; `None` asks for a workspace that has no rules.
    ///
    /// # Errors
    /// Why not.
    pub fn accepts(&self, workspace: Option<&Workspace>, action: &str) -> Result<Decision, Refusal> {
        let known = self.known().ok_or(Refusal::NotKnown)?;
        Ok(self.ruled(&known, workspace, action, |ruling| Ok(ruling.decision()))?)
    }

    fn ruled<T>(
        &self,
        known: &Known,
        workspace: Option<&Workspace>,
        action: &str,
        then: impl FnOnce(&crate::domain::Ruling<'_>) -> Result<T, Denial>,
    ) -> Result<T, Denial> {
        let settings = Settings { enabled: self.inner.allow.actions_enabled, allowed: &self.inner.allow.allowed };
        let default = document(known, DEFAULT_DOCUMENT)?;
        let own = match workspace {
            Some(workspace) => document(known, workspace.as_str())?.map(|own| (workspace.as_str(), own)),
            None => None,
        };
        then(&ruling(settings, default, own, action)?)
    }

    /// The types that a worker of this process offers: those that are no actions, and the actions that its settings or
    /// the default rules name. Jobs of others wait in line for a worker that does.
    #[must_use]
    pub fn offered(&self, registry: &Registry) -> Vec<JobType> {
        let known = self.known();
        let default = known.as_ref().and_then(|known| known.documents.get(DEFAULT_DOCUMENT)?.as_ref());
        let widened = |name: &JobType| {
            let rule = default.and_then(|document| document.rule_for(name.as_str()));
            rule.is_some_and(|(rule, _)| rule.decision != Decision::Deny)
        };
        let allow = &self.inner.allow;
        let offered = |info: &&TypeInfo| {
            let listed = || allow.allowed.contains(info.name.as_str()) || widened(&info.name);
            !info.is_action || (allow.actions_enabled && listed())
        };
        registry.types().filter(offered).map(|info| info.name.clone()).collect()
    }

    /// The document of a workspace, or the default one; `None` when there is none.
    ///
    /// # Errors
    /// When Redis did not answer, or it is of a version that this one does not understand.
    pub async fn document(&self, workspace: Option<&Workspace>) -> Result<Option<PolicyDocument>, StoreError> {
        let mut stored = self.inner.shards.first().policies().await?;
        let text = stored.documents.remove(workspace.map_or(DEFAULT_DOCUMENT, Workspace::as_str));
        let read = |text: String| serde_json::from_str(&text).map_err(|_| StoreError::Corrupt("rules".to_owned()));
        text.map(read).transpose()
    }

    /// Replaces or removes a document, here at once and in every other process within seconds. An effect that has not
    /// begun by then is judged by the new rules.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn put(
        &self,
        workspace: Option<&Workspace>,
        document: Option<&PolicyDocument>,
        by: &str,
    ) -> Result<(), StoreError> {
        let text = document.map(serde_json::to_string).transpose();
        let text = text.map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let change = PolicyChange { workspace: workspace.cloned(), document: text };
        let revision = self.inner.shards.set_policy(&change).await?;
        let whose = workspace.map_or(DEFAULT_DOCUMENT, Workspace::as_str);
        tracing::info!(target: AUDIT, tenant_id = whose, removed = document.is_none(), revision, by, "rules for actions set");
        self.refresh().await.map_err(StoreError::after_change)
    }

    /// Lets a job start within a cap per hour, or says how long it has to wait.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub(super) async fn cap(
        &self,
        (workspace, action, job): (&Workspace, &JobType, JobId),
        most: u32,
    ) -> Result<Option<Duration>, StoreError> {
        self.inner.shards.cap(workspace, action, job, most).await
    }

    /// The order for what the fleet logs, as seen last; one whose time is over may still be there.
    #[must_use]
    pub fn level(&self) -> watch::Receiver<Option<LevelOrder>> {
        self.inner.level.subscribe()
    }

    /// Fires when another state of the rules was read.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    fn known(&self) -> Option<Arc<Known>> {
        self.inner.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn document<'a>(known: &'a Known, name: &str) -> Result<Option<&'a PolicyDocument>, Denial> {
    match known.documents.get(name) {
        None => Ok(None),
        Some(Some(document)) => Ok(Some(document)),
        Some(None) => {
            let why = format!("the rules of `{name}` are of a version that this process does not understand");
            Err(Denial::NotAllowed(why))
        }
    }
}
