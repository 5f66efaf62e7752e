//! What the Redis server says of itself: the facts behind the boot guard.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::AttemptId;

use super::reply::{Reply, text};
use super::views::DeadGroup;
use super::{Store, StoreError};
use crate::domain::{FailureReason, JobType, QueueName, Timestamp};

/// The layout that this build reads and writes; in `ai:layout` a colon and the number of shards follow.
pub const LAYOUT: &str = "2";

/// Facts about the server, from `INFO` (managed Redis forbids `CONFIG`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// `redis_version` (Valkey reports 7.2.4 there for compatibility).
    pub redis_version: String,
    /// `valkey_version`, if it is one.
    pub valkey_version: Option<String>,
    /// Changes with every start of the server.
    pub run_id: String,
    /// `master` or `slave`.
    pub role: String,
    /// `maxmemory_policy`.
    pub policy: String,
    /// Bytes in use.
    pub used_memory: u64,
    /// Limit in bytes, 0 for none.
    pub max_memory: u64,
    /// Whether the append-only file is on.
    pub aof: bool,
    /// Whether its last write went well.
    pub aof_ok: bool,
    /// Replicas that are connected and follow.
    pub replicas: u32,
    /// How long the one that was silent longest has been.
    pub replica_lag: Duration,
    /// Bytes of the replication stream that the one that is behind most lacks.
    pub replica_behind: u64,
    /// `appendfsync`, where the server lets us read it.
    pub fsync: Option<String>,
    /// `ai:layout` as found, version and number of shards; set by the first process.
    pub layout: String,
    /// Whether that is ours.
    pub layout_ok: bool,
    /// `ai:epoch`; set anew when Redis has none, or lacks what it told this process. Of several shards,
    /// all of them.
    pub epoch: String,
    /// Shards that did not answer.
    pub shards_away: usize,
}

impl ServerFacts {
    /// The facts of two servers as one: what is worse stands.
    pub(super) fn and(self, other: Self) -> Self {
        let fuller =
            |facts: &Self| if facts.max_memory == 0 { 0.0 } else { facts.used_memory as f64 / facts.max_memory as f64 };
        let unlimited = self.max_memory == 0 || other.max_memory == 0;
        let (used, most) = if fuller(&self) >= fuller(&other) {
            (self.used_memory, self.max_memory)
        } else {
            (other.used_memory, other.max_memory)
        };
        let oldest = if older(&other, &self) { other.clone() } else { self.clone() };
        let either = |ours: String, theirs: String, good: &str| if ours == good { theirs } else { ours };
        let layout_ok = self.layout_ok && other.layout_ok;
        Self {
            role: either(self.role, other.role, "master"),
            policy: either(self.policy, other.policy, "noeviction"),
            used_memory: used,
            max_memory: if unlimited { 0 } else { most },
            aof: self.aof && other.aof,
            aof_ok: self.aof_ok && other.aof_ok,
            replicas: self.replicas.min(other.replicas),
            replica_lag: self.replica_lag.max(other.replica_lag),
            replica_behind: self.replica_behind.max(other.replica_behind),
            fsync: if self.fsync == other.fsync { self.fsync } else { None },
            layout: if self.layout_ok { other.layout } else { self.layout },
            layout_ok,
            shards_away: 0,
            ..oldest
        }
    }
}

/// Whether a server is of an older version; between Redis and Valkey there is no order.
fn older(one: &ServerFacts, other: &ServerFacts) -> bool {
    let numbers = |facts: &ServerFacts| -> Vec<u32> {
        let text = facts.valkey_version.as_ref().unwrap_or(&facts.redis_version);
        text.split('.').map(|part| part.parse().unwrap_or_default()).collect()
    };
    numbers(one) < numbers(other)
}

