//! `gmail.send` against a fake of the Gmail API: what it sends, and each error it may get.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::FailureReason::{Error, NeedsReauth, OutcomeUnknown, Permanent, RateLimited};
use windlass::domain::{FailureReason, HeldReason};
use windlass::engine::{Disposition, Executor};
use windlass::executors::actions::{CredentialKind, GmailSend, MailOptions};

use crate::support::context::{FakeJob, run, run_job};
use crate::support::gmail::{GmailFake, error};
use crate::support::rest::{Fault, Reply};
use crate::support::vault::FixedVault;

pub(super) const TOKEN: &str = "canary-token";
pub(super) const COMPOSE: &str = "https://www.googleapis.com/auth/gmail.compose";
const SEND: &str = "https://www.googleapis.com/auth/gmail.send";
const RETRY: Disposition = Disposition::Retry { after: None };
const REAUTH: Disposition = Disposition::Hold(HeldReason::NeedsReauth);

pub(super) fn mail() -> Value {
    json!({"to": ["ada@example.org"], "bcc": ["bob@example.org"], "subject": "s", "text": "t"})
}

pub(super) fn sender_with(gmail: &GmailFake, vault: Arc<FixedVault>) -> GmailSend {
    let options = MailOptions { gmail_url: gmail.url(), timeout: Duration::from_secs(10), ..MailOptions::default() };
    GmailSend::new(&options, Some(vault)).unwrap()
}

fn sender(gmail: &GmailFake, scopes: &[&str]) -> GmailSend {
    sender_with(gmail, FixedVault::bearer(CredentialKind::Google, TOKEN, scopes, &[]))
}

fn paths(gmail: &GmailFake) -> Vec<String> {
    let short = |target: &str| target.replace("/gmail/v1/users/me/", "");
    gmail.calls().iter().map(|call| format!("{} {}", call.method, short(&call.target))).collect()
}

#[tokio::test]
async fn a_mail_becomes_a_draft_that_is_noted_and_sent() {
    let gmail = GmailFake::start(TOKEN).await;
    for scopes in [&[COMPOSE][..], &[], &["https://mail.google.com/"], &["openid", "gmail.modify"]] {
        let job = FakeJob::new();
        let sender = sender(&gmail, scopes);
        let mut input = mail();
        input["thread_id"] = json!("18c0ffee");
        let result = run_job(&job, &sender, input).await.unwrap();
        assert_eq!(result["thread_id"], json!("18c0ffee"));
        assert_eq!(result["accepted"], json!(["ada@example.org", "bob@example.org"]));
        let note = job.effects.get("send").unwrap().document.to_value();
        assert_eq!(note["message_id"], result["message_id"]);
        let sent = gmail.sent().pop().unwrap();
        assert_eq!(sent.header("message-id").as_deref(), result["message_id"].as_str());
        assert_eq!(sent.header("bcc").as_deref(), Some("bob@example.org"), "Gmail reads it and takes it out");
        assert_eq!(sent.header("from").as_deref(), Some("me@example.org"));
    }
    assert_eq!((gmail.sent().len(), gmail.drafts_made(), gmail.drafts()), (4, 4, 0));
    assert_eq!(paths(&gmail)[..2], ["POST drafts", "POST drafts/send"]);
}

#[tokio::test]
async fn without_a_scope_for_drafts_it_is_sent_at_once() {
    let gmail = GmailFake::start(TOKEN).await;
    let result = run(&sender(&gmail, &[SEND]), mail()).await.unwrap();
    assert_eq!((result["provider_id"].clone(), result["thread_id"].clone()), (json!("s-1"), json!("t-s-1")));
    assert_eq!(paths(&gmail), ["POST messages/send"]);
}

#[tokio::test]
async fn each_refusal_has_its_rule_and_nothing_was_sent() {
    let postpone = |secs| Disposition::Postpone { after: Duration::from_secs(secs) };
    let cases: [(Reply, FailureReason, Disposition); 10] = [
        (error(400, "invalidArgument"), Permanent, Disposition::Dead),
        (error(403, "userRateLimitExceeded"), RateLimited, postpone(60)),
        (error(403, "rateLimitExceeded").with("retry-after: 7"), RateLimited, postpone(7)),
        (error(403, "dailyLimitExceeded"), RateLimited, postpone(900)),
        (error(403, "insufficientPermissions"), NeedsReauth, REAUTH),
        (error(403, "domainPolicy"), Permanent, Disposition::Dead),
        (error(413, "uploadTooLarge"), Permanent, Disposition::Dead),
        (error(429, "rateLimitExceeded").with("retry-after: 9"), RateLimited, postpone(9)),
        (Reply::empty(429), RateLimited, postpone(60)),
        (error(401, "authError"), NeedsReauth, REAUTH),
    ];
    for (operation, scopes) in [("drafts.create", COMPOSE), ("drafts.send", COMPOSE), ("messages.send", SEND)] {
        for (reply, reason, disposition) in cases.clone() {
            let gmail = GmailFake::start(TOKEN).await;
            gmail.faults.add(operation, Fault::Instead(reply.clone()));
            let failed = run(&sender(&gmail, &[scopes]), mail()).await.unwrap_err();
            assert_eq!((failed.0, failed.1), (reason, disposition), "{operation} {reply:?}: {}", failed.2);
            assert!(!failed.2.contains("for people") && !failed.2.contains(TOKEN), "{}", failed.2);
            assert!(gmail.sent().is_empty());
        }
    }
}

