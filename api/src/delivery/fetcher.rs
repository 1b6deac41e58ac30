//! Fetches what other nodes have appended: once for all streams of this node, where each of them would
//! otherwise read the log for itself.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::hub::Hub;
use crate::store::{Store, Stretch};

/// The longest stretch of one timeline that is fetched, in entries. Streams that are further behind
/// read the log, each at its own pace.
const LONGEST: i64 = 64;

/// The most entries that are fetched at a time.
const MOST: i64 = 1000;

/// Gathers what hints tell of while the last of it is fetched.
pub(super) struct Fetcher {
    store: Store,
    hub: Arc<Hub>,
    // One stretch an owner, of owners with streams here.
    wanted: Mutex<BTreeMap<i64, Stretch>>,
    some: Notify,
}

impl Fetcher {
    pub(super) fn new(store: Store, hub: Arc<Hub>) -> Self {
        Self { store, hub, wanted: Mutex::default(), some: Notify::new() }
    }

    /// Has these stretches fetched for the streams that are concerned.
    pub(super) fn want(&self, stretches: impl IntoIterator<Item = Stretch>) {
        let mut wanted = self.wanted.lock();
        for stretch in stretches.into_iter().filter(|s| self.hub.has_streams(s.owner)) {
            let known = wanted.entry(stretch.owner.0).or_insert(stretch);
            known.first = known.first.min(stretch.first);
            known.last = known.last.max(stretch.last);
        }
        drop(wanted);
        self.some.notify_one();
    }

    /// Runs for ever.
    pub(super) async fn run(&self) {
        loop {
            self.some.notified().await;
            let wanted = std::mem::take(&mut *self.wanted.lock());
            let stretches: Vec<Stretch> = wanted.into_values().collect();
            let short = |stretch: &Stretch| stretch.last.saturating_sub(stretch.first) < LONGEST;
            let asked: Vec<Stretch> = stretches.iter().copied().filter(short).collect();
            match self.store.entries_in(&asked, MOST).await {
                Ok(fetched) => {
                    for (owner, entry) in fetched {
                        self.hub.publish(owner, &Arc::new(entry));
                    }
                }
                Err(error) => tracing::warn!(%error, "each stream has to read the log for itself"),
            }
            // Whoever has all of it now has nothing to read.
            for stretch in &stretches {
                self.hub.wake(stretch.owner, stretch.last);
            }
        }
    }
}
