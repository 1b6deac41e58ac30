//! Edits of messages. What a message says is replaced where it stands, so that pages, previews and exports show
//! it without knowing of edits; an entry in each timeline concerned tells the terminals. Of each edit a row is
//! left that tells a retry and, where the deployment wants that, what the message said before.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    SignalCheck, Store, Transaction,
    entries::{EVERYBODY, KIND_MESSAGE, PAGE_BYTES},
    reading,
    retention::timeline,
    search::replace_words,
    signals::is_withheld,
    timelines::{About, no_timeline},
    tombstones::Original,
    transaction,
};
use crate::model::{
    Content, ContentHash, ConversationId, ConversationNo, Edit, Error, GroupNo, IfBlocked,
    Mentions, MessageId, Result, SessionId, Stretch, TimelineNo, UserId, UserNo, WhoMay,
};

/// An edit of a message. The caller is the sender of the message.
#[derive(Debug, Clone)]
pub struct NewEdit {
    /// Which message.
    pub message_id: MessageId,
    /// Who edits it.
    pub caller: UserNo,
    /// The same, by id.
    pub caller_id: UserId,
    /// The session that edits it, which must be live.
    pub session_id: SessionId,
    /// The id that the client gave the edit.
    pub client_edit_id: Uuid,
    /// What the message says from now on.
    pub content: Content,
    /// [`Content::hash`] of it.
    pub content_hash: ContentHash,
    /// Whom it mentions from now on; only in groups.
    pub mentions: Mentions,
    /// How old the message may be.
    pub window: Duration,
    /// Whether what it said before is kept.
    pub keep: bool,
    /// What becomes of the recipient's copy when the recipient blocks the caller.
    pub if_blocked: IfBlocked,
    /// From whom a recipient takes messages who has not said.
    pub messages_from: WhoMay,
}

/// What an edit has done.
#[derive(Debug)]
pub struct Edited {
    /// The edit.
    pub edit: Edit,
    /// Whether it had been made before.
    pub duplicate: bool,
    /// The entries of users' timelines that tell of it.
    pub told: Vec<Stretch>,
    /// The group that is to be told.
    pub group_no: Option<GroupNo>,
}

/// What a message said before one of its edits.
#[derive(Debug)]
pub struct EarlierVersion {
    /// The edit that replaced it.
    pub edit: Edit,
    /// What it said; `None` where that was not kept.
    pub content: Option<Content>,
}

impl NewEdit {
    /// What is asked before the edit: whether the caller may write to the conversation.
    pub(super) fn check(&self, to: ConversationNo, to_id: ConversationId) -> SignalCheck {
        SignalCheck {
            sender: self.caller,
            session_id: self.session_id,
            to,
            to_id,
            if_blocked: self.if_blocked,
        }
    }

    /// The same edit, where it was made before.
    ///
    /// Errors: [`Error::ClientEditIdConflict`] where the id is that of another one.
    pub(super) async fn earlier(&self, tx: &Transaction<'_>) -> Result<Option<Edited>> {
        let statement = tx
            .prepare_cached(
                "SELECT edit_no, edited_at, content_hash FROM message_edits
                 WHERE home = $1 AND home_seq = $2 AND client_edit_id = $3",
            )
            .await?;
        let MessageId { home, seq, .. } = self.message_id;
        let row = tx.query_opt(&statement, &[&home.0, &seq, &self.client_edit_id]).await?;
        let Some(row) = row else { return Ok(None) };
        if row.get::<_, &[u8]>("content_hash") != self.content_hash {
            return Err(Error::ClientEditIdConflict);
        }
        let edit = read_edit(&row);
        Ok(Some(Edited { edit, duplicate: true, told: Vec::new(), group_no: None }))
    }

