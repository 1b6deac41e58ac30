//! Rows of `entries` and what they mean.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    Store, attachments::read_attachments, directory::KnownUser, quotes::QuotedRow,
    reactions::read_summary, reading,
};
use crate::model::{
    Attachment, BlockChanged, Body, Content, ConversationChanged, ConversationId, ConversationNo,
    Cursor, DraftChanged, Edit, Entry, EntryKind, Error, Forwarded, GroupId, GroupNo, InGroup,
    Kind, Message, MessageEdited, MessageGone, MessageId, MessageIdCipher, MessagePinned,
    MessagesErased, Notice, PinChange, ProfileChanged, Quote, Quoted, ReactionCount,
    ReactionsChanged, ReadUpTo, Result, TimelineNo, Tombstone, UserNo,
};

/// `entries.kind` of a message.
pub(super) const KIND_MESSAGE: i16 = Kind::Message as i16;

/// No kind of entry.
const KIND_UNKNOWN: i16 = 0;

/// Of `entries.flags`: the message mentions the owner of the timeline.
pub(super) const MENTIONED: i16 = 1;
/// Of `entries.flags`, at a message's home: it mentions everybody.
pub(super) const EVERYBODY: i16 = 2;
/// Of `entries.flags`, at a message's home: terminals make no noise about it.
const SILENT: i16 = 4;
/// Of `entries.flags`, at a message's home: nobody is to be pushed for it.
const NO_PUSH: i16 = 8;

/// The flags of a message for how terminals make it known.
pub(super) fn notice_flags(notice: Notice) -> i16 {
    let flag = |set, flag| if set { flag } else { 0 };
    flag(notice.silent, SILENT) | flag(notice.no_push, NO_PUSH)
}

/// The columns that [`EntryRow`] reads, of a table or subquery `e`.
pub(super) const ENTRY_COLUMNS: &str = "e.owner, e.seq, e.conversation, e.sender, e.home_seq, e.generation, \
     e.appended_at, e.kind, e.tombstone, e.client_message_id, e.content_type, e.target_seq, \
     e.mentions, e.flags, e.edit_no, e.edited_at, e.reactions, \
     e.forwarded_from, e.forwarded_at, e.attachments, e.body";

/// The entries at the places `$1` (owners) and `$2` (`seq`), as `e`; `place.no` numbers them from 1. One by one and by the key:
/// a join might be planned to read the whole table, which is right only while that is small.
pub(super) const ENTRIES_AT: &str =
    "unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY place (owner, seq, no)
     CROSS JOIN LATERAL (
         SELECT * FROM entries e WHERE e.owner = place.owner AND e.seq = place.seq LIMIT 1
     ) e";

/// The largest page, in bytes of the bodies in it: without this bound a page of the largest messages that
/// there may be takes many times the memory of the largest of them, on its way through the node. A
/// page ends before the entry with which it would be larger, but has one entry at least. What its rows say
/// themselves and what stands in the homes that they refer to counts each on its own.
pub(super) const PAGE_BYTES: i64 = 512 * 1024;

/// As many of `rows` as make a page, from the first in the order of `order` on. `rows` has the columns of
/// [`ENTRY_COLUMNS`] and at most one row for each place. A column `found` says how many rows there were;
/// lengths are known without the bodies, so that what is left out is not read.
pub(super) fn within_page(rows: &str, order: &str) -> String {
    format!(
        "SELECT * FROM (
             SELECT e.*, count(*) OVER () AS found,
                 sum(octet_length(e.body)) OVER (ORDER BY {order}) AS bytes
             FROM ({rows}) e
         ) e WHERE bytes <= {PAGE_BYTES} OR bytes = octet_length(body)"
    )
}

/// Entries of a page that is bounded in bytes.
pub(super) struct EntryPage {
    pub(super) entries: Vec<Entry>,
    /// Whether some of the rows that were found are left out, for the sake of the bound.
    pub(super) cut: bool,
}

