//! Tells the other nodes which timelines have grown: only the nodes that hold streams of the owner,
//! and after the commit, so that a stream that registered meanwhile is not missed. Signals go the same
//! way, each in front of the hints that it was announced with at the latest: one that says that somebody types
//! does not come behind the message that ends it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    sync::Arc,
    time::Duration,
};

use metrics::counter;
use parking_lot::Mutex;
use tracing::{Instrument, Span};

use super::{
    bus::{Bus, encode_hint, encode_presence, encode_signals},
    gathered::{Gathered, Stretches},
    hint::{Hints, Outgoing, SharedPlace},
    presence::Changes,
    presence_frame,
    signal_frame::{self, OutgoingSignal},
};
use crate::{
    model::{Entry, EntryKind, Result, Stretch, TimelineNo},
    planted_bugs::PlantedBugs,
    store::{OtherNodes, Store},
    tasks::Run,
    telemetry::{self, trace},
};

/// How long to wait before telling again what could not be told.
const PAUSE: Duration = Duration::from_millis(500);

/// The most entries that wait to be carried. Of others only their places are told.
const MOST_ENTRIES: usize = 1000;

/// The most signals that wait to be carried. More are dropped.
const MOST_SIGNALS: usize = 2000;

/// A timeline that has grown by an entry.
struct AppendedEntry {
    owner: TimelineNo,
    entry: Arc<Entry>,
    /// None where it is still to be asked which nodes are concerned.
    other_nodes: Option<Arc<OtherNodes>>,
}

impl AppendedEntry {
    fn place(&self) -> Stretch {
        Stretch::at(self.owner, self.entry.seq())
    }
}

/// An entry of a group's timeline that members' timelines have grown by.
struct SharedEntry {
    kind: EntryKind,
    places: Vec<SharedPlace>,
    other_nodes: Arc<OtherNodes>,
}

impl SharedEntry {
    fn places(&self) -> impl Iterator<Item = Stretch> {
        self.places.iter().map(|place| Stretch::at(place.owner, place.cursor.seq))
    }
}

/// Collects what has grown while the last hints go out. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct HintQueue {
    pending: Arc<Gathered<PendingHints>>,
    sent: Arc<Mutex<HashMap<i64, i64>>>,
    /// The other nodes that run.
    peers: Arc<Mutex<Vec<i64>>>,
}

/// What is to be told: entries themselves, or where they are.
#[derive(Default)]
struct PendingHints {
    entries: Vec<AppendedEntry>,
    shared: Vec<SharedEntry>,
    stretches: Stretches,
    signals: Vec<OutgoingSignal>,
    presence: Changes,
}

impl HintQueue {
    /// Says that these entries stand in timelines, to `other_nodes` if these have been asked for since.
    pub(super) fn announce(
        &self,
        entries: &[(TimelineNo, Arc<Entry>)],
        other_nodes: Option<&Arc<OtherNodes>>,
    ) {
        let concerns_any =
            |owner| other_nodes.is_none_or(|other_nodes| other_nodes.contains_key(owner));
        if !entries.iter().any(|(owner, _)| concerns_any(owner)) {
            return;
        }
        self.pending.add(|pending| {
            for (owner, entry) in entries.iter().filter(|(owner, _)| concerns_any(owner)) {
                let (entry, other_nodes) = (entry.clone(), other_nodes.cloned());
                let by = AppendedEntry { owner: *owner, entry, other_nodes };
                if pending.entries.len() < MOST_ENTRIES {
                    pending.entries.push(by);
                } else {
                    pending.stretches.extend([by.place()]);
                }
            }
        });
    }

    /// Says that an entry of a group's timeline stands in these members' timelines, to `other_nodes`.
    pub(super) fn announce_shared(
        &self,
        kind: EntryKind,
        places: Vec<SharedPlace>,
        other_nodes: &Arc<OtherNodes>,
    ) {
        let entry = SharedEntry { kind, places, other_nodes: other_nodes.clone() };
        self.pending.add(|pending| {
            if pending.shared.len() < MOST_ENTRIES {
                pending.shared.push(entry);
            } else {
                pending.stretches.extend(entry.places());
            }
        });
    }

