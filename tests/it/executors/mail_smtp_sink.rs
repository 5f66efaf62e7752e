//! `smtp.send` against aiosmtpd, a mail server that nobody here wrote.

use std::process::{Command, Stdio};

use serde_json::json;
use windlass::domain::FailureReason::Error;
use windlass::executors::actions::{MailOptions, SmtpSecurity, SmtpSend};

use crate::support::context::{FakeJob, run, run_job};
use crate::support::gmail::header;
use crate::support::smtp_sink::SmtpSink;
use crate::support::vault::FixedVault;

#[tokio::test]
async fn a_foreign_server_takes_mails_over_whole_and_one_at_a_time() {
    let sink = SmtpSink::start(0, &[]).await;
    let vault = FixedVault::smtp(sink.port, SmtpSecurity::None, None);
    let sender = SmtpSend::new(&MailOptions::default(), Some(vault)).unwrap();
    let job = FakeJob::new();
    let body =
        "Grüße\n.\r\nMAIL FROM:<eve@evil.example>\r\nRCPT TO:<x@evil.example>\r\nDATA\r\nSubject: b\r\n\r\n.\r\n";
    let input = json!({
        "to": ["ada@example.org"], "bcc": ["bob@example.org"], "subject": "Grüße", "text": body, "html": "<p>hi</p>",
        "attachments": [{"filename": "a.txt", "content_type": "text/plain", "content_base64": "aGVsbG8="}]
    });
    let result = run_job(&job, &sender, input).await.unwrap();
    let mails = sink.mails();
    assert_eq!(mails.len(), 1);
    let raw = mails[0].replace('\n', "\r\n");
    assert_eq!(header(&raw, "message-id").as_deref(), result["message_id"].as_str());
    assert_eq!(header(&raw, "x-rcptto").as_deref(), Some("ada@example.org, bob@example.org"));
    assert_eq!(header(&raw, "bcc"), None);
    assert_eq!(header(&raw, "mime-version").as_deref(), Some("1.0"));
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_said() {
    let folder = tempfile::TempDir::new().unwrap();
    let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("cert.pem"));
    certify(&key, &certificate);
    let (key, certificate) = (key.to_str().unwrap(), certificate.to_str().unwrap());
    let sink = SmtpSink::start(1, &["--tlscert", certificate, "--tlskey", key]).await;
    let vault = FixedVault::smtp_at("localhost", sink.port, SmtpSecurity::StartTls, Some(("me", "canary-password")));
    let sender = SmtpSend::new(&MailOptions::default(), Some(vault)).unwrap();
    let failed = run(&sender, json!({"to": ["ada@example.org"], "subject": "s", "text": "t"})).await.unwrap_err();
    assert_eq!(failed.0, Error, "{}", failed.2);
    assert!(failed.2.contains("certificate") && !failed.2.contains("canary"), "{}", failed.2);
    assert!(sink.mails().is_empty());
}

/// A certificate for this machine that signs itself.
#[expect(clippy::disallowed_methods, reason = "tests start processes of their own")]
fn certify(key: &std::path::Path, certificate: &std::path::Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .stderr(Stdio::null())
        .status()
        .expect("openssl is installed");
    assert!(made.success());
}
