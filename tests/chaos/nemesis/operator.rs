//! What an operator does at random, and jobs that misbehave.

use serde_json::json;

use crate::client::{Call, Phase};
use crate::dice::Dice;
use crate::pace;
use crate::requests::Request;
use crate::watch::QUEUES;
use crate::workload::{TYPES, WORKSPACES};

use super::Stage;

pub(super) const KINDS: &[&str] = &[
    "pause_queue",
    "pause_type",
    "pause_workspace",
    "drain_queue",
    "cap_change",
    "handler_panic",
    "handler_hang",
    "handler_abort",
];

impl Stage {
    pub(super) async fn strike_as_operator(&self, kind: &str, dice: &mut Dice) {
        if let Some(how) = kind.strip_prefix("handler_") {
            return self.misbehave(kind, how, dice).await;
        }
        if kind == "cap_change" {
            return self.change_cap(dice).await;
        }
        let queue = *dice.pick(&QUEUES);
        let what = match kind {
            "pause_type" => json!({"type": dice.pick(&TYPES)}),
            "pause_workspace" => json!({"workspace": WORKSPACES[dice.between(0, 3) as usize].0}),
            _ => json!({}),
        };
        let verb = if kind == "drain_queue" { "drain" } else { "pause" };
        let begun = self.begin(kind, "S", queue, what.clone());
        self.command(verb, queue, &what, dice).await;
        pace::pause_ms(dice.between(300, 2_500)).await;
        // Lifted until it is certain: an operator would not leave it so.
        for _ in 0..100 {
            if self.command("resume", queue, &what, dice).await == Phase::Done {
                break;
            }
            pace::pause_ms(200).await;
        }
        self.end(begun, json!(null));
    }

    /// Another cap for a while, in the middle of its work.
    async fn change_cap(&self, dice: &mut Dice) {
        let Some((workspace, usual)) = WORKSPACES.iter().find(|(_, cap)| cap.is_some()) else { return };
        let cap = *dice.pick(&[Some(1), Some(2), Some(6), None]);
        let begun = self.begin("cap_change", "S", workspace, json!({"cap": cap}));
        self.api.limit(workspace, cap).await;
        pace::pause_ms(dice.between(300, 2_500)).await;
        self.api.limit(workspace, *usual).await;
        self.end(begun, json!(null));
    }

    async fn command(&self, verb: &str, queue: &str, what: &serde_json::Value, dice: &mut Dice) -> Phase {
        let about = json!({"f": verb, "ws": "*", "queue": queue, "type": what["type"], "workspace": what["workspace"]});
        let call = Call::post("*", format!("/queues/{queue}/{verb}"), Some(what.to_string()));
        self.api.tell(dice.between(0, 1) as usize, about, &call).await.phase
    }

    /// Lifts every pause and drain there may be.
    pub(super) async fn resume_all(&self) -> bool {
        let mut selectors = vec![json!({})];
        selectors.extend(TYPES.iter().map(|name| json!({"type": name})));
        selectors.extend(WORKSPACES.iter().map(|(name, _)| json!({"workspace": name})));
        for queue in QUEUES {
            for what in &selectors {
                let mut tries = 0;
                while self.command("resume", queue, what, &mut Dice::of(tries, "heal")).await != Phase::Done {
                    tries += 1;
                    if tries > 100 {
                        return false;
                    }
                    pace::pause_ms(200).await;
                }
            }
        }
        true
    }

    /// A job that does harm to its worker.
    async fn misbehave(&self, kind: &str, how: &str, dice: &mut Dice) {
        let workspace = WORKSPACES[dice.between(0, 2) as usize].0;
        let note = crate::client::canary(workspace, dice);
        let body = json!({"client_request_id": format!("{kind}-{}", dice.token()), "type": "chaos.fault",
            "queue": dice.pick(&QUEUES), "timeout_ms": 1_000, "input": {"how": how, "ms": 20, "note": note}});
        let begun = self.begin(kind, "S", "worker", json!({"job": body["client_request_id"]}));
        let key = body["client_request_id"].as_str().unwrap_or_default().to_owned();
        let request = Request { workspace: workspace.to_owned(), key, body, expect: "die" };
        let call = Call::post(workspace, "/ai/jobs", Some(request.body.to_string()));
        self.api.tell(0, request.about(), &call).await;
        pace::pause_ms(1_000).await;
        self.end(begun, json!(null));
    }
}
