//! Reading conversations backward: the list of them, and the messages of one.

use tokio_postgres::Row;

use super::{Store, entries::ENTRY_COLUMNS, retention::timeline, timelines::read_state};
use crate::model::{
    Conversation, ConversationNo, Entry, EntryKind, MOST_UNREAD, Result, TimelineState, UserNo,
};

/// Which entries stand in conversations: the predicate of the index that they are found with.
pub(super) const IN_CONVERSATION: &str = "kind = 1 AND tombstone IS DISTINCT FROM 2";

/// How many messages of a conversation are looked at to count the unread ones: more than
/// [`MOST_UNREAD`], since recalled ones do not count; not all, however many of those there are.
const LOOKED_AT: i64 = 2 * MOST_UNREAD;

/// Messages of one conversation.
#[derive(Debug)]
pub struct HistoryPage {
    /// How far the timeline reaches.
    pub state: TimelineState,
    /// Newest first.
    pub entries: Vec<Entry>,
}

impl Store {
    /// The owner's conversations, the one with the newest message first: at most `limit`, with their
    /// newest messages all below the place `before`.
    ///
    /// Unread are the messages of others after the owner's read mark and after its own newest message,
    /// recalled ones left out: counted here and not kept, so that a message costs no write for it.
    pub async fn conversations(
        &self,
        owner: UserNo,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Conversation>> {
        let client = self.client().await?;
        // Hops from conversation to conversation on the index, one probe each: the cost is that of
        // the conversations and not of their messages. Unread messages are counted for the page alone,
        // backward from the newest, and not at all where that is the owner's; the index has all that
        // it takes. Those after an own message are counted on their own, since most often there is no
        // such message and a window over all of them would cost as much again.
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
                 ), {timeline}
                 SELECT timeline.epoch, {ENTRY_COLUMNS}, coalesce(m.read_seq, 0) AS read_seq,
                     coalesce(m.peer_read_seq, 0) AS peer_read_seq,
                     CASE WHEN latest.own IS NULL THEN latest.count ELSE (
                         SELECT count(*) FROM entries
                         WHERE owner = $1 AND conversation = page.conversation
                             AND {IN_CONVERSATION} AND seq > latest.own AND tombstone IS NULL
                     ) END AS unread_count,
                     CASE WHEN page.conversation < 0 THEN (
                         SELECT count(*) FROM (
                             SELECT flags FROM entries
                             WHERE owner = $1 AND conversation = page.conversation
                                 AND {IN_CONVERSATION} AND tombstone IS NULL
                                 AND seq > greatest(m.read_seq, latest.own, timeline.floor - 1)
                             ORDER BY seq DESC LIMIT {LOOKED_AT}
                         ) unread WHERE flags & 1 <> 0
                     ) ELSE 0 END AS unread_mentions
                 FROM timeline
                 CROSS JOIN LATERAL (
                     SELECT conversation, seq FROM newest
                     WHERE seq >= timeline.floor AND seq < $2
                     ORDER BY seq DESC LIMIT $3
                 ) page
                 JOIN entries e ON e.owner = $1 AND e.seq = page.seq
                 LEFT JOIN read_marks m ON m.owner = $1 AND m.conversation = page.conversation
                 CROSS JOIN LATERAL (
                     SELECT count(*) AS count, max(seq) FILTER (WHERE sender = $1) AS own FROM (
                         SELECT seq, sender FROM (
                             SELECT seq, sender, tombstone FROM entries
                             WHERE owner = $1 AND conversation = page.conversation
                                 AND {IN_CONVERSATION} AND seq > coalesce(m.read_seq, 0)
                                 AND seq >= timeline.floor AND e.sender <> $1
                             ORDER BY seq DESC LIMIT {LOOKED_AT}
                         ) looked_at
                         WHERE tombstone IS NULL OR sender = $1
                         ORDER BY seq DESC LIMIT {MOST_UNREAD}
                     ) latest
                 ) latest
                 ORDER BY e.seq DESC",
                timeline = timeline(),
            ))
            .await?;
        let rows = client.query(&statement, &[&owner.0, &before, &limit]).await?;
        drop(client);
        let Some(first) = rows.first() else { return Ok(Vec::new()) };
        let last_messages = self.entries_of(first.get("epoch"), &rows).await?;
        let peers =
            self.known_users(&rows.iter().map(|row| row.get("conversation")).collect()).await?;
        let conversation = |(last_message, row): (Entry, &Row)| {
            let EntryKind::Message(message) = &last_message.kind else { return None };
            Some(Conversation {
                conversation_id: message.conversation_id.clone(),
                peer_deleted: peers.get(&row.get("conversation")).is_some_and(|peer| peer.deleted),
                last_message,
                read_seq: row.get("read_seq"),
                unread_count: row.get("unread_count"),
                unread_mentions: row.get("unread_mentions"),
                peer_read_seq: row.get("peer_read_seq"),
            })
        };
        Ok(last_messages.into_iter().zip(&rows).filter_map(conversation).collect())
    }

    /// Whether the conversation had messages that are now below `floor` or purged.
    pub async fn has_hidden_history(
        &self,
        owner: UserNo,
        conversation: ConversationNo,
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
        Ok(client.query_one(&statement, &[&owner.0, &conversation.0, &floor]).await?.get(0))
    }

    /// The messages of one of the owner's conversations, newest first: at most `limit`, all below the
    /// place `before`.
    pub async fn history(
        &self,
        owner: UserNo,
        conversation: ConversationNo,
        before: i64,
        limit: i64,
    ) -> Result<HistoryPage> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "WITH RECURSIVE {timeline}
                 SELECT timeline.*, e.*
                 FROM timeline LEFT JOIN LATERAL (
                     SELECT {ENTRY_COLUMNS} FROM entries e
                     WHERE e.owner = $1 AND e.conversation = $2 AND {IN_CONVERSATION}
                         AND e.seq >= timeline.floor AND e.seq < $3
                     ORDER BY e.seq DESC LIMIT $4
                 ) e ON true
                 ORDER BY e.seq DESC",
                timeline = timeline(),
            ))
            .await?;
        let rows = client.query(&statement, &[&owner.0, &conversation.0, &before, &limit]).await?;
        drop(client);
        let Some(first) = rows.first() else { return Err(self.gone(owner).await) };
        let state = read_state(first);
        let entries = self.entries_of(state.epoch, &rows).await?;
        Ok(HistoryPage { state, entries })
    }
}
