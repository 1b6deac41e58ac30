//! What nodes tell each other.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use time::OffsetDateTime;

use crate::{
    model::{Cursor, Entry, EntryKind, Error, Message, Quote, Result, Stretch, TimelineNo},
    store::Reference,
    telemetry::trace::{self, TRACED, Traced},
};

/// What the entries and stretches of a hint may take, in bytes: the payload of a NOTIFY must stay
/// below 8,000.
pub(super) const ROOM: usize = 7800;

/// The longest entry that is carried, in bytes as it is encoded. Longer ones are fetched.
const LONGEST_ENTRY: usize = 2048;

/// The most that one of the places of an entry takes that stands in many timelines, in bytes as it is encoded.
const PLACE: usize = 190;

/// What such an entry takes beside what it says and its places.
const SHARED: usize = 30;

/// The most that a stretch takes, in bytes as it is encoded.
const STRETCH: usize = 90;

/// Says what was appended to timelines: some entries themselves, of others only where they stand.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hint<E, K> {
    /// The node that says so.
    pub(super) from: i64,
    /// 1, 2, 3 … from that node to this.
    pub(super) no: i64,
    /// Entries, each with its owner.
    #[serde(default = "Vec::new")]
    pub(super) entries: Vec<E>,
    /// What stands in many timelines, each said once.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub(super) shared: Vec<Shared<K>>,
    /// Where more stand.
    #[serde(default = "Vec::new")]
    pub(super) timelines: Vec<Stretch>,
    /// Of which traces entries are; of what stands in many timelines, of its first place alone.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub(super) traces: Vec<Traced>,
}

/// A hint to be sent. Its entries are encoded once for all the nodes that they go to.
pub(super) type Outgoing = Hint<Arc<RawValue>, Arc<RawValue>>;

/// A hint as it arrives.
pub(super) type Incoming = Hint<(TimelineNo, Arc<Entry>), EntryKind>;

/// An entry of a group's timeline, and the references to it in members' timelines.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Shared<K> {
    /// What it says, as far as that is the same for all.
    pub(super) kind: K,
    /// Where it stands.
    pub(super) places: Vec<SharedPlace>,
}

/// A reference in a member's timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SharedPlace {
    /// The member's timeline.
    #[serde(rename = "o")]
    pub(super) owner: TimelineNo,
    /// The place in it.
    #[serde(rename = "c")]
    pub(super) cursor: Cursor,
    /// When it was appended, in nanoseconds since 1970.
    #[serde(rename = "t")]
    at: i64,
    /// The place in the member's timeline of the message that it is about, if it is about one.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    target_seq: Option<i64>,
    /// Whether it mentions the member.
    #[serde(rename = "m", default, skip_serializing_if = "std::ops::Not::not")]
    mentioned: bool,
    /// Where it tells of reactions: which of the kinds are the member's, a bit each.
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    own_reactions: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(bits: &u32) -> bool {
    *bits == 0
}

impl SharedPlace {
    pub(super) fn of(reference: &Reference) -> Self {
        let at = reference.appended_at.unix_timestamp_nanos();
        Self {
            owner: reference.owner,
            cursor: reference.cursor,
            at: i64::try_from(at).unwrap_or_default(),
            target_seq: reference.target_seq,
            mentioned: reference.mentioned,
            own_reactions: reference.own_reactions,
        }
    }