/// A message of whose reactions an entry tells.
pub(super) struct ReactedRow {
    pub(super) tombstone: Option<i16>,
    pub(super) reactions: Vec<ReactionCount>,
}

/// A row as it stands, with user numbers in place of ids.
pub(super) struct EntryRow {
    owner: i64,
    seq: i64,
    conversation: Option<i64>,
    sender: Option<i64>,
    home_seq: Option<i64>,
    generation: Option<i16>,
    appended_at: OffsetDateTime,
    kind: i16,
    tombstone: Option<i16>,
    client_message_id: Option<Uuid>,
    content_type: Option<String>,
    target_seq: Option<i64>,
    mentions: Option<Vec<i64>>,
    flags: Option<i16>,
    edit_no: Option<i32>,
    edited_at: Option<OffsetDateTime>,
    forwarded_from: Option<i64>,
    forwarded_at: Option<OffsetDateTime>,
    attachments: Vec<Attachment>,
    /// Of a message; and of an entry that tells of them, once they are read.
    reactions: Vec<ReactionCount>,
    /// Of a message: whether it quotes another one.
    quotes: bool,
    /// The place in the same timeline of the message that it quotes, where the owner has that.
    quoted_seq: Option<i64>,
    quoted: Option<QuotedRow>,
    body: Vec<u8>,
}

impl EntryRow {
    /// Reads [`ENTRY_COLUMNS`]; `None` where an outer join found no entry.
    pub(super) fn read(row: &Row) -> Result<Option<Self>> {
        let Some(seq) = row.try_get("seq")? else { return Ok(None) };
        let (kind, target_seq): (i16, Option<i64>) =
            (row.try_get("kind")?, row.try_get("target_seq")?);
        let quoted_seq = target_seq.filter(|_| kind == KIND_MESSAGE);
        Ok(Some(Self {
            owner: row.try_get("owner")?,
            seq,
            conversation: row.try_get("conversation")?,
            sender: row.try_get("sender")?,
            home_seq: row.try_get("home_seq")?,
            generation: row.try_get("generation")?,
            appended_at: row.try_get("appended_at")?,
            kind,
            tombstone: row.try_get("tombstone")?,
            client_message_id: row.try_get("client_message_id")?,
            content_type: row.try_get("content_type")?,
            target_seq,
            mentions: row.try_get("mentions")?,
            flags: row.try_get("flags")?,
            edit_no: row.try_get("edit_no")?,
            edited_at: row.try_get("edited_at")?,
            forwarded_from: row.try_get("forwarded_from")?,
            forwarded_at: row.try_get("forwarded_at")?,
            attachments: read_attachments(row.try_get("attachments")?)?,
            reactions: read_summary(row.try_get("reactions")?)?,
            quotes: quoted_seq.is_some(),
            quoted_seq,
            quoted: None,
            body: row.try_get("body")?,
        }))
    }

    /// The place of the message that this row tells the edit of: what the entry says stands there.
    fn edited(&self) -> Option<(i64, i64)> {
        if Kind::from_number(self.kind)? != Kind::MessageEdited {
            return None;
        }
        // No message stands at 0.
        Some((self.owner, self.target_seq.unwrap_or_default()))
    }

    /// Takes what the owner's copy of the edited message says. Who has deleted it is told nothing.
    fn show(&mut self, message: &Row) -> Result<()> {
        let tombstone: Option<i16> = message.try_get("tombstone")?;
        if message.try_get::<_, i16>("kind")? != KIND_MESSAGE
            || tombstone == Some(Tombstone::Deleted as i16)
        {
            self.kind = KIND_UNKNOWN;
            return Ok(());
        }
        self.flags = message.try_get("flags")?;
        self.client_message_id = message.try_get("client_message_id")?;
        self.quoted_seq = message.try_get("target_seq")?;
        self.quotes = self.quoted_seq.is_some();
        self.tombstone = tombstone;
        self.take_content(message)
    }

