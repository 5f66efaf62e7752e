//! What the mail types take, and what they refuse at the door and again at the run.

use serde_json::{Value, json};
use windlass::domain::FailureReason::Invalid;
use windlass::engine::{Disposition, Executor};
use windlass::executors::actions::{GmailSend, MailOptions, OutlookSend, SmtpSecurity, SmtpSend};

use crate::support::context::run;
use crate::support::smtp::SmtpFake;
use crate::support::vault::FixedVault;

fn senders() -> [Box<dyn Executor>; 3] {
    let options = MailOptions::default();
    [
        Box::new(GmailSend::new(&options, None).unwrap()),
        Box::new(SmtpSend::new(&options, None).unwrap()),
        Box::new(OutlookSend::new(&options, None).unwrap()),
    ]
}

fn mail() -> Value {
    json!({"to": ["ada@example.org"], "subject": "s", "text": "t"})
}

/// A mail with one field changed.
fn with(field: &str, value: Value) -> Value {
    let mut mail = mail();
    mail[field] = value;
    mail
}

fn fits(sender: &dyn Executor, input: &Value) -> bool {
    jsonschema::validator_for(&sender.info().input_schema).unwrap().is_valid(input)
}

const BREAKS: [&str; 8] =
    ["\r\nBcc: eve@evil.example", "\nx", "\rx", "\0", "\u{2028}x", "\u{2029}x", "\u{85}x", "\u{1b}[2J"];

#[test]
fn a_plain_mail_passes_everywhere_and_its_facts_are_told() {
    let mut input = mail();
    input["cc"] = json!([{"address": "Bob@Example.COM", "name": "Böb, the \"builder\""}]);
    input["bcc"] = json!(["ada@example.org", "carol@bücher.example"]);
    input["html"] = json!("<p>t</p>");
    input["attachments"] = json!([{"filename": "a.txt", "content_type": "text/plain", "content_base64": "aGVsbG8="}]);
    for sender in senders() {
        assert!(fits(&*sender, &input));
        assert_eq!(sender.check(&input), Ok(()));
        let facts = sender.facts(&input);
        assert_eq!(facts.recipients, ["ada@example.org", "Bob@example.com", "carol@xn--bcher-kva.example"]);
        assert_eq!(facts.bytes, 1 + 1 + 8 + 5);
        assert!(sender.info().is_action);
    }
}

#[test]
fn nothing_breaks_out_of_its_line() {
    for bad in BREAKS {
        let address = format!("ada@example.org{bad}");
        let cases = [
            ("to", json!([address]), "to[0]: "),
            ("cc", json!([address]), "cc[0]: "),
            ("bcc", json!(["x@example.org", address]), "bcc[1]: "),
            ("from", json!(address), "from: "),
            ("reply_to", json!(address), "reply_to: "),
            ("from", json!({"address": "a@example.org", "name": format!("Ada{bad}")}), "from.name: "),
            ("subject", json!(format!("Hi{bad}")), "subject: "),
            ("headers", json!({"X-Trace": format!("1{bad}")}), "headers.X-Trace: "),
            (
                "attachments",
                json!([{"filename": format!("a{bad}"), "content_type": "text/plain", "content_base64": ""}]),
                "attachments[0].filename: ",
            ),
            (
                "attachments",
                json!([{"filename": "a", "content_type": format!("text/plain{bad}"), "content_base64": ""}]),
                "attachments[0].content_type: ",
            ),
        ];
        for sender in senders() {
            for (field, value, named) in &cases {
                let refused = sender.check(&with(field, value.clone())).expect_err(named);
                assert!(refused.starts_with(named), "{refused}");
                assert!(!refused.contains("evil"), "a refusal does not repeat what it refuses: {refused}");
            }
        }
        let threads = [("in_reply_to", json!(format!("<a@b>{bad}"))), ("references", json!([format!("<a{bad}@b>")]))];
        for sender in &senders()[..2] {
            for (field, value) in &threads {
                assert!(sender.check(&with(field, value.clone())).is_err_and(|e| e.starts_with(field)), "{field}");
            }
        }
    }
}

#[test]
fn addresses_that_are_two_or_a_command_are_refused() {
    let bad = ["a@b,c@d", "\"x y\"@z.example", "-oQ/tmp@example.org", "=?utf-8?q?a?=@example.org", "Ada <a@b.example>"];
    for sender in senders() {
        for address in bad {
            assert!(sender.check(&with("to", json!([address]))).is_err_and(|e| e.starts_with("to[0]: ")), "{address}");
        }
    }
}

