//! Where a call comes from: its connection, or what a trusted proxy says.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Once,
};

use axum::http::HeaderMap;

use crate::{config::Networks, model::ClientAddress};

/// What proxies add the address to that they were called from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of whom the last trusted proxy was called by; that of the connection, if it is not from
/// a trusted proxy.
///
/// A client of another machine is never taken for one of this machine, also where its network is among
/// the trusted ones and it says so of itself.
pub(super) fn client_address(
    connection: IpAddr,
    headers: &HeaderMap,
    trusted: &Networks,
) -> ClientAddress {
    let mut client = connection.to_canonical();
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let texts = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    for text in texts {
        if !trusted.contain(client) {
            if client == connection.to_canonical() {
                warn_of_proxy(client);
            }
            break;
        }
        let Some(before) = read(text.trim()).map(|before| before.to_canonical()) else { break };
        if before.is_loopback() && !client.is_loopback() {
            break;
        }
        client = before;
    }
    ClientAddress::new(client)
}

/// Says once what would otherwise show only when the clients of a proxy use up the limits of one address.
fn warn_of_proxy(connection: IpAddr) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            "a call from {connection} carries {FORWARDED_FOR}, but {connection} is not in \
             trusted_proxies: if a proxy runs there, add it, or all its clients count as one address"
        );
    });
}

/// With a port or without.
fn read(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    text.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(connection: &str, forwarded: &[&'static str]) -> String {
        let trusted = Networks::try_from("10.0.0.0/8, 2001:db8::7".to_owned()).unwrap();
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        client_address(connection.parse().unwrap(), &headers, &trusted).0.to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(client("192.0.2.1", &["198.51.100.9"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.9"]), "198.51.100.9");
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:198.51.100.9"]), "198.51.100.9");
        assert_eq!(client("2001:db8::7", &["[2001:db8::1]:443"]), "2001:db8::1");
    }

    #[test]
    fn what_the_client_says_itself_stands_before_what_proxies_add() {
        assert_eq!(client("10.0.0.1", &["127.0.0.1, 198.51.100.9"]), "198.51.100.9");
        assert_eq!(client("10.0.0.1", &["127.0.0.1, 198.51.100.9, 10.0.0.2"]), "198.51.100.9");
        assert_eq!(client("10.0.0.1", &["127.0.0.1", "198.51.100.9,10.0.0.2"]), "198.51.100.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.9, garbage"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    }

    #[test]
    fn nobody_on_another_machine_is_on_this_one() {
        for said in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "[::1]:80"] {
            assert_eq!(client("10.0.0.1", &[said]), "10.0.0.1", "{said}");
        }
        assert_eq!(client("10.0.0.1", &["127.0.0.1, 10.0.0.5"]), "10.0.0.5");
    }
}
