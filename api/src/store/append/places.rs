//! The places of a batch's messages, and the entries that fill them.

use std::{collections::BTreeMap, sync::Arc};

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Append, Appended, Item};
use crate::model::{
    Body, ConversationId, Cursor, Entry, EntryKind, Message, MessageId, UserId, UserNo,
};

/// What a batch takes in the timelines concerned, before it is known how far these are filled.
pub(super) struct Layout {
    /// Whose timelines are locked, sorted: the order of the locks. That of a recipient who gets nothing
    /// is locked all the same: its blocks must hold until the commit.
    pub(super) owners: Vec<i64>,
    /// How many places the batch takes in each of them.
    pub(super) entries: Vec<i64>,
    /// By item.
    pub(super) later: Vec<Later>,
}

/// How many places of the same batch come behind the copies of a message.
pub(super) struct Later {
    pub(super) sent: i64,
    /// None for a note to oneself, or where the recipient gets no copy.
    pub(super) received: Option<i64>,
}

impl Layout {
    pub(super) fn of(items: &[Item<'_>]) -> Self {
        let mut taken: BTreeMap<i64, i64> = BTreeMap::new();
        let mut take = |owner: UserNo, places: i64| {
            let taken = taken.entry(owner.0).or_default();
            let later = *taken;
            *taken += places;
            later
        };
        let mut later: Vec<Later> = (items.iter().rev())
            .map(|item| {
                let Append { sender, recipient, .. } = *item.append;
                let other = recipient != sender;
                let received = other.then(|| take(recipient, i64::from(!item.withheld)));
                let received = received.filter(|_| !item.withheld);
                Later { sent: take(sender, 1), received }
            })
            .collect();
        later.reverse();
        let (owners, entries) = taken.into_iter().unzip();
        Self { owners, entries, later }
    }
}

/// How far a timeline is filled with the batch.
pub(super) struct Counter {
    epoch: i64,
    seq: i64,
    at: OffsetDateTime,
}

impl Counter {
    pub(super) fn read(row: &Row) -> Self {
        Self { epoch: row.get("epoch"), seq: row.get("last_seq"), at: row.get("last_at") }
    }

    /// The message as it stands in this timeline, with `later` places of its batch behind it.
    fn entry(&self, later: i64, message: Message) -> Arc<Entry> {
        let cursor = Cursor { epoch: self.epoch, seq: self.seq - later };
        Arc::new(Entry { cursor, appended_at: self.at, kind: EntryKind::Message(message) })
    }
}

/// The message, now that it is committed. `counters` has all the owners.
pub(super) fn appended(
    item: &Append,
    later: &Later,
    counters: &BTreeMap<i64, Counter>,
) -> Appended {
    let counter = &counters[&item.sender.0];
    let cursor = Cursor { epoch: counter.epoch, seq: counter.seq - later.sent };
    let message_id = MessageId { sender: item.sender, sender_seq: cursor.seq };
    let message = |peer: &UserId, client_message_id| Message {
        message_id,
        conversation_id: ConversationId::User(peer.clone()),
        sender: item.sender_id.clone(),
        sender_deleted: false,
        client_message_id,
        body: Body::Content(item.content.clone()),
    };
    let sent = counter.entry(later.sent, message(&item.recipient_id, Some(item.client_message_id)));
    let appended_at = sent.appended_at;
    let received = later.received.map(|later| {
        let counter = &counters[&item.recipient.0];
        (item.recipient, counter.entry(later, message(&item.sender_id, None)))
    });
    let entries: Vec<_> = std::iter::once((item.sender, sent)).chain(received).collect();
    let places = entries.iter().map(|(owner, entry)| (*owner, entry.seq())).collect();
    Appended {
        message_id,
        cursor,
        appended_at,
        duplicate: false,
        places,
        entries,
        other_nodes: None,
    }
}
