//! The places of a batch's messages, and the entries that fill them.

use std::{collections::BTreeMap, sync::Arc};

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Append, Appended, Item};
use crate::{
    model::{Body, ConversationId, Cursor, Entry, EntryKind, Message, MessageId, UserId, UserNo},
    store::timelines::Closed,
};

/// How far a timeline has been filled.
pub(super) struct Counter {
    epoch: i64,
    seq: i64,
    message_no: i64,
    at: OffsetDateTime,
    /// Why nothing can be appended, if nothing can.
    pub(super) closed: Option<Closed>,
}

impl Counter {
    /// The counter as it was before it took `entries` places.
    pub(super) fn before(row: &Row, entries: i64) -> Self {
        Self {
            epoch: row.get(1),
            seq: row.get::<_, i64>(2) - entries,
            message_no: row.get::<_, i64>(3) - entries,
            at: row.get(4),
            closed: Closed::read(row.get(5)),
        }
    }

    fn next(&mut self) -> Place {
        self.seq += 1;
        self.message_no += 1;
        let cursor = Cursor { epoch: self.epoch, seq: self.seq };
        Place { cursor, message_no: self.message_no, at: self.at }
    }
}

/// The place of one copy.
pub(super) struct Place {
    pub(super) cursor: Cursor,
    pub(super) message_no: i64,
    pub(super) at: OffsetDateTime,
}

/// The places of one message.
pub(super) struct Placed {
    pub(super) sent: Place,
    pub(super) received: Option<Place>,
}

/// Gives out the places that the counters took. Every owner has a counter: the verdicts saw
/// to it.
pub(super) fn place(items: &[Item<'_>], mut counters: BTreeMap<i64, Counter>) -> Vec<Placed> {
    let mut next = |owner: UserNo| counters.get_mut(&owner.0).map(Counter::next);
    items
        .iter()
        .filter_map(|item| {
            let Append { sender, recipient, .. } = *item.append;
            let sent = next(sender)?;
            let received = (recipient != sender && !item.withheld).then(|| next(recipient));
            let received = received.flatten();
            Some(Placed { sent, received })
        })
        .collect()
}

impl Placed {
    /// The message, now that it is committed in these places.
    pub(super) fn appended(self, item: &Append) -> Appended {
        let message_id = MessageId { sender: item.sender, sender_seq: self.sent.cursor.seq };
        let entry = |place: Place, peer: &UserId, client_message_id| {
            Arc::new(Entry {
                cursor: place.cursor,
                appended_at: place.at,
                kind: EntryKind::Message(Message {
                    message_id,
                    conversation_id: ConversationId::User(peer.clone()),
                    sender: item.sender_id.clone(),
                    sender_deleted: false,
                    client_message_id,
                    body: Body::Content(item.content.clone()),
                }),
            })
        };
        let cursor = self.sent.cursor;
        let appended_at = self.sent.at;
        let sent = entry(self.sent, &item.recipient_id, Some(item.client_message_id));
        let received = self.received.map(|place| entry(place, &item.sender_id, None));
        let received = received.map(|entry| (item.recipient, entry));
        let entries: Vec<_> = std::iter::once((item.sender, sent)).chain(received).collect();
        let places = entries.iter().map(|(owner, entry)| (*owner, entry.seq())).collect();
        Appended { message_id, cursor, appended_at, duplicate: false, places, entries }
    }
}