    /// Notes the edit, with what the message says until now if that is to be kept. Behind the lock of the
    /// timeline of its home.
    pub(super) async fn note(
        &self,
        tx: &Transaction<'_>,
        edited_at: OffsetDateTime,
    ) -> Result<Edit> {
        let statement = tx
            .prepare_cached(
                "INSERT INTO message_edits (home, home_seq, edit_no, edited_at, client_edit_id, content_hash,
                     content_type, body)
                 SELECT owner, seq, coalesce(edit_no, 0) + 1, $3, $4, $5,
                     CASE WHEN $6 THEN content_type END, CASE WHEN $6 THEN body END
                 FROM entries WHERE owner = $1 AND seq = $2
                 RETURNING edit_no, edited_at",
            )
            .await?;
        let MessageId { home, seq, .. } = self.message_id;
        let values: [&(dyn ToSql + Sync); 6] = [
            &home.0,
            &seq,
            &edited_at,
            &self.client_edit_id,
            &self.content_hash.as_slice(),
            &self.keep,
        ];
        Ok(read_edit(&tx.query_one(&statement, &values).await?))
    }

    /// Has copies of the message that still say something say what they are to say: which they are, with
    /// their conversations.
    pub(super) async fn replace(
        &self,
        tx: &Transaction<'_>,
        copies: &[(TimelineNo, i64)],
        edit: Edit,
    ) -> Result<Vec<(TimelineNo, i64, ConversationNo)>> {
        let (owners, seqs): (Vec<i64>, Vec<i64>) =
            copies.iter().map(|(owner, seq)| (owner.0, *seq)).unzip();
        let mentions: Vec<i64> = self.mentions.users.iter().map(|(user_no, _)| user_no.0).collect();
        let mentions = Some(mentions).filter(|mentions| !mentions.is_empty());
        let everybody = if self.mentions.all { EVERYBODY } else { 0 };
        let statement = tx
            .prepare_cached(
                "UPDATE entries e SET content_type = $3, body = $4, mentions = $5, edit_no = $7, edited_at = $8,
                     flags = nullif((coalesce(e.flags, 0::smallint) & ~$9::smallint) | $6::smallint, 0::smallint)
                 FROM unnest($1::bigint[], $2::bigint[]) c (owner, seq)
                 WHERE e.owner = c.owner AND e.seq = c.seq AND e.tombstone IS NULL
                 RETURNING e.owner, e.seq, e.conversation",
            )
            .await?;
        let values: [&(dyn ToSql + Sync); 9] = [
            &owners,
            &seqs,
            &self.content.content_type(),
            &self.content.body().as_ref(),
            &mentions,
            &everybody,
            &edit.edit_no,
            &edit.edited_at,
            &EVERYBODY,
        ];
        let rows = tx.query(&statement, &values).await?;
        let copy = |row: &Row| {
            (TimelineNo(row.get("owner")), row.get("seq"), ConversationNo(row.get("conversation")))
        };
        let replaced: Vec<_> = rows.iter().map(copy).collect();
        replace_words(tx, self.caller, &replaced, &self.content).await?;
        Ok(replaced)
    }
}

impl Store {
    /// Replaces what a message between two users says, and says so in the timelines concerned. A copy that
    /// its owner has deleted stays as it is, and its owner is told nothing; so does that of a recipient whose
    /// block withholds messages.
    ///
    /// Errors: [`Error::MessageNotFound`], [`Error::EditWindowOver`], [`Error::ClientEditIdConflict`];
    /// [`Error::SessionEnded`], [`Error::InvalidToken`]; and those of a message to the recipient.
    pub async fn edit(&self, edit: &NewEdit) -> Result<Edited> {
        let (caller, message_id) = (edit.caller, edit.message_id);
        transaction!(self, async |tx| {
            let (original, mut places) =
                Original::lock(&tx, message_id, caller, edit.session_id).await?;
            if let Some(earlier) = edit.earlier(&tx).await? {
                return Ok(earlier);
            }
            let peer = own_copy(&tx, caller, message_id.seq).await?;
            let now =
                places.get(&caller).map(|place| place.at).ok_or_else(|| no_timeline(caller))?;
            if now - original.appended_at >= edit.window {
                return Err(Error::EditWindowOver);
            }
            let check =
                peer.map(|(peer, peer_id)| edit.check(peer.into(), ConversationId::User(peer_id)));
            let withheld = is_withheld(&tx, check, edit.messages_from).await?;
            let made = edit.note(&tx, now).await?;
            let copies = original.copies.iter().filter(|copy| copy.0 == caller || !withheld);
            let copies: Vec<_> =
                copies.map(|(owner, seq)| (TimelineNo::from(*owner), *seq)).collect();
            let mut told = Vec::with_capacity(copies.len());
            for (owner, seq, conversation) in edit.replace(&tx, &copies, made).await? {
                let place = owner.user().and_then(|user_no| places.remove(&user_no));
                let Some(place) = place else { continue };
                // The caller's own copy says something still, or there would be no edit.
                let is_own = owner == TimelineNo::from(caller);
                let place = if is_own { place } else { place.untold() };
                let about = About::message(conversation, caller, message_id);
                told.push(place.fill_edit(&tx, about, seq).await?);
            }
            for place in places.into_values() {
                place.give_back(&tx).await?;
            }
            tx.commit().await?;
            Ok(Edited { edit: made, duplicate: false, told, group_no: None })
        })
    }

