//! The project's conventions as tests. They read files only: no Redis, no network, seconds.
//!
//! Each check lists every offender with what to do about it. A rule that stands in the way is
//! changed here, with its reason, and not worked around.
#![cfg(test)]

mod audit;
mod catalogue;
mod chaos;
mod checker;
mod coming_from;
mod dependencies;
mod documents;
mod layers;
mod links;
mod lua;
mod monitoring;
mod runbook;
mod sizes;
mod tree;
mod words;

/// Fails with every offender on a line of its own.
#[track_caller]
fn assert_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}\n  {}\n", offenders.join("\n  "));
}
