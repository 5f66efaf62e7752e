//! Who may import whom, and what has one home.

use crate::assert_none;
use crate::tree::{File, code, exists, files, rust};

const L0: &[&str] = &["domain", "metrics", "clock"];
const BELOW_APP: &[&str] =
    &["domain", "metrics", "clock", "store", "engine", "executors", "api", "http", "client", "cli", "ui"];

/// Top-level modules, lowest first, with what each may import. The surfaces (`http`, `client`,
/// `cli`, `ui`) do not see each other, but for `cli`, which speaks through `client`. A surface never
/// imports an executor, and one that lives on the far side of HTTP never the queue.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("metrics", &[]),
    ("clock", &["domain"]),
    ("store", L0),
    ("engine", &["domain", "metrics", "clock", "store"]),
    ("executors", &["domain", "metrics", "clock", "store", "engine"]),
    ("api", &["domain"]),
    ("http", &["domain", "metrics", "clock", "store", "engine", "api"]),
    ("client", &["domain", "clock", "api"]),
    ("cli", &["domain", "clock", "api", "client"]),
    ("ui", &["domain", "api"]),
    ("config", BELOW_APP),
    ("telemetry", &["domain", "metrics", "clock", "engine", "config"]),
    (
        "app",
        &[
            "domain",
            "metrics",
            "clock",
            "store",
            "engine",
            "executors",
            "api",
            "http",
            "client",
            "cli",
            "ui",
            "config",
            "telemetry",
        ],
    ),
];

/// Families of executors, which do not see each other.
const FAMILIES: &[&str] = &["actions", "llm"];

/// Files in which clippy's `disallowed_methods` may be expected: the one home of each ban.
const HOMES: &[&str] = &["src/clock.rs", "src/engine/tasks.rs", "src/config", "src/app", "src/main.rs"];

/// The top-level module a file belongs to; `None` for the crate root and the binary.
fn module_of(file: &File) -> Option<&str> {
    let inner = file.path.strip_prefix("src/")?;
    let name = inner.split('/').next()?.trim_end_matches(".rs");
    (!matches!(name, "lib" | "main" | "bin")).then_some(name)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn first_word(text: &str) -> &str {
    let end = text.bytes().position(|b| !is_word(b)).unwrap_or(text.len());
    &text[..end]
}

/// The first segments of every path that starts with `prefix`, groups in braces included, with
/// their line numbers.
fn heads<'a>(source: &'a str, prefix: &str) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices(prefix) {
        if at > 0 && is_word(source.as_bytes()[at - 1]) {
            continue;
        }
        let line = source[..at].matches('\n').count() + 1;
        let rest = source[at + prefix.len()..].trim_start();
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group).into_iter().map(|head| (line, head))),
            None => found.push((line, first_word(rest))),
        }
    }
    found
}

/// The first segment of each entry of a `use` group, given the text after its opening brace.
fn group_heads(group: &str) -> Vec<&str> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0_i32, true);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && !c.is_whitespace() => {
                found.push(first_word(&group[i..]));
                start = false;
            }
            _ => {}
        }
    }
    found
}

#[test]
fn every_top_level_module_is_in_the_table() {
    let unknown: Vec<String> = rust("src")
        .iter()
        .filter(|f| module_of(f).is_some_and(|m| !LAYERS.iter().any(|(name, _)| *name == m)))
        .map(|f| f.path.clone())
        .collect();
    assert_none("a new top-level module needs a row in LAYERS (tests/tidy/layers.rs):", &unknown);
}

#[test]
fn modules_import_lower_layers_only() {
    let mut offenders = Vec::new();
    for file in rust("src") {
        let Some(module) = module_of(&file) else { continue };
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else { continue };
        let source = code(&file.text);
        for (line, head) in heads(&source, "crate::").into_iter().chain(heads(&source, "windlass::")) {
            let is_module = LAYERS.iter().any(|(name, _)| *name == head);
            if is_module && head != module && !allowed.contains(&head) {
                offenders.push(format!("{}:{line}: `{module}` may not import `{head}`", file.path));
            }
        }
    }
    assert_none("a module imports lower layers only (the table is in tests/tidy/layers.rs):", &offenders);
}