#[test]
fn words_that_readers_decode_are_refused() {
    for sender in senders() {
        for (field, value) in [
            ("subject", json!("=?utf-8?q?Hi=0d=0aBcc:=20eve@evil.example?=")),
            ("headers", json!({"X-A": "=?utf-8?q?x?="})),
            ("from", json!({"address": "a@example.org", "name": "=?utf-8?q?x?="})),
        ] {
            assert!(sender.check(&with(field, value)).is_err(), "{field}");
        }
    }
}

#[test]
fn sizes_and_counts_are_bounded() {
    let many: Vec<String> = (0..60).map(|at| format!("a{at}@example.org")).collect();
    let file = json!({"filename": "a", "content_type": "text/plain", "content_base64": ""});
    for sender in senders() {
        let mut crowd = with("to", json!(many));
        crowd["cc"] = json!(many);
        assert!(sender.check(&crowd).is_err_and(|e| e.contains("at most 100")), "101 and more");
        let thousand: Vec<String> = (0..1001).map(|at| format!("a{at}@example.org")).collect();
        assert!(!fits(&*sender, &with("to", json!(thousand))));
        assert!(sender.check(&with("to", json!([]))).is_err());
        assert!(sender.check(&with("subject", json!("ä".repeat(500)))).is_err_and(|e| e.starts_with("subject: ")));
        assert_eq!(sender.check(&with("subject", json!("x".repeat(998)))), Ok(()));
        assert!(sender.check(&with("attachments", json!(vec![file.clone(); 11]))).is_err());
        assert!(sender.check(&with("text", json!(null))).is_err_and(|e| e.starts_with("text, html: ")));
        assert!(sender.check(&with("text", json!("a\0b"))).is_err_and(|e| e.starts_with("text: ")));
    }
}

#[test]
fn files_have_names_without_paths_and_types_that_can_be_attached() {
    let file = |name: &str, kind: &str, content: &str| {
        with("attachments", json!([{"filename": name, "content_type": kind, "content_base64": content}]))
    };
    for sender in senders() {
        for name in ["../x", "a/b", "a\\b", "..", " ", "\u{202e}fdp.exe"] {
            let refused = sender.check(&file(name, "text/plain", "")).unwrap_err();
            assert!(refused.starts_with("attachments[0].filename: "), "{refused}");
        }
        for kind in ["text", "text/", "text/plain; name=\"x\"", "message/rfc822", "multipart/mixed", "a b/c"] {
            assert!(sender.check(&file("a", kind, "")).is_err_and(|e| e.contains("content_type")), "{kind}");
        }
        for content in ["a", "aGVsbG8", "a GVsbG8=", "@@@@"] {
            assert!(sender.check(&file("a", "text/plain", content)).is_err_and(|e| e.contains("base64")), "{content}");
        }
    }
}

#[test]
fn headers_of_the_client_begin_with_x() {
    for sender in senders() {
        for name in ["Bcc", "From", "Content-Type", "X", "X-", "X-A:b", "X-A B", "X-Ä"] {
            assert!(!fits(&*sender, &with("headers", json!({name: "1"}))), "{name}");
            assert!(sender.check(&with("headers", json!({name: "1"}))).is_err(), "{name}");
        }
        assert_eq!(sender.check(&with("headers", json!({"x-trace": "1"}))), Ok(()));
    }
}

#[test]
fn each_way_out_refuses_what_only_another_knows() {
    let [gmail, smtp, outlook] = senders();
    for (input, takes) in
        [(with("thread_id", json!("18c0ffee")), &gmail), (with("mailbox", json!("team@example.org")), &outlook)]
    {
        for sender in [&gmail, &smtp, &outlook] {
            let own = std::ptr::eq(sender, takes);
            assert_eq!((fits(&**sender, &input), sender.check(&input).is_ok()), (own, own), "{input}");
        }
    }
    let reply = with("in_reply_to", json!("<a@b>"));
    assert!(gmail.check(&reply).is_ok() && smtp.check(&reply).is_ok() && outlook.check(&reply).is_err());
    for sender in [&gmail, &smtp, &outlook] {
        assert!(
            !fits(&**sender, &with("priority", json!("high"))) && sender.check(&with("priority", json!(1))).is_err()
        );
    }
    assert!(outlook.check(&with("mailbox", json!("../me"))).is_err());
    assert!(gmail.check(&with("thread_id", json!("../x"))).is_err());
}

#[tokio::test]
async fn what_the_door_let_through_is_refused_at_the_run() {
    let server = SmtpFake::start(&[], &[]).await;
    let vault = FixedVault::smtp(server.address.port(), SmtpSecurity::None, None);
    let sender = SmtpSend::new(&MailOptions::default(), Some(vault)).unwrap();
    let failed = run(&sender, with("subject", json!("Hi\r\nBcc: eve@evil.example"))).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Invalid, Disposition::Dead));
    assert!(server.commands().is_empty());
}
