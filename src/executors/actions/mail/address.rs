//! Addresses of mail: stricter than RFC 5321, because whatever a relay reads differently is a way to smuggle.

use lettre::Address;
use lettre::message::Mailbox;
use serde::Deserialize;
use url::Host;

use super::text;

/// RFC 5321 §4.5.3.1.1.
const LOCAL_LIMIT: usize = 64;

/// RFC 5321 §4.5.3.1.3, without the angle brackets.
const ADDRESS_LIMIT: usize = 254;

/// The longest name shown beside an address, in bytes.
const NAME_LIMIT: usize = 128;

/// Someone who gets or sends a mail, as a client writes it.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Party {
    /// `local@domain`.
    Plain(String),
    /// With the name that is shown.
    Named(NamedParty),
}

/// An address with the name that is shown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedParty {
    address: String,
    name: Option<String>,
}

impl Party {
    /// Checked; `field` names it in the refusal.
    ///
    /// # Errors
    /// A sentence that names the field.
    pub(super) fn mailbox(&self, field: &str) -> Result<Mailbox, String> {
        let (text, shown) = match self {
            Self::Plain(address) => (address, None),
            Self::Named(named) => (&named.address, named.name.as_deref()),
        };
        if let Some(shown) = shown {
            text::name(&format!("{field}.name"), shown, NAME_LIMIT)?;
        }
        Ok(Mailbox::new(shown.map(|name| name.trim().to_owned()), address(field, text)?))
    }
}

/// Checks an address and brings its domain into the form that goes over the wire: lower-case ASCII.
///
/// # Errors
/// A sentence that names the field.
pub(super) fn address(field: &str, text: &str) -> Result<Address, String> {
    text::one_line(field, text, ADDRESS_LIMIT)?;
    let refuse = |why: &str| Err(format!("{field}: {why}"));
    if text.starts_with('-') {
        return refuse("an address that begins with `-` is not allowed");
    }
    let Some((local, domain)) = text.split_once('@') else {
        return refuse("must be one address, local@domain");
    };
    if domain.contains(['@', ',', ';', '<', '>', ' ']) {
        return refuse("must be one address, local@domain");
    }
    if !is_dot_atom(local) {
        return refuse(
            "the part before `@` may have letters and digits of ASCII, and !#$%&'*+-/=?^_`{|}~ and single dots",
        );
    }
    if local.len() > LOCAL_LIMIT {
        return refuse("the part before `@` may have at most 64 bytes");
    }
    let Some(domain) = wire_domain(domain) else {
        return refuse("the part after `@` is not the name of a domain");
    };
    Address::new(local, domain).map_err(|_| format!("{field}: is not an address"))
}

/// RFC 5322 §3.2.3: no quotes, no comments, nothing outside of ASCII.
fn is_dot_atom(local: &str) -> bool {
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    local.split('.').all(|part| !part.is_empty() && part.bytes().all(atom))
}

/// A domain as ASCII (RFC 5890 where it is not); `None` when it is none, or an IP address in any notation.
fn wire_domain(domain: &str) -> Option<String> {
    // The URL parser decodes `%`, and drops or maps some marks.
    if !domain
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.') || (!c.is_ascii() && c.is_alphanumeric()))
    {
        return None;
    }
    let Ok(Host::Domain(ascii)) = Host::parse(domain) else { return None };
    let label = |l: &str| {
        let inside = l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inside && (1..=63).contains(&l.len()) && !l.starts_with('-') && !l.ends_with('-')
    };
    (ascii.len() <= 253 && ascii.split('.').all(label)).then_some(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_pass_and_domains_become_lower_case_ascii() {
        for (text, wire) in [
            ("ada@example.org", "ada@example.org"),
            ("a.b+tag@Mail.Example.ORG", "a.b+tag@mail.example.org"),
            ("root@localhost", "root@localhost"),
            ("ada@bücher.example", "ada@xn--bcher-kva.example"),
            ("o'hara_-x@a-b.example", "o'hara_-x@a-b.example"),
        ] {
            assert_eq!(address("to", text).map(|a| a.to_string()), Ok(wire.to_owned()), "{text}");
        }
    }

    /// Each is read in two ways somewhere.
    const AMBIGUOUS: &[&str] = &[
        "",
        "ada",
        "@example.org",
        "ada@",
        "a@b,c@d",
        "a@b;c@d",
        "a@b@c",
        "\"x y\"@z.example",
        "\"x\"@z.example",
        "-oQ/tmp@example.org",
        "a b@example.org",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org\nx",
        "ada\r@example.org",
        "ada\0@example.org",
        "ada@example.org\u{2028}",
        "ada@example.org\u{2029}",
        "ada@example.org\u{85}",
        "ada\u{1b}@example.org",
        "=?utf-8?q?ada=40evil.example=3e?=@example.org",
        "ada=?x@example.org",
        "Ada <ada@example.org>",
        "<ada@example.org>",
        "ada(comment)@example.org",
        ".ada@example.org",
        "ada.@example.org",
        "a..b@example.org",
        "ädä@example.org",
        "ada@[127.0.0.1]",
        "ada@127.0.0.1",
        "ada@127.1",
        "ada@0x7f.1",
        "ada@2130706433",
        "ada@exa%6dple.org",
        "ada@-x.example",
        "ada@x-.example",
        "ada@a..b",
        "ada@example.org.",
        "ada@xn--\u{e4}.example",
        "ada@xn--zzzzzz9999999.example",
        "ada@exam_ple.org",
        "ada@\u{200b}example.org",
    ];

    #[test]
    fn whatever_a_relay_might_read_differently_is_refused() {
        for text in AMBIGUOUS {
            let refused = address("to[0]", text).expect_err(text);
            assert!(refused.starts_with("to[0]: "), "{refused}");
        }
        assert!(address("to", &format!("{}@example.org", "a".repeat(65))).is_err());
        assert!(address("to", &format!("a@{}.example", "b".repeat(64))).is_err());
        assert!(address("to", &format!("a@{}example", "b.".repeat(130))).is_err());
    }

    #[test]
    fn names_cannot_forge() {
        for shown in ["x\r\nBcc: y", "\u{202e}gro", "=?utf-8?q?x?=", " ", "a\0"] {
            let party = Party::Named(NamedParty { address: "a@b.example".into(), name: Some(shown.into()) });
            assert!(party.mailbox("from").is_err_and(|e| e.starts_with("from.name: ")), "{shown:?}");
        }
    }
}
