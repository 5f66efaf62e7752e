//! Google Tasks and Microsoft To Do in memory, in the documented form of their APIs
//! (<https://developers.google.com/workspace/tasks/reference/rest/v1/tasks>,
//! <https://learn.microsoft.com/en-us/graph/api/resources/todo-overview>).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use windlass::clock;
use windlass::domain::Timestamp;

use super::json_server::{Asked, Fault, JsonServer, Reply};

/// Both services on one port, and everything that was made at them.
pub(crate) struct FakeTasks {
    server: JsonServer,
    state: Arc<Mutex<State>>,
}

/// Id of the built-in list at Microsoft.
pub(crate) const TODO_LIST: &str = "AQMk-default";

#[derive(Default)]
struct State {
    token: String,
    google: Vec<Value>,
    todo: Vec<Value>,
    /// Marks of what was made, in that order; never taken back.
    made: Vec<String>,
    asked: Vec<Asked>,
    faults: VecDeque<Fault>,
    expands: bool,
}

impl FakeTasks {
    /// Takes `token` only.
    pub(crate) async fn start(token: &str) -> Self {
        let state = State { token: token.to_owned(), expands: true, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let own = state.clone();
        let server = JsonServer::start(move |asked| own.lock().unwrap().answer(asked)).await;
        Self { server, state }
    }

    /// The base address of Google Tasks.
    pub(crate) fn google_url(&self) -> String {
        self.server.url()
    }

    /// The base address of Microsoft Graph.
    pub(crate) fn graph_url(&self) -> String {
        format!("{}/v1.0", self.server.url())
    }

    /// What happens to the next requests that change something, in this order.
    pub(crate) fn fail_next(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// Marks of what was made, in that order.
    pub(crate) fn made(&self) -> Vec<String> {
        self.state().made.clone()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    pub(crate) fn google(&self) -> Vec<Value> {
        self.state().google.clone()
    }

    pub(crate) fn todo(&self) -> Vec<Value> {
        self.state().todo.clone()
    }

    /// A person deletes every task at Google.
    pub(crate) fn delete_all(&self) {
        for task in &mut self.state().google {
            task["deleted"] = json!(true);
        }
    }

    /// Someone else makes tasks, at both.
    pub(crate) fn others_make(&self, count: usize) {
        let mut state = self.state();
        for _ in 0..count {
            state.keep_google(json!({"title": "another"}));
            state.keep_todo(json!({"title": "another", "linkedResources": []}));
        }
    }

    /// Microsoft leaves linked resources out.
    pub(crate) fn expand_no_more(&self) {
        self.state().expands = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn answer(&mut self, asked: Asked) -> Reply {
        self.asked.push(asked.clone());
        if asked.header("authorization") != format!("Bearer {}", self.token) {
            return Reply::json(401, json!({"error": {"code": 401, "message": "Invalid Credentials"}}));
        }
        let fault = if asked.method == "GET" { None } else { self.faults.pop_front() };
        if let Some(Fault::Refuse(status, headers, body)) = fault {
            return Reply::Json(status, headers, body);
        }
        let done = self.route(&asked);
        match fault {
            Some(Fault::DoneThenHangUp) => Reply::HangUp,
            Some(Fault::DoneThenBadGateway) => Reply::json(502, json!({"error": {"message": "Bad Gateway"}})),
            _ => done,
        }
    }

    fn route(&mut self, asked: &Asked) -> Reply {
        let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
        match (asked.method.as_str(), path.as_slice()) {
            ("POST", ["tasks", "v1", "lists", "@default", "tasks"]) => {
                let notes = asked.body["notes"].as_str().unwrap_or_default();
                self.made.push(notes.lines().last().unwrap_or_default().to_owned());
                Reply::json(200, self.keep_google(asked.body.clone()))
            }
            ("GET", ["tasks", "v1", "lists", "@default", "tasks"]) => self.google_list(asked),
            ("GET", ["v1.0", "me", "todo", "lists"]) => {
                let flagged = json!({"id": "AQMk-flagged", "wellknownListName": "flaggedEmails"});
                let own = json!({"id": TODO_LIST, "wellknownListName": "defaultList", "displayName": "Tasks"});
                Reply::json(200, json!({"value": [flagged, own]}))
            }
            ("POST", ["v1.0", "me", "todo", "lists", TODO_LIST, "tasks"]) => {
                let key = asked.body["linkedResources"][0]["externalId"].as_str().unwrap_or_default();
                self.made.push(key.to_owned());
                Reply::json(201, self.keep_todo(asked.body.clone()))
            }
            ("GET", ["v1.0", "me", "todo", "lists", TODO_LIST, "tasks"]) => self.todo_list(asked),
            _ => Reply::json(404, json!({"error": {"code": "itemNotFound", "message": "Not Found"}})),
        }
    }

    fn keep_google(&mut self, mut task: Value) -> Value {
        let id = format!("g{}", self.google.len());
        task["webViewLink"] = json!(format!("https://tasks.google.com/task/{id}"));
        (task["id"], task["status"]) = (json!(id), json!("needsAction"));
        task["updated"] = json!(clock::wall().to_string());
        self.google.push(task.clone());
        task
    }

    fn keep_todo(&mut self, mut task: Value) -> Value {
        (task["id"], task["status"]) = (json!(format!("t{}", self.todo.len())), json!("notStarted"));
        task["createdDateTime"] = json!(clock::wall().to_string());
        self.todo.push(task.clone());
        task
    }

    fn google_list(&self, asked: &Asked) -> Reply {
        let time = |text: &str| Timestamp::parse(text).unwrap_or_default();
        let shown = |task: &&Value| {
            (asked.param("showDeleted") == "true" || task["deleted"] != true)
                && time(task["updated"].as_str().unwrap()) >= time(asked.param("updatedMin"))
        };
        let all: Vec<&Value> = self.google.iter().rev().filter(shown).collect();
        let size = asked.param("maxResults").parse().unwrap_or(20_usize).min(100);
        let from: usize = asked.param("pageToken").parse().unwrap_or(0);
        let items: Vec<_> = all.iter().skip(from).take(size).collect();
        let mut page = json!({"kind": "tasks#tasks"});
        if !items.is_empty() {
            page["items"] = json!(items);
        }
        if from + size < all.len() {
            page["nextPageToken"] = json!((from + size).to_string());
        }
        Reply::json(200, page)
    }

    fn todo_list(&self, asked: &Asked) -> Reply {
        let (size, from): (usize, usize) =
            (asked.param("$top").parse().unwrap_or(10), asked.param("$skip").parse().unwrap_or(0));
        let expanded = self.expands && asked.param("$expand") == "linkedResources";
        let one = |task: &Value| {
            let mut task = task.clone();
            if !expanded {
                task.as_object_mut().unwrap().remove("linkedResources");
            }
            task
        };
        let items: Vec<_> = self.todo.iter().rev().skip(from).take(size).map(one).collect();
        let mut page = json!({"value": items});
        if from + size < self.todo.len() {
            page["@odata.nextLink"] = json!("https://graph.microsoft.com/v1.0/next");
        }
        Reply::json(200, page)
    }
}
