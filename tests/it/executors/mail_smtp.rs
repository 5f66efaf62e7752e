//! `smtp.send` against a server that misbehaves at each step.

use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::FailureReason::{Error, Invalid, NeedsReauth, NotAllowed, OutcomeUnknown, Permanent, Timeout};
use windlass::domain::{EffectState, HeldReason};
use windlass::engine::{Disposition, Executor};
use windlass::executors::actions::{CredentialKind, MailOptions, Secret, SmtpSecurity, SmtpSend};

use crate::support::context::{FakeJob, run, run_job};
use crate::support::ports::Reserved;
use crate::support::smtp::{SmtpFake, Trouble};
use crate::support::vault::FixedVault;

const CANARY: &str = "canary-password";
const UNKNOWN: Disposition = Disposition::Hold(HeldReason::OutcomeUnknown);
const RETRY: Disposition = Disposition::Retry { after: None };

fn mail() -> Value {
    json!({"to": ["ada@example.org"], "bcc": ["bob@example.org"], "subject": "s", "text": "t"})
}

fn sender(server: &SmtpFake, login: Option<(&str, &str)>) -> SmtpSend {
    let vault = FixedVault::smtp(server.address.port(), SmtpSecurity::None, login);
    SmtpSend::new(&MailOptions::default(), Some(vault)).unwrap()
}

#[tokio::test]
async fn a_mail_is_handed_over_to_every_recipient() {
    let server = SmtpFake::start(&[], &["AUTH PLAIN LOGIN"]).await;
    let job = FakeJob::new();
    let result = run_job(&job, &sender(&server, Some(("me", CANARY))), mail()).await.unwrap();
    assert_eq!(result["accepted"], json!(["ada@example.org", "bob@example.org"]));
    assert_eq!(result["provider_id"], json!("4YkZ1"));
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].from, "MAIL FROM:<me@example.org>");
    assert_eq!(mails[0].to, ["RCPT TO:<ada@example.org>", "RCPT TO:<bob@example.org>"]);
    assert!(server.commands()[1].starts_with("AUTH PLAIN "));
    let record = job.effects.get("send").unwrap();
    assert!(!record.document.as_str().contains(CANARY));
}

#[tokio::test]
async fn what_breaks_before_the_dot_has_sent_nothing() {
    use Trouble::{Half, HangUp, Say};
    for (step, trouble, reason, disposition) in [
        ("greeting", Say("421 busy"), Error, RETRY),
        ("greeting", Say("554 go away"), Permanent, Disposition::Dead),
        ("greeting", HangUp, Error, RETRY),
        ("greeting", Half("22"), Error, RETRY),
        ("greeting", Say("nonsense"), Error, RETRY),
        ("EHLO", Say("502 what"), Permanent, Disposition::Dead),
        ("EHLO", HangUp, Error, RETRY),
        ("MAIL", Say("451 later"), Error, RETRY),
        ("MAIL", Say("550 not you"), Permanent, Disposition::Dead),
        ("MAIL", HangUp, Error, RETRY),
        ("MAIL", Say("354 what"), Error, RETRY),
        ("RCPT", Say("450 later"), Error, RETRY),
        ("RCPT", HangUp, Error, RETRY),
        ("DATA", Say("451 later"), Error, RETRY),
        ("DATA", Say("554 no"), Permanent, Disposition::Dead),
        ("DATA", HangUp, Error, RETRY),
        ("DATA", Half("354-go"), Error, RETRY),
        ("DATA", Say("250 ok"), Error, RETRY),
        (".", Say("451 later"), Error, RETRY),
        (".", Say("554 spam"), Permanent, Disposition::Dead),
    ] {
        let server = SmtpFake::start(&[(step, trouble.clone())], &[]).await;
        let failed = run(&sender(&server, None), mail()).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (reason, disposition), "{step} {trouble:?}: {}", failed.2);
        assert!(server.mails().is_empty(), "{step} {trouble:?}");
    }
}

#[tokio::test]
async fn one_refused_recipient_refuses_the_mail_and_is_named() {
    let refused = ("RCPT TO:<bob@example.org>", Trouble::Say("550 5.1.1 no such user me@secret.example"));
    let server = SmtpFake::start(&[refused], &[]).await;
    let failed = run(&sender(&server, None), mail()).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Permanent, Disposition::Dead));
    assert!(failed.2.contains("bob@example.org (550)") && !failed.2.contains("secret"), "{}", failed.2);
    assert!(server.mails().is_empty() && !server.commands().contains(&"DATA".to_owned()));
}

#[tokio::test]
async fn what_breaks_after_the_dot_is_held_and_never_sent_again() {
    use Trouble::{Half, HangUp, Say};
    for trouble in [HangUp, Half("250-queued"), Half("2"), Half("55"), Say("nonsense"), Say("354 what")] {
        let server = SmtpFake::start(&[(".", trouble.clone())], &[]).await;
        let sender = sender(&server, None);
        let mut job = FakeJob::new();
        let failed = run_job(&job, &sender, mail()).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (OutcomeUnknown, UNKNOWN), "{trouble:?}: {}", failed.2);
        let mails = server.mails().len();
        job.attempt = 2;
        let failed = run_job(&job, &sender, mail()).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (OutcomeUnknown, UNKNOWN), "{trouble:?}");
        assert_eq!(server.mails().len(), mails, "{trouble:?}");
    }
}

