//! What clients asked for and were told.

use std::collections::{BTreeMap, HashMap};

use super::findings::Findings;
use super::jobs::{Expect, Jobs};
use super::lines::{Folder, Row};
use super::rules::State;
use super::symbols::{hash, hash_pair};

/// How operations of one kind ended.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) attempted: u64,
    pub(super) ok: u64,
    pub(super) failed: u64,
    pub(super) unknown: u64,
}

/// One use of a (workspace, client_request_id).
#[derive(Clone, Default)]
pub(super) struct Request {
    pub(super) text: (u16, String),
    /// The job of the first acknowledgement.
    pub(super) job: Option<u32>,
    /// A later acknowledgement with another job, and when.
    pub(super) others: Vec<(u32, u64)>,
    /// Some invocation may have been done.
    pub(super) possible: bool,
}

/// A change of a workspace's cap: between `from` and `until` it may or may not be in force.
pub(super) struct CapChange {
    pub(super) workspace: u16,
    /// `None` lifts the cap.
    pub(super) cap: Option<u64>,
    pub(super) from: u64,
    pub(super) until: u64,
}

/// All that the operations say.
#[derive(Default)]
pub(super) struct Ops {
    pub(super) tallies: BTreeMap<String, Tally>,
    pub(super) requests: HashMap<u64, Request>,
    pub(super) caps: Vec<CapChange>,
    pub(super) first_t: u64,
    pub(super) last_t: u64,
    /// Acknowledgements that named a job made before.
    pub(super) replays: u64,
}

/// What an open operation was invoked with.
struct Open {
    f: String,
    t: u64,
    workspace: String,
    key: String,
    body: String,
    kind: String,
    queue: String,
    job: Option<u32>,
    cap: Option<u64>,
    max_attempts: u64,
    /// The job is another workspace's: this has to fail.
    foreign: bool,
    expect: Expect,
}

struct Reader<'a> {
    jobs: &'a mut Jobs,
    found: &'a mut Findings,
    ops: Ops,
    open: HashMap<u64, Open>,
}

/// Reads `ops.jsonl`.
///
/// # Errors
/// When it is not there or has a line that is none.
pub(super) fn read(folder: &Folder<'_>, jobs: &mut Jobs, found: &mut Findings) -> Result<Ops, String> {
    let mut reader = Reader { jobs, found, ops: Ops::default(), open: HashMap::new() };
    if !folder.each("ops", |row| reader.row(row))? {
        return Err("ops.jsonl is not there".to_owned());
    }
    let open = std::mem::take(&mut reader.open);
    for invoked in open.into_values() {
        reader.unknown(&invoked);
    }
    reader.ops.caps.sort_by_key(|change| change.from);
    Ok(reader.ops)
}

