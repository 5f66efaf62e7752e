//! The part of Microsoft Graph that sends mail, after its reference: `message` with create, send, get and delete. Keeps
//! what it sent, and can do something and lose the answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::rest::{Faults, Reply, Request, serve};

#[derive(Default)]
struct Mailbox {
    made: usize,
    messages: BTreeMap<String, Value>,
    sent: Vec<Value>,
    calls: Vec<Request>,
    token: String,
}

/// A running fake.
pub(crate) struct GraphFake {
    pub(crate) address: SocketAddr,
    /// By operation: `create`, `send`, `get`, `delete`.
    pub(crate) faults: Arc<Faults>,
    mailbox: Arc<Mutex<Mailbox>>,
}

impl GraphFake {
    /// Takes requests with this token only.
    pub(crate) async fn start(token: &str) -> Self {
        let mailbox = Arc::new(Mutex::new(Mailbox { token: token.to_owned(), ..Mailbox::default() }));
        let faults = Arc::new(Faults::default());
        let (own, own_faults) = (mailbox.clone(), faults.clone());
        let address = serve(move |request| respond(&own, &own_faults, &request)).await;
        Self { address, faults, mailbox }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1.0", self.address)
    }

    /// Every mail that went out, in order, as its `message`.
    pub(crate) fn sent(&self) -> Vec<Value> {
        self.mailbox.lock().unwrap().sent.clone()
    }

    pub(crate) fn drafts_made(&self) -> usize {
        self.mailbox.lock().unwrap().made
    }

    /// Messages in the mailbox, drafts and sent ones.
    pub(crate) fn kept(&self) -> usize {
        self.mailbox.lock().unwrap().messages.len()
    }

    pub(crate) fn calls(&self) -> Vec<Request> {
        self.mailbox.lock().unwrap().calls.clone()
    }

    /// Someone empties the mailbox.
    pub(crate) fn clear(&self) {
        self.mailbox.lock().unwrap().messages.clear();
    }
}

/// An error document of Graph.
pub(crate) fn error(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": "for people"}}))
}

fn respond(mailbox: &Mutex<Mailbox>, faults: &Faults, request: &Request) -> Reply {
    {
        let mut mailbox = mailbox.lock().unwrap();
        mailbox.calls.push(request.clone());
        if request.header("authorization") != Some(&format!("Bearer {}", mailbox.token)) {
            return error(401, "InvalidAuthenticationToken");
        }
    }
    // Clients may encode the `=` of an id.
    let decoded = Request { target: request.target.replace("%3D", "="), ..request.clone() };
    let path = decoded.path();
    let rest = match path.as_slice() {
        ["v1.0", "me", "messages", rest @ ..] | ["v1.0", "users", _, "messages", rest @ ..] => rest,
        _ => return error(404, "ResourceNotFound"),
    };
    let act = |act: &dyn Fn(&mut Mailbox) -> Reply| act(&mut mailbox.lock().unwrap());
    match (request.method.as_str(), rest) {
        ("POST", []) => faults.apply("create", || act(&|m| create(m, &request.body))),
        ("POST", [id, "send"]) => faults.apply("send", || act(&|m| send(m, id))),
        ("GET", [id]) => faults.apply("get", || {
            act(&|m| match m.messages.get(*id) {
                Some(message) => Reply::json(200, &json!({"id": id, "isDraft": message["isDraft"]})),
                None => error(404, "ErrorItemNotFound"),
            })
        }),
        ("DELETE", [id]) => faults.apply("delete", || {
            act(&|m| if m.messages.remove(*id).is_some() { Reply::empty(204) } else { error(404, "ErrorItemNotFound") })
        }),
        _ => error(404, "ResourceNotFound"),
    }
}

fn create(mailbox: &mut Mailbox, message: &Value) -> Reply {
    let known = ["HTML", "Text"].contains(&message["body"]["contentType"].as_str().unwrap_or_default());
    if !known || message["toRecipients"][0]["emailAddress"]["address"].as_str().is_none() {
        return error(400, "ErrorInvalidRecipients");
    }
    mailbox.made += 1;
    let id = format!("AAkALg{}=", mailbox.made);
    let mut message = message.clone();
    message["id"] = id.as_str().into();
    message["isDraft"] = true.into();
    message["internetMessageId"] = format!("<{}@graph.example>", mailbox.made).into();
    message["conversationId"] = format!("c-{}", mailbox.made).into();
    mailbox.messages.insert(id, message.clone());
    Reply::json(201, &message)
}

fn send(mailbox: &mut Mailbox, id: &str) -> Reply {
    let Some(message) = mailbox.messages.get_mut(id).filter(|message| message["isDraft"] == true) else {
        return error(404, "ErrorItemNotFound");
    };
    message["isDraft"] = false.into();
    let message = message.clone();
    mailbox.sent.push(message);
    Reply::empty(202)
}
