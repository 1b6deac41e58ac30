//! Recalling a message of a group: its home becomes a tombstone at once, and so does every reference.

use std::time::Duration;

use tokio_postgres::types::ToSql;

use super::{Actor, LockedGroup};
use crate::{
    model::{
        ConversationId, EntryKind, Error, GroupNo, GroupRole, MessageGone, MessageId, Result,
        Tombstone, UserNo,
    },
    store::{
        Store,
        attachments::release,
        edits::forget_edits,
        entries::KIND_MESSAGE,
        pins::strike_out,
        reactions::forget_reactions,
        search::forget_words,
        timelines::{About, Place},
        transaction,
    },
};

/// A message of a group to recall.
#[derive(Debug)]
pub struct RecallInGroup {
    /// Which message.
    pub message_id: MessageId,
    /// How old it may be, where its sender recalls it. Owner and admins may at any time.
    pub window: Duration,
}

impl Store {
    /// Leaves a tombstone of the message, and tells the group: in which; `None` when it was recalled
    /// before.
    ///
    /// Errors: [`Error::MessageNotFound`] for what is no message of a group that the actor is a member
    /// of, or neither its own nor, for an admin, of the group; [`Error::RecallWindowOver`];
    /// [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn recall_in_group(
        &self,
        recall: &RecallInGroup,
        actor: &Actor,
    ) -> Result<Option<GroupNo>> {
        let MessageId { home, seq, generation } = recall.message_id;
        let group_no = home.group().ok_or(Error::MessageNotFound)?;
        transaction!(self, async |tx| {
            let (group, role) = LockedGroup::lock_for_message(&tx, group_no, actor).await?;
            let statement = tx
                .prepare_cached(
                    "SELECT sender, tombstone, now() - appended_at < make_interval(secs => $4) AS in_time
                     FROM entries WHERE owner = $1 AND seq = $2 AND kind = $3
                         AND coalesce(generation, 0::smallint) = $5",
                )
                .await?;
            let window = recall.window.as_secs_f64();
            let values: [&(dyn ToSql + Sync); 5] =
                [&home.0, &seq, &KIND_MESSAGE, &window, &generation];
            let row = tx.query_opt(&statement, &values).await?;
            let row = row.ok_or(Error::MessageNotFound)?;
            let sender = UserNo(row.get("sender"));
            let may_any = role >= GroupRole::Admin;
            if !may_any && actor.user_no() != Some(sender) {
                return Err(Error::MessageNotFound);
            }
            if row.get::<_, Option<i16>>("tombstone").is_some() {
                return Ok(None);
            }
            if !may_any && !row.get::<_, bool>("in_time") {
                return Err(Error::RecallWindowOver);
            }
            let blank = tx
                .prepare_cached(
                    "UPDATE entries SET tombstone = $3, content_type = NULL, body = '', mentions = NULL,
                         reactions = NULL,
                         forwarded_from = NULL, forwarded_at = NULL, attachments = NULL
                     WHERE owner = $1 AND seq = $2",
                )
                .await?;
            tx.execute(&blank, &[&home.0, &seq, &(Tombstone::Recalled as i16)]).await?;
            forget_edits(&tx, recall.message_id).await?;
            forget_reactions(&tx, recall.message_id).await?;
            strike_out(&tx, &[(home, seq)]).await?;
            forget_words(&tx, &[(home, seq)]).await?;
            release(&tx, &[(home, seq)]).await?;
            let place = Place::take_if_open(&tx, group_no).await?.ok_or(Error::MessageNotFound)?;
            let gone = MessageGone {
                message_id: self.message_id_cipher().await?.seal(recall.message_id)?,
                conversation_id: ConversationId::Group(group.group_id.clone()),
                seq,
            };
            // The row names the message and not its own place: in members' timelines, too.
            let about = About::message(group_no.into(), sender, recall.message_id);
            place.fill(&tx, about, EntryKind::MessageRecalled(gone)).await?;
            tx.commit().await?;
            Ok(Some(group_no))
        })
    }
}
