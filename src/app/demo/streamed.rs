//! One answer of a model that is shown while it is written.

use super::plan;
use super::{Demo, StartError};
use crate::domain::JobId;

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Streamed {
    /// Pieces of text.
    pub(super) pieces: usize,
    /// Whether the pieces are the answer, all of it.
    pub(super) whole: bool,
}

/// Submits a streaming model call and shows the text as it comes.
pub(super) async fn run(demo: &Demo, run: &str) -> Result<Streamed, StartError> {
    demo.progress.say("A model call with \"stream\": true, followed over server-sent events:");
    let client = &demo.clients[0];
    let receipt = client.submit(&plan::streamed(run).job).await.map_err(StartError::part)?;
    let id: JobId = receipt.job.id.parse().map_err(StartError::part)?;
    let mut events = client.follow(id);
    let (mut text, mut pieces) = (String::new(), 0);
    while let Some(event) = events.next().await.map_err(StartError::part)? {
        match event.name.as_str() {
            "delta" => {
                let piece = event.text("text").unwrap_or_default();
                demo.progress.say(&format!("  + {}", piece.trim_end()));
                text.push_str(&piece);
                pieces += 1;
            }
            "delta_reset" => text.clear(),
            _ => {}
        }
    }
    let job = client.job(id, std::time::Duration::ZERO).await.map_err(StartError::part)?;
    let result: serde_json::Value =
        job.result.as_ref().and_then(|result| serde_json::from_str(result.get()).ok()).unwrap_or_default();
    let whole = job.state == "succeeded" && result["content"] == text.as_str();
    Ok(Streamed { pieces, whole })
}
