//! What nodes tell each other.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::model::{Entry, Error, Result, Stretch, TimelineNo};

/// What the entries and stretches of a hint may take, in bytes: the payload of a NOTIFY must stay
/// below 8,000.
const ROOM: usize = 7800;

/// The longest entry that is carried, in bytes as it is encoded. Longer ones are fetched.
const LONGEST_ENTRY: usize = 2048;

/// The most that a stretch takes, in bytes as it is encoded.
const STRETCH: usize = 90;

/// Says what was appended to timelines: some entries themselves, of others only where they stand.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hint<E> {
    /// The node that says so.
    pub(super) from: i64,
    /// 1, 2, 3 … from that node to this.
    pub(super) no: i64,
    /// Entries, each with its owner.
    #[serde(default = "Vec::new")]
    pub(super) entries: Vec<E>,
    /// Where more stand.
    #[serde(default = "Vec::new")]
    pub(super) timelines: Vec<Stretch>,
}

/// A hint to be sent. Its entries are encoded once for all the nodes that they go to.
pub(super) type Outgoing = Hint<Arc<RawValue>>;

/// A hint as it arrives.
pub(super) type Incoming = Hint<(TimelineNo, Arc<Entry>)>;

/// Fills hints for several nodes.
#[derive(Default)]
pub(super) struct Hints(BTreeMap<i64, Pile>);

/// The hints to one node.
#[derive(Default)]
struct Pile {
    hints: Vec<Outgoing>,
    /// How much more goes into the last of them, in bytes.
    room: usize,
}

impl Hints {
    /// Adds an entry for these nodes: itself, unless it is long.
    pub(super) fn add_entry(
        &mut self,
        nodes: &[i64],
        owner: TimelineNo,
        entry: &Entry,
    ) -> Result<()> {
        if nodes.is_empty() {
            return Ok(());
        }
        let encoded = to_raw_value(&(owner, entry)).map_err(Error::internal)?;
        let size = encoded.get().len() + ",".len();
        if size > LONGEST_ENTRY {
            self.add_stretch(nodes, Stretch::at(owner, entry.seq()));
            return Ok(());
        }
        let encoded: Arc<RawValue> = encoded.into();
        for &node in nodes {
            self.with_room(node, size).entries.push(encoded.clone());
        }
        Ok(())
    }

    /// Adds a stretch for these nodes.
    pub(super) fn add_stretch(&mut self, nodes: &[i64], stretch: Stretch) {
        for &node in nodes {
            self.with_room(node, STRETCH).timelines.push(stretch);
        }
    }

    /// The hints with the nodes that they go to, not numbered yet.
    pub(super) fn into_hints(self) -> Vec<(i64, Outgoing)> {
        let hints =
            |(node, pile): (i64, Pile)| pile.hints.into_iter().map(move |hint| (node, hint));
        self.0.into_iter().flat_map(hints).collect()
    }

    fn with_room(&mut self, node: i64, size: usize) -> &mut Outgoing {
        let pile = self.0.entry(node).or_default();
        if pile.room < size {
            pile.hints.push(Hint { from: 0, no: 0, entries: Vec::new(), timelines: Vec::new() });
            pile.room = ROOM;
        }
        pile.room -= size;
        let last = pile.hints.len() - 1;
        &mut pile.hints[last]
    }
}
