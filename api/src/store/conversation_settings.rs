//! What users set for their conversations. No message changes it: what holds until the next message is told
//! by comparing places.

use futures::try_join;
use tokio_postgres::Row;

use super::{
    Store, Transaction,
    conversations::in_conversations,
    sessions::require_live,
    timelines::{About, Place, no_timeline},
    transaction,
};
use crate::model::{
    ChangeConversation, ConversationChanged, ConversationId, ConversationNo, ConversationSettings,
    Entry, EntryKind, Result, SessionId, UserNo,
};

/// A change of what is set for a conversation.
#[derive(Debug)]
pub struct ChangeConversationOf {
    /// Who changes it.
    pub owner: UserNo,
    /// The session that does, which must be live.
    pub session_id: SessionId,
    /// Which conversation.
    pub conversation: ConversationNo,
    /// The same, by id.
    pub conversation_id: ConversationId,
    /// What changes.
    pub change: ChangeConversation,
}

impl Store {
    /// Changes what is set for a conversation: what holds then, and the entry that says so; none where
    /// nothing has changed.
    ///
    /// Errors: [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn change_conversation(
        &self,
        asked: &ChangeConversationOf,
    ) -> Result<(ConversationSettings, Option<Entry>)> {
        transaction!(self, async |tx| {
            let place = Place::take_if_open(&tx, asked.owner).await?;
            // On one way there and back.
            let ((), (mut before, hidden_to)) = try_join!(
                require_live(&tx, asked.owner, asked.session_id),
                read(&tx, asked.owner, asked.conversation)
            )?;
            let place = place.ok_or_else(|| no_timeline(asked.owner))?;
            let at = place.at;
            before.muted_until = before.muted_until.filter(|until| *until > at);
            let change = asked.change;
            let after = ConversationSettings {
                pinned: change.pinned.unwrap_or(before.pinned),
                archived: change.archived.unwrap_or(before.archived),
                marked_unread: change.marked_unread.unwrap_or(before.marked_unread),
                hidden: change.hidden.unwrap_or(before.hidden),
                muted_until: change
                    .muted_until
                    .unwrap_or(before.muted_until)
                    .filter(|until| *until > at),
            };
            if after == before {
                // Nothing is committed: the place is given back.
                return Ok((before, None));
            }
            let hidden_to = match (before.hidden, after.hidden) {
                (_, false) => 0,
                (true, true) => hidden_to,
                (false, true) => place.last_seq(),
            };
            let event = EntryKind::ConversationChanged(ConversationChanged {
                conversation_id: asked.conversation_id.clone(),
                settings: after,
            });
            let ((), entry) = try_join!(
                write_settings(&tx, asked.owner, asked.conversation, after, hidden_to),
                place.fill(&tx, About::conversation(asked.conversation), event)
            )?;
            tx.commit().await?;
            Ok((after, Some(entry)))
        })
    }
}

/// What is set, and up to which place the conversation is hidden: 0 when it is not.
async fn read(
    tx: &Transaction<'_>,
    owner: UserNo,
    conversation: ConversationNo,
) -> Result<(ConversationSettings, i64)> {
    let statement = tx
        .prepare_cached(&format!(
            "SELECT pinned, archived, marked_unread, muted_until, hidden_to,
                 hidden_to > 0 AND NOT EXISTS (SELECT FROM {newer} newer) AS hidden
             FROM conversation_settings s WHERE owner = $1 AND conversation = $2",
            newer = in_conversations(
                "seq",
                "owner = $1 AND conversation = $2 AND seq > s.hidden_to",
                "seq DESC LIMIT 1"
            ),
        ))
        .await?;
    let Some(row) = tx.query_opt(&statement, &[&owner.0, &conversation.0]).await? else {
        return Ok((ConversationSettings::default(), 0));
    };
    Ok((read_settings(&row, row.get("hidden")), row.get("hidden_to")))
}

/// What is set, as a row has it.
pub(super) fn read_settings(row: &Row, hidden: bool) -> ConversationSettings {
    ConversationSettings {
        pinned: row.get("pinned"),
        archived: row.get("archived"),
        marked_unread: row.get("marked_unread"),
        hidden,
        muted_until: row.get("muted_until"),
    }
}

/// Writes what is set. Behind the lock of the owner's timeline.
pub(super) async fn write_settings(
    tx: &Transaction<'_>,
    owner: UserNo,
    conversation: ConversationNo,
    settings: ConversationSettings,
    hidden_to: i64,
) -> Result<()> {
    if settings == ConversationSettings::default() {
        let statement = tx
            .prepare_cached(
                "DELETE FROM conversation_settings WHERE owner = $1 AND conversation = $2",
            )
            .await?;
        tx.execute(&statement, &[&owner.0, &conversation.0]).await?;
        return Ok(());
    }
    let statement = tx
        .prepare_cached(
            "INSERT INTO conversation_settings (owner, conversation, pinned, archived, marked_unread,
                 muted_until, hidden_to)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (owner, conversation) DO UPDATE
             SET pinned = excluded.pinned, archived = excluded.archived,
                 marked_unread = excluded.marked_unread, muted_until = excluded.muted_until,
                 hidden_to = excluded.hidden_to",
        )
        .await?;
    let ConversationSettings { pinned, archived, marked_unread, muted_until, .. } = settings;
    tx.execute(
        &statement,
        &[&owner.0, &conversation.0, &pinned, &archived, &marked_unread, &muted_until, &hidden_to],
    )
    .await?;
    Ok(())
}

/// Has a conversation that was marked as unread look so no longer, for one that is marked as read: what is
/// set for it then; `None` where it was not marked. Behind the lock of the owner's timeline.
pub(super) async fn unmark(
    tx: &Transaction<'_>,
    owner: UserNo,
    conversation: ConversationNo,
) -> Result<Option<ConversationSettings>> {
    let (mut settings, hidden_to) = read(tx, owner, conversation).await?;
    if !settings.marked_unread {
        return Ok(None);
    }
    settings.marked_unread = false;
    write_settings(tx, owner, conversation, settings, hidden_to).await?;
    Ok(Some(settings))
}
