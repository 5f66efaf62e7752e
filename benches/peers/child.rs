//! A process of one system, and the protocol with it: it says `{"ready":true}`, is told `go`, and
//! says one line of JSON when it is done; one that works goes on until it is killed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child as Process, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::order::Order;
use crate::systems::System;

/// A child that is set up; killed when dropped.
pub(crate) struct Child {
    process: Process,
    replies: BufReader<ChildStdout>,
}

impl Child {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(system: &System, mode: &str, order: &Order) -> Self {
        let (program, arguments) = system.program.split_first().expect("a program");
        let mut process = Command::new(program)
            .args(arguments)
            .arg(mode)
            .arg(serde_json::to_string(order).expect("JSON"))
            .envs(system.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| fail(system.name, mode, &error.to_string()));
        let replies = BufReader::new(process.stdout.take().expect("piped"));
        let mut child = Self { process, replies };
        if child.reply().is_none_or(|reply| reply["ready"] != true) {
            fail(system.name, mode, "it ended before it was ready");
        }
        child
    }

    pub(crate) fn go(&mut self) {
        self.process.stdin.as_mut().expect("piped").write_all(b"go\n").expect("it lives");
    }

    /// The next line; `None` when it ended.
    pub(crate) fn reply(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.replies.read_line(&mut line).ok().filter(|length| *length > 0)?;
        serde_json::from_str(&line).ok()
    }

    /// Lets it go, and waits for what it says.
    pub(crate) fn result(mut self, system: &System) -> Value {
        self.go();
        self.reply().unwrap_or_else(|| fail(system.name, "run", "it ended without a result"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[expect(clippy::panic, reason = "a bench that cannot go on should say so")]
fn fail(system: &str, mode: &str, why: &str) -> ! {
    panic!("{system}, {mode}: {why}; `make bench-peers` installs the peers")
}