#[tokio::test]
async fn a_mail_whose_receipt_died_with_its_worker_is_not_sent_again() {
    let server = SmtpFake::start(&[], &[]).await;
    let sender = sender(&server, None);
    let mut job = FakeJob::new();
    run_job(&job, &sender, mail()).await.unwrap();
    // The receipt rides with the worker's report, which never comes.
    assert_eq!(job.effects.get("send").unwrap().state, EffectState::Intent);
    job.attempt = 2;
    assert_eq!(run_job(&job, &sender, mail()).await.unwrap_err().0, OutcomeUnknown);
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn silence_is_given_up_on_and_told_apart_by_the_dot() {
    // Long enough for a busy machine to have taken the steps before.
    let options = MailOptions { timeout: Duration::from_secs(2), ..MailOptions::default() };
    for (step, reason, disposition) in [("RCPT", Timeout, RETRY), (".", OutcomeUnknown, UNKNOWN)] {
        let server = SmtpFake::start(&[(step, Trouble::Silence)], &[]).await;
        let vault = FixedVault::smtp(server.address.port(), SmtpSecurity::None, None);
        let failed = run(&SmtpSend::new(&options, Some(vault)).unwrap(), mail()).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (reason, disposition), "{step}: {}", failed.2);
    }
}

#[tokio::test]
async fn a_refused_login_waits_for_a_person_and_is_not_shown() {
    let hold = Disposition::Hold(HeldReason::NeedsReauth);
    for (says, reason, disposition) in
        [("535 5.7.8 bad canary-password", NeedsReauth, hold), ("454 4.7.0 later", Error, RETRY)]
    {
        let server = SmtpFake::start(&[("AUTH", Trouble::Say(says))], &["AUTH PLAIN"]).await;
        let failed = run(&sender(&server, Some(("me", CANARY))), mail()).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (reason, disposition), "{says}: {}", failed.2);
        assert!(!failed.2.contains(CANARY), "{}", failed.2);
    }
}

#[tokio::test]
async fn a_login_that_the_server_cannot_take_is_never_sent_in_the_clear() {
    let server = SmtpFake::start(&[], &["AUTH CRAM-MD5"]).await;
    let failed = run(&sender(&server, Some(("me", CANARY))), mail()).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Permanent, Disposition::Dead), "{}", failed.2);
    assert!(server.commands().iter().all(|command| !command.contains("AUTH")));
}

#[tokio::test]
async fn starttls_that_is_not_offered_sends_nothing() {
    let server = SmtpFake::start(&[], &["AUTH PLAIN"]).await;
    let vault = FixedVault::smtp(server.address.port(), SmtpSecurity::StartTls, Some(("me", CANARY)));
    let failed = run(&SmtpSend::new(&MailOptions::default(), Some(vault)).unwrap(), mail()).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Permanent, Disposition::Dead), "{}", failed.2);
    assert!(server.commands().iter().all(|command| command.starts_with("EHLO") || command == "QUIT"));
}

#[tokio::test]
async fn a_server_that_is_down_is_tried_again_and_a_metadata_service_never() {
    let nobody = Reserved::new();
    for (host, reason, disposition) in [
        ("127.0.0.1", Error, RETRY),
        ("169.254.169.254", NotAllowed, Disposition::Dead),
        ("[fe80::1]", NotAllowed, Disposition::Dead),
    ] {
        let vault = FixedVault::smtp_at(host, nobody.port(), SmtpSecurity::None, None);
        let sender = SmtpSend::new(&MailOptions::default(), Some(vault)).unwrap();
        let failed = run(&sender, mail()).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (reason, disposition), "{host}: {}", failed.2);
    }
}

#[tokio::test]
async fn a_mail_needs_a_sender_and_a_credential() {
    let server = SmtpFake::start(&[], &[]).await;
    let (host, port) = ("127.0.0.1".to_owned(), server.address.port());
    let secret = Secret::Smtp { host, port, security: SmtpSecurity::None, login: None };
    let vault = FixedVault::of(CredentialKind::Smtp, Some("a-login"), secret);
    let sender = SmtpSend::new(&MailOptions::default(), Some(vault)).unwrap();
    let failed = run(&sender, mail()).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Invalid, Disposition::Dead), "{}", failed.2);

    let mut other = mail();
    other["from"] = json!("me@example.org");
    other["credential"] = json!("other");
    let failed = run(&sender, other).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (NeedsReauth, Disposition::Hold(HeldReason::NeedsReauth)));
    assert!(failed.2.contains("`other`"), "{}", failed.2);
    assert!(server.commands().is_empty());
}

#[tokio::test]
async fn nothing_leaves_when_the_lease_may_be_lost() {
    let server = SmtpFake::start(&[], &[]).await;
    let job = FakeJob::new();
    job.gate.close();
    assert!(run_job(&job, &sender(&server, None), mail()).await.is_err());
    assert!(server.commands().is_empty());
    assert!(!format!("{:?}", sender(&server, Some(("me", CANARY)))).contains(CANARY));
    assert_eq!(sender(&server, None).info().effect.as_str(), "once");
}
