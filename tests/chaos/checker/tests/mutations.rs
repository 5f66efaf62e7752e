//! The valid history with one thing changed, for every class.

use serde_json::json;

use super::checker::{self, CLASSES};
use super::history::{History, T0, attempt, job, valid};

type Change = fn(&mut History);

/// The class that has to be found, and no other.
const MUTATIONS: &[(&str, Change)] = &[
    ("acked_job_lost", |h| h.forget(1, "red")),
    ("job_vanished", |h| h.forget(8, "blue")),
    ("two_jobs_for_key", |h| {
        h.record("ai:done:500000", 5, "\tk5\n", "\tk1\n");
        h.remove("ops", "\"k5\"");
        h.keys.remove("ai:idempotency:red:k5");
    }),
    ("job_shared_by_keys", |h| {
        let about = json!({"f": "enqueue", "ws": "red", "key": "k1", "type": "echo", "body": "b5", "queue": "default"});
        h.op(700, "ok", about, json!({"job": job(5), "replay": true}));
    }),
    ("other_body_accepted", |h| {
        let about = json!({"f": "enqueue", "ws": "red", "key": "k1", "type": "echo", "body": "b9", "queue": "default"});
        h.op(700, "ok", about, json!({"job": job(1), "replay": true}));
    }),
    ("lease_overlap", |h| h.edit(2_050, "J3:A4P0 J3R1", "J3R1")),
    ("stale_write", |h| h.edit(2_100, "J3:A5s1", "J3:A4s1")),
    ("stale_write", |h| h.record("ai:done:500000", 3, "A5", "A4")),
    ("stale_write", |h| h.edit(7_418, "A16", "A15")),
    ("illegal_transition", |h| h.log(25, "J1e1", 0)),
    ("illegal_transition", |h| h.edit(30, "J1:A1s1", "J1s1")),
    ("terminal_not_final", |h| h.log(7_600, "J1R2", 17)),
    ("terminal_not_final", |h| h.remove("ops", "\"redrive\"")),
    ("terminal_not_final", |h| h.log(55, "J1:A1d1", 0)),
    ("attempt_number", |h| h.edit(1_000, "J2R2", "J2R1")),
    ("attempt_number", |h| h.edit(2_050, "J3R1", "J3R2")),
    ("attempts_over_max", |h| h.record("ai:done:500000", 2, "\tk2\n", "\tM1\tk2\n")),
    ("poison_rule", |h| h.record("ai:attempts", 9, "poison", "error")),
    ("poison_rule", |h| {
        h.edit(2_120, "J9:A10P0 J9R1", "J9:A10d0");
        h.remove("log", "J9:A11");
        h.remove("log", "J9:A12");
    }),
    ("poison_rule", |h| {
        h.crashing(30);
        h.find("nemesis", "quiesce", 0)["t"] = json!((T0 + 50_000) * 1000);
    }),
    ("ran_before_due", |h| h.record("ai:done:500000", 5, &(T0 + 500).to_string(), &(T0 + 900).to_string())),
    ("backoff_skipped", |h| (30..40).for_each(|n| h.retried(n, 7_000 + 20 * n + 20, 0))),
    ("retry_too_late", |h| {
        h.files.remove("snapshots");
        h.shift(1_000, 15_000);
        h.shift(1_010, 15_010);
        h.find("sink", "200", 0)["t"] = json!((T0 + 15_005) * 1000);
    }),
    ("expired_job_ran", |h| h.request(1, "expires_at", "2027-01-15T07:59:58.500Z")),
    ("expired_early", |h| h.request(7, "expires_at", "2027-01-15T08:00:00.400Z")),
    ("ran_before_due", |h| h.request(5, "run_at", "2027-01-15T08:00:00.900Z")),
    ("transition_without_invoke", |h| {
        let about = |line: &serde_json::Value| line["f"] == "cancel" && line["job"] == json!(job(15));
        h.files.get_mut("ops").unwrap().retain(|line| !about(line));
    }),
    ("transition_without_invoke", |h| h.remove("ops", "\"k8\"")),
    ("failed_op_took_effect", |h| h.find("ops", "\"k8\"", 1)["phase"] = json!("fail")),
    ("wrong_end", |h| h.request(6, "expect", "succeed")),
    ("wrong_end", |h| h.request(1, "expect", "die")),
    ("view_disagrees", |h| {
        h.op(700, "ok", json!({"f": "wait", "ws": "red", "job": job(1)}), json!({"state": "dead"}));
    }),
    ("cancel_lost", |h| {
        h.op(700, "ok", json!({"f": "cancel", "ws": "red", "job": job(1)}), json!({"status": 200}));
    }),
    ("effect_of_cancelled", |h| h.line("sink", 7_505, json!({"kind": "webhook", "job": job(15), "answered": 200}))),
    ("effect_after_end", |h| h.line("sink", 15_000, json!({"kind": "webhook", "job": job(3), "answered": 200}))),
    ("effect_resent", |h| h.line("sink", 7_416, json!({"kind": "llm", "job": job(14), "answered": 200}))),
    ("effect_resent", |h| h.line("sink", 26, json!({"kind": "webhook", "job": job(2), "answered": 200}))),
    ("effect_missing", |h| h.find("sink", "200", 0)["answered"] = json!("cut")),
    ("cap_exceeded", |h| h.shift(7_321, 7_315)),
    ("slots_wrong", |h| h.find("snapshots", "pending_len", 2)["slots"]["capped"] = json!(1)),
    ("slots_wrong", |h| {
        let leaked = json!({"type": "set", "pttl": -1, "value": [format!("{}:{}", job(12), attempt(14))]});
        h.keys.insert("ai:queue:slots:capped".to_owned(), leaked);
    }),
    ("foreign_access", |h| h.find("ops", "mallory", 1)["phase"] = json!("ok")),
    ("foreign_canary", |h| {
        h.line("ops", 900, json!({"f": "canary", "phase": "fail", "op": 99, "ws": "red", "foreign": "blue"}))
    }),
    ("depth_drift", |h| h.find("snapshots", "pending_len", 0)["pending_len"] = json!(17)),
    ("parked_drift", |h| h.find("snapshots", "pending_len", 0)["parked_total"] = json!(1)),
    ("sum_not_conserved", |h| {
        let line = h.find("snapshots", "pending_len", 2);
        line["entry"] = json!(format!("{}-7", T0 + 7_510));
        line["stats"]["cancelled"] = json!(9);
    }),
    ("recount_differs", |h| {
        let stats = &mut h.find("snapshots", "pending_len", 2)["stats"];
        for name in ["enqueue", "succeeded"] {
            stats[name] = json!(stats[name].as_u64().unwrap() + 1);
        }
    }),
    ("lease_deadline", |h| h.find("leases", "A1", 0)["deadline"] = json!(T0 + 520)),
    ("lease_deadline", |h| h.find("leases", "A1", 0)["deadline"] = json!(T0 + 3_602_020)),
    ("orphan_late", |h| {
        h.files.remove("snapshots");
        h.shift(2_050, 12_050);
        h.shift(2_100, 12_100);
    }),
    ("not_terminal", |h| {
        h.remove("log", "J14:A16s1");
        h.files.remove("snapshots");
        let done = h.keys["ai:done:500000"]["value"].as_object_mut().unwrap().remove(&job(14)).unwrap();
        let record = done.as_str().unwrap().splitn(5, '\n').nth(4).unwrap().to_owned();
        h.keys["ai:jobs"]["value"][job(14)] = json!(record);
        h.keys["ai:attempts"]["value"][job(14)] = json!(format!("r\t1\t0\t1\tw2\t{}\t\n", attempt(16)));
        h.keys["ai:queue:running"]["value"][format!("{}:{}", job(14), attempt(16))] = json!("1");
        h.views[&job(14)]["state"] = json!("running");
    }),
    ("not_terminal", |h| {
        h.forget(14, "red");
        h.find("nemesis", "quiesce", 0)["t"] = json!((T0 + 7_415) * 1000);
        for file in ["log", "ops"] {
            h.remove(file, "J15");
        }
        h.files.get_mut("ops").unwrap().retain(|line| line["key"] != "k15");
        h.keys["ai:done:500000"]["value"].as_object_mut().unwrap().remove(&job(15));
        h.keys.remove("ai:idempotency:red:k15");
        h.views.remove(&job(15));
        h.files.remove("snapshots");
    }),
    ("not_terminal", |h| h.find("nemesis", "quiesce", 0)["reached"] = json!(false)),
    ("key_gone", |h| drop(h.keys.remove("ai:idempotency:red:k1"))),
    ("key_ttl", |h| h.keys["ai:idempotency:red:k1"]["pttl"] = json!(-1)),
    ("key_ttl", |h| h.keys["ai:idempotency:red:k1"]["pttl"] = json!(60_000)),
    ("key_leaked", |h| {
        drop(h.keys.insert("ai:mystery".to_owned(), json!({"type": "string", "pttl": -1, "value": "1"})))
    }),
    ("key_leaked", |h| h.keys["ai:attempts"]["value"][job(1)] = json!("w\t0\t0\t\t\t\t\n")),
    ("key_leaked", |h| {
        let orphan = json!({"type": "string", "pttl": 5, "value": format!("{}print", job(77))});
        h.keys.insert("ai:idempotency:red:k77".to_owned(), orphan);
    }),
    ("dump_disagrees", |h| {
        h.record("ai:done:500000", 1, "s\t", "c\t");
        h.views[&job(1)]["state"] = json!("cancelled");
    }),
    ("view_disagrees", |h| h.views[&job(1)]["state"] = json!("dead")),
    ("view_disagrees", |h| {
        h.op(700, "fail", json!({"f": "get", "ws": "red", "job": job(1)}), json!({"status": 404}));
    }),
    ("slow_recovery", |h| h.find("nemesis", "baseline", 0)["recovered_ms"] = json!(null)),
    ("loss_not_detected", |h| h.find("snapshots", "e2", 0)["epoch"] = json!("e1")),
    ("log_incomplete", |h| h.line("log", 8_000, json!({"marker": "trimmed"}))),
    ("log_incomplete", |h| {
        h.remove("log", "J1P0");
        h.remove("log", "J1R1");
        h.remove("log", "J1:A1s1");
        h.files.remove("snapshots");
        h.files.remove("leases");
    }),
    ("history_unreadable", |h| h.line("ops", 900, json!({"f": "get", "phase": "ok", "op": 98}))),
];

