//! A process of one system, and the protocol with it: it says `{"ready":true}`, is told `go`, and
//! says one line of JSON when it is done; one that works goes on until it is killed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child as Process, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::order::Order;
use crate::systems::System;

/// A child that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A child that is set up; killed when dropped.
pub(crate) struct Child {
    process: Process,
    replies: Receiver<Value>,
    name: &'static str,
}

impl Child {
    /// Starts one and waits until it is ready; `None`, and a line that says so, if it fails.
    pub(crate) fn start(system: &System, mode: &str, order: &Order) -> Option<Self> {
        let (program, arguments) = system.program.split_first()?;
        let mut process = Command::new(program)
            .args(arguments)
            .arg(mode)
            .arg(serde_json::to_string(order).expect("JSON"))
            .envs(system.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the peers are installed by `make bench-peers`");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let (sender, replies) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if serde_json::from_str(&line).is_ok_and(|value| sender.send(value).is_err()) {
                    break;
                }
            }
        });
        let child = Self { process, replies, name: system.name };
        child.reply().is_some_and(|reply| reply["ready"] == true).then_some(child)
    }

    pub(crate) fn go(&mut self) {
        let _ = self.process.stdin.as_mut().expect("piped").write_all(b"go\n");
    }

    /// What it says next; `None`, and a line that says so, if it fails.
    fn reply(&self) -> Option<Value> {
        let reply = self.replies.recv_timeout(PATIENCE).ok();
        if reply.is_none() {
            eprintln!("  {} failed", self.name);
        }
        reply
    }

    /// Lets it go, and waits for what it says.
    pub(crate) fn result(&mut self) -> Option<Value> {
        self.go();
        self.reply()
    }

    /// Microseconds of CPU that its threads have used; the kernel counts them in steps of 10 ms.
    pub(crate) fn cpu_us(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).unwrap_or_default();
        let ticks = fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
        ticks.sum::<f64>() * 10_000.0
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
