//! Watching an operation to its end.

use std::io::Write;
use std::time::Duration;

use indicatif::HumanCount;

use super::progress::Progress;
use crate::api::operation::OperationView;
use crate::cli::failure::{Code, Failure};
use crate::cli::output::{Output, clean};
use crate::client::{Client, ClientError};
use crate::clock;
use crate::domain::{JobId, OperationState};

/// Between two looks, at first and later: a small operation is over at once, a large one takes its time.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// An API that is away for longer is left alone; the operation may go on in another process.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says, when the watch is cut short, that the operation is not.
struct Watcher {
    id: JobId,
    progress: Progress,
    over: bool,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.progress.clear();
        if !self.over {
            let id = self.id;
            // Nobody may be left to read it.
            let _ = writeln!(
                std::io::stderr().lock(),
                "operation {id} goes on without this command\n  \
                 `windlass operations watch {id}` shows it again, `windlass operations stop {id}` stops it"
            );
        }
    }
}

pub(super) fn id_of(operation: &OperationView) -> Result<JobId, Failure> {
    let bad = |error| Failure::new(Code::Failure, format_args!("the server sent a bad operation id: {error}"));
    operation.id.parse().map_err(bad)
}

/// Shows an operation until it is over, then what became of it. Fails when it was stopped.
pub(in crate::cli) async fn watch(id: JobId, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let mut watcher = Watcher { id, progress: Progress::start(), over: false };
    let ended = to_end(id, client, &mut watcher.progress).await;
    watcher.over = true;
    drop(watcher);
    let operation = ended?;
    out.text(&operation, outcome)?;
    if operation.state == OperationState::Finished.as_str() {
        return Ok(());
    }
    let by = operation.changed_by.as_deref().map(|by| format!(" by {}", clean(by))).unwrap_or_default();
    Err(Failure::new(Code::Failure, format_args!("operation {id} was stopped{by}"))
        .hint(format!("`windlass operations resume {id}` goes on with it")))
}

async fn to_end(id: JobId, client: &Client, progress: &mut Progress) -> Result<OperationView, Failure> {
    let (mut pause, longest) = LOOK_EVERY;
    let mut heard = clock::now();
    loop {
        match client.operation(id).await {
            Ok(operation) => {
                heard = clock::now();
                if operation.state != OperationState::Running.as_str() {
                    return Ok(operation);
                }
                progress.show(&operation);
            }
            Err(error) if passes(&error) && clock::now().duration_since(heard) < PATIENCE => {}
            Err(error) if passes(&error) => {
                let hint = format!("the operation may go on all the same: `windlass operations watch {id}`, later");
                return Err(Failure::from(error).hint(hint));
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Whether a failed look says nothing about the next one.
fn passes(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Unexpected { status, .. } => (502..=504).contains(status),
        _ => error.may_pass() || error.code() == Some("timeout"),
    }
}

/// `shards 2, 5`.
pub(in crate::cli) fn shards(missing: impl IntoIterator<Item = u8>) -> String {
    let all: Vec<String> = missing.into_iter().map(|shard| shard.to_string()).collect();
    format!("{} {}", if all.len() == 1 { "shard" } else { "shards" }, all.join(", "))
}

/// That counts are not whole.
pub(in crate::cli) fn missing(missing: impl IntoIterator<Item = u8>) -> String {
    format!("without {}, which did not answer", shards(missing))
}

/// `redrive finished: 40 done, 2 skipped (wrong_state 2)`.
pub(in crate::cli) fn outcome(operation: &OperationView) -> String {
    let skipped: u64 = operation.skipped.values().sum();
    let why: Vec<String> =
        operation.skipped.iter().map(|(why, n)| format!("{} {}", clean(why), HumanCount(*n))).collect();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) };
    let (done, skipped) = (HumanCount(operation.done), HumanCount(skipped));
    let whole = if operation.missing_shards.is_empty() {
        String::new()
    } else {
        format!(", {}", missing(operation.missing_shards.iter().copied()))
    };
    format!("{} {} {}: {done} done, {skipped} skipped{why}{whole}", operation.action, operation.id, operation.state)
}