    /// The place in a group's timeline of what this row is about, if it refers to one: what the entry says
    /// stands there.
    fn home(&self) -> Option<(i64, i64)> {
        let group = self.conversation.filter(|conversation| *conversation < 0)?;
        let refers = matches!(
            Kind::from_number(self.kind)?,
            Kind::Message
                | Kind::MessageEdited
                | Kind::MessagePinned
                | Kind::GroupChanged
                | Kind::MemberChanged
        );
        // A row that says something itself is a home.
        (refers && self.body.is_empty()).then_some((group, self.home_seq?))
    }

    /// Takes what the home says, and leaves what is the owner's own.
    fn resolve(&mut self, home: &Row) -> Result<()> {
        self.tombstone = self.tombstone.or(home.try_get("tombstone")?);
        let everybody: Option<i16> = home.try_get("flags")?;
        self.flags = Some(self.flags.unwrap_or_default() | everybody.unwrap_or_default());
        let target: Option<i64> = home.try_get("target_seq")?;
        if self.kind == Kind::MessagePinned as i16 {
            // What stands there is about a message, too.
            self.home_seq = target;
        } else {
            self.quotes |= target.is_some();
        }
        self.take_content(home)
    }

    fn take_content(&mut self, message: &Row) -> Result<()> {
        self.content_type = message.try_get("content_type")?;
        self.mentions = message.try_get("mentions")?;
        self.edit_no = message.try_get("edit_no")?;
        self.edited_at = message.try_get("edited_at")?;
        self.forwarded_from = message.try_get("forwarded_from")?;
        self.forwarded_at = message.try_get("forwarded_at")?;
        self.attachments = read_attachments(message.try_get("attachments")?)?;
        self.reactions = read_summary(message.try_get("reactions")?)?;
        if self.tombstone.is_none() {
            self.body = message.try_get("body")?;
        }
        Ok(())
    }

    /// The places of the message whose reactions this row tells of: the owner's copy, and where they stand, which is
    /// the home of a group's message and else the same.
    pub(super) fn reacted(&self) -> Option<[(i64, i64); 2]> {
        if Kind::from_number(self.kind)? != Kind::ReactionsChanged {
            return None;
        }
        // No message stands at 0.
        let own = (self.owner, self.target_seq.unwrap_or_default());
        let group = self.conversation.filter(|conversation| *conversation < 0);
        Some([own, group.zip(self.home_seq).unwrap_or(own)])
    }

    /// Takes the reactions to the message that this row tells of: from the owner's copy, or from the home. Who has
    /// deleted it is told nothing.
    pub(super) fn show_reactions(&mut self, own: Option<&ReactedRow>, home: Option<&ReactedRow>) {
        let (Some(own), Some(home)) = (own, home) else {
            self.kind = KIND_UNKNOWN;
            return;
        };
        if own.tombstone == Some(Tombstone::Deleted as i16) {
            self.kind = KIND_UNKNOWN;
            return;
        }
        self.tombstone = own.tombstone.or(home.tombstone);
        self.reactions.clone_from(&home.reactions);
    }

    /// A member of a group, and the place of a message that has reactions, of which it is not known which are the
    /// member's.
    pub(super) fn reacted_in_group(&self) -> Option<(i64, i64, i64)> {
        let group = self.conversation.filter(|conversation| *conversation < 0)?;
        let counts = self.owner > 0 && self.tombstone.is_none() && !self.reactions.is_empty();
        counts.then_some((self.owner, group, self.home_seq?))
    }

    /// Marks the reactions among these as the owner's.
    pub(super) fn mark_own(&mut self, own: &HashSet<String>) {
        for count in &mut self.reactions {
            count.own = own.contains(&count.reaction);
        }
    }

    /// The place of the message that this one quotes, at `floor` or above.
    pub(super) fn quoted_place(&self, floor: i64) -> Option<(i64, i64)> {
        let seq = self.quoted_seq.filter(|seq| *seq >= floor)?;
        self.tombstone.is_none().then_some((self.owner, seq))
    }

