//! Where a message of a group has got to: its home, and the references of the members.

use std::collections::HashMap;

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{CopyInGroup, CopyState, MessageCopy, MessageHome, Trace, standing};
use crate::{
    model::{Error, GroupId, GroupNo, MessageId, Result, TimelineNo, UserNo},
    store::{
        Store, Transaction, entries::KIND_MESSAGE, retention::floor_search, timelines::Closed,
    },
};

/// The home of a message.
struct Home {
    seq: i64,
    sender: UserNo,
    tombstone: Option<i16>,
    appended_at: OffsetDateTime,
}

impl Store {
    /// Finds a message of a group. Errors: [`Error::MessageNotFound`], also when its home is purged.
    pub(super) async fn trace_in_group(
        &self,
        tx: &Transaction<'_>,
        group_no: GroupNo,
        message_id: MessageId,
    ) -> Result<Trace> {
        let MessageId { seq, generation, .. } = message_id;
        let timeline = TimelineNo::from(group_no);
        let row = tx
            .query_opt(
                "SELECT g.group_id, e.sender, e.tombstone, e.appended_at
                 FROM groups g JOIN entries e ON e.owner = -g.group_no
                 WHERE g.group_no = $1 AND e.seq = $2 AND e.kind = $3
                     AND coalesce(e.generation, 0::smallint) = $4",
                &[&group_no.0, &seq, &KIND_MESSAGE, &generation],
            )
            .await?;
        let row = row.ok_or(Error::MessageNotFound)?;
        let home = Home {
            seq,
            sender: UserNo(row.get("sender")),
            tombstone: row.get("tombstone"),
            appended_at: row.get("appended_at"),
        };
        let members = tx
            .query(
                "SELECT user_no, joined_seq, left_seq, fanned_to, read_seq
                 FROM group_members WHERE group_no = $1 ORDER BY user_no <> $2, user_no",
                &[&group_no.0, &home.sender.0],
            )
            .await?;
        let owners: Vec<i64> = members.iter().map(|member| member.get("user_no")).collect();
        let references = references(tx, timeline, &home, &owners).await?;
        let copies = members.iter().filter_map(|member| {
            let owner: i64 = member.get("user_no");
            home.copy(member, references.get(&owner))
        });
        let own = references.get(&home.sender.0).filter(|own| home.is_of(own));
        Ok(Trace {
            message_id: self.message_id_cipher().await?.seal(message_id)?,
            sender: home.sender,
            client_message_id: own.and_then(|own| own.get("client_message_id")),
            copies: copies.collect(),
            home: Some(MessageHome {
                group_id: GroupId::from_stored(row.get("group_id")),
                seq,
                state: standing(home.tombstone),
                appended_at: home.appended_at,
            }),
        })
    }
}

impl Home {
    /// Whether a row of [`references`] refers to it.
    fn is_of(&self, reference: &Row) -> bool {
        reference.get::<_, Option<i64>>("home_seq") == Some(self.seq)
            && reference.get::<_, Option<i16>>("kind") == Some(KIND_MESSAGE)
    }

    /// What a member has of it; `None` for who is not to have it.
    fn copy(&self, member: &Row, timeline: Option<&Row>) -> Option<MessageCopy> {
        let owner = UserNo(member.get("user_no"));
        let fanned_to: i64 = member.get("fanned_to");
        let reference = timeline.filter(|row| self.is_of(row));
        let left_seq: Option<i64> = member.get("left_seq");
        let is_member = member.get::<_, i64>("joined_seq") < self.seq
            && left_seq.is_none_or(|left_seq| self.seq < left_seq);
        let state = match reference {
            // What the home has lost, all have lost.
            Some(row) => standing(row.get::<_, Option<i16>>("tombstone").or(self.tombstone)),
            None if !is_member => return None,
            None if timeline.is_none() => CopyState::OwnerDeleted,
            None if left_seq.is_none() && fanned_to < self.seq => CopyState::Pending,
            None => CopyState::Purged,
        };
        let read = member.get::<_, i64>("read_seq") >= self.seq;
        Some(MessageCopy {
            owner,
            epoch: timeline.map(|row| row.get("epoch")),
            seq: reference.map_or(0, |row| row.get("seq")),
            state,
            appended_at: reference.map(|row| row.get("appended_at")),
            in_group: Some(CopyInGroup { fanned_to, read: (owner != self.sender).then_some(read) }),
        })
    }
}

/// The timelines of `owners` that are there, each with the first entry that refers to the home or to a
/// later place of its timeline, by owner.
///
/// A reference has no index by its home. But it is appended when its home is, or later, and in the order
/// of homes: so a binary search by time finds where to begin, and the first reference found is this one
/// or there is none. A minute earlier, since transactions begin before they wait for locks.
async fn references(
    tx: &Transaction<'_>,
    group: TimelineNo,
    home: &Home,
    owners: &[i64],
) -> Result<HashMap<i64, Row>> {
    let statement = tx
        .prepare_cached(&format!(
            "WITH RECURSIVE traced AS MATERIALIZED (
                 SELECT owner, epoch, purged_to + 1 AS low, last_seq + 1 AS high,
                     $2::timestamptz - interval '1 minute' AS oldest, NULL::bigint AS beyond
                 FROM timelines WHERE owner = ANY($1) AND state <> $5
             ), {first}
             SELECT t.owner, stamp(t.epoch) AS epoch, r.*
             FROM traced t JOIN first USING (owner)
             LEFT JOIN LATERAL (
                 SELECT seq, kind, home_seq, tombstone, appended_at, client_message_id FROM entries e
                 WHERE e.owner = t.owner AND e.seq >= first.floor AND e.conversation = $3
                     AND e.kind IN (1, 9, 10) AND e.home_seq >= $4
                 ORDER BY e.seq LIMIT 1
             ) r ON true",
            first = floor_search("first", "traced"),
        ))
        .await?;
    let deleted = Closed::Deleted as i16;
    let rows =
        tx.query(&statement, &[&owners, &home.appended_at, &group.0, &home.seq, &deleted]).await?;
    Ok(rows.into_iter().map(|row| (row.get("owner"), row)).collect())
}
