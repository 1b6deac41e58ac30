//! How many connections each address has.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

use crate::model::{AddressPrefix, ClientAddress};

/// How many times as many connections as one address the /48 of an IPv6 address may have.
const SITE_SHARE: usize = 4;

/// The connections of a listener by address. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<AddressPrefix, usize>>>);

/// The place of a connection, until it is dropped.
pub(super) struct Place {
    places: Places,
    address: ClientAddress,
}

impl Places {
    /// A place for one more connection; `None` when there are `most` already.
    pub(super) fn take(&self, address: IpAddr, most: usize) -> Option<Place> {
        let address = ClientAddress::new(address);
        let mut taken = self.0.lock();
        let count = |prefix| taken.get(&prefix).copied().unwrap_or_default();
        let most_of_site = most.saturating_mul(SITE_SHARE);
        if count(address.prefix()) >= most || count(address.site()) >= most_of_site {
            return None;
        }
        for prefix in prefixes(address) {
            *taken.entry(prefix).or_default() += 1;
        }
        Some(Place { places: self.clone(), address })
    }
}

/// What a connection is counted under.
fn prefixes(address: ClientAddress) -> impl Iterator<Item = AddressPrefix> {
    let (prefix, site) = (address.prefix(), address.site());
    std::iter::once(prefix).chain((site != prefix).then_some(site))
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock();
        for prefix in prefixes(self.address) {
            if let Some(count) = taken.get_mut(&prefix) {
                *count -= 1;
                if *count == 0 {
                    taken.remove(&prefix);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_the_connections_of_four_addresses() {
        let places = Places::default();
        let take = |n: u16| places.take(IpAddr::from([0x2001, 0xdb8, 1, n, 0, 0, 0, 1]), 2);
        let held: Vec<_> = (0..4).flat_map(|n| [take(n), take(n)]).map(Option::unwrap).collect();
        assert!(take(0).is_none() && take(9).is_none());
        assert!(places.take(IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 1]), 2).is_some());
        drop(held);
        assert!(places.0.lock().is_empty());
        assert!(take(9).is_some());
    }
}
