//! Commands in the prose: not run, since they name placeholders, yet their verbs and flags have to exist.

use std::collections::BTreeSet;

use crate::stack::Stack;

/// What is wrong with the `windlass …` spans of a text, and how many there are.
pub(crate) fn check(text: &str, stack: &Stack) -> (usize, Vec<String>) {
    let spans = spans(text);
    let wrong = spans.iter().filter_map(|span| wrong(span, stack)).collect();
    (spans.len(), wrong)
}

/// Spans between single backticks outside of code blocks that begin with the binary's name.
fn spans(text: &str) -> BTreeSet<String> {
    let outside = text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n");
    let spans = outside.split('`').skip(1).step_by(2).map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
    spans.filter(|span| span.starts_with("windlass ")).collect()
}

fn wrong(span: &str, stack: &Stack) -> Option<String> {
    let words: Vec<&str> = span.split(' ').skip(1).collect();
    let is_verb = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
    let verbs: Vec<&str> = words.iter().copied().take_while(is_verb).collect();
    let shown = stack.run(&format!("windlass {} --help", verbs.join(" ")));
    if shown.code != Some(0) {
        return Some(format!("`{span}`: {}", shown.output.lines().next().unwrap_or_default()));
    }
    let known: BTreeSet<&str> = shown.output.split([' ', ',', '\n']).collect();
    let mut flags = words.iter().filter(|word| word.starts_with('-')).filter_map(|flag| flag.split('=').next());
    let absent = flags.find(|flag| !known.contains(flag));
    absent.map(|flag| format!("`{span}`: no {flag}"))
}
