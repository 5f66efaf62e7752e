//! The final dump: what each job became, and whether every key belongs to somebody.

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::findings::Findings;
use super::jobs::{Dumped, Jobs};
use super::keys::{Family, family};
use super::lines::{Folder, as_number};
use super::rules::State;
use super::symbols::{hash, hash_pair};

type Raw<'a> = HashMap<String, &'a RawValue>;

/// Reads a dump.
///
/// # Errors
/// When it is not there or no such document.
pub(super) fn read(folder: &Folder<'_>, file: &str, jobs: &mut Jobs, found: &mut Findings) -> Result<(), String> {
    let text = folder.document(file)?.ok_or_else(|| format!("{file} is not there"))?;
    let whole: Raw = serde_json::from_str(&text).map_err(|e| format!("{file}: {e}"))?;
    let part = |name: &str| -> Result<Raw, String> {
        let part = whole.get(name).ok_or_else(|| format!("{file}: no `{name}`"))?;
        serde_json::from_str(part.get()).map_err(|e| format!("{file}: {name}: {e}"))
    };
    let keys = part("keys")?;
    let mut dump = Dump { jobs, found, in_line: HashMap::new(), running: HashMap::new() };
    // What a job is comes before what points at it.
    for pass in 0..4 {
        for (name, raw) in &keys {
            let key: Value = match (pass, family(name)) {
                (0, Family::Jobs)
                | (1, Family::Attempts)
                | (2, Family::Done)
                | (
                    3,
                    Family::Known
                    | Family::Expires
                    | Family::Queue(..)
                    | Family::Progress
                    | Family::Effects
                    | Family::Idempotency(..),
                )
                | (3, Family::Unknown) => {
                    serde_json::from_str(raw.get()).map_err(|e| format!("{}: {name}: {e}", file))?
                }
                _ => continue,
            };
            dump.key(name, &key);
        }
    }
    dump.lines_add_up(&keys);
    dump.views(&part("jobs")?)
}

struct Dump<'a> {
    jobs: &'a mut Jobs,
    found: &'a mut Findings,
    /// By queue: members of the order, the parked sets and the depth list.
    in_line: HashMap<String, [i64; 3]>,
    running: HashMap<String, ()>,
}

