//! What becomes of the items of a batch that are not appended as they came.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Append, Appended};
use crate::{
    model::{Cursor, Error, IfBlocked, MessageId, MessageIdCipher, Result, TimelineNo},
    store::{sessions::read_end, timelines::Closed},
};

/// What is said of a session that left no trace.
const UNKNOWN: &str = "the token's session is not known";

/// Which copies of an item were not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// None was made.
    Refused,
    /// The recipient's was not: it blocks the sender, who is not to know.
    Withheld,
}

/// Which copies were not made, by a row of the statement that appends.
pub(super) fn held(row: &Row) -> Held {
    if row.get("refused") { Held::Refused } else { Held::Withheld }
}

/// The result of an item that was refused; `in_doubt` when an earlier attempt may have been committed.
pub(super) fn verdict(
    item: &Append,
    row: &Row,
    in_doubt: bool,
    cipher: &MessageIdCipher,
) -> Result<Appended> {
    // A message that this very call has committed stands, whatever became of its session since.
    if in_doubt && let Some(appended) = earlier(item, row, cipher)? {
        return Ok(appended);
    }
    if row.get::<_, Option<Uuid>>("session").is_none() {
        return Err(Error::InvalidToken(UNKNOWN));
    }
    if let Some(end) = read_end(row) {
        return Err(end.into());
    }
    if row.get::<_, Option<i64>>("seq").is_some() {
        return earlier(item, row, cipher)?.ok_or(Error::ClientMessageIdConflict);
    }
    Err(closed(item, row).unwrap_or_else(|| blocked(item, row)))
}

/// Why nothing can be appended to one of the timelines.
fn closed(item: &Append, row: &Row) -> Option<Error> {
    let closed = |state| match row.get::<_, Option<i16>>(state) {
        Some(state) => Closed::read(state),
        None => Some(Closed::Deleted),
    };
    Some(match (closed("sender_state"), closed("recipient_state")) {
        (Some(_), _) => Error::InvalidToken(UNKNOWN),
        (None, Some(Closed::Deleted)) => Error::UserNotFound(item.recipient_id.clone()),
        (None, Some(Closed::Importing)) => Error::ImportUnfinished(item.recipient_id.clone()),
        (None, None) => return None,
    })
}

/// Which block stands in the way.
fn blocked(item: &Append, row: &Row) -> Error {
    if row.get("recipient_blocked") {
        return Error::RecipientBlocked(item.recipient_id.clone());
    }
    debug_assert!(matches!(item.if_blocked, IfBlocked::Refuse), "nothing else is in the way");
    Error::Blocked(item.recipient_id.clone())
}

/// The same message, where it stands already.
fn earlier(item: &Append, row: &Row, cipher: &MessageIdCipher) -> Result<Option<Appended>> {
    let same_recipient = row.get::<_, Option<i64>>("conversation") == Some(item.recipient.0);
    let same_content = row.get::<_, Option<&[u8]>>("earlier_hash") == Some(&item.content_hash);
    if !(same_recipient && same_content) {
        return Ok(None);
    }
    let cursor = Cursor { epoch: row.get("epoch"), seq: row.get("seq") };
    let sender = TimelineNo::from(item.sender);
    let copies: Option<Vec<i64>> = row.get("copies");
    let others = copies.unwrap_or_default();
    let others = others.chunks_exact(2).map(|copy| (TimelineNo(copy[0]), copy[1]));
    Ok(Some(Appended {
        message_id: cipher.seal(MessageId { home: sender, seq: cursor.seq })?,
        cursor,
        appended_at: row.get("appended_at"),
        duplicate: true,
        places: std::iter::once((sender, cursor.seq)).chain(others).collect(),
        entries: Vec::new(),
        other_nodes: None,
    }))
}
