//! The files of the project, and Rust source without its comments and literals.

use std::fs;
use std::path::{Path, PathBuf};

/// What holds no source: build output, history, the demo's data.
const SKIPPED: &[&str] = &["target", ".git", ".demo", "node_modules"];

/// One text file.
pub(crate) struct File {
    /// Relative to the project, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == extension)
    }

    pub(crate) fn stem(&self) -> &str {
        Path::new(&self.path).file_stem().and_then(|s| s.to_str()).unwrap_or_default()
    }
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// The text of a file that must exist.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every text file under `folder` (`""` for the whole project), sorted by path.
pub(crate) fn files(folder: &str) -> Vec<File> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The Rust files under `folder`.
pub(crate) fn rust(folder: &str) -> Vec<File> {
    files(folder).into_iter().filter(|f| f.is("rs")).collect()
}

fn walk(folder: &Path, found: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(kind) = entry.file_type() else { continue };
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            walk(&path, found);
        } else if kind.is_file()
            && !name.ends_with(".log")
            && let Ok(text) = fs::read_to_string(&path)
        {
            let relative = path.strip_prefix(root()).unwrap_or(&path);
            found.push(File { path: relative.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

/// Rust source with comments and the insides of string and character literals blanked out. Lines
/// and columns stay where they are.
pub(crate) fn code(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at + 1..].starts_with(b"/") => line_end(bytes, at),
            b'/' if bytes[at + 1..].starts_with(b"*") => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if !follows_word(bytes, at) => raw_string_end(bytes, at).unwrap_or(at),
            b'\'' => char_end(bytes, at).unwrap_or(at),
            _ => at,
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("whole literals and comments were blanked")
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| at + n)
}

fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i < bytes.len() {
        if bytes[i..].starts_with(b"/*") {
            depth += 1;
            i += 2;
        } else if bytes[i..].starts_with(b"*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    // `br"…"` is one literal, so a lone `b` before the `r` does not make it part of a word.
    let before = |n: usize| at.checked_sub(n).map(|i| bytes[i]);
    let word = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    if before(1) == Some(b'b') { word(before(2)) } else { word(before(1)) }
}

fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|b| **b == b'#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = &bytes[open + 1..];
    let length = body.windows(close.len()).position(|w| w == close)?;
    Some(open + 1 + length + close.len())
}

/// The end of a character literal; `None` for a lifetime.
fn char_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at + 1..];
    let close = |from: usize| rest[from..].iter().take(12).position(|b| *b == b'\'').map(|n| at + 2 + from + n);
    match rest.first()? {
        b'\\' => close(2),
        first if first.is_ascii() => (rest.get(1) == Some(&b'\'')).then_some(at + 3),
        _ => close(1),
    }
}

#[test]
fn literals_and_comments_are_blanked_and_code_is_kept() {
    let source = r##"let a = "x // y"; // gone
let b = r#"crate::no "quoted""#; /* gone /* nested */ */ let c: &'static str = 'q'; let d = '\'';
let var"##;
    let kept = code(source);
    assert_eq!(kept.len(), source.len());
    for gone in ["x", "gone", "crate", "quoted", "nested", "'q'"] {
        assert!(!kept.contains(gone), "{gone} in {kept}");
    }
    for stays in ["let a = ", "let b = r", "let c: &'static str = ", "let d = ", "let var"] {
        let stays = stays.trim_end_matches(" r").trim_end_matches('r');
        assert!(kept.contains(stays), "{stays} not in {kept}");
    }
}
