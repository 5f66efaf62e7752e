//! Which hosts may be called: `example.com`, `*.example.com`, `example.com:8443`, `10.0.0.5:9000`.

use std::fmt;
use std::str::FromStr;

use url::Host;

/// One allowed host. Without a port it stands for the ports 80 and 443 only, so that an allowed
/// name never opens its mail server or database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    host: HostPattern,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    /// This host, normalised as the URL parser does it.
    Exact(Host),
    /// Every name below this one, but not the name itself. Kept with its leading dot.
    Below(String),
}

/// A text that is no host rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no host rule: expected host, *.domain.tld, host:port or [ipv6]:port")]
pub struct HostRuleError(String);

impl HostRule {
    /// Whether the rule covers this host (as parsed by the URL parser) and port.
    #[must_use]
    pub fn covers(&self, host: &Host<&str>, port: u16) -> bool {
        let port_fits = self.port.map_or(matches!(port, 80 | 443), |own| own == port);
        let host_fits = match (&self.host, host) {
            (HostPattern::Exact(Host::Domain(own)), Host::Domain(name)) => own == name,
            (HostPattern::Exact(Host::Ipv4(own)), Host::Ipv4(address)) => own == address,
            (HostPattern::Exact(Host::Ipv6(own)), Host::Ipv6(address)) => own == address,
            (HostPattern::Below(suffix), Host::Domain(name)) => {
                name.len() > suffix.len() && name.ends_with(suffix.as_str())
            }
            _ => false,
        };
        port_fits && host_fits
    }
}

fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let bare_v6 = text.ends_with(']');
    match text.rsplit_once(':') {
        Some((host, port)) if !bare_v6 => Some((host, Some(port.parse().ok().filter(|p| *p != 0)?))),
        _ => Some((text, None)),
    }
}

impl FromStr for HostRule {
    type Err = HostRuleError;

    fn from_str(text: &str) -> Result<Self, HostRuleError> {
        let error = || HostRuleError(crate::domain::clip_text(text, 128));
        let (host, port) = split_port(text.trim()).ok_or_else(error)?;
        let (wildcard, name) = host.strip_prefix("*.").map_or((false, host), |rest| (true, rest));
        let parsed = Host::parse(name).map_err(|_| error())?;
        let pattern = match parsed {
            Host::Domain(domain) if domain.ends_with('.') || domain.contains('*') => return Err(error()),
            // A wildcard over a whole top-level domain is a mistake.
            Host::Domain(domain) if wildcard && domain.contains('.') => HostPattern::Below(format!(".{domain}")),
            _ if wildcard => return Err(error()),
            exact => HostPattern::Exact(exact),
        };
        Ok(Self { host: pattern, port })
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostPattern::Exact(host) => write!(f, "{host}")?,
            HostPattern::Below(suffix) => write!(f, "*{suffix}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(rule: &str, host: &str, port: u16) -> bool {
        let host = Host::parse(host).unwrap();
        let borrowed = match &host {
            Host::Domain(name) => Host::Domain(name.as_str()),
            Host::Ipv4(address) => Host::Ipv4(*address),
            Host::Ipv6(address) => Host::Ipv6(*address),
        };
        rule.parse::<HostRule>().unwrap().covers(&borrowed, port)
    }

    #[test]
    fn a_rule_covers_its_host_on_web_ports_or_its_own() {
        assert!(covers("Example.com", "example.COM", 443));
        assert!(!covers("example.com", "example.com", 6379));
        assert!(covers("example.com:8443", "example.com", 8443));
        assert!(!covers("example.com:8443", "example.com", 443));
        assert!(covers("127.0.0.1:9000", "127.1", 9000));
        assert!(covers("[::1]:9000", "[0:0::1]", 9000));
        assert!(covers("[2606:4700::1]", "[2606:4700::1]", 443));
    }

    #[test]
    fn a_wildcard_covers_names_below_only() {
        assert!(covers("*.example.com", "a.example.com", 443));
        assert!(covers("*.example.com", "a.b.example.com", 443));
        for other in ["example.com", "badexample.com", "example.com.evil.net", "a.example.com.", "1.2.3.4"] {
            assert!(!covers("*.example.com", other, 443), "{other}");
        }
    }

    #[test]
    fn texts_that_are_no_rules_are_refused() {
        for bad in ["", "*", "*.", "*.com", "a.*.com", "*.1.2.3.4", "example.com.", "http://x", "x:0", "x:99999", "a b"]
        {
            assert!(bad.parse::<HostRule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rules_print_as_they_are_written() {
        for text in ["example.com", "*.example.com:8443", "127.0.0.1:9000", "[::1]:9000"] {
            assert_eq!(text.parse::<HostRule>().unwrap().to_string(), text);
        }
    }
}
