//! How far conversations have been read: by their owners, and by the peers as far as they say so.

use std::collections::{BTreeMap, BTreeSet};

use futures::try_join;

use super::{
    Store, Transaction,
    blocks::either_blocks,
    conversation_settings::unmark,
    conversations::in_conversations,
    sessions::require_live,
    timelines::{About, Place, no_timeline},
    transaction,
};
use crate::model::{
    ConversationChanged, ConversationId, ConversationNo, Entry, EntryKind, Error, GroupNo,
    ReadUpTo, Result, SessionId, UserId, UserNo,
};

/// A reader's word that it has read a conversation up to a place.
#[derive(Debug)]
pub struct MarkRead {
    /// Who has read.
    pub reader: UserNo,
    /// The same, by id.
    pub reader_id: UserId,
    /// The session that says so, which must be live.
    pub session_id: SessionId,
    /// Which conversation.
    pub conversation: ConversationNo,
    /// The same, by id.
    pub conversation_id: ConversationId,
    /// A place in the reader's timeline.
    pub seq: i64,
    /// Whether the peer is told.
    pub with_receipt: bool,
}

/// Where a mark stands.
#[derive(Debug)]
pub struct MarkedRead {
    /// In the reader's timeline; 0 where there is no mark.
    pub read_seq: i64,
    /// The entries that say so, if the mark has moved.
    pub entries: Vec<(UserNo, Entry)>,
}

impl Store {
    /// Moves the mark to the newest message of the conversation at or below the place; one that stands
    /// there already or further on stays. So there are no more marks than messages.
    ///
    /// Errors: [`Error::InvalidArgument`] for a place beyond the end of the timeline;
    /// [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn mark_read(&self, mark: &MarkRead) -> Result<MarkedRead> {
        transaction!(self, async |tx| {
            let mut places = Place::take_each(&tx, &mark.timelines()).await?;
            // On one way there and back.
            let ((), (before, ahead, marked_unread)) =
                try_join!(require_live(&tx, mark.reader, mark.session_id), mark.find(&tx))?;
            let own = places.remove(&mark.reader).ok_or_else(|| no_timeline(mark.reader))?;
            if mark.seq > own.last_seq() {
                return Err(Error::invalid("seq", "is beyond the end of the timeline"));
            }
            let Some(read_seq) = ahead else {
                // Where nothing is committed, the places are given back.
                let entry = mark.unmark(&tx, own, places, marked_unread).await?;
                let entries: Vec<_> = entry.map(|entry| (mark.reader, entry)).into_iter().collect();
                if !entries.is_empty() {
                    tx.commit().await?;
                }
                return Ok(MarkedRead { read_seq: before, entries });
            };
            if marked_unread {
                // The mark says it.
                unmark(&tx, mark.reader, mark.conversation).await?;
            }
            let conversation_id = mark.conversation_id.clone();
            let event = EntryKind::ReadMark(ReadUpTo { conversation_id, seq: read_seq });
            let ((), entry) = try_join!(
                advance(&tx, mark.reader, mark.conversation, read_seq),
                own.fill(&tx, About::conversation(mark.conversation), event)
            )?;
            let mut entries = vec![(mark.reader, entry)];
            match (mark.conversation.group(), mark.conversation.peer()) {
                (Some(group_no), _) => mark.note_in_group(&tx, group_no, read_seq).await?,
                (None, Some(peer)) => {
                    let place = places.remove(&peer);
                    let receipt = mark.tell(&tx, peer, place, before, read_seq).await?;
                    entries.extend(receipt.map(|entry| (peer, entry)));
                }
                (None, None) => {}
            }
            tx.commit().await?;
            Ok(MarkedRead { read_seq, entries })
        })
    }
}

impl MarkRead {
    /// Whose timelines it may go to.
    fn timelines(&self) -> BTreeSet<UserNo> {
        let told = self.conversation.peer().filter(|_| self.with_receipt);
        std::iter::once(self.reader).chain(told).collect()
    }

