//! What an operation would do: counts and examples, by reading only.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::walk::LOOK;
use crate::clock::{self, Instant};
use crate::domain::{JobFilter, JobId, JobState, OperationPlan, Preview, PreviewGroup, Workspace};
use crate::store::{JobGroups, Shards, Store, StoreError, Survey};

/// How long a look takes at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long workspaces are counted of a cause whose jobs are counted already.
const CURIOSITY: Duration = Duration::from_secs(3);

/// Workspaces shown.
const WORKSPACES: usize = 10;

/// Rows shown.
const ROWS: usize = 100;

/// Examples shown.
const SAMPLE: usize = 10;

/// The group of dead letters whose causes are too many to have groups.
const MIXED: &str = "other";

/// What was found on one shard.
#[derive(Default)]
struct Found {
    groups: JobGroups,
    workspaces: BTreeMap<Workspace, u64>,
    sample: Vec<JobId>,
    cut_short: bool,
}

/// Adds counts of one part to those of all.
fn add<K: Ord>(sum: &mut BTreeMap<K, u64>, part: BTreeMap<K, u64>) {
    part.into_iter().for_each(|(of, n)| *sum.entry(of).or_default() += n);
}

/// Looks at all shards at once.
pub(super) async fn preview(store: &Shards, plan: &OperationPlan) -> Result<Preview, StoreError> {
    if let Some(mut found) = by_groups(store, &plan.filter).await? {
        if plan.filter.fingerprint.is_some() && !found.groups.is_empty() {
            let end = clock::now() + CURIOSITY;
            for part in try_join_all(store.all().iter().map(|store| look(store, plan, end))).await? {
                add(&mut found.workspaces, part.workspaces);
            }
        }
        return Ok(sum([found]));
    }
    let end = clock::now() + PATIENCE;
    let found = try_join_all(store.all().iter().map(|store| look(store, plan, end))).await?;
    Ok(sum(found))
}

/// Dead letters are counted as they die: nothing has to be looked at if the filter asks for no more than those counts
/// say.
async fn by_groups(store: &Shards, filter: &JobFilter) -> Result<Option<Found>, StoreError> {
    let asks_more = filter.workspace.is_some()
        || filter.reason.is_some()
        || filter.held_reason.is_some()
        || filter.before.is_some()
        || filter.after.is_some()
        || !filter.metadata.is_empty();
    if asks_more || filter.states != [JobState::Dead] {
        return Ok(None);
    }
    let (mut found, groups) = (Found::default(), store.dead_groups().await?);
    if filter.fingerprint.is_some() && groups.iter().any(|group| group.fingerprint == MIXED) {
        return Ok(None);
    }
    for group in groups {
        let fits = filter.queue.as_ref().is_none_or(|queue| *queue == group.queue)
            && filter.job_type.as_ref().is_none_or(|kind| *kind == group.job_type)
            && filter.fingerprint.as_ref().is_none_or(|print| *print == group.fingerprint);
        if fits {
            *found.groups.entry((group.queue, group.job_type, JobState::Dead)).or_default() += group.count;
            found.sample.push(group.sample);
        }
    }
    Ok(Some(found))
}

async fn look(store: &Store, plan: &OperationPlan, end: Instant) -> Result<Found, StoreError> {
    let mut found = Found::default();
    let now = store.now().await?;
    for pass in [0, 1] {
        for place in store.places(plan, pass, now).await? {
            let mut position = Some(String::new());
            while let Some(from) = position {
                if clock::now() >= end {
                    found.cut_short = true;
                    return Ok(found);
                }
                let want = SAMPLE - found.sample.len().min(SAMPLE);
                let what = Survey { plan, cut: None, look: LOOK, want, count: true };
                let page = store.survey(&place, &from, what).await?;
                found.sample.extend(page.found);
                add(&mut found.workspaces, page.workspaces);
                add(&mut found.groups, page.groups);
                position = page.next;
            }
        }
    }
    Ok(found)
}

fn sum(parts: impl IntoIterator<Item = Found>) -> Preview {
    let (mut preview, mut groups) = (Preview { complete: true, ..Preview::default() }, BTreeMap::new());
    let mut workspaces: BTreeMap<Workspace, u64> = BTreeMap::new();
    for part in parts {
        preview.complete &= !part.cut_short;
        preview.sample.extend(part.sample);
        add(&mut groups, part.groups);
        add(&mut workspaces, part.workspaces);
    }
    preview.workspaces = workspaces.into_iter().collect();
    preview.workspaces.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    preview.other_workspaces = preview.workspaces.len().saturating_sub(WORKSPACES) as u64;
    preview.workspaces.truncate(WORKSPACES);
    preview.sample.truncate(SAMPLE);
    preview.matched = groups.values().sum();
    let row = |((queue, job_type, state), count)| PreviewGroup { queue, job_type, state, count };
    preview.groups = groups.into_iter().map(row).collect();
    preview.groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    preview.groups.truncate(ROWS);
    preview
}
