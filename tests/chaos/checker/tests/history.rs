//! A history made by hand, small enough to read: fifteen jobs with a life of their own kind each.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// When it begins, in unix milliseconds.
pub(crate) const T0: u64 = 1_800_000_000_000;

/// The id of a job.
pub(crate) fn job(n: u64) -> String {
    format!("0{n:021}")
}

/// The id of an attempt.
pub(crate) fn attempt(n: u64) -> String {
    format!("1{n:021}")
}

/// What the folder holds.
#[derive(Clone, Default)]
pub(crate) struct History {
    pub(crate) meta: Value,
    /// Lines by file.
    pub(crate) files: BTreeMap<&'static str, Vec<Value>>,
    pub(crate) keys: Map<String, Value>,
    pub(crate) views: Map<String, Value>,
    /// The dump before the faults with loss.
    pub(crate) safe: Option<Value>,
    ops: u64,
}

impl History {
    /// One line, `ms` after the beginning.
    pub(crate) fn line(&mut self, file: &'static str, ms: u64, mut what: Value) {
        what["t"] = json!((T0 + ms) * 1000);
        self.files.entry(file).or_default().push(what);
    }

    /// An entry of the log; `J3`, `A4` in the items stand for ids.
    pub(crate) fn log(&mut self, ms: u64, items: &str, claimed_by: u64) {
        let by = if claimed_by == 0 { String::new() } else { attempt(claimed_by) };
        let line = json!({"gen": u64::from(ms > 7_100), "entry": format!("{}-0", T0 + ms), "e": spell(items), "a": by});
        self.line("log", ms, line);
    }

    /// An operation from `ms` on, 2 ms long.
    pub(crate) fn op(&mut self, ms: u64, phase: &str, about: Value, told: Value) {
        self.ops += 1;
        let with = |phase: &str, more: &Value| {
            let mut line = about.clone();
            line["op"] = json!(self.ops);
            line["phase"] = json!(phase);
            more.as_object().into_iter().flatten().for_each(|(name, value)| line[name] = value.clone());
            line
        };
        let (invoke, end) = (with("invoke", &json!({})), with(phase, &told));
        self.line("ops", ms, invoke);
        self.line("ops", ms + 2, end);
    }

    pub(crate) fn enqueue(&mut self, ms: u64, n: u64, workspace: &str, kind: &str, phase: &str) {
        let about = json!({"f": "enqueue", "via": "api0", "ws": workspace, "key": format!("k{n}"), "type": kind,
            "body": format!("b{n}"), "queue": "default"});
        let told = if phase == "ok" { json!({"job": job(n), "state": "pending", "replay": false}) } else { json!({}) };
        self.op(ms, phase, about, told);
    }

    /// The job in the dump, as it ended.
    fn ended(&mut self, n: u64, workspace: &str, kind: &str, letter: &str, facts: (u64, u64, u64)) {
        let (attempts, crashes, by) = facts;
        let token = if by == 0 { String::new() } else { attempt(by) };
        let options = match n {
            5 => format!("X{}\tR{}\t", T0 + 604_800_000, T0 + 500),
            6 => "M1\t".to_owned(),
            7 => format!("X{}\t", T0 + 300),
            _ => String::new(),
        };
        let record = format!("{workspace}\t{kind}\tprint\t{options}k{n}\n{{}}");
        let word = match letter {
            "s" => "succeeded",
            "d" => "dead",
            "c" => "cancelled",
            _ => "expired",
        };
        if letter == "d" {
            let reason = if crashes >= 3 { "poison" } else { "permanent" };
            let entry = format!("d\t{attempts}\t{crashes}\t\t\t{token}\t{T0} x\n{{\"reason\":\"{reason}\"}}");
            self.keys["ai:jobs"]["value"][job(n)] = json!(record);
            self.keys["ai:attempts"]["value"][job(n)] = json!(entry);
            self.keys["ai:queue:dead"]["value"][job(n)] = json!("1");
        } else {
            let done = format!("{letter}\t{:013}\t{attempts}\t{crashes}\t\t{token}\n\n\n{{}}\n{record}", T0 + 100);
            self.keys["ai:done:500000"]["value"][job(n)] = json!(done);
        }
        let key = json!({"type": "string", "pttl": 86_390_000, "value": format!("{}print", job(n))});
        self.keys.insert(format!("ai:idempotency:{workspace}:k{n}"), key);
        self.views.insert(job(n), json!({"id": job(n), "state": word, "attempt": attempts}));
    }

