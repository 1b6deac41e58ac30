//! Where a message has got to.

mod groups;

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    Audit, Store, Transaction, entries::KIND_MESSAGE, timelines::Closed, transaction,
    users::DELETED,
};
use crate::model::{
    ConversationNo, Error, GroupId, MessageId, Result, SealedMessageId, Tombstone, UserNo,
};

/// How a message is named.
#[derive(Debug, Clone)]
pub enum MessageName {
    /// By its id.
    Id(MessageId),
    /// By the id that its sender gave it.
    ByClient {
        /// Who sent it.
        sender: UserNo,
        /// The sender's id for it.
        client_message_id: Uuid,
    },
}

/// A message and the places of its copies.
#[derive(Debug)]
pub struct Trace {
    /// The message.
    pub message_id: SealedMessageId,
    /// Who sent it.
    pub sender: UserNo,
    /// The id that its sender gave it; `None` when nothing is kept of the sender's copy.
    pub client_message_id: Option<Uuid>,
    /// The sender's copy, then the others; between users the sender's alone when nothing is kept of it,
    /// for it knows the others.
    pub copies: Vec<MessageCopy>,
    /// Where it stands once; `None` between users.
    pub home: Option<MessageHome>,
}

/// Where a message of a group stands, once for all members.
#[derive(Debug, Clone)]
pub struct MessageHome {
    /// The group.
    pub group_id: GroupId,
    /// The place in its timeline.
    pub seq: i64,
    /// What has become of it.
    pub state: CopyState,
    /// When it was appended.
    pub appended_at: OffsetDateTime,
}

/// One participant's copy.
#[derive(Debug, Clone)]
pub struct MessageCopy {
    /// Whose timeline it is in.
    pub owner: UserNo,
    /// The stamp of that timeline's numbering; `None` when the timeline is gone.
    pub epoch: Option<i64>,
    /// The place in it.
    pub seq: i64,
    /// What has become of it.
    pub state: CopyState,
    /// When it was appended; `None` when it is gone, or not there yet.
    pub appended_at: Option<OffsetDateTime>,
    /// What holds in a group alone.
    pub in_group: Option<CopyInGroup>,
}

/// How far a member of a group is.
#[derive(Debug, Clone, Copy)]
pub struct CopyInGroup {
    /// The place in the group's timeline up to which the member's has been brought.
    pub fanned_to: i64,
    /// Whether the member has read the message; `None` for its sender.
    pub read: Option<bool>,
}

/// What has become of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyState {
    /// It stands as it was sent.
    There,
    /// It keeps its place without what it said.
    Gone(Tombstone),
    /// It was deleted when its owner's tier had long hidden it.
    Purged,
    /// It was deleted with its owner's account.
    OwnerDeleted,
    /// The fan-out of its group is to bring it.
    Pending,
}

impl Store {
    /// Finds a message and its copies. Errors: [`Error::MessageNotFound`].
    pub async fn trace_message(&self, name: &MessageName, audit: Audit<'_>) -> Result<Trace> {
        transaction!(self, async |tx| {
            let message_id = match name {
                MessageName::Id(message_id) => *message_id,
                MessageName::ByClient { sender, client_message_id } => {
                    sent(&tx, *sender, *client_message_id).await?
                }
            };
            let MessageId { home, seq, generation } = message_id;
            if let Some(group_no) = home.group() {
                let trace = self.trace_in_group(&tx, group_no, message_id).await?;
                audit.record(&tx, Some(trace.sender)).await?;
                tx.commit().await?;
                return Ok(trace);
            }
            let sender = home.user().ok_or(Error::MessageNotFound)?;
            let own = tx
                .query_opt(
                    "SELECT client_message_id, copies FROM entries
                 WHERE owner = $1 AND seq = $2 AND kind = $3 AND sender = owner
                     AND coalesce(generation, 0::smallint) = $4",
                    &[&sender.0, &seq, &KIND_MESSAGE, &generation],
                )
                .await?;
            let others: Option<Vec<i64>> = own.as_ref().and_then(|row| row.get("copies"));
            let mut places = vec![sender.0, seq];
            places.extend(others.unwrap_or_default());
            let copies = copies(&tx, &places).await?;
            if own.is_none() && !was_a_place(&tx, message_id).await? {
                return Err(Error::MessageNotFound);
            }
            audit.record(&tx, Some(sender)).await?;
            tx.commit().await?;
            let client_message_id = own.and_then(|row| row.get("client_message_id"));
            let message_id = self.message_id_cipher().await?.seal(message_id)?;
            Ok(Trace { message_id, sender, client_message_id, copies, home: None })
        })
    }
}

async fn sent(tx: &Transaction<'_>, sender: UserNo, id: Uuid) -> Result<MessageId> {
    let row = tx
        .query_opt(
            "SELECT conversation, home_seq, coalesce(generation, 0::smallint) AS generation FROM entries
             WHERE owner = $1 AND client_message_id = $2",
            &[&sender.0, &id],
        )
        .await?;
    let row = row.ok_or(Error::MessageNotFound)?;
    let group = ConversationNo(row.get("conversation")).group();
    Ok(MessageId {
        home: group.map_or(sender.into(), Into::into),
        seq: row.get("home_seq"),
        generation: row.get("generation"),
    })
}

/// Whether what stood at the place is gone. It was a message, or else nobody would know of the id.
async fn was_a_place(tx: &Transaction<'_>, message_id: MessageId) -> Result<bool> {
    let purged = tx
        .query_opt(
            "SELECT FROM timelines WHERE owner = $1 AND $2::bigint BETWEEN 1 AND purged_to
             UNION ALL SELECT FROM users WHERE user_no = $1 AND state = $3 AND $2 > 0",
            &[&message_id.home.0, &message_id.seq, &DELETED],
        )
        .await?;
    Ok(purged.is_some())
}

/// What stands at places given as owner, seq, owner, seq …
async fn copies(tx: &Transaction<'_>, places: &[i64]) -> Result<Vec<MessageCopy>> {
    let (owners, seqs): (Vec<i64>, Vec<i64>) =
        places.chunks_exact(2).map(|place| (place[0], place[1])).unzip();
    let rows = tx
        .query(
            "SELECT p.owner, stamp(t.epoch) AS epoch, p.seq, e.tombstone, e.appended_at,
                 coalesce(t.state = $3, true) AS owner_deleted
             FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY p (owner, seq, place)
             LEFT JOIN timelines t ON t.owner = p.owner
             LEFT JOIN entries e ON e.owner = p.owner AND e.seq = p.seq AND e.seq > t.purged_to
             ORDER BY p.place",
            &[&owners, &seqs, &(Closed::Deleted as i16)],
        )
        .await?;
    let copy = |row: &Row| MessageCopy {
        owner: UserNo(row.get("owner")),
        epoch: row.get("epoch"),
        seq: row.get("seq"),
        state: state(row),
        appended_at: row.get("appended_at"),
        in_group: None,
    };
    Ok(rows.iter().map(copy).collect())
}

fn state(row: &Row) -> CopyState {
    if row.get("owner_deleted") {
        return CopyState::OwnerDeleted;
    }
    if row.get::<_, Option<OffsetDateTime>>("appended_at").is_none() {
        return CopyState::Purged;
    }
    standing(row.get("tombstone"))
}

/// What has become of what stands in its place.
fn standing(tombstone: Option<i16>) -> CopyState {
    tombstone.and_then(Tombstone::from_number).map_or(CopyState::There, CopyState::Gone)
}
