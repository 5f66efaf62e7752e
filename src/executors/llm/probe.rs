//! Probes: whether each provider answers, without a bill and once for the whole fleet.
//!
//! A probe asks for the list of models (`GET /models`), which no provider charges for; a completion of one token is
//! charged, and some models refuse it ([litellm#13668](https://github.com/BerriAI/litellm/issues/13668)). Of all
//! workers the one that takes a provider's turn in Redis asks it. What it finds is shown and never opens or closes a
//! breaker: a list of models says nothing of completions, only calls do.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::provider::Provider;
use super::{LlmOptions, LlmSetupError};
use crate::clock;
use crate::domain::ProviderName;
use crate::engine::tasks;
use crate::executors::outbound::{BodyEnd, read_at_most};
use crate::store::{Found, Shards};

/// Time between two rounds of one process.
const INTERVAL: Duration = Duration::from_secs(30);

/// Life of a turn: shorter than the shortest time between two rounds, so that a worker that is alone takes each.
const TURN: Duration = Duration::from_secs(28);

/// A list of models is small, and a provider that takes longer for it is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// A list is read up to here. The longest seen, of a router of all providers, has about 600 KB.
const BODY_LIMIT: usize = 256 * 1024;

/// Models remembered of one provider.
const MODELS: usize = 200;

/// Longest name that is remembered, in bytes.
const NAME: usize = 200;

/// Probes the providers of one process.
pub struct Prober {
    providers: Vec<Provider>,
    store: Shards,
}

impl Prober {
    /// A prober of these providers; does no I/O.
    ///
    /// # Errors
    /// When a provider's settings do not stand.
    pub fn new(options: &LlmOptions, store: impl Into<Shards>) -> Result<Self, LlmSetupError> {
        let providers = options.providers.iter().map(|provider| Provider::new(provider, options));
        Ok(Self { providers: providers.collect::<Result<_, _>>()?, store: store.into() })
    }

    /// Starts the rounds, the first at once; they end with `shutdown`. A provider whose name comes in over `asked` is
    /// probed at once, and not by this process if another is quicker.
    pub fn start(self, mut asked: mpsc::Receiver<ProviderName>, shutdown: CancellationToken) {
        tasks::spawn("llm-probe", async move {
            let mut next = clock::now();
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    Some(name) = asked.recv() => {
                        join_all(self.providers.iter().filter(|p| p.info.name == name).map(|p| self.probe(p))).await;
                    }
                    () = tokio::time::sleep_until(next) => {
                        self.run_once().await;
                        next = clock::now() + INTERVAL.mul_f64(0.95 + 0.1 * rand::random::<f64>());
                    }
                }
            }
        });
    }

    /// One round: probes the providers whose turn is free, all at once. Takes little longer than 5 s.
    pub async fn run_once(&self) {
        join_all(self.providers.iter().map(|provider| self.probe(provider))).await;
    }

    async fn probe(&self, provider: &Provider) {
        let turn = match self.store.take_turn(&provider.info.name, TURN).await {
            Ok(Some(turn)) => turn,
            Ok(None) => return,
            Err(error) => return tracing::debug!(%error, "no turn to probe a provider could be asked for"),
        };
        let found = look(provider).await;
        if let Some(failure) = found.failure {
            tracing::warn!(provider = %provider.info.name, failure, "a provider is not well");
        }
        if let Err(error) = self.store.probed(&turn, &found).await {
            tracing::debug!(%error, "what a probe found could not be recorded");
        }
    }
}

async fn look(provider: &Provider) -> Found {
    let begun = clock::now();
    let answer = timeout(PATIENCE, ask(provider)).await.unwrap_or(Err("timeout"));
    let took = clock::now().duration_since(begun);
    match answer {
        Ok(models) => Found { failure: None, took, models },
        Err(failure) => Found { failure: Some(failure), took, models: None },
    }
}

/// The models it offers, if it says; or one word of those that calls end with, and `bad_answer` for what is no list.
async fn ask(provider: &Provider) -> Result<Option<Vec<String>>, &'static str> {
    let response = provider.list_models().await.map_err(|_| "unreachable")?;
    match response.status().as_u16() {
        200..=299 => {}
        // It is there, and does not know the path: not every server that completes has a list.
        404 | 405 => return Ok(None),
        401..=403 => return Err("refused"),
        429 => return Err("rate_limited"),
        500..=599 => return Err("unavailable"),
        _ => return Err("bad_answer"),
    }
    match read_at_most(response, BODY_LIMIT, PATIENCE).await {
        (body, BodyEnd::Complete) => names(&body).map(Some).ok_or("bad_answer"),
        (body, BodyEnd::Cut) if matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) => Ok(None),
        _ => Err("bad_answer"),
    }
}

/// The names in a list: of OpenAI's form, of Ollama's (which answers `null` for none), or the bare array of some
/// others.
fn names(body: &[u8]) -> Option<Vec<String>> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let list = match &answer {
        Value::Object(fields) => fields.get("data").or_else(|| fields.get("models"))?,
        other => other,
    };
    let list = match list {
        Value::Array(list) => list.as_slice(),
        Value::Null if answer.is_object() => &[],
        _ => return None,
    };
    let mut seen = BTreeSet::new();
    let name = |model: &Value| {
        let name = model.get("id").or_else(|| model.get("name")).unwrap_or(model).as_str()?;
        let fits = !name.is_empty() && name.len() <= NAME && !name.chars().any(char::is_control);
        fits.then(|| name.to_owned())
    };
    Some(list.iter().filter_map(name).filter(|name| seen.insert(name.clone())).take(MODELS).collect())
}

impl std::fmt::Debug for Prober {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prober").field("providers", &self.providers.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_list_is_read() {
        let some = Some(vec!["a".to_owned(), "b:7b".to_owned()]);
        for body in [
            r#"{"object":"list","data":[{"id":"a"},{"id":"b:7b"},{"id":"a"}]}"#,
            r#"{"models":[{"name":"a"},{"name":"b:7b"}]}"#,
            r#"[{"id":"a"},{"id":"b:7b","name":"x"}]"#,
            r#"{"data":["a","b:7b"]}"#,
        ] {
            assert_eq!(names(body.as_bytes()), some, "{body}");
        }
        assert_eq!(names(br#"{"object":"list","data":null}"#), Some(Vec::new()));
        for body in ["", "null", "<html>", r#"{"error":{"message":"x"}}"#, r#"{"data":{}}"#, r#"{"data":[{"id":"a"}"#] {
            assert_eq!(names(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn names_are_few_short_and_harmless() {
        let long = "x".repeat(NAME + 1);
        let body = serde_json::json!({"data": [{"id": long}, {"id": "a\nb"}, {"id": 7}, {"id": ""}, {"id": "ok"}]});
        assert_eq!(names(body.to_string().as_bytes()), Some(vec!["ok".to_owned()]));
        let many: Vec<Value> = (0..1_000).map(|n| serde_json::json!({"id": n.to_string()})).collect();
        assert_eq!(names(Value::from(many).to_string().as_bytes()).map(|names| names.len()), Some(MODELS));
    }
}
