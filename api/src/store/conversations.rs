//! Reading the messages of a conversation, backward.

use tokio_postgres::types::ToSql;

use super::{
    Store,
    entries::{ENTRY_COLUMNS, EntryPage, within_page},
    reading,
    retention::timeline,
    timelines::read_state,
};
use crate::model::{ConversationNo, Entry, Result, TimelineState, UserNo};

/// Which entries stand in conversations: messages, but for those that the owner has deleted.
pub(super) const IN_CONVERSATION: &str = "kind = 1 AND tombstone IS DISTINCT FROM 2";

/// Messages that still say something: the predicate of the index `entries_said`.
pub(super) const SAID: &str = "kind = 1 AND tombstone IS NULL";

/// Messages that were recalled or erased, which conversations show as such: the predicate of the index
/// `entries_gone`. Apart from the others, so that any number of them delays no count of unread messages.
const GONE: &str = "kind = 1 AND tombstone <> 2";

/// Messages of groups that mention the owner of the timeline, and the owner's own, behind which it has
/// read them: the predicate of the index `entries_marked_in_group`. So that any number of others delays
/// no count of unread mentions.
pub(super) const MARKED_IN_GROUP: &str = "kind = 1 AND tombstone IS NULL AND conversation < 0
     AND (sender = owner OR flags & 1 <> 0)";

/// A subquery for the entries of conversations that satisfy `condition`: the first ones in `order`, which
/// ends in a limit, of each of the two indexes that hold them. To be put in order, and cut, once more.
pub(super) fn in_conversations(columns: &str, condition: &str, order: &str) -> String {
    let first = |kind| {
        format!("(SELECT {columns} FROM entries e WHERE {condition} AND {kind} ORDER BY {order})")
    };
    format!("({} UNION ALL {})", first(SAID), first(GONE))
}

/// Messages of one conversation.
#[derive(Debug)]
pub struct HistoryPage {
    /// How far the timeline reaches.
    pub state: TimelineState,
    /// Newest first.
    pub entries: Vec<Entry>,
    /// Whether there would be more within the limit, had the page not become too large in bytes.
    pub cut: bool,
}
impl Store {
    /// Whether the conversation had messages that are now below `floor` or purged.
    pub async fn has_hidden_history(
        &self,
        owner: UserNo,
        conversation: ConversationNo,
        floor: i64,
    ) -> Result<bool> {
        let sql = format!(
            "SELECT EXISTS (SELECT FROM purged_conversations
                                WHERE owner = $1 AND conversation = $2)
                     OR EXISTS (SELECT FROM {hidden} hidden)",
            hidden = in_conversations(
                "seq",
                "owner = $1 AND conversation = $2 AND seq < $3",
                "seq DESC LIMIT 1"
            ),
        );
        reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            Ok(client.query_one(&statement, &[&owner.0, &conversation.0, &floor]).await?.get(0))
        })
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
        let messages = in_conversations(
            ENTRY_COLUMNS,
            "owner = $1 AND conversation = $2 AND seq >= timeline.floor AND seq < $3",
            "seq DESC LIMIT $4",
        );
        let rows = format!("(SELECT * FROM {messages} e ORDER BY e.seq DESC LIMIT $4)");
        let sql = format!(
            "WITH RECURSIVE {timeline}
             SELECT timeline.*, e.*
             FROM timeline LEFT JOIN LATERAL ({page}) e ON true
             ORDER BY e.seq DESC",
            timeline = timeline(),
            page = within_page(&rows, "e.seq DESC"),
        );
        let values: [&(dyn ToSql + Sync); 4] = [&owner.0, &conversation.0, &before, &limit];
        let rows = reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            Ok(client.query(&statement, &values).await?)
        })?;
        let Some(first) = rows.first() else { return Err(self.gone(owner).await) };
        let state = read_state(first);
        let EntryPage { entries, cut } = self.page_of(state.epoch, &rows).await?;
        Ok(HistoryPage { state, entries, cut })
    }
}
