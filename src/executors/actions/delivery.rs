//! One delivery of a webhook, as an effect.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::json;

use crate::clock;
use crate::domain::{EffectClass, FailureReason, RawJson, clip_text};
use crate::engine::{Effect, EffectFailure, ExecutionError, Step};
use crate::executors::outbound::read_at_most;
use crate::executors::retry_after::retry_after;

use super::cooldowns::{Cooldowns, Scope};
use super::transport::unanswered;
use super::{Destination, SigningSecret};

/// This much of a receiver's answer goes into the result, in bytes.
const EXCERPT_LIMIT: usize = 1024;

/// How long an endpoint is left alone that says 429 and not for how long.
const AFTER_429: Duration = Duration::from_secs(10);

/// How long an endpoint is left alone that is gone for good. Standard Webhooks asks senders to disable it.
const AFTER_410: Duration = Duration::from_secs(15 * 60);

/// How requests leave.
pub(super) struct Channel {
    /// Resolves through the vetting resolver.
    pub(super) public: reqwest::Client,
    /// For hosts that the operator allows to be internal; a client of its own, so that the vetting
    /// one needs no exceptions by name.
    pub(super) internal: reqwest::Client,
    /// For one request, its answer included.
    pub(super) timeout: Duration,
    /// An answer is read up to this.
    pub(super) max_response_bytes: usize,
    /// The bug that this process has on purpose, if any.
    #[cfg(feature = "chaos")]
    pub(super) planted: Option<&'static crate::store::planted::PlantedBug>,
}

/// One delivery.
pub(super) struct Delivery<'a> {
    pub(super) channel: &'a Channel,
    pub(super) cooldowns: &'a Cooldowns,
    pub(super) scope: Scope,
    /// The job's id, which is the `webhook-id`: the key by which the receiver acts once.
    pub(super) id: String,
    pub(super) destination: Destination,
    /// Without the signature.
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The current key first.
    pub(super) keys: Vec<SigningSecret>,
}

impl Delivery<'_> {
    /// The headers of Standard Webhooks: a signature of every key, separated by blanks, so that a receiver that has
    /// only one of them finds its own.
    fn signed(&self) -> Result<HeaderMap, EffectFailure> {
        let timestamp = clock::wall().unix_ms() / 1000;
        let value = |text: String| {
            let unfit = |e| EffectFailure::NotDone(ExecutionError::permanent(FailureReason::Error, e));
            HeaderValue::try_from(text).map_err(|e: http::header::InvalidHeaderValue| unfit(e.to_string()))
        };
        let mut headers = self.headers.clone();
        headers.insert("webhook-id", value(self.id.clone())?);
        headers.insert("webhook-timestamp", timestamp.into());
        if !self.keys.is_empty() {
            let all: Vec<String> = self.keys.iter().map(|key| key.sign(&self.id, timestamp, &self.body)).collect();
            headers.insert("webhook-signature", value(all.join(" "))?);
        }
        Ok(headers)
    }

    async fn exchange(&self) -> Result<reqwest::Response, EffectFailure> {
        let client = if self.destination.internal { &self.channel.internal } else { &self.channel.public };
        let request = client.post(self.destination.url.clone()).headers(self.signed()?).body(self.body.clone());
        #[cfg(feature = "chaos")]
        let again = request.try_clone().filter(|_| crate::store::planted::resends_blindly(self.channel.planted));
        let answered = request.send().await;
        #[cfg(feature = "chaos")]
        let answered = match (answered, again) {
            (Err(_), Some(again)) => again.send().await,
            (answered, _) => answered,
        };
        answered.map_err(|error| unanswered(&error, "the webhook receiver"))
    }

    /// Leaves the endpoint alone where its answer, or the lack of one, asks for that.
    async fn judge(&self, outcome: &Result<reqwest::Response, EffectFailure>) {
        match outcome {
            Ok(response) => match (response.status().as_u16(), retry_after(response.headers(), clock::wall())) {
                (410, _) => self.cooldowns.cool(&self.scope, AFTER_410).await,
                (429, wait) => self.cooldowns.cool(&self.scope, wait.unwrap_or(AFTER_429)).await,
                (503, Some(wait)) => self.cooldowns.cool(&self.scope, wait).await,
                (500.., _) => self.cooldowns.failed(&self.scope).await,
                _ => self.cooldowns.answered(&self.scope),
            },
            // A refusal of our own guard is no failure of theirs.
            Err(EffectFailure::NotDone(error)) if error.reason == FailureReason::NotAllowed => {}
            Err(_) => self.cooldowns.failed(&self.scope).await,
        }
    }
}

impl Effect for Delivery<'_> {
    fn class(&self) -> EffectClass {
        EffectClass::Keyed
    }

    async fn perform(&self, step: &Step<'_>) -> Result<RawJson, EffectFailure> {
        step.may_go()?;
        let started = clock::now();
        let outcome = self.exchange().await;
        self.judge(&outcome).await;
        let response = outcome?;
        let status = response.status();
        if !status.is_success() {
            return Err(refused(status.as_u16(), response.headers()));
        }
        // The receiver has accepted: whatever happens to the rest of its answer is no failure.
        let (answer, _) = read_at_most(response, self.channel.max_response_bytes, self.channel.timeout).await;
        let text = String::from_utf8_lossy(&answer);
        let excerpt = Some(clip_text(&text, EXCERPT_LIMIT)).filter(|text| !text.is_empty());
        Ok(RawJson::from_value(&json!({
            "status": status.as_u16(),
            "body_excerpt": excerpt,
            "duration_ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "signed": !self.keys.is_empty(),
        })))
    }
}

/// What a status that is no success says. Below 500 the receiver certainly did not act; from 500 on it may have.
fn refused(status: u16, headers: &HeaderMap) -> EffectFailure {
    let wait = retry_after(headers, clock::wall());
    let said = format!("the webhook receiver answered {status}");
    let permanent = |why: String| EffectFailure::NotDone(ExecutionError::permanent(FailureReason::Permanent, why));
    match (status, wait) {
        (429, Some(after)) => EffectFailure::NotDone(ExecutionError::postpone(said, after)),
        (429, None) => EffectFailure::NotDone(ExecutionError::retryable(FailureReason::RateLimited, said)),
        (408 | 425, _) => {
            EffectFailure::NotDone(ExecutionError::retryable(FailureReason::Error, said).with_retry_after(wait))
        }
        (500.., _) => {
            EffectFailure::Unknown(ExecutionError::retryable(FailureReason::Error, said).with_retry_after(wait))
        }
        (300..=399, _) => permanent(format!("{said}; redirects are not followed")),
        (410, _) => permanent(format!("{said}: it is gone for good")),
        _ => permanent(said),
    }
}
