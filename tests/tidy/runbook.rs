//! The marks of runbook.md, which `make runbook` goes by; and its reader.

#[path = "../runbook/blocks.rs"]
mod blocks;

use blocks::{missing, read as read_blocks};

use crate::assert_none;
use crate::tree::read;

#[test]
fn every_mark_of_the_runbook_stands_before_a_block_and_says_something() {
    let document = read_blocks(&read("runbook.md"));
    assert!(document.blocks.len() > 30, "the blocks were read");
    assert_none("runbook.md:", &document.mistakes);
}

/// A block that is not run because the test would have to be better is worse than none.
#[test]
fn most_commands_of_the_runbook_are_run() {
    let document = read_blocks(&read("runbook.md"));
    let (skipped, run): (Vec<_>, Vec<_>) = document.blocks.iter().partition(|block| block.not_run.is_some());
    let count = |blocks: &[&blocks::Block]| blocks.iter().map(|block| block.commands()).sum::<usize>();
    assert!(count(&run) > 3 * count(&skipped), "{} run, {} not", count(&run), count(&skipped));
}

#[test]
fn blocks_are_read_with_their_marks() {
    let text = "# A\n\n<!-- not run: a\n reason -->\n```sh\none\n```\n## B\n<!-- with: x -->\n<!-- exits: 1 -->\n```sh\n\
                # said\ntwo \\\n  more # → PONG\n\nthree <<END\nfour\nEND\n```\n<!-- prints -->\n```text\nfive … six\n```\n";
    let document = read_blocks(text);
    assert!(document.mistakes.is_empty(), "{:?}", document.mistakes);
    let [first, second] = document.blocks.as_slice() else { panic!("{document:?}") };
    assert_eq!((first.line, first.heading.as_str(), first.not_run.as_deref()), (6, "A", Some("a reason")));
    assert_eq!((second.exits, second.with.as_deref(), second.commands()), (1, Some("x"), 2));
    assert_eq!(second.prints, ["PONG", "five … six"]);
}

#[test]
fn marks_that_mean_nothing_are_named() {
    for text in ["<!-- wiht: x -->\n```sh\na\n```\n", "<!-- with: x -->\nwords\n```sh\na\n```\n", "<!-- not run: -->\n"]
    {
        assert_eq!(read_blocks(text).mistakes.len(), 1, "{text}");
    }
}

#[test]
fn output_is_compared_by_order_and_words() {
    let lines = |expected: &[&str]| expected.iter().map(ToString::to_string).collect::<Vec<_>>();
    let output = "a   b\nc {\"d\":1}e 0\n";
    for good in [&["a b", "c"][..], &["c … 1}", "e 0"], &["…", "a…b"], &[]] {
        assert_eq!(missing(output, &lines(good)), None, "{good:?}");
    }
    for (bad, first) in
        [(&["c", "a b"][..], "a b"), (&["b … a"], "b … a"), (&["a … e"], "a … e"), (&["e 0", "e 0"], "e 0")]
    {
        assert_eq!(missing(output, &lines(bad)), Some(first), "{bad:?}");
    }
}
