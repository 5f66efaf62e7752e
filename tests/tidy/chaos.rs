//! What only the build for the chaos harness may have.

use crate::assert_none;
use crate::tree::{code, rust};

const GATE: &str = "#[cfg(feature = \"chaos\")]";

/// Bugs on purpose live in `src/store/planted`; whatever else names them goes with the feature.
#[test]
fn bugs_on_purpose_are_in_no_ordinary_build() {
    let mut offenders = Vec::new();
    for file in rust("src").iter().filter(|f| !f.path.starts_with("src/store/planted")) {
        let raw: Vec<&str> = file.text.lines().collect();
        for (number, line) in code(&file.text).lines().enumerate() {
            if line.to_lowercase().contains("planted") && !gated(&raw, number) {
                offenders.push(format!("{}:{}", file.path, number + 1));
            }
        }
    }
    assert_none(&format!("put {GATE} before the statement that names a planted bug:"), &offenders);
}

/// Whether a statement or item that this line is in has the gate among the attributes right above it.
fn gated(lines: &[&str], at: usize) -> bool {
    let (mut depth, mut at_its_head) = (indent(lines[at]), true);
    for line in lines[..at].iter().rev().filter(|line| !line.trim().is_empty()) {
        if indent(line) < depth {
            (depth, at_its_head) = (indent(line), true);
        }
        let above = line.trim_start().starts_with(['#', '/']);
        if at_its_head && above && indent(line) == depth && line.trim() == GATE {
            return true;
        }
        at_its_head &= above || line.trim_end().ends_with(['{', '(', '[']);
    }
    false
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[test]
fn a_gate_is_seen_from_inside_its_item_only() {
    let source =
        format!("{GATE}\nfn a() {{\n    let x = 1;\n    b(x);\n}}\nfn c() {{\n    d();\n}}\n{GATE}\nlet e = 1;");
    let lines: Vec<&str> = source.lines().collect();
    assert!(gated(&lines, 1) && gated(&lines, 3));
    assert!(gated(&lines, 9));
    assert!(!gated(&lines, 5) && !gated(&lines, 6));
}
