//! Merging the layers: defaults, file, environment, flags. Later wins, and each value remembers
//! where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::catalogue::{SETTINGS, Setting, by_key};
use super::prices::Prices;
use super::value::Value;
use super::{ConfigError, DEFAULTS, Environment, Overrides, Problem, providers};
use crate::domain::ProviderName;
use crate::executors::llm::ProviderOptions;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The compiled-in defaults.
    Default,
    /// A settings file.
    File(PathBuf),
    /// An environment variable, possibly one that names a file.
    Variable(String),
    /// A command-line flag, or the mode that was started (`windlass dev`).
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// The merged values; every setting has one.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolved {
    values: BTreeMap<&'static str, (Value, Origin)>,
    /// `[[providers]]`, as it stands in the file. Secret: it may hold keys.
    pub(super) providers: Option<(SecretProviders, Origin)>,
}

/// A list of providers that is not shown.
#[derive(Clone)]
pub(super) struct SecretProviders(toml::Value);

impl fmt::Debug for SecretProviders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretProviders(..)")
    }
}

impl Resolved {
    /// Merges all layers and reports every problem found, not only the first.
    pub(super) fn merge(
        file: Option<(&Path, &str)>,
        environment: &Environment,
        overrides: &Overrides,
    ) -> Result<Self, ConfigError> {
        let mut merged = Self::default();
        let mut problems = Vec::new();
        merged.add_toml(DEFAULTS, &Origin::Default, &mut problems);
        if let Some((path, text)) = file {
            merged.add_toml(text, &Origin::File(path.to_owned()), &mut problems);
        }
        merged.add_environment(environment, &mut problems);
        for (setting, flag, text) in &overrides.0 {
            merged.add(setting, Value::from_text(setting, text), Origin::Flag(flag), &mut problems);
        }
        if problems.is_empty() { Ok(merged) } else { Err(ConfigError { problems }) }
    }

    fn add(&mut self, setting: &Setting, value: Result<Value, String>, origin: Origin, problems: &mut Vec<Problem>) {
        match value {
            Ok(value) => {
                self.values.insert(setting.key, (value, origin));
            }
            Err(message) => problems.push(Problem::of(setting, &origin, message)),
        }
    }

    fn add_toml(&mut self, text: &str, origin: &Origin, problems: &mut Vec<Problem>) {
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                let place = error.span().map(|s| text[..s.start].lines().count().max(1));
                let line = place.map(|n| format!(" (line {n})")).unwrap_or_default();
                problems.push(Problem::plain(format!("{origin}: not valid TOML{line}: {}", error.message())));
                return;
            }
        };
        for (topic, content) in &table {
            if topic == "providers" {
                self.providers = Some((SecretProviders(content.clone()), origin.clone()));
                continue;
            }
            let Some(content) = content.as_table() else {
                problems.push(unknown_key(topic, origin));
                continue;
            };
            for (name, value) in content {
                let key = format!("{topic}.{name}");
                match by_key(&key) {
                    Some(setting) => {
                        self.add(setting, Value::from_toml(setting, value), origin.clone(), problems);
                    }
                    None => problems.push(unknown_key(&key, origin)),
                }
            }
        }
    }

    fn add_environment(&mut self, environment: &Environment, problems: &mut Vec<Problem>) {
        for setting in SETTINGS {
            let plain = environment.get(setting.env);
            let file_variable = format!("{}_FILE", setting.env);
            let path = if setting.kind.is_secret() { environment.get(&file_variable) } else { None };
            match (plain, path) {
                (Some(_), Some(_)) => problems
                    .push(Problem::plain(format!("{} and {file_variable} are both set; set one of them", setting.env))),
                (Some(text), None) => {
                    let origin = Origin::Variable(setting.env.to_owned());
                    self.add(setting, Value::from_text(setting, text), origin, problems);
                }
                (None, Some(path)) => {
                    let value = super::read_secret(Path::new(path)).and_then(|t| Value::from_text(setting, &t));
                    self.add(setting, value, Origin::Variable(file_variable), problems);
                }
                (None, None) => {}
            }
        }
    }

    /// Every setting with its value, as shown to people, and its origin.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'static Setting, String, &Origin)> {
        SETTINGS.iter().filter_map(|s| self.values.get(s.key).map(|(value, origin)| (s, value.shown(s.kind), origin)))
    }

    /// The providers of the settings file.
    pub(super) fn providers(&self, prices: &Prices) -> Result<Vec<ProviderOptions>, Vec<Problem>> {
        let Some((list, origin)) = &self.providers else { return Ok(Vec::new()) };
        let placed = |problem: String| Problem::plain(format!("{origin}: {problem}"));
        providers::read(&list.0, prices).map_err(|problems| problems.into_iter().map(placed).collect())
    }

    /// Whether the settings file has a provider of this name.
    pub(super) fn names(&self, name: &ProviderName) -> bool {
        let list = self.providers.as_ref().and_then(|(list, _)| list.0.as_array());
        list.into_iter().flatten().any(|item| item.get("name").and_then(toml::Value::as_str) == Some(name.as_str()))
    }

    pub(super) fn origin(&self, setting: &Setting) -> &Origin {
        self.values.get(setting.key).map_or(&Origin::Default, |(_, origin)| origin)
    }

    /// The text, `None` when empty.
    pub(super) fn text(&self, setting: &Setting) -> Option<String> {
        match self.values.get(setting.key) {
            Some((Value::Text(text), _)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    }

    pub(super) fn secret(&self, setting: &Setting) -> Option<SecretString> {
        self.text(setting).map(SecretString::from)
    }

    pub(super) fn integer(&self, setting: &Setting) -> u64 {
        match self.values.get(setting.key) {
            Some((Value::Integer(number), _)) => *number,
            _ => 0,
        }
    }

    /// A number that its bounds keep within the target type.
    pub(super) fn number<T: TryFrom<u64> + Default>(&self, setting: &Setting) -> T {
        T::try_from(self.integer(setting)).unwrap_or_default()
    }

    pub(super) fn flag(&self, setting: &Setting) -> bool {
        matches!(self.values.get(setting.key), Some((Value::Flag(true), _)))
    }

    /// An amount in billionths of a dollar.
    pub(super) fn nano_usd(&self, setting: &Setting) -> u64 {
        let dollars: f64 = self.text(setting).and_then(|text| text.parse().ok()).unwrap_or_default();
        (dollars * 1e9).round() as u64
    }

    pub(super) fn list(&self, setting: &Setting) -> Vec<String> {
        match self.values.get(setting.key) {
            Some((Value::List(items), _)) => items.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn seconds(&self, setting: &Setting) -> Duration {
        Duration::from_secs(self.integer(setting))
    }

    pub(super) fn millis(&self, setting: &Setting) -> Duration {
        Duration::from_millis(self.integer(setting))
    }
}

fn unknown_key(key: &str, origin: &Origin) -> Problem {
    let topic = key.split('.').next().unwrap_or_default();
    let prefix = format!("{topic}.");
    let known: Vec<&str> = SETTINGS.iter().filter_map(|s| s.key.strip_prefix(&prefix)).collect();
    let hint = if known.is_empty() {
        let mut topics: Vec<&str> = SETTINGS.iter().filter_map(|s| s.key.split('.').next()).collect();
        topics.dedup();
        format!("topics are {}", topics.join(", "))
    } else {
        format!("[{topic}] has {}", known.join(", "))
    };
    Problem::plain(format!("{origin}: unknown key `{}`; {hint}", crate::domain::clip_text(key, 80)))
}
