//! Keys remembered for a few seconds, so that not every request asks Redis.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{self, Instant};

use super::KeyInfo;

/// How long a key is believed without asking again: below the five seconds within which a
/// revoked key has to die everywhere.
pub(in crate::http) const LIFE: Duration = Duration::from_secs(4);

/// Entries at most; more keys than this in use at once are looked up more often.
const CAPACITY: usize = 10_000;

/// What a key is, and the moment before Redis was asked.
type Entry = (Arc<KeyInfo>, Instant);

/// Digest of a key → what it is. Unknown keys are not remembered: whoever invents keys must not
/// push out real ones.
#[derive(Default)]
pub(super) struct KeyCache {
    entries: Mutex<HashMap<[u8; 32], Entry>>,
}

impl KeyCache {
    pub(super) fn get(&self, digest: &[u8; 32]) -> Option<Arc<KeyInfo>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (info, asked) = entries.get(digest)?;
        (clock::now().duration_since(*asked) < LIFE).then(|| info.clone())
    }

    /// `asked` is the moment before Redis was asked: the answer may be as old as that.
    pub(super) fn put(&self, digest: [u8; 32], info: Arc<KeyInfo>, asked: Instant) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CAPACITY {
            let now = clock::now();
            entries.retain(|_, (_, asked)| now.duration_since(*asked) < LIFE);
        }
        if entries.len() >= CAPACITY {
            entries.clear();
        }
        entries.insert(digest, (info, asked));
    }

    pub(super) fn clear(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> Arc<KeyInfo> {
        Arc::new(KeyInfo::admin())
    }

    #[test]
    fn an_answer_is_believed_for_its_life_only() {
        let cache = KeyCache::default();
        let now = clock::now();
        cache.put([1; 32], info(), now);
        assert!(cache.get(&[1; 32]).is_some());
        if let Some(old) = now.checked_sub(LIFE) {
            cache.put([2; 32], info(), old);
            assert!(cache.get(&[2; 32]).is_none());
        }
        cache.clear();
        assert!(cache.get(&[1; 32]).is_none());
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let cache = KeyCache::default();
        let now = clock::now();
        for i in 0..CAPACITY + 5 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&i.to_be_bytes());
            cache.put(digest, info(), now);
        }
        assert!(cache.entries.lock().expect("lock").len() <= CAPACITY);
    }
}
