//! A bounded queue of log lines and the thread that writes them, so that nobody who logs waits for a disk or a pipe.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::tasks;
use crate::metrics;

use super::line::Line;

/// Bytes that may wait. What comes on top is dropped and counted. A few seconds of a busy process.
const LIMIT: usize = 8 << 20;

/// Where lines end.
pub(super) trait Sink: Send + 'static {
    /// Writes lines in order.
    ///
    /// # Errors
    /// How many could not be written, and why.
    fn write(&mut self, lines: &[Arc<Line>]) -> Result<(), Lost>;
}

/// Lines that could not be written.
#[derive(Debug)]
pub(super) struct Lost {
    /// How many.
    pub(super) lines: usize,
    /// Why.
    pub(super) why: io::Error,
}

/// A lane; cheap to clone.
#[derive(Clone)]
pub(super) struct Lane(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    came: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<Arc<Line>>,
    bytes: usize,
    /// Lines taken on and lines done with, ever.
    taken: u64,
    done: u64,
    /// Dropped because too many waited, since the thread last looked.
    dropped: usize,
}

impl Lane {
    /// Starts the thread. It ends with the process.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(name: &'static str, sink: impl Sink) -> io::Result<Self> {
        let shared = Shared { state: Mutex::default(), came: Condvar::new(), written: Condvar::new() };
        let lane = Self(Arc::new(shared));
        let own = lane.clone();
        tasks::spawn_blocking_thread(name, move || own.write_on(name, sink))?;
        Ok(lane)
    }

    /// Takes a line, or drops it when too much waits.
    pub(super) fn push(&self, line: Arc<Line>) {
        let mut state = self.lock();
        let bytes = line.text.len();
        if state.bytes + bytes > LIMIT {
            state.dropped += 1;
            drop(state);
            return count(1);
        }
        let idle = state.lines.is_empty();
        state.lines.push(line);
        state.bytes += bytes;
        state.taken += 1;
        drop(state);
        if idle {
            self.0.came.notify_one();
        }
    }

    /// Waits until all that was taken so far is written, `limit` at most.
    pub(super) fn flush(&self, limit: Duration) {
        let state = self.lock();
        let upto = state.taken;
        drop(self.0.written.wait_timeout_while(state, limit, |state| state.done < upto));
    }

    fn write_on(&self, name: &'static str, mut sink: impl Sink) {
        let mut failing = false;
        loop {
            let (lines, dropped) = self.next();
            if dropped > 0 {
                complain(
                    name,
                    &format!("{dropped} log lines were dropped: they came faster than they could be written"),
                );
            }
            match sink.write(&lines) {
                Ok(()) => failing = false,
                Err(lost) => {
                    count(lost.lines);
                    if !failing {
                        complain(name, &format!("log lines are dropped: {}", lost.why));
                    }
                    failing = true;
                }
            }
            self.lock().done += lines.len() as u64;
            self.0.written.notify_all();
        }
    }

    fn next(&self) -> (Vec<Arc<Line>>, usize) {
        let state = self.lock();
        let waited = self.0.came.wait_while(state, |state| state.lines.is_empty());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.bytes = 0;
        (std::mem::take(&mut state.lines), std::mem::take(&mut state.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(lines: usize) {
    ::metrics::counter!(metrics::LOG_LINES_DROPPED.name).increment(lines as u64);
}

/// On stderr, by the lane's own thread: stderr may be the very pipe that nobody reads.
fn complain(name: &str, what: &str) {
    let _ = writeln!(std::io::stderr().lock(), "windlass {name}: {what}");
}

/// Anything that takes bytes: stdout, or one file.
pub(super) struct Plain<W>(pub(super) W);

impl<W: Write + Send + 'static> Sink for Plain<W> {
    fn write(&mut self, lines: &[Arc<Line>]) -> Result<(), Lost> {
        let text: Vec<u8> = lines.iter().map(|line| line.text.as_slice()).collect::<Vec<_>>().concat();
        let written = self.0.write_all(&text).and_then(|()| self.0.flush());
        written.map_err(|why| Lost { lines: lines.len(), why })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::line::About;
    use super::*;

    fn line(text: String) -> Arc<Line> {
        Arc::new(Line { text: text.into_bytes(), about: About::default() })
    }

    /// Says that it was called and waits for leave to go on.
    struct Stuck {
        called: mpsc::Sender<usize>,
        leave: mpsc::Receiver<()>,
    }

    impl Sink for Stuck {
        fn write(&mut self, lines: &[Arc<Line>]) -> Result<(), Lost> {
            let _ = self.called.send(lines.len());
            let _ = self.leave.recv();
            Ok(())
        }
    }

    #[test]
    fn who_logs_does_not_wait_for_a_sink_that_is_stuck_and_memory_is_bounded() {
        let (called, calls) = mpsc::channel();
        let (let_go, leave) = mpsc::channel();
        let lane = Lane::start("test", Stuck { called, leave }).unwrap();
        lane.push(line("first".to_owned()));
        assert_eq!(calls.recv(), Ok(1));
        for _ in 0..20 {
            lane.push(line("x".repeat(1 << 20)));
        }
        lane.flush(Duration::from_millis(1));
        drop(let_go);
        assert_eq!(calls.recv(), Ok(8), "what fits, and no more");
        lane.flush(Duration::from_secs(60));
        assert_eq!(lane.lock().done, 9);
    }
}