    /// Takes what is shown of the message that this one quotes.
    pub(super) fn quote(&mut self, quoted: QuotedRow) {
        self.quoted = Some(quoted);
    }

    fn has(&self, flag: i16) -> bool {
        self.flags.is_some_and(|flags| flags & flag != 0)
    }

    /// The numbers of all users that the entry names.
    fn users(&self) -> impl Iterator<Item = i64> {
        let peer = self.conversation.filter(|conversation| *conversation > 0);
        let mentioned = self.mentions.iter().flatten().copied();
        let quoted = self.quoted.as_ref().map(|quoted| quoted.sender);
        [peer, self.sender, quoted, self.forwarded_from].into_iter().flatten().chain(mentioned)
    }

    /// A column that a row of this kind has. Errors: [`Error::Internal`] where it has not: nobody but imd
    /// writes rows, so the database is damaged, and a made-up value would be taken for a real one.
    fn require<T: Copy>(&self, column: &'static str, value: Option<T>) -> Result<T> {
        let Self { seq, kind, .. } = self;
        value.ok_or_else(|| {
            Error::internal(format!("entry {seq}, of kind {kind}, has no column {column}"))
        })
    }

    /// The conversation that the row is of, or about.
    fn conversation(&self) -> Result<ConversationNo> {
        self.require("conversation", self.conversation).map(ConversationNo)
    }

    /// The message that the row is, or is about.
    fn message_id(&self) -> Result<MessageId> {
        let sender = UserNo(self.require("sender", self.sender)?);
        let home = self.conversation()?.group().map_or(sender.into(), TimelineNo::from);
        let seq = self.require("home_seq", self.home_seq)?;
        Ok(MessageId { home, seq, generation: self.generation.unwrap_or_default() })
    }

    fn read_up_to(&self, conversation_id: ConversationId) -> Result<ReadUpTo> {
        Ok(ReadUpTo { conversation_id, seq: self.require("target_seq", self.target_seq)? })
    }

    fn message_gone(
        &self,
        conversation_id: ConversationId,
        cipher: &MessageIdCipher,
    ) -> Result<MessageGone> {
        let message_id = cipher.seal(self.message_id()?)?;
        Ok(MessageGone {
            message_id,
            seq: match conversation_id {
                ConversationId::User(_) => self.require("target_seq", self.target_seq)?,
                // The owner may have joined later.
                ConversationId::Group(_) => self.target_seq.unwrap_or_default(),
            },
            conversation_id,
        })
    }

    /// The reactions to a message that still says something.
    fn reactions(&self) -> Vec<ReactionCount> {
        if self.tombstone.is_none() { self.reactions.clone() } else { Vec::new() }
    }

    /// The attachments of a message that still says something.
    fn attachments(&self) -> Vec<Attachment> {
        if self.tombstone.is_none() { self.attachments.clone() } else { Vec::new() }
    }

    /// The last edit of a message that still says something.
    fn edit(&self) -> Option<Edit> {
        let (edit_no, edited_at) = self.edit_no.zip(self.edited_at)?;
        self.tombstone.is_none().then_some(Edit { edit_no, edited_at })
    }

    fn body(self) -> Result<Body> {
        let Some(number) = self.tombstone else {
            return Ok(Body::Content(Content::from_stored(
                self.content_type,
                Bytes::from(self.body),
            )));
        };
        let tombstone = Tombstone::from_number(number)
            .ok_or_else(|| Error::internal(format!("no tombstone has number {number}")))?;
        Ok(Body::Tombstone(tombstone))
    }
}

/// What the row of an event says beside its place and its conversation.
pub(super) struct EventColumns {
    pub(super) kind: i16,
    pub(super) target_seq: Option<i64>,
    pub(super) body: Vec<u8>,
}

