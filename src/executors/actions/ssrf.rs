//! The guard in front of URLs that clients choose: server-side request forgery is stopped here and
//! in the resolver.
//!
//! Three layers, because each alone has a hole. The URL must name an allowed host, judged on the
//! parser's normal form (so `127.1`, `0x7f.1`, `2130706433` and full-width digits are all
//! 127.0.0.1). A literal address must be public. And a name is resolved once, by a resolver that
//! refuses the whole answer when any address in it is not public; the connection uses exactly the
//! addresses that were vetted, so a second, different DNS answer (rebinding) is never asked for.
//! Cases: OWASP SSRF prevention cheat sheet.

use url::{Host, Url};

use super::{HostRule, forbidden};

/// Longest URL accepted, in bytes.
const URL_LIMIT: usize = 2048;

/// Name suffixes that public DNS never serves, and clouds and clusters serve inside.
const INTERNAL_SUFFIXES: &[&str] = &["localhost", "local", "internal", "intranet", "lan", "home.arpa"];

/// Why a URL is refused. Permanent; displayed to clients, so it repeats nothing of the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SsrfBlocked {
    /// Not an absolute URL, or too long, or with characters that parsers disagree about.
    #[error("url: not a valid absolute URL of at most {URL_LIMIT} bytes")]
    Malformed,
    /// Not `http` or `https`.
    #[error("url: only http and https are allowed")]
    Scheme,
    /// With a user, a password or a fragment.
    #[error("url: user, password and fragment are not allowed")]
    Decorated,
    /// On no list of allowed hosts, or on another port than the allowed one.
    #[error("url: the host and port are not on the list of allowed hosts")]
    NotAllowed,
    /// The name or the address is internal.
    #[error("url: the host is internal ({0}) and not on the list of allowed internal hosts")]
    Internal(&'static str),
}

/// A URL that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// As parsed; what is checked is what is sent.
    pub url: Url,
    /// Whether the operator allows this host to lie on an internal address.
    pub internal: bool,
}

/// Decides which URLs may be called.
#[derive(Clone, Debug, Default)]
pub struct UrlGuard {
    allowed: Vec<HostRule>,
    internal: Vec<HostRule>,
}

impl UrlGuard {
    /// A guard for hosts that must be public and hosts that may be internal. A rule of the second
    /// list also allows the host.
    #[must_use]
    pub fn new(allowed: Vec<HostRule>, internal: Vec<HostRule>) -> Self {
        Self { allowed, internal }
    }

    /// Checks a URL without any I/O. A name may still resolve to an internal address; the resolver
    /// refuses that at connection time.
    ///
    /// # Errors
    /// Why the URL is refused.
    pub fn check(&self, text: &str) -> Result<Destination, SsrfBlocked> {
        // The parser drops tabs and newlines and reads `\` as `/`; others do not.
        if text.len() > URL_LIMIT || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(SsrfBlocked::Malformed);
        }
        let url = Url::parse(text).map_err(|_| SsrfBlocked::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SsrfBlocked::Scheme);
        }
        // `http://@host` has an empty user that the parser forgets.
        let authority = text.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(""));
        if authority.is_empty() {
            return Err(SsrfBlocked::Malformed);
        }
        if authority.contains('@') || url.fragment().is_some() {
            return Err(SsrfBlocked::Decorated);
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(SsrfBlocked::Malformed);
        };
        let internal = self.internal.iter().any(|rule| rule.covers(&host, port));
        if !internal {
            self.check_public(&host, port)?;
        }
        Ok(Destination { url, internal })
    }

    fn check_public(&self, host: &Host<&str>, port: u16) -> Result<(), SsrfBlocked> {
        let why = match host {
            Host::Domain(name) if name.ends_with('.') => return Err(SsrfBlocked::Malformed),
            Host::Domain(name) => is_internal_name(name).then_some("an internal name"),
            Host::Ipv4(address) => forbidden((*address).into()),
            Host::Ipv6(address) => forbidden((*address).into()),
        };
        if let Some(why) = why {
            return Err(SsrfBlocked::Internal(why));
        }
        let allowed = self.allowed.iter().any(|rule| rule.covers(host, port));
        if allowed { Ok(()) } else { Err(SsrfBlocked::NotAllowed) }
    }
}