    /// Where the mark stands, where it is to go if that is ahead, and whether the conversation is marked as
    /// unread.
    async fn find(&self, tx: &Transaction<'_>) -> Result<(i64, Option<i64>, bool)> {
        let statement = tx
            .prepare_cached(&format!(
                "SELECT mark.read_seq, newest.seq, EXISTS (
                     SELECT FROM conversation_settings
                     WHERE owner = $1 AND conversation = $2 AND marked_unread
                 )
                 FROM (SELECT coalesce(
                     (SELECT read_seq FROM read_marks WHERE owner = $1 AND conversation = $2), 0
                 ) AS read_seq) mark
                 LEFT JOIN LATERAL (
                     SELECT seq FROM {messages} messages ORDER BY seq DESC LIMIT 1
                 ) newest ON true",
                messages = in_conversations(
                    "seq",
                    "owner = $1 AND conversation = $2 AND seq > mark.read_seq AND seq <= $3",
                    "seq DESC LIMIT 1"
                ),
            ))
            .await?;
        let row =
            tx.query_one(&statement, &[&self.reader.0, &self.conversation.0, &self.seq]).await?;
        Ok((row.get(0), row.get(1), row.get(2)))
    }

    /// Has the conversation look unread no longer though the mark does not move: the entry that says so, at
    /// `own`; the other places are given back.
    async fn unmark(
        &self,
        tx: &Transaction<'_>,
        own: Place,
        others: BTreeMap<UserNo, Place>,
        marked_unread: bool,
    ) -> Result<Option<Entry>> {
        if !marked_unread {
            return Ok(None);
        }
        let Some(settings) = unmark(tx, self.reader, self.conversation).await? else {
            return Ok(None);
        };
        for place in others.into_values() {
            place.give_back(tx).await?;
        }
        let conversation_id = self.conversation_id.clone();
        let event =
            EntryKind::ConversationChanged(ConversationChanged { conversation_id, settings });
        own.fill(tx, About::conversation(self.conversation), event).await.map(Some)
    }

    /// Notes which of the group's messages the reader has read, for those who ask.
    async fn note_in_group(
        &self,
        tx: &Transaction<'_>,
        group_no: GroupNo,
        read_seq: i64,
    ) -> Result<()> {
        let statement = tx
            .prepare_cached(
                "UPDATE group_members m SET read_seq = greatest(m.read_seq, e.home_seq)
                 FROM entries e
                 WHERE m.group_no = $1 AND m.user_no = $2 AND e.owner = $2 AND e.seq = $3",
            )
            .await?;
        tx.execute(&statement, &[&group_no.0, &self.reader.0, &read_seq]).await?;
        Ok(())
    }

    /// Tells the peer, at `place` if there is one, unless one of the two blocks the other.
    async fn tell(
        &self,
        tx: &Transaction<'_>,
        peer: UserNo,
        place: Option<Place>,
        before: i64,
        read_seq: i64,
    ) -> Result<Option<Entry>> {
        let Some(place) = place else { return Ok(None) };
        if either_blocks(tx, self.reader, peer).await? {
            place.give_back(tx).await?;
            return Ok(None);
        }
        self.receipt(tx, place, before, read_seq).await
    }

    /// Tells the peer, at `place`, which of its messages was the last between the marks `before` and
    /// `read_seq`; gives the place back when there is none.
    async fn receipt(
        &self,
        tx: &Transaction<'_>,
        place: Place,
        before: i64,
        read_seq: i64,
    ) -> Result<Option<Entry>> {
        // From one mark to the next, so that no message is looked at twice.
        let statement = tx
            .prepare_cached(&format!(
                "INSERT INTO read_marks (owner, conversation, peer_read_seq)
                 (SELECT $2, $1, home_seq FROM {messages} messages ORDER BY seq DESC LIMIT 1)
                 ON CONFLICT (owner, conversation)
                     DO UPDATE SET peer_read_seq = excluded.peer_read_seq
                     WHERE read_marks.peer_read_seq < excluded.peer_read_seq
                 RETURNING peer_read_seq",
                messages = in_conversations(
                    "seq, home_seq",
                    "owner = $1 AND conversation = $2 AND sender = $2 AND seq > $3 AND seq <= $4",
                    "seq DESC LIMIT 1"
                ),
            ))
            .await?;
        let last = tx
            .query_opt(&statement, &[&self.reader.0, &self.conversation.0, &before, &read_seq])
            .await?;
        let Some(row) = last else {
            place.give_back(tx).await?;
            return Ok(None);
        };
        let conversation_id = ConversationId::User(self.reader_id.clone());
        let event = EntryKind::ReadReceipt(ReadUpTo { conversation_id, seq: row.get(0) });
        place.fill(tx, About::conversation(self.reader), event).await.map(Some)
    }
}

/// Moves the owner's mark to `seq`, unless it stands further on.
pub(super) async fn advance(
    tx: &Transaction<'_>,
    owner: UserNo,
    conversation: ConversationNo,
    seq: i64,
) -> Result<()> {
    let statement = tx
        .prepare_cached(
            "INSERT INTO read_marks (owner, conversation, read_seq) VALUES ($1, $2, $3)
             ON CONFLICT (owner, conversation)
                 DO UPDATE SET read_seq = greatest(read_marks.read_seq, excluded.read_seq)",
        )
        .await?;
    tx.execute(&statement, &[&owner.0, &conversation.0, &seq]).await?;
    Ok(())
}

/// Notes that an own message of the conversation is gone that stood at `seq`: what stands before it
/// counts as read all the same, and the mark, which the peer is told of, stays.
pub(super) async fn note_answer(
    tx: &Transaction<'_>,
    owner: UserNo,
    conversation: ConversationNo,
    seq: i64,
) -> Result<()> {
    let statement = tx
        .prepare_cached(
            "INSERT INTO read_marks (owner, conversation, answered_seq) VALUES ($1, $2, $3)
             ON CONFLICT (owner, conversation) DO UPDATE
             SET answered_seq = greatest(read_marks.answered_seq, excluded.answered_seq)",
        )
        .await?;
    tx.execute(&statement, &[&owner.0, &conversation.0, &seq]).await?;
    Ok(())
}
