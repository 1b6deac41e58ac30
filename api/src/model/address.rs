//! Where calls come from.

use std::net::{IpAddr, Ipv6Addr};

/// How many bits of an IPv6 address tell its holder: who has one address has the whole /64.
const HOLDER_BITS: u32 = 64;

/// How many bits of an IPv6 address tell its site: who rents a line or a server may have a whole /48,
/// which is 65,536 networks of 64 bits.
const SITE_BITS: u32 = 48;

/// Where a call comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

/// Those addresses that count as one where a limit is about addresses. The /64 and the /48 of an
/// address are two prefixes, even where all bits between them are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressPrefix(IpAddr, u32);

impl ClientAddress {
    /// An address as a socket or a proxy tells it.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// An IPv4 address itself, and the /64 of an IPv6 address.
    #[must_use]
    pub fn prefix(self) -> AddressPrefix {
        self.leading(HOLDER_BITS)
    }

    /// An IPv4 address itself, and the /48 of an IPv6 address.
    #[must_use]
    pub fn site(self) -> AddressPrefix {
        self.leading(SITE_BITS)
    }

    fn leading(self, bits: u32) -> AddressPrefix {
        match self.0 {
            IpAddr::V4(_) => AddressPrefix(self.0, u32::BITS),
            IpAddr::V6(address) => {
                let rest = u128::BITS - bits;
                let network = address.to_bits() >> rest << rest;
                AddressPrefix(Ipv6Addr::from_bits(network).into(), bits)
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

    #[test]
    fn the_48_of_ipv6_is_its_site() {
        let site = |address: &str| ClientAddress::new(address.parse().unwrap()).site();
        assert_eq!(site("2001:db8:1:2::1"), site("2001:db8:1:ffff::1"));
        assert_ne!(site("2001:db8:1:2::1"), site("2001:db8:2:2::1"));
        assert_ne!(site("2001:db8:1::1"), prefix("2001:db8:1::1"), "another count");
        assert_eq!(site("192.0.2.1"), prefix("192.0.2.1"));
    }
}
