//! What becomes of the items of a batch that must not be appended.

use std::collections::BTreeMap;

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Append, Appended, Item, places::Counter};
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

/// The items that must not be appended as they are.
pub(super) fn verdicts(
    items: &[Item<'_>],
    counters: &BTreeMap<i64, Counter>,
    checked: &[Row],
    in_doubt: bool,
) -> Vec<(usize, Verdict)> {
    let checked: BTreeMap<i64, &Row> = checked.iter().map(|row| (row.get("item"), row)).collect();
    let verdict = |((position, item), number): ((usize, &Item<'_>), i64)| {
        let row = checked.get(&number).copied();
        Some((position, verdict(item, counters, row, in_doubt)?))
    };
    items.iter().enumerate().zip(0..).filter_map(verdict).collect()
}

fn verdict(
    item: &Item<'_>,
    counters: &BTreeMap<i64, Counter>,
    row: Option<&Row>,
    in_doubt: bool,
) -> Option<Verdict> {
    let Append { recipient_id, if_blocked, .. } = item.append;
    if let Some(result) = row.and_then(|row| ended_or_earlier(item.append, row, in_doubt)) {
        return Some(Verdict::Settled(result));
    }
    if let Some(refusal) = closed(item.append, counters) {
        return Some(Verdict::Settled(Err(refusal)));
    }
    let says = |column| row.is_some_and(|row| row.get(column));
    if says("recipient_blocked") {
        return Some(Verdict::Settled(Err(Error::RecipientBlocked(recipient_id.clone()))));
    }
    match (says("blocked"), if_blocked) {
        (true, IfBlocked::Refuse) => {
            Some(Verdict::Settled(Err(Error::Blocked(recipient_id.clone()))))
        }
        (blocked, _) => (blocked != item.withheld).then_some(Verdict::Withhold(blocked)),
    }
}

/// Why nothing can be appended to one of the timelines.
fn closed(item: &Append, counters: &BTreeMap<i64, Counter>) -> Option<Error> {
    let closed = |owner: UserNo| match counters.get(&owner.0) {
        Some(counter) => counter.closed,
        None => Some(Closed::Deleted),
    };
    Some(match (closed(item.sender), closed(item.recipient)) {
        (Some(_), _) => Error::InvalidToken(UNKNOWN),
        (None, Some(Closed::Deleted)) => Error::UserNotFound(item.recipient_id.clone()),
        (None, Some(Closed::Importing)) => Error::ImportUnfinished(item.recipient_id.clone()),
        (None, None) => return None,
    })
}

/// The result of an item whose session has ended, or whose id was used before.
fn ended_or_earlier(item: &Append, row: &Row, in_doubt: bool) -> Option<Result<Appended>> {
    // A message that this very call has committed stands, whatever became of its session since.
    if in_doubt && let Some(appended) = earlier(item, row) {
        return Some(Ok(appended));
    }
    if row.get::<_, Option<Uuid>>("session_id").is_none() {
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