impl EventColumns {
    /// Those of an edit of the message at `seq` of the same timeline, where what it says now is read.
    pub(super) fn of_edit(seq: i64) -> Self {
        Self { kind: Kind::MessageEdited as i16, target_seq: Some(seq), body: Vec::new() }
    }

    /// Those of a change of the reactions to the message at `seq` of the same timeline, where what they are now is
    /// read.
    pub(super) fn of_reactions(seq: i64) -> Self {
        Self { kind: Kind::ReactionsChanged as i16, target_seq: Some(seq), body: Vec::new() }
    }

    /// Those of what was done to the message at `seq` of the same timeline.
    pub(super) fn of_pin(seq: i64, change: &PinChange) -> Result<Self> {
        let (kind, body) = (Kind::MessagePinned as i16, to_json(change)?);
        Ok(Self { kind, target_seq: Some(seq), body })
    }

    /// The columns of `event`, which is no message.
    pub(super) fn of(event: &EntryKind) -> Result<Self> {
        let no_event = || Error::internal("this is no event that could be appended");
        let (target_seq, body) = match event {
            EntryKind::ReadMark(read) | EntryKind::ReadReceipt(read) => {
                (Some(read.seq), Vec::new())
            }
            EntryKind::MessageRecalled(gone) | EntryKind::MessageDeleted(gone) => {
                (Some(gone.seq), Vec::new())
            }
            EntryKind::MessagesErased(_) | EntryKind::ProfileChanged(_) => (None, Vec::new()),
            EntryKind::SessionChanged(change) => (None, to_json(change)?),
            EntryKind::BlockChanged(change) => (None, to_json(&change.blocked)?),
            EntryKind::GroupChanged(in_group) => (None, to_json(&in_group.change)?),
            EntryKind::MemberChanged(in_group) => (None, to_json(&in_group.change)?),
            EntryKind::GroupRequest(request) => (None, to_json(request)?),
            EntryKind::ContactChanged(change) => (None, to_json(change)?),
            EntryKind::SettingsChanged(settings) => (None, to_json(settings)?),
            EntryKind::MessageEdited(edited) => return Ok(Self::of_edit(edited.seq)),
            EntryKind::ReactionsChanged(changed) => return Ok(Self::of_reactions(changed.seq)),
            EntryKind::ScheduledChanged(changed) => (None, to_json(changed)?),
            EntryKind::MessagePinned(pinned) => return Self::of_pin(pinned.seq, &pinned.change),
            EntryKind::ConversationChanged(changed) => (None, to_json(&changed.settings)?),
            EntryKind::DraftChanged(changed) => (None, changed.text.clone().into_bytes()),
            EntryKind::Message(_) | EntryKind::Unknown => return Err(no_event()),
        };
        let kind = event.kind().ok_or_else(no_event)? as i16;
        Ok(Self { kind, target_seq, body })
    }
}

impl Store {
    /// The entries of one timeline, in the order of `rows`. What stands in groups' timelines is read from
    /// there, in a statement of its own.
    pub(super) async fn entries(&self, epoch: i64, mut rows: Vec<EntryRow>) -> Result<Vec<Entry>> {
        self.resolve(&mut rows, i64::MAX).await?;
        self.read_quotes(&mut rows, 0).await?;
        self.read_reactions(&mut rows).await?;
        self.named(epoch, rows).await
    }

    /// The entries in rows of [`within_page`]: as many as make a page with what they refer to. A column `floor`
    /// says from where on the owner may see what messages quote.
    pub(super) async fn page_of(&self, epoch: i64, found: &[Row]) -> Result<EntryPage> {
        let count: Option<i64> = found.first().and_then(|row| row.get("found"));
        let mut rows = read_rows(found)?;
        let whole = self.resolve(&mut rows, PAGE_BYTES).await?;
        rows.truncate(whole);
        if let Some(first) = found.first() {
            self.read_quotes(&mut rows, first.try_get("floor")?).await?;
        }
        self.read_reactions(&mut rows).await?;
        let cut = count.is_some_and(|count| usize::try_from(count) != Ok(rows.len()));
        Ok(EntryPage { entries: self.named(epoch, rows).await?, cut })
    }

