//! Reactions to messages: who may react, who is told and how often, and that they go with the message and with the
//! account.

mod groups;
mod races;
mod users;

use crate::support::{
    cluster::Cluster,
    eventually,
    terminal::Terminal,
    types::{Entry, Kind, Reaction, ReactionsChanged},
};

/// What an entry says of the reactions to a message.
fn changed(entry: &Entry) -> &ReactionsChanged {
    let Kind::ReactionsChanged(changed) = &entry.kind else { panic!("{entry:?}") };
    changed
}

/// How many entries of a timeline tell of reactions.
fn told(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| matches!(entry.kind, Kind::ReactionsChanged(_))).count()
}

/// Reactions in short: `👍 2`, with a star behind those of the owner's own.
fn short(reactions: &[Reaction]) -> Vec<String> {
    let short = |Reaction { reaction, count, own }: &Reaction| {
        format!("{reaction} {count}{}", if *own { "*" } else { "" })
    };
    reactions.iter().map(short).collect()
}

/// The reactions to a message as the history of a conversation shows them.
async fn in_history(terminal: &Terminal, peer: &str, message_id: &str) -> Vec<String> {
    let entries = terminal.history(peer, 200, "").await.expect("a page").entries;
    let found = entries.iter().find(|entry| entry.message().message_id == message_id);
    short(&found.expect("the message").message().reactions)
}

/// Waits until nothing is left to be told: the rows of the messages that were told of lately are gone.
async fn all_is_told(imd: &Cluster) {
    let sql = imd.database.sql().await;
    eventually("all is told", async || {
        let left = "SELECT count(*) FROM reactions_told";
        let left: i64 = sql.query_one(left, &[]).await.expect("a count").get(0);
        (left == 0).then_some(())
    })
    .await;
}

/// How many rows there are of who reacts with what, and how many summaries.
async fn rows(imd: &Cluster) -> (i64, i64) {
    let sql = imd.database.sql().await;
    let rows = "SELECT (SELECT count(*) FROM reactions),
         (SELECT count(*) FROM entries WHERE reactions IS NOT NULL)";
    let row = sql.query_one(rows, &[]).await.expect("two counts");
    (row.get(0), row.get(1))
}
