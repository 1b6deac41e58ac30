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
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::bus::{Bus, HINT_LIMIT, Hint};
use crate::{
    model::{Result, UserNo},
    store::Store,
    telemetry,
};

/// How long to wait before telling again what could not be told.
const PAUSE: Duration = Duration::from_millis(500);

/// Collects what has grown while the last hints go out. Cheap to clone.
#[derive(Clone)]
pub(super) struct Announcer {
    grown: Arc<Grown>,
    sent: Arc<Mutex<HashMap<i64, i64>>>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Grown {
    // One seq an owner, so the owners with streams anywhere bound it.
    timelines: Mutex<BTreeMap<i64, i64>>,
    some: Notify,
}

impl Announcer {
    pub(super) fn start(
        store: Store,
        bus: Arc<dyn Bus>,
        node_no: i64,
        tasks: &TaskTracker,
    ) -> Self {
        let announcer =
            Self { grown: Arc::default(), sent: Arc::default(), stop: CancellationToken::new() };
        let run = announcer.clone().run(store, bus, node_no);
        tasks.spawn(announcer.stop.clone().run_until_cancelled_owned(run));
        announcer
    }

    /// Says that these timelines reach these seqs.
    pub(super) fn announce(&self, timelines: impl IntoIterator<Item = (UserNo, i64)>) {
        let mut grown = self.grown.timelines.lock();
        for (owner, seq) in timelines {
            let known = grown.entry(owner.0).or_default();
            *known = seq.max(*known);
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

    async fn run(self, store: Store, bus: Arc<dyn Bus>, node_no: i64) {
        loop {
            self.grown.some.notified().await;
            let grown = std::mem::take(&mut *self.grown.timelines.lock());
            if let Err(error) = self.tell(&store, &*bus, node_no, &grown).await {
                tracing::warn!(%error, "hints are late");
                tokio::time::sleep(PAUSE).await;
                self.announce(grown.into_iter().map(|(owner, seq)| (UserNo(owner), seq)));
            }
        }
    }

    async fn tell(
        &self,
        store: &Store,
        bus: &dyn Bus,
        node_no: i64,
        grown: &BTreeMap<i64, i64>,
    ) -> Result<()> {
        let owners: Vec<i64> = grown.keys().copied().collect();
        let mut by_node: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
        for (node, owner) in store.other_nodes_of(node_no, &owners).await? {
            by_node.entry(node).or_default().push((owner.0, grown[&owner.0]));
        }
        let hints: Vec<(i64, Hint)> = by_node
            .into_iter()
            .flat_map(|(node, timelines)| {
                let chunks: Vec<_> = timelines.chunks(HINT_LIMIT).map(<[_]>::to_vec).collect();
                chunks.into_iter().map(move |timelines| (node, timelines))
            })
            .map(|(node, timelines)| {
                (node, Hint { from: node_no, no: self.number(node), timelines })
            })
            .collect();
        if hints.is_empty() {
            return Ok(());
        }
        counter!(telemetry::HINTS_SENT).increment(hints.len() as u64);
        bus.send(&hints).await
    }

    /// Numbers a hint before it goes: one that gets lost leaves a gap that the other node sees.
    fn number(&self, node: i64) -> i64 {
        let mut sent = self.sent.lock();
        let last = sent.entry(node).or_default();
        *last += 1;
        *last
    }
}
