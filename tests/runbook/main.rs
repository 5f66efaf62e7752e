//! Every command of runbook.md, run against a live stack; the trouble that the runbook is for, provoked for real.
//!
//! `make runbook`. A block is run whole, by bash, in the environment that the runbook's first block describes, and has to
//! end with 0 and to show what the text says. `blocks.rs` has the marks that say otherwise. A word as argument runs only
//! the blocks under headings that contain it.
#![expect(clippy::expect_used, clippy::panic, reason = "a run that cannot go on should say so")]
#![expect(clippy::disallowed_methods, reason = "it is made of processes, and starts them")]
#![expect(clippy::print_stdout, reason = "its report is what it is for")]

mod bash;
mod blocks;
mod children;
mod prose;
mod report;
mod situations;
mod stack;
mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use report::Report;
use situations::Situation;
use stack::Stack;

fn main() -> ExitCode {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/runbook.md");
    let text = std::fs::read_to_string(path).expect("the runbook");
    let document = blocks::read(&text);
    let mut report = Report::default();
    document.mistakes.into_iter().for_each(|mistake| report.wrong(format!("line {mistake}")));
    let mut stack = Stack::start();
    let chosen = document.blocks.iter().filter(|block| block.heading.contains(&only));
    run(&chosen.collect::<Vec<_>>(), &mut stack, &mut report);
    let (in_prose, wrong) = prose::check(&text, &stack);
    wrong.into_iter().for_each(|what| report.wrong(what));
    println!("{}", report.text(in_prose));
    if report.is_good() {
        return ExitCode::SUCCESS;
    }
    println!("of the API's log:\n{}", stack.complaints());
    ExitCode::FAILURE
}

/// The situation that blocks are run in, and the shell's variables before it.
type Within = (Situation, BTreeMap<String, String>);

fn run(blocks: &[&blocks::Block], stack: &mut Stack, report: &mut Report) {
    let mut within: Option<Within> = None;
    for block in blocks {
        if let Some(why) = &block.not_run {
            report.skip(block, why);
            continue;
        }
        if within.as_ref().map(|(situation, _)| situation.name) != block.with.as_deref() {
            leave(&mut within, stack, report);
            if !enter(block, &mut within, stack, report) {
                continue;
            }
        }
        let ran = stack.run(&block.script);
        report.ran(block, &ran);
    }
    leave(&mut within, stack, report);
}

/// Provokes what a block is for; whether that went well.
fn enter(block: &blocks::Block, within: &mut Option<Within>, stack: &mut Stack, report: &mut Report) -> bool {
    let Some(name) = &block.with else { return true };
    let Some(situation) = situations::named(name) else {
        report.wrong(format!("line {}: no situation is called `{name}`", block.line));
        return false;
    };
    let before = stack.environment.clone();
    let entered = catch_unwind(AssertUnwindSafe(|| (situation.enter)(stack)));
    if entered.is_err() {
        report.wrong(format!("line {}: `{name}` could not be provoked", block.line));
        clear_away(&before, stack, report);
        return false;
    }
    *within = Some((situation, before));
    true
}

/// Shows that it is over.
fn leave(within: &mut Option<Within>, stack: &mut Stack, report: &mut Report) {
    let Some((situation, before)) = within.take() else { return };
    if catch_unwind(AssertUnwindSafe(|| (situation.leave)(stack))).is_err() {
        report.wrong(format!("`{}` was not mended by what the text says", situation.name));
        clear_away(&before, stack, report);
    }
    stack.set("JOB_ID", &before["JOB_ID"]);
}

/// One thing that goes wrong is one line of the report.
fn clear_away(before: &BTreeMap<String, String>, stack: &mut Stack, report: &mut Report) {
    stack.set("JOB_ID", &before["JOB_ID"]);
    if catch_unwind(AssertUnwindSafe(|| situations::clear_away(stack))).is_err() {
        report.wrong("and could not be cleared away; what follows may be wrong because of it".to_owned());
    }
}
