//! `outlook.send` against a fake of Microsoft Graph.

use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::FailureReason::{Error, NeedsReauth, OutcomeUnknown, Permanent, RateLimited};
use windlass::domain::{FailureReason, HeldReason};
use windlass::engine::{Disposition, Executor};
use windlass::executors::actions::{CredentialKind, MailOptions, OutlookSend};

use crate::support::context::{FakeJob, run, run_job};
use crate::support::graph::{GraphFake, error};
use crate::support::rest::{Fault, Reply};
use crate::support::vault::FixedVault;

const TOKEN: &str = "canary-token";
const RETRY: Disposition = Disposition::Retry { after: None };
/// Longer than a request of an earlier attempt may be under way.
const SETTLED: Duration = Duration::from_secs(60);

fn mail() -> Value {
    json!({"to": ["ada@example.org"], "subject": "s", "text": "t"})
}

fn sender(graph: &GraphFake) -> OutlookSend {
    let vault = FixedVault::bearer(CredentialKind::Microsoft, TOKEN, &["Mail.ReadWrite", "Mail.Send"], &[]);
    let options = MailOptions { graph_url: graph.url(), timeout: Duration::from_secs(10), ..MailOptions::default() };
    OutlookSend::new(&options, Some(vault)).unwrap()
}

#[tokio::test]
async fn a_mail_becomes_a_draft_that_is_noted_and_sent() {
    let graph = GraphFake::start(TOKEN).await;
    let job = FakeJob::new();
    let input = json!({
        "to": [{"address": "ada@example.org", "name": "Ada"}], "cc": ["bob@example.org"], "bcc": ["carol@example.org"],
        "subject": "s", "text": "t", "html": "<p>t</p>", "reply_to": "desk@example.org",
        "headers": {"X-Trace": "1"},
        "attachments": [{"filename": "a.pdf", "content_type": "application/PDF", "content_base64": "JVBERg=="}]
    });
    let result = run_job(&job, &sender(&graph), input).await.unwrap();
    assert_eq!(
        result,
        json!({
            "message_id": "<1@graph.example>", "provider_id": "AAkALg1=", "thread_id": "c-1",
            "accepted": ["ada@example.org", "bob@example.org", "carol@example.org"]
        })
    );
    let sent = graph.sent().pop().unwrap();
    let to = |address: &str| json!([{"emailAddress": {"address": address}}]);
    assert_eq!(sent["toRecipients"], json!([{"emailAddress": {"address": "ada@example.org", "name": "Ada"}}]));
    assert_eq!((&sent["ccRecipients"], &sent["bccRecipients"]), (&to("bob@example.org"), &to("carol@example.org")));
    assert_eq!(sent["replyTo"], to("desk@example.org"));
    assert_eq!(sent["body"], json!({"contentType": "HTML", "content": "<p>t</p>"}));
    assert_eq!(sent["internetMessageHeaders"], json!([{"name": "X-Trace", "value": "1"}]));
    let file = json!({"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.pdf",
        "contentType": "application/pdf", "contentBytes": "JVBERg=="});
    assert_eq!(sent["attachments"], json!([file]));
    for call in graph.calls() {
        assert_eq!(call.header("prefer"), Some("IdType=\"ImmutableId\""), "{}", call.target);
    }
    let note = job.effects.get("send").unwrap().document;
    assert_eq!(note.to_value()["draft_id"], json!("AAkALg1="));
    assert!(!note.as_str().contains(TOKEN) && !format!("{:?}", sender(&graph)).contains(TOKEN));
}

#[tokio::test]
async fn the_mailbox_of_another_is_named_in_the_path() {
    let graph = GraphFake::start(TOKEN).await;
    let mut input = mail();
    input["mailbox"] = json!("team@example.org");
    run(&sender(&graph), input).await.unwrap();
    let targets: Vec<_> = graph.calls().iter().map(|call| call.target.clone()).collect();
    assert_eq!(targets[0], "/v1.0/users/team@example.org/messages");
    assert!(targets[1].starts_with("/v1.0/users/team@example.org/messages/AAkALg1"), "{targets:?}");
    assert_eq!(graph.sent()[0]["body"], json!({"contentType": "Text", "content": "t"}));
}

