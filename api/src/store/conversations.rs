//! Reading conversations backward: the list of them, and the messages of one.

use super::{
    Store,
    entries::ENTRY_COLUMNS,
    timelines::{TIMELINE, no_timeline, read_state},
};
use crate::model::{Entry, Result, TimelineState, UserNo};

/// Which entries stand in conversations: the predicate of the index that they are found with.
const IN_CONVERSATION: &str = "kind = 1 AND tombstone IS DISTINCT FROM 2";

/// The newest messages of the newest conversations.
#[derive(Debug)]
pub struct ConversationsPage {
    /// The stamp and reach of the timeline they are from.
    pub state: TimelineState,
    /// The newest message of each, newest first.
    pub last_messages: Vec<Entry>,
}

/// Messages of one conversation.
#[derive(Debug)]
pub struct HistoryPage {
    /// How far the timeline reaches.
    pub state: TimelineState,
    /// Newest first.
    pub entries: Vec<Entry>,
}

impl Store {
    /// The newest message of each of the owner's conversations, newest first: at most `limit`, all
    /// below the place `before`.
    pub async fn conversations(
        &self,
        owner: UserNo,
        before: i64,
        limit: i64,
    ) -> Result<ConversationsPage> {
        let client = self.client().await?;
        // Hops from conversation to conversation on the index, one probe each: the cost is that of
        // the conversations and not of their messages.
        let statement = client
            .prepare_cached(&format!(
                "WITH RECURSIVE newest AS (
                     (SELECT conversation, seq FROM entries
                      WHERE owner = $1 AND {IN_CONVERSATION}
                      ORDER BY conversation DESC, seq DESC LIMIT 1)
                     UNION ALL
                     SELECT next.* FROM newest CROSS JOIN LATERAL (
                         SELECT conversation, seq FROM entries
                         WHERE owner = $1 AND {IN_CONVERSATION}
                             AND conversation < newest.conversation
                         ORDER BY conversation DESC, seq DESC LIMIT 1
                     ) next
                 ), timeline AS MATERIALIZED ({TIMELINE})
                 SELECT timeline.*, e.*
                 FROM timeline LEFT JOIN LATERAL (
                     SELECT {ENTRY_COLUMNS}
                     FROM (SELECT seq FROM newest
                           WHERE seq >= timeline.floor AND seq < $2
                           ORDER BY seq DESC LIMIT $3) page
                     JOIN entries e ON e.owner = $1 AND e.seq = page.seq
                 ) e ON true
                 ORDER BY e.seq DESC"
            ))
            .await?;
        let rows = client.query(&statement, &[&owner.0, &before, &limit]).await?;
        drop(client);
        let state = read_state(rows.first().ok_or_else(|| no_timeline(owner))?);
        let last_messages = self.entries_of(state.epoch, &rows).await?;
        Ok(ConversationsPage { state, last_messages })
    }

    /// Whether the owner exchanged messages with `peer` that are now below `floor` or purged.
    pub async fn has_hidden_history(
        &self,
        owner: UserNo,
        peer: UserNo,
        floor: i64,
    ) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "SELECT EXISTS (SELECT FROM purged_conversations
                                WHERE owner = $1 AND conversation = $2)
                     OR EXISTS (SELECT FROM entries
                                WHERE owner = $1 AND conversation = $2 AND {IN_CONVERSATION} AND seq < $3)"
            ))
            .await?;
        Ok(client.query_one(&statement, &[&owner.0, &peer.0, &floor]).await?.get(0))
    }

    /// The messages that the owner exchanged with `peer`, newest first: at most `limit`, all below the
    /// place `before`.
    pub async fn history(
        &self,
        owner: UserNo,
        peer: UserNo,
        before: i64,
        limit: i64,
    ) -> Result<HistoryPage> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "WITH timeline AS MATERIALIZED ({TIMELINE})
                 SELECT timeline.*, e.*
                 FROM timeline LEFT JOIN LATERAL (
                     SELECT {ENTRY_COLUMNS} FROM entries e
                     WHERE e.owner = $1 AND e.conversation = $2 AND {IN_CONVERSATION}
                         AND e.seq >= timeline.floor AND e.seq < $3
                     ORDER BY e.seq DESC LIMIT $4
                 ) e ON true
                 ORDER BY e.seq DESC"
            ))
            .await?;
        let rows = client.query(&statement, &[&owner.0, &peer.0, &before, &limit]).await?;
        drop(client);
        let state = read_state(rows.first().ok_or_else(|| no_timeline(owner))?);
        let entries = self.entries_of(state.epoch, &rows).await?;
        Ok(HistoryPage { state, entries })
    }
}