fn is_internal_name(name: &str) -> bool {
    INTERNAL_SUFFIXES
        .iter()
        .any(|suffix| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every host below is on the list, so that what refuses is the guard against internal ones.
    fn check(url: &str) -> Result<Destination, SsrfBlocked> {
        let host = Url::parse(url).ok().and_then(|u| Some(format!("{}:{}", u.host_str()?, u.port_or_known_default()?)));
        let rules = host.and_then(|h| h.parse().ok()).into_iter().collect();
        UrlGuard::new(rules, Vec::new()).check(url)
    }

    #[test]
    fn every_spelling_of_an_internal_address_is_blocked() {
        for host in [
            "127.0.0.1",
            "127.1",
            "0",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "%31%32%37.0.0.1",
            "127。0。0。1",
            "１２７.0.0.1",
            "①②⑦.0.0.1",
            "169.254.169.254",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "2852039166",
            "100.100.100.200",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fc00::1]",
            "[ff02::1]",
            "localhost",
            "LOCALHOST",
            "a.localhost",
            "metadata.google.internal",
            "db.local",
            "ｌｏｃａｌｈｏｓｔ",
        ] {
            let outcome = check(&format!("http://{host}/x"));
            assert!(matches!(outcome, Err(SsrfBlocked::Internal(_))), "{host}: {outcome:?}");
        }
    }

    #[test]
    fn tricks_with_the_form_of_a_url_are_blocked() {
        use SsrfBlocked::{Decorated, Malformed, Scheme};
        for (url, wanted) in [
            ("http://ok.example@127.0.0.1/", Decorated),
            ("http://ok.example:pw@ok.example/", Decorated),
            ("http://@ok.example/", Decorated),
            ("http://ok.example#@x", Decorated),
            ("http://ok.example\\@x", Malformed),
            ("http:\\\\ok.example", Malformed),
            ("http:ok.example", Malformed),
            ("http:/ok.example", Malformed),
            ("http:///ok.example", Malformed),
            ("http://ok.ex\tample/", Malformed),
            (" http://ok.example/", Malformed),
            ("http://ok.example./", Malformed),
            ("http://127.0.0.1./", SsrfBlocked::Internal("loopback")),
            ("http://[fe80::1%25eth0]/", Malformed),
            ("http://", Malformed),
            ("//ok.example/", Malformed),
            ("", Malformed),
            ("http://ok.example:99999/", Malformed),
            ("file:///etc/passwd", Scheme),
            ("gopher://ok.example/", Scheme),
            ("ftp://ok.example/", Scheme),
            ("data:text/plain,x", Scheme),
            ("unix:/var/run/docker.sock", Scheme),
        ] {
            assert_eq!(check(url), Err(wanted), "{url}");
        }
        assert_eq!(check(&format!("http://ok.example/{}", "a".repeat(2048))), Err(Malformed));
    }

    #[test]
    fn hosts_and_ports_off_the_list_are_blocked() {
        let guard = UrlGuard::new(vec!["ok.example".parse().unwrap()], vec!["127.0.0.1:9000".parse().unwrap()]);
        for url in ["https://ok.example/a?b=c", "http://ok.example/", "HTTPS://OK.EXAMPLE"] {
            assert!(!guard.check(url).unwrap().internal, "{url}");
        }
        for port in [22, 25, 6379, 8080, 65535] {
            assert_eq!(guard.check(&format!("http://ok.example:{port}/")), Err(SsrfBlocked::NotAllowed), "{port}");
        }
        assert_eq!(guard.check("https://other.example/"), Err(SsrfBlocked::NotAllowed));
        assert!(guard.check("http://127.0.0.1:9000/").unwrap().internal);
        assert_eq!(guard.check("http://127.0.0.1:9001/"), Err(SsrfBlocked::Internal("loopback")));
    }
}
