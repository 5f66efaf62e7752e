//! A record of effects in memory: what executors meet without a worker and without Redis.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use windlass::clock;
use windlass::domain::{EffectRecord, EffectState, RawJson};
use windlass::engine::{Begun, EffectLog, EffectLogError, Intent, LogFuture};

/// What is on record of one job, over all its attempts.
#[derive(Default)]
pub(crate) struct MemoryRecord {
    records: Mutex<BTreeMap<String, EffectRecord>>,
}

/// One attempt's way to it.
pub(crate) struct MemoryLog {
    pub(crate) record: Arc<MemoryRecord>,
    pub(crate) attempt: u32,
}

impl MemoryRecord {
    pub(crate) fn get(&self, step: &str) -> Option<EffectRecord> {
        self.records.lock().unwrap().get(step).cloned()
    }

    /// Makes what is on record older than it is.
    pub(crate) fn age(&self, by: Duration) {
        for record in self.records.lock().unwrap().values_mut() {
            record.age += by;
            record.first_age += by;
        }
    }

    /// As a worker does when an attempt's effect certainly did not happen.
    pub(crate) fn clear(&self, step: &str) {
        self.records.lock().unwrap().remove(step);
    }
}

impl EffectLog for MemoryLog {
    fn begin<'a>(&'a self, intent: &'a Intent) -> LogFuture<'a, Begun> {
        let mut records = self.record.records.lock().unwrap();
        let found = records.get(intent.step).cloned();
        let begun = match found {
            Some(record) if record.state == EffectState::Done => Begun::Found(record),
            Some(record) if record.attempt != self.attempt && !intent.again => Begun::Found(record),
            earlier => {
                let fresh = EffectRecord {
                    step: intent.step.to_owned(),
                    state: EffectState::Intent,
                    class: intent.class,
                    attempt: self.attempt,
                    at: clock::wall(),
                    age: Duration::ZERO,
                    first_age: earlier.as_ref().map(|e| e.first_age).unwrap_or_default(),
                    state_lost: false,
                    document: earlier.map_or_else(|| RawJson::from_compact("null"), |e| e.document),
                    by: String::new(),
                };
                records.insert(intent.step.to_owned(), fresh);
                Begun::Fresh
            }
        };
        Box::pin(async move { Ok(begun) })
    }

    fn note<'a>(&'a self, step: &'static str, document: &'a RawJson) -> LogFuture<'a, ()> {
        self.write(step, EffectState::Intent, document)
    }

    fn receipt<'a>(&'a self, step: &'static str, receipt: &'a RawJson) -> LogFuture<'a, ()> {
        self.write(step, EffectState::Done, receipt)
    }
}

impl MemoryLog {
    fn write(&self, step: &str, state: EffectState, document: &RawJson) -> LogFuture<'static, ()> {
        let mut records = self.record.records.lock().unwrap();
        // A receipt that was found by asking stands in the place of whoever's intent.
        let may = |record: &&mut EffectRecord| record.attempt == self.attempt || state == EffectState::Done;
        let written = match records.get_mut(step).filter(may) {
            Some(record) => {
                (record.state, record.document, record.attempt) = (state, document.clone(), self.attempt);
                Ok(())
            }
            None => Err(EffectLogError::Stale),
        };
        Box::pin(async move { written })
    }
}