    /// The entries in rows that an outer join made; none where it found none.
    pub(super) async fn entries_of(&self, epoch: i64, rows: &[Row]) -> Result<Vec<Entry>> {
        self.entries(epoch, read_rows(rows)?).await
    }

    /// Puts names in place of numbers.
    async fn named(&self, epoch: i64, rows: Vec<EntryRow>) -> Result<Vec<Entry>> {
        let user_nos: HashSet<i64> = rows.iter().flat_map(EntryRow::users).collect();
        let group_nos: HashSet<i64> = rows
            .iter()
            .filter_map(|row| ConversationNo(row.conversation?).group())
            .map(|no| no.0)
            .collect();
        let names = Names {
            users: self.known_users(&user_nos).await?,
            groups: self.group_ids(&group_nos).await?,
            cipher: self.message_id_cipher().await?,
        };
        let entry = |row: EntryRow| {
            let cursor = Cursor { epoch, seq: row.seq };
            let appended_at = row.appended_at;
            Ok(Entry { cursor, appended_at, kind: names.kind(row)? })
        };
        rows.into_iter().map(entry).collect()
    }

    /// Fills in what rows refer to, as long as that is no more than `most` bytes of bodies, but one at
    /// least: how many of the rows, from the first on, say now all they say. A row whose other one was purged
    /// meanwhile, with the rows in front of it, becomes an entry of no known kind.
    async fn resolve(&self, rows: &mut [EntryRow], most: i64) -> Result<usize> {
        // The owner's copy of a message of a group is itself a reference.
        let whole = self.take_over(rows, most, EntryRow::edited, EntryRow::show).await?;
        self.take_over(&mut rows[..whole], most, EntryRow::home, EntryRow::resolve).await
    }

    /// Has rows take what stands in the place that `place` says; see [`Store::resolve`].
    async fn take_over(
        &self,
        rows: &mut [EntryRow],
        most: i64,
        place: fn(&EntryRow) -> Option<(i64, i64)>,
        take: fn(&mut EntryRow, &Row) -> Result<()>,
    ) -> Result<usize> {
        let mut seen = HashSet::new();
        let places = rows.iter().filter_map(place).filter(|place| seen.insert(*place));
        let (owners, seqs): (Vec<i64>, Vec<i64>) = places.unzip();
        if owners.is_empty() {
            return Ok(rows.len());
        }
        // As in `within_page`, lengths are known without the bodies.
        let found = reading!(self, async |client| {
            let statement = client
                .prepare_cached(&format!(
                    "SELECT owner, seq, kind, tombstone, client_message_id, content_type, mentions, flags, target_seq,
                         edit_no, edited_at, reactions, forwarded_from, forwarded_at, attachments, fits, octet_length(body)::bigint AS bytes,
                         CASE WHEN fits THEN body END AS body
                     FROM (
                         SELECT e.*, place.no = 1
                             OR sum(octet_length(e.body)) OVER (ORDER BY place.no) <= $3 AS fits
                         FROM {ENTRIES_AT}
                     ) home"
                ))
                .await?;
            Ok(client.query(&statement, &[&owners, &seqs, &most]).await?)
        })?;
        let found: HashMap<(i64, i64), &Row> =
            found.iter().map(|row| ((row.get("owner"), row.get("seq")), row)).collect();
        // Several rows may show the same place.
        let mut bytes: i64 = 0;
        for (no, row) in rows.iter_mut().enumerate() {
            let Some(place) = place(row) else { continue };
            let Some(other) = found.get(&place) else {
                row.kind = KIND_UNKNOWN;
                continue;
            };
            let is_first = bytes == 0;
            bytes = bytes.saturating_add(other.try_get("bytes")?);
            if !other.try_get("fits")? || bytes > most && !is_first {
                return Ok(no);
            }
            take(row, other)?;
        }
        Ok(rows.len())
    }
}