impl Dump<'_> {
    fn key(&mut self, name: &str, key: &Value) {
        let ttl = key.get("pttl").and_then(Value::as_i64).unwrap_or(-1);
        if ttl == -2 {
            // It ended while the dump was written.
            return;
        }
        let value = key.get("value").unwrap_or(&Value::Null);
        match family(name) {
            Family::Jobs => pairs(value).into_iter().for_each(|(id, record)| self.record(&id, &record, State::Pending)),
            Family::Attempts => pairs(value).into_iter().for_each(|(id, entry)| self.entry(&id, &entry)),
            Family::Done => {
                self.expires(name, ttl);
                pairs(value).into_iter().for_each(|(id, done)| self.ended(&id, &done));
            }
            Family::Idempotency(workspace, request) => self.idempotency(name, workspace, request, ttl, value),
            Family::Queue(what, queue) => self.queue(name, what, queue, value),
            Family::Progress | Family::Effects => {
                for (id, _) in pairs(value) {
                    self.belongs(name, &id, |state| state.is_live() || state == State::Dead);
                }
            }
            Family::Expires => self.expires(name, ttl),
            Family::Known => {}
            Family::Unknown => self.found.add("key_leaked", 0, None, format!("no such key is documented: {name}")),
        }
    }

    fn expires(&mut self, name: &str, ttl: i64) {
        if ttl < 0 {
            self.found.add("key_leaked", 0, None, format!("{name} has no TTL"));
        }
    }

    fn record(&mut self, id: &str, record: &str, state: State) {
        let Some(number) = self.jobs.number(id) else {
            return self.found.add("key_leaked", 0, None, format!("a record under {id}, which is no id"));
        };
        let head: Vec<&str> = record.split('\n').next().unwrap_or_default().split('\t').collect();
        let [workspace, kind, _, ref options @ .., request] = head[..] else {
            return self.found.add("dump_disagrees", 0, Some(id.to_owned()), "its record has other fields");
        };
        let option = |letter: char| options.iter().find_map(|option| option.strip_prefix(letter));
        self.jobs.name_job(number, workspace, option('Q').unwrap_or("default"), kind);
        let job = self.jobs.job_mut(number);
        if job.dump.state != State::Unborn {
            let two = format!("it is {} and {} at once", job.dump.state.word(), state.word());
            self.found.add("dump_disagrees", 0, Some(id.to_owned()), two);
        }
        job.dump.state = state;
        job.max_attempts = option('M').unwrap_or("3").parse().unwrap_or(0);
        job.run_at_ms = option('R').unwrap_or("0").parse().unwrap_or(0);
        // One that says nothing has days.
        job.expires_at_ms = option('X').unwrap_or("0").parse().unwrap_or(0);
        job.key = hash_pair(workspace, request);
    }

    fn entry(&mut self, id: &str, entry: &str) {
        let (head, failure) = entry.split_once('\n').unwrap_or((entry, ""));
        let head: Vec<&str> = head.split('\t').collect();
        let known = self.jobs.find(id).filter(|n| self.jobs.job(*n).dump.state != State::Unborn);
        let (Some(number), [letter, attempt, crashes, _, _, token, ..]) = (known, &head[..]) else {
            return self.found.add("key_leaked", 0, Some(id.to_owned()), "an attempts entry without a job");
        };
        let state = match *letter {
            "r" => State::Running,
            "h" => State::Held,
            "d" => State::Dead,
            _ => State::Pending,
        };
        self.jobs.job_mut(number).dump = dumped(state, attempt, crashes, token, failure);
    }

    fn ended(&mut self, id: &str, done: &str) {
        let parts: Vec<&str> = done.splitn(5, '\n').collect();
        let [head, failure, _, _, record] = parts[..] else {
            return self.found.add("dump_disagrees", 0, Some(id.to_owned()), "its done record has other lines");
        };
        let head: Vec<&str> = head.split('\t').collect();
        let [letter, _, attempt, crashes, _, token] = head[..] else {
            return self.found.add("dump_disagrees", 0, Some(id.to_owned()), "its done record has other fields");
        };
        let state = match letter {
            "s" => State::Succeeded,
            "c" => State::Cancelled,
            _ => State::Expired,
        };
        self.record(id, record, state);
        if let Some(number) = self.jobs.find(id) {
            self.jobs.job_mut(number).dump = dumped(state, attempt, crashes, token, failure);
        }
    }

    fn idempotency(&mut self, name: &str, workspace: &str, request: &str, ttl: i64, value: &Value) {
        let id = value.as_str().and_then(|text| text.get(..22)).unwrap_or_default();
        let known = self.jobs.find(id).filter(|n| self.jobs.job(*n).dump.state != State::Unborn);
        let Some(number) = known else {
            return self.found.add("key_leaked", 0, None, format!("{name} names a job that does not exist: {id}"));
        };
        let job = self.jobs.job_mut(number);
        if job.key == hash_pair(workspace, request) {
            job.key_ttl_ms = Some(ttl);
        } else {
            self.found.add("job_shared_by_keys", 0, Some(id.to_owned()), format!("{name} names it too"));
        }
    }

    fn queue(&mut self, name: &str, what: &str, queue: &str, value: &Value) {
        let kind = what.split(':').next().unwrap_or_default();
        let totals = self.in_line.entry(queue.to_owned()).or_default();
        let members = members(value);
        match kind {
            "pending" => totals[2] = members.len() as i64,
            "order" => totals[0] += members.len() as i64,
            "parked" if what != "parked" => totals[1] += members.len() as i64,
            _ => {}
        }
        match kind {
            "order" => self.all_belong(name, &members, |s| s == State::Pending),
            "parked" if what != "parked" => self.all_belong(name, &members, |s| s == State::Pending),
            "scheduled" => {
                self.all_belong(name, &members, |s| s == State::Pending);
                for id in &members {
                    if let Some(number) = self.jobs.find(id) {
                        self.jobs.job_mut(number).dump.state = State::Scheduled;
                    }
                }
            }
            "held" => self.all_belong(name, &members, |s| s == State::Held),
            "dead" => self.all_belong(name, &members, |s| s == State::Dead),
            "running" => {
                // The long member holds the set's form.
                for member in members.iter().filter(|m| m.len() == 45) {
                    self.lease(name, member);
                }
            }
            _ => {}
        }
    }

    fn lease(&mut self, name: &str, member: &str) {
        let (id, token) = member.split_once(':').unwrap_or((member, ""));
        let held = self.jobs.find(id).map(|n| self.jobs.job(n).dump);
        if held.is_none_or(|d| d.state != State::Running || d.token != hash(token)) {
            self.found.add(
                "key_leaked",
                0,
                Some(id.to_owned()),
                format!("{name} has a lease of a job that does not run"),
            );
        }
        self.running.insert(member.to_owned(), ());
    }

    fn all_belong(&mut self, name: &str, ids: &[String], fits: impl Fn(State) -> bool) {
        for id in ids {
            self.belongs(name, id, &fits);
        }
    }

    fn belongs(&mut self, name: &str, id: &str, fits: impl Fn(State) -> bool) {
        let state = self.jobs.find(id).map_or(State::Unborn, |n| self.jobs.job(n).dump.state);
        if !fits(state) {
            let detail = format!("{name} has it, and it is {}", state.word());
            self.found.add("key_leaked", 0, Some(id.to_owned()), detail);
        }
    }

    fn lines_add_up(&mut self, keys: &Raw) {
        for (queue, [order, parked, depth]) in &self.in_line {
            if order + parked != *depth {
                let detail = format!("at the end, queue {queue}: depth {depth}, order {order}, parked {parked}");
                self.found.add("depth_drift", 0, None, detail);
            }
        }
        for (name, raw) in keys {
            let Family::Queue(what, _) = family(name) else { continue };
            if what.starts_with("slots:") {
                let value: Value = serde_json::from_str(raw.get()).unwrap_or_default();
                for member in members(value.get("value").unwrap_or(&Value::Null)) {
                    if !self.running.contains_key(&member) {
                        self.found.add("slots_wrong", 0, None, format!("at the end {name} has {member}, no lease"));
                    }
                }
            }
        }
    }

    fn views(&mut self, views: &Raw) -> Result<(), String> {
        for (id, raw) in views {
            let Some(number) = self.jobs.number(id) else { continue };
            let view: Value = serde_json::from_str(raw.get()).map_err(|e| format!("final.json: job {id}: {e}"))?;
            let state = view.get("state").and_then(Value::as_str).and_then(State::from_word);
            let attempt = view.get("attempt").and_then(as_number);
            let told = self.jobs.job(number).dump;
            if state.is_some_and(|s| s != told.state) || (state.is_none() && told.state != State::Unborn) {
                let seen = state.map_or("nothing", State::word);
                let detail = format!("GET answers {seen}, the dump has it {}", told.state.word());
                self.found.add("view_disagrees", 0, Some(id.clone()), detail);
            } else if attempt.is_some_and(|n| n != u64::from(told.attempt)) {
                let detail = format!("GET answers attempt {attempt:?}, the dump has {}", told.attempt);
                self.found.add("view_disagrees", 0, Some(id.clone()), detail);
            }
        }
        Ok(())
    }
}

fn dumped(state: State, attempt: &str, crashes: &str, token: &str, failure: &str) -> Dumped {
    Dumped {
        state,
        attempt: attempt.parse().unwrap_or(0),
        crashes: crashes.parse().unwrap_or(0),
        token: hash(token),
        poisoned: failure.contains("\"reason\":\"poison\""),
    }
}

/// Field and value of a hash, written as an object or as Redis lists it.
fn pairs(value: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    match value {
        Value::Object(map) => map.iter().map(|(field, v)| (field.clone(), text(v))).collect(),
        Value::Array(flat) => flat.chunks_exact(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        _ => Vec::new(),
    }
}

/// Members of a list, set or sorted set; of the last they may come as pairs with their scores or as an object.
fn members(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(|item| match item {
                Value::Array(pair) => pair.first().and_then(Value::as_str).map(str::to_owned),
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            })
            .collect(),
        _ => Vec::new(),
    }
}
