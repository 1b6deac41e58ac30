//! Where webhooks may be. A URL is given by whoever may make webhooks, and a node that reached whatever it names would
//! open the network of the deployment to them. So addresses that are not public are refused unless the deployment
//! allows them: those that a URL says, and those that a name leads to, at each connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use tokio::net::lookup_host;

use crate::model::{Error, Result};

/// The longest URL, in bytes.
const MAX_URL_LENGTH: usize = 2048;

/// Why no request is made.
pub(super) const NOT_PUBLIC: &str = "the address is not a public one";

/// Looks names up, and leaves out addresses that are not public unless these are allowed.
#[derive(Debug, Clone, Copy)]
pub struct WebhookResolver {
    /// See the setting `webhooks.allow_private`.
    pub allow_private: bool,
}

impl Resolve for WebhookResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| allow_private || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err(NOT_PUBLIC.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Checks where a webhook is to be.
///
/// Errors: [`Error::InvalidArgument`] for `url`.
pub(super) fn check_url(url: &str, allow_private: bool) -> Result<Url> {
    let wrong = |reason: &str| Error::invalid("url", reason);
    if url.len() > MAX_URL_LENGTH {
        return Err(wrong("must be 2,048 bytes at most"));
    }
    let url = Url::parse(url).map_err(|_| wrong("must be a URL"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        _ => return Err(wrong("must begin with https://")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must have no user and no password; requests are signed"));
    }
    if url.fragment().is_some() {
        return Err(wrong("must have no fragment"));
    }
    if !is_allowed(&url, allow_private) {
        return Err(wrong("must be of a public address; see the setting webhooks.allow_private"));
    }
    Ok(url)
}

/// Whether the address that a URL says is allowed. One that says a name is: its addresses are checked when they are
/// known, see [`WebhookResolver`].
pub(super) fn is_allowed(url: &Url, allow_private: bool) -> bool {
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    allow_private || literal.is_ok_and(is_public) || literal_is_a_name(host)
}

fn literal_is_a_name(host: &str) -> bool {
    !host.is_empty()
        && host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_err()
}

/// Whether an address is one of the internet's, and not of a network of somebody's own.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 => true,
        // Shared by the customers of a provider.
        100 => b & 0xc0 == 64,
        // For protocols, and 6to4 relays.
        192 => b == 0 && c == 0 || b == 88 && c == 99,
        // For benchmarks.
        198 => b & 0xfe == 18,
        _ => a >= 240,
    };
    !(special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let [.., high, low] = segments;
    let within = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // What stands for an address of version 4 is as public as that: mapped, by NAT64, by 6to4.
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => within(high, low),
        [0x2002, high, low, ..] => within(high, low),
        // Teredo and other protocols; documentation.
        [0x2001, 0..0x200 | 0xdb8, ..] | [0x3fff, ..] => false,
        // All that is given out of the internet's.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_networks_of_ones_own_are_not_public() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "100::1",
            "::127.0.0.1",
            "3fff::1",
        ] {
            assert!(!is_public(private.parse().expect("an address")), "{private}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.254",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
    }

    #[test]
    fn a_url_is_checked_as_it_is_given() {
        for wrong in [
            "",
            "hook",
            "ftp://example.com/",
            "http://example.com/",
            "https://a:b@example.com/",
            "https://a@example.com/",
            "https://example.com/#x",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://127.1/",
            "https://10.0.0.1:8443/x",
            "https://[::ffff:127.0.0.1]/",
        ] {
            let refused = check_url(wrong, false).expect_err(wrong);
            assert!(matches!(refused, Error::InvalidArgument { .. }), "{wrong}: {refused:?}");
        }
        let long = format!("https://example.com/{}", "x".repeat(MAX_URL_LENGTH));
        assert!(check_url(&long, true).is_err());
        for right in ["https://example.com/hook?x=1", "https://localhost/", "https://8.8.8.8:8443/"]
        {
            assert!(check_url(right, false).is_ok(), "{right}");
        }
        for private in ["http://127.0.0.1:9/x", "http://hook.svc/", "https://[::1]/"] {
            assert!(check_url(private, true).is_ok(), "{private}");
        }
    }
}
