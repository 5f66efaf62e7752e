//! What may be in the lockfile. `cargo deny check` says the same and more, where it is installed.

use crate::assert_none;
use crate::tree::read;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn parse(path: &str) -> toml::Table {
    read(path).parse().unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Names and reasons of the crates that deny.toml bans.
fn banned() -> Vec<(String, String)> {
    let deny = parse("deny.toml");
    let list = deny["bans"]["deny"].as_array().expect("bans.deny is a list");
    list.iter().map(|entry| (text(&entry["crate"]), text(&entry["reason"]))).collect()
}

fn text(value: &toml::Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}

#[test]
fn no_banned_crate_is_in_the_lockfile() {
    let lock = parse("Cargo.lock");
    let packages: Vec<String> =
        lock["package"].as_array().expect("packages").iter().map(|p| text(&p["name"])).collect();
    let banned = banned();
    assert!(banned.len() >= 5, "the bans of deny.toml were not read");
    let offenders: Vec<String> = banned
        .iter()
        .filter(|(name, _)| packages.contains(name))
        .map(|(name, reason)| format!("{name}: {reason} (cargo tree -i {name} shows who wants it)"))
        .collect();
    assert_none("banned crates came in:", &offenders);
}

#[test]
fn every_package_comes_from_the_default_registry() {
    let lock = parse("Cargo.lock");
    let offenders: Vec<String> = lock["package"]
        .as_array()
        .expect("packages")
        .iter()
        .filter_map(|p| Some((text(&p["name"]), text(p.get("source")?))))
        .filter(|(_, source)| source != REGISTRY)
        .map(|(name, source)| format!("{name}: {source}"))
        .collect();
    assert_none("packages from elsewhere:", &offenders);
}

#[test]
fn the_toolchain_is_not_pinned_by_a_file() {
    for file in ["rust-toolchain", "rust-toolchain.toml"] {
        assert!(!crate::tree::exists(file), "{file}: rust-version in Cargo.toml says enough");
    }
    assert!(parse("Cargo.toml")["package"].get("rust-version").is_some());
}