    /// Whether an edit of a message that was given this id has been made.
    pub async fn was_edited(&self, message_id: MessageId, client_edit_id: Uuid) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT EXISTS (SELECT FROM message_edits
                     WHERE home = $1 AND home_seq = $2 AND client_edit_id = $3)",
            )
            .await?;
        let MessageId { home, seq, .. } = message_id;
        Ok(client.query_one(&statement, &[&home.0, &seq, &client_edit_id]).await?.get(0))
    }

    /// What a message said before its edits, newest first: at most `limit`, all of edits before the one with the
    /// number `before`, and no more than make a page; and whether there are more.
    ///
    /// Errors: [`Error::MessageNotFound`] where the caller has no such message, or none that says something.
    pub async fn earlier_versions(
        &self,
        caller: UserNo,
        message_id: MessageId,
        before: i64,
        limit: i64,
    ) -> Result<(Vec<EarlierVersion>, bool)> {
        self.visible_copy(caller, message_id).await?;
        let MessageId { home, seq, .. } = message_id;
        let values: [&(dyn ToSql + Sync); 5] = [&home.0, &seq, &before, &(limit + 1), &PAGE_BYTES];
        let rows = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    "SELECT * FROM (
                         SELECT e.*, count(*) OVER () AS found, row_number() OVER edits AS no,
                             coalesce(sum(octet_length(body)) OVER edits, 0) AS bytes
                         FROM (
                             SELECT edit_no, edited_at, content_type, body FROM message_edits
                             WHERE home = $1 AND home_seq = $2 AND edit_no < $3::bigint
                             ORDER BY edit_no DESC LIMIT $4
                         ) e
                         WINDOW edits AS (ORDER BY edit_no DESC)
                     ) e WHERE no < $4 AND (bytes <= $5 OR no = 1) ORDER BY edit_no DESC",
                )
                .await?;
            Ok(client.query(&statement, &values).await?)
        })?;
        let version = |row: &Row| {
            let body: Option<Vec<u8>> = row.get("body");
            let content =
                body.map(|body| Content::from_stored(row.get("content_type"), body.into()));
            EarlierVersion { edit: read_edit(row), content }
        };
        let found = rows.first().map_or(0, |row| row.get::<_, i64>("found"));
        let more = i64::try_from(rows.len()).is_ok_and(|count| count < found);
        Ok((rows.iter().map(version).collect(), more))
    }

    /// Where a user has a message, and in which conversation, if it may see it and it still says something to
    /// the user.
    ///
    /// Errors: [`Error::MessageNotFound`].
    pub(super) async fn visible_copy(
        &self,
        user_no: UserNo,
        message_id: MessageId,
    ) -> Result<(i64, ConversationNo)> {
        let MessageId { home, seq, .. } = message_id;
        let seq = match home.user() {
            Some(sender) if sender == user_no => Some(seq),
            _ => self.copy_of(user_no, message_id).await?,
        };
        self.visible_at(user_no, seq, message_id.generation).await
    }

    /// As [`Store::visible_copy`], also where the sender's own copy is gone, with its account or by its retention: what is
    /// read with a message can be read as long as the message can.
    ///
    /// Errors: [`Error::MessageNotFound`].
    pub(super) async fn readable_copy(
        &self,
        user_no: UserNo,
        message_id: MessageId,
    ) -> Result<(i64, ConversationNo)> {
        let MessageId { home, seq, generation } = message_id;
        match self.visible_copy(user_no, message_id).await {
            Err(Error::MessageNotFound) if home.user().is_some_and(|sender| sender != user_no) => {}
            found => return found,
        }
        let found = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    "SELECT seq FROM entries
                     WHERE owner = $1 AND conversation = $2 AND home_seq = $3 AND kind = 1
                         AND tombstone IS NULL
                     ORDER BY seq DESC LIMIT 1",
                )
                .await?;
            Ok(client.query_opt(&statement, &[&user_no.0, &home.0, &seq]).await?)
        })?;
        self.visible_at(user_no, found.map(|row| row.get(0)), generation).await
    }

    async fn visible_at(
        &self,
        user_no: UserNo,
        seq: Option<i64>,
        generation: i16,
    ) -> Result<(i64, ConversationNo)> {
        let sql = format!(
            "WITH RECURSIVE {timeline}
             SELECT e.seq, e.conversation
             FROM timeline JOIN entries e ON e.owner = $1 AND e.seq = $2 AND e.seq >= timeline.floor
                 AND e.kind = $3 AND e.tombstone IS NULL AND coalesce(e.generation, 0::smallint) = $4",
            timeline = timeline(),
        );
        let values: [&(dyn ToSql + Sync); 4] = [&user_no.0, &seq, &KIND_MESSAGE, &generation];
        let found = reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            Ok(client.query_opt(&statement, &values).await?)
        })?;
        let row = found.ok_or(Error::MessageNotFound)?;
        Ok((row.get("seq"), ConversationNo(row.get("conversation"))))
    }

    /// Where a user has the copy of another one's message, or the reference to a group's.
    async fn copy_of(&self, user_no: UserNo, message_id: MessageId) -> Result<Option<i64>> {
        let MessageId { home, seq, .. } = message_id;
        let values: [&(dyn ToSql + Sync); 3] = [&home.0, &seq, &user_no.0];
        let found = reading!(self, async |client| {
            let statement = match home.group() {
                Some(_) => {
                    client
                        .prepare_cached(
                            "SELECT seq FROM entries
                             WHERE owner = $3 AND conversation = $1 AND home_seq = $2 AND kind = 1
                                 AND tombstone IS NULL
                             ORDER BY seq DESC LIMIT 1",
                        )
                        .await?
                }
                None => {
                    client
                        .prepare_cached(
                            "SELECT copies[2] AS seq FROM entries
                             WHERE owner = $1 AND seq = $2 AND kind = 1 AND copies[1] = $3",
                        )
                        .await?
                }
            };
            Ok(client.query_opt(&statement, &values).await?)
        })?;
        Ok(found.map(|row| row.get(0)))
    }
}