/// The rows that an outer join made; none where it found none.
fn read_rows(rows: &[Row]) -> Result<Vec<EntryRow>> {
    rows.iter().filter_map(|row| EntryRow::read(row).transpose()).collect()
}

/// What the numbers in rows stand for.
struct Names {
    users: HashMap<i64, KnownUser>,
    groups: HashMap<i64, GroupId>,
    cipher: Arc<MessageIdCipher>,
}

impl Names {
    fn user(&self, user_no: i64) -> Result<&KnownUser> {
        let found = self.users.get(&user_no);
        found.ok_or_else(|| Error::internal(format!("no user has number {user_no}")))
    }

    fn group(&self, group_no: GroupNo) -> Result<GroupId> {
        let found = self.groups.get(&group_no.0).cloned();
        found.ok_or_else(|| Error::internal(format!("no group has number {}", group_no.0)))
    }

    fn conversation(&self, row: &EntryRow) -> Result<ConversationId> {
        let conversation = row.conversation()?;
        Ok(match conversation.group() {
            Some(group_no) => ConversationId::Group(self.group(group_no)?),
            None => ConversationId::User(self.user(conversation.0)?.user_id.clone()),
        })
    }

    fn in_group<T: DeserializeOwned>(&self, row: &EntryRow) -> Result<InGroup<T>> {
        let group_no = row.require("conversation", row.conversation()?.group())?;
        Ok(InGroup { group_id: self.group(group_no)?, change: from_json(&row.body)? })
    }

    /// The message that a row quotes, if it quotes one and still says something.
    fn quote(&self, row: &EntryRow) -> Result<Option<Box<Quote>>> {
        if !row.quotes || row.tombstone.is_some() {
            return Ok(None);
        }
        let shown = row.quoted.as_ref().and_then(|quoted| Some((quoted, quoted.preview()?)));
        let quote = match (row.quoted_seq, shown) {
            (Some(seq), Some((quoted, preview))) => Quote {
                seq,
                quoted: Some(Quoted {
                    message_id: self.cipher.seal(quoted.message_id())?,
                    sender: self.user(quoted.sender)?.user_id.clone(),
                    preview,
                }),
            },
            _ => Quote::UNSEEN,
        };
        Ok(Some(Box::new(quote)))
    }

    /// Where what a message says comes from, if it is forwarded and still says something.
    fn forwarded(&self, row: &EntryRow) -> Result<Option<Forwarded>> {
        let from = row.forwarded_from.zip(row.forwarded_at);
        let Some((sender, sent_at)) = from.filter(|_| row.tombstone.is_none()) else {
            return Ok(None);
        };
        Ok(Some(Forwarded { sender: self.user(sender)?.user_id.clone(), sent_at }))
    }

    fn message(&self, row: EntryRow) -> Result<Message> {
        let sender = self.user(row.require("sender", row.sender)?)?;
        let mentioned = row.mentions.iter().flatten();
        let mentions = mentioned.map(|no| Ok(self.user(*no)?.user_id.clone()));
        Ok(Message {
            message_id: self.cipher.seal(row.message_id()?)?,
            conversation_id: self.conversation(&row)?,
            sender: sender.user_id.clone(),
            sender_deleted: sender.deleted,
            client_message_id: row.client_message_id,
            mentions: mentions.collect::<Result<_>>()?,
            mention_all: row.has(EVERYBODY),
            mentioned: row.has(MENTIONED),
            notice: Notice { silent: row.has(SILENT), no_push: row.has(NO_PUSH) },
            reply_to: self.quote(&row)?,
            forwarded: self.forwarded(&row)?,
            attachments: row.attachments(),
            reactions: row.reactions(),
            edit: row.edit(),
            body: row.body()?,
        })
    }