#[test]
fn executor_families_do_not_see_each_other() {
    let mut offenders = Vec::new();
    for family in FAMILIES {
        for file in rust(&format!("src/executors/{family}")) {
            let source = code(&file.text);
            for other in FAMILIES.iter().filter(|other| *other != family) {
                for prefix in ["super::", "crate::executors::"] {
                    let hits = heads(&source, prefix).into_iter().filter(|(_, head)| head == other);
                    offenders.extend(hits.map(|(line, head)| format!("{}:{line}: `{head}`", file.path)));
                }
            }
        }
    }
    assert_none("an executor family stands alone; what two share belongs beside them:", &offenders);
}

/// `super` must not climb out of a top-level module, or it would pass the check above unseen.
#[test]
fn super_stays_inside_its_top_level_module() {
    let mut offenders = Vec::new();
    for file in rust("src") {
        let Some(_) = module_of(&file) else { continue };
        let inner = file.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        let depth = inner.split('/').count();
        for (number, line) in code(&file.text).lines().enumerate() {
            let climbs = line.matches("super::").count();
            // Inside an indented `mod tests` one `super` more is at home.
            let limit = if line.starts_with(' ') { depth } else { depth - 1 };
            if climbs > limit && line.contains(&"super::".repeat(limit + 1)) {
                offenders.push(format!("{}:{}: write `crate::…`", file.path, number + 1));
            }
        }
    }
    assert_none("`super` leaves its top-level module:", &offenders);
}

#[test]
fn fred_is_named_under_store_only() {
    let mut offenders = Vec::new();
    for file in rust("src").iter().filter(|f| !f.path.starts_with("src/store/")) {
        for (number, line) in code(&file.text).lines().enumerate() {
            let named = line.match_indices("fred").any(|(at, word)| {
                let bytes = line.as_bytes();
                let before = at > 0 && is_word(bytes[at - 1]);
                let after = bytes.get(at + word.len()).is_some_and(|b| is_word(*b));
                !before && !after
            });
            if named {
                offenders.push(format!("{}:{}", file.path, number + 1));
            }
        }
    }
    assert_none("only src/store may speak to Redis through fred:", &offenders);
}

#[test]
fn banned_calls_are_expected_in_their_homes_only() {
    let offenders: Vec<String> = rust("src")
        .iter()
        .filter(|f| code(&f.text).contains("clippy::disallowed_methods"))
        .filter(|f| !HOMES.iter().any(|home| f.path.starts_with(home)))
        .map(|f| f.path.clone())
        .collect();
    assert_none("clippy.toml names the one home of each banned call:", &offenders);
}

#[test]
fn there_are_no_globals() {
    const CELLS: &[&str] = &["LazyLock", "OnceLock", "OnceCell", "Mutex", "RwLock", "Atomic", "ArcSwap", "RefCell"];
    let mut offenders = Vec::new();
    for file in rust("src") {
        for (number, line) in code(&file.text).lines().enumerate() {
            let item = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            let is_static = item.starts_with("static ");
            let mutable = item.starts_with("static mut ") || CELLS.iter().any(|cell| item.contains(cell));
            if (is_static && mutable) || item.contains("thread_local!") || item.contains("lazy_static!") {
                offenders.push(format!("{}:{}: {}", file.path, number + 1, item));
            }
        }
    }
    assert_none("state is passed, never global, so that two engines fit into one test:", &offenders);
}

#[test]
fn every_source_file_opens_with_a_module_doc() {
    let offenders: Vec<String> = ["src", "tests", "benches", "examples"]
        .iter()
        .flat_map(|folder| rust(folder))
        .filter(|f| !f.text.starts_with("//!"))
        .map(|f| f.path)
        .collect();
    assert_none("the first line of a file says in `//!` what it is for:", &offenders);
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    const NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "shared"];
    let offenders: Vec<String> = ["src", "tests", "benches", "examples"]
        .iter()
        .flat_map(|folder| files(folder))
        .map(|f| f.path)
        .filter(|path| path.split('/').any(|part| NAMES.contains(&part.split('.').next().unwrap_or(part))))
        .collect();
    assert_none("code lives with its one user or earns a name:", &offenders);
}

#[test]
fn the_binary_is_small() {
    assert!(exists("src/main.rs"));
    let lines = crate::tree::read("src/main.rs").lines().count();
    assert!(lines <= 60, "src/main.rs only parses, loads and runs: {lines} lines, 60 allowed");
}

#[test]
fn import_heads_are_found_in_paths_and_groups() {
    let source = "use crate::{a, b::{c, d}, e};\nlet x = crate::f::g(); let y = mycrate::h;";
    assert_eq!(heads(source, "crate::"), [(1, "a"), (1, "b"), (1, "e"), (2, "f")]);
}
