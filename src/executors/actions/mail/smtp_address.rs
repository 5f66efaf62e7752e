//! Where a mail server may be.
//!
//! Its host comes from a credential, which an operator sets, never from a job: internal addresses and loopback are
//! therefore fine, relays live there. Link-local and metadata addresses are not, whoever set them: no mail server lives
//! there, and what answers there hands out keys. A name is resolved once, and the connection goes to what was vetted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::executors::actions::Lookup;

/// Metadata services outside of the link-local ranges: Azure, Alibaba Cloud, Oracle Cloud.
const METADATA: &[Ipv4Addr] =
    &[Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];

/// The metadata service of AWS over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The vetted addresses of a mail server.
///
/// # Errors
/// A sentence: the name does not resolve, or one of its addresses is no place for a mail server.
pub(super) async fn resolve(lookup: &dyn Lookup, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = match bare.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => lookup.lookup(bare).await.map_err(|error| ResolveError::NotFound(error.to_string()))?,
    };
    if addresses.is_empty() {
        return Err(ResolveError::NotFound("it has no address".to_owned()));
    }
    match addresses.iter().find_map(|address| refused(*address)) {
        Some(why) => Err(ResolveError::Refused(why)),
        None => Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect()),
    }
}

/// Why a mail server has no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResolveError {
    /// It may have one later.
    #[error("the mail server's name cannot be resolved: {0}")]
    NotFound(String),
    /// It must not be connected to.
    #[error("the mail server's address is {0}, where no mail server may be")]
    Refused(&'static str),
}

fn refused(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(v4) if METADATA.contains(&v4) => Some("that of a metadata service"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("link-local"),
        IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.is_multicast() || v4.octets()[0] >= 240 => {
            Some("not that of a host")
        }
        IpAddr::V6(v6) if v6 == METADATA_V6 => Some("that of a metadata service"),
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80 => Some("link-local"),
        IpAddr::V6(v6) if v6.is_unspecified() || v6.is_multicast() => Some("not that of a host"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_may_be_internal_and_metadata_services_are_out_of_reach() {
        for text in ["127.0.0.1", "10.0.0.25", "192.168.1.2", "8.8.8.8", "::1", "fd00::25", "2606:4700::1111"] {
            assert_eq!(refused(text.parse().unwrap()), None, "{text}");
        }
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(refused(text.parse().unwrap()).is_some(), "{text}");
        }
    }
}
