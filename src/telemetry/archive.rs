//! Log files that were put away: compressed on a thread of their own, and removed when they are old.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::clock;
use crate::domain::Timestamp;
use crate::engine::tasks;

/// A kind of file: its folder, its stem, and how long it is kept.
type Kept = (PathBuf, &'static str, Duration);

/// Tells the thread that something was put away; cheap to clone.
#[derive(Clone)]
pub(super) struct Archive(Option<SyncSender<()>>);

impl Archive {
    /// One that compresses nothing.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Never waits: one look that is due does for all.
    pub(super) fn wake(&self) {
        self.0.as_ref().map(|wake| wake.try_send(()));
    }
}

/// Starts the thread, which has a first look at once: an earlier process may have left work.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(kinds: Vec<Kept>) -> io::Result<Archive> {
    let (wake, woken) = sync_channel(1);
    tasks::spawn_blocking_thread("log-archive", move || {
        loop {
            for (dir, stem, keep) in &kinds {
                // What cannot be done now, as on a full disk, is tried again at the next look.
                let _ = tidy(dir, stem, *keep, clock::wall());
            }
            if woken.recv().is_err() {
                return;
            }
        }
    })?;
    Ok(Archive(Some(wake)))
}

/// The UTC day of a moment, as in names.
pub(super) fn day(at: Timestamp) -> String {
    at.to_string().get(..10).unwrap_or_default().to_owned()
}

/// What a file of a day is called when it is put away, before it is compressed.
pub(super) fn name(stem: &str, day: &str, number: u32) -> String {
    match number {
        1 => format!("{stem}.{day}.log"),
        _ => format!("{stem}.{day}.{number}.log"),
    }
}

/// The day in the name of a file that was put away, and whether it is compressed.
fn parse<'a>(stem: &str, name: &'a str) -> Option<(&'a str, bool)> {
    let rest = name.strip_prefix(stem)?.strip_prefix('.')?;
    let (rest, compressed) = match rest.strip_suffix(".log.gz") {
        Some(rest) => (rest, true),
        None => (rest.strip_suffix(".log")?, false),
    };
    let (day, number) = (rest.get(..10)?, rest.get(10..)?);
    let numbered = number.is_empty() || number.strip_prefix('.').is_some_and(|n| n.parse::<u32>().is_ok());
    let is_day = Timestamp::parse(&format!("{day}T00:00:00Z")).is_ok();
    (numbered && is_day).then_some((day, compressed))
}

/// Removes what is older than `keep`, then compresses what is not yet. A file that resists holds up no other; the first
/// error is returned.
fn tidy(dir: &Path, stem: &str, keep: Duration, now: Timestamp) -> io::Result<()> {
    let oldest = day(Timestamp::from_unix_ms(now.unix_ms().saturating_sub(millis(keep)).max(0)));
    let (mut plain, mut done) = (Vec::new(), Ok(()));
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match parse(stem, &name) {
            Some((day, _)) if day < oldest.as_str() => done = done.and(std::fs::remove_file(entry.path())),
            Some((_, false)) => plain.push(entry.path()),
            _ => {}
        }
    }
    plain.iter().fold(done, |done, path| done.and(compress(path)))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Replaces a file by a compressed one. One that broke off is begun anew.
fn compress(path: &Path) -> io::Result<()> {
    let (part, whole) = (path.with_extension("log.gz.part"), path.with_extension("log.gz"));
    let mut from = File::open(path)?;
    let to = File::create(&part)?;
    to.set_permissions(from.metadata()?.permissions())?;
    let mut encoder = GzEncoder::new(to, Compression::default());
    let done = io::copy(&mut from, &mut encoder).and_then(|_| encoder.finish()).and_then(|file| file.sync_all());
    if let Err(error) = done {
        let _ = std::fs::remove_file(&part);
        return Err(error);
    }
    std::fs::rename(&part, &whole)?;
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_put_away_is_compressed_and_what_is_old_removed() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str| std::fs::write(dir.path().join(name), format!("{name}\n")).unwrap();
        let names = [
            "app.2026-01-29.log.gz",
            "app.2026-01-30.3.log",
            "app.2026-01-31.log.gz",
            "app.2026-03-01.log",
            "app.log",
            "apple.2020-01-01.log",
            "app.notes.log",
        ];
        names.iter().for_each(|name| put(name));
        let now = Timestamp::parse("2026-03-02T01:00:00Z").unwrap();
        tidy(dir.path(), "app", Duration::from_secs(30 * 86_400), now).unwrap();
        let left = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut left: Vec<String> = left.collect();
        left.sort();
        let expected =
            ["app.2026-01-31.log.gz", "app.2026-03-01.log.gz", "app.log", "app.notes.log", "apple.2020-01-01.log"];
        assert_eq!(left, expected);
        let file = File::open(dir.path().join("app.2026-03-01.log.gz")).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "app.2026-03-01.log\n");
    }

    #[test]
    fn a_file_that_resists_holds_up_no_other() {
        let dir = tempfile::tempdir().unwrap();
        // Neither can be removed as a file or read as one, by whomever the test runs as.
        let resists = ["app.2026-01-01.log", "app.2026-02-28.log"];
        resists.iter().for_each(|name| std::fs::create_dir(dir.path().join(name)).unwrap());
        let usual = ["app.2026-01-02.log.gz", "app.2026-02-27.log", "app.2026-03-01.log"];
        usual.iter().for_each(|name| std::fs::write(dir.path().join(name), "line\n").unwrap());
        let now = Timestamp::parse("2026-03-02T01:00:00Z").unwrap();
        assert!(tidy(dir.path(), "app", Duration::from_secs(30 * 86_400), now).is_err());
        let there = |name: &str| dir.path().join(name).exists();
        assert!(!there(usual[0]) && there("app.2026-02-27.log.gz") && there("app.2026-03-01.log.gz"));
    }
}
