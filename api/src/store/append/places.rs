//! The places of a batch's messages, and the entries that fill them.

use std::{collections::BTreeMap, sync::Arc};

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Append, AppendQuote, Appended, verdicts::Held};
use crate::model::{
    Body, ConversationId, Cursor, Entry, EntryKind, Message, MessageId, MessageIdCipher, Notice,
    Quote, Result, TimelineNo, Tombstone,
};

/// What a batch takes in the timelines concerned, before it is known how far these are filled.
pub(in crate::store) struct Layout {
    /// Whose timelines are locked, sorted: the order of the locks. That of a recipient who gets nothing
    /// is locked all the same: its blocks must hold until the commit.
    pub(super) owners: Vec<i64>,
    /// How many places the batch takes in each of them.
    pub(super) entries: Vec<i64>,
    /// By item.
    pub(super) behind: Vec<Behind>,
}

/// How many places of the same batch come behind the copies of a message.
#[derive(Clone, Copy)]
pub(super) struct Behind {
    pub(super) sent: i64,
    /// None for a note to oneself.
    pub(super) received: Option<i64>,
}

impl Layout {
    pub(in crate::store) fn of(batch: &[Append]) -> Self {
        let mut taken: BTreeMap<i64, i64> = BTreeMap::new();
        let mut take = |owner: TimelineNo| {
            let taken = taken.entry(owner.0).or_default();
            *taken += 1;
            *taken - 1
        };
        let mut behind: Vec<Behind> = (batch.iter().rev())
            .map(|append| Behind {
                received: append.other().map(&mut take),
                sent: take(append.sender.into()),
            })
            .collect();
        behind.reverse();
        let (owners, entries) = taken.into_iter().unzip();
        Self { owners, entries, behind }
    }
}

/// How far a timeline is filled with the batch.
#[derive(Clone, Copy)]
struct Counter {
    epoch: i64,
    seq: i64,
    at: OffsetDateTime,
}

/// The timelines of a batch as they are once it is committed, and the places that its items got.
pub(super) struct Places<'a> {
    counters: BTreeMap<i64, Counter>,
    /// The places that were given back so far, item by item, for those in front of them.
    unfilled: BTreeMap<i64, i64>,
    generation: i16,
    cipher: &'a MessageIdCipher,
}

impl<'a> Places<'a> {
    /// `counters` are the rows of the statement that counts; `generation` is that of the database.
    pub(super) fn new(counters: &[Row], generation: i16, cipher: &'a MessageIdCipher) -> Self {
        let counter = |row: &Row| {
            let counter = Counter {
                epoch: row.get("epoch"),
                seq: row.get("last_seq"),
                at: row.get("last_at"),
            };
            (row.get("owner"), counter)
        };
        let counters = counters.iter().map(counter).collect();
        Self { counters, unfilled: BTreeMap::new(), generation, cipher }
    }

    /// Notes that a reference was put in front of the batch's places in a member's timeline.
    pub(super) fn push_back(&mut self, member: TimelineNo) {
        if let Some(counter) = self.counters.get_mut(&member.0) {
            counter.seq += 1;
        }
    }

    /// Notes that the places of an item were given back: both, or the recipient's alone.
    pub(super) fn give_back(&mut self, append: &Append, held: Held) {
        let sent = (held == Held::Refused).then_some(TimelineNo::from(append.sender));
        for owner in sent.into_iter().chain(append.other()) {
            *self.unfilled.entry(owner.0).or_default() += 1;
        }
    }

    /// The message in its places. To be called item by item, in the order of the batch, after
    /// [`Places::give_back`] for those in front of it.
    pub(super) fn fill(&self, append: &Append, behind: Behind, withheld: bool) -> Result<Appended> {
        let sender = TimelineNo::from(append.sender);
        let (cursor, appended_at) = self.place(sender, behind.sent);
        let other = append.other().zip(behind.received).filter(|_| !withheld);
        let other = other.map(|(owner, behind)| (owner, self.place(owner, behind)));
        let home = match other {
            Some((group, (home, _))) if group.group().is_some() => (group, home.seq),
            _ => (sender, cursor.seq),
        };
        let (home, seq) = home;
        let id = MessageId { home, seq, generation: self.generation };
        let sealed = self.cipher.seal(id)?;
        let quote = |of: fn(&AppendQuote) -> &Quote| {
            append.quote.as_deref().map(|quote| Box::new(of(quote).clone()))
        };
        let message = |conversation_id, client_message_id, reply_to| Message {
            message_id: sealed,
            conversation_id,
            sender: append.sender_id.clone(),
            sender_deleted: false,
            client_message_id,
            mentions: append.mentions.user_ids(),
            mention_all: append.mentions.all,
            mentioned: false,
            notice: append.notice,
            reply_to,
            forwarded: append.forward.as_ref().map(|from| from.shown.clone()),
            attachments: append.attachments.to_vec(),
            reactions: Vec::new(),
            edit: None,
            body: Body::Content(append.content.clone()),
        };
        let entry = |(cursor, appended_at), message| {
            Arc::new(Entry { cursor, appended_at, kind: EntryKind::Message(message) })
        };
        let client_message_id = Some(append.client_message_id);
        let quoted = quote(|quote| &quote.own);
        let own = message(append.conversation_id.clone(), client_message_id, quoted);
        let own = if append.sender_timeline { own } else { unkept(own) };
        let mut entries = vec![(sender, entry((cursor, appended_at), own))];
        if let Some((owner, place)) = other {
            let theirs = match &append.conversation_id {
                ConversationId::User(_) => ConversationId::User(append.sender_id.clone()),
                group @ ConversationId::Group(_) => group.clone(),
            };
            let quoted = quote(|quote| &quote.other).filter(|quote| quote.seq > 0);
            entries.push((owner, entry(place, message(theirs, None, quoted))));
        }
        let places = entries.iter().map(|(owner, entry)| (*owner, entry.seq())).collect();
        Ok(Appended {
            message_id: sealed,
            cursor,
            appended_at,
            duplicate: false,
            places,
            entries,
            other_nodes: None,
        })
    }

    /// The place in `owner`'s timeline with so many places of the batch behind it, and its time.
    fn place(&self, owner: TimelineNo, behind: i64) -> (Cursor, OffsetDateTime) {
        let counter = &self.counters[&owner.0];
        let unfilled = self.unfilled.get(&owner.0).copied().unwrap_or_default();
        let cursor = Cursor { epoch: counter.epoch, seq: counter.seq - behind - unfilled };
        (cursor, counter.at)
    }
}

/// What its sender has of a message that is kept from it.
fn unkept(message: Message) -> Message {
    // What is said of a message of a group stands at its home, for all.
    let in_group = matches!(message.conversation_id, ConversationId::Group(_));
    let notice = if in_group { message.notice } else { Notice::default() };
    Message {
        notice,
        reply_to: None,
        forwarded: None,
        attachments: Vec::new(),
        body: Body::Tombstone(Tombstone::Deleted),
        ..message
    }
}