    /// A job more, whose first attempt fails.
    pub(crate) fn retried(&mut self, n: u64, ms: u64, waits_ms: u64) {
        self.ended(n, "red", "echo", "s", (2, 0, 200 + n));
        self.enqueue(ms - 1, n, "red", "echo", "ok");
        self.log(ms, &format!("J{n}P0"), 0);
        self.log(ms + 1, &format!("J{n}R1"), 100 + n);
        let (first, second) = (100 + n, 200 + n);
        if waits_ms == 0 {
            self.log(ms + 2, &format!("J{n}:A{first}P1 J{n}R2"), second);
        } else {
            self.log(ms + 2, &format!("J{n}:A{first}S1"), 0);
            self.log(ms + 2 + waits_ms, &format!("J{n}P1 J{n}R2"), second);
        }
        self.log(ms + 3 + waits_ms, &format!("J{n}:A{second}s2"), 0);
    }

    /// A job more, with which four workers die.
    pub(crate) fn crashing(&mut self, n: u64) {
        self.ended(n, "red", "echo", "s", (1, 0, 305));
        self.enqueue(30_000, n, "red", "echo", "ok");
        self.log(30_001, &format!("J{n}P0 J{n}R1"), 300);
        for i in 0..5 {
            let at = 30_001 + i * 2_100;
            let lease = json!({"job": job(n), "attempt": attempt(300 + i), "worker": format!("c{i}"), "deadline": T0 + at + 2_000});
            self.line("leases", at + 10, lease);
            self.line("workers", at + 20, json!({"worker": format!("c{i}"), "name": "worker3", "event": "exit"}));
            let reaped = format!("J{n}:A{}P0 J{n}R1", 300 + i);
            self.log(at + 2_100, &reaped, 301 + i);
        }
        self.log(41_000, &format!("J{n}:A305s1"), 0);
    }

    /// A look at the queue after the log's entry at `ms`.
    pub(crate) fn snapshot(&mut self, ms: u64) {
        let mut state: BTreeMap<String, char> = BTreeMap::new();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let lost = |line: &Value| line["t"] == json!((T0 + 7_000) * 1000) && ms > 7_100;
        let until = (T0 + ms) * 1000;
        let log = self.files["log"].iter().filter(|l| l["e"].is_string() && l["t"].as_u64() <= Some(until) && !lost(l));
        for item in log.flat_map(|line| line["e"].as_str().unwrap().split(' ')) {
            let (id, what) = (&item[..22], item[22..].strip_prefix(':').map_or(&item[22..], |named| &named[22..]));
            let (letter, count) = (what.chars().next().unwrap(), &what[1..]);
            let before = if letter == 'p' { None } else { Some(state.insert(id.to_owned(), letter)) };
            let name = match (before.unwrap_or(Some('p')), letter) {
                (None, _) => "enqueue",
                (Some('c'), 'P') => "redriven",
                (_, 'R') => "dequeue",
                (Some('R'), 'S') => "retried",
                (Some('R'), 'P') => "lease_expiries",
                (_, 's') => "succeeded",
                (_, 'd') => "dead",
                (_, 'c') => "cancelled",
                (_, 'e') => "expired",
                _ => continue,
            };
            *counts.entry(name).or_default() += 1;
            // Given up on as poison: the lease ran out, too.
            *counts.entry("lease_expiries").or_default() += u64::from(letter == 'd' && count == "0");
        }
        let of = |letters: &str| state.values().filter(|letter| letters.contains(**letter)).count();
        let line = json!({"redis_ms": T0 + ms, "entry": format!("{}-0", T0 + ms), "gen": 0, "queue": "default", "epoch": "e1",
            "pending_len": of("P"), "order": {"high": 0, "normal": of("P"), "low": 0}, "parked": {}, "parked_sets": {},
            "parked_total": 0, "scheduled": of("S"), "running": of("R"), "held": of("H"), "dead": of("d"),
            "jobs": of("PSRHd"), "done_total": of("sce"), "stats": counts, "slots": {"capped": 0},
            "limits": {"capped": "1\t1"}});
        self.line("snapshots", ms + 1, line);
    }

    /// The line of `file` that is the n-th with `text` in it.
    pub(crate) fn find(&mut self, file: &'static str, text: &str, nth: usize) -> &mut Value {
        let lines = self.files.get_mut(file).unwrap();
        lines.iter_mut().filter(|line| line.to_string().contains(&spell(text))).nth(nth).expect("such a line")
    }

