//! A redis-server whose clock stands still until a test sets it: scripts go by Redis `TIME`, and nothing but the server
//! can make them see another. libfaketime would do, did it not call the server's allocator before that is ready.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Reads the time, microseconds since the epoch, from a file that holds nothing else.
const SHIM: &str = r#"
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>
int gettimeofday(struct timeval *tv, void *zone) {
  int64_t us = 0;
  int file = open(getenv("HALTED_CLOCK"), O_RDONLY);
  if (file < 0 || pread(file, &us, sizeof us, 0) != sizeof us) abort();
  close(file);
  tv->tv_sec = us / 1000000;
  tv->tv_usec = us % 1000000;
  return 0;
}
"#;

/// The clock of one server.
pub(crate) struct HaltedClock {
    file: PathBuf,
    library: PathBuf,
}

impl HaltedClock {
    /// Compiled with the compiler that links the tests.
    #[expect(clippy::disallowed_methods, reason = "tests start processes of their own")]
    pub(crate) fn new(folder: &Path) -> Self {
        let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
        std::fs::write(&source, SHIM).expect("a source file");
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
        assert!(compiled.expect("cc, which links the tests too").success());
        Self { file: folder.join("clock"), library }
    }

    /// Sets it, in milliseconds since the epoch. Written in place and at once: the server never sees half of a time.
    pub(crate) fn set(&self, unix_ms: i64) {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.file);
        file.expect("a file").write_at(&(unix_ms * 1000).to_ne_bytes(), 0).expect("a time");
    }

    /// What a server needs to go by it.
    pub(crate) fn variables(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.library), ("HALTED_CLOCK", &self.file)]
    }
}
