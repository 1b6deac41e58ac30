//! What becomes of the items of a batch that are not appended as they came.

use tokio_postgres::Row;

use super::{Append, Appended};
use crate::{
    model::{
        ConversationId, Cursor, Error, GroupRole, IfBlocked, MessageId, MessageIdCipher, Result,
        TimelineNo, WhoMay,
    },
    store::{
        sessions::read_end,
        timelines::{Closed, group_name},
    },
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
    if row.get("no_session") {
        return Err(Error::InvalidToken(UNKNOWN));
    }
    if let Some(end) = read_end(row) {
        return Err(end.into());
    }
    if row.get::<_, Option<i64>>("seq").is_some() {
        return earlier(item, row, cipher)?.ok_or(Error::ClientMessageIdConflict);
    }
    let refusal = closed(item, row)
        .or_else(|| kept_out(row))
        .or_else(|| not_taken(&item.conversation_id, row))
        .or_else(|| row.get::<_, bool>("quota_used").then_some(Error::MessageQuotaUsed));
    Err(refusal.unwrap_or_else(|| blocked(item)))
}

/// Why nothing can be appended to one of the timelines.
fn closed(item: &Append, row: &Row) -> Option<Error> {
    match (state(row, "sender_state"), item.session_id) {
        (None, _) => {}
        (Some(_), Some(_)) => return Some(Error::InvalidToken(UNKNOWN)),
        (Some(Closed::Deleted), None) => return Some(Error::UserNotFound(item.sender_id.clone())),
        (Some(Closed::Importing), None) => {
            return Some(Error::ImportUnfinished(item.sender_id.to_string()));
        }
    }
    other_closed(&item.conversation_id, row)
}

fn state(row: &Row, column: &str) -> Option<Closed> {
    match row.get::<_, Option<i16>>(column) {
        Some(state) => Closed::read(state),
        None => Some(Closed::Deleted),
    }
}

/// Why nothing can be sent to the recipient or the group, whoever sends it.
pub(in crate::store) fn other_closed(conversation_id: &ConversationId, row: &Row) -> Option<Error> {
    let closed = state(row, "other_state")?;
    Some(match (conversation_id, closed) {
        (ConversationId::Group(group_id), Closed::Deleted) => {
            Error::GroupNotFound(group_id.clone())
        }
        (ConversationId::Group(group_id), Closed::Importing) => {
            Error::ImportUnfinished(group_name(group_id.as_str()))
        }
        (ConversationId::User(user_id), Closed::Deleted) => Error::UserNotFound(user_id.clone()),
        (ConversationId::User(user_id), Closed::Importing) => {
            Error::ImportUnfinished(user_id.to_string())
        }
    })
}

/// Why the group does not take it.
pub(in crate::store) fn kept_out(row: &Row) -> Option<Error> {
    Some(match row.get::<_, Option<i32>>("group_refusal")? {
        1 => Error::NotAMember,
        2 => Error::Muted { until: row.get("muted_until") },
        3 => Error::Muted { until: None },
        _ => Error::GroupRoleNeeded(GroupRole::Admin),
    })
}

/// Whether the sender blocks the recipient, or is left out by whom the recipient takes messages from. Asked
/// before the recipient's own block: a user who is left out anyway does not learn of one.
pub(in crate::store) fn not_taken(conversation_id: &ConversationId, row: &Row) -> Option<Error> {
    let ConversationId::User(recipient) = conversation_id else { return None };
    if row.get("recipient_blocked") {
        return Some(Error::RecipientBlocked(recipient.clone()));
    }
    let from = row.get::<_, Option<i32>>("accepts_from")?;
    let from = i16::try_from(from).ok().and_then(WhoMay::from_number);
    let user_id = recipient.clone();
    Some(Error::NotAccepted { user_id, from: from.unwrap_or(WhoMay::Nobody) })
}

/// The recipient's block, which is all that is left to stand in the way.
fn blocked(item: &Append) -> Error {
    let ConversationId::User(recipient) = &item.conversation_id else {
        return Error::internal("a message to a group was refused without a reason");
    };
    debug_assert!(matches!(item.if_blocked, IfBlocked::Refuse), "nothing else is in the way");
    Error::Blocked(recipient.clone())
}

/// The same message, where it stands already.
fn earlier(item: &Append, row: &Row, cipher: &MessageIdCipher) -> Result<Option<Appended>> {
    let same_conversation = row.get::<_, Option<i64>>("conversation") == Some(item.conversation.0);
    let same_content = row.get::<_, Option<&[u8]>>("earlier_hash") == Some(&item.content_hash);
    if !(same_conversation && same_content) {
        return Ok(None);
    }
    let cursor = Cursor { epoch: row.get("epoch"), seq: row.get("seq") };
    let sender = (TimelineNo::from(item.sender), cursor.seq);
    let copies: Option<Vec<i64>> = row.get("copies");
    let others = copies.unwrap_or_default();
    let others: Vec<(TimelineNo, i64)> =
        others.chunks_exact(2).map(|copy| (TimelineNo(copy[0]), copy[1])).collect();
    let in_group = others.iter().find(|(owner, _)| owner.group().is_some());
    let (home, seq) = *in_group.unwrap_or(&sender);
    let generation = row.get::<_, Option<i16>>("generation").unwrap_or_default();
    Ok(Some(Appended {
        message_id: cipher.seal(MessageId { home, seq, generation })?,
        cursor,
        appended_at: row.get("appended_at"),
        duplicate: true,
        places: std::iter::once(sender).chain(others).collect(),
        entries: Vec::new(),
        other_nodes: None,
    }))
}