    /// Adds to every enqueue of a job.
    pub(crate) fn request(&mut self, n: u64, name: &str, value: &str) {
        let lines = self.files.get_mut("ops").unwrap().iter_mut();
        lines.filter(|line| line["key"] == format!("k{n}")).for_each(|line| line[name] = json!(value));
    }

    /// Takes lines out.
    pub(crate) fn remove(&mut self, file: &'static str, text: &str) {
        let lines = self.files.get_mut(file).unwrap();
        let before = lines.len();
        lines.retain(|line| !line.to_string().contains(&spell(text)));
        assert!(lines.len() < before, "{file} has no {text}");
    }

    /// Replaces text in the log's entry at `ms`.
    pub(crate) fn edit(&mut self, ms: u64, from: &str, to: &str) {
        let line = self.find("log", &format!("\"{}-0\"", T0 + ms), 0);
        let items = line["e"].as_str().unwrap();
        assert!(items.contains(&spell(from)), "{items} has no {from}");
        line["e"] = json!(items.replace(&spell(from), &spell(to)));
    }

    /// Moves the log's entry at `ms` to another time.
    pub(crate) fn shift(&mut self, ms: u64, to: u64) {
        let line = self.find("log", &format!("\"{}-0\"", T0 + ms), 0);
        line["entry"] = json!(format!("{}-0", T0 + to));
        line["t"] = json!((T0 + to) * 1000);
    }

    /// Changes the text of a job in the dump.
    pub(crate) fn record(&mut self, key: &str, n: u64, from: &str, to: &str) {
        let value = &mut self.keys[key]["value"][job(n)];
        let text = value.as_str().unwrap();
        assert!(text.contains(&spell(from)), "{text} has no {from}");
        *value = json!(text.replace(&spell(from), &spell(to)));
    }

    /// Takes a job that ended well out of the dump.
    pub(crate) fn forget(&mut self, n: u64, workspace: &str) {
        self.keys["ai:done:500000"]["value"].as_object_mut().unwrap().remove(&job(n)).expect("it was there");
        self.keys.remove(&format!("ai:idempotency:{workspace}:k{n}")).expect("it had a key");
        self.views.insert(job(n), json!({"missing": 404}));
    }

    /// Everything is lost after it was dumped once.
    pub(crate) fn flush(&mut self) {
        self.safe = Some(json!({"keys": self.keys, "jobs": self.views}));
        self.line("nemesis", 8_000, json!({"metric": "dumped", "file": "safe.json"}));
        self.line(
            "nemesis",
            8_100,
            json!({"n": 3, "fault": "flushall", "class": "F", "target": "redis", "phase": "begin"}),
        );
        self.line(
            "nemesis",
            8_200,
            json!({"n": 3, "fault": "flushall", "class": "F", "target": "redis", "phase": "end"}),
        );
        self.line("log", 8_150, json!({"gen": 1, "marker": "lost_suffix", "last": "0-0", "why": "flushall"}));
        self.line("nemesis", 9_000, json!({"metric": "dumped", "file": "final.json"}));
        self.keys = Map::new();
        self.views.values_mut().for_each(|view| *view = json!({"missing": 404}));
    }

    /// Writes the folder.
    pub(crate) fn write(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        if let Some(safe) = &self.safe {
            std::fs::write(folder.path().join("safe.json"), safe.to_string()).unwrap();
        }
        std::fs::write(folder.path().join("meta.json"), self.meta.to_string()).unwrap();
        for (file, lines) in &self.files {
            let mut lines = lines.clone();
            lines.sort_by_key(|line| line["t"].as_u64());
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            std::fs::write(folder.path().join(format!("{file}.jsonl")), text).unwrap();
        }
        let last = json!({"keys": self.keys, "jobs": self.views});
        std::fs::write(folder.path().join("final.json"), last.to_string()).unwrap();
        folder
    }
}

/// `J3` and `A4` as ids.
fn spell(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['J', 'A']) {
        let digits = rest[at + 1..].chars().take_while(char::is_ascii_digit).count();
        out.push_str(&rest[..at]);
        match rest[at + 1..at + 1 + digits].parse() {
            Ok(n) if rest[at..].starts_with('J') => out.push_str(&job(n)),
            Ok(n) => out.push_str(&attempt(n)),
            Err(_) => out.push_str(&rest[at..=at]),
        }
        rest = &rest[at + 1 + digits..];
    }
    out + rest
}