impl Store {
    /// Asks the server, and takes layout and epoch if it has none.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn server_facts(&self) -> Result<ServerFacts, StoreError> {
        let info = text(self.inner.link.command("INFO", Vec::new()).await?)?;
        let info: HashMap<&str, &str> = info.lines().filter_map(|line| line.split_once(':')).collect();
        let word = |key: &str| info.get(key).map(|v| v.trim().to_owned()).unwrap_or_default();
        let number = |key: &str| word(key).parse().unwrap_or_default();
        let (layout, epoch) = self.layout_and_epoch().await?;
        // Managed Redis forbids CONFIG; then the class of durability stays unnamed.
        let fsync = self.inner.link.command("CONFIG", vec!["GET".into(), "appendfsync".into()]).await;
        let fsync = fsync.and_then(|value| Reply::array(value)?.texts()).ok();
        let replicas = following(&info);
        let written: u64 = number("master_repl_offset");
        let has = replicas.iter().map(|replica| replica.has).min();
        Ok(ServerFacts {
            redis_version: word("redis_version"),
            valkey_version: info.get("valkey_version").map(|v| v.trim().to_owned()),
            run_id: word("run_id"),
            role: word("role"),
            policy: word("maxmemory_policy"),
            used_memory: number("used_memory"),
            max_memory: number("maxmemory"),
            aof: word("aof_enabled") == "1",
            aof_ok: word("aof_last_write_status") != "err",
            replicas: u32::try_from(replicas.len()).unwrap_or(u32::MAX),
            replica_lag: replicas.iter().map(|replica| replica.silent).max().unwrap_or_default(),
            replica_behind: has.map(|has| written.saturating_sub(has)).unwrap_or_default(),
            fsync: fsync.and_then(|found| found.get(1).cloned()),
            layout_ok: layout == self.layout(),
            layout,
            epoch,
            shards_away: 0,
        })
    }

    /// The epoch of this shard's state; a new one if it has none, or lacks what it told this process.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn epoch(&self) -> Result<String, StoreError> {
        self.layout_and_epoch().await.map(|(_, epoch)| epoch)
    }

    fn layout(&self) -> String {
        format!("{LAYOUT}:{}", self.inner.options.shards)
    }

    /// Both in one command, as every process asks for them all the time.
    async fn layout_and_epoch(&self) -> Result<(String, String), StoreError> {
        let keys = [self.inner.keys.layout(), self.inner.keys.epoch()];
        let args = keys.iter().map(|key| key.as_str().into()).collect();
        let mut found = Reply::array(self.inner.link.command("MGET", args).await?)?;
        let (mut layout, mut epoch) = (found.text()?, found.text()?);
        if layout.is_empty() {
            layout = self.take(&keys[0], &self.layout()).await?;
        }
        if epoch.is_empty() {
            epoch = self.take(&keys[1], &AttemptId::random().to_string()).await?;
        }
        if !epoch.is_empty() {
            epoch = self.prove(epoch).await?;
        }
        Ok((layout, epoch))
    }

    /// The value of `key`, set to `ours` if there is none. A refused write leaves it empty.
    async fn take(&self, key: &str, ours: &str) -> Result<String, StoreError> {
        let get = async || text(self.inner.link.command("GET", vec![key.into()]).await?);
        let found = get().await?;
        if !found.is_empty() {
            return Ok(found);
        }
        match self.inner.link.command("SET", vec![key.into(), ours.into(), "NX".into()]).await {
            Ok(_) => get().await,
            Err(StoreError::ReadOnly(_) | StoreError::Full(_)) => Ok(String::new()),
            Err(other) => Err(other),
        }
    }

    /// Dead letters grouped by queue, type and error fingerprint; most first.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError> {
        let all = self.inner.link.command("HGETALL", vec![self.inner.keys.dead_groups().into()]).await?;
        let all = Reply::array(all)?.pairs()?;
        let mut groups: Vec<DeadGroup> = all.iter().filter_map(|(field, value)| group(field, value)).collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| b.last.cmp(&a.last)));
        Ok(groups)
    }
}

/// A replica that is connected and follows.
struct Follower {
    /// Bytes of the replication stream that it has confirmed.
    has: u64,
    /// Since it was heard last; in whole seconds, as Redis tells it.
    silent: Duration,
}

/// Reads `slave0:ip=…,state=online,offset=…,lag=…` lines.
fn following(info: &HashMap<&str, &str>) -> Vec<Follower> {
    let is_replica = |key: &str| key.strip_prefix("slave").is_some_and(|n| n.parse::<u32>().is_ok());
    let field = |line: &str, name: &str| {
        let mut fields = line.trim().split(',').filter_map(|field| field.split_once('='));
        fields.find_map(|(key, value)| (key == name).then(|| value.to_owned()))
    };
    let online = |line: &&str| field(line, "state").is_some_and(|state| state == "online");
    let number = |line: &str, name: &str| field(line, name).and_then(|n| n.parse().ok()).unwrap_or_default();
    let lines = info.iter().filter(|(key, _)| is_replica(key)).map(|(_, line)| *line);
    let follower = |line| Follower { has: number(line, "offset"), silent: Duration::from_secs(number(line, "lag")) };
    lines.filter(online).map(follower).collect()
}

fn group(field: &str, value: &str) -> Option<DeadGroup> {
    let mut field = field.split('\t');
    let (queue, kind, fingerprint) = (field.next()?, field.next()?, field.next()?);
    let mut value = value.split('\t');
    let moment = |text: Option<&str>| text?.parse().ok().map(Timestamp::from_unix_ms);
    let count = value.next()?.parse().ok()?;
    Some(DeadGroup {
        queue: QueueName::new(queue).ok()?,
        job_type: JobType::new(kind).ok()?,
        fingerprint: fingerprint.to_owned(),
        count,
        first: moment(value.next())?,
        last: moment(value.next())?,
        sample: value.next()?.parse().ok()?,
        reason: value.next().and_then(FailureReason::from_word),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_replicas_that_follow_count() {
        let info = "slaves:2\nslave0:ip=10.0.0.2,port=6379,state=online,offset=900,lag=7\n\
                    slave1:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0\nslave_repl_offset:5\n";
        let info: HashMap<&str, &str> = info.lines().filter_map(|line| line.split_once(':')).collect();
        let found = following(&info);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].has, found[0].silent), (900, Duration::from_secs(7)));
    }
}
