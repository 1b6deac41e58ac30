//! Messages that go: recalled by their sender, or deleted by one participant for itself.

mod delete;
mod races;
mod recall;
mod retry;

use crate::support::{
    cluster::Cluster,
    types::{Entry, Kind, MessageGone},
};

/// What a timeline says of a message at `seq` that is gone.
fn gone(message_id: &str, peer: &str, seq: i64) -> MessageGone {
    let conversation_id = format!("user:{peer}");
    MessageGone { message_id: message_id.to_owned(), conversation_id, seq }
}

/// The tombstone that an entry is; empty when it is a message as it was sent.
fn tombstone(entry: &Entry) -> &str {
    entry.message().tombstone.as_deref().unwrap_or_default()
}

/// How many recalls and deletions a timeline tells of.
fn told(entries: &[Entry]) -> usize {
    let is_told =
        |entry: &&Entry| matches!(entry.kind, Kind::MessageRecalled(_) | Kind::MessageDeleted(_));
    entries.iter().filter(is_told).count()
}

/// How many rows of the database say `text`.
async fn rows_that_say(imd: &Cluster, text: &str) -> i64 {
    let sql = imd.database.sql().await;
    let rows = "SELECT count(*) FROM entries e
        WHERE encode(body, 'escape') LIKE '%' || $1 || '%' OR e::text LIKE '%' || $1 || '%'";
    sql.query_one(rows, &[&text]).await.expect("a number").get(0)
}

/// Makes all messages older.
pub(crate) async fn age(imd: &Cluster, minutes: i32) {
    let sql = imd.database.sql().await;
    let age =
        "UPDATE entries SET appended_at = appended_at - make_interval(mins => $1) WHERE kind = 1";
    sql.execute(age, &[&minutes]).await.expect("older messages");
}
