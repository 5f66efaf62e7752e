//! Verb `resume`: lift switches and bring parked jobs back.

use crate::domain::QueueName;

use super::pause::Switch;
use super::reply::int;
use super::{Store, StoreError};

impl Store {
    /// Switches on again; comes back when every parked job of these switches is in line.
    ///
    /// # Errors
    /// When Redis did not answer. Repeating is safe, and the janitor finishes what is left.
    pub async fn resume(&self, queue: &QueueName, what: &[Switch]) -> Result<(), StoreError> {
        let mut changed = false;
        loop {
            let mut args = vec![queue.as_str().into()];
            args.extend(what.iter().map(|switch| switch.field().into()));
            let ran = self.run(&self.inner.scripts.resume, args).await;
            if int(&ran.map_err(|error| if changed { error.after_change() } else { error })?)? == 0 {
                return Ok(());
            }
            changed = true;
        }
    }
}
