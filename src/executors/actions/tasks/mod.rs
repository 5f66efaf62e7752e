//! `task.create`: a task at Google Tasks, at Microsoft To Do, or as an issue at GitHub.
//!
//! None of them has an idempotency key, so what is created carries a mark, and after a lost answer recent tasks are
//! listed and looked through for it.

mod google;
mod input;
mod microsoft;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::{
    ActionFacts, EffectClass, EffectRecord, FailureReason, JobType, NameError, RawJson, RetryPolicy, effect_key,
};
use crate::engine::{Effect, EffectFailure, ExecutionError, Executor, JobContext, JobFuture, Lookup, Step, TypeInfo};

use super::github::{Github, Newest, Repository, find, issue_receipt};
use super::marker::{hidden, marked};
use super::rest::{Access, Call, RestSetupError, Service};
use super::{CredentialKind, Means};
use input::{Provider, TaskInput};

/// For one attempt: a lookup may take ten calls.
const ATTEMPT: Duration = Duration::from_secs(120);

/// Where tasks are kept.
#[derive(Clone, Debug)]
pub struct TaskOptions {
    /// The address of Google Tasks.
    pub google_url: String,
    /// The address of Microsoft Graph.
    pub graph_url: String,
    /// How long after an intent a service may still be at it, or may not list it yet.
    pub settles_after: Duration,
}

impl Default for TaskOptions {
    /// The services themselves; 30 s, as [`super::GithubOptions`].
    fn default() -> Self {
        Self {
            google_url: "https://tasks.googleapis.com".to_owned(),
            graph_url: "https://graph.microsoft.com/v1.0".to_owned(),
            settles_after: Duration::from_secs(30),
        }
    }
}

/// Settings of tasks that do not stand.
#[derive(Debug, thiserror::Error)]
pub enum TaskSetupError {
    /// The type name breaks the rule of names: a mistake in this build.
    #[error("type name: {0}")]
    Name(#[from] NameError),
    /// An address or the client.
    #[error(transparent)]
    Rest(#[from] RestSetupError),
}

/// The executor of `task.create`.
pub struct TaskCreate {
    info: TypeInfo,
    google: Service,
    microsoft: Service,
    github: Arc<Github>,
    means: Means,
    settles_after: Duration,
}

impl TaskCreate {
    /// Builds the clients; does no I/O. Issues are opened at `github`.
    ///
    /// # Errors
    /// When the options do not stand.
    pub fn new(options: &TaskOptions, github: Arc<Github>, means: Means) -> Result<Self, TaskSetupError> {
        let info = TypeInfo {
            input_schema: input::schema(),
            retry: RetryPolicy { max_attempts: 5, ..RetryPolicy::default() },
            timeout: ATTEMPT,
            is_action: true,
            effect: EffectClass::Reconcilable,
            ..TypeInfo::new(JobType::new("task.create")?, "Creates a task at Google, Microsoft or GitHub.")
        };
        let google = ("Google Tasks", CredentialKind::Google);
        let microsoft = ("Microsoft To Do", CredentialKind::Microsoft);
        let plain = http::HeaderMap::new;
        Ok(Self {
            info,
            google: Service::new(google, ("GOOGLE_TASKS_BASE_URL", &options.google_url), plain(), google::trouble)?,
            microsoft: Service::new(microsoft, ("GRAPH_BASE_URL", &options.graph_url), plain(), microsoft::trouble)?,
            github,
            means,
            settles_after: options.settles_after,
        })
    }

    /// The repository of an issue.
    fn admit(&self, input: &TaskInput) -> Result<Option<Repository>, String> {
        input.check()?;
        match input.provider {
            Provider::Github => self.github.repository(input.owner.as_deref(), input.repo.as_deref()).map(Some),
            Provider::Google | Provider::Microsoft => Ok(None),
        }
    }

    async fn create(&self, context: &JobContext) -> Result<RawJson, ExecutionError> {
        let input: TaskInput = context.input()?;
        let invalid = |why: String| ExecutionError::permanent(FailureReason::Invalid, why);
        let repository = self.admit(&input).map_err(invalid)?;
        context.effect(&Creating { tasks: self, context, input: &input, repository }).await
    }
}

/// One task of one job.
struct Creating<'a> {
    tasks: &'a TaskCreate,
    context: &'a JobContext,
    input: &'a TaskInput,
    repository: Option<Repository>,
}

impl Creating<'_> {
    async fn access(&self) -> Result<Access<'_>, ExecutionError> {
        let (tasks, name) = (self.tasks, self.input.credential.as_deref());
        match (self.input.provider, &self.repository) {
            (Provider::Google, _) => Access::open(&tasks.google, &tasks.means, self.context, name, None).await,
            (Provider::Microsoft, _) => Access::open(&tasks.microsoft, &tasks.means, self.context, name, None).await,
            (Provider::Github, Some(repository)) => tasks.github.access(self.context, repository, name).await,
            (Provider::Github, None) => {
                Err(ExecutionError::permanent(FailureReason::Invalid, "repo: missing, and GITHUB_REPO is not set"))
            }
        }
    }

    async fn open_issue(
        &self,
        access: &Access<'_>,
        step: &Step<'_>,
        repository: &Repository,
    ) -> Result<RawJson, EffectFailure> {
        let mut text = self.input.notes.clone().unwrap_or_default();
        if let Some(due) = &self.input.due {
            text = marked(&text, &format!("Due: {due}"));
        }
        let body = json!({"title": self.input.title, "body": marked(&text, &hidden(&step.key()))});
        let path = ["repos", &repository.owner, &repository.name, "issues"];
        let item = access.change(step, &Call::post(&path, &body)).await?;
        Ok(issue_receipt(repository, &item))
    }
}

