//! The executors of `github.issue.*` and `github.pr.*`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{ActionFacts, EffectClass, EffectRecord, FailureReason, JobType, RawJson, RetryPolicy};
use crate::engine::{Effect, EffectFailure, ExecutionError, Executor, JobContext, JobFuture, Lookup, Step, TypeInfo};

use super::super::marker::hidden;
use super::super::rest::{Access, Call};
use super::super::transport::either;
use super::input::{Input, Verb};
use super::{Github, GithubSetupError, Newest, Repository, documents, failure, find};

/// For one attempt: a lookup may take ten calls.
const ATTEMPT: Duration = Duration::from_secs(120);

/// The executor of one action.
#[derive(Debug)]
pub struct GithubAction {
    info: TypeInfo,
    verb: Verb,
    github: Arc<Github>,
}

impl GithubAction {
    /// The executors of all actions at `github`.
    ///
    /// # Errors
    /// A type name that breaks the rule of names: a mistake in this build.
    pub fn all(github: &Arc<Github>) -> Result<Vec<Self>, GithubSetupError> {
        let one = |verb: Verb| {
            let (name, summary) = verb.about();
            let info = TypeInfo {
                input_schema: verb.schema(),
                retry: RetryPolicy { max_attempts: 5, ..RetryPolicy::default() },
                timeout: ATTEMPT,
                is_action: true,
                effect: class(verb),
                ..TypeInfo::new(JobType::new(name)?, summary)
            };
            Ok(Self { info, verb, github: Arc::clone(github) })
        };
        Verb::ALL.into_iter().map(one).collect()
    }

    fn admit(&self, input: &Input) -> Result<Repository, String> {
        input.check(self.verb)?;
        self.github.repository(input.owner.as_deref(), input.repo.as_deref())
    }

    async fn act(&self, context: &JobContext) -> Result<RawJson, ExecutionError> {
        let input: Input = context.input()?;
        let invalid = |why: String| ExecutionError::permanent(FailureReason::Invalid, why);
        let repository = self.admit(&input).map_err(invalid)?;
        let list = Mutex::new(None);
        let act = Act { github: &self.github, context, verb: self.verb, input: &input, repository, list };
        let receipt = context.effect(&act).await?;
        if !self.verb.is_list() {
            return Ok(receipt);
        }
        let read = act.list.lock().unwrap_or_else(PoisonError::into_inner).take();
        // An earlier attempt's receipt tells that a list was read and not what stood in it.
        match read {
            Some(list) => Ok(list),
            None => act.read(&act.access().await?).await.map_err(either),
        }
    }
}

/// A second change to the same state does no harm, nor does a second look.
fn class(verb: Verb) -> EffectClass {
    match verb {
        Verb::IssueCreate | Verb::IssueComment | Verb::PrCreate | Verb::PrComment => EffectClass::Reconcilable,
        Verb::IssueUpdate | Verb::IssueClose | Verb::IssueList | Verb::PrList => EffectClass::Repeatable,
    }
}

impl Verb {
    fn is_list(self) -> bool {
        matches!(self, Self::IssueList | Self::PrList)
    }
}

/// One action of one job.
struct Act<'a> {
    github: &'a Github,
    context: &'a JobContext,
    verb: Verb,
    input: &'a Input,
    repository: Repository,
    /// What a list found: too long for a receipt.
    list: Mutex<Option<RawJson>>,
}

