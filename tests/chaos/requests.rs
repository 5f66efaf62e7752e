//! The jobs that clients ask for, and what is to be expected of them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::client::canary;
use super::dice::Dice;
use super::watch::QUEUES;

/// A job as a client would send it, again and again if need be.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) workspace: String,
    pub(crate) key: String,
    pub(crate) body: Value,
    /// `succeed`, `die`, `either`.
    pub(crate) expect: &'static str,
}

impl Request {
    /// What a history says of it.
    pub(crate) fn about(&self) -> Value {
        let mut about = json!({"f": "enqueue", "ws": self.workspace, "key": self.key, "type": self.body["type"],
            "body": self.hash(), "expect": self.expect, "queue": self.body["queue"]});
        for name in ["max_attempts", "run_at", "expires_at", "timeout_ms", "priority"] {
            if !self.body[name].is_null() {
                about[name] = self.body[name].clone();
            }
        }
        if self.body["type"] == "chaos.fault" {
            about["how"] = self.body["input"]["how"].clone();
        }
        about
    }

    fn hash(&self) -> String {
        let digest = Sha256::digest(self.body.to_string().as_bytes());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same request id with another input.
    pub(crate) fn altered(&self, dice: &mut Dice) -> Self {
        let mut other = self.clone();
        other.body["metadata"] = json!({"altered": dice.token()});
        other
    }
}

/// Makes requests.
pub(crate) struct Requests {
    pub(crate) dice: Dice,
    /// Where webhooks go.
    pub(crate) receiver: String,
    /// No jobs that harm their workers.
    pub(crate) tame: bool,
    prefix: String,
    count: u64,
}

impl Requests {
    pub(crate) fn new(dice: Dice, prefix: &str, receiver: &str) -> Self {
        Self { dice, receiver: receiver.to_owned(), tame: false, prefix: prefix.to_owned(), count: 0 }
    }

    fn request(&mut self, workspace: &str, kind: &str, input: Value, expect: &'static str) -> Request {
        self.count += 1;
        let key = format!("{}-{}", self.prefix, self.count);
        let queue = QUEUES[usize::from(self.dice.chance(25))];
        let body = json!({"client_request_id": key, "type": kind, "input": input, "queue": queue});
        Request { workspace: workspace.to_owned(), key, body, expect }
    }

    /// The smallest job.
    pub(crate) fn echo(&mut self, workspace: &str) -> Request {
        let note = canary(workspace, &mut self.dice);
        self.request(workspace, "echo", json!({"note": note}), "succeed")
    }

    /// One of every kind that clients send one at a time.
    pub(crate) fn any(&mut self, workspace: &str) -> Request {
        let note = canary(workspace, &mut self.dice);
        let mut request = match self.dice.between(0, 99) {
            0..25 => self.echo(workspace),
            25..45 => {
                let ms = self.dice.between(10, 1500);
                self.request(workspace, "sleep", json!({"ms": ms}), "succeed")
            }
            45..52 => {
                let (ms, last) = (self.dice.between(1, 50), self.dice.between(1, 3));
                let expect = if last < 3 { "succeed" } else { "die" };
                let input = json!({"ms": ms, "fail": "retryable", "fail_attempts": last});
                self.request(workspace, "sleep", input, expect)
            }
            52..70 => {
                let input = json!({"url": self.receiver, "payload": {"note": note}});
                self.request(workspace, "webhook.send", input, "either")
            }
            70..85 => {
                let input = json!({"messages": [{"role": "user", "content": note}]});
                self.request(workspace, "llm.chat", input, "either")
            }
            _ if self.tame => self.echo(workspace),
            _ => self.fault(workspace, &note),
        };
        self.vary(&mut request);
        request
    }

    /// A job that misbehaves.
    fn fault(&mut self, workspace: &str, note: &str) -> Request {
        let how = match self.dice.between(0, 99) {
            0..30 => "fail",
            30..60 => "panic",
            60..80 => "spin",
            80..97 => "hang",
            _ => "abort",
        };
        let last = self.dice.between(1, 3);
        let mut input = json!({"how": how, "ms": self.dice.between(1, 200), "note": note});
        if how != "spin" && how != "abort" {
            input["attempts"] = json!(last);
        }
        let expect = match how {
            "spin" => "succeed",
            "abort" => "die",
            _ if last < 3 => "succeed",
            _ => "die",
        };
        let mut request = self.request(workspace, "chaos.fault", input, expect);
        if how == "hang" {
            request.body["timeout_ms"] = json!(self.dice.between(300, 1500));
        }
        request
    }

    /// Later, sooner, in another band, or with an end of its time in line.
    fn vary(&mut self, request: &mut Request) {
        if self.dice.chance(15) {
            request.body["priority"] = json!(if self.dice.chance(50) { "high" } else { "low" });
        }
        if self.dice.chance(15) {
            request.body["run_at"] = json!(moment(self.dice.between(500, 6000)));
        } else if self.dice.chance(4) {
            request.body["expires_at"] = json!(moment(self.dice.between(500, 3000)));
            request.expect = "either";
        }
    }
}

/// RFC 3339, this many milliseconds from now.
fn moment(ahead_ms: u64) -> String {
    windlass::clock::wall().plus(std::time::Duration::from_millis(ahead_ms)).to_string()
}