/// The one that is valid.
pub(crate) fn valid() -> History {
    let mut h = History {
        meta: json!({"seed": 7, "minutes": 1, "git": "abc", "lease_ms": 2000, "durability": "everysec", "bug": null}),
        ..History::default()
    };
    frame(&mut h);
    clients(&mut h);
    transitions(&mut h);
    h.line("sink", 25, json!({"kind": "webhook", "key": job(2), "job": job(2), "effect": false, "answered": 503}));
    h.line("sink", 1005, json!({"kind": "webhook", "key": job(2), "job": job(2), "effect": true, "answered": 200}));
    h.line("sink", 7415, json!({"kind": "llm", "key": job(14), "job": job(14), "attempt": 1, "answered": 200}));
    h.snapshot(99);
    h.snapshot(7_000);
    h.snapshot(7_510);
    let mut late = h.files["snapshots"][2].clone();
    late["epoch"] = json!("e2");
    h.line("snapshots", 30_000, late);
    h
}

fn frame(h: &mut History) {
    for (name, kind) in
        [("ai:jobs", "hash"), ("ai:attempts", "hash"), ("ai:queue:dead", "zset"), ("ai:queue:stats", "hash")]
    {
        h.keys.insert(name.to_owned(), json!({"type": kind, "pttl": -1, "value": {}}));
    }
    h.keys.insert("ai:done:500000".to_owned(), json!({"type": "hash", "pttl": 90_000_000, "value": {}}));
    h.keys.insert("ai:queue:running".to_owned(), json!({"type": "zset", "pttl": -1, "value": {"=".repeat(65): "inf"}}));
    h.keys.insert("ai:index:red:500000".to_owned(), json!({"type": "list", "pttl": 1_000_000, "value": [job(1)]}));
    h.line("workers", 0, json!({"worker": "w1", "name": "worker1", "pid": 1, "event": "start"}));
    h.line("workers", 0, json!({"worker": "w2", "name": "worker2", "pid": 2, "event": "start"}));
    h.line("workers", 100, json!({"worker": "w1", "name": "worker1", "pid": 1, "event": "exit", "status": "killed"}));
    let kill = json!({"n": 1, "fault": "worker_kill", "class": "S", "target": "worker1", "phase": "begin", "args": {}});
    h.line("nemesis", 99, kill);
    let back = json!({"n": 1, "fault": "worker_kill", "class": "S", "target": "worker1", "phase": "end", "args": {}});
    h.line("nemesis", 400, back);
    h.line("nemesis", 6_990, json!({"n": 2, "fault": "promotion", "class": "F", "target": "redis", "phase": "begin"}));
    h.line("nemesis", 7_150, json!({"n": 2, "fault": "promotion", "class": "F", "target": "redis", "phase": "end"}));
    h.line("nemesis", 7_600, json!({"metric": "healed", "all_up": true}));
    h.line("nemesis", 7_700, json!({"metric": "throughput", "baseline_per_s": 100, "recovered_ms": 900}));
    h.line("nemesis", 19_900, json!({"metric": "quiesce", "reached": true, "ms": 200}));
    let lease = json!({"job": job(1), "attempt": attempt(1), "worker": "w2", "deadline": T0 + 2_020});
    h.line("leases", 25, lease);
    let orphan = json!({"job": job(3), "attempt": attempt(4), "worker": "w1", "deadline": T0 + 2_040});
    h.line("leases", 45, orphan);
}

