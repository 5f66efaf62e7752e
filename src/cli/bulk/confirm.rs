//! Asking before many jobs are changed.

use std::io::{IsTerminal, Write};

use crate::cli::failure::{Code, Failure};
use crate::cli::output::Output;

/// From here on the number has to be typed: a finger that types `yes` by itself has not read it.
const MANY: u64 = 10_000;

/// Has someone at the terminal agree.
pub(super) async fn ask(count: u64, out: &mut Output) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(Code::Usage, "nothing was changed: there is no terminal to ask at")
            .hint("add --yes to do it without being asked"));
    }
    let wanted = word(count);
    let mut stderr = std::io::stderr();
    // Whoever closed stderr sees no question and types nothing.
    let _ = write!(stderr, "Type {wanted} to go on: ").and_then(|()| stderr.flush());
    // On a thread of its own, or Ctrl-C would not be heard while it waits.
    let read = tokio::task::spawn_blocking(|| std::io::stdin().lines().next().transpose()).await;
    let line = read.map_err(std::io::Error::other).and_then(|line| line);
    let line = line.map_err(|error| Failure::new(Code::Failure, format_args!("stdin: {error}")))?.unwrap_or_default();
    if agrees(count, &line) {
        return Ok(());
    }
    out.note("nothing was changed")?;
    Err(Failure::new(Code::Failure, format_args!("{wanted} was not typed")))
}

/// What has to be typed.
fn word(count: u64) -> String {
    if count > MANY { count.to_string() } else { "yes".to_owned() }
}

/// Numbers may be typed as they are shown, with commas.
fn agrees(count: u64, line: &str) -> bool {
    let typed = line.trim();
    typed == word(count) || (count > MANY && typed.replace(',', "") == word(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_does_for_few_and_the_number_for_many() {
        assert!(agrees(10_000, "yes\n") && agrees(10_001, "10001\n") && agrees(10_001, " 10,001\n"));
        for (count, typed) in [(1, ""), (1, "y"), (1, "1"), (10_001, "yes"), (10_001, "10000"), (10_000, "10,000")] {
            assert!(!agrees(count, typed), "{count} {typed}");
        }
    }
}
