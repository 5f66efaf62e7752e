//! The scripts: one verb, one header, one wrapper, one test file.

use crate::assert_none;
use crate::tree::{File, exists, files};

const FOLDER: &str = "src/store/lua/";

/// What a header must say, each as `-- <word>: …`, before the first line of code.
const PARTS: &[&str] = &["Purpose", "KEYS", "ARGV", "Returns", "Guarantee"];

/// Flags that Redis 7.0 and Valkey 7.2 both know.
const FLAGS: &[&str] = &["no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"];

fn all() -> Vec<File> {
    files("src/store/lua").into_iter().filter(|f| f.is("lua")).collect()
}

fn is_verb(file: &File) -> bool {
    file.path.strip_prefix(FOLDER).is_some_and(|inner| !inner.contains('/'))
}

#[test]
fn every_script_opens_with_a_shebang_that_both_servers_know() {
    let mut offenders = Vec::new();
    for file in all().iter().filter(|f| is_verb(f)) {
        let first = file.text.lines().next().unwrap_or_default();
        let known = match first.strip_prefix("#!lua") {
            Some("") => true,
            Some(rest) => rest.strip_prefix(" flags=").is_some_and(|list| list.split(',').all(|f| FLAGS.contains(&f))),
            None => false,
        };
        if !known {
            offenders.push(format!("{}: `{first}`", file.path));
        }
    }
    assert_none("the first line is `#!lua` or `#!lua flags=…`; without it a full Redis cannot drain:", &offenders);
}

#[test]
fn every_script_has_its_contract_in_its_header() {
    let mut offenders = Vec::new();
    for file in all().iter().filter(|f| is_verb(f)) {
        let header: Vec<&str> = file.text.lines().skip(1).take_while(|l| l.starts_with("--")).collect();
        for part in PARTS {
            let opening = format!("-- {part}: ");
            if !header.iter().any(|line| line.starts_with(&opening) && line.len() > opening.len()) {
                offenders.push(format!("{}: no `{}`", file.path, opening.trim_end()));
            }
        }
    }
    assert_none("a script's header is its contract:", &offenders);
}

#[test]
fn every_shared_piece_says_what_it_is_for() {
    let offenders: Vec<String> =
        all().into_iter().filter(|f| !is_verb(f) && !f.text.starts_with("-- ")).map(|f| f.path).collect();
    assert_none("the first line of a shared piece is a comment:", &offenders);
}

/// `-- Uses: base line | park` lists the shared pieces that are put before a script, in that order; what follows a
/// bar stands in a function inside what precedes it.
#[test]
fn every_shared_piece_that_is_used_exists_and_every_one_is_used() {
    let all = all();
    let mut used = std::collections::BTreeSet::new();
    let mut offenders = Vec::new();
    for file in all.iter().filter(|f| is_verb(f)) {
        let pieces = file.text.lines().filter_map(|l| l.strip_prefix("-- Uses: ")).flat_map(str::split_whitespace);
        for piece in pieces.filter(|piece| *piece != "|") {
            used.insert(piece);
            if !exists(&format!("{FOLDER}lib/{piece}.lua")) {
                offenders.push(format!("{}: no {FOLDER}lib/{piece}.lua", file.path));
            }
        }
    }
    let idle = all.iter().filter(|f| !is_verb(f) && !used.contains(f.stem()));
    offenders.extend(idle.map(|f| format!("{}: no script uses it", f.path)));
    assert_none("scripts and their shared pieces:", &offenders);
}

#[test]
fn every_verb_has_its_wrapper_and_its_test_file() {
    let mut offenders = Vec::new();
    for file in all().iter().filter(|f| is_verb(f)) {
        for folder in ["src/store", "tests/it/store"] {
            let verb = file.stem();
            if !exists(&format!("{folder}/{verb}.rs")) && !exists(&format!("{folder}/{verb}/mod.rs")) {
                offenders.push(format!("{}: no {folder}/{verb}.rs", file.path));
            }
        }
    }
    assert_none("script, wrapper and test share one verb:", &offenders);
}

/// The clock of a script is Redis `TIME`; a random number or a payload decoded in a script has no
/// place there either.
#[test]
fn scripts_use_no_forbidden_call() {
    const CALLS: &[(&str, &str)] = &[
        ("os.time", "use the server's TIME"),
        ("math.random", "ids come from the caller"),
        ("cjson.decode", "payloads are opaque to scripts"),
        ("'KEYS'", "KEYS scans the whole keyspace"),
        ("'SCAN'", "a script's work is bounded"),
    ];
    let mut offenders = Vec::new();
    for file in all() {
        for (number, line) in file.text.lines().enumerate() {
            let code = line.split("--").next().unwrap_or_default();
            for (call, why) in CALLS {
                if code.contains(call) {
                    offenders.push(format!("{}:{}: {call}: {why}", file.path, number + 1));
                }
            }
        }
    }
    assert_none("a script stays deterministic and bounded:", &offenders);
}