impl Act<'_> {
    async fn access(&self) -> Result<Access<'_>, ExecutionError> {
        self.github.access(self.context, &self.repository, self.input.credential.as_deref()).await
    }

    fn number(&self) -> u64 {
        self.input.number.unwrap_or_default()
    }

    async fn read(&self, access: &Access<'_>) -> Result<RawJson, EffectFailure> {
        let what = if self.verb == Verb::PrList { "pulls" } else { "issues" };
        let path = ["repos", &self.repository.owner, &self.repository.name, what];
        let query = documents::query(self.verb, self.input, &self.repository.owner);
        let answer = access.call(&Call::get(&path, &query)).await?;
        let items = answer.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(documents::list_result(self.verb, &self.repository, items))
    }

    /// Opens a pull request. GitHub allows one for each pair of branches: one that is there already is this one, if it
    /// has the mark.
    async fn open_pull(&self, access: &Access<'_>, step: &Step<'_>, body: &Value) -> Result<RawJson, EffectFailure> {
        let path = ["repos", &self.repository.owner, &self.repository.name, "pulls"];
        step.may_go()?;
        let answer = access.ask(&Call::post(&path, body)).await?;
        if !failure::exists_already(&answer) {
            return access.success(answer).await.map(|item| documents::issue_receipt(&self.repository, &item));
        }
        let query = self.pull_query("open");
        let open =
            access.call(&Call::get(&path, &query)).await.map_err(|error| EffectFailure::Unknown(either(error)))?;
        let items = open.as_array().map(Vec::as_slice).unwrap_or_default();
        let mark = hidden(&step.key());
        if let Some(own) = items.iter().find(|item| item["body"].as_str().is_some_and(|body| body.contains(&mark))) {
            return Ok(documents::issue_receipt(&self.repository, own));
        }
        let number = items.first().and_then(|item| item["number"].as_u64());
        let which = number.map(|number| format!(": #{number}")).unwrap_or_default();
        let why = format!("there is a pull request for these branches already{which}");
        Err(EffectFailure::NotDone(ExecutionError::permanent(FailureReason::Permanent, why)))
    }

    fn pull_query(&self, state: &str) -> Vec<(&'static str, String)> {
        let head = self.input.head.as_deref().unwrap_or_default();
        vec![
            ("state", state.to_owned()),
            ("head", documents::full_head(head, &self.repository.owner)),
            ("base", self.input.base.clone().unwrap_or_default()),
            ("sort", "created".to_owned()),
            ("direction", "desc".to_owned()),
        ]
    }

    async fn create(&self, access: &Access<'_>, step: &Step<'_>) -> Result<RawJson, EffectFailure> {
        let body = documents::document(self.verb, self.input, &hidden(&step.key()));
        let (owner, name, number) = (&*self.repository.owner, &*self.repository.name, self.number().to_string());
        let issue = ["repos", owner, name, "issues", &number];
        match self.verb {
            Verb::IssueCreate => {
                let item = access.change(step, &Call::post(&["repos", owner, name, "issues"], &body)).await?;
                Ok(documents::issue_receipt(&self.repository, &item))
            }
            Verb::IssueComment | Verb::PrComment => {
                let path = ["repos", owner, name, "issues", &number, "comments"];
                let item = access.change(step, &Call::post(&path, &body)).await?;
                Ok(documents::comment_receipt(&self.repository, self.number(), &item))
            }
            Verb::PrCreate => self.open_pull(access, step, &body).await,
            Verb::IssueUpdate | Verb::IssueClose => {
                let item = access.change(step, &Call::patch(&issue, &body)).await?;
                Ok(documents::issue_receipt(&self.repository, &item))
            }
            Verb::IssueList | Verb::PrList => {
                let list = self.read(access).await?;
                let count = list.to_value()["count"].as_u64();
                *self.list.lock().unwrap_or_else(PoisonError::into_inner) = Some(list);
                Ok(RawJson::from_value(&serde_json::json!({"count": count})))
            }
        }
    }
}

impl Effect for Act<'_> {
    fn class(&self) -> EffectClass {
        class(self.verb)
    }

    fn settles_after(&self) -> Duration {
        self.github.settles_after()
    }

    async fn perform(&self, step: &Step<'_>) -> Result<RawJson, EffectFailure> {
        let access = self.access().await.map_err(EffectFailure::NotDone)?;
        self.create(&access, step).await
    }

    async fn reconcile(&self, earlier: &EffectRecord) -> Result<Lookup, ExecutionError> {
        let access = self.access().await?;
        let mark = hidden(&crate::domain::effect_key(self.context.id, self.step()));
        let (owner, name, number) = (&*self.repository.owner, &*self.repository.name, self.number().to_string());
        let issue = |item: &Value| documents::issue_receipt(&self.repository, item);
        let what = (Newest::First, earlier, mark.as_str());
        match self.verb {
            Verb::PrCreate => {
                let path = ["repos", owner, name, "pulls"];
                find(&access, &path, &self.pull_query("all"), what, issue).await
            }
            Verb::IssueComment | Verb::PrComment => {
                // Comments of one issue come in the order of their ids, and in no other.
                let path = ["repos", owner, name, "issues", &number, "comments"];
                let comment = |item: &Value| documents::comment_receipt(&self.repository, self.number(), item);
                find(&access, &path, &[], (Newest::Last, earlier, mark.as_str()), comment).await
            }
            _ => {
                let query = [("state", "all"), ("sort", "created"), ("direction", "desc")];
                let query = query.map(|(name, value)| (name, value.to_owned()));
                find(&access, &["repos", owner, name, "issues"], &query, what, issue).await
            }
        }
    }
}

impl Executor for GithubAction {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn check(&self, input: &Value) -> Result<(), String> {
        let input = Input::deserialize(input).map_err(|e| e.to_string())?;
        self.admit(&input).map(drop)
    }

    fn facts(&self, input: &Value) -> ActionFacts {
        let Ok(parsed) = Input::deserialize(input) else { return ActionFacts::default() };
        // GitHub does not tell names apart by case, so rules must not either.
        let repository = self.admit(&parsed).ok().map(|repository| repository.to_string().to_ascii_lowercase());
        ActionFacts { repository, bytes: input.to_string().len(), ..ActionFacts::default() }
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move { self.act(&context).await })
    }
}