impl Reader<'_> {
    fn row(&mut self, row: &Row) {
        let (f, t) = (row.word("f"), row.t());
        if self.ops.first_t == 0 {
            self.ops.first_t = t;
        }
        self.ops.last_t = t;
        if f == "canary" {
            let detail = format!("{}", row.value());
            return self.found.add("foreign_canary", t, row.text("job").map(str::to_owned), detail);
        }
        let op = row.number("op").unwrap_or_default();
        if row.word("phase") == "invoke" {
            let invoked = self.invoked(row);
            self.ops.tallies.entry(f.to_owned()).or_default().attempted += 1;
            self.open.insert(op, invoked);
            return;
        }
        let Some(invoked) = self.open.remove(&op) else {
            let detail = format!("operation {op} ended and was never invoked");
            return self.found.add("history_unreadable", t, None, detail);
        };
        let tally = self.ops.tallies.entry(invoked.f.clone()).or_default();
        match row.word("phase") {
            "ok" => {
                tally.ok += 1;
                self.acknowledged(row, &invoked);
            }
            "fail" => {
                tally.failed += 1;
                self.refused(row, &invoked);
            }
            _ => {
                tally.unknown += 1;
                self.unknown(&invoked);
            }
        }
    }

    fn invoked(&mut self, row: &Row) -> Open {
        Open {
            f: row.word("f").to_owned(),
            t: row.t(),
            workspace: row.word("ws").to_owned(),
            key: row.word("key").to_owned(),
            body: row.word("body").to_owned(),
            kind: row.word("type").to_owned(),
            queue: row.word("queue").to_owned(),
            job: row.text("job").and_then(|id| self.jobs.number(id)),
            cap: row.number("cap"),
            max_attempts: row.number("max_attempts").unwrap_or_default(),
            foreign: row.get("foreign").is_some(),
            // A run that is cut short by its own timeout may be so once more on a machine that is busy.
            expect: match row.word("expect") {
                "succeed" if row.get("timeout_ms").is_none() => Expect::Succeed,
                "die" => Expect::Die,
                _ => Expect::Either,
            },
        }
    }

    fn request(&mut self, invoked: &Open) -> &mut Request {
        let workspace = self.jobs.workspaces.number(&invoked.workspace);
        let request = self.ops.requests.entry(hash_pair(&invoked.workspace, &invoked.key)).or_default();
        if request.text.1.is_empty() {
            request.text = (workspace, invoked.key.clone());
        }
        request
    }

    fn acknowledged(&mut self, row: &Row, invoked: &Open) {
        let (t, told) = (row.t(), row.text("job").and_then(|id| self.jobs.number(id)));
        let state = row.text("state").and_then(State::from_word);
        if let (Some(job), Some(state), false) = (told.or(invoked.job), state, invoked.foreign) {
            self.jobs.job_mut(job).told |= state.bit();
        }
        match (invoked.f.as_str(), told.or(invoked.job)) {
            (f, Some(job)) if invoked.foreign => {
                let detail = format!("{} had its {f} of another workspace's job done", invoked.workspace);
                self.found.add("foreign_access", t, Some(self.jobs.id(job)), detail);
            }
            ("enqueue", Some(job)) => self.enqueued(row, invoked, job),
            ("cancel", Some(job)) => {
                let job = self.jobs.job_mut(job);
                job.cancels = job.cancels.saturating_add(1);
                if state.is_none_or(|state| state == State::Cancelled) {
                    job.cancel_acked = t;
                }
            }
            ("redrive", Some(job)) => {
                let job = self.jobs.job_mut(job);
                job.redrives = job.redrives.saturating_add(1);
            }
            ("limit", _) => self.cap(invoked, t),
            _ => {}
        }
    }

    fn enqueued(&mut self, row: &Row, invoked: &Open, number: u32) {
        let t = row.t();
        if row.is("replay") {
            self.ops.replays += 1;
        }
        let key = hash_pair(&invoked.workspace, &invoked.key);
        self.jobs.name_job(number, &invoked.workspace, queue_of(invoked), &invoked.kind);
        let body = hash(&invoked.body);
        let request = self.request(invoked);
        request.possible = true;
        match request.job {
            None => request.job = Some(number),
            Some(first) if first == number => {}
            Some(_) => request.others.push((number, t)),
        }
        let id = self.jobs.id(number);
        let job = self.jobs.job_mut(number);
        if job.acked == 0 {
            (job.acked, job.ack_invoked) = (t, invoked.t);
        }
        if job.key != 0 && job.key != key {
            let detail =
                format!("{}/{} was answered with it, and so was another request", invoked.workspace, invoked.key);
            self.found.add("job_shared_by_keys", t, Some(id.clone()), detail);
        }
        job.key = if job.key == 0 { key } else { job.key };
        if job.body != 0 && body != 0 && job.body != body {
            let detail = format!("{}/{} was accepted with two bodies", invoked.workspace, invoked.key);
            self.found.add("other_body_accepted", t, Some(id), detail);
        }
        job.body = if job.body == 0 { body } else { job.body };
        job.expect = if row.is("replay") { job.expect } else { invoked.expect };
        if invoked.max_attempts > 0 {
            job.max_attempts = u16::try_from(invoked.max_attempts).unwrap_or(0);
        }
    }

    fn refused(&mut self, row: &Row, invoked: &Open) {
        match (invoked.f.as_str(), invoked.job) {
            ("enqueue", _) => {
                self.request(invoked);
            }
            ("get", Some(number)) if !invoked.foreign && row.number("status") == Some(404) => {
                let job = self.jobs.job(number);
                // Judged later, when it is known what a loss took.
                if job.acked != 0 && job.acked < invoked.t {
                    self.jobs.job_mut(number).missed_at = row.t();
                }
            }
            _ => {}
        }
    }

    /// It may have happened.
    fn unknown(&mut self, invoked: &Open) {
        match (invoked.f.as_str(), invoked.job) {
            ("enqueue", _) => self.request(invoked).possible = true,
            _ if invoked.foreign => {}
            ("cancel", Some(job)) => {
                let job = self.jobs.job_mut(job);
                job.cancels = job.cancels.saturating_add(1);
            }
            ("redrive", Some(job)) => {
                let job = self.jobs.job_mut(job);
                job.redrives = job.redrives.saturating_add(1);
            }
            ("limit", _) => self.cap(invoked, u64::MAX),
            _ => {}
        }
    }

    fn cap(&mut self, invoked: &Open, until: u64) {
        let workspace = self.jobs.workspaces.number(&invoked.workspace);
        self.ops.caps.push(CapChange { workspace, cap: invoked.cap, from: invoked.t, until });
    }
}

fn queue_of(invoked: &Open) -> &str {
    if invoked.queue.is_empty() { "default" } else { &invoked.queue }
}
