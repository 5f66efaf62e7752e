//! What was run, what was not and why, and what was found wrong.

use crate::bash::Ran;
use crate::blocks::{Block, missing};

/// The account of one run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    commands: usize,
    blocks: usize,
    skipped: Vec<String>,
    skipped_commands: usize,
    wrong: Vec<String>,
}

impl Report {
    /// A block that its mark says is not run.
    pub(crate) fn skip(&mut self, block: &Block, why: &str) {
        self.skipped_commands += block.commands();
        self.skipped.push(format!("line {}, {}: {} command(s): {why}", block.line, block.heading, block.commands()));
    }

    /// A block that was run.
    pub(crate) fn ran(&mut self, block: &Block, ran: &Ran) {
        self.commands += block.commands();
        self.blocks += 1;
        let what = if ran.code != Some(block.exits) {
            let code = ran.code.map_or("did not end".to_owned(), |code| format!("ended with {code}"));
            format!("{code}, should end with {}", block.exits)
        } else if let Some(line) = missing(&ran.output, &block.prints) {
            format!("should print `{line}`")
        } else {
            return println!("ok    line {}, {}: {} command(s)", block.line, block.heading, block.commands());
        };
        println!("WRONG line {}, {}: {what}\n{}\n--- printed\n{}", block.line, block.heading, block.script, ran.output);
        self.wrong.push(format!("line {}, {}: {what}", block.line, block.heading));
    }

    /// Something else that is wrong.
    pub(crate) fn wrong(&mut self, what: String) {
        println!("WRONG {what}");
        self.wrong.push(what);
    }

    /// Whether all is as the document says.
    pub(crate) fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.commands > 0
    }

    /// The account in words; its last line has the counts.
    pub(crate) fn text(&self, in_prose: usize) -> String {
        let mut text = format!("\nnot run:\n  {}\n", self.skipped.join("\n  "));
        if !self.wrong.is_empty() {
            text += &format!("wrong:\n  {}\n", self.wrong.join("\n  "));
        }
        text + &format!(
            "runbook: ran {} commands in {} blocks; did not run {} commands in {} blocks, for the reasons above; \
             {in_prose} commands in prose have their verbs and flags; {} wrong",
            self.commands,
            self.blocks,
            self.skipped_commands,
            self.skipped.len(),
            self.wrong.len(),
        )
    }
}
