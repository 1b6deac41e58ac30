//! Tells the other nodes which timelines have grown: only the nodes that hold streams of the owner,
//! and after the commit, so that a stream that registered meanwhile is not missed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use metrics::counter;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::bus::{Bus, HINT_LIMIT, Hint};
use crate::{
    model::{Result, UserNo},
    store::Store,
    telemetry,
};

/// How long to wait before telling again what could not be told.
const PAUSE: Duration = Duration::from_millis(500);

/// Collects what has grown while the last hints go out. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Announcer {
    grown: Arc<Grown>,
    sent: Arc<Mutex<HashMap<i64, i64>>>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Grown {
    // One stretch an owner, so the owners with streams anywhere bound it.
    timelines: Mutex<BTreeMap<i64, (i64, i64)>>,
    some: Notify,
}

impl Announcer {
    /// Says that these places of timelines are taken.
    pub(super) fn announce(&self, places: impl IntoIterator<Item = (UserNo, i64)>) {
        self.extend(places.into_iter().map(|(owner, seq)| (owner.0, (seq, seq))));
    }

    fn extend(&self, stretches: impl IntoIterator<Item = (i64, (i64, i64))>) {
        let mut grown = self.grown.timelines.lock();
        for (owner, (first, last)) in stretches {
            let known = grown.entry(owner).or_insert((first, last));
            *known = (known.0.min(first), known.1.max(last));
        }
        drop(grown);
        self.grown.some.notify_one();
    }

    /// The number of the last hint sent to each node.
    pub(super) fn sent(&self) -> HashMap<i64, i64> {
        self.sent.lock().clone()
    }

    /// Stops telling. The others find what they missed when they see the node gone.
    pub(super) fn close(&self) {
        self.stop.cancel();
    }

    /// Cancelled when telling is to stop.
    pub(super) fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Numbers a hint before it goes: one that gets lost leaves a gap that the other node sees.
    fn number(&self, node: i64) -> i64 {
        let mut sent = self.sent.lock();
        let last = sent.entry(node).or_default();
        *last += 1;
        *last
    }
}

/// Sends the hints.
pub(super) struct Teller {
    pub(super) announcer: Announcer,
    pub(super) store: Store,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) node_no: i64,
    pub(super) lose_hints: bool,
}

impl Teller {
    /// Runs for ever.
    pub(super) async fn run(self) {
        loop {
            self.announcer.grown.some.notified().await;
            let grown = std::mem::take(&mut *self.announcer.grown.timelines.lock());
            if let Err(error) = self.tell(&grown).await {
                tracing::warn!(%error, "hints are late");
                tokio::time::sleep(PAUSE).await;
                self.announcer.extend(grown);
            }
        }
    }

    async fn tell(&self, grown: &BTreeMap<i64, (i64, i64)>) -> Result<()> {
        let owners: Vec<i64> = grown.keys().copied().collect();
        let mut by_node: HashMap<i64, Vec<(i64, i64, i64)>> = HashMap::new();
        for (node, owner) in self.store.other_nodes_of(self.node_no, &owners).await? {
            let (first, last) = grown[&owner.0];
            by_node.entry(node).or_default().push((owner.0, first, last));
        }
        let hint = |node, timelines: &[(i64, i64, i64)]| Hint {
            from: self.node_no,
            no: self.announcer.number(node),
            timelines: timelines.to_vec(),
        };
        let hints: Vec<(i64, Hint)> = by_node
            .iter()
            .flat_map(|(&node, timelines)| {
                timelines.chunks(HINT_LIMIT).map(move |chunk| (node, chunk))
            })
            .map(|(node, chunk)| (node, hint(node, chunk)))
            .collect();
        if hints.is_empty() || self.lose_hints {
            return Ok(());
        }
        counter!(telemetry::HINTS_SENT).increment(hints.len() as u64);
        self.bus.send(&hints).await
    }
}
