//! What users show of themselves, have set and have begun, as it is imported.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{ImportedBatch, filled::Timelines, require_order};
use crate::{
    model::{
        ConversationNo, ConversationSettings, Error, MOST_SCHEDULED, Result, ScheduledMessage,
        UserId, UserNo,
    },
    store::{
        Store, Transaction,
        conversation_settings::write_settings,
        drafts::replace_draft,
        schedule::{count_scheduled, insert_scheduled},
        transaction,
    },
};

/// What a user shows of itself, has set and has begun elsewhere.
#[derive(Debug, Clone)]
pub struct ImportUser {
    /// Who.
    pub user_no: UserNo,
    /// The same, by id.
    pub user_id: UserId,
    /// When it held.
    pub at: OffsetDateTime,
    /// What people call the user; may be empty.
    pub name: String,
    /// Where a picture of the user is; empty for none.
    pub avatar_url: String,
    /// A JSON object.
    pub attributes: String,
    /// What is set for conversations and begun in them.
    pub conversations: Vec<ImportConversation>,
    /// The messages that wait to be sent.
    pub scheduled: Vec<ScheduledMessage>,
}

/// What is set for a conversation and begun in it.
#[derive(Debug, Clone)]
pub struct ImportConversation {
    /// Which.
    pub conversation: ConversationNo,
    /// What is set.
    pub settings: ConversationSettings,
    /// What is written so far; empty for no draft.
    pub draft: String,
}

impl Store {
    /// Has hold what a user shows of itself, has set and has begun. Its timeline belongs to the import from now on;
    /// one that no import has begun and that is not empty has it already, and is left.
    ///
    /// Errors: [`Error::UserNotFound`]; [`Error::InvalidArgument`] for a time that is out of order;
    /// [`Error::TooManyScheduled`].
    pub async fn import_user(
        &self,
        import_id: Uuid,
        last_at: Option<OffsetDateTime>,
        user: &ImportUser,
    ) -> Result<ImportedBatch> {
        let owner = user.user_no;
        transaction!(self, async |tx| {
            let mut timelines = Timelines::lock(&tx, &BTreeSet::from([owner.0])).await?;
            require_order(user.at, last_at, tx.now().await?)?;
            let gone = || Error::UserNotFound(user.user_id.clone());
            if !timelines.begin(owner.0, gone)? {
                return Ok(ImportedBatch { taken: 1, imported: 0, duplicates: 1 });
            }
            timelines.count(&tx, import_id).await?;
            show(&tx, user).await?;
            let last_seq = timelines.last_seq(owner.0);
            for ImportConversation { conversation, settings, draft } in &user.conversations {
                let hidden_to = if settings.hidden { last_seq } else { 0 };
                write_settings(&tx, owner, *conversation, *settings, hidden_to).await?;
                replace_draft(&tx, owner, *conversation, draft).await?;
            }
            for message in &user.scheduled {
                insert_scheduled(&tx, owner, message).await?;
            }
            if count_scheduled(&tx, owner).await? > MOST_SCHEDULED {
                return Err(Error::TooManyScheduled);
            }
            tx.commit().await?;
            Ok(ImportedBatch { taken: 1, imported: 1, duplicates: 0 })
        })
    }
}

/// Writes the profile. Nobody has to be told: none of its terminals is there yet, nor anybody with whom it has talked
/// here.
async fn show(tx: &Transaction<'_>, user: &ImportUser) -> Result<()> {
    let ImportUser { name, avatar_url, attributes, .. } = user;
    let values: [&(dyn ToSql + Sync); 4] = [&user.user_no.0, name, avatar_url, attributes];
    tx.execute(
        "UPDATE users SET name = nullif($2, ''), avatar_url = nullif($3, ''),
             attributes = nullif($4, '{}'), profile_version = profile_version + 1
         WHERE user_no = $1 AND (coalesce(name, ''), coalesce(avatar_url, ''), coalesce(attributes, '{}'))
             IS DISTINCT FROM ($2, $3, $4)",
        &values,
    )
    .await?;
    Ok(())
}
