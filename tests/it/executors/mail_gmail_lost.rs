//! `gmail.send` when the answer to the sending is lost: the next attempt finds out, and nobody gets two mails.

use std::time::Duration;

use serde_json::json;
use windlass::domain::FailureReason::{Error, NeedsReauth, OutcomeUnknown, RateLimited};
use windlass::domain::RawJson;
use windlass::engine::Disposition;
use windlass::executors::actions::{CredentialKind, GmailSend, Secret};

use super::mail_gmail::{COMPOSE, TOKEN, mail, sender_with};
use crate::support::context::{FakeJob, run_job};
use crate::support::gmail::GmailFake;
use crate::support::rest::{Fault, Reply};
use crate::support::vault::FixedVault;

/// Longer than a request of an earlier attempt may be under way.
const SETTLED: Duration = Duration::from_secs(60);

fn sender(gmail: &GmailFake) -> GmailSend {
    sender_with(gmail, FixedVault::bearer(CredentialKind::Google, TOKEN, &[COMPOSE], &[]))
}

/// A job whose first attempt lost the answer to `drafts.send`.
async fn lost(gmail: &GmailFake, fault: Fault) -> FakeJob {
    gmail.faults.add("drafts.send", fault);
    let mut job = FakeJob::new();
    let failed = run_job(&job, &sender(gmail), mail()).await.unwrap_err();
    assert_eq!(failed.0, Error, "{}", failed.2);
    job.attempt = 2;
    job
}

#[tokio::test]
async fn a_mail_that_went_out_unseen_is_found_and_not_sent_again() {
    for reply in [Reply::HangUp, Reply::empty(500), Reply::empty(504)] {
        let gmail = GmailFake::start(TOKEN).await;
        let job = lost(&gmail, Fault::After(reply)).await;
        job.effects.age(SETTLED);
        let result = run_job(&job, &sender(&gmail), mail()).await.unwrap();
        assert_eq!(result["reconciled"], json!(true));
        assert_eq!(result["message_id"], json!(format!("<{}.send@example.org>", job.id)));
        assert_eq!((gmail.sent().len(), gmail.drafts_made()), (1, 1));
    }
}

#[tokio::test]
async fn a_mail_that_did_not_go_out_is_sent_from_the_same_draft() {
    for reply in [Reply::HangUp, Reply::empty(503)] {
        let gmail = GmailFake::start(TOKEN).await;
        let job = lost(&gmail, Fault::Instead(reply)).await;
        job.effects.age(SETTLED);
        let result = run_job(&job, &sender(&gmail), mail()).await.unwrap();
        assert_eq!((gmail.sent().len(), gmail.drafts_made(), gmail.drafts()), (1, 1, 0));
        assert_eq!(result["provider_id"], json!("s-1"));
    }
}

#[tokio::test]
async fn answers_lost_again_and_again_still_send_one_mail() {
    let gmail = GmailFake::start(TOKEN).await;
    let mut job = lost(&gmail, Fault::Instead(Reply::HangUp)).await;
    for (attempt, fault) in [(2, Fault::Instead(Reply::empty(500))), (3, Fault::After(Reply::HangUp))] {
        job.attempt = attempt;
        job.effects.age(SETTLED);
        gmail.faults.add("drafts.send", fault);
        assert_eq!(run_job(&job, &sender(&gmail), mail()).await.unwrap_err().0, Error);
    }
    job.attempt = 4;
    job.effects.age(SETTLED);
    assert_eq!(run_job(&job, &sender(&gmail), mail()).await.unwrap()["reconciled"], json!(true));
    assert_eq!((gmail.sent().len(), gmail.drafts_made()), (1, 1));
}

