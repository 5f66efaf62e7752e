//! What people decide about held jobs.

use serde_json::{Value, json};
use windlass::domain::{EffectClass, HeldReason, JobId, JobState};
use windlass::store::{EffectBegun, Ending};

use crate::support::action::{MAIL, mail};
use crate::support::api::{ADMIN, Answer, Api};
use crate::support::fleet::reaches;
use crate::support::jobs::{TestWorker, failure};
use crate::support::redis::TestRedis;

const MISSING: &str = "01dYYPmhqlwgqv9oepz~O0";

struct Desk {
    api: Api,
    worker: TestWorker,
    /// Submits and reads.
    client: String,
    approver: String,
    operator: String,
}

impl Desk {
    async fn open() -> Self {
        let redis = TestRedis::start().await;
        let store = redis.store().await;
        let api = Api::start_offering(redis, store, mail(true).0, |_, _| {}).await;
        Self {
            worker: TestWorker::offering(&api.store, &[MAIL]).await,
            client: api.key("acme", &["jobs:read", "jobs:write", "jobs:approve"]).await,
            approver: api.key("acme", &["jobs:approve"]).await,
            operator: api.key("*", &["queue:operate"]).await,
            api,
        }
    }

    /// A job that a worker set aside.
    async fn held(&self, id: &str, reason: HeldReason) -> JobId {
        let job = json!({"client_request_id": id, "type": MAIL, "input": {"to": ["a@example.org"]}});
        let id = self.api.post(&self.client, "/ai/jobs", &job).await.id();
        let claimed = self.worker.claim_one(&self.api.store).await;
        if reason == HeldReason::OutcomeUnknown {
            let begun = self.api.store.effect_begin(&claimed, "post", EffectClass::Once, false, "").await;
            assert_eq!(begun.unwrap(), EffectBegun::Fresh);
        }
        let mut failure = failure();
        failure.at = self.api.store.now().await.unwrap();
        self.worker.end(&self.api.store, &claimed, Ending::Held { reason, failure }).await;
        id
    }

    async fn effects(&self, id: JobId) -> Value {
        self.api.get(&self.client, &format!("/ai/jobs/{id}/effects")).await.json()
    }

    async fn approve(&self, key: &str, id: JobId, body: &Value) -> Answer {
        self.api.post(key, &format!("/ai/jobs/{id}/approve"), body).await
    }

    async fn resolve(&self, id: JobId, body: &Value) -> Answer {
        self.api.post(&self.operator, &format!("/ai/jobs/{id}/resolve"), body).await
    }
}

#[tokio::test]
async fn a_job_is_approved_by_the_digest_of_what_was_seen() {
    let desk = Desk::open().await;
    let id = desk.held("r1", HeldReason::Approval).await;
    let seen = desk.effects(id).await;
    assert_eq!((&seen["held_reason"], &seen["input"]), (&json!("approval"), &json!({"to": ["a@example.org"]})));
    assert!(seen["held_since"].is_string() && seen["approve_until"].is_string(), "{seen}");
    let other = desk.approve(&desk.approver, id, &json!({"digest": "0".repeat(64)})).await;
    assert_eq!((other.status, other.code()), (409, "digest_mismatch".to_owned()));
    let approval = json!({"digest": seen["digest"], "note": "known"});
    let own = desk.approve(&desk.client, id, &approval).await;
    assert_eq!((own.status, own.code()), (403, "requester_may_not_approve".to_owned()));
    let approved = desk.approve(&desk.approver, id, &approval).await;
    assert_eq!((approved.status, &approved.json()["state"]), (200, &json!("pending")));
    let record = desk.effects(id).await;
    assert_eq!((&record["approval"]["digest"], &record["approval"]["by"]), (&seen["digest"], &json!("tester: known")));
    assert_eq!(desk.approve(&desk.approver, id, &approval).await.status, 200, "the same again is the same");
    let late = desk.approve(&desk.approver, id, &json!({"digest": seen["digest"], "note": "me too"})).await;
    assert_eq!((late.status, late.code()), (409, "wrong_state".to_owned()));
}

