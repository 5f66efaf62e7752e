//! `github.user.get` and `github.repo.list`: whose token it is, and what it reaches
//! (<https://docs.github.com/en/rest/users/users>, <https://docs.github.com/en/rest/repos/repos>).
//!
//! They read and change nothing, so they need no guard. They tell of the whole account, so the installation's own token,
//! which is for one repository, does not serve them: the workspace needs a credential.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::{EffectClass, JobType, RawJson, clip_text};
use crate::engine::{ExecutionError, Executor, JobContext, JobFuture, TypeInfo};

use super::super::rest::{Access, Call};
use super::super::transport::either;
use super::{Github, GithubSetupError};

/// For one attempt: a call may be made twice, because of its token.
const ATTEMPT: Duration = Duration::from_secs(60);

/// Bytes of a name or a description.
const TEXT_LIMIT: usize = 512;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    User,
    Repositories,
}

/// The executor of one of them.
#[derive(Debug)]
pub struct GithubAccount {
    info: TypeInfo,
    read: Read,
    github: Arc<Github>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Input {
    credential: Option<String>,
    limit: Option<u32>,
    page: Option<u32>,
}

impl GithubAccount {
    /// The executors of both.
    ///
    /// # Errors
    /// A type name that breaks the rule of names: a mistake in this build.
    pub fn all(github: &Arc<Github>) -> Result<[Self; 2], GithubSetupError> {
        let credential =
            json!({"type": "string", "minLength": 1, "maxLength": 64, "description": "One of kind `github`."});
        let one = |read, name, summary, properties: Value| {
            let info = TypeInfo {
                input_schema: json!({"type": "object", "additionalProperties": false, "properties": properties}),
                timeout: ATTEMPT,
                is_action: true,
                effect: EffectClass::Repeatable,
                ..TypeInfo::new(JobType::new(name)?, summary)
            };
            Ok::<_, GithubSetupError>(Self { info, read, github: Arc::clone(github) })
        };
        let page = json!({
            "credential": credential,
            "limit": {"type": "integer", "minimum": 1, "maximum": 100},
            "page": {"type": "integer", "minimum": 1, "maximum": 1000},
        });
        Ok([
            one(Read::User, "github.user.get", "Says whose GitHub token it is.", json!({"credential": credential}))?,
            one(Read::Repositories, "github.repo.list", "Lists the repositories that a GitHub token reaches.", page)?,
        ])
    }

    async fn get(&self, context: &JobContext) -> Result<RawJson, ExecutionError> {
        let input: Input = context.input()?;
        let access = self.github.account(context, input.credential.as_deref()).await?;
        match self.read {
            Read::User => user(&access).await,
            Read::Repositories => repositories(&access, &input).await,
        }
    }
}

async fn user(access: &Access<'_>) -> Result<RawJson, ExecutionError> {
    let user = access.call(&Call::get(&["user"], &[])).await.map_err(either)?;
    Ok(RawJson::from_value(&json!({
        "login": text(&user["login"]),
        "id": user["id"].as_u64(),
        "name": text(&user["name"]),
        "type": text(&user["type"]),
        "url": text(&user["html_url"]),
    })))
}

async fn repositories(access: &Access<'_>, input: &Input) -> Result<RawJson, ExecutionError> {
    let query = [
        ("sort", "full_name".to_owned()),
        ("per_page", input.limit.unwrap_or(30).to_string()),
        ("page", input.page.unwrap_or(1).to_string()),
    ];
    let answer = access.call(&Call::get(&["user", "repos"], &query)).await.map_err(either)?;
    let one = |item: &Value| {
        json!({
            "repository": text(&item["full_name"]),
            "description": text(&item["description"]),
            "private": item["private"].as_bool(),
            "archived": item["archived"].as_bool(),
            "default_branch": text(&item["default_branch"]),
            "may_push": item["permissions"]["push"].as_bool(),
            "url": text(&item["html_url"]),
        })
    };
    let items: Vec<Value> = answer.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(one).collect();
    Ok(RawJson::from_value(&json!({"count": items.len(), "items": items})))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(|text| clip_text(text, TEXT_LIMIT))
}

impl Executor for GithubAccount {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move { self.get(&context).await })
    }
}
