//! What becomes of the items of a batch that must not be appended.

use std::collections::BTreeMap;

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Append, Appended, places::Counter};
use crate::{
    model::{Cursor, Error, MessageId, Result, UserNo},
    store::{sessions::read_end, timelines::Closed},
};

/// What is said of a session that left no trace.
const UNKNOWN: &str = "the token's session is not known";

/// The items that must not be appended, and their results.
pub(super) fn refusals(
    items: &[&Append],
    counters: &BTreeMap<i64, Counter>,
    checked: &[Row],
    in_doubt: bool,
) -> Vec<(usize, Result<Appended>)> {
    let mut refused: BTreeMap<usize, Result<Appended>> = BTreeMap::new();
    for (position, item) in items.iter().enumerate() {
        let closed = |owner: UserNo| match counters.get(&owner.0) {
            Some(counter) => counter.closed,
            None => Some(Closed::Deleted),
        };
        let refusal = match (closed(item.sender), closed(item.recipient)) {
            (Some(_), _) => Error::InvalidToken(UNKNOWN),
            (None, Some(Closed::Deleted)) => Error::UserNotFound(item.recipient_id.clone()),
            (None, Some(Closed::Importing)) => Error::ImportUnfinished(item.recipient_id.clone()),
            (None, None) => continue,
        };
        refused.insert(position, Err(refusal));
    }
    for row in checked {
        let position = usize::try_from(row.get::<_, i64>("item")).unwrap_or(usize::MAX);
        if let Some(item) = items.get(position) {
            refused.insert(position, verdict(item, row, in_doubt));
        }
    }
    refused.into_iter().collect()
}

fn verdict(item: &Append, row: &Row, in_doubt: bool) -> Result<Appended> {
    // A message that this very call has committed stands, whatever became of its session since.
    if in_doubt && let Some(appended) = earlier(item, row) {
        return Ok(appended);
    }
    if row.get::<_, Option<Uuid>>("session_id").is_none() {
        return Err(Error::InvalidToken(UNKNOWN));
    }
    if let Some(end) = read_end(row) {
        return Err(end.into());
    }
    earlier(item, row).ok_or(Error::ClientMessageIdConflict)
}

/// The same message, where it stands already.
fn earlier(item: &Append, row: &Row) -> Option<Appended> {
    let same_recipient = row.get::<_, Option<i64>>("conversation") == Some(item.recipient.0);
    let same_content = row.get::<_, Option<&[u8]>>("content_hash") == Some(&item.content_hash);
    if !(same_recipient && same_content) {
        return None;
    }
    let cursor = Cursor { epoch: row.get("epoch"), seq: row.get("seq") };
    let copies: Option<Vec<i64>> = row.get("copies");
    let others = copies.unwrap_or_default();
    let others = others.chunks_exact(2).map(|copy| (UserNo(copy[0]), copy[1]));
    Some(Appended {
        message_id: MessageId { sender: item.sender, sender_seq: cursor.seq },
        cursor,
        appended_at: row.get("appended_at"),
        duplicate: true,
        places: std::iter::once((item.sender, cursor.seq)).chain(others).collect(),
        entries: Vec::new(),
    })
}
