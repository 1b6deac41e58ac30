//! What comes while somebody is at work with what came before.

use std::{
    collections::{BTreeMap, btree_map},
    mem,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::{Stretch, TimelineNo};

/// Gathers until one task takes it all.
#[derive(Default)]
pub(super) struct Gathered<T> {
    waiting: Mutex<T>,
    some: Notify,
}

impl<T: Default> Gathered<T> {
    /// Adds to what waits.
    pub(super) fn add(&self, add: impl FnOnce(&mut T)) {
        add(&mut self.waiting.lock());
        self.some.notify_one();
    }

    /// Waits until something was added, and takes all that waits.
    pub(super) async fn take(&self) -> T {
        self.some.notified().await;
        mem::take(&mut *self.waiting.lock())
    }
}

/// One stretch an owner, so the owners bound it.
#[derive(Default)]
pub(super) struct Stretches(BTreeMap<TimelineNo, Stretch>);

impl Extend<Stretch> for Stretches {
    fn extend<I: IntoIterator<Item = Stretch>>(&mut self, stretches: I) {
        for stretch in stretches {
            let known = self.0.entry(stretch.owner).or_insert(stretch);
            known.first = known.first.min(stretch.first);
            known.last = known.last.max(stretch.last);
        }
    }
}

impl IntoIterator for Stretches {
    type Item = Stretch;
    type IntoIter = btree_map::IntoValues<TimelineNo, Stretch>;

    /// In the order of owners.
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_values()
    }
}
