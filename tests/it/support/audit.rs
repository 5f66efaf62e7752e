//! The whole keyspace at one moment, and what must be true of it at every moment.

use std::collections::{BTreeMap, BTreeSet};

use windlass::store::StoreError;

use crate::support::redis::TestRedis;

const SNAPSHOT: &str = r"
local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local items = { kind, tostring(redis.call('PTTL', key)) }
  local found = {}
  if kind == 'hash' then found = redis.call('HGETALL', key)
  elseif kind == 'zset' then found = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'list' then found = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'set' then found = redis.call('SMEMBERS', key)
  elseif kind == 'string' then found = { redis.call('GET', key) }
  elseif kind == 'stream' then found = { tostring(redis.call('XLEN', key)) }
  end
  for i = 1, #found do items[#items + 1] = found[i] end
  all[key] = items
end
local time = redis.call('TIME')
return string.format('%.0f ', time[1] * 1000 + math.floor(time[2] / 1000)) .. cjson.encode(all)";

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) kind: String,
    /// Milliseconds to live, -1 for no end.
    pub(crate) pttl: i64,
    /// Flat, as Redis answers.
    pub(crate) items: Vec<String>,
}

/// Every key of a server.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// When it was taken, in milliseconds since the epoch.
    at: i64,
    pub(crate) keys: BTreeMap<String, Content>,
}

impl Snapshot {
    pub(crate) fn take(redis: &TestRedis) -> Self {
        let text = redis.ask(&["EVAL", SNAPSHOT, "0"]);
        let (at, text) = text.split_once(' ').expect("a time and a snapshot");
        let all: BTreeMap<String, Vec<String>> =
            if text == "{}" { BTreeMap::new() } else { serde_json::from_str(text).expect("a snapshot") };
        let content = |mut items: Vec<String>| {
            let rest = items.split_off(2);
            Content { kind: items[0].clone(), pttl: items[1].parse().unwrap(), items: rest }
        };
        let at = at.parse().expect("a time");
        Self { at, keys: all.into_iter().map(|(key, items)| (key, content(items))).collect() }
    }

    /// Content without times to live, in a fixed order: equal when no write happened in between.
    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<String>> {
        let sorted = |c: &Content| {
            let width = if matches!(c.kind.as_str(), "hash" | "zset") { 2 } else { 1 };
            let mut rows: Vec<String> = c.items.chunks(width).map(|row| row.join(" = ")).collect();
            if c.kind != "list" {
                rows.sort();
            }
            rows
        };
        self.keys.iter().map(|(key, content)| (key.clone(), sorted(content))).collect()
    }

    pub(crate) fn hash(&self, key: &str) -> BTreeMap<String, String> {
        self.items(key).chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }

    /// Members of a sorted set, without the long sentinel of the lease set.
    pub(crate) fn members(&self, key: &str) -> Vec<String> {
        self.items(key).chunks(2).map(|pair| pair[0].clone()).filter(|m| !m.starts_with('=')).collect()
    }

    pub(crate) fn items(&self, key: &str) -> &[String] {
        self.keys.get(key).map_or(&[], |content| content.items.as_slice())
    }

    fn number(&self, hash: &str, field: &str) -> i64 {
        self.hash(hash).get(field).map_or(0, |n| n.parse().unwrap())
    }

    fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (String, Vec<String>)> + 'a {
        self.keys
            .keys()
            .filter(move |key| key.starts_with(prefix))
            .map(move |key| (key[prefix.len()..].to_owned(), self.members(key)))
    }
}

/// A live job's record, cut.
struct Record {
    /// Its last moment in line, if it names one, in milliseconds since the epoch.
    expires: Option<i64>,
    workspace: String,
    band: String,
    request: String,
}

fn record(text: &str) -> Record {
    let parts: Vec<&str> = text.lines().next().unwrap().split('\t').collect();
    let [workspace, _kind, _print, options @ .., request] = &parts[..] else { panic!("no record: {text}") };
    let band = options.iter().find_map(|option| option.strip_prefix('B')).unwrap_or("normal");
    let expires = options.iter().take(2).find_map(|option| option.strip_prefix('X')?.parse().ok());
    Record { expires, workspace: (*workspace).into(), band: band.into(), request: (*request).into() }
}

const QUEUE: &str = "ai:queue:";
const BANDS: [&str; 3] = ["high", "normal", "low"];

/// Checks queue `default`, the only one the caller used. Panics with the first thing that is wrong.
pub(crate) fn audit(redis: &TestRedis) -> Snapshot {
    let all = Snapshot::take(redis);
    let places = places(&all);
    every_job_is_where_its_entry_says(&all, &places);
    the_line_adds_up(&all);
    slots_are_live_leases(&all);
    counters_conserve(&all);
    idempotency_keys_live(&all);
    all
}

