//! What calls ask of the fleet: a share of the limits before each one, and an account after it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::domain::Timestamp;
use crate::domain::llm::{Demand, Reserved, Settlement};
use crate::store::{Shards, StoreError};

/// A call to the fleet's book.
pub type FleetFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The book of limits, breakers and spending that all processes share.
pub trait Fleet: Send + Sync {
    /// Asks for a share of every limit that a call touches, before it begins.
    ///
    /// # Errors
    /// When the book cannot be reached; nothing may be sent then.
    fn reserve(&self, demand: Demand) -> FleetFuture<'_, Reserved>;

    /// Accounts for a call that ended. The same settlement again changes nothing.
    ///
    /// # Errors
    /// When the book cannot be reached. The share is then given back when its hold ends.
    fn settle(&self, settlement: Settlement) -> FleetFuture<'_, ()>;

    /// The book's time, to which [`Reserved::Later`] refers.
    fn now(&self) -> Timestamp;
}

impl Fleet for Shards {
    fn reserve(&self, demand: Demand) -> FleetFuture<'_, Reserved> {
        Box::pin(async move { Self::reserve(self, &demand).await })
    }

    fn settle(&self, settlement: Settlement) -> FleetFuture<'_, ()> {
        Box::pin(async move { Self::settle(self, &settlement).await })
    }

    fn now(&self) -> Timestamp {
        self.now_estimate()
    }
}

impl fmt::Debug for dyn Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fleet")
    }
}
