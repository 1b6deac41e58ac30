//! Editing messages: who may, who is told, and that what was said before is nowhere but where it is kept.

mod groups;
mod kept;
mod races;
mod users;

use crate::support::{
    cluster::Cluster,
    types::{Content, Entry, Kind, MessageEdited},
};

/// What an entry says of an edit.
pub(crate) fn edited(entry: &Entry) -> &MessageEdited {
    let Kind::MessageEdited(edited) = &entry.kind else { panic!("{entry:?}") };
    edited
}

/// The text of the message that an entry says was edited.
fn new_text(entry: &Entry) -> &str {
    let Some(Content::Text(text)) = &edited(entry).message.content else { panic!("{entry:?}") };
    text
}

/// How many edits a timeline tells of.
fn told(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| matches!(entry.kind, Kind::MessageEdited(_))).count()
}

/// How many rows of the database say `text`, those of earlier versions included.
async fn rows_that_say(imd: &Cluster, text: &str) -> i64 {
    let sql = imd.database.sql().await;
    let rows = "SELECT (SELECT count(*) FROM entries
             WHERE position(convert_to($1, 'UTF8') IN body) > 0)
         + (SELECT count(*) FROM message_edits WHERE position(convert_to($1, 'UTF8') IN body) > 0)";
    sql.query_one(rows, &[&text]).await.expect("a number").get(0)
}
