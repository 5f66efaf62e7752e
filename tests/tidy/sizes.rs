//! How long things may get before they are split.

use crate::assert_none;
use crate::tree::{code, files, rust};

const SOURCE_LINES: usize = 400;
const FUNCTION_LINES: usize = 50;
const TEST_LINES: usize = 500;
const LUA_LINES: usize = 80;

fn too_long(folder: &str, extension: &str, limit: usize) -> Vec<String> {
    files(folder)
        .iter()
        .filter(|f| f.is(extension))
        .map(|f| (f.text.lines().count(), &f.path))
        .filter(|(lines, _)| *lines > limit)
        .map(|(lines, path)| format!("{path}: {lines} lines, {limit} allowed"))
        .collect()
}

#[test]
fn files_stay_within_their_budget() {
    let mut offenders = too_long("src", "rs", SOURCE_LINES);
    offenders.extend(too_long("src", "lua", LUA_LINES));
    for folder in ["tests", "benches", "examples"] {
        offenders.extend(too_long(folder, "rs", TEST_LINES));
    }
    assert_none("one file, one concept; split these by behaviour:", &offenders);
}

#[test]
fn functions_stay_within_their_budget() {
    let mut offenders = Vec::new();
    for file in rust("src") {
        let source = code(&file.text);
        for (line, name, length) in functions(&source) {
            if length > FUNCTION_LINES {
                offenders.push(format!("{}:{line}: `{name}` has {length} lines, {FUNCTION_LINES} allowed", file.path));
            }
        }
    }
    assert_none("these functions do more than one thing:", &offenders);
}

/// Line, name and length in lines of every function with a body, `fn` to closing brace.
fn functions(source: &str) -> Vec<(usize, &str, usize)> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("fn ") {
        let before = source[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &source[at + 3..];
        let name = &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())];
        if let Some(end) = body_end(rest) {
            let line = source[..at].matches('\n').count() + 1;
            found.push((line, name, rest[..end].matches('\n').count() + 1));
        }
    }
    found
}

/// Where the body that starts in `text` ends; `None` for a declaration without a body or a type.
fn body_end(text: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_i32, 0_i32);
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' if braces == 0 => brackets += 1,
            ')' | ']' if braces == 0 => {
                brackets -= 1;
                if brackets < 0 {
                    return None;
                }
            }
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces <= 0 {
                    return (braces == 0).then_some(i);
                }
            }
            _ => {}
        }
    }
    None
}

#[test]
fn function_lengths_are_measured() {
    let source = "trait T { fn a(&self) -> [u8; 3]; }\nfn b(f: fn(u8)) {\n  {\n  }\n}\nconst fn c() {}\n";
    assert_eq!(functions(source), [(2, "b", 4), (6, "c", 1)]);
}