#[tokio::test]
async fn of_two_approvers_at_once_one_approves() {
    let desk = Desk::open().await;
    let id = desk.held("r1", HeldReason::Approval).await;
    let digest = &desk.effects(id).await["digest"];
    let by = |note: &str| json!({"digest": digest, "note": note});
    let (ann, bob) = (by("ann"), by("bob"));
    let (a, b) = tokio::join!(desk.approve(&desk.approver, id, &ann), desk.approve(ADMIN, id, &bob));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(reaches(&desk.api.store, id, JobState::Pending).await.attempt, 0);
}

#[tokio::test]
async fn an_approval_that_comes_too_late_is_refused() {
    let desk = Desk::open().await;
    let rules = json!({"rules": {MAIL: {"decision": "approve", "approval": {"expires_seconds": 60}}}});
    let put = desk.api.request(http::Method::PUT, "/workspaces/acme/actions").bearer_auth(ADMIN);
    let put = put.header("content-type", "application/json").body(rules.to_string());
    assert_eq!(crate::support::api::send(put).await.status, 200);
    let id = desk.held("r1", HeldReason::Approval).await;
    // As if it had waited for two minutes.
    let entry = desk.api.redis.cli(&["HGET", "ai:attempts", &id.to_string()]);
    let at = desk.effects(id).await["held_since"].as_str().unwrap().to_owned();
    let at = windlass::domain::Timestamp::parse(&at).unwrap().unix_ms();
    let older = entry.replace(&at.to_string(), &(at - 120_000).to_string());
    assert_ne!(older, entry);
    desk.api.redis.cli(&["HSET", "ai:attempts", &id.to_string(), older.trim_end()]);
    let digest = &desk.effects(id).await["digest"];
    let late = desk.approve(&desk.approver, id, &json!({"digest": digest})).await;
    assert_eq!((late.status, late.code()), (409, "approval_expired".to_owned()));
    // To ask anew, it is rejected and redriven.
    assert_eq!(desk.api.command(&desk.approver, &format!("/ai/jobs/{id}/reject")).await.status, 200);
    assert_eq!(desk.api.command(&desk.client, &format!("/ai/jobs/{id}/redrive")).await.status, 200);
    let claimed = desk.worker.claim_one(&desk.api.store).await;
    assert_eq!(claimed.job.requester, reaches(&desk.api.store, id, JobState::Running).await.requester);
    assert!(claimed.job.requester.is_some(), "who asked is known in the next life");
}

#[tokio::test]
async fn a_rejected_job_is_cancelled_and_says_why() {
    let desk = Desk::open().await;
    let id = desk.held("r1", HeldReason::Approval).await;
    let path = format!("/ai/jobs/{id}/reject");
    for _ in 0..2 {
        let rejected = desk.api.post(&desk.approver, &path, &json!({"reason": "not this one"})).await;
        assert_eq!((rejected.status, &rejected.json()["state"]), (200, &json!("cancelled")), "again is the same");
        let failure = &rejected.json()["failure"];
        assert_eq!(
            (&failure["reason"], &failure["message"]),
            (&json!("rejected"), &json!("rejected by tester: not this one"))
        );
    }
    let digest = &desk.effects(id).await["digest"];
    let after = desk.approve(&desk.approver, id, &json!({"digest": digest})).await;
    assert_eq!((after.status, after.code()), (409, "wrong_state".to_owned()));
    let other = desk.held("r2", HeldReason::OutcomeUnknown).await;
    assert_eq!(desk.api.command(&desk.approver, &format!("/ai/jobs/{other}/reject")).await.code(), "wrong_state");
    assert_eq!(reaches(&desk.api.store, other, JobState::Held).await.held_reason, Some(HeldReason::OutcomeUnknown));
}

