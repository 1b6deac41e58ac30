//! Messages that go: recalled by their sender, or deleted by one participant for itself. Of such a
//! message the row stays, with its ids and the hash that tells a retry from a reuse (I7), and without
//! a word of what it said.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use time::OffsetDateTime;

use super::{
    Store, Transaction,
    attachments::release,
    edits::forget_edits,
    entries::KIND_MESSAGE,
    pins::strike_out,
    reactions::forget_reactions,
    read_marks::note_answer,
    search::forget_words,
    sessions::require_live,
    timelines::{About, Place, no_timeline},
    transaction,
};
use crate::model::{
    ConversationId, ConversationNo, Entry, EntryKind, Error, MessageGone, MessageId, Result,
    SessionId, TimelineNo, Tombstone, UserId, UserNo,
};

/// A message to recall. The caller is its sender.
#[derive(Debug)]
pub struct Recall {
    /// Which message.
    pub message_id: MessageId,
    /// Who recalls it, its sender.
    pub caller: UserNo,
    /// The session that recalls it, which must be live.
    pub session_id: SessionId,
    /// How old it may be.
    pub window: Duration,
}

/// A message to delete from one timeline.
#[derive(Debug)]
pub struct Delete {
    /// Whose copy goes.
    pub owner: UserNo,
    /// The session that deletes it, which must be live.
    pub session_id: SessionId,
    /// The conversation in which it stands.
    pub conversation: ConversationNo,
    /// The same, by id.
    pub conversation_id: ConversationId,
    /// Its place in the owner's timeline.
    pub seq: i64,
}

/// What is written when a message is appended and never changes.
pub(super) struct Original {
    pub(super) appended_at: OffsetDateTime,
    /// Where all copies lie, the sender's first.
    pub(super) copies: Vec<(UserNo, i64)>,
}

/// A copy that has become a tombstone.
struct Blanked {
    owner: UserNo,
    seq: i64,
    conversation: ConversationNo,
    conversation_id: ConversationId,
}

impl Store {
    /// Leaves a tombstone of every copy of a message, and says so in the timelines concerned: returns
    /// the entries. A copy that its owner has deleted stays as it is, and its owner is told nothing.
    /// When nothing is left to recall, there are no entries.
    ///
    /// Errors: [`Error::MessageNotFound`], [`Error::RecallWindowOver`]; [`Error::SessionEnded`],
    /// [`Error::InvalidToken`].
    pub async fn recall(&self, recall: &Recall) -> Result<Vec<(UserNo, Entry)>> {
        let Recall { message_id, caller, session_id, window } = *recall;
        transaction!(self, async |tx| {
            let (original, mut places) =
                Original::lock(&tx, message_id, caller, session_id).await?;
            let now = places.get(&caller).map(|place| place.at);
            let age = now.ok_or_else(|| no_timeline(caller))? - original.appended_at;
            let sealed = self.message_id_cipher().await?.seal(message_id)?;

            let blanked = original.blank(&tx).await?;
            if blanked.is_empty() {
                return Ok(Vec::new());
            }
            if age >= window {
                return Err(Error::RecallWindowOver);
            }
            forget_edits(&tx, message_id).await?;
            forget_reactions(&tx, message_id).await?;
            let gone: Vec<_> =
                blanked.iter().map(|copy| (TimelineNo::from(copy.owner), copy.seq)).collect();
            strike_out(&tx, &gone).await?;
            forget_words(&tx, &gone).await?;
            release(&tx, &gone).await?;
            let mut entries = Vec::with_capacity(blanked.len());
            // Webhooks are told by the caller's own entry, if there is one.
            let told_by = if blanked.iter().any(|copy| copy.owner == caller) {
                caller
            } else {
                blanked[0].owner
            };
            for copy in blanked {
                let Some(place) = places.remove(&copy.owner) else { continue };
                let place = if copy.owner == told_by { place } else { place.untold() };
                let Blanked { owner, seq, conversation, conversation_id } = copy;
                if owner == caller {
                    note_answer(&tx, owner, conversation, seq).await?;
                }
                let gone = MessageGone { message_id: sealed, conversation_id, seq };
                let about = About::message(conversation, caller, message_id);
                let entry = place.fill(&tx, about, EntryKind::MessageRecalled(gone)).await?;
                entries.push((owner, entry));
            }
            for place in places.into_values() {
                place.give_back(&tx).await?;
            }
            tx.commit().await?;
            Ok(entries)
        })
    }