    /// What the member's terminals get.
    pub(super) fn entry(&self, kind: &EntryKind) -> Entry {
        let mut kind = kind.clone();
        match &mut kind {
            EntryKind::Message(message) => {
                message.mentioned = self.mentioned;
                self.place_quote(message);
            }
            EntryKind::MessageEdited(edited) => match self.target_seq {
                Some(seq) => {
                    edited.seq = seq;
                    edited.message.mentioned = self.mentioned;
                }
                // The member has deleted it, or joined later.
                None => kind = EntryKind::Unknown,
            },
            EntryKind::ReactionsChanged(changed) => match self.target_seq {
                Some(seq) => {
                    changed.seq = seq;
                    for (at, count) in changed.reactions.iter_mut().enumerate() {
                        count.own = self.own_reactions >> at & 1 == 1;
                    }
                }
                // The member has deleted it, or joined later.
                None => kind = EntryKind::Unknown,
            },
            EntryKind::MessagePinned(pinned) => match self.target_seq {
                Some(seq) => pinned.seq = seq,
                None => kind = EntryKind::Unknown,
            },
            EntryKind::MessageRecalled(gone) => gone.seq = self.target_seq.unwrap_or_default(),
            _ => {}
        }
        let at = OffsetDateTime::from_unix_timestamp_nanos(self.at.into());
        let appended_at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Entry { cursor: self.cursor, appended_at, kind }
    }

    /// Says where the member has the message that this one quotes.
    fn place_quote(&self, message: &mut Message) {
        let Some(quote) = &mut message.reply_to else { return };
        match self.target_seq {
            Some(seq) => quote.seq = seq,
            None => **quote = Quote::UNSEEN,
        }
    }

    fn stretch(&self) -> Stretch {
        Stretch::at(self.owner, self.cursor.seq)
    }
}

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
        let traced = trace::traced(owner, entry.seq());
        if size > LONGEST_ENTRY {
            self.add_stretch(nodes, Stretch::at(owner, entry.seq()));
            return Ok(());
        }
        let encoded: Arc<RawValue> = encoded.into();
        let size = size + traced.as_ref().map_or(0, |_| TRACED);
        for &node in nodes {
            let hint = self.with_room(node, size);
            hint.entries.push(encoded.clone());
            hint.traces.extend(traced.clone());
        }
        Ok(())
    }

    /// Adds what stands in many timelines for one node: what it says once, with as many of the places as a
    /// hint takes, unless it is long.
    pub(super) fn add_shared(
        &mut self,
        node: i64,
        kind: &EntryKind,
        places: &[SharedPlace],
    ) -> Result<()> {
        let encoded: Arc<RawValue> = to_raw_value(kind).map_err(Error::internal)?.into();
        if encoded.get().len() > LONGEST_ENTRY {
            for place in places {
                self.add_stretch(&[node], place.stretch());
            }
            return Ok(());
        }
        let first = places.first().and_then(|place| trace::traced(place.owner, place.cursor.seq));
        let size = encoded.get().len() + SHARED + first.as_ref().map_or(0, |_| TRACED);
        let mut left = places.iter().peekable();
        while left.peek().is_some() {
            let (last, room) = self.with_room_left(node, size + PLACE);
            let mut shared = Shared { kind: encoded.clone(), places: Vec::new() };
            // The room for the first is taken already.
            shared.places.extend(left.next());
            let begins = shared.places.first().map(|place| (place.owner, place.cursor.seq));
            if let (Some(traced), Some((owner, seq))) = (&first, begins) {
                last.traces.push(traced.at(owner, seq));
            }
            while *room >= PLACE
                && let Some(place) = left.next()
            {
                *room -= PLACE;
                shared.places.push(*place);
            }
            last.shared.push(shared);
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
        self.with_room_left(node, size).0
    }

    /// The hint that takes `size` bytes more, and how many it takes beside those.
    fn with_room_left(&mut self, node: i64, size: usize) -> (&mut Outgoing, &mut usize) {
        let pile = self.0.entry(node).or_default();
        if pile.room < size {
            pile.hints.push(Hint {
                from: 0,
                no: 0,
                entries: Vec::new(),
                shared: Vec::new(),
                timelines: Vec::new(),
                traces: Vec::new(),
            });
            pile.room = ROOM;
        }
        pile.room -= size;
        let last = pile.hints.len() - 1;
        (&mut pile.hints[last], &mut pile.room)
    }
}
