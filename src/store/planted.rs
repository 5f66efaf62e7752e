//! Bugs on purpose, for the checker of the chaos harness to catch: each is one mistake that queues
//! have been known to make. One process has one of them at most, chosen at its start. Nothing of this
//! is in a build without the feature `chaos`.

mod table;

use std::borrow::Borrow;
use std::time::Duration;

use fred::interfaces::{HashesInterface, KeysInterface};
use fred::prelude::Value;
use fred::types::{Expiration, SetOptions};
use fred::util::sha1_hash;

use crate::domain::{JobId, JobSpec, QueueName};

use super::scripts::{SOURCES, Scripts, pieces};
use super::{Store, StoreError, link};

pub use table::BUGS;

/// Names the bug that a process shall have.
pub const VARIABLE: &str = "WINDLASS_PLANTED_BUG";

/// How long an enqueue with [`Switch::TwoStepIdempotency`] is between its two calls, as over a slow network.
const BETWEEN_CALLS: Duration = Duration::from_millis(20);

/// One bug.
#[derive(Debug)]
pub struct PlantedBug {
    /// What [`VARIABLE`] says.
    pub name: &'static str,
    /// The mistake.
    pub does: &'static str,
    /// What the scripts say instead.
    patches: &'static [Patch],
    /// What Rust does instead.
    switch: Option<Switch>,
}

/// A change to a script part or verb.
#[derive(Debug)]
struct Patch {
    /// Its file, without the ending.
    of: &'static str,
    /// Stands there once, within a line.
    find: &'static str,
    /// Stands there instead.
    replace: &'static str,
}

/// A bug that is not a matter of the scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    /// The idempotency key is taken by a call of its own, before the job is written.
    TwoStepIdempotency,
    /// A lease ends by the clock of the worker.
    WorkerClock,
    /// Enqueues are counted by calls of their own.
    CountsApart,
    /// Reads answer jobs of every workspace.
    CrossWorkspaceRead,
    /// A webhook whose answer is missing is sent again at once.
    BlindResend,
    /// Nothing is put on record of effects.
    EffectGuardOff,
}

/// The bug of a name.
#[must_use]
pub fn named(name: &str) -> Option<&'static PlantedBug> {
    BUGS.iter().find(|bug| bug.name == name)
}

/// The verbs as a process with this bug runs them: name and text.
#[must_use]
pub fn script_texts(bug: &'static PlantedBug) -> Vec<(&'static str, String)> {
    let mut scripts = patched(Scripts::assemble(), Some(bug));
    scripts.each().into_iter().map(|script| (script.name, script.text.clone())).collect()
}

/// Where a patch does not stand once in a verb that has its piece, or is in no verb at all: told for people.
#[must_use]
pub fn misfits(bug: &'static PlantedBug) -> Vec<String> {
    let mut found = Vec::new();
    for Patch { of, find, .. } in bug.patches {
        let all = SOURCES.iter().flat_map(|(verb, source)| pieces(verb, source));
        let mut hits: Vec<usize> =
            all.filter(|(name, _)| name == of).map(|(_, text)| text.matches(find).count()).collect();
        hits.retain(|count| *count > 0);
        if hits.is_empty() || hits.iter().any(|count| *count > 1) {
            found.push(format!("{}: `{find}` stands {hits:?} times in {of}", bug.name));
        }
    }
    found
}

/// The scripts with the bug in them.
pub(super) fn patched(mut scripts: Scripts, bug: Option<&'static PlantedBug>) -> Scripts {
    let patches = bug.map_or(&[][..], |bug| bug.patches);
    for (script, (verb, source)) in scripts.each().into_iter().zip(SOURCES) {
        let patch = |(name, mut text): (&str, String)| {
            for patch in patches.iter().filter(|patch| patch.of == name) {
                text = text.replacen(patch.find, patch.replace, 1);
            }
            text
        };
        script.text = pieces(verb, source).into_iter().map(patch).collect();
        script.sha = sha1_hash(&script.text);
    }
    scripts
}

fn has(bug: Option<&'static PlantedBug>, switch: Switch) -> bool {
    bug.is_some_and(|bug| bug.switch == Some(switch))
}

/// Whether this process has the bug.
pub(super) fn is_on(store: &Store, switch: Switch) -> bool {
    has(store.inner.options.planted, switch)
}

/// [`Switch::TwoStepIdempotency`]: the first of the two steps.
pub(super) async fn reserve_keys<S: Borrow<JobSpec> + Sync>(
    store: &Store,
    items: &[(JobId, S)],
) -> Result<(), StoreError> {
    if !is_on(store, Switch::TwoStepIdempotency) {
        return Ok(());
    }
    let life = Expiration::EX(i64::try_from(store.inner.options.idempotency_ttl.as_secs()).unwrap_or(i64::MAX));
    for (id, spec) in items {
        let spec: &JobSpec = spec.borrow();
        let key = store.inner.keys.idempotency(spec.workspace.as_str(), spec.request_id.as_str());
        let value = format!("{id}{}", spec.fingerprint);
        let link = store.inner.link.link().await?;
        let client = link.client()?;
        let set: Result<Value, _> = client.set(key, value, Some(life.clone()), Some(SetOptions::NX), false).await;
        set.map_err(link::classify)?;
    }
    tokio::time::sleep(BETWEEN_CALLS).await;
    Ok(())
}

/// [`Switch::CountsApart`]: reads the counter, adds what was written, and writes it back.
pub(super) async fn count_apart(store: &Store, queue: &QueueName, answers: &[String]) -> Result<(), StoreError> {
    if !is_on(store, Switch::CountsApart) {
        return Ok(());
    }
    let suffix = if *queue == QueueName::default_queue() { String::new() } else { format!(":{queue}") };
    let key = format!("{}:queue:stats{suffix}", store.inner.options.base);
    let link = store.inner.link.link().await?;
    let client = link.client()?;
    let before: Option<i64> = client.hget(&key, "enqueue").await.map_err(link::classify)?;
    let new = answers.iter().filter(|answer| matches!(answer.as_str(), "n" | "N")).count();
    let after = before.unwrap_or_default() + i64::try_from(new).unwrap_or(i64::MAX);
    let set: Result<Value, _> = client.hset(&key, ("enqueue", after)).await;
    set.map(drop).map_err(link::classify)
}

/// [`Switch::WorkerClock`]: a lease of this length, as it ends by this machine's clock.
pub(super) fn by_own_clock(store: &Store, lease: Duration) -> Duration {
    if !is_on(store, Switch::WorkerClock) {
        return lease;
    }
    let ahead = crate::clock::wall().unix_ms() - store.now_estimate().unix_ms();
    let ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX).saturating_add(ahead);
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

/// [`Switch::BlindResend`].
pub(crate) fn resends_blindly(bug: Option<&'static PlantedBug>) -> bool {
    has(bug, Switch::BlindResend)
}