/// Job id → every place that names it.
fn places(all: &Snapshot) -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |id: &str, place: String| places.entry(id.to_owned()).or_default().push(place);
    for band in BANDS {
        for id in all.members(&format!("{QUEUE}order:{band}")) {
            add(&id, format!("line:{band}"));
        }
    }
    for (field, ids) in all.under(&format!("{QUEUE}parked:")) {
        let band = field.split(':').next().unwrap();
        ids.iter().for_each(|id| add(id, format!("line:{band}")));
    }
    for name in ["scheduled", "held", "dead"] {
        all.members(&format!("{QUEUE}{name}")).iter().for_each(|id| add(id, name.to_owned()));
    }
    for member in all.members(&format!("{QUEUE}running")) {
        let (id, token) = member.split_once(':').unwrap();
        add(id, format!("running:{token}"));
    }
    for (key, content) in all.keys.iter().filter(|(key, _)| key.starts_with("ai:effects:")) {
        assert!(content.pttl > 0, "a bucket of effects without an end");
        let done = all.hash(&key.replace("effects", "done"));
        content.items.chunks(2).for_each(|pair| assert!(done.contains_key(&pair[0]), "{key} keeps {}", pair[0]));
    }
    for (_, content) in all.keys.iter().filter(|(key, _)| key.starts_with("ai:done:")) {
        assert!(content.pttl > 0, "a done bucket without an end");
        content.items.chunks(2).for_each(|pair| add(&pair[0], "done".to_owned()));
    }
    places
}

fn every_job_is_where_its_entry_says(all: &Snapshot, places: &BTreeMap<String, Vec<String>>) {
    let (jobs, attempts) = (all.hash("ai:jobs"), all.hash("ai:attempts"));
    for (id, at) in places {
        assert_eq!(at.len(), 1, "{id} is in {at:?}");
        assert_eq!(at[0] == "done", !jobs.contains_key(id), "{id} has a record and is in {at:?}");
    }
    for (id, text) in &jobs {
        let band = record(text).band;
        let entry = attempts.get(id).map_or("w", String::as_str);
        let fields: Vec<&str> = entry.split('\n').next().unwrap().split('\t').collect();
        let place = places.get(id).unwrap_or_else(|| panic!("{id} is nowhere"))[0].as_str();
        let fits = match fields[0] {
            "w" => place == format!("line:{band}") || place == "scheduled",
            "r" => place == format!("running:{}", fields[5]),
            "h" => place == "held",
            "d" => place == "dead",
            _ => false,
        };
        assert!(fits, "{id} is {entry:?} and in {place}");
    }
    for key in ["ai:attempts", "ai:progress", "ai:effects"] {
        for id in all.hash(key).keys() {
            assert!(jobs.contains_key(id), "{key} keeps {id}");
        }
    }
}

fn the_line_adds_up(all: &Snapshot) {
    let ordered: usize = BANDS.iter().map(|band| all.members(&format!("{QUEUE}order:{band}")).len()).sum();
    let parked: BTreeMap<String, usize> =
        all.under(&format!("{QUEUE}parked:")).map(|(field, ids)| (field, ids.len())).collect();
    let total: usize = parked.values().sum();
    assert_eq!(all.items("ai:queue:pending").len(), ordered + total, "the depth list");
    let counted = all.hash("ai:queue:parked");
    for (field, n) in &parked {
        assert_eq!(counted.get(field), Some(&n.to_string()), "parked count of {field}");
    }
    for field in counted.keys().filter(|f| f.contains(':')) {
        assert!(parked.contains_key(field), "a parked count without a set: {field}");
    }
    assert_eq!(all.number("ai:queue:parked", "total"), total as i64);
    let waits = |field: &&String| matches!(field.split(':').nth(1), Some("o" | "s"));
    let waiting: usize = parked.iter().filter(|(field, _)| waits(field)).map(|(_, n)| n).sum();
    assert_eq!(all.number("ai:queue:parked", "waiting"), waiting as i64);
}

fn slots_are_live_leases(all: &Snapshot) {
    let jobs = all.hash("ai:jobs");
    let running: Vec<String> = all.members("ai:queue:running");
    for (workspace, limits) in all.hash("ai:limits") {
        let capped = limits.split('\t').nth(1).is_some_and(|cap| !cap.is_empty());
        let own: BTreeSet<&String> =
            running.iter().filter(|m| jobs.get(&m[..22]).is_some_and(|r| record(r).workspace == workspace)).collect();
        let slots: BTreeSet<&String> = all.items(&format!("{QUEUE}slots:{workspace}")).iter().collect();
        assert!(!capped || slots == own, "slots of {workspace}: {slots:?}, leases: {own:?}");
    }
}

fn counters_conserve(all: &Snapshot) {
    let stat = |field: &str| all.number("ai:queue:stats", field);
    let live = (all.hash("ai:jobs").len() - all.members("ai:queue:dead").len()) as i64;
    let ended = stat("succeeded") + stat("dead") + stat("cancelled") + stat("expired");
    let stats = all.hash("ai:queue:stats");
    assert_eq!(stat("enqueue") + stat("redriven"), live + ended, "{stats:?}");
    let held: i64 =
        stats.iter().filter(|(field, _)| field.starts_with("held:")).map(|(_, n)| n.parse::<i64>().unwrap()).sum();
    assert_eq!(held, all.members("ai:queue:held").len() as i64, "{stats:?}");
}

