//! What went wrong, in words and as an exit code.

use crate::api::Problem;
use crate::client::ClientError;
use crate::domain::{QueueName, clip_text};

/// Exit codes, fixed for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Something failed.
    Failure = 1,
    /// The command line or the settings are wrong.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// The server understood and refused.
    Refused = 4,
    /// No answer, or Redis behind the server is down.
    Unreachable = 5,
    /// Someone ended it with Ctrl-C or SIGTERM, as a shell reports SIGINT.
    Interrupted = 130,
}

/// What went wrong. The message says it in one line; the hint says what to do.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint. The message may contain text from elsewhere: it is cleaned.
    #[must_use]
    pub fn new(code: Code, message: impl std::fmt::Display) -> Self {
        Self { code, message: clip_text(&message.to_string(), 4096), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What to try for a refusal with this code; there is always something.
fn hint_for(problem: &Problem) -> String {
    let hint = match problem.code.as_str() {
        "unauthorized" => {
            "set WINDLASS_API_KEY, or name the key's file with --api-key-file; `windlass keys list` shows which there are"
        }
        "forbidden" => "the key lacks a scope; `windlass keys list` shows the scopes of each",
        "not_found" => return format!("`windlass {} list` shows what there is", noun(&problem.detail)),
        "workspace_required" => "a key for all workspaces needs --workspace",
        "request_id_reused" => "choose another --id, or send the same body again",
        "outcome_unknown" => "run the same command again with the same --id; it cannot create a second job",
        "wrong_state" => "`windlass jobs show JOB`, or `windlass operations show ID`, tells the state it is in",
        "superseded" => "`windlass jobs list --id ID` shows the job that has the id now",
        "redis_unavailable" | "redis_unsafe" | "redis_full" => "`windlass doctor` says more",
        "queue_draining" => {
            let named = problem.detail.split('`').nth(1).and_then(|name| QueueName::new(name).ok());
            let queue = named.as_ref().map_or("QUEUE", QueueName::as_str);
            return format!(
                "`windlass why {queue}` says who closed it, `windlass queues resume {queue}` opens it again"
            );
        }
        "queue_full" | "too_many_queues" => "`windlass queues list` shows them all, and `windlass top` what moves",
        "timeout" | "overloaded" | "internal" => "try again in a moment; `windlass doctor` looks at the server",
        "too_many_operations" => "`windlass operations list --state running` shows them; stop one, or wait for one",
        "no_worker" => "`windlass workers list` shows who is there; workers need the provider in their settings",
        "actions_disabled" => "`windlass actions show` says where; ACTIONS_ENABLED is a setting",
        "action_not_allowed" => "`windlass actions show --workspace W` shows the rules",
        "requester_may_not_approve" => "someone else has to approve it, with a key that has the scope jobs:approve",
        "digest_mismatch" => "`windlass jobs effects ID` shows the arguments and their digest",
        "approval_expired" => "`windlass jobs reject ID`, then `windlass jobs redrive ID` to ask again",
        "credentials_key_missing" => "make one with `openssl rand -base64 32`, and set CREDENTIALS_KEY on the server",
        "too_many_credentials" => "`windlass credentials list` shows those of the workspace",
        "unknown_type" => "GET /ai/types lists what the server knows; `windlass workers list` what its workers offer",
        "no_route" | "method_not_allowed" => "the server may be older than this command; `windlass doctor` looks at it",
        code if problem.status == 400 || code == "invalid_input" => "the command with --help shows what it takes",
        code => return format!("runbook.md says under \"Error codes\" what to do about {code}"),
    };
    hint.to_owned()
}

/// The noun of the commands that list what was not found.
fn noun(detail: &str) -> &'static str {
    const NOUNS: [(&str, &str); 7] = [
        ("such workspace", "keys"),
        ("queue", "queues"),
        ("worker", "workers"),
        ("provider", "providers"),
        ("credential", "credentials"),
        ("key", "keys"),
        ("operation", "operations"),
    ];
    NOUNS.iter().find(|(word, _)| detail.contains(word)).map_or("jobs", |(_, noun)| noun)
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Unreachable { .. } => Self::new(Code::Unreachable, &error)
                .hint("is `windlass serve` running there? WINDLASS_URL or --url says where; `windlass doctor` looks"),
            ClientError::Unexpected { status, .. } => {
                let code = if matches!(status, 502..=504) { Code::Unreachable } else { Code::Failure };
                Self::new(code, &error)
                    .hint("is that this API? WINDLASS_URL or --url says where; `windlass doctor` looks")
            }
            ClientError::Setup(_) => {
                Self::new(Code::Usage, &error).hint("`windlass config check` shows every setting and its source")
            }
            ClientError::Problem(problem) => {
                let code = match problem.status {
                    404 => Code::NotFound,
                    400..=499 => Code::Refused,
                    _ if matches!(problem.code.as_str(), "redis_unavailable" | "timeout" | "overloaded") => {
                        Code::Unreachable
                    }
                    503 => Code::Refused,
                    _ => Code::Failure,
                };
                let mut message = format!("{} ({})", problem.detail, problem.code);
                for field in &problem.errors {
                    message.push_str(&format!("\n  {}: {}", field.pointer, field.detail));
                }
                if problem.status >= 500 {
                    message.push_str(&format!("\n  request {}", problem.request_id));
                }
                Self::new(code, message).hint(hint_for(problem))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ErrorCode;

    #[test]
    fn every_error_code_has_an_exit_code_of_its_kind() {
        for code in ErrorCode::ALL {
            let failure = Failure::from(ClientError::Problem(Box::new(Problem::new(*code, "x"))));
            let expected = match code.status() {
                404 => Code::NotFound,
                400..=499 => Code::Refused,
                500 => Code::Failure,
                _ => failure.code,
            };
            assert_eq!(failure.code, expected, "{}", code.as_str());
        }
    }

    #[test]
    fn every_error_code_has_a_hint_and_most_have_one_of_their_own() {
        let mut general = Vec::new();
        for code in ErrorCode::ALL {
            let hint = hint_for(&Problem::new(*code, "x"));
            assert!(!hint.is_empty(), "{}", code.as_str());
            general.extend(hint.contains("runbook.md").then_some(code.as_str()));
        }
        assert!(general.len() * 4 < ErrorCode::ALL.len(), "{general:?}");
    }

    #[test]
    fn what_was_not_found_is_looked_for_in_its_own_list() {
        let hint = |detail: &str| hint_for(&Problem::new(ErrorCode::NotFound, detail));
        assert!(hint("there is no such queue").contains("windlass queues list"));
        assert!(hint("there is no such job").contains("windlass jobs list"));
    }

    #[test]
    fn a_server_cannot_write_escape_sequences_to_the_terminal() {
        let problem = Problem::new(ErrorCode::Internal, "\u{1b}]0;owned\u{7}");
        let failure = Failure::from(ClientError::Problem(Box::new(problem)));
        assert!(!failure.message.contains('\u{1b}') && !failure.message.contains('\u{7}'));
        let draining = |name: &str| hint_for(&Problem::new(ErrorCode::QueueDraining, format!("queue `{name}` drains")));
        assert!(draining("mail").contains("windlass queues resume mail`"));
        assert!(draining("\u{1b}[31m").contains("windlass queues resume QUEUE`"));
    }
}
