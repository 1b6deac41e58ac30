//! Where calls come from.

use std::net::{IpAddr, Ipv6Addr};

/// How many bits of an IPv6 address tell its holder: who has one has the whole /64.
const HOLDER_BITS: u32 = 64;

/// Where a call comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

/// Those addresses that count as one where a limit is about addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressPrefix(IpAddr);

impl ClientAddress {
    /// An address as a socket or a proxy tells it.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// An IPv4 address itself, and the /64 of an IPv6 address.
    #[must_use]
    pub fn prefix(self) -> AddressPrefix {
        match self.0 {
            IpAddr::V4(_) => AddressPrefix(self.0),
            IpAddr::V6(address) => {
                let network = address.to_bits() >> HOLDER_BITS << HOLDER_BITS;
                AddressPrefix(Ipv6Addr::from_bits(network).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(address: &str) -> AddressPrefix {
        ClientAddress::new(address.parse().unwrap()).prefix()
    }

    #[test]
    fn ipv6_counts_by_its_64() {
        assert_eq!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:3::1"));
        assert_ne!(prefix("192.0.2.1"), prefix("192.0.2.2"));
        assert_eq!(prefix("::ffff:192.0.2.1"), prefix("192.0.2.1"));
    }
}
