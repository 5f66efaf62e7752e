//! Verb `list`: a workspace's jobs, newest first.

use crate::domain::{Job, JobId, bounds};

use super::enqueue::{AHEAD_MS, BEHIND_MS};
use super::reply::{Reply, corrupt};
use super::views::{ListPage, ListPlace, ListPosition, ListQuery, Scope};
use super::{Store, StoreError};

const HOUR_MS: i64 = 3_600_000;
/// Ids looked at for one page; a page of a rare state may be short or empty and still go on.
pub(super) const LOOK: usize = 1_000;

impl Store {
    /// One page. A filter that matches little answers short pages with a `next`.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        if let Some(request_id) = &query.request_id {
            let id = self.job_of_request(&query.workspace, request_id).await?;
            let scope = Scope::Workspace(query.workspace.clone());
            let job = match id {
                Some(id) => self.job(&scope, id).await?,
                None => None,
            };
            return Ok(ListPage { jobs: job.into_iter().filter(|j| fits(query, j)).collect(), next: None });
        }
        let mut page = ListPage { jobs: Vec::new(), next: query.from.clone() };
        let mut looked = 0;
        let mut from = query.from.as_ref().and_then(|places| places.first()).and_then(|place| place.position());
        while page.jobs.len() < query.limit && looked < LOOK {
            let want = (query.limit - page.jobs.len()).min(bounds::SCRIPT_ITEMS);
            let (ids, next) = self.index(query, from, want).await?;
            looked += ids.len().max(1);
            let found = self.jobs(&ids).await?;
            page.jobs.extend(found.into_iter().flatten().map(|s| s.job).filter(|job| fits(query, job)));
            page.next = next.map(|position| vec![ListPlace::At(position)]);
            from = next;
            if next.is_none() {
                break;
            }
        }
        Ok(page)
    }

    pub(super) async fn index(
        &self,
        query: &ListQuery,
        from: Option<ListPosition>,
        want: usize,
    ) -> Result<(Vec<JobId>, Option<ListPosition>), StoreError> {
        // A job is in the index of the hour it was written in, which may not be that in its id.
        let newest = query.created_before.map(|t| (t.unix_ms() + BEHIND_MS) / HOUR_MS);
        let start = from.map(|p| p.hour).or(newest);
        // Indexes live 32 days.
        let oldest = query
            .created_after
            .map_or(0, |t| (t.unix_ms() - AHEAD_MS) / HOUR_MS)
            .max(self.now().await?.unix_ms() / HOUR_MS - 768);
        let args = vec![
            "-".into(),
            query.workspace.as_str().into(),
            start.map(|hour| hour.to_string()).unwrap_or_default().into(),
            from.map_or(-1, |p| p.offset).to_string().into(),
            oldest.to_string().into(),
            want.to_string().into(),
        ];
        let mut reply = Reply::array(self.run(&self.inner.scripts.list, args).await?)?;
        let (hour, offset) = (reply.text()?, reply.text()?);
        let ids = reply.texts()?.iter().filter_map(|id| id.parse().ok()).collect();
        let next = match (hour.parse(), offset.parse()) {
            (Ok(hour), Ok(offset)) => Some(ListPosition { hour, offset }),
            (Err(_), Ok(_)) if hour.is_empty() => None,
            _ => return Err(corrupt("a list position")),
        };
        Ok((ids, next))
    }
}

pub(super) fn fits(query: &ListQuery, job: &Job) -> bool {
    job.workspace == query.workspace
        && query.state.is_none_or(|state| state == job.state)
        && query.job_type.as_ref().is_none_or(|kind| *kind == job.job_type)
        && query.queue.as_ref().is_none_or(|queue| *queue == job.queue)
        && query.created_after.is_none_or(|after| job.created_at >= after)
        && query.created_before.is_none_or(|before| job.created_at < before)
}
