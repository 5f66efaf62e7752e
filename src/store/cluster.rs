//! A Redis Cluster as its shards see it: who owns a slot now, and one link per server.
//!
//! fred's own cluster client is not used: while one node is away it reconnects to that node and
//! sends nothing to the others, so that one node's outage would end every lease of the fleet; and
//! with one attempt per command it cannot follow a redirection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fred::prelude::Value;
use fred::types::config::Server;

use super::StoreError;
use super::link::{Link, Target};
use super::reply::{Reply, corrupt};
use crate::clock::{self, Instant};

/// Looks at the slots are not closer together than this, however many calls fail.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long one server is given to say who owns what, and a new link to stand.
const PATIENCE: Duration = Duration::from_secs(1);

/// The servers of a cluster; shared by the shards of one store.
pub(super) struct Cluster {
    target: Target,
    size: usize,
    timeout: Duration,
    seeds: Vec<Server>,
    links: Mutex<Vec<Known>>,
    seen: tokio::sync::Mutex<Seen>,
}

#[derive(Clone)]
struct Known {
    server: Server,
    link: Link,
    opened: Instant,
}

#[derive(Default)]
struct Seen {
    at: Option<Instant>,
    owners: Vec<Owner>,
}

/// A range of slots and the server that owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    first: u16,
    last: u16,
    master: Server,
    replicas: Vec<Server>,
}

impl Cluster {
    /// Starts connecting to the servers that the URL names; only a malformed URL is an error.
    pub(super) fn open(target: &Target, size: usize, timeout: Duration) -> Result<Arc<Self>, StoreError> {
        let seeds = target.servers()?;
        let (links, seen) = (Mutex::default(), tokio::sync::Mutex::default());
        let cluster = Self { target: target.clone(), size, timeout, seeds, links, seen };
        for seed in &cluster.seeds {
            cluster.link_to(seed)?;
        }
        Ok(Arc::new(cluster))
    }

    /// The link to the server that owns `slot`, after asking the cluster. It may not stand (yet).
    pub(super) async fn owner(&self, slot: u16) -> Result<Link, StoreError> {
        let came = clock::now();
        let mut seen = self.seen.lock().await;
        // Who came during a look takes what it found: while no server answers, one lasts for seconds.
        if seen.at.is_none_or(|at| at < came && came.duration_since(at) >= LOOK_INTERVAL) {
            let looked = self.look().await;
            seen.at = Some(clock::now());
            seen.owners = looked?;
            self.prune(&seen.owners);
        }
        let owner = seen.owners.iter().find(|owner| (owner.first..=owner.last).contains(&slot));
        let nobody = || StoreError::Unavailable(format!("no server of the cluster owns slot {slot}"));
        let known = self.link_to(&owner.ok_or_else(nobody)?.master)?;
        drop(seen);
        self.give_time(&known).await;
        Ok(known.link)
    }

    /// The link to the server that a redirection names: `MOVED <slot> <host>:<port>`.
    pub(super) async fn named_by(&self, moved: &Moved, from: &Link) -> Result<Link, StoreError> {
        let mut server = moved.to.clone();
        if server.host.is_empty() {
            let asked = self.known().iter().find(|known| known.link.is(from)).map(|known| known.server.host.clone());
            server.host = asked.ok_or_else(|| corrupt("a redirection without a host"))?;
        }
        let known = self.link_to(&server)?;
        self.give_time(&known).await;
        Ok(known.link)
    }

    /// A new link gets a moment to stand; one that broke gets none.
    async fn give_time(&self, known: &Known) {
        let left = PATIENCE.saturating_sub(clock::now().duration_since(known.opened));
        drop(known.link.wait_any(left).await);
    }

    /// Who owns what, from the first server that says it.
    async fn look(&self) -> Result<Vec<Owner>, StoreError> {
        let mut said = StoreError::Unavailable("no server of the cluster is connected".to_owned());
        let links = self.known().clone();
        for known in &links {
            self.give_time(known).await;
            if !known.link.is_connected() {
                continue;
            }
            let asked = known.link.command("CLUSTER", vec!["SLOTS".into()]);
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(Ok(value)) => return owners(value, &known.server),
                Ok(Err(error)) => said = error,
                Err(_) => said = StoreError::Unavailable("a server of the cluster does not answer".to_owned()),
            }
        }
        Err(said)
    }

    fn link_to(&self, server: &Server) -> Result<Known, StoreError> {
        let mut links = self.known();
        if let Some(known) = links.iter().find(|known| known.server == *server) {
            return Ok(known.clone());
        }
        let link = Link::open(&self.target.at(server.clone()), self.size, self.timeout)?;
        let known = Known { server: server.clone(), link, opened: clock::now() };
        links.push(known.clone());
        Ok(known)
    }

    /// Servers that left the cluster are not connected to for ever.
    fn prune(&self, owners: &[Owner]) {
        let member = |server: &Server| {
            self.seeds.contains(server) || owners.iter().any(|o| o.master == *server || o.replicas.contains(server))
        };
        self.known().retain(|known| {
            let stays = member(&known.server);
            if !stays {
                known.link.close();
            }
            stays
        });
    }

    fn known(&self) -> MutexGuard<'_, Vec<Known>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Cluster {
    /// The URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({} servers)", self.known().len())
    }
}

