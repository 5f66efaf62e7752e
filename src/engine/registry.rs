//! The job types this process knows, their validators, and what its settings say of actions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::JobType;

use super::{Executor, TypeInfo};

/// Which actions may run. `llm.*` types are governed by whether a provider is configured (they are
/// registered only then); types that are no actions are always allowed.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    /// The kill switch: no action runs while false.
    pub actions_enabled: bool,
    /// Action types allowed while enabled.
    pub allowed: BTreeSet<String>,
}

/// Why a type is refused at the door or by a worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeRefusal {
    /// No executor has this name.
    #[error("this server knows no job type `{0}`")]
    Unknown(String),
    /// The input does not fit the schema or the executor's own check.
    #[error("{message}")]
    Invalid {
        /// JSON pointer inside `input`, empty for the whole.
        pointer: String,
        /// What is wrong, without the offending value.
        message: String,
    },
}

/// A registration that cannot stand.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Two executors with one name.
    #[error("two executors are registered as `{0}`")]
    Twice(JobType),
    /// A schema that is not JSON Schema.
    #[error("the input schema of `{0}` is not valid: {1}")]
    Schema(JobType, String),
}

struct Entry {
    executor: Arc<dyn Executor>,
    validator: jsonschema::Validator,
}

/// Executors by type name, and the allow-list in front of them.
#[derive(Default)]
pub struct Registry {
    entries: BTreeMap<JobType, Entry>,
    allow: AllowList,
}

impl Registry {
    /// An empty registry behind an allow-list.
    #[must_use]
    pub fn new(allow: AllowList) -> Self {
        Self { entries: BTreeMap::new(), allow }
    }

    /// Adds an executor.
    ///
    /// # Errors
    /// When the name is taken or the schema is not valid.
    pub fn register(&mut self, executor: Arc<dyn Executor>) -> Result<(), RegistryError> {
        let name = executor.info().name.clone();
        if self.entries.contains_key(&name) {
            return Err(RegistryError::Twice(name));
        }
        let validator = jsonschema::validator_for(&executor.info().input_schema)
            .map_err(|e| RegistryError::Schema(name.clone(), e.to_string()))?;
        self.entries.insert(name, Entry { executor, validator });
        Ok(())
    }

    /// Every registered type, by name.
    pub fn types(&self) -> impl Iterator<Item = &TypeInfo> {
        self.entries.values().map(|entry| entry.executor.info())
    }

    /// What the settings of this process say of actions.
    #[must_use]
    pub fn allow_list(&self) -> &AllowList {
        &self.allow
    }

    /// Names of allowed actions that no executor of this build has.
    pub fn unknown_allowed(&self) -> impl Iterator<Item = &str> {
        self.allow
            .allowed
            .iter()
            .map(String::as_str)
            .filter(|name| JobType::new(name).map_or(true, |t| !self.entries.contains_key(&t)))
    }

    /// The executor of a type; whether it may run, the rules for actions say ([`Policies`](super::Policies)).
    ///
    /// # Errors
    /// When no executor has this name.
    pub fn executor(&self, job_type: &str) -> Result<&Arc<dyn Executor>, TypeRefusal> {
        self.entry(job_type).map(|e| &e.executor)
    }

    /// The executor of a type, if the input fits its schema and its own check.
    ///
    /// # Errors
    /// The first reason to refuse.
    pub fn admit(&self, job_type: &str, input: &serde_json::Value) -> Result<&Arc<dyn Executor>, TypeRefusal> {
        let entry = self.entry(job_type)?;
        if let Err(error) = entry.validator.validate(input) {
            return Err(TypeRefusal::Invalid {
                pointer: error.instance_path().to_string(),
                message: error.masked().to_string(),
            });
        }
        entry.executor.check(input).map_err(|message| TypeRefusal::Invalid { pointer: String::new(), message })?;
        Ok(&entry.executor)
    }

    fn entry(&self, job_type: &str) -> Result<&Entry, TypeRefusal> {
        let unknown = || TypeRefusal::Unknown(crate::domain::clip_text(job_type, 64));
        let name = JobType::new(job_type).map_err(|_| unknown())?;
        self.entries.get(&name).ok_or_else(unknown)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("types", &self.entries.keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}
