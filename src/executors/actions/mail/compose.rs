//! A mail as RFC 5322 bytes.
//!
//! lettre encodes headers and bodies; its message builder is not used, because it wants a `From`, which Gmail fills in
//! by itself, drops `Bcc`, which the Gmail API reads from the message, and leaves `MIME-Version` out of plain texts.
//! Everything that leaves here is ASCII with CRLF at the end of every line, so that there is no bare LF or CR in which a
//! server could see the end of the mail.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{self, ContentTransferEncoding, HeaderName, HeaderValue, Headers, MIME_VERSION_1_0};
use lettre::message::{Attachment, Body, Mailbox, Mailboxes, MultiPart, SinglePart};

use crate::domain::Timestamp;

use super::input::{File, Mail};

/// What stands behind `@` in the ids of mails that name no sender (RFC 2606: belongs to nobody).
const NOBODY: &str = "windlass.invalid";

/// A longer word does not fit a line of a head: RFC 5322 §2.1.1 has 998 bytes.
const LONGEST_WORD: usize = 900;

/// What a mail gets from its job.
pub(super) struct Stamp<'a> {
    /// Who it is from.
    pub(super) from: Option<&'a Mailbox>,
    /// The same on every attempt.
    pub(super) message_id: String,
    /// Now.
    pub(super) date: Timestamp,
    /// Whether hidden recipients stand in the message; only for a service that takes them out.
    pub(super) with_bcc: bool,
}

/// The id of the mail that the effect with this key sends: the same on every attempt, so that recipients can see that
/// two copies are one mail.
pub(super) fn message_id(effect_key: &str, from: Option<&Mailbox>) -> String {
    format!("<{effect_key}@{}>", from.map_or(NOBODY, |mailbox| mailbox.email.domain()))
}

/// The whole message.
pub(super) fn compose(mail: &Mail, stamp: &Stamp<'_>) -> Vec<u8> {
    let mut message = head(mail, stamp).to_string().into_bytes();
    message.extend(body(mail));
    message
}

fn head(mail: &Mail, stamp: &Stamp<'_>) -> Headers {
    let mut headers = Headers::new();
    let since_epoch = Duration::from_millis(u64::try_from(stamp.date.unix_ms()).unwrap_or_default());
    headers.set(header::Date::new(SystemTime::UNIX_EPOCH + since_epoch));
    if let Some(from) = stamp.from {
        headers.set(header::From::from(Mailboxes::from(from.clone())));
    }
    if let Some(reply_to) = &mail.reply_to {
        headers.set(header::ReplyTo::from(Mailboxes::from(reply_to.clone())));
    }
    headers.set(header::To::from(Mailboxes::from(mail.to.clone())));
    if !mail.cc.is_empty() {
        headers.set(header::Cc::from(Mailboxes::from(mail.cc.clone())));
    }
    if stamp.with_bcc && !mail.bcc.is_empty() {
        headers.set(header::Bcc::from(Mailboxes::from(mail.bcc.clone())));
    }
    headers.insert_raw(subject(&mail.subject));
    headers.set(header::MessageId::from(stamp.message_id.clone()));
    if let Some(id) = &mail.in_reply_to {
        headers.set(header::InReplyTo::from(id.clone()));
    }
    if !mail.references.is_empty() {
        headers.set(header::References::from(mail.references.join(" ")));
    }
    for (name, value) in &mail.headers {
        // Names are checked: `X-`, letters, digits and `-`.
        if let Ok(name) = HeaderName::new_from_ascii(name.clone()) {
            headers.insert_raw(HeaderValue::new(name, value.clone()));
        }
    }
    headers.set(MIME_VERSION_1_0);
    headers
}

/// From the headers of the content on.
fn body(mail: &Mail) -> Vec<u8> {
    let text = mail.text.as_deref().map(|text| SinglePart::plain(one_newline(text)));
    let html = mail.html.as_deref().map(|html| SinglePart::html(one_newline(html)));
    let both = |text, html| MultiPart::alternative().singlepart(text).singlepart(html);
    if mail.files.is_empty() {
        return match (text, html) {
            (Some(text), Some(html)) => both(text, html).formatted(),
            (text, html) => text.or(html).map(|part| part.formatted()).unwrap_or_default(),
        };
    }
    let mixed = MultiPart::mixed();
    let mut mixed = match (text, html) {
        (Some(text), Some(html)) => mixed.multipart(both(text, html)),
        (Some(part), None) | (None, Some(part)) => mixed.singlepart(part),
        (None, None) => mixed.build(),
    };
    for file in &mail.files {
        mixed = mixed.singlepart(Attachment::new(file.name.clone()).body(encoded(file), file.content_type.clone()));
    }
    mixed.formatted()
}

/// A file as base64. Left to itself lettre writes ASCII files as they are, with every bare LF in them.
fn encoded(file: &File) -> Body {
    let base64 = ContentTransferEncoding::Base64;
    let body = Body::new_with_encoding(file.content.clone(), base64);
    // It hands back what base64 cannot carry, which is nothing.
    body.unwrap_or_else(|content| Body::dangerous_pre_encoded(STANDARD.encode(content).into_bytes(), base64))
}

/// A subject. Lines are folded at blanks only; a word that no line can hold is written as encoded words (RFC 2047 §2: at
/// most 75 characters each).
fn subject(text: &str) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str("Subject");
    if text.split(' ').all(|word| word.len() <= LONGEST_WORD) {
        return HeaderValue::new(name, text.to_owned());
    }
    let (mut words, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (word, tail) = rest.split_at(rest.floor_char_boundary(45));
        words.push(format!("=?utf-8?b?{}?=", STANDARD.encode(word)));
        rest = tail;
    }
    HeaderValue::dangerous_new_pre_encoded(name, text.to_owned(), words.join("\r\n "))
}

/// Whatever ends a line becomes LF, which the encoder turns into CRLF.
fn one_newline(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}
