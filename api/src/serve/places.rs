//! How many connections each address has.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

use crate::model::{AddressPrefix, ClientAddress};

/// The connections of a listener by address. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<AddressPrefix, usize>>>);

/// The place of a connection, until it is dropped.
pub(super) struct Place {
    places: Places,
    prefix: AddressPrefix,
}

impl Places {
    /// A place for one more connection; `None` when there are `most` already.
    pub(super) fn take(&self, address: IpAddr, most: usize) -> Option<Place> {
        let prefix = ClientAddress::new(address).prefix();
        let mut taken = self.0.lock();
        let count = taken.entry(prefix).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), prefix })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock();
        if let Some(count) = taken.get_mut(&self.prefix) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.prefix);
            }
        }
    }
}