fn idempotency_keys_live(all: &Snapshot) {
    let attempts = all.hash("ai:attempts");
    for (id, text) in &all.hash("ai:jobs") {
        let record = record(text);
        let state = attempts.get(id).map_or("w", |entry| &entry[..1]);
        let name = format!("ai:idempotency:{}:{}", record.workspace, record.request);
        if state == "d" {
            // Its key runs out before its record does.
            continue;
        }
        let Some(key) = all.keys.get(&name) else { panic!("{id} lost its idempotency key") };
        assert!(key.items[0].starts_with(id.as_str()), "{name} is another job's");
        // A day, to the second, longer than its job may be in line: that is over when nobody has looked since.
        let in_line = record.expires.map_or(i64::MAX, |expires| expires - all.at).min(0);
        let lives = if state == "h" { key.pttl == -1 } else { key.pttl - in_line >= 86_400_000 - 1000 };
        assert!(lives, "{name} of a job in state {state} lives {} ms, its time in line {in_line} ms", key.pttl);
    }
}

/// Keys that may stay when every job has ended.
const MAY_STAY: &[&str] = &[
    "ai:done:",
    "ai:effects:",
    "ai:idempotency:",
    "ai:index",
    "ai:queue:stats",
    "ai:queue:fair",
    "ai:queue:running",
    "ai:queue:workers",
    "ai:queue:wake",
    "ai:queue:blocked",
    "ai:queues",
    "ai:events",
    "ai:worker",
    "ai:limits",
    "ai:llm:breaker:",
    "ai:llm:limits",
    "ai:llm:money:",
    "ai:llm:rate:",
    "ai:llm:usage:",
    "ai:layout",
    "ai:policy",
    "ai:action:cap:",
    "ai:epoch",
];

/// After every job has ended, nothing of any job is left but what runs out by itself.
pub(crate) fn assert_no_leak(redis: &TestRedis) {
    let all = audit(redis);
    for (key, content) in &all.keys {
        // Counts of nothing: one small hash per queue.
        let parked_counts = key == "ai:queue:parked" && content.items.len() <= 6;
        assert!(
            parked_counts || MAY_STAY.iter().any(|prefix| key.starts_with(prefix)),
            "left over: {key}: {content:?}"
        );
        if key.starts_with("ai:idempotency:") {
            assert!((1..=86_400_000).contains(&content.pttl), "{key} lives {} ms", content.pttl);
        }
    }
    for (key, content) in all.keys.iter().filter(|(key, _)| key.starts_with("ai:llm:") && *key != "ai:llm:limits") {
        assert!(content.pttl > 0, "{key} stays for ever");
    }
    assert!(all.members("ai:queue:running").is_empty());
}

/// Keys of the line: every script that moves jobs checks these first.
pub(crate) const LINE_KEYS: &[&str] = &[
    "ai:jobs",
    "ai:attempts",
    "ai:events",
    "ai:limits",
    "ai:queues",
    "ai:queue:stats",
    "ai:queue:fair",
    "ai:queue:parked",
    "ai:queue:pending",
    "ai:queue:wake",
    "ai:queue:scheduled",
    "ai:queue:running",
    "ai:queue:expiring",
    "ai:queue:order:high",
    "ai:queue:order:normal",
    "ai:queue:order:low",
    "ai:queue:finish:high",
    "ai:queue:finish:normal",
    "ai:queue:finish:low",
    "ai:queue:blocked",
    "ai:queue:workers",
];

/// Keys of a job's end, checked by every script that ends jobs. The done bucket is added by name.
pub(crate) const ENDING_KEYS: &[&str] =
    &["ai:progress", "ai:effects", "ai:dead:groups", "ai:queue:dead", "ai:queue:held", "ai:workers"];

/// With each of `keys` holding a value of a wrong type in turn, `call` fails and changes nothing.
pub(crate) async fn refuses_wrong_types<T: std::fmt::Debug>(
    redis: &TestRedis,
    keys: &[&str],
    call: impl AsyncFn() -> Result<T, StoreError>,
) {
    for key in keys {
        let saved = format!("ai:saved:{key}");
        redis.ask(&["RENAME", key, &saved]);
        redis.ask(&["SET", key, "of a wrong type"]);
        let before = Snapshot::take(redis).contents();
        match call().await {
            Err(StoreError::Corrupt(text)) => {
                assert!(text.contains("WLTYPE") && text.contains(&redis.named(key)), "{text}")
            }
            other => panic!("{key} of a wrong type: {other:?}"),
        }
        assert_eq!(Snapshot::take(redis).contents(), before, "{key} of a wrong type");
        redis.ask(&["DEL", key]);
        redis.ask(&["RENAME", &saved, key]);
    }
}