/// A redirection to the owner of a slot. The command was not run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moved {
    to: Server,
}

impl Moved {
    /// Whether an error is one.
    pub(super) fn read(error: &StoreError) -> Option<Self> {
        let StoreError::Unavailable(said) = error else { return None };
        let address = said.strip_prefix("MOVED ")?.split(' ').nth(1)?;
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self { to: Server::new(host, port.parse().ok()?) })
    }
}

/// Reads `CLUSTER SLOTS`: first, last, then host, port and more of the master and of each replica. A
/// server that does not know its own host leaves it out.
fn owners(value: Value, asked: &Server) -> Result<Vec<Owner>, StoreError> {
    let mut ranges = Reply::array(value)?;
    let mut owners = Vec::with_capacity(ranges.len());
    while !ranges.is_empty() {
        let mut range = ranges.nested()?;
        let slot = |n: i64| u16::try_from(n).map_err(|_| corrupt("a slot"));
        let (first, last) = (slot(range.int()?)?, slot(range.int()?)?);
        let mut servers = Vec::with_capacity(range.len());
        while !range.is_empty() {
            let mut server = range.nested()?;
            let host = match server.text()? {
                none if none.is_empty() || none == "?" => asked.host.to_string(),
                host => host,
            };
            servers.push(Server::new(host, u16::try_from(server.int()?).map_err(|_| corrupt("a port"))?));
        }
        let mut servers = servers.into_iter();
        let master = servers.next().ok_or_else(|| corrupt("slots without a server"))?;
        owners.push(Owner { first, last, master, replicas: servers.collect() });
    }
    Ok(owners)
}

/// Whether a URL names a cluster.
pub(super) fn is_cluster(url: &str) -> bool {
    url.split("://").next().is_some_and(|scheme| scheme.ends_with("-cluster"))
}

/// A URL that names several servers as people write it, `redis-cluster://a:1,b:2,c:3`, in the form of
/// a URL: `redis-cluster://a:1?node=b:2&node=c:3`. Any other text comes back as it is.
#[must_use]
pub fn one_host_first(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (credentials, hosts) = authority.rsplit_once('@').map_or(("", authority), |(c, hosts)| (c, hosts));
    let mut hosts = hosts.split(',');
    let first = hosts.next().unwrap_or_default();
    let others: Vec<String> = hosts.filter(|host| !host.is_empty()).map(|host| format!("node={host}")).collect();
    if others.is_empty() {
        return url.to_owned();
    }
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let at = if credentials.is_empty() { "" } else { "@" };
    let query = if query.is_empty() { String::new() } else { format!("{query}&") };
    format!("{scheme}://{credentials}{at}{first}{path}?{query}{}", others.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_hosts_become_one_and_its_companions() {
        for (written, means) in [
            ("redis://h:1", "redis://h:1"),
            ("redis-cluster://a:1,b:2", "redis-cluster://a:1?node=b:2"),
            ("redis-cluster://u:p@a:1,b:2,c:3/", "redis-cluster://u:p@a:1/?node=b:2&node=c:3"),
            ("redis-cluster://a:1,b:2?node=c:3", "redis-cluster://a:1?node=c:3&node=b:2"),
            ("no url", "no url"),
        ] {
            assert_eq!(one_host_first(written), means, "{written}");
        }
        assert!(is_cluster("rediss-cluster://h:1") && !is_cluster("redis://h-cluster:1"));
    }

    #[test]
    fn a_redirection_is_read() {
        let moved = |said: &str| Moved::read(&StoreError::Unavailable(said.to_owned())).map(|m| m.to);
        assert_eq!(moved("MOVED 3999 127.0.0.1:6381"), Some(Server::new("127.0.0.1", 6381)));
        assert_eq!(moved("MOVED 3999 :6381"), Some(Server::new("", 6381)));
        assert_eq!(moved("MOVED 3999 ::1:6381"), Some(Server::new("::1", 6381)));
        assert_eq!(moved("CLUSTERDOWN The cluster is down"), None);
    }

    #[test]
    fn slots_are_read_and_a_missing_host_is_the_one_asked() {
        let node = |host: &str, port: i64| Value::Array(vec![host.into(), port.into(), "id".into()]);
        let range =
            |first: i64, last: i64, nodes: Vec<Value>| Value::Array([vec![first.into(), last.into()], nodes].concat());
        let value = Value::Array(vec![
            range(0, 8191, vec![node("10.0.0.1", 1), node("10.0.0.3", 3)]),
            range(8192, 16383, vec![node("", 2)]),
        ]);
        let found = owners(value, &Server::new("asked", 9)).unwrap();
        assert_eq!(found[0].master, Server::new("10.0.0.1", 1));
        assert_eq!(found[0].replicas, [Server::new("10.0.0.3", 3)]);
        assert_eq!((found[1].first, found[1].last, &found[1].master), (8192, 16383, &Server::new("asked", 2)));
    }
}
