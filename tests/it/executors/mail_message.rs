//! The mails themselves, as a server gets them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use windlass::executors::actions::{MailOptions, SmtpSecurity, SmtpSend};

use crate::support::context::{FakeJob, run, run_job};
use crate::support::gmail::header;
use crate::support::smtp::SmtpFake;
use crate::support::vault::FixedVault;

async fn server() -> (SmtpFake, SmtpSend) {
    let server = SmtpFake::start(&[], &[]).await;
    let vault = FixedVault::smtp(server.address.port(), SmtpSecurity::None, None);
    (server, SmtpSend::new(&MailOptions::default(), Some(vault)).unwrap())
}

/// The one mail that goes out, with CRLF.
async fn sent(input: Value) -> String {
    let (server, sender) = server().await;
    run(&sender, input).await.unwrap();
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    let raw = mails[0].data.clone();
    assert!(raw.is_ascii());
    assert!(raw.lines().all(|line| line.len() <= 998), "lines are at most 998 bytes");
    raw
}

#[tokio::test]
async fn a_text_has_every_header_that_a_mail_needs() {
    let raw = sent(json!({
        "to": ["ada@example.org", {"address": "bob@example.org", "name": "Bob, Sr."}],
        "cc": ["carol@example.org"],
        "bcc": ["hidden@example.org"],
        "from": {"address": "me@example.com", "name": "Käthe"},
        "reply_to": "desk@example.com",
        "subject": "Grüße",
        "text": "Hallo\n.\nWelt",
        "in_reply_to": "<1@example.org>",
        "references": ["<0@example.org>", "<1@example.org>"],
        "headers": {"X-Trace": "t-1"}
    }))
    .await;
    for (name, value) in [
        ("to", "ada@example.org, =?utf-8?b?Qm9iLCBTci4=?= <bob@example.org>"),
        ("cc", "carol@example.org"),
        ("from", "=?utf-8?b?S8OkdGhl?= <me@example.com>"),
        ("reply-to", "desk@example.com"),
        ("subject", "=?utf-8?b?R3LDvMOfZQ==?="),
        ("in-reply-to", "<1@example.org>"),
        ("references", "<0@example.org> <1@example.org>"),
        ("x-trace", "t-1"),
        ("mime-version", "1.0"),
        ("content-type", "text/plain; charset=utf-8"),
    ] {
        assert_eq!(header(&raw, name).as_deref(), Some(value), "{name}");
    }
    assert!(header(&raw, "date").unwrap().ends_with(" +0000"), "{raw}");
    assert!(!raw.contains("hidden@example.org"), "hidden recipients stay hidden");
}

#[tokio::test]
async fn text_and_html_are_alternatives_and_files_stand_beside_them() {
    let raw = sent(json!({
        "to": ["ada@example.org"], "subject": "s", "text": "plain", "html": "<p>rich</p>",
        "attachments": [{"filename": "Bericht ä.pdf", "content_type": "application/pdf", "content_base64": "JVBERg=="}]
    }))
    .await;
    assert!(header(&raw, "content-type").unwrap().starts_with("multipart/mixed; boundary="), "{raw}");
    assert_eq!(header(&raw, "mime-version").as_deref(), Some("1.0"));
    let order = ["multipart/alternative", "text/plain", "plain", "text/html", "rich", "application/pdf", "JVBERg=="];
    let places: Vec<_> =
        order.iter().map(|piece| raw.find(piece).unwrap_or_else(|| panic!("{piece}: {raw}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(raw.contains("Content-Disposition: attachment"), "{raw}");
}

#[tokio::test]
async fn a_mail_of_html_alone_is_html() {
    let raw = sent(json!({"to": ["ada@example.org"], "subject": "s", "html": "<p>rich</p>"})).await;
    assert_eq!(header(&raw, "content-type").as_deref(), Some("text/html; charset=utf-8"));
}

#[tokio::test]
async fn long_subjects_and_lines_are_folded_or_encoded() {
    for subject in ["x".repeat(998), "ä".repeat(499), "word ".repeat(199)] {
        let raw = sent(json!({"to": ["ada@example.org"], "subject": subject, "text": "y".repeat(5000)})).await;
        assert!(header(&raw, "message-id").is_some(), "the head is whole");
    }
}

#[tokio::test]
async fn the_message_id_is_that_of_the_job_on_every_attempt() {
    let (server, sender) = server().await;
    let input = json!({"to": ["ada@example.org"], "subject": "s", "text": "t"});
    let mut job = FakeJob::new();
    let result = run_job(&job, &sender, input.clone()).await.unwrap();
    job.effects.clear("send");
    job.attempt = 2;
    assert_eq!(run_job(&job, &sender, input).await.unwrap()["message_id"], result["message_id"]);
    let wanted = format!("<{}.send@example.org>", job.id);
    assert_eq!(result["message_id"], json!(wanted));
    let ids: Vec<_> = server.mails().iter().map(|mail| header(&mail.data, "message-id").unwrap()).collect();
    assert_eq!(ids, vec![wanted; 2]);
}

#[tokio::test]
async fn a_dot_after_any_kind_of_line_end_ends_no_mail() {
    let smuggled = "MAIL FROM:<eve@evil.example>";
    for end in ["\n.\r\n", "\n.\n", "\r.\r", "\r\n.\r\n", "\r.\r\n", "\r\n.\n", "\r\n.\r"] {
        for field in ["text", "html"] {
            let (server, sender) = server().await;
            let body = format!("a{end}{smuggled}{end}RCPT TO:<x@evil.example>{end}DATA{end}Subject: b{end}.{end}");
            run(&sender, json!({"to": ["ada@example.org"], "subject": "s", field: body})).await.unwrap();
            assert_eq!(server.mails().len(), 1, "{end:?} in {field}");
            assert!(server.commands().iter().all(|command| !command.contains("evil")), "{end:?} in {field}");
        }
        let (server, sender) = server().await;
        let file = STANDARD.encode(format!("a{end}{smuggled}{end}"));
        let file = json!({"filename": "a.txt", "content_type": "text/plain", "content_base64": file});
        let input = json!({"to": ["ada@example.org"], "subject": "s", "text": "t", "attachments": [file]});
        run(&sender, input).await.unwrap();
        assert_eq!(server.mails().len(), 1, "{end:?} in a file");
        assert!(server.commands().iter().all(|command| !command.contains("evil")), "{end:?} in a file");
    }
}
