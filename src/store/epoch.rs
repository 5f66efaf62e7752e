//! Verb `epoch`: whether Redis still has what it told this process. A promoted replica and a restored
//! file may lack the latest acknowledged writes, and nothing in a reply says so.
//!
//! The proof is an entry of the transition log that this process was told of, exactly: on a server that
//! lost it, it is not there, whatever was written since. Without events (`events_kept` 0) only the loss
//! of everything is noticed, by the epoch that is gone with it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::AttemptId;

use super::reply::{Reply, text};
use super::{Store, StoreError};

/// An entry of the log: milliseconds, number.
type Entry = (u64, u64);

/// What this process knows of the state behind its connections.
#[derive(Debug, Default)]
pub(super) struct Lineage(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    epoch: String,
    newest: Option<Entry>,
    /// The newest from before a connection broke. Later ones may come from another server, and prove
    /// nothing of what was told before.
    unproven: Option<Entry>,
    breaks: u64,
    /// Entries before this time, in milliseconds, belong to an epoch that has ended.
    floor: u64,
}

impl Lineage {
    /// This process was told of an entry. `breaks` counts the broken connections so far.
    pub(super) fn saw(&self, entry: &str, breaks: u64) {
        let Some(entry) = parse(entry) else { return };
        let mut seen = self.lock();
        if seen.breaks != breaks {
            seen.breaks = breaks;
            seen.unproven = seen.unproven.or(seen.newest);
        }
        if entry.0 >= seen.floor {
            seen.newest = seen.newest.max(Some(entry));
        }
    }

    /// A connection broke that `breaks` does not count.
    pub(super) fn broke(&self) {
        let mut seen = self.lock();
        seen.unproven = seen.unproven.or(seen.newest);
    }

    /// The epoch seen last.
    fn epoch(&self) -> String {
        self.lock().epoch.clone()
    }

    /// The entries whose presence is to be proven.
    fn markers(&self) -> Vec<Entry> {
        let seen = self.lock();
        let mut markers: Vec<Entry> = seen.unproven.into_iter().chain(seen.newest).collect();
        markers.dedup();
        markers
    }

    fn proven(&self, marker: Entry) {
        let mut seen = self.lock();
        if seen.unproven == Some(marker) {
            seen.unproven = None;
        }
    }

    /// What was told under another epoch proves nothing under this one.
    fn adopt(&self, epoch: &str, now_ms: i64) {
        let mut seen = self.lock();
        if seen.epoch != epoch {
            let first = seen.epoch.is_empty();
            epoch.clone_into(&mut seen.epoch);
            if !first {
                (seen.newest, seen.unproven) = (None, None);
                seen.floor = u64::try_from(now_ms).unwrap_or_default();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// The epoch of the state as this process saw it last; empty before the first look.
    #[must_use]
    pub fn known_epoch(&self) -> String {
        self.inner.lineage.epoch()
    }

    /// The epoch, given the one that was just read: another one if what this process was told is gone.
    pub(super) async fn prove(&self, read: String) -> Result<String, StoreError> {
        let lineage = &self.inner.lineage;
        let known = lineage.epoch();
        let mut epoch = read;
        if known.is_empty() || known == epoch {
            for marker in lineage.markers() {
                if self.has_entry(marker).await? {
                    lineage.proven(marker);
                    continue;
                }
                match self.suspect(&epoch, marker).await? {
                    Some(found) if found != epoch => {
                        tracing::error!(
                            event = "state_loss_suspected", missing = show(marker), before = %epoch, epoch = %found,
                            "Redis lacks what it acknowledged: it failed over or was restored to an older state"
                        );
                        epoch = found;
                        break;
                    }
                    // Only trimmed.
                    Some(_) => lineage.proven(marker),
                    None => {}
                }
            }
        }
        lineage.adopt(&epoch, self.now_estimate().unix_ms());
        Ok(epoch)
    }

    async fn has_entry(&self, entry: Entry) -> Result<bool, StoreError> {
        let (key, id) = (self.inner.keys.events(), show(entry));
        let args = vec![key.into(), id.as_str().into(), id.as_str().into(), "COUNT".into(), "1".into()];
        Ok(!Reply::array(self.inner.link.command("XRANGE", args).await?)?.is_empty())
    }

    /// Lets Redis judge, and change the epoch once for the whole fleet. `None` where nothing could be
    /// decided: a replica may only be behind.
    async fn suspect(&self, epoch: &str, marker: Entry) -> Result<Option<String>, StoreError> {
        let args = vec![epoch.into(), show(marker).into(), AttemptId::random().to_string().into()];
        match self.run(&self.inner.scripts.epoch, args).await {
            Err(StoreError::ReadOnly(_)) => Ok(None),
            done => Ok(Some(text(done?)?).filter(|found| !found.is_empty())),
        }
    }
}

fn parse(entry: &str) -> Option<Entry> {
    let (ms, seq) = entry.split_once('-')?;
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

fn show((ms, seq): Entry) -> String {
    format!("{ms}-{seq}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_before_a_break_is_proven_first() {
        let lineage = Lineage::default();
        lineage.adopt("a", 0);
        lineage.saw("10-1", 0);
        lineage.saw("9-7", 0);
        assert_eq!(lineage.markers(), [(10, 1)]);
        lineage.saw("50-0", 1);
        lineage.saw("60-0", 2);
        assert_eq!(lineage.markers(), [(10, 1), (60, 0)], "50-0 may come from a server that lost 10-1");
        lineage.proven((10, 1));
        assert_eq!(lineage.markers(), [(60, 0)]);
    }

    #[test]
    fn another_epoch_begins_with_nothing_to_prove() {
        let lineage = Lineage::default();
        lineage.saw("10-1", 0);
        lineage.adopt("a", 5);
        assert_eq!(lineage.markers(), [(10, 1)], "the first look forgets nothing");
        lineage.adopt("b", 20);
        lineage.saw("19-0", 0);
        assert_eq!(lineage.markers(), [], "a late reply of the server that is gone");
        lineage.saw("21-0", 0);
        assert_eq!(lineage.markers(), [(21, 0)]);
    }
}
