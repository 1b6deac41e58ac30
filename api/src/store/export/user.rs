//! What is exported of a user beside its messages.

use std::collections::HashSet;

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    model::{
        ConversationId, ConversationRecord, MOST_SCHEDULED, Result, UserId, UserNo, UserRecord,
    },
    store::{
        Store, conversation_settings::read_settings, conversations::in_conversations, reading,
        timelines::Closed,
    },
};

impl Store {
    /// What a user shows of itself, and has set and begun. Nothing is said of groups that are dissolved.
    pub async fn export_user(&self, owner: UserNo) -> Result<UserRecord> {
        let row = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    "SELECT user_id, coalesce(name, '') AS name, coalesce(avatar_url, '') AS avatar_url,
                         coalesce(attributes, '{}') AS attributes, now() AS at
                     FROM users WHERE user_no = $1",
                )
                .await?;
            Ok(client.query_one(&statement, &[&owner.0]).await?)
        })?;
        let first = (OffsetDateTime::UNIX_EPOCH, Uuid::nil());
        let mut scheduled = self.scheduled(owner, first, MOST_SCHEDULED).await?;
        scheduled.retain(|message| message.refusal.is_none());
        Ok(UserRecord {
            at: row.get("at"),
            user_id: UserId::from_stored(row.get("user_id")),
            name: row.get("name"),
            avatar_url: row.get("avatar_url"),
            attributes: row.get("attributes"),
            conversations: self.export_conversations(owner).await?,
            scheduled,
        })
    }

    async fn export_conversations(&self, owner: UserNo) -> Result<Vec<ConversationRecord>> {
        let sql = format!(
            "SELECT coalesce(s.conversation, d.conversation) AS conversation,
                 coalesce(s.pinned, false) AS pinned, coalesce(s.archived, false) AS archived,
                 coalesce(s.marked_unread, false) AS marked_unread, s.muted_until,
                 coalesce(s.hidden_to > 0 AND NOT EXISTS (SELECT FROM {newer} newer), false) AS hidden,
                 coalesce(d.text, '') AS draft
             FROM (SELECT * FROM conversation_settings WHERE owner = $1) s
             FULL JOIN (SELECT * FROM drafts WHERE owner = $1) d ON d.conversation = s.conversation
             WHERE coalesce(s.conversation, d.conversation) > 0 OR EXISTS (
                 SELECT FROM timelines t
                 WHERE t.owner = coalesce(s.conversation, d.conversation) AND t.state <> {gone}
             )
             ORDER BY 1",
            gone = Closed::Deleted as i16,
            newer = in_conversations(
                "seq",
                "owner = $1 AND conversation = s.conversation AND seq > s.hidden_to",
                "seq DESC LIMIT 1"
            ),
        );
        let rows = reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            Ok(client.query(&statement, &[&owner.0]).await?)
        })?;
        let numbers = |keep: fn(i64) -> Option<i64>| -> HashSet<i64> {
            rows.iter().filter_map(|row| keep(row.get("conversation"))).collect()
        };
        let users = self.known_users(&numbers(|no| (no > 0).then_some(no))).await?;
        let groups = self.group_ids(&numbers(|no| (no < 0).then_some(-no))).await?;
        let record = |row: &Row| {
            let no: i64 = row.get("conversation");
            let conversation_id = if no > 0 {
                ConversationId::User(users.get(&no)?.user_id.clone())
            } else {
                ConversationId::Group(groups.get(&-no)?.clone())
            };
            let settings = read_settings(row, row.get("hidden"));
            Some(ConversationRecord { conversation_id, settings, draft: row.get("draft") })
        };
        Ok(rows.iter().filter_map(record).collect())
    }
}
