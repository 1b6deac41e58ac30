//! Users that are deleted: the account, its timeline, and what others have from it.

mod account;
mod sent;
mod unfinished;

use crate::support::{
    cluster::Cluster,
    types::{Entry, Kind, MessagesErased},
};

/// What a timeline says when a peer's messages are erased.
fn erased(peer: &str) -> Kind {
    Kind::MessagesErased(MessagesErased {
        conversation_id: format!("user:{peer}"),
        sender_id: peer.to_owned(),
    })
}

/// What the messages among the entries say; the tombstone of those that say nothing any more.
fn shown(entries: &[Entry]) -> Vec<&str> {
    let messages = entries.iter().filter_map(|entry| Some((entry, entry.as_message()?)));
    messages.map(|(entry, m)| m.tombstone.as_deref().unwrap_or_else(|| entry.text())).collect()
}

/// How many rows of the database, the tombstone and the audit records left out, are about a user.
async fn rows_about(imd: &Cluster, user_id: &str) -> i64 {
    let rows = "
        SELECT sum(n)::bigint FROM users u, LATERAL (
            SELECT count(*) FROM entries WHERE owner = u.user_no
            UNION ALL SELECT count(*) FROM timelines WHERE owner = u.user_no
            UNION ALL SELECT count(*) FROM sessions WHERE user_no = u.user_no
            UNION ALL SELECT count(*) FROM read_marks WHERE owner = u.user_no
            UNION ALL SELECT count(*) FROM purged_conversations WHERE owner = u.user_no
            UNION ALL SELECT count(*) FROM conversations WHERE owner = u.user_no
            UNION ALL SELECT count(*) FROM conversation_lists WHERE owner = u.user_no
            UNION ALL SELECT count(*) FROM deletions WHERE user_no = u.user_no
            UNION ALL SELECT count(*) FROM deletion_peers WHERE user_no = u.user_no
        ) rows (n) WHERE u.user_id = $1";
    imd.database.sql().await.query_one(rows, &[&user_id]).await.expect("a count").get(0)
}