    /// Says that these places of timelines are taken.
    pub(super) fn announce_places(&self, places: impl IntoIterator<Item = (TimelineNo, i64)>) {
        let stretches = places.into_iter().map(|(owner, seq)| Stretch::at(owner, seq));
        self.pending.add(|pending| pending.stretches.extend(stretches));
    }

    /// Has other nodes get a signal, unless too many wait already.
    pub(super) fn signal(&self, signal: OutgoingSignal) {
        self.pending.add(|pending| {
            if pending.signals.len() < MOST_SIGNALS {
                pending.signals.push(signal);
            } else {
                drop_signals(1);
            }
        });
    }

    /// Has the other nodes look how users are.
    pub(super) fn presence(&self, changes: Changes) {
        if !self.peers.lock().is_empty() {
            self.pending.add(|pending| pending.presence.extend(changes));
        }
    }

    /// Notes which other nodes run. One that is new has missed what was told before.
    pub(super) fn set_peers(&self, peers: &[i64]) {
        let known = mem::replace(&mut *self.peers.lock(), peers.to_vec());
        if peers.iter().any(|peer| !known.contains(peer)) {
            self.presence(Changes::everything());
        }
    }

    /// The number of the last hint sent to each node.
    pub(super) fn sent(&self) -> HashMap<i64, i64> {
        self.sent.lock().clone()
    }

    /// Numbers a hint before it goes: one that gets lost leaves a gap that the other node sees.
    fn number(&self, node: i64) -> i64 {
        let mut sent = self.sent.lock();
        let last = sent.entry(node).or_default();
        *last += 1;
        *last
    }
}

/// Sends the hints. When the node stops it stops at once: the other nodes find what they missed when
/// they see the node gone.
pub(super) struct HintSender {
    hint_queue: HintQueue,
    store: Store,
    bus: Arc<dyn Bus>,
    node_no: i64,
    bugs: PlantedBugs,
    /// What is being told.
    entries: Vec<AppendedEntry>,
    shared: Vec<SharedEntry>,
    stretches: Vec<Stretch>,
}

impl Run for HintSender {
    async fn run(&mut self) {
        // What was being told at a panic is told again.
        self.put_back();
        loop {
            let PendingHints { entries, shared, stretches, signals, presence } =
                self.hint_queue.pending.take().await;
            (self.entries, self.shared) = (entries, shared);
            self.stretches = stretches.into_iter().collect();
            match self.tell(signals, &presence).await {
                Ok(()) => {
                    self.entries.clear();
                    self.shared.clear();
                    self.stretches.clear();
                }
                Err(error) => {
                    tracing::warn!(%error, "hints are late");
                    tokio::time::sleep(PAUSE).await;
                    self.put_back();
                    self.hint_queue.presence(presence);
                }
            }
        }
    }
}

impl HintSender {
    pub(super) fn new(
        hint_queue: HintQueue,
        store: Store,
        bus: Arc<dyn Bus>,
        node_no: i64,
        planted: PlantedBugs,
    ) -> Self {
        let (entries, shared, stretches) = (Vec::new(), Vec::new(), Vec::new());
        Self { hint_queue, store, bus, node_no, bugs: planted, entries, shared, stretches }
    }

    /// Has what could not be told told again. By then the entries may be many: nodes that want them
    /// fetch them.
    fn put_back(&mut self) {
        let (entries, stretches) = (mem::take(&mut self.entries), mem::take(&mut self.stretches));
        let shared = mem::take(&mut self.shared);
        if entries.is_empty() && shared.is_empty() && stretches.is_empty() {
            return;
        }
        self.hint_queue.pending.add(|pending| {
            pending.stretches.extend(stretches);
            pending.stretches.extend(entries.iter().map(AppendedEntry::place));
            pending.stretches.extend(shared.iter().flat_map(SharedEntry::places));
        });
    }