fn clients(h: &mut History) {
    h.op(1, "ok", json!({"f": "limit", "ws": "capped", "cap": 1}), json!({"status": 200}));
    let lives = [
        (1, "red", "echo", "s", (1, 0, 1)),
        (2, "red", "webhook.send", "s", (2, 0, 3)),
        (3, "blue", "sleep", "s", (1, 1, 5)),
        (4, "blue", "echo", "s", (1, 0, 6)),
        (5, "red", "echo", "s", (1, 0, 7)),
        (6, "red", "chaos.fault", "d", (1, 0, 8)),
        (7, "red", "echo", "e", (0, 0, 0)),
        (8, "blue", "echo", "s", (1, 0, 9)),
        (9, "red", "chaos.fault", "d", (0, 3, 0)),
        (11, "blue", "echo", "c", (1, 0, 13)),
        (12, "capped", "echo", "s", (1, 0, 14)),
        (13, "capped", "echo", "s", (1, 0, 15)),
        (14, "red", "llm.chat", "s", (1, 0, 16)),
        (15, "red", "webhook.send", "c", (0, 0, 0)),
    ];
    let begins = [10, 11, 12, 13, 14, 15, 16, 17, 18, 7_199, 7_299, 7_300, 7_399, 7_499];
    for ((n, workspace, kind, letter, facts), ms) in lives.into_iter().zip(begins) {
        h.ended(n, workspace, kind, letter, facts);
        h.enqueue(ms, n, workspace, kind, if n == 8 { "unknown" } else { "ok" });
    }
    // Acknowledged, and lost with the old primary.
    h.enqueue(6_999, 10, "red", "echo", "ok");
    h.views.insert(job(10), json!({"missing": 404}));
    let again = json!({"f": "enqueue", "ws": "red", "key": "k1", "type": "echo", "body": "b1", "queue": "default"});
    h.op(40, "ok", again.clone(), json!({"job": job(1), "state": "succeeded", "replay": true, "status": 200}));
    let mut other = again;
    other["body"] = json!("b1-altered");
    h.op(42, "fail", other, json!({"status": 422, "code": "request_id_reused"}));
    let about = |f: &str, ws: &str, n: u64| json!({"f": f, "ws": ws, "job": job(n)});
    h.op(49, "ok", about("cancel", "blue", 4), json!({"state": "cancelled", "status": 200}));
    h.op(60, "ok", about("redrive", "blue", 4), json!({"state": "pending", "status": 200}));
    h.op(7_229, "unknown", about("cancel", "blue", 11), json!({}));
    h.op(7_509, "ok", about("cancel", "red", 15), json!({"state": "cancelled", "status": 200}));
    let mut pry = about("get", "mallory", 1);
    pry["foreign"] = json!("red");
    h.op(7_550, "fail", pry, json!({"status": 404, "code": "not_found"}));
    h.op(7_600, "ok", about("get", "red", 1), json!({"status": 200, "state": "succeeded"}));
}

fn transitions(h: &mut History) {
    for n in 1..=9 {
        h.log(10 + n, &format!("J{n}{}0", if n == 5 { 'S' } else { 'P' }), 0);
    }
    h.log(20, "J1R1", 1);
    h.log(21, "J2R1", 2);
    h.log(30, "J1:A1s1", 0);
    h.log(35, "J2:A2S1", 0);
    h.log(40, "J3R1", 4);
    h.log(50, "J4c0", 0);
    h.log(61, "J4P0", 0);
    h.log(70, "J4R1", 6);
    h.log(80, "J4:A6s1", 0);
    h.log(90, "J6R1", 8);
    h.log(96, "J6:A8d1 J8R1", 9);
    h.log(99, "J8:A9s1", 0);
    h.log(110, "J9R1", 10);
    h.log(301, "J7e0", 0);
    h.log(505, "J5P0 J5R1", 7);
    h.log(510, "J5:A7s1", 0);
    h.log(1_000, "J2P1 J2R2", 3);
    h.log(1_010, "J2:A3s2", 0);
    h.log(2_050, "J3:A4P0 J3R1", 5);
    h.log(2_100, "J3:A5s1", 0);
    h.log(2_120, "J9:A10P0 J9R1", 11);
    h.log(4_140, "J9:A11P0 J9R1", 12);
    h.log(6_160, "J9:A12d0", 0);
    h.log(7_000, "J10P0", 0);
    h.line(
        "log",
        7_100,
        json!({"gen": 0, "marker": "lost_suffix", "last": format!("{}-0", T0 + 6_160), "why": "promotion"}),
    );
    h.log(7_200, "J11P0 J11R1", 13);
    h.log(7_220, "J11:A13H1", 0);
    h.log(7_230, "J11c1", 0);
    h.log(7_300, "J12P0", 0);
    h.log(7_301, "J13P0", 0);
    h.log(7_310, "J12R1", 14);
    h.log(7_320, "J12:A14s1", 0);
    h.log(7_321, "J13R1", 15);
    h.log(7_330, "J13:A15s1", 0);
    h.log(7_400, "J14P0", 0);
    h.log(7_410, "J14R1", 16);
    h.log(7_418, "J14:A16p1", 0);
    h.log(7_420, "J14:A16s1", 0);
    h.log(7_500, "J15P0", 0);
    h.log(7_510, "J15c0", 0);
}
