//! A mail that someone has to look at before it is sent.

use std::time::Duration;

use super::plan::{self, Planned};
use super::{Demo, StartError};
use crate::api::held::Approve;
use crate::api::job::JobView;
use crate::client::Client;
use crate::clock;
use crate::domain::JobId;

/// The workspace's rule.
const RULES: &str = r#"{"rules": {"smtp.send": {"decision": "approve"}}}"#;
/// Between looks at the job.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long it may take to be held.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Approved {
    /// It waited, and nothing was sent meanwhile.
    pub(super) held: bool,
    /// It succeeded after the approval.
    pub(super) succeeded: bool,
    /// Mails that arrived.
    pub(super) mails: usize,
}

/// Submits a mail, approves it with another key, and counts what arrives.
pub(super) async fn run(demo: &Demo, run: &str) -> Result<Approved, StartError> {
    let admin = demo.stack.client()?;
    let Planned { workspace, job } = plan::mail(run);
    let rules = serde_json::value::RawValue::from_string(RULES.to_owned()).map_err(StartError::part)?;
    admin.set_actions(super::WORKSPACES[workspace], &rules).await.map_err(StartError::part)?;
    let client = &demo.clients[workspace];
    let id: JobId = client.submit(&job).await.map_err(StartError::part)?.job.id.parse().map_err(StartError::part)?;
    let held = wait_for_hold(client, id).await?;
    let seen = admin.effects(id).await.map_err(StartError::part)?;
    let digest = seen.digest.unwrap_or_default();
    let short = digest.get(..12).unwrap_or_default();
    demo.progress.say(&format!(
        "A mail waits for approval ({}); approved by another key, for the arguments with the digest {short}…",
        held.held_reason.unwrap_or_default()
    ));
    let before = demo.mailbox.count();
    let approval = Approve { digest, note: Some("the demo".to_owned()) };
    admin.approve(id, &approval).await.map_err(StartError::part)?;
    let job = client.job(id, PATIENCE).await.map_err(StartError::part)?;
    Ok(Approved {
        held: held.state == "held" && before == 0,
        succeeded: job.state == "succeeded",
        mails: demo.mailbox.count(),
    })
}

async fn wait_for_hold(client: &Client, id: JobId) -> Result<JobView, StartError> {
    let end = clock::now() + PATIENCE;
    loop {
        let job = client.job(id, Duration::ZERO).await.map_err(StartError::part)?;
        if job.state == "held" || clock::now() > end {
            return Ok(job);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
