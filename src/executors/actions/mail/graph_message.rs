//! A mail as Microsoft Graph's `message` resource.
//!
//! <https://learn.microsoft.com/en-us/graph/api/resources/message>. A body has one type only: the HTML goes when there is
//! one, and Exchange makes a plain text of it for clients that want it. Files are `fileAttachment`s, which may be up to
//! 3 MB; a request of ours is far below.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::Mailbox;
use serde_json::{Value, json};

use super::input::{File, Mail};

/// The draft of a mail.
pub(super) fn message(mail: &Mail) -> Value {
    let (kind, content) = match (&mail.html, &mail.text) {
        (Some(html), _) => ("HTML", html.as_str()),
        (None, text) => ("Text", text.as_deref().unwrap_or_default()),
    };
    let mut message = json!({
        "subject": mail.subject,
        "body": {"contentType": kind, "content": content},
        "toRecipients": recipients(&mail.to),
        "ccRecipients": recipients(&mail.cc),
        "bccRecipients": recipients(&mail.bcc),
    });
    if let Some(from) = &mail.from {
        message["from"] = recipient(from);
    }
    if let Some(reply_to) = &mail.reply_to {
        message["replyTo"] = json!([recipient(reply_to)]);
    }
    if !mail.headers.is_empty() {
        let header = |(name, value)| json!({"name": name, "value": value});
        message["internetMessageHeaders"] = mail.headers.iter().map(header).collect();
    }
    if !mail.files.is_empty() {
        message["attachments"] = mail.files.iter().map(attachment).collect();
    }
    message
}

fn recipients(mailboxes: &[Mailbox]) -> Value {
    mailboxes.iter().map(recipient).collect()
}

fn recipient(mailbox: &Mailbox) -> Value {
    let mut address = json!({"address": mailbox.email.to_string()});
    if let Some(name) = &mailbox.name {
        address["name"] = name.as_str().into();
    }
    json!({"emailAddress": address})
}

fn attachment(file: &File) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": file.name,
        "contentType": file.media_type,
        "contentBytes": STANDARD.encode(&file.content),
    })
}
