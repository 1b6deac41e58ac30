//! Fetches what other nodes have appended and hints did not carry: once for all streams of this node,
//! where each of them would otherwise read the log for itself.

use std::sync::Arc;

use super::{
    gathered::{Gathered, Stretches},
    hub::Hub,
};
use crate::{model::Stretch, store::Store};

/// The longest stretch of one timeline that is fetched, in entries. Streams that are further behind
/// read the log, each at its own pace.
const LONGEST: i64 = 64;

/// The most entries that are fetched at a time.
const MOST: i64 = 1000;

/// Gathers what hints tell of while the last of it is fetched.
pub(super) struct Fetcher {
    store: Store,
    hub: Arc<Hub>,
    // Of owners with streams here.
    wanted: Gathered<Stretches>,
}

impl Fetcher {
    pub(super) fn new(store: Store, hub: Arc<Hub>) -> Self {
        Self { store, hub, wanted: Gathered::default() }
    }

    /// Has these stretches fetched for the streams that are concerned.
    pub(super) fn want(&self, stretches: &[Stretch]) {
        let concerned = |stretch: &&Stretch| self.hub.has_streams(stretch.owner);
        let mut concerned = stretches.iter().filter(concerned).peekable();
        if concerned.peek().is_some() {
            self.wanted.add(|wanted| wanted.extend(concerned.copied()));
        }
    }

    /// Runs for ever.
    pub(super) async fn run(&self) {
        loop {
            let stretches: Vec<Stretch> = self.wanted.take().await.into_iter().collect();
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