    async fn tell(&self, signals: Vec<OutgoingSignal>, presence: &Changes) -> Result<()> {
        let count = signals.len();
        let told = self.tell_all(signals, presence).await;
        if told.is_err() {
            drop_signals(count);
        }
        told
    }

    async fn tell_all(&self, signals: Vec<OutgoingSignal>, presence: &Changes) -> Result<()> {
        let Self { entries, shared, stretches, .. } = self;
        self.bugs.pass("hint_sender/tell");
        let unasked = entries.iter().filter(|by| by.other_nodes.is_none()).map(|by| by.owner);
        let owners: BTreeSet<TimelineNo> =
            unasked.chain(stretches.iter().map(|stretch| stretch.owner)).collect();
        let asked = if owners.is_empty() {
            OtherNodes::new()
        } else {
            self.store.other_nodes_of(self.node_no, &owners).await?
        };
        let mut hints = Hints::default();
        for AppendedEntry { owner, entry, other_nodes } in entries {
            let nodes = other_nodes.as_deref().unwrap_or(&asked).get(owner);
            hints.add_entry(nodes.map_or(&[], Vec::as_slice), *owner, entry)?;
        }
        for SharedEntry { kind, places, other_nodes } in shared {
            let mut by_node: BTreeMap<i64, Vec<SharedPlace>> = BTreeMap::new();
            for place in places {
                for node in other_nodes.get(&place.owner).into_iter().flatten() {
                    by_node.entry(*node).or_default().push(*place);
                }
            }
            for (node, places) in by_node {
                hints.add_shared(node, kind, &places)?;
            }
        }
        for stretch in stretches {
            let nodes = asked.get(&stretch.owner);
            hints.add_stretch(nodes.map_or(&[], Vec::as_slice), *stretch);
        }
        let number = |(node, hint)| {
            let no = self.hint_queue.number(node);
            (node, Outgoing { from: self.node_no, no, ..hint })
        };
        let hints: Vec<(i64, Outgoing)> = hints.into_hints().into_iter().map(number).collect();
        if self.bugs.lose_hints() {
            return Ok(());
        }
        counter!(telemetry::HINTS_SENT).increment(hints.len() as u64);
        let span = hint_span(&hints);
        let mut frames = Vec::with_capacity(hints.len());
        for (node, frame) in signal_frame::frames(signals) {
            frames.push((node, encode_signals(&frame)?));
        }
        for (node, hint) in &hints {
            frames.push((*node, encode_hint(hint)?));
        }
        let peers = self.hint_queue.peers.lock().clone();
        for frame in presence_frame::frames(presence) {
            let encoded = encode_presence(&frame)?;
            frames.extend(peers.iter().map(|node| (*node, encoded.clone())));
        }
        if frames.is_empty() { Ok(()) } else { self.bus.send(&frames).instrument(span).await }
    }
}

/// The span of telling other nodes: of the trace of the first entry of which that is known.
fn hint_span(hints: &[(i64, Outgoing)]) -> Span {
    let first = hints.iter().flat_map(|(_, hint)| &hint.traces).next();
    let origin = first.and_then(|traced| trace::origin(traced.owner, traced.seq));
    let Some(origin) = origin else { return Span::none() };
    let span = tracing::info_span!(
        target: trace::TARGET,
        parent: None,
        "hint",
        otel.kind = "producer",
        imd.message_id = tracing::field::Empty,
        imd.hints = hints.len(),
    );
    origin.adopt(&span);
    span
}

/// Counts signals that other nodes go without.
fn drop_signals(count: usize) {
    counter!(telemetry::SIGNALS_DROPPED, "reason" => "bus").increment(count as u64);
}
