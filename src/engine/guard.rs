//! Watches whether Redis may be trusted with acknowledged jobs.

use std::collections::BTreeMap;

/// How a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, with a risk that someone should know of.
    Degraded,
    /// Not ready: jobs could be lost or nothing works.
    Failed,
}

/// One check with its finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// How it stands.
    pub level: Level,
    /// What was found, in a few words.
    pub detail: String,
    /// What to do about it; empty when `Ok`.
    pub remedy: String,
}

/// The latest findings.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// By name: `redis` `version` `role` `policy` `layout` `persistence` `maxmemory` `memory`.
    pub checks: BTreeMap<&'static str, Check>,
    /// Durability class of an acknowledgement: `everysec`, `always`, `none`.
    pub durability: &'static str,
}

impl Findings {
    /// Whether jobs may be accepted and run: no check failed and Redis was seen.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.checks.is_empty() && self.checks.values().all(|c| c.level < Level::Failed)
    }

    /// Ready, with a risk.
    #[must_use]
    pub fn degraded(&self) -> bool {
        self.ready() && self.checks.values().any(|c| c.level == Level::Degraded)
    }
}

/// Keeps the findings fresh (every 2 s, and at once after a reconnect); cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard {
    _private: (),
}

impl Guard {
    /// The latest findings.
    #[must_use]
    pub fn findings(&self) -> Findings {
        todo!()
    }
}