#[tokio::test]
async fn a_draft_that_gmail_refuses_to_send_is_taken_away() {
    let gmail = GmailFake::start(TOKEN).await;
    gmail.faults.add("drafts.send", Fault::Instead(error(429, "rateLimitExceeded")));
    let job = FakeJob::new();
    run_job(&job, &sender(&gmail, &[COMPOSE]), mail()).await.unwrap_err();
    assert_eq!((gmail.drafts_made(), gmail.drafts()), (1, 0));
    assert_eq!(job.effects.get("send").unwrap().document.as_str(), "null", "the note went first");
}

#[tokio::test]
async fn trouble_with_the_draft_is_tried_again() {
    for fault in [
        Fault::Instead(Reply::empty(503)),
        Fault::Instead(Reply::HangUp),
        Fault::After(Reply::HangUp),
        Fault::After(Reply::empty(500)),
        Fault::After(Reply::empty(200)),
    ] {
        let gmail = GmailFake::start(TOKEN).await;
        gmail.faults.add("drafts.create", fault.clone());
        let mut job = FakeJob::new();
        let sender = sender(&gmail, &[COMPOSE]);
        let failed = run_job(&job, &sender, mail()).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (Error, RETRY), "{fault:?}: {}", failed.2);
        assert!(gmail.sent().is_empty());
        job.effects.clear("send");
        job.attempt = 2;
        run_job(&job, &sender, mail()).await.unwrap();
        assert_eq!(gmail.sent().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_token_that_ran_out_is_renewed_once() {
    for scopes in [COMPOSE, SEND] {
        let gmail = GmailFake::start("fresh").await;
        let vault = FixedVault::bearer(CredentialKind::Google, TOKEN, &[scopes], &["fresh"]);
        run(&sender_with(&gmail, vault), mail()).await.unwrap();
        assert_eq!(gmail.sent().len(), 1);

        let vault = FixedVault::bearer(CredentialKind::Google, TOKEN, &[scopes], &["canary-stale", "fresh"]);
        let failed = run(&sender_with(&gmail, vault), mail()).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (NeedsReauth, REAUTH));
        assert!(!failed.2.contains("canary"), "{}", failed.2);
        assert_eq!(gmail.sent().len(), 1);
    }
}

#[tokio::test]
async fn a_token_that_runs_out_between_draft_and_sending_is_renewed() {
    let gmail = GmailFake::start(TOKEN).await;
    gmail.faults.add("drafts.send", Fault::Instead(error(401, "authError")));
    let vault = FixedVault::bearer(CredentialKind::Google, TOKEN, &[COMPOSE], &[TOKEN]);
    run(&sender_with(&gmail, vault), mail()).await.unwrap();
    assert_eq!((gmail.sent().len(), gmail.drafts_made()), (1, 1));
}

#[tokio::test]
async fn without_drafts_a_lost_answer_is_held() {
    for fault in [
        Fault::Instead(Reply::HangUp),
        Fault::After(Reply::HangUp),
        Fault::After(Reply::empty(504)),
        Fault::Instead(Reply::empty(500)),
    ] {
        let gmail = GmailFake::start(TOKEN).await;
        gmail.faults.add("messages.send", fault.clone());
        let mut job = FakeJob::new();
        let sender = sender(&gmail, &[SEND]);
        let sent = |gmail: &GmailFake| gmail.sent().len();
        for attempt in 1..=2 {
            job.attempt = attempt;
            let failed = run_job(&job, &sender, mail()).await.unwrap_err();
            let held = Disposition::Hold(HeldReason::OutcomeUnknown);
            assert_eq!((failed.0, failed.1), (OutcomeUnknown, held), "{fault:?}: {}", failed.2);
            assert_eq!(gmail.calls().len(), 1, "{fault:?}: it is sent once");
        }
        assert!(sent(&gmail) <= 1);
    }
}

#[tokio::test]
async fn secrets_and_lost_leases_stay_inside() {
    let gmail = GmailFake::start(TOKEN).await;
    let sender = sender(&gmail, &[]);
    assert!(!format!("{sender:?}").contains(TOKEN));
    let job = FakeJob::new();
    let result = run_job(&job, &sender, mail()).await.unwrap();
    assert!(!result.to_string().contains(TOKEN));
    assert!(!job.effects.get("send").unwrap().document.as_str().contains(TOKEN));
    let job = FakeJob::new();
    job.gate.close();
    assert!(run_job(&job, &sender, mail()).await.is_err());
    assert_eq!(gmail.sent().len(), 1);

    let failed = run(&GmailSend::new(&MailOptions::default(), None).unwrap(), mail()).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Error, RETRY));
    assert_eq!(sender.info().effect.as_str(), "once", "the weakest, since the credential decides");
}

#[test]
fn an_address_that_no_api_can_have_is_refused_at_the_start() {
    for url in ["", "gmail", "ftp://x", "https://user:pass@x", "https://x/?q", "https://x/#f"] {
        let options = MailOptions { gmail_url: url.to_owned(), ..MailOptions::default() };
        assert!(GmailSend::new(&options, None).is_err_and(|e| e.to_string().starts_with("GMAIL_BASE_URL")), "{url}");
    }
}
