//! Verb `level`: what every process logs for a while. It stands beside the rules for actions, since every process looks
//! there every two seconds; on the first shard only.

use std::time::Duration;

use crate::domain::Timestamp;

use super::reply::{Reply, corrupt};
use super::{Shards, Store, StoreError};

/// An order to log by other directives for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelOrder {
    /// In the syntax of `LOG_LEVEL`.
    pub level: String,
    /// Until when, by Redis' time; one that is over may still be read.
    pub until: Timestamp,
    /// Who gave it.
    pub by: String,
}

/// What every process looks at regularly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The revision of the rules for actions; empty before the first.
    pub revision: String,
    /// The order for levels, perhaps of the past.
    pub level: Option<LevelOrder>,
}

impl Store {
    /// The revision of the rules for actions and the order for levels, in one command.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn standing(&self) -> Result<Standing, StoreError> {
        let args = vec![self.inner.keys.policy().into(), "rev".into(), "log".into()];
        let mut reply = Reply::array(self.inner.link.command("HMGET", args).await?)?;
        Ok(Standing { revision: reply.text()?, level: order(&reply.text()?) })
    }

    async fn write_level(&self, level: &str, length: Duration, by: &str) -> Result<Option<Timestamp>, StoreError> {
        let args = vec!["-".into(), level.into(), length.as_millis().to_string().into(), by.into()];
        let mut reply = Reply::array(self.run(&self.inner.scripts.level, args).await?)?;
        self.saw_time(&reply.text()?)?;
        let ends = reply.text()?;
        if ends.is_empty() {
            return Ok(None);
        }
        ends.parse().map(|ms| Some(Timestamp::from_unix_ms(ms))).map_err(|_| corrupt("a time"))
    }
}

impl Shards {
    /// Has every process log by `level`, whose syntax the caller has checked, for `length`. The latest order counts.
    ///
    /// # Errors
    /// `Unknown`: repeating is safe.
    pub async fn set_level(&self, level: &str, length: Duration, by: &str) -> Result<LevelOrder, StoreError> {
        let until = self.first().write_level(level, length, by).await?.ok_or_else(|| corrupt("a time"))?;
        Ok(LevelOrder { level: level.to_owned(), until, by: by.to_owned() })
    }

    /// Ends the order that stands, if any.
    ///
    /// # Errors
    /// `Unknown`: repeating is safe.
    pub async fn end_level(&self) -> Result<(), StoreError> {
        self.first().write_level("", Duration::ZERO, "").await.map(drop)
    }
}

/// What cannot be read is no order: nothing of value depends on it.
fn order(text: &str) -> Option<LevelOrder> {
    let mut parts = text.splitn(3, '\t');
    let until = Timestamp::from_unix_ms(parts.next()?.parse().ok()?);
    Some(LevelOrder { until, level: parts.next()?.to_owned(), by: parts.next()?.to_owned() })
}
