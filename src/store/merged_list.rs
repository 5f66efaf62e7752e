//! The jobs of a workspace from all shards, newest first.

use std::collections::VecDeque;

use futures_util::future::try_join_all;

use crate::domain::{Job, JobId, bounds};

use super::list::{LOOK, fits};
use super::reply::corrupt;
use super::shards::Shards;
use super::views::{ListPage, ListPlace, ListPosition, ListQuery, Scope};
use super::{Store, StoreError};

/// Ids of one shard from a place on, not yet taken.
struct Ahead<'a> {
    store: &'a Store,
    /// Where the first of `ids` is; `None` when nothing is left.
    place: ListPlace,
    ids: VecDeque<JobId>,
    /// What comes after `ids`.
    after: ListPlace,
    taken: usize,
}

impl Ahead<'_> {
    async fn fill(&mut self, query: &ListQuery, want: usize) -> Result<(), StoreError> {
        if self.ids.is_empty() && !matches!(self.after, ListPlace::End) {
            // Only after its first id does a shard have a place that new jobs do not move.
            let want = if matches!(self.after, ListPlace::Start) { 1 } else { want };
            let (ids, next) = self.store.index(query, self.after.position(), want).await?;
            (self.place, self.after, self.taken) = (self.after, next.map_or(ListPlace::End, ListPlace::At), 0);
            self.ids = ids.into();
        }
        Ok(())
    }

    /// Where the next page of this shard starts: the index is asked how far the ids taken reach.
    async fn rest(&self, query: &ListQuery) -> Result<ListPlace, StoreError> {
        if self.ids.is_empty() {
            return Ok(self.after);
        }
        if self.taken == 0 {
            return Ok(self.place);
        }
        let (_, next) = self.store.index(query, self.place.position(), self.taken).await?;
        Ok(next.map_or(ListPlace::End, ListPlace::At))
    }
}

impl Shards {
    /// One page. A filter that matches little answers short pages with a `next`.
    ///
    /// # Errors
    /// When a shard did not answer.
    pub async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        if let Some(request_id) = &query.request_id {
            return self.of_request(&query.workspace, request_id).list(query).await;
        }
        if self.count() == 1 {
            return self.first().list(query).await;
        }
        let from = query.from.clone().unwrap_or_else(|| vec![ListPlace::Start; self.count()]);
        if from.len() != self.count() {
            return Err(corrupt("a list position of another number of shards"));
        }
        let ahead = |(store, after)| Ahead { store, place: after, ids: VecDeque::new(), after, taken: 0 };
        let mut shards: Vec<Ahead<'_>> = self.all().iter().zip(from).map(ahead).collect();
        let (mut jobs, mut looked) = (Vec::new(), 0);
        while jobs.len() < query.limit && looked < LOOK {
            let want = (query.limit - jobs.len()).min(bounds::SCRIPT_ITEMS);
            let ids = newest(&mut shards, query, want).await?;
            if ids.is_empty() {
                break;
            }
            looked += ids.len();
            jobs.extend(self.jobs_of(&ids).await?.into_iter().filter(|job| fits(query, job)));
        }
        let rest = try_join_all(shards.iter().map(|shard| shard.rest(query))).await?;
        let more = rest.iter().any(|place| !matches!(place, ListPlace::End));
        Ok(ListPage { jobs, next: more.then_some(rest) })
    }

    /// The jobs of these ids that are still kept, in their order.
    async fn jobs_of(&self, ids: &[JobId]) -> Result<Vec<Job>, StoreError> {
        let scope = Scope::All;
        let parts = self.all().iter().map(async |store| {
            let own: Vec<JobId> = ids.iter().copied().filter(|id| id.shard() == store.shard()).collect();
            if own.is_empty() { Ok(Vec::new()) } else { store.jobs(&own).await }
        });
        let mut found: Vec<Job> = try_join_all(parts).await?.into_iter().flatten().flatten().map(|s| s.job).collect();
        found.retain(|job| scope.sees(&job.workspace));
        found.sort_by_key(|job| ids.iter().position(|id| *id == job.id));
        Ok(found)
    }
}

/// Takes up to `want` ids, each time the newest that any shard has next. A page of index may be empty
/// and still go on, so one call may bring fewer.
async fn newest(shards: &mut [Ahead<'_>], query: &ListQuery, want: usize) -> Result<Vec<JobId>, StoreError> {
    let mut ids = Vec::with_capacity(want);
    while ids.len() < want {
        try_join_all(shards.iter_mut().map(|shard| shard.fill(query, want))).await?;
        let next =
            shards.iter_mut().filter(|shard| !shard.ids.is_empty()).max_by_key(|shard| shard.ids.front().copied());
        let Some(shard) = next else { break };
        ids.extend(shard.ids.pop_front());
        shard.taken += 1;
    }
    Ok(ids)
}

impl ListPlace {
    pub(super) fn position(self) -> Option<ListPosition> {
        match self {
            Self::At(position) => Some(position),
            Self::Start | Self::End => None,
        }
    }
}
