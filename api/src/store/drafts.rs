//! What users have begun to write.

use super::{
    Store, Transaction,
    sessions::require_live,
    timelines::{About, Place, no_timeline},
    transaction,
};
use crate::model::{
    ConversationId, ConversationNo, DraftChanged, Entry, EntryKind, Result, SessionId, UserNo,
};

/// The draft of a conversation, as a terminal has it.
#[derive(Debug, Clone)]
pub struct SetDraft {
    /// Who writes.
    pub owner: UserNo,
    /// The session that does, which must be live.
    pub session_id: SessionId,
    /// Which conversation.
    pub conversation: ConversationNo,
    /// The same, by id.
    pub conversation_id: ConversationId,
    /// What is written so far; empty for no draft.
    pub text: String,
}

impl Store {
    /// Puts a draft in the place of the one there is: the entry that says so; none where it says the same.
    ///
    /// Errors: [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn set_draft(&self, draft: &SetDraft) -> Result<Option<Entry>> {
        transaction!(self, async |tx| {
            let place = Place::take_if_open(&tx, draft.owner).await?;
            require_live(&tx, draft.owner, draft.session_id).await?;
            let place = place.ok_or_else(|| no_timeline(draft.owner))?;
            if !replace_draft(&tx, draft.owner, draft.conversation, &draft.text).await? {
                // Nothing is committed: the place is given back.
                return Ok(None);
            }
            let event = EntryKind::DraftChanged(DraftChanged {
                conversation_id: draft.conversation_id.clone(),
                text: draft.text.clone(),
            });
            let entry = place.fill(&tx, About::conversation(draft.conversation), event).await?;
            tx.commit().await?;
            Ok(Some(entry))
        })
    }
}

/// Whether the draft says something else than before. Behind the lock of the owner's timeline.
pub(super) async fn replace_draft(
    tx: &Transaction<'_>,
    owner: UserNo,
    conversation: ConversationNo,
    text: &str,
) -> Result<bool> {
    let (owner, conversation) = (owner.0, conversation.0);
    let changed = if text.is_empty() {
        let statement =
            tx.prepare_cached("DELETE FROM drafts WHERE owner = $1 AND conversation = $2").await?;
        tx.execute(&statement, &[&owner, &conversation]).await?
    } else {
        let statement = tx
            .prepare_cached(
                "INSERT INTO drafts (owner, conversation, text) VALUES ($1, $2, $3)
                 ON CONFLICT (owner, conversation) DO UPDATE SET text = excluded.text
                 WHERE drafts.text <> excluded.text",
            )
            .await?;
        tx.execute(&statement, &[&owner, &conversation, &text]).await?
    };
    Ok(changed > 0)
}