    /// A message that was pinned; who never had it, or has it no longer, is told nothing.
    fn pinned(&self, row: &EntryRow) -> Result<EntryKind> {
        let Some(seq) = row.target_seq else { return Ok(EntryKind::Unknown) };
        // In the group's own timeline the message has its home at that place.
        let message_id = match row.message_id()? {
            id if row.owner < 0 => MessageId { seq, ..id },
            id => id,
        };
        Ok(EntryKind::MessagePinned(MessagePinned {
            message_id: self.cipher.seal(message_id)?,
            conversation_id: self.conversation(row)?,
            seq,
            change: from_json(&row.body)?,
        }))
    }

    /// What a row is, once it is resolved.
    fn kind(&self, row: EntryRow) -> Result<EntryKind> {
        let conversation = |row| self.conversation(row);
        let Some(kind) = Kind::from_number(row.kind) else { return Ok(EntryKind::Unknown) };
        Ok(match kind {
            Kind::Message => EntryKind::Message(self.message(row)?),
            Kind::SessionChanged => EntryKind::SessionChanged(from_json(&row.body)?),
            Kind::ReadMark => EntryKind::ReadMark(row.read_up_to(conversation(&row)?)?),
            Kind::ReadReceipt => EntryKind::ReadReceipt(row.read_up_to(conversation(&row)?)?),
            Kind::MessageRecalled => {
                EntryKind::MessageRecalled(row.message_gone(conversation(&row)?, &self.cipher)?)
            }
            Kind::MessageDeleted => {
                EntryKind::MessageDeleted(row.message_gone(conversation(&row)?, &self.cipher)?)
            }
            Kind::MessageEdited => EntryKind::MessageEdited(MessageEdited {
                seq: row.require("target_seq", row.target_seq)?,
                message: Box::new(self.message(row)?),
            }),
            Kind::ReactionsChanged => EntryKind::ReactionsChanged(ReactionsChanged {
                message_id: self.cipher.seal(row.message_id()?)?,
                conversation_id: conversation(&row)?,
                seq: row.require("target_seq", row.target_seq)?,
                reactions: row.reactions(),
            }),
            Kind::ScheduledChanged => EntryKind::ScheduledChanged(from_json(&row.body)?),
            Kind::MessagePinned => self.pinned(&row)?,
            Kind::ProfileChanged => EntryKind::ProfileChanged(ProfileChanged {
                user_id: self.user(row.require("sender", row.sender)?)?.user_id.clone(),
            }),
            Kind::MessagesErased => {
                // Between two users there is no doubt whose they were.
                let sender = row.require("sender", row.sender.or(row.conversation))?;
                EntryKind::MessagesErased(MessagesErased {
                    conversation_id: conversation(&row)?,
                    sender: self.user(sender)?.user_id.clone(),
                })
            }
            Kind::BlockChanged => EntryKind::BlockChanged(BlockChanged {
                user_id: self.user(row.conversation()?.0)?.user_id.clone(),
                blocked: from_json(&row.body)?,
            }),
            Kind::GroupChanged => EntryKind::GroupChanged(self.in_group(&row)?),
            Kind::MemberChanged => EntryKind::MemberChanged(self.in_group(&row)?),
            Kind::GroupRequest => EntryKind::GroupRequest(from_json(&row.body)?),
            Kind::ContactChanged => EntryKind::ContactChanged(from_json(&row.body)?),
            Kind::SettingsChanged => EntryKind::SettingsChanged(from_json(&row.body)?),
            Kind::ConversationChanged => EntryKind::ConversationChanged(ConversationChanged {
                conversation_id: conversation(&row)?,
                settings: from_json(&row.body)?,
            }),
            Kind::DraftChanged => EntryKind::DraftChanged(DraftChanged {
                conversation_id: conversation(&row)?,
                text: String::from_utf8(row.body).map_err(Error::internal)?,
            }),
        })
    }
}

fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(Error::internal)
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(Error::internal)
}
