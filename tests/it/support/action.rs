//! An action without anything outside: it counts how often it ran.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use windlass::domain::{ActionFacts, JobSpec, JobType, RawJson};
use windlass::engine::{AllowList, Executor, JobContext, JobFuture, Registry, TypeInfo};

use super::jobs::shaped;

/// The type of the action.
pub(crate) const MAIL: &str = "mail.send";

/// Sends nothing to the addresses in `to`.
pub(crate) struct Mail {
    info: TypeInfo,
    ran: Arc<AtomicUsize>,
}

impl Executor for Mail {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn facts(&self, input: &Value) -> ActionFacts {
        let to = input["to"].as_array().into_iter().flatten().filter_map(Value::as_str);
        ActionFacts {
            recipients: to.map(str::to_owned).collect(),
            bytes: input.to_string().len(),
            ..ActionFacts::default()
        }
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move {
            context.before_effect()?;
            self.ran.fetch_add(1, Ordering::SeqCst);
            Ok(RawJson::from_compact("\"sent\""))
        })
    }
}

/// A registry with the action, and how often it ran. The settings allow it or do not name it.
pub(crate) fn mail(listed: bool) -> (Arc<Registry>, Arc<AtomicUsize>) {
    let allowed = if listed { BTreeSet::from([MAIL.to_owned()]) } else { BTreeSet::new() };
    let mut registry = Registry::new(AllowList { actions_enabled: true, allowed });
    let ran = Arc::new(AtomicUsize::new(0));
    let mut info = TypeInfo::new(JobType::new(MAIL).unwrap(), "Sends nothing.");
    info.is_action = true;
    registry.register(Arc::new(Mail { info, ran: Arc::clone(&ran) })).unwrap();
    registry.register(Arc::new(windlass::executors::Echo::new().unwrap())).unwrap();
    (Arc::new(registry), ran)
}

/// A mail to these addresses.
pub(crate) fn letter(workspace: &str, request: &str, to: &[&str]) -> JobSpec {
    shaped(workspace, request, |spec| {
        spec.job_type = JobType::new(MAIL).unwrap();
        spec.input = RawJson::from_value(&serde_json::json!({ "to": to }));
    })
}
