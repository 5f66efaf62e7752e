//! The input of the mail types, and the mail it becomes once everything in it is checked.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::{ActionFacts, FailureReason};
use crate::engine::{ExecutionError, JobContext};
use crate::executors::actions::Credential;

use super::address::{Party, address};
use super::schema::{MAX_ATTACHMENTS, MAX_HEADERS, MAX_RECIPIENTS, SUBJECT_LIMIT, Way};
use super::text;

/// Input of one job. What a way out does not know is refused by its schema and again by [`MailInput::check`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MailInput {
    to: Vec<Party>,
    #[serde(default)]
    cc: Vec<Party>,
    #[serde(default)]
    bcc: Vec<Party>,
    subject: String,
    text: Option<String>,
    html: Option<String>,
    from: Option<Party>,
    reply_to: Option<Party>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    in_reply_to: Option<String>,
    #[serde(default)]
    references: Vec<String>,
    thread_id: Option<String>,
    mailbox: Option<String>,
    #[serde(default)]
    attachments: Vec<FileInput>,
    credential: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileInput {
    filename: String,
    content_type: String,
    content_base64: String,
}

/// A mail that may be sent.
pub(super) struct Mail {
    pub(super) to: Vec<Mailbox>,
    pub(super) cc: Vec<Mailbox>,
    pub(super) bcc: Vec<Mailbox>,
    pub(super) subject: String,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) from: Option<Mailbox>,
    pub(super) reply_to: Option<Mailbox>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) in_reply_to: Option<String>,
    pub(super) references: Vec<String>,
    pub(super) thread_id: Option<String>,
    pub(super) mailbox: Option<String>,
    pub(super) files: Vec<File>,
    pub(super) credential: Option<String>,
}

/// An attachment.
pub(super) struct File {
    pub(super) name: String,
    pub(super) content_type: ContentType,
    /// The same as text.
    pub(super) media_type: String,
    pub(super) content: Vec<u8>,
}

impl Mail {
    /// The mail of an input.
    ///
    /// # Errors
    /// A sentence that names the field.
    pub(super) fn of(input: &Value, way: Way) -> Result<Self, String> {
        MailInput::deserialize(input).map_err(|e| e.to_string())?.check(way)
    }

    /// The mail of a job. The door has checked it, but perhaps that of another version.
    ///
    /// # Errors
    /// `invalid`, permanent.
    pub(super) fn of_job(context: &JobContext, way: Way) -> Result<Self, ExecutionError> {
        let input: MailInput = context.input()?;
        input.check(way).map_err(|why| ExecutionError::permanent(FailureReason::Invalid, why))
    }

    /// Every address that gets it, each once, in the order of the input.
    pub(super) fn recipients(&self) -> Vec<lettre::Address> {
        let mut seen = BTreeSet::new();
        let all = self.to.iter().chain(&self.cc).chain(&self.bcc);
        all.map(|mailbox| mailbox.email.clone()).filter(|address| seen.insert(address.to_string())).collect()
    }

    /// Who it is from: the input's word, or the account of the credential.
    pub(super) fn sender(&self, credential: &Credential) -> Option<Mailbox> {
        let account = || Some(Mailbox::from(address("account", credential.account.as_deref()?).ok()?));
        self.from.clone().or_else(account)
    }

    /// What the rules for actions look at.
    pub(super) fn facts(&self) -> ActionFacts {
        let bodies = [Some(&self.subject), self.text.as_ref(), self.html.as_ref()];
        let bytes = bodies.into_iter().flatten().map(String::len).sum::<usize>();
        let files = self.files.iter().map(|file| file.content.len()).sum::<usize>();
        ActionFacts {
            recipients: self.recipients().iter().map(ToString::to_string).collect(),
            bytes: bytes + files,
            ..ActionFacts::default()
        }
    }
}

impl MailInput {
    fn check(self, way: Way) -> Result<Mail, String> {
        self.check_sizes()?;
        self.check_way(way)?;
        text::one_line("subject", &self.subject, SUBJECT_LIMIT)?;
        for (field, body) in [("text", &self.text), ("html", &self.html)] {
            if body.as_ref().is_some_and(|body| body.contains('\0')) {
                return Err(format!("{field}: NUL is not allowed"));
            }
        }
        for (name, value) in &self.headers {
            check_header(name, value)?;
        }
        if let Some(id) = &self.in_reply_to {
            text::message_id("in_reply_to", id)?;
        }
        for (at, id) in self.references.iter().enumerate() {
            text::message_id(&format!("references[{at}]"), id)?;
        }
        let one = |field: &str, party: Option<Party>| party.map(|party| party.mailbox(field)).transpose();
        let files = self.attachments.iter().enumerate().map(|(at, file)| file.check(at)).collect::<Result<_, _>>()?;
        Ok(Mail {
            to: mailboxes("to", &self.to)?,
            cc: mailboxes("cc", &self.cc)?,
            bcc: mailboxes("bcc", &self.bcc)?,
            subject: self.subject,
            text: self.text,
            html: self.html,
            from: one("from", self.from)?,
            reply_to: one("reply_to", self.reply_to)?,
            headers: self.headers,
            in_reply_to: self.in_reply_to,
            references: self.references,
            thread_id: self.thread_id,
            mailbox: self.mailbox,
            files,
            credential: self.credential,
        })
    }

