//! GitHub's issues and pull requests in memory, in the documented form of its REST API
//! (<https://docs.github.com/en/rest/issues>, <https://docs.github.com/en/rest/pulls>): one repository, `acme/site`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use windlass::clock;
use windlass::domain::Timestamp;

use super::json_server::{Asked, Fault, JsonServer, Reply};

/// The server and everything that was done to it.
pub(crate) struct FakeGithub {
    server: JsonServer,
    state: Arc<Mutex<State>>,
}

/// Something that was made: what, and its body. Never taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) what: &'static str,
    pub(crate) number: u64,
    pub(crate) body: String,
}

#[derive(Default)]
struct State {
    token: String,
    issues: Vec<Value>,
    comments: Vec<(u64, Value)>,
    made: Vec<Made>,
    asked: Vec<Asked>,
    faults: VecDeque<Fault>,
}

impl FakeGithub {
    /// Takes `token` only.
    pub(crate) async fn start(token: &str) -> Self {
        let state = Arc::new(Mutex::new(State { token: token.to_owned(), ..State::default() }));
        let own = state.clone();
        let server = JsonServer::start(move |asked| own.lock().unwrap().answer(asked)).await;
        Self { server, state }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// What happens to the next requests that change something, in this order.
    pub(crate) fn fail_next(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    pub(crate) fn made(&self) -> Vec<Made> {
        self.state().made.clone()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    pub(crate) fn issue(&self, number: u64) -> Value {
        self.state().issues.iter().find(|issue| issue["number"] == number).cloned().unwrap()
    }

    /// Someone else opens issues.
    pub(crate) fn others_open(&self, count: usize) {
        let mut state = self.state();
        for _ in 0..count {
            state.open(json!({"title": "another", "body": "no mark"}), false);
        }
    }

    /// As if everything here had been made this long ago.
    pub(crate) fn age(&self, hours: i64) {
        for issue in &mut self.state().issues {
            let at = Timestamp::from_unix_ms(clock::wall().unix_ms() - hours * 3_600_000).to_string();
            (issue["created_at"], issue["updated_at"]) = (json!(at), json!(at));
        }
    }

    pub(crate) fn now_takes(&self, token: &str) {
        self.state().token = token.to_owned();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn refused(status: u16, message: &str) -> Reply {
    Reply::json(status, json!({"message": message, "documentation_url": "https://docs.github.com/rest"}))
}

impl State {
    fn answer(&mut self, asked: Asked) -> Reply {
        self.asked.push(asked.clone());
        if asked.header("authorization") != format!("Bearer {}", self.token) {
            return refused(401, "Bad credentials");
        }
        let fit = asked.header("accept") == "application/vnd.github+json"
            && asked.header("x-github-api-version") == "2022-11-28"
            && asked.header("user-agent").starts_with("windlass/");
        if !fit {
            return refused(400, "headers are missing");
        }
        let fault = if asked.method == "GET" { None } else { self.faults.pop_front() };
        if let Some(Fault::Refuse(status, headers, body)) = fault {
            return Reply::Json(status, headers, body);
        }
        let done = self.route(&asked);
        match fault {
            Some(Fault::DoneThenHangUp) => Reply::HangUp,
            Some(Fault::DoneThenBadGateway) => refused(502, "Server Error"),
            _ => done,
        }
    }

    fn route(&mut self, asked: &Asked) -> Reply {
        let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
        let rest = match path.as_slice() {
            ["user"] => {
                return Reply::json(200, json!({"login": "bot", "id": 7, "type": "Bot", "plan": {"name": "pro"}}));
            }
            ["user", "repos"] => {
                let site = json!({"full_name": "acme/site", "private": true, "permissions": {"push": true}, "id": 1});
                return page(asked, [site].iter());
            }
            ["repos", "acme", "site", rest @ ..] => rest,
            _ => return refused(404, "Not Found"),
        };
        let number = |text: &str| text.parse::<u64>().unwrap_or_default();
        match (asked.method.as_str(), rest) {
            ("POST", ["issues"]) => self.open(asked.body.clone(), true),
            ("GET", ["issues"]) => page(asked, self.issues.iter().rev().filter(|issue| is_listed(asked, issue))),
            ("PATCH", ["issues", own]) => self.change(number(own), &asked.body),
            ("POST", ["issues", own, "comments"]) => self.comment(number(own), &asked.body),
            ("GET", ["issues", own, "comments"]) => {
                let own = number(own);
                page(asked, self.comments.iter().filter(|(issue, _)| *issue == own).map(|(_, comment)| comment))
            }
            ("POST", ["pulls"]) => self.open_pull(&asked.body),
            ("GET", ["pulls"]) => {
                let pulls = self.issues.iter().rev().filter(|issue| issue.get("pull_request").is_some());
                let head = |pull: &&Value| asked.param("head").is_empty() || pull["full_head"] == asked.param("head");
                let base = |pull: &&Value| asked.param("base").is_empty() || pull["base"]["ref"] == asked.param("base");
                page(asked, pulls.filter(head).filter(base).filter(|pull| is_listed(asked, pull)))
            }
            _ => refused(404, "Not Found"),
        }
    }

    fn open(&mut self, mut issue: Value, by_us: bool) -> Reply {
        if issue["title"].as_str().is_none_or(str::is_empty) {
            let errors = json!([{"resource": "Issue", "field": "title", "code": "missing_field"}]);
            return Reply::json(422, json!({"message": "Validation Failed", "errors": errors}));
        }
        let number = self.issues.len() as u64 + 1;
        let now = clock::wall().to_string();
        let kind = if issue.get("pull_request").is_some() { "pull" } else { "issue" };
        let labels: Vec<Value> = issue["labels"].as_array().into_iter().flatten().map(|l| json!({"name": l})).collect();
        issue["labels"] = json!(labels);
        issue["number"] = json!(number);
        issue["state"] = json!("open");
        issue["user"] = json!({"login": "bot"});
        issue["html_url"] = json!(format!("https://github.com/acme/site/issues/{number}"));
        (issue["created_at"], issue["updated_at"]) = (json!(now), json!(now));
        if by_us {
            let body = issue["body"].as_str().unwrap_or_default().to_owned();
            self.made.push(Made { what: kind, number, body });
        }
        self.issues.push(issue.clone());
        Reply::json(201, issue)
    }

    fn open_pull(&mut self, pull: &Value) -> Reply {
        let head = pull["head"].as_str().unwrap_or_default();
        let full = if head.contains(':') { head.to_owned() } else { format!("acme:{head}") };
        let same =
            |own: &&Value| own["full_head"] == full && own["base"]["ref"] == pull["base"] && own["state"] == "open";
        if self.issues.iter().any(|own| same(&own)) {
            let said = format!("A pull request already exists for {full}.");
            let errors = json!([{"resource": "PullRequest", "code": "custom", "message": said}]);
            return Reply::json(422, json!({"message": "Validation Failed", "errors": errors}));
        }
        let mut issue = pull.clone();
        issue["pull_request"] = json!({});
        issue["full_head"] = json!(full);
        issue["head"] = json!({"ref": head});
        issue["base"] = json!({"ref": pull["base"]});
        self.open(issue, true)
    }

    fn change(&mut self, number: u64, change: &Value) -> Reply {
        let Some(issue) = self.issues.iter_mut().find(|issue| issue["number"] == number) else {
            return refused(404, "Not Found");
        };
        for (name, value) in change.as_object().unwrap() {
            issue[name] = value.clone();
        }
        self.made.push(Made { what: "change", number, body: change.to_string() });
        Reply::json(200, issue.clone())
    }

    fn comment(&mut self, number: u64, comment: &Value) -> Reply {
        if !self.issues.iter().any(|issue| issue["number"] == number) {
            return refused(404, "Not Found");
        }
        let id = self.comments.len() as u64 + 1000;
        let body = comment["body"].as_str().unwrap_or_default().to_owned();
        let url = format!("https://github.com/acme/site/issues/{number}#issuecomment-{id}");
        let comment = json!({"id": id, "body": body, "html_url": url, "created_at": clock::wall().to_string()});
        self.made.push(Made { what: "comment", number, body });
        self.comments.push((number, comment.clone()));
        Reply::json(201, comment)
    }
}

fn is_listed(asked: &Asked, issue: &Value) -> bool {
    let time = |text: &str| Timestamp::parse(text).unwrap_or_default();
    let state = asked.param("state");
    // The list of pull requests knows no `since`.
    let since = if asked.path.last().is_some_and(|last| last == "pulls") { "" } else { asked.param("since") };
    (state == "all" || issue["state"] == if state.is_empty() { "open" } else { state })
        && (since.is_empty() || time(issue["updated_at"].as_str().unwrap()) >= time(since))
}

fn page<'a>(asked: &Asked, all: impl Iterator<Item = &'a Value>) -> Reply {
    let number = |name: &str, default: usize| asked.param(name).parse().unwrap_or(default);
    let size = number("per_page", 30).min(100);
    let items: Vec<&Value> = all.skip((number("page", 1) - 1) * size).take(size).collect();
    Reply::json(200, json!(items))
}
