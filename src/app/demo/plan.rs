//! Which jobs the demo submits: a fixed mix, so that every run shows the same.

use serde_json::{Value, json};

use crate::api::job::CreateJob;

/// One job and who submits it.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// Index of the workspace.
    pub(super) workspace: usize,
    /// The request.
    pub(super) job: CreateJob,
}

/// `count` jobs: of ten, four echoes, three sleeps (one of which fails its first attempt), two
/// model calls and one webhook. `run` makes the ids of this run distinct from those of earlier ones.
pub(super) fn jobs(count: u32, run: &str, webhook_url: &str) -> Vec<Planned> {
    (0..count).map(|number| planned(number, run, webhook_url)).collect()
}

fn planned(number: u32, run: &str, webhook_url: &str) -> Planned {
    let (job_type, input) = match number % 10 {
        0 | 3 | 5 | 8 => ("echo", json!({"number": number})),
        1 | 6 => ("sleep", json!({"ms": 400 + u64::from(number * 37 % 1200)})),
        4 => ("sleep", json!({"ms": 200, "fail": "retryable", "fail_attempts": 1})),
        2 | 7 => {
            let prompt = format!("Say in one sentence what happens to job {number}.");
            ("llm.chat", json!({"messages": [{"role": "user", "content": prompt}]}))
        }
        _ => ("webhook.send", json!({"url": webhook_url, "payload": {"number": number}})),
    };
    Planned { workspace: (number % 2) as usize, job: request(format!("{run}-{number}"), job_type, &input) }
}

fn request(id: String, job_type: &str, input: &Value) -> CreateJob {
    CreateJob {
        client_request_id: id,
        job_type: job_type.to_owned(),
        input: serde_json::value::to_raw_value(input).ok(),
        queue: None,
        priority: None,
        run_at: None,
        expires_at: None,
        timeout_ms: None,
        max_attempts: None,
        callback_url: None,
        metadata: None,
    }
}

/// A model call whose answer is streamed, for the first workspace.
pub(super) fn streamed(run: &str) -> Planned {
    let prompt = "A windlass hauls a heavy load, and its pawl never lets it slip back.";
    let input = json!({"messages": [{"role": "user", "content": prompt}], "stream": true});
    Planned { workspace: 0, job: request(format!("{run}-streamed"), "llm.chat", &input) }
}

/// A mail, for the first workspace.
pub(super) fn mail(run: &str) -> Planned {
    let input =
        json!({"to": ["you@example.org"], "subject": "A letter from the demo", "text": "Looked at, then sent."});
    Planned { workspace: 0, job: request(format!("{run}-mail"), "smtp.send", &input) }
}

/// Jobs that wait while the queue is stalled, for the first workspace.
pub(super) fn stuck(run: &str) -> Vec<Planned> {
    let job = |n: u32| request(format!("{run}-stuck-{n}"), "echo", &json!({"number": n}));
    (0..5).map(|n| Planned { workspace: 0, job: job(n) }).collect()
}

/// The same id with another body, which has to be refused.
pub(super) fn with_other_body(planned: &Planned) -> Planned {
    let other = request(planned.job.client_request_id.clone(), "echo", &json!({"another": "body"}));
    Planned { workspace: planned.workspace, job: other }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_and_both_workspaces_take_part() {
        let jobs = jobs(20, "run", "http://127.0.0.1:1/hook");
        let kinds: BTreeSet<&str> = jobs.iter().map(|p| p.job.job_type.as_str()).collect();
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["echo", "llm.chat", "sleep", "webhook.send"]);
        assert_eq!(jobs.iter().filter(|p| p.workspace == 0).count(), 10);
        let ids: BTreeSet<&str> = jobs.iter().map(|p| p.job.client_request_id.as_str()).collect();
        assert_eq!(ids.len(), 20);
    }
}