impl Effect for Creating<'_> {
    fn class(&self) -> EffectClass {
        EffectClass::Reconcilable
    }

    fn settles_after(&self) -> Duration {
        self.tasks.settles_after
    }

    async fn perform(&self, step: &Step<'_>) -> Result<RawJson, EffectFailure> {
        let access = self.access().await.map_err(EffectFailure::NotDone)?;
        match (self.input.provider, &self.repository) {
            (Provider::Google, _) => google::create(&access, step, self.input).await,
            (Provider::Microsoft, _) => microsoft::create(&access, step, self.input).await,
            (Provider::Github, repository) => {
                let missing = || ExecutionError::permanent(FailureReason::Invalid, "repo: missing");
                let repository = repository.as_ref().ok_or_else(missing).map_err(EffectFailure::NotDone)?;
                self.open_issue(&access, step, repository).await
            }
        }
    }

    async fn reconcile(&self, earlier: &EffectRecord) -> Result<Lookup, ExecutionError> {
        let access = self.access().await?;
        let key = effect_key(self.context.id, self.step());
        match (self.input.provider, &self.repository) {
            (Provider::Google, _) => google::find(&access, self.input, earlier, &key).await,
            (Provider::Microsoft, _) => microsoft::find(&access, self.input, earlier, &key).await,
            (Provider::Github, None) => Ok(Lookup::Unknown("the job names no repository".to_owned())),
            (Provider::Github, Some(repository)) => {
                let query = [("state", "all"), ("sort", "created"), ("direction", "desc")];
                let query = query.map(|(name, value)| (name, value.to_owned()));
                let path = ["repos", &repository.owner, &repository.name, "issues"];
                let receipt = |item: &Value| issue_receipt(repository, item);
                find(&access, &path, &query, (Newest::First, earlier, &hidden(&key)), receipt).await
            }
        }
    }
}

impl Executor for TaskCreate {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn check(&self, input: &Value) -> Result<(), String> {
        let input = TaskInput::deserialize(input).map_err(|e| e.to_string())?;
        self.admit(&input).map(drop)
    }

    fn facts(&self, input: &Value) -> ActionFacts {
        let Ok(parsed) = TaskInput::deserialize(input) else { return ActionFacts::default() };
        let repository = self.admit(&parsed).ok().flatten().map(|own| own.to_string().to_ascii_lowercase());
        ActionFacts { repository, bytes: input.to_string().len(), ..ActionFacts::default() }
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move { self.create(&context).await })
    }
}

impl fmt::Debug for TaskCreate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskCreate").finish_non_exhaustive()
    }
}
