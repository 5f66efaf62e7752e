//! The table of keys in ARCHITECTURE.md has every key that scripts and Rust name, and no other.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::tree::{files, read};

/// What stands between `from` and the next of `ends`, wherever `from` does.
fn between<'a>(text: &'a str, from: &str, ends: &[char]) -> Vec<&'a str> {
    text.split(from).skip(1).filter_map(|rest| rest.split(ends).next()).collect()
}

/// Names behind the base, up to where a part of them varies: `jobs`, `worker:`, `queue:order:`.
fn in_code() -> BTreeSet<String> {
    let (mut lua, rust) = (String::new(), read("src/store/keys.rs"));
    files("src/store/lua").into_iter().for_each(|file| lua.push_str(&file.text));
    // Where a name begins, and what is before it.
    let beginnings = [
        (&lua, "base .. ':", ""),
        (&lua, "string.sub(KEYS[1], 1, -6) .. ':", ""),
        (&lua, "effects_key .. '", "effects"),
        (&lua, "qkey('", "queue:"),
        (&lua, "llm .. '", "llm:"),
        (&rust, "format!(\"{}:", ""),
        (&rust, "self.queue(\"", "queue:"),
        (&rust, "self.llm(\"", "llm:"),
        (&rust, "self.llm(&format!(\"", "llm:"),
    ];
    let names = beginnings.into_iter().flat_map(|(text, from, before)| {
        between(text, from, &['\'', '"', '{']).into_iter().map(move |name| format!("{before}{name}"))
    });
    // Without those whose names are made of a variable.
    names.filter(|name| !["", "queue:", "llm:"].contains(&name.as_str())).collect()
}

/// The same of the table, whose rows may leave the beginning of a further name out.
fn in_table() -> BTreeSet<String> {
    let text = read("ARCHITECTURE.md");
    let section = text.split("## Data in Redis").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
    let mut names = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| `ai:")) {
        let cell = row.split('|').nth(1).unwrap_or_default();
        for key in cell.split('`').skip(1).step_by(2) {
            let name = key.strip_prefix("ai:").map_or_else(|| format!("queue:{key}"), str::to_owned);
            names.insert(name.split('<').next().unwrap_or_default().to_owned());
        }
    }
    names
}

#[test]
fn the_table_of_keys_is_what_the_code_names() {
    let (code, table) = (in_code(), in_table());
    assert!(code.len() > 40 && table.len() > 40, "{code:?}\n{table:?}");
    // A name in code may go on with a band that is written out; one in the table, with what varies.
    let known = |all: &BTreeSet<String>, name: &str| {
        all.iter().any(|other| other == name || (other.ends_with(':') && name.starts_with(other.as_str())))
    };
    let missing: Vec<String> = code.iter().filter(|name| !known(&table, name)).cloned().collect();
    assert_none("the table of ARCHITECTURE.md needs a row for each of these keys:", &missing);
    let surplus: Vec<String> = table.iter().filter(|name| !known(&code, name)).cloned().collect();
    assert_none("the table of ARCHITECTURE.md has keys that no code names:", &surplus);
}
