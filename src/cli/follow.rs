//! `windlass jobs follow`: a job's text and states as they come.

use super::failure::{Code, Failure};
use super::output::Output;
use crate::client::{Client, JobEvent};
use crate::domain::JobId;

/// Follows a job to its end. On a terminal the text of a streaming answer comes on stdout as it is written, everything
/// else on stderr; for scripts each event is a line of JSON.
pub(super) async fn run(job: JobId, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let mut events = client.follow(job);
    let (mut state, mut in_text) = (String::new(), false);
    while let Some(event) = events.next().await? {
        if out.is_json() {
            out.print(&line(&event))?;
        } else if event.name == "delta" {
            out.piece(&event.text("text").unwrap_or_default())?;
            in_text = true;
        } else {
            if std::mem::take(&mut in_text) {
                out.print("")?;
            }
            if event.name == "delta_reset" {
                out.note("the answer starts over")?;
            }
        }
        let now = event.text("state").filter(|now| event.name != "delta" && *now != state);
        if let Some(now) = now {
            if !out.is_json() {
                out.note(&super::output::clean(&now))?;
            }
            state = now;
        }
        if out.is_closed() {
            return Ok(());
        }
    }
    match state.as_str() {
        "succeeded" => Ok(()),
        end => Err(Failure::new(Code::Failure, format_args!("the job ended as {end}"))
            .hint(format!("`windlass jobs show {job}` shows why"))),
    }
}

/// `{"event":"delta","data":{…}}`.
fn line(event: &JobEvent) -> String {
    format!("{{\"event\":\"{}\",\"data\":{}}}", event.name, event.data)
}
