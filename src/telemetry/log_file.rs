//! One log file that is put away when its day is over or it is full, and comes back when someone removes it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::domain::Timestamp;

use super::archive::{self, Archive};

/// A log file.
pub(super) struct LogFile {
    dir: PathBuf,
    stem: &'static str,
    /// Put away when the UTC day is over; if not, only when full.
    daily: bool,
    most: u64,
    archive: Archive,
    open: Option<Open>,
}

struct Open {
    file: File,
    inode: u64,
    size: u64,
    /// The day of its lines.
    day: String,
    /// A write broke off, perhaps within a line.
    torn: bool,
}

impl LogFile {
    pub(super) fn new(dir: &Path, stem: &'static str, daily: bool, most: u64, archive: Archive) -> Self {
        Self { dir: dir.to_owned(), stem, daily, most, archive, open: None }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.stem))
    }

    /// Appends whole lines.
    ///
    /// # Errors
    /// When they may not all be in the file. The next call begins a new line.
    pub(super) fn append(&mut self, lines: &[u8], now: Timestamp) -> io::Result<()> {
        let today = archive::day(now);
        self.notice_removal();
        let path = self.path();
        let mut open = match self.open.take() {
            Some(open) => open,
            None => opened(&path, &today)?,
        };
        let full = open.size > 0 && open.size + lines.len() as u64 > self.most;
        let over = self.daily && open.day != today && open.size > 0;
        // When it cannot be put away, lines go on in the same file.
        if (full || over) && self.put_away(&path, &open.day).is_ok() {
            open = opened(&path, &today)?;
        }
        let open = self.open.insert(open);
        let newline: &[u8] = if open.torn { b"\n" } else { b"" };
        let written = open.file.write_all(newline).and_then(|()| open.file.write_all(lines));
        open.torn = written.is_err();
        open.size += lines.len() as u64;
        written
    }

    /// Lines that go into a file without a name are lost without an error.
    fn notice_removal(&mut self) {
        let there = std::fs::metadata(self.path()).map(|found| found.ino()).ok();
        if self.open.as_ref().is_some_and(|open| there != Some(open.inode)) {
            self.open = None;
        }
    }

    fn put_away(&self, path: &Path, day: &str) -> io::Result<()> {
        let free = (1..).map(|number| archive::name(self.stem, day, number)).find(|name| {
            let taken = |name: String| self.dir.join(name).exists();
            !taken(name.clone()) && !taken(format!("{name}.gz"))
        });
        std::fs::rename(path, self.dir.join(free.unwrap_or_default()))?;
        self.archive.wake();
        Ok(())
    }
}

fn opened(path: &Path, today: &str) -> io::Result<Open> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let file = File::options().create(true).append(true).mode(0o640).open(path)?;
    let found = file.metadata()?;
    let changed = Timestamp::from_unix_ms(found.mtime().saturating_mul(1000));
    let day = if found.size() == 0 { today.to_owned() } else { archive::day(changed) };
    Ok(Open { inode: found.ino(), size: found.size(), file, day, torn: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "2026-03-01T12:00:00Z";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_put_away_when_its_day_is_over_or_it_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(dir.path(), "app", true, 10, Archive::none());
        file.append(b"one\n", at(NOON)).unwrap();
        file.append(b"two\n", at(NOON)).unwrap();
        assert_eq!(names(dir.path()), ["app.log"]);
        file.append(b"three\n", at(NOON)).unwrap();
        file.append(b"four\n", at("2026-03-02T00:00:00Z")).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(names(dir.path()), ["app.2026-03-01.2.log", "app.2026-03-01.log", "app.log"]);
        assert_eq!(read("app.2026-03-01.log"), "one\ntwo\n");
        assert_eq!((read("app.2026-03-01.2.log"), read("app.log")), ("three\n".to_owned(), "four\n".to_owned()));
    }

    #[test]
    fn a_file_or_folder_that_was_removed_comes_back() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("logs");
        let mut file = LogFile::new(&dir, "audit", false, 100, Archive::none());
        file.append(b"one\n", at(NOON)).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        file.append(b"two\n", at(NOON)).unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("audit.log")).unwrap(), "two\n");
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_later_lines_are_written_again() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("logs");
        // A file where the folder should be.
        std::fs::write(&dir, "").unwrap();
        let mut file = LogFile::new(&dir, "app", true, 100, Archive::none());
        assert!(file.append(b"lost\n", at(NOON)).is_err());
        std::fs::remove_file(&dir).unwrap();
        file.append(b"kept\n", at(NOON)).unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("app.log")).unwrap(), "kept\n");
    }

    #[test]
    fn a_device_that_is_full_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("app.log")).unwrap();
        let mut file = LogFile::new(dir.path(), "app", true, 100, Archive::none());
        let error = file.append(b"lost\n", at(NOON)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
