//! What becomes of the items of a batch that must not be appended.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Append, Appended, Item};
use crate::{
    model::{Cursor, Error, IfBlocked, MessageId, Result, UserNo},
    store::{sessions::read_end, timelines::Closed},
};

/// What is said of a session that left no trace.
const UNKNOWN: &str = "the token's session is not known";

/// What becomes of an item that must not be appended as it is.
pub(super) enum Verdict {
    /// This is its result.
    Settled(Result<Appended>),
    /// It is to be appended without the recipient's copy, or with it after all.
    Withhold(bool),
}

/// The verdicts on the items that were refused, by their place in the batch.
pub(super) fn verdicts(
    items: &[Item<'_>],
    refused: &[Row],
    in_doubt: bool,
) -> Vec<(usize, Verdict)> {
    let verdict = |row: &Row| {
        // Counted from 1.
        let position = usize::try_from(row.get::<_, i64>("item") - 1).unwrap_or(usize::MAX);
        (position, verdict(items[position].append, row, in_doubt))
    };
    refused.iter().map(verdict).collect()
}

fn verdict(item: &Append, row: &Row, in_doubt: bool) -> Verdict {
    let settled = ended_or_earlier(item, row, in_doubt)
        .or_else(|| closed(item, row).map(Err))
        .or_else(|| blocked(item, row).map(Err));
    settled.map_or_else(|| Verdict::Withhold(row.get("blocked")), Verdict::Settled)
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

/// Why a block stands in the way.
fn blocked(item: &Append, row: &Row) -> Option<Error> {
    if row.get("recipient_blocked") {
        return Some(Error::RecipientBlocked(item.recipient_id.clone()));
    }
    let refuse = matches!(item.if_blocked, IfBlocked::Refuse) && row.get("blocked");
    refuse.then(|| Error::Blocked(item.recipient_id.clone()))
}

/// The result of an item whose session has ended, or whose id was used before.
fn ended_or_earlier(item: &Append, row: &Row, in_doubt: bool) -> Option<Result<Appended>> {
    // A message that this very call has committed stands, whatever became of its session since.
    if in_doubt && let Some(appended) = earlier(item, row) {
        return Some(Ok(appended));
    }
    if row.get::<_, Option<Uuid>>("session").is_none() {
        return Some(Err(Error::InvalidToken(UNKNOWN)));
    }
    if let Some(end) = read_end(row) {
        return Some(Err(end.into()));
    }
    row.get::<_, Option<i64>>("seq")?;
    Some(earlier(item, row).ok_or(Error::ClientMessageIdConflict))
}

/// The same message, where it stands already.
fn earlier(item: &Append, row: &Row) -> Option<Appended> {
    let same_recipient = row.get::<_, Option<i64>>("conversation") == Some(item.recipient.0);
    let same_content = row.get::<_, Option<&[u8]>>("earlier_hash") == Some(&item.content_hash);
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
        other_nodes: None,
    })
}