#[tokio::test]
async fn each_refusal_has_its_rule_and_nothing_was_sent() {
    let postpone = |secs| Disposition::Postpone { after: Duration::from_secs(secs) };
    let reauth = Disposition::Hold(HeldReason::NeedsReauth);
    let cases: [(Reply, FailureReason, Disposition); 7] = [
        (error(400, "ErrorInvalidRecipients"), Permanent, Disposition::Dead),
        (error(401, "InvalidAuthenticationToken"), NeedsReauth, reauth),
        (error(403, "ErrorAccessDenied"), NeedsReauth, reauth),
        (error(403, "ErrorSendAsDenied"), Permanent, Disposition::Dead),
        (error(429, "ApplicationThrottled").with("retry-after: 7"), RateLimited, postpone(7)),
        (error(429, "MailboxConcurrency"), RateLimited, postpone(60)),
        (error(413, "RequestEntityTooLarge"), Permanent, Disposition::Dead),
    ];
    for operation in ["create", "send"] {
        for (reply, reason, disposition) in cases.clone() {
            let graph = GraphFake::start(TOKEN).await;
            graph.faults.add(operation, Fault::Instead(reply.clone()));
            let failed = run(&sender(&graph), mail()).await.unwrap_err();
            assert_eq!((failed.0, failed.1), (reason, disposition), "{operation} {reply:?}: {}", failed.2);
            assert!(!failed.2.contains("for people") && !failed.2.contains(TOKEN), "{}", failed.2);
            assert!(graph.sent().is_empty());
            assert!(graph.kept() == 0 || reason == NeedsReauth, "a refused draft is taken away");
        }
    }
}

#[tokio::test]
async fn trouble_with_the_draft_is_tried_again() {
    for fault in [Fault::Instead(Reply::empty(503)), Fault::After(Reply::HangUp), Fault::After(Reply::empty(201))] {
        let graph = GraphFake::start(TOKEN).await;
        graph.faults.add("create", fault.clone());
        let failed = run(&sender(&graph), mail()).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (Error, RETRY), "{fault:?}: {}", failed.2);
        assert!(graph.sent().is_empty());
    }
}

/// A job whose first attempt lost the answer to the sending.
async fn lost(graph: &GraphFake, fault: Fault) -> FakeJob {
    graph.faults.add("send", fault);
    let mut job = FakeJob::new();
    assert_eq!(run_job(&job, &sender(graph), mail()).await.unwrap_err().0, Error);
    job.attempt = 2;
    job.effects.age(SETTLED);
    job
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_one_mail_goes_out() {
    for (fault, reconciled) in [
        (Fault::After(Reply::HangUp), json!(true)),
        (Fault::After(Reply::empty(504)), json!(true)),
        (Fault::After(error(503, "ErrorServerBusy")), json!(true)),
        (Fault::Instead(Reply::HangUp), Value::Null),
        (Fault::Instead(Reply::empty(500)), Value::Null),
    ] {
        let graph = GraphFake::start(TOKEN).await;
        let job = lost(&graph, fault.clone()).await;
        let result = run_job(&job, &sender(&graph), mail()).await.unwrap();
        assert_eq!(result["reconciled"], reconciled, "{fault:?}");
        assert_eq!(result["message_id"], json!("<1@graph.example>"));
        assert_eq!((graph.sent().len(), graph.drafts_made()), (1, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn a_mail_that_is_nowhere_is_waited_for_and_then_left_to_a_person() {
    let graph = GraphFake::start(TOKEN).await;
    let job = lost(&graph, Fault::After(Reply::HangUp)).await;
    graph.clear();
    let failed = run_job(&job, &sender(&graph), mail()).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (RateLimited, Disposition::Postpone { after: Duration::from_secs(60) }));
    job.effects.age(Duration::from_secs(16 * 60));
    assert_eq!(run_job(&job, &sender(&graph), mail()).await.unwrap_err().0, OutcomeUnknown);
    assert_eq!((graph.sent().len(), graph.drafts_made()), (1, 1));
}

#[tokio::test]
async fn a_lookup_that_fails_decides_nothing() {
    let graph = GraphFake::start(TOKEN).await;
    let job = lost(&graph, Fault::After(Reply::HangUp)).await;
    for reply in [Reply::HangUp, Reply::empty(500), Reply::empty(200), Reply::json(200, &json!({"id": "x"}))] {
        graph.faults.add("get", Fault::Instead(reply.clone()));
        assert_eq!(run_job(&job, &sender(&graph), mail()).await.unwrap_err().0, Error, "{reply:?}");
    }
    assert_eq!(graph.sent().len(), 1);
}

#[test]
fn an_address_that_no_api_can_have_is_refused_at_the_start() {
    let options = MailOptions { graph_url: "graph".to_owned(), ..MailOptions::default() };
    let error = OutlookSend::new(&options, None).unwrap_err();
    assert!(error.to_string().starts_with("GRAPH_BASE_URL"), "{error}");
    let sender = OutlookSend::new(&MailOptions::default(), None).unwrap();
    assert_eq!(sender.info().effect.as_str(), "reconcilable");
}
