//! Name resolution that lets only public addresses through.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{SsrfBlocked, forbidden};

/// The future of a lookup.
type LookupFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Turns a name into addresses. Tests put a lying DNS in its place.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of a name.
    fn lookup<'a>(&'a self, name: &'a str) -> LookupFuture<'a>;
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup<'a>(&'a self, name: &'a str) -> LookupFuture<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// Vets every answer for an HTTP client. The client connects to what this returns and asks no
/// second time, so there is no gap between check and use.
#[derive(Clone)]
pub(super) struct VettingResolver(pub(super) Arc<dyn Lookup>);

impl Resolve for VettingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = lookup.lookup(name.as_str()).await?;
            // One bad address condemns the answer: picking the good ones would let an attacker
            // who mixes them try again until the order suits.
            if let Some(why) = addresses.iter().find_map(|address| forbidden(*address)) {
                return Err(SsrfBlocked::Internal(why).into());
            }
            // Port 0: the client fills in the URL's.
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// The guard's refusal inside a transport error, if that is what it is.
pub(super) fn refusal(error: &reqwest::Error) -> Option<SsrfBlocked> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(blocked) = current.downcast_ref::<SsrfBlocked>() {
            return Some(*blocked);
        }
        cause = current.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<IpAddr>);

    impl Lookup for Fixed {
        fn lookup<'a>(&'a self, _: &'a str) -> LookupFuture<'a> {
            Box::pin(async { Ok(self.0.clone()) })
        }
    }

    async fn resolve(addresses: &[&str]) -> Result<Vec<String>, SsrfBlocked> {
        let fixed = Fixed(addresses.iter().map(|a| a.parse().unwrap()).collect());
        let answer = VettingResolver(Arc::new(fixed)).resolve("hook.example".parse().unwrap()).await;
        answer.map(|found| found.map(|a| a.to_string()).collect()).map_err(|e| *e.downcast::<SsrfBlocked>().unwrap())
    }

    #[tokio::test]
    async fn public_answers_pass_whole() {
        assert_eq!(resolve(&["1.1.1.1", "2a00::1"]).await.unwrap(), ["1.1.1.1:0", "[2a00::1]:0"]);
    }

    #[tokio::test]
    async fn one_internal_address_condemns_the_answer() {
        for bad in [&["1.1.1.1", "127.0.0.1"][..], &["fd00::1", "1.1.1.1"]] {
            assert!(matches!(resolve(bad).await, Err(SsrfBlocked::Internal(_))), "{bad:?}");
        }
    }
}
