//! The history folder: one JSON object a line, stamped with the harness' own clock. Format: README.md.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// The files that grow during a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Ops,
    Log,
    Sink,
    Nemesis,
    Workers,
    Leases,
    Snapshots,
}

const FILES: [&str; 7] = ["ops", "log", "sink", "nemesis", "workers", "leases", "snapshots"];

/// Writes a history.
pub(crate) struct History {
    folder: PathBuf,
    files: [Mutex<BufWriter<File>>; 7],
    next_op: AtomicU64,
}

impl History {
    /// An empty history; one that was there goes.
    pub(crate) fn create(folder: &Path) -> std::io::Result<Self> {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder.join("logs"))?;
        let open = |name: &str| File::create(folder.join(format!("{name}.jsonl"))).map(BufWriter::new).map(Mutex::new);
        let files = FILES.map(open).into_iter().collect::<Result<Vec<_>, _>>()?;
        let files = files.try_into().map_err(|_| std::io::Error::other("seven files"))?;
        Ok(Self { folder: folder.to_owned(), files, next_op: AtomicU64::new(1) })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A number for an operation.
    pub(crate) fn op(&self) -> u64 {
        self.next_op.fetch_add(1, Ordering::Relaxed)
    }

    /// Appends a line; `t` is set here, under the file's lock, so that a file is in order.
    pub(crate) fn line(&self, stream: Stream, mut what: Value) {
        let mut file = self.files[stream as usize].lock().unwrap();
        what["t"] = json!(now_us());
        // A history that cannot be written is noticed by its checker.
        let _ = writeln!(file, "{what}");
    }

    /// Writes a whole file.
    pub(crate) fn document(&self, name: &str, what: &Value) -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(self.folder.join(name))?);
        serde_json::to_writer(&mut file, what)?;
        file.flush()
    }

    pub(crate) fn flush(&self) {
        for file in &self.files {
            let _ = file.lock().unwrap().flush();
        }
    }
}

/// Unix time in microseconds.
#[expect(clippy::disallowed_methods, reason = "a history is stamped by the wall clock of its writer")]
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

impl History {
    /// Something that is no fault and no operation, for people; also on the terminal.
    pub(crate) fn note(&self, text: &str) {
        println!("chaos: {text}");
        self.line(Stream::Nemesis, json!({"note": text}));
    }
}