#[tokio::test]
async fn an_effect_that_nobody_could_tell_of_is_resolved() {
    let desk = Desk::open().await;
    let id = desk.held("r1", HeldReason::OutcomeUnknown).await;
    let seen = desk.effects(id).await;
    assert_eq!((&seen["effects"][0]["step"], &seen["effects"][0]["state"]), (&json!("post"), &json!("intent")));
    assert_eq!(seen["effects"][0]["key"], format!("{id}.post"));
    let why = desk.api.get(&desk.client, &format!("/ai/jobs/{id}/why")).await.json();
    assert!(why["next"].as_str().unwrap().contains("windlass jobs resolve"), "{why}");
    let done = desk.resolve(id, &json!({"outcome": "happened", "receipt": {"id": 7}, "reason": "seen"})).await;
    assert_eq!((done.status, &done.json()["state"]), (200, &json!("pending")));
    let record = &desk.effects(id).await["effects"][0];
    assert_eq!((&record["state"], &record["evidence"]), (&json!("done"), &json!({"id": 7})));
    assert_eq!(record["decided_by"], "tester: seen");
    assert_eq!(desk.resolve(id, &json!({"outcome": "happened"})).await.code(), "wrong_state", "it is decided");
    desk.worker.claim_one(&desk.api.store).await;

    let id = desk.held("r2", HeldReason::OutcomeUnknown).await;
    assert_eq!(desk.resolve(id, &json!({"outcome": "not_happened"})).await.status, 200);
    assert_eq!(desk.effects(id).await["effects"], json!([]), "it may be done now");
    desk.worker.claim_one(&desk.api.store).await;

    let id = desk.held("r3", HeldReason::OutcomeUnknown).await;
    let gone = desk.resolve(id, &json!({"outcome": "discard", "reason": "too old"})).await.json();
    assert_eq!(
        (&gone["state"], &gone["failure"]["message"]),
        (&json!("cancelled"), &json!("discarded by tester: too old"))
    );
}

#[tokio::test]
async fn a_job_that_waits_for_something_is_released_and_others_are_not() {
    let desk = Desk::open().await;
    for (n, reason) in
        [HeldReason::Operator, HeldReason::ActionsDisabled, HeldReason::NeedsReauth].into_iter().enumerate()
    {
        let id = desk.held(&format!("r{n}"), reason).await;
        let released = desk.api.command(&desk.operator, &format!("/ai/jobs/{id}/release")).await;
        assert_eq!((released.status, &released.json()["state"]), (200, &json!("pending")), "{reason}");
        desk.worker.claim_one(&desk.api.store).await;
        assert_eq!(desk.api.command(&desk.operator, &format!("/ai/jobs/{id}/release")).await.code(), "wrong_state");
    }
    for (id, reason) in [("a", HeldReason::Approval), ("u", HeldReason::OutcomeUnknown)] {
        let id = desk.held(id, reason).await;
        let refused = desk.api.command(&desk.operator, &format!("/ai/jobs/{id}/release")).await;
        assert_eq!((refused.status, refused.code()), (409, "wrong_state".to_owned()), "{reason}");
    }
}

#[tokio::test]
async fn another_workspaces_job_answers_like_a_missing_one_and_bad_bodies_are_refused() {
    let desk = Desk::open().await;
    let id = desk.held("r1", HeldReason::Approval).await.to_string();
    let stranger = desk.api.key("other", &["jobs:read", "jobs:approve", "queue:operate"]).await;
    let digest = json!({"digest": "0".repeat(64)});
    let outcome = json!({"outcome": "discard"});
    for (verb, body) in [("approve", &digest), ("reject", &json!({})), ("resolve", &outcome), ("release", &json!({}))] {
        let foreign = desk.api.post(&stranger, &format!("/ai/jobs/{id}/{verb}"), body).await;
        let missing = desk.api.post(&stranger, &format!("/ai/jobs/{MISSING}/{verb}"), body).await;
        assert_eq!((foreign.status, foreign.code()), (404, "not_found".to_owned()), "{verb}");
        assert_eq!(foreign.json()["detail"], missing.json()["detail"], "{verb}");
    }
    assert_eq!(desk.api.get(&stranger, &format!("/ai/jobs/{id}/effects")).await.status, 404);
    for (verb, body, pointer) in [
        ("approve", json!({}), "/digest"),
        ("approve", json!({"digest": "abc"}), "/digest"),
        ("approve", json!({"digest": "0".repeat(64), "force": true}), "/force"),
        ("reject", json!({"why": "x"}), "/why"),
        ("resolve", json!({"outcome": "maybe"}), "/outcome"),
        ("resolve", json!({"outcome": "discard", "receipt": 1}), "/receipt"),
        ("release", json!({"force": true}), "/force"),
    ] {
        let answer = desk.api.post(ADMIN, &format!("/ai/jobs/{id}/{verb}"), &body).await;
        assert_eq!((answer.status, answer.pointers()), (400, vec![pointer.to_owned()]), "{verb} {body}");
    }
}
