//! The part of the Gmail API that sends mail, after its reference: `users.drafts` and `users.messages.send`. Keeps what
//! it sent, and can do something and lose the answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::rest::{Faults, Reply, Request, serve};

/// A mail that went out.
#[derive(Clone, Debug)]
pub(crate) struct SentMail {
    /// As it was handed in.
    pub(crate) raw: String,
    pub(crate) thread_id: Option<String>,
}

impl SentMail {
    /// The value of a header, by its lower-case name, unfolded.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(&self.raw, name)
    }
}

/// The value of a header of a mail, unfolded.
pub(crate) fn header(raw: &str, name: &str) -> Option<String> {
    let head = raw.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
    head.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

#[derive(Default)]
struct Mailbox {
    made: usize,
    /// With the thread of each; in one thread there is one mail here.
    threads: BTreeMap<String, String>,
    drafts: BTreeMap<String, SentMail>,
    sent: Vec<SentMail>,
    calls: Vec<Request>,
    token: String,
}

/// A running fake.
pub(crate) struct GmailFake {
    pub(crate) address: SocketAddr,
    /// By operation: `drafts.create`, `drafts.send`, `drafts.get`, `drafts.delete`, `threads.get`, `messages.send`.
    pub(crate) faults: Arc<Faults>,
    mailbox: Arc<Mutex<Mailbox>>,
}

impl GmailFake {
    /// Takes requests with this token only.
    pub(crate) async fn start(token: &str) -> Self {
        let mailbox = Arc::new(Mutex::new(Mailbox { token: token.to_owned(), ..Mailbox::default() }));
        let faults = Arc::new(Faults::default());
        let (own, own_faults) = (mailbox.clone(), faults.clone());
        let address = serve(move |request| respond(&own, &own_faults, &request)).await;
        Self { address, faults, mailbox }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every mail that went out, in order.
    pub(crate) fn sent(&self) -> Vec<SentMail> {
        self.mailbox.lock().unwrap().sent.clone()
    }

    /// Drafts that are left.
    pub(crate) fn drafts(&self) -> usize {
        self.mailbox.lock().unwrap().drafts.len()
    }

    /// Drafts that were ever made.
    pub(crate) fn drafts_made(&self) -> usize {
        self.mailbox.lock().unwrap().made
    }

    /// Someone deletes every draft.
    pub(crate) fn delete_drafts(&self) {
        self.mailbox.lock().unwrap().drafts.clear();
    }

    pub(crate) fn calls(&self) -> Vec<Request> {
        self.mailbox.lock().unwrap().calls.clone()
    }
}

/// An error document of the API.
pub(crate) fn error(status: u16, reason: &str) -> Reply {
    let errors = json!([{"domain": "usageLimits", "reason": reason, "message": "for people"}]);
    Reply::json(status, &json!({"error": {"code": status, "message": "for people", "errors": errors}}))
}

fn respond(mailbox: &Mutex<Mailbox>, faults: &Faults, request: &Request) -> Reply {
    {
        let mut mailbox = mailbox.lock().unwrap();
        mailbox.calls.push(request.clone());
        if request.header("authorization") != Some(&format!("Bearer {}", mailbox.token)) {
            return error(401, "authError");
        }
    }
    let path = request.path();
    let Some(rest) = path.strip_prefix(&["gmail", "v1", "users", "me"]) else { return error(404, "notFound") };
    let act = |act: &dyn Fn(&mut Mailbox) -> Reply| act(&mut mailbox.lock().unwrap());
    match (request.method.as_str(), rest) {
        ("POST", ["drafts"]) => faults.apply("drafts.create", || act(&|m| create(m, &request.body["message"]))),
        ("POST", ["drafts", "send"]) => faults.apply("drafts.send", || act(&|m| send_draft(m, &request.body))),
        ("GET", ["drafts", id]) => faults.apply("drafts.get", || {
            act(&|m| {
                if m.drafts.contains_key(*id) { Reply::json(200, &json!({"id": id})) } else { error(404, "notFound") }
            })
        }),
        ("DELETE", ["drafts", id]) => faults.apply("drafts.delete", || {
            act(&|m| if m.drafts.remove(*id).is_some() { Reply::empty(204) } else { error(404, "notFound") })
        }),
        ("GET", ["threads", id]) => faults.apply("threads.get", || {
            act(&|m| match m.threads.get(*id) {
                Some(sent) => {
                    let messages = json!([{"id": sent, "threadId": id, "labelIds": ["SENT", "INBOX"]}]);
                    Reply::json(200, &json!({"id": id, "messages": messages}))
                }
                None => error(404, "notFound"),
            })
        }),
        ("POST", ["messages", "send"]) => faults.apply("messages.send", || {
            act(&|m| match parse(&request.body) {
                Some(mail) => send(m, mail),
                None => error(400, "invalidArgument"),
            })
        }),
        _ => error(404, "notFound"),
    }
}

fn parse(message: &Value) -> Option<SentMail> {
    let raw = String::from_utf8(URL_SAFE_NO_PAD.decode(message["raw"].as_str()?).ok()?).ok()?;
    header(&raw, "to")?;
    Some(SentMail { raw, thread_id: message["threadId"].as_str().map(ToOwned::to_owned) })
}

fn create(mailbox: &mut Mailbox, message: &Value) -> Reply {
    let Some(mail) = parse(message) else { return error(400, "invalidArgument") };
    mailbox.made += 1;
    let id = format!("r-{}", mailbox.made);
    let thread = mail.thread_id.clone().unwrap_or_else(|| format!("t-{}", mailbox.made));
    let message = json!({"id": format!("m-{}", mailbox.made), "threadId": thread, "labelIds": ["DRAFT"]});
    let answer = json!({"id": id, "message": message});
    let mail = SentMail { thread_id: Some(thread), ..mail };
    mailbox.drafts.insert(id, mail);
    Reply::json(200, &answer)
}

fn send_draft(mailbox: &mut Mailbox, draft: &Value) -> Reply {
    match mailbox.drafts.remove(draft["id"].as_str().unwrap_or_default()) {
        Some(mail) => send(mailbox, mail),
        None => error(404, "notFound"),
    }
}

fn send(mailbox: &mut Mailbox, mail: SentMail) -> Reply {
    let id = format!("s-{}", mailbox.sent.len() + 1);
    let thread = mail.thread_id.clone().unwrap_or_else(|| format!("t-{id}"));
    mailbox.sent.push(mail);
    mailbox.threads.insert(thread.clone(), id.clone());
    Reply::json(200, &json!({"id": id, "threadId": thread, "labelIds": ["SENT"]}))
}