    /// Leaves a tombstone of the owner's own copy of a message, out of its conversation, and says so in
    /// the owner's timeline: returns the entry; none when it was deleted before.
    ///
    /// Errors: [`Error::MessageNotFound`]; [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn delete_message(&self, delete: &Delete) -> Result<Option<Entry>> {
        let Delete { owner, session_id, conversation, seq, .. } = *delete;
        transaction!(self, async |tx| {
            let place = Place::take_if_open(&tx, owner).await?;
            require_live(&tx, owner, session_id).await?;
            let place = place.ok_or_else(|| no_timeline(owner))?;
            let find = tx
                .prepare_cached(
                    "SELECT sender, home_seq, coalesce(generation, 0::smallint) AS generation, tombstone
                 FROM entries
                 WHERE owner = $1 AND seq = $2 AND conversation = $3 AND kind = $4
                     AND seq > (SELECT purged_to FROM timelines WHERE owner = $1)",
                )
                .await?;
            let row =
                tx.query_opt(&find, &[&owner.0, &seq, &conversation.0, &KIND_MESSAGE]).await?;
            let row = row.ok_or(Error::MessageNotFound)?;
            let tombstone: Option<i16> = row.get("tombstone");
            if tombstone == Some(Tombstone::Deleted as i16) {
                return Ok(None);
            }
            let blank = tx
                .prepare_cached(
                    "UPDATE entries SET tombstone = $3, content_type = NULL, body = '', reactions = NULL,
                         forwarded_from = NULL, forwarded_at = NULL, attachments = NULL
                 WHERE owner = $1 AND seq = $2",
                )
                .await?;
            tx.execute(&blank, &[&owner.0, &seq, &(Tombstone::Deleted as i16)]).await?;
            strike_out(&tx, &[(owner.into(), seq)]).await?;
            forget_words(&tx, &[(owner.into(), seq)]).await?;
            release(&tx, &[(owner.into(), seq)]).await?;
            let sender = UserNo(row.get("sender"));
            let home = conversation.group().map_or(sender.into(), TimelineNo::from);
            let message_id =
                MessageId { home, seq: row.get("home_seq"), generation: row.get("generation") };
            if sender == owner {
                note_answer(&tx, owner, conversation, seq).await?;
            }
            let conversation_id = delete.conversation_id.clone();
            let about = About::message(conversation, sender, message_id);
            let message_id = self.message_id_cipher().await?.seal(message_id)?;
            let gone = MessageGone { message_id, conversation_id, seq };
            let entry = place.fill(&tx, about, EntryKind::MessageDeleted(gone)).await?;
            tx.commit().await?;
            Ok(Some(entry))
        })
    }
}

impl Original {
    /// Finds a message by the sender's copy.
    pub(super) async fn find(tx: &Transaction<'_>, message_id: MessageId) -> Result<Option<Self>> {
        let MessageId { home, seq, generation } = message_id;
        let Some(sender) = home.user() else { return Ok(None) };
        let statement = tx
            .prepare_cached(
                "SELECT appended_at, copies FROM entries WHERE owner = $1 AND seq = $2 AND kind = $3
                     AND sender = $1 AND coalesce(generation, 0::smallint) = $4",
            )
            .await?;
        let row = tx.query_opt(&statement, &[&sender.0, &seq, &KIND_MESSAGE, &generation]).await?;
        Ok(row.map(|row| {
            let others: Option<Vec<i64>> = row.get("copies");
            let others = others.unwrap_or_default();
            let others = others.chunks_exact(2).map(|copy| (UserNo(copy[0]), copy[1]));
            let copies = std::iter::once((sender, seq)).chain(others).collect();
            Self { appended_at: row.get("appended_at"), copies }
        }))
    }

    /// Takes a place in the timeline of each owner of a copy of a message, and in the caller's, whose session is to
    /// be live: the message, and the places.
    ///
    /// Errors: [`Error::MessageNotFound`]; [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub(super) async fn lock(
        tx: &Transaction<'_>,
        message_id: MessageId,
        caller: UserNo,
        session_id: SessionId,
    ) -> Result<(Self, BTreeMap<UserNo, Place>)> {
        // Before the locks, to know which: what is read here never changes.
        let original = Self::find(tx, message_id).await?;
        let copies = original.as_ref().map_or(&[][..], |original| &original.copies);
        let owners: BTreeSet<UserNo> = copies.iter().map(|copy| copy.0).chain([caller]).collect();
        let places = Place::take_each(tx, &owners).await?;
        require_live(tx, caller, session_id).await?;
        Ok((original.ok_or(Error::MessageNotFound)?, places))
    }

    /// Blanks the copies that still say something.
    async fn blank(&self, tx: &Transaction<'_>) -> Result<Vec<Blanked>> {
        let (owners, seqs): (Vec<i64>, Vec<i64>) =
            self.copies.iter().map(|(owner, seq)| (owner.0, *seq)).unzip();
        let statement = tx
            .prepare_cached(
                "UPDATE entries e SET tombstone = $3, content_type = NULL, body = '', reactions = NULL,
                         forwarded_from = NULL, forwarded_at = NULL, attachments = NULL
                 FROM unnest($1::bigint[], $2::bigint[]) c (owner, seq)
                 WHERE e.owner = c.owner AND e.seq = c.seq AND e.tombstone IS NULL
                 RETURNING e.owner, e.seq, e.conversation,
                     (SELECT u.user_id FROM users u WHERE u.user_no = e.conversation) AS peer_id",
            )
            .await?;
        let rows = tx.query(&statement, &[&owners, &seqs, &(Tombstone::Recalled as i16)]).await?;
        let blanked = |row: &tokio_postgres::Row| Blanked {
            owner: UserNo(row.get("owner")),
            seq: row.get("seq"),
            conversation: ConversationNo(row.get("conversation")),
            conversation_id: ConversationId::User(UserId::from_stored(row.get("peer_id"))),
        };
        Ok(rows.iter().map(blanked).collect())
    }
}
