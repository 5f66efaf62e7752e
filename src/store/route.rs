//! The way from a shard to its server: one link for ever, or in a cluster the link to whatever server
//! owns the shard's slot now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fred::interfaces::ClientLike;
use fred::prelude::Value;
use fred::util::redis_keyslot;

use super::StoreError;
use super::cluster::{Cluster, Moved};
use super::link::{Blocking, Link};
use super::scripts::Script;
use crate::clock;

/// Between two looks for a connection.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Where the commands of one shard go; cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// To one server.
    One(Link),
    /// To the owner of a slot.
    Slot(Arc<Slot>),
}

/// A slot of a cluster and who was its owner last.
#[derive(Debug)]
pub(super) struct Slot {
    number: u16,
    cluster: Arc<Cluster>,
    now: Mutex<Place>,
}

#[derive(Debug, Default)]
struct Place {
    link: Option<Link>,
    /// Breaks of the links before, and each change of the link.
    breaks: u64,
}

impl Route {
    /// The route to the owner of a key.
    pub(super) fn to_key(cluster: &Arc<Cluster>, key: &str) -> Self {
        let number = redis_keyslot(key.as_bytes());
        Self::Slot(Arc::new(Slot { number, cluster: Arc::clone(cluster), now: Mutex::default() }))
    }

    /// A link to the server of the shard as it is known now; in a cluster, one that stands.
    pub(super) async fn link(&self) -> Result<Link, StoreError> {
        match self {
            Self::One(link) => Ok(link.clone()),
            Self::Slot(slot) => slot.link().await,
        }
    }

    /// The link to go on with after a redirection, which says that nothing was done; any other error
    /// comes back.
    pub(super) async fn follow(&self, error: &StoreError, from: &Link) -> Result<Link, StoreError> {
        match self {
            Self::One(_) => Err(error.clone()),
            Self::Slot(slot) => slot.follow(error, from).await,
        }
    }

    /// Runs a verb, see [`Link::run`].
    pub(super) async fn run(&self, script: &Script, key: &str, args: Vec<Value>) -> Result<Value, StoreError> {
        match self {
            Self::One(link) => link.run(script, key, args).await,
            Self::Slot(slot) => {
                let link = slot.link().await?;
                match link.run(script, key, args.clone()).await {
                    Err(error) => slot.follow(&error, &link).await?.run(script, key, args).await,
                    done => done,
                }
            }
        }
    }

    /// Sends a command, see [`Link::command`].
    pub(super) async fn command(&self, name: &'static str, args: Vec<Value>) -> Result<Value, StoreError> {
        match self {
            Self::One(link) => link.command(name, args).await,
            Self::Slot(slot) => {
                let link = slot.link().await?;
                match link.command(name, args.clone()).await {
                    Err(error) => slot.follow(&error, &link).await?.command(name, args).await,
                    done => done,
                }
            }
        }
    }

    /// Grows with every broken connection and every change of the owner.
    pub(super) fn breaks(&self) -> u64 {
        match self {
            Self::One(link) => link.breaks(),
            Self::Slot(slot) => {
                let place = slot.place();
                place.breaks + place.link.as_ref().map_or(0, Link::breaks)
            }
        }
    }

    /// Waits until a connection stands, or `limit` has passed.
    pub(super) async fn wait_connected(&self, limit: Duration) -> Result<(), StoreError> {
        let slot = match self {
            Self::One(link) => return link.wait_connected(limit).await,
            Self::Slot(slot) => slot,
        };
        let until = clock::now() + limit;
        loop {
            let left = until.saturating_duration_since(clock::now());
            match slot.link().await {
                Ok(link) => return link.wait_connected(left).await,
                Err(error) if left.is_zero() => return Err(error),
                Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Opens a connection of its own for blocking reads.
    pub(super) fn reader(&self) -> Result<Reader, StoreError> {
        let at = match self {
            Self::One(link) => Some((link.clone(), Arc::new(link.open_blocking()?))),
            Self::Slot(_) => None,
        };
        Ok(Reader { route: self.clone(), at: Mutex::new(at) })
    }
}

impl Slot {
    /// A link that stands.
    async fn link(&self) -> Result<Link, StoreError> {
        let known = self.place().link.clone();
        match known {
            Some(link) if link.is_connected() => Ok(link),
            _ => {
                let link = self.cluster.owner(self.number).await?;
                self.take(&link);
                Ok(link)
            }
        }
    }

    async fn follow(&self, error: &StoreError, from: &Link) -> Result<Link, StoreError> {
        let moved = Moved::read(error).ok_or_else(|| error.clone())?;
        let link = self.cluster.named_by(&moved, from).await?;
        metrics::counter!(crate::metrics::REDIS_RESENT.name).increment(1);
        tracing::info!(slot = self.number, "a shard of the cluster has moved to another server");
        self.take(&link);
        Ok(link)
    }

    fn take(&self, link: &Link) {
        let mut place = self.place();
        if let Some(before) = place.link.as_ref().filter(|before| !before.is(link)).map(Link::breaks) {
            place.breaks += before + 1;
        }
        place.link = Some(link.clone());
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Blocking reads of one shard, on a connection of their own that follows the shard.
pub(super) struct Reader {
    route: Route,
    at: Mutex<Option<(Link, Arc<Blocking>)>>,
}

impl Reader {
    /// A connection that stands, by `limit`.
    ///
    /// # Errors
    /// `Unavailable` when none does.
    pub(super) async fn ready(&self, limit: Duration) -> Result<Arc<Blocking>, StoreError> {
        let blocking = self.current().await?;
        if !blocking.client.is_connected() {
            let wait = tokio::time::timeout(limit, blocking.client.wait_for_connect()).await;
            if !matches!(wait, Ok(Ok(()))) {
                return Err(StoreError::Unavailable("not connected".to_owned()));
            }
        }
        Ok(blocking)
    }

    async fn current(&self) -> Result<Arc<Blocking>, StoreError> {
        let link = self.route.link().await?;
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, blocking)) = at.as_ref().filter(|(of, _)| of.is(&link)) {
            return Ok(Arc::clone(blocking));
        }
        if let Some((_, before)) = at.take() {
            before.client.close();
        }
        let blocking = Arc::new(link.open_blocking()?);
        *at = Some((link, Arc::clone(&blocking)));
        Ok(blocking)
    }

    /// Learns from an error of a read where the shard is now.
    pub(super) async fn heed(&self, error: &StoreError) {
        let link = self.at.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(link, _)| link.clone());
        if let Some(link) = link {
            drop(self.route.follow(error, &link).await);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Route::Slot(_), Some((_, blocking))) = (&self.route, at) {
            blocking.client.close();
        }
    }
}
