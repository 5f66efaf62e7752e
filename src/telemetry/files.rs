//! The log files of a process in `LOG_DIR`: which line goes where.
//!
//! `app.log` has what a person reads first, `error.log` the errors, `combined.log` everything, and `audit.log` who did
//! what. Two processes never write one file: the API has the folder itself, and workers `worker-1`, `worker-2`, … in it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock;

use super::archive;
use super::lane::{Lost, Sink};
use super::line::{About, Line};
use super::log_file::LogFile;

/// Processes of one role that may share a `LOG_DIR`.
const MOST: usize = 100;

/// What is written at once.
const CHUNK: usize = 64 << 10;

/// Days for which archives of the audit are kept: it is small, and asked for late.
const AUDIT_DAYS: u64 = 365;

/// How files are kept.
#[derive(Clone, Debug)]
pub struct FileLogs {
    /// `LOG_DIR`.
    pub dir: PathBuf,
    /// A file that has this many bytes is put away.
    pub rotate_bytes: u64,
    /// Days for which files that were put away are kept.
    pub keep_days: u64,
}

/// A file and the lines that go to it.
struct Kept {
    file: LogFile,
    takes: fn(About) -> bool,
}

/// The files of one process.
pub(super) struct Files {
    files: [Kept; 4],
    /// Held while the process lives.
    _lock: File,
}

impl Files {
    /// Takes a folder for this process and opens the files.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(super) fn open(logs: &FileLogs, role: &str) -> io::Result<Self> {
        let (dir, lock) = own_folder(&logs.dir, role)?;
        let keep = |days: u64| Duration::from_secs(days * 86_400);
        let (usual, audit) = (keep(logs.keep_days), keep(logs.keep_days.max(AUDIT_DAYS)));
        let archive = archive::start(vec![
            (dir.clone(), "app", usual),
            (dir.clone(), "error", usual),
            (dir.clone(), "combined", usual),
            (dir.clone(), "audit", audit),
        ])?;
        let file = |stem, daily, takes| Kept {
            file: LogFile::new(&dir, stem, daily, logs.rotate_bytes, archive.clone()),
            takes,
        };
        let mut files = [
            file("app", true, |about| !about.audit),
            file("error", true, |about| about.error),
            file("combined", true, |_| true),
            file("audit", false, |about| about.audit),
        ];
        for kept in &mut files {
            kept.file.append(b"", clock::wall())?;
        }
        Ok(Self { files, _lock: lock })
    }
}

impl Sink for Files {
    fn write(&mut self, lines: &[Arc<Line>]) -> Result<(), Lost> {
        let mut worst: Option<Lost> = None;
        for kept in &mut self.files {
            if let Err(lost) = kept.write(lines)
                && worst.as_ref().is_none_or(|worst| worst.lines < lost.lines)
            {
                worst = Some(lost);
            }
        }
        worst.map_or(Ok(()), Err)
    }
}

impl Kept {
    fn write(&mut self, lines: &[Arc<Line>]) -> Result<(), Lost> {
        let (mut text, mut waiting, mut failed) = (Vec::new(), 0, None);
        let mut mine = lines.iter().filter(|line| (self.takes)(line.about)).peekable();
        while let Some(line) = mine.next() {
            text.extend_from_slice(&line.text);
            waiting += 1;
            if text.len() < CHUNK && mine.peek().is_some() {
                continue;
            }
            if let Err(why) = self.file.append(&text, clock::wall()) {
                failed.get_or_insert(Lost { lines: 0, why }).lines += waiting;
            }
            (text, waiting) = (Vec::new(), 0);
        }
        failed.map_or(Ok(()), Err)
    }
}

/// The first folder of a role that no living process has, with the lock that says so.
fn own_folder(root: &Path, role: &str) -> io::Result<(PathBuf, File)> {
    for number in 1..=MOST {
        let dir = match (role, number) {
            ("api", 1) => root.to_owned(),
            _ => root.join(format!("{role}-{number}")),
        };
        std::fs::create_dir_all(&dir)?;
        let lock = File::options().create(true).truncate(false).write(true).open(dir.join(".lock"))?;
        match lock.try_lock() {
            Ok(()) => return Ok((dir, lock)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{MOST} processes write there already")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, error: bool, audit: bool) -> Arc<Line> {
        Arc::new(Line { text: format!("{text}\n").into_bytes(), about: About { error, audit } })
    }

    #[test]
    fn each_line_goes_where_it_is_looked_for() {
        let root = tempfile::tempdir().unwrap();
        let logs = FileLogs { dir: root.path().join("logs"), rotate_bytes: 1_000_000, keep_days: 30 };
        let mut files = Files::open(&logs, "api").unwrap();
        files.write(&[line("plain", false, false), line("bad", true, false), line("who", false, true)]).unwrap();
        let read = |name: &str| std::fs::read_to_string(logs.dir.join(name)).unwrap();
        assert_eq!(read("app.log"), "plain\nbad\n");
        assert_eq!(read("error.log"), "bad\n");
        assert_eq!(read("combined.log"), "plain\nbad\nwho\n");
        assert_eq!(read("audit.log"), "who\n");
    }

    #[test]
    fn no_two_processes_share_a_folder_and_a_free_one_is_taken_again() {
        let root = tempfile::tempdir().unwrap();
        let take = |role| own_folder(root.path(), role).unwrap();
        let (api, second, worker) = (take("api"), take("api"), take("worker"));
        assert_eq!(api.0, root.path());
        assert_eq!((second.0, worker.0.clone()), (root.path().join("api-2"), root.path().join("worker-1")));
        assert_eq!(take("worker").0, root.path().join("worker-2"));
        drop(worker.1);
        assert_eq!(take("worker").0, root.path().join("worker-1"));
    }
}