#[tokio::test]
async fn a_draft_that_someone_deleted_is_no_mail_where_threads_may_be_read() {
    let reader = |gmail: &GmailFake| {
        let vault = FixedVault::bearer(CredentialKind::Google, TOKEN, &["gmail.modify"], &[]);
        sender_with(gmail, vault)
    };
    let gmail = GmailFake::start(TOKEN).await;
    let mut job = lost(&gmail, Fault::Instead(Reply::HangUp)).await;
    job.effects.age(SETTLED);
    gmail.delete_drafts();
    for reply in [Reply::HangUp, Reply::empty(500), Reply::empty(200)] {
        gmail.faults.add("threads.get", Fault::Instead(reply));
        assert_eq!(run_job(&job, &reader(&gmail), mail()).await.unwrap_err().0, Error, "asked in vain");
    }
    assert_eq!(run_job(&job, &reader(&gmail), mail()).await.unwrap_err().0, OutcomeUnknown);
    job.attempt = 3;
    assert_eq!(run_job(&job, &sender(&gmail), mail()).await.unwrap()["reconciled"], json!(true), "cannot tell");
    assert!(gmail.sent().is_empty());

    let gmail = GmailFake::start(TOKEN).await;
    let job = lost(&gmail, Fault::After(Reply::HangUp)).await;
    job.effects.age(SETTLED);
    let result = run_job(&job, &reader(&gmail), mail()).await.unwrap();
    assert_eq!((&result["provider_id"], &result["thread_id"]), (&json!("s-1"), &json!("t-1")));
    assert_eq!(gmail.sent().len(), 1);
}

#[tokio::test]
async fn nobody_looks_while_the_request_may_be_under_way() {
    let gmail = GmailFake::start(TOKEN).await;
    let job = lost(&gmail, Fault::After(Reply::HangUp)).await;
    let calls = gmail.calls().len();
    let failed = run_job(&job, &sender(&gmail), mail()).await.unwrap_err();
    assert!(matches!(failed.1, Disposition::Postpone { .. }), "{failed:?}");
    assert_eq!(gmail.calls().len(), calls);
}

#[tokio::test]
async fn an_attempt_that_died_before_its_note_never_sent_and_begins_anew() {
    let gmail = GmailFake::start(TOKEN).await;
    gmail.faults.add("drafts.create", Fault::After(Reply::HangUp));
    let mut job = FakeJob::new();
    run_job(&job, &sender(&gmail), mail()).await.unwrap_err();
    job.attempt = 2;
    job.effects.age(SETTLED);
    run_job(&job, &sender(&gmail), mail()).await.unwrap();
    assert_eq!((gmail.sent().len(), gmail.drafts_made()), (1, 2), "the first draft is left over");
}

#[tokio::test]
async fn a_lookup_that_fails_decides_nothing() {
    let gmail = GmailFake::start(TOKEN).await;
    let job = lost(&gmail, Fault::After(Reply::HangUp)).await;
    job.effects.age(SETTLED);
    for (reply, reason) in [
        (Reply::HangUp, Error),
        (Reply::empty(500), Error),
        (Reply::empty(429), RateLimited),
        (Reply::empty(401), NeedsReauth),
    ] {
        gmail.faults.add("drafts.get", Fault::Instead(reply.clone()));
        assert_eq!(run_job(&job, &sender(&gmail), mail()).await.unwrap_err().0, reason, "{reply:?}");
    }
    assert_eq!(gmail.sent().len(), 1);
    assert_eq!(run_job(&job, &sender(&gmail), mail()).await.unwrap()["reconciled"], json!(true));
}

#[tokio::test]
async fn the_draft_of_another_mailbox_proves_nothing() {
    let gmail = GmailFake::start(TOKEN).await;
    let job = lost(&gmail, Fault::After(Reply::HangUp)).await;
    job.effects.age(SETTLED);
    let secret = Secret::Bearer { token: TOKEN.into(), scopes: vec![COMPOSE.to_owned()] };
    let other = FixedVault::of(CredentialKind::Google, Some("other@example.org"), secret);
    assert_eq!(run_job(&job, &sender_with(&gmail, other), mail()).await.unwrap_err().0, OutcomeUnknown);
    assert_eq!(gmail.sent().len(), 1);
}

#[tokio::test]
async fn a_scope_for_drafts_that_came_later_proves_nothing_of_a_mail_sent_without_one() {
    let gmail = GmailFake::start(TOKEN).await;
    gmail.faults.add("messages.send", Fault::After(Reply::HangUp));
    let mut job = FakeJob::new();
    let narrow = FixedVault::bearer(CredentialKind::Google, TOKEN, &["gmail.send"], &[]);
    assert_eq!(run_job(&job, &sender_with(&gmail, narrow), mail()).await.unwrap_err().0, OutcomeUnknown);
    job.attempt = 2;
    job.effects.age(SETTLED);
    assert_eq!(run_job(&job, &sender(&gmail), mail()).await.unwrap_err().0, OutcomeUnknown);
    assert_eq!(gmail.sent().len(), 1);
    assert_eq!(job.effects.get("send").unwrap().document, RawJson::from_compact("null"));
}