    fn check_sizes(&self) -> Result<(), String> {
        let recipients = self.to.len() + self.cc.len() + self.bcc.len();
        if self.to.is_empty() || recipients > MAX_RECIPIENTS {
            return Err(format!(
                "to, cc, bcc: at least one in `to` and at most {MAX_RECIPIENTS} in all, not {recipients}"
            ));
        }
        if self.text.is_none() && self.html.is_none() {
            return Err("text, html: at least one of them is needed".to_owned());
        }
        if self.attachments.len() > MAX_ATTACHMENTS {
            return Err(format!("attachments: at most {MAX_ATTACHMENTS} are allowed"));
        }
        if self.headers.len() > MAX_HEADERS {
            return Err(format!("headers: at most {MAX_HEADERS} are allowed"));
        }
        Ok(())
    }

    fn check_way(&self, way: Way) -> Result<(), String> {
        let threads = self.in_reply_to.is_some() || !self.references.is_empty();
        if way == Way::Outlook && threads {
            return Err("in_reply_to, references: Microsoft Graph does not let them be set".to_owned());
        }
        if let Some(thread) = self.thread_id.as_ref().filter(|_| way == Way::Gmail) {
            let fits = thread.len() <= 64 && thread.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            return if fits { Ok(()) } else { Err("thread_id: is not the id of a thread".to_owned()) };
        }
        if self.thread_id.is_some() {
            return Err("thread_id: only gmail.send knows threads by id".to_owned());
        }
        match self.mailbox.as_deref() {
            Some(_) if way != Way::Outlook => Err("mailbox: only outlook.send knows it".to_owned()),
            Some(id) if id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') => Ok(()),
            Some(other) => address("mailbox", other).map(drop),
            None => Ok(()),
        }
    }
}

fn mailboxes(field: &str, parties: &[Party]) -> Result<Vec<Mailbox>, String> {
    parties.iter().enumerate().map(|(at, party)| party.mailbox(&format!("{field}[{at}]"))).collect()
}

fn check_header(name: &str, value: &str) -> Result<(), String> {
    let own = name.strip_prefix(['X', 'x']).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
    if !(1..=62).contains(&own.len()) || !own.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err("headers: names begin with `X-` and have letters, digits and `-`".to_owned());
    }
    let field = format!("headers.{name}");
    text::one_line(&field, value, 512)?;
    if value.is_ascii() { Ok(()) } else { Err(format!("{field}: only ASCII is allowed")) }
}

impl FileInput {
    fn check(&self, at: usize) -> Result<File, String> {
        let field = |name: &str| format!("attachments[{at}].{name}");
        text::name(&field("filename"), &self.filename, 128)?;
        if self.filename.contains(['/', '\\']) || matches!(self.filename.trim(), "." | "..") {
            return Err(format!("{}: must be the name of a file, without a path", field("filename")));
        }
        let plain = |part: &str| {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b);
            !part.is_empty() && part.bytes().all(token)
        };
        let (top, sub) = self.content_type.split_once('/').unwrap_or_default();
        if !plain(top) || !plain(sub) {
            return Err(format!("{}: must be type/subtype without parameters", field("content_type")));
        }
        // RFC 2045 §6.4: these may not be encoded, and a body that is a mail itself hides what is in it.
        if top.eq_ignore_ascii_case("multipart") || top.eq_ignore_ascii_case("message") {
            return Err(format!("{}: multipart/* and message/* cannot be attached", field("content_type")));
        }
        let content_type = ContentType::parse(&self.content_type)
            .map_err(|_| format!("{}: is not a media type", field("content_type")))?;
        let content = STANDARD
            .decode(&self.content_base64)
            .map_err(|_| format!("{}: is not standard base64 with padding", field("content_base64")))?;
        let media_type = self.content_type.to_ascii_lowercase();
        Ok(File { name: self.filename.clone(), content_type, media_type, content })
    }
}