fn names(h: &History) -> (Vec<&'static str>, String) {
    let folder = h.write();
    let report = checker::check(folder.path());
    let mut names: Vec<&str> = report.violations.iter().map(|violation| violation.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(report.valid, names.is_empty());
    (names, report.text)
}

#[test]
fn the_valid_history_is_valid() {
    let (names, text) = names(&valid());
    assert!(names.is_empty(), "{text}");
    for figure in ["1 lost in a declared window", "2 dead", "9 succeeded", "\nvalid\n", "1 unknown enqueues"] {
        assert!(text.contains(figure), "{figure} in\n{text}");
    }
}

#[test]
fn every_mutation_is_caught_by_its_name_and_nothing_else_is() {
    let mut wrong = Vec::new();
    for (at, (name, change)) in MUTATIONS.iter().enumerate() {
        let mut history = valid();
        change(&mut history);
        let (found, text) = names(&history);
        if found != [*name] {
            wrong.push(format!("{at} {name}: found {found:?}\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_class_has_a_mutation() {
    let without: Vec<&str> =
        CLASSES.iter().map(|(name, _)| *name).filter(|name| !MUTATIONS.iter().any(|(n, _)| n == name)).collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn the_first_job_of_a_class_is_told_from_every_source() {
    let mut history = valid();
    history.edit(2_100, "J3:A5s1", "J3:A4s1");
    let (_, text) = names(&history);
    for part in ["stale_write", "client", "log ", "lease ", "fault  worker_kill", "SEED=7 MINUTES=1"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn a_loss_that_was_not_declared_is_a_lost_job() {
    let mut history = valid();
    history.remove("log", "lost_suffix");
    let (found, text) = names(&history);
    assert!(found.contains(&"acked_job_lost"), "{text}");
}

#[test]
fn strict_durability_excuses_no_lost_window() {
    let mut history = valid();
    history.meta["durability"] = json!("strict");
    let (found, text) = names(&history);
    assert_eq!(found, ["acked_job_lost"], "{text}");
}

#[test]
fn what_was_there_before_a_flush_is_judged_by_the_dump_before_it() {
    let mut history = valid();
    history.flush();
    let (found, text) = names(&history);
    assert!(found.is_empty(), "{text}");
    assert!(text.contains("9 succeeded") && text.contains("14 lost in a declared window"), "{text}");
    let mut history = valid();
    history.forget(1, "red");
    history.flush();
    assert_eq!(names(&history).0, ["acked_job_lost"]);
    let mut history = valid();
    history.edit(2_100, "J3:A5s1", "J3:A4s1");
    history.flush();
    assert_eq!(names(&history).0, ["stale_write"]);
}

#[test]
fn a_slot_may_be_that_of_a_job_that_a_loss_took_before_anyone_was_told_of_it() {
    let slots = |slots: u64| {
        let mut history = valid();
        history.enqueue(6_999, 20, "capped", "echo", "unknown");
        history.log(7_001, "J20P0", 0);
        history.log(7_002, "J20R1", 40);
        history.snapshot(7_002);
        history.find("snapshots", &format!("{}-0", T0 + 7_002), 0)["slots"] = json!({"capped": slots});
        names(&history)
    };
    let (found, text) = slots(1);
    assert!(found.is_empty(), "{text}");
    assert_eq!(slots(2).0, ["slots_wrong"]);
}

#[test]
fn retries_that_wait_are_no_violation() {
    let mut history = valid();
    (30..40).for_each(|n| history.retried(n, 7_000 + 20 * n + 20, n - 29));
    let (found, text) = names(&history);
    assert!(found.is_empty(), "{text}");
}
