//! What is on record of a job's effects, as text: a line each.
//!
//! ```text
//! step state class attempt attempt_id first_at at epoch by document
//! ```
//!
//! `*approval` is no effect; its `first_at` is until when it holds, and its document what was approved.

use crate::domain::{Approval, EffectClass, EffectRecord, EffectState, RawJson, Timestamp};

use super::super::StoreError;
use super::super::reply::corrupt;
use super::{moment, number};

/// A line, cut.
struct Line<'a> {
    step: &'a str,
    state: &'a str,
    class: &'a str,
    attempt: &'a str,
    first_at: Timestamp,
    at: Timestamp,
    epoch: &'a str,
    by: &'a str,
    document: &'a str,
}

fn line(text: &str) -> Result<Line<'_>, StoreError> {
    let parts: Vec<&str> = text.splitn(10, '\t').collect();
    let [step, state, class, attempt, _token, first_at, at, epoch, by, document] = parts[..] else {
        return Err(corrupt("a line of effects with other fields"));
    };
    let time = |text| moment(text)?.ok_or_else(|| corrupt("a time"));
    Ok(Line { step, state, class, attempt, first_at: time(first_at)?, at: time(at)?, epoch, by, document })
}

/// One effect, seen at `now` while the state has `epoch`.
pub(in crate::store) fn effect(text: &str, now: Timestamp, epoch: &str) -> Result<EffectRecord, StoreError> {
    let line = line(text)?;
    Ok(EffectRecord {
        step: line.step.to_owned(),
        state: if line.state == "d" { EffectState::Done } else { EffectState::Intent },
        // A class of a newer version is treated as one that nobody here can look into.
        class: EffectClass::from_word(line.class).unwrap_or(EffectClass::Once),
        attempt: number(line.attempt)?,
        at: line.at,
        age: now.since(line.at),
        first_age: now.since(line.first_at).max(now.since(line.at)),
        state_lost: line.epoch != epoch,
        document: RawJson::from_compact(line.document),
        by: line.by.to_owned(),
    })
}

/// All effects of a job, without its decisions.
pub(in crate::store) fn effects(text: &str, now: Timestamp, epoch: &str) -> Result<Vec<EffectRecord>, StoreError> {
    text.lines().filter(|line| !line.starts_with('*')).map(|line| effect(line, now, epoch)).collect()
}

/// The approval among a job's decisions.
pub(in crate::store) fn approval(text: &str) -> Result<Option<Approval>, StoreError> {
    let Some(found) = text.lines().find(|line| line.starts_with("*approval\t")) else { return Ok(None) };
    let line = line(found)?;
    let (digest, by) = (line.document.to_owned(), line.by.to_owned());
    Ok(Some(Approval { digest, by, at: line.at, expires_at: line.first_at }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TEXT: &str = "send\ti\tkeyed\t2\ttoken\t1000\t3000\te1\t\t{\"draft\":7}\n\
                        *approval\td\t\t0\t\t9000\t2000\te1\tann\tabc";

    #[test]
    fn an_effect_knows_its_ages_and_whether_state_was_lost_since() {
        let now = Timestamp::from_unix_ms(4000);
        let found = effects(TEXT, now, "e1").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].state, found[0].class, found[0].attempt), (EffectState::Intent, EffectClass::Keyed, 2));
        assert_eq!((found[0].age, found[0].first_age), (Duration::from_secs(1), Duration::from_secs(3)));
        assert_eq!((found[0].state_lost, found[0].document.as_str()), (false, "{\"draft\":7}"));
        assert!(effects(TEXT, now, "e2").unwrap()[0].state_lost);
    }

    #[test]
    fn an_approval_is_no_effect() {
        let found = approval(TEXT).unwrap().unwrap();
        assert_eq!((found.digest.as_str(), found.by.as_str()), ("abc", "ann"));
        assert_eq!((found.at.unix_ms(), found.expires_at.unix_ms()), (2000, 9000));
        assert_eq!(approval("").unwrap(), None);
    }

    #[test]
    fn a_line_with_other_fields_is_refused() {
        assert!(effects("send\ti\tkeyed", Timestamp::from_unix_ms(1), "").is_err());
    }
}