/// The peer of the conversation in which the caller has sent a message; `None` for a note to oneself.
///
/// Errors: [`Error::MessageNotFound`] when the message says nothing any more.
pub(super) async fn own_copy(
    tx: &Transaction<'_>,
    caller: UserNo,
    seq: i64,
) -> Result<Option<(UserNo, UserId)>> {
    let statement = tx
        .prepare_cached(
            "SELECT conversation FROM entries WHERE owner = $1 AND seq = $2 AND tombstone IS NULL",
        )
        .await?;
    let row = tx.query_opt(&statement, &[&caller.0, &seq]).await?.ok_or(Error::MessageNotFound)?;
    let peer = UserNo(row.get(0));
    if peer == caller {
        return Ok(None);
    }
    let statement = tx.prepare_cached("SELECT user_id FROM users WHERE user_no = $1").await?;
    let peer_id = UserId::from_stored(tx.query_one(&statement, &[&peer.0]).await?.get(0));
    Ok(Some((peer, peer_id)))
}

/// Forgets the edits of a message that is gone.
pub(super) async fn forget_edits(tx: &Transaction<'_>, message_id: MessageId) -> Result<()> {
    let statement =
        tx.prepare_cached("DELETE FROM message_edits WHERE home = $1 AND home_seq = $2").await?;
    tx.execute(&statement, &[&message_id.home.0, &message_id.seq]).await?;
    Ok(())
}

fn read_edit(row: &Row) -> Edit {
    Edit { edit_no: row.get("edit_no"), edited_at: row.get("edited_at") }
}
