//! Which repository: names after GitHub's rules, so that no name leads out of its place in an address.

use std::fmt;

/// `owner/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::executors::actions) struct Repository {
    pub(in crate::executors::actions) owner: String,
    pub(in crate::executors::actions) name: String,
}

impl Repository {
    /// Logins have up to 39 letters, digits and hyphens (those that a company manages an underscore too); names of
    /// repositories up to 100 letters, digits, hyphens, underscores and dots.
    pub(in crate::executors::actions) fn new(owner: &str, name: &str) -> Result<Self, String> {
        let plain = |text: &str, most: usize, extra: &[u8]| {
            (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
        };
        if !plain(owner, 39, b"-_") || owner.starts_with('-') {
            return Err("owner: not a name of a GitHub account".to_owned());
        }
        if !plain(name, 100, b"-_.") || matches!(name, "." | "..") || name.ends_with(".git") {
            return Err("repo: not a name of a GitHub repository".to_owned());
        }
        Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_after_githubs_rules_pass() {
        for (owner, name) in [("acme", "site"), ("a-b-9", "x.y_z-1"), ("me_corp", ".github")] {
            assert!(Repository::new(owner, name).is_ok(), "{owner}/{name}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_do_not() {
        let long = "a".repeat(101);
        for (owner, name) in [
            ("..", "x"),
            ("a/b", "x"),
            ("", "x"),
            ("-a", "x"),
            ("a%2e", "x"),
            ("a", ""),
            ("a", "."),
            ("a", ".."),
            ("a", "b/../c"),
            ("a", "b?c"),
            ("a", "b#c"),
            ("a", "ä"),
            ("a", "x.git"),
            ("a", long.as_str()),
        ] {
            assert!(Repository::new(owner, name).is_err(), "{owner}/{name}");
        }
    }
}
