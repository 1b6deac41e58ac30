//! Fan-out: bringing members' timelines up to their group's. The group's timeline is the queue, and
//! `group_members.fanned_to` says how far each member's has been brought: so a fan-out that is broken off
//! goes on from there, on any node, and two that meet do nothing twice.

use std::collections::{BTreeMap, HashSet};

use time::OffsetDateTime;
use tokio_postgres::{Row, types::ToSql};

use super::lock_timelines;
use crate::{
    model::{Cursor, EntryKind, GroupNo, Result, TimelineNo},
    store::{
        OtherNodes, Store, Transaction,
        conversations::SAID,
        entries::ENTRY_COLUMNS,
        login_points::{OTHER_NODES, read_other_nodes},
        transaction,
    },
};

const REFERENCES: &str = include_str!("../append/references.sql");

/// How many references one transaction makes at most: it holds the locks of its members' timelines.
const BATCH: i64 = 2000;

/// How many members one transaction brings up at most.
const MEMBERS: i64 = 250;

/// What one transaction of a fan-out made.
#[derive(Debug, Default)]
pub struct FannedOut {
    /// What the entries of the group's timeline say, by their places there.
    pub kinds: BTreeMap<i64, EntryKind>,
    /// The references to them, by member and seq.
    pub references: Vec<Reference>,
    /// Where members had streams, beside this node, after the commit.
    pub other_nodes: OtherNodes,
    /// Whether members may be left that are behind.
    pub more: bool,
}

/// An entry of a member's timeline that refers to one of the group's.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The member's timeline.
    pub owner: TimelineNo,
    /// The place in it.
    pub cursor: Cursor,
    /// When it was appended.
    pub appended_at: OffsetDateTime,
    /// The place in the group's timeline.
    pub group_seq: i64,
    /// The place in the member's timeline of the message that it is about, if it is about one.
    pub target_seq: Option<i64>,
    /// Whether it mentions the member.
    pub mentioned: bool,
    /// Where it tells of reactions: which of the kinds are the member's, a bit each, that of the first one lowest.
    pub own_reactions: u32,
}

impl Store {
    /// Brings some of the members who are behind up to the group's timeline.
    pub async fn fan_out(&self, group_no: GroupNo, node_no: i64) -> Result<FannedOut> {
        let made = self.bring_up_some(group_no).await?;
        let Some((members, rows)) = made else { return Ok(FannedOut::default()) };
        let client = self.client().await?;
        let statement = client.prepare_cached(OTHER_NODES).await?;
        let other_nodes = client.query(&statement, &[&members, &node_no]).await?;
        drop(client);
        let kinds = self.said_in(group_no, &rows).await?;
        let mut references: Vec<Reference> = rows.iter().map(read_reference).collect();
        self.mark_own_reactions(group_no, &kinds, &members, &mut references).await?;
        Ok(FannedOut { kinds, references, other_nodes: read_other_nodes(&other_nodes), more: true })
    }

    /// The transaction of a fan-out: whom it has brought up, and the references that this took; `None`
    /// when nobody was behind.
    pub(in crate::store) async fn bring_up_some(
        &self,
        group_no: GroupNo,
    ) -> Result<Option<(Vec<i64>, Vec<Row>)>> {
        transaction!(self, async |tx| {
            let Some((members, upto)) = behind(&tx, group_no).await? else {
                tx.commit().await?;
                return Ok(None);
            };
            lock_timelines(&tx, &members).await?;
            let rows = refer(&tx, group_no, &members, upto).await?;
            tx.commit().await?;
            Ok(Some((members, rows)))
        })
    }

    /// What the entries of a group's timeline say that the references are to.
    async fn said_in(
        &self,
        group_no: GroupNo,
        references: &[Row],
    ) -> Result<BTreeMap<i64, EntryKind>> {
        let homes: HashSet<i64> = references.iter().map(|row| row.get("group_seq")).collect();
        let homes: Vec<i64> = homes.into_iter().collect();
        if homes.is_empty() {
            return Ok(BTreeMap::new());
        }
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "SELECT {ENTRY_COLUMNS} FROM entries e WHERE e.owner = $1 AND e.seq = ANY($2)"
            ))
            .await?;
        let timeline = TimelineNo::from(group_no);
        let rows = client.query(&statement, &[&timeline.0, &homes]).await?;
        drop(client);
        let entries = self.entries_of(0, &rows).await?;
        Ok(entries.into_iter().map(|entry| (entry.seq(), entry.kind)).collect())
    }

    /// Notes which of the reactions that entries tell of are the members' to whom these are told.
    async fn mark_own_reactions(
        &self,
        group_no: GroupNo,
        kinds: &BTreeMap<i64, EntryKind>,
        members: &[i64],
        references: &mut [Reference],
    ) -> Result<()> {
        let changed = |kind: &EntryKind| match kind {
            EntryKind::ReactionsChanged(changed) if !changed.reactions.is_empty() => {
                Some(changed.seq)
            }
            _ => None,
        };
        let seqs: HashSet<i64> = kinds.values().filter_map(changed).collect();
        if seqs.is_empty() {
            return Ok(());
        }
        let seqs: Vec<i64> = seqs.into_iter().collect();
        let own = self.reactions_of_members(group_no, &seqs, members).await?;
        for reference in references {
            let Some(EntryKind::ReactionsChanged(changed)) = kinds.get(&reference.group_seq) else {
                continue;
            };
            let Some(own) = own.get(&(reference.owner.0, changed.seq)) else { continue };
            for (at, count) in changed.reactions.iter().enumerate() {
                if own.contains(&count.reaction) {
                    reference.own_reactions |=
                        1_u32.checked_shl(u32::try_from(at).unwrap_or(u32::MAX)).unwrap_or(0);
                }
            }
        }
        Ok(())
    }

    /// The groups that are marked as having members who are behind, by number: at most `limit`, all after
    /// `after`. Costs what there is of those, however many groups there are.
    pub async fn groups_behind(&self, after: GroupNo, limit: i64) -> Result<Vec<GroupNo>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT group_no FROM fan_outs WHERE group_no > $1 ORDER BY group_no LIMIT $2",
            )
            .await?;
        let rows = client.query(&statement, &[&after.0, &limit]).await?;
        Ok(rows.iter().map(|row| GroupNo(row.get(0))).collect())
    }
}

/// Some of the members who are behind, and up to which place of the group's timeline they are to be
/// brought; `None` when there are none, which is noted.
async fn behind(tx: &Transaction<'_>, group_no: GroupNo) -> Result<Option<(Vec<i64>, i64)>> {
    let timeline = TimelineNo::from(group_no);
    let statement = tx
        .prepare_cached(
            "SELECT m.user_no, m.fanned_to, t.last_seq
             FROM timelines t
             LEFT JOIN LATERAL (
                 SELECT m.user_no, m.fanned_to FROM group_members m
                 JOIN timelines own ON own.owner = m.user_no AND own.state = 1
                 WHERE m.group_no = $1 AND m.left_seq IS NULL AND m.fanned_to < t.last_seq
                 ORDER BY m.user_no LIMIT $3
             ) m ON true
             WHERE t.owner = $2",
        )
        .await?;
    let rows = tx.query(&statement, &[&group_no.0, &timeline.0, &MEMBERS]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let last_seq: i64 = first.get("last_seq");
    let members: Vec<i64> = rows.iter().filter_map(|row| row.get("user_no")).collect();
    if members.is_empty() {
        unmark(tx, group_no).await?;
        return Ok(None);
    }
    let fanned_to = rows.iter().filter_map(|row| row.get::<_, Option<i64>>("fanned_to"));
    let from = fanned_to.min().unwrap_or(last_seq);
    let each = (BATCH / i64::try_from(members.len()).unwrap_or(BATCH)).max(1);
    Ok(Some((members, last_seq.min(from + each))))
}

/// Notes that all members have all of the group's timeline, if they still do: whoever appends to it marks the
/// group behind the same lock. To come first of what its transaction locks.
async fn unmark(tx: &Transaction<'_>, group_no: GroupNo) -> Result<()> {
    let timeline = TimelineNo::from(group_no);
    lock_timelines(tx, &[timeline.0]).await?;
    let done = tx
        .prepare_cached(
            "DELETE FROM fan_outs WHERE group_no = $1 AND NOT EXISTS (
                 SELECT FROM group_members
                 WHERE group_no = $1 AND left_seq IS NULL
                     AND fanned_to < (SELECT last_seq FROM timelines WHERE owner = $2))",
        )
        .await?;
    tx.execute(&done, &[&group_no.0, &timeline.0]).await?;
    Ok(())
}

/// Makes the references that the members, whose timelines are locked, do not have up to `upto`.
async fn refer(
    tx: &Transaction<'_>,
    group_no: GroupNo,
    members: &[i64],
    upto: i64,
) -> Result<Vec<Row>> {
    let timeline = TimelineNo::from(group_no);
    let groups = vec![timeline.0; members.len()];
    let none = vec![0_i64; members.len()];
    let upto = vec![Some(upto); members.len()];
    let statement = tx.prepare_cached(REFERENCES).await?;
    let values: [&(dyn ToSql + Sync); 5] = [&groups, &members, &none, &none, &upto];
    Ok(tx.query(&statement, &values).await?)
}

/// Brings members, whose timelines are locked, up to the place `upto` of the group's.
pub(super) async fn bring_up(
    tx: &Transaction<'_>,
    group_no: GroupNo,
    members: &[i64],
    upto: i64,
) -> Result<()> {
    refer(tx, group_no, members, upto).await.map(drop)
}

/// The place of the group's timeline behind which its newest `most` messages stand that still say
/// something, and all behind `end`.
pub(super) async fn before_newest(
    tx: &Transaction<'_>,
    group_no: GroupNo,
    most: i64,
    end: i64,
) -> Result<i64> {
    let statement = tx
        .prepare_cached(&format!(
            "SELECT coalesce(min(seq) - 1, $3) FROM (
                 SELECT seq FROM entries
                 WHERE owner = $1 AND conversation = $1 AND {SAID} ORDER BY seq DESC LIMIT $2
             ) newest"
        ))
        .await?;
    let timeline = TimelineNo::from(group_no);
    Ok(tx.query_one(&statement, &[&timeline.0, &most, &end]).await?.get(0))
}

fn read_reference(row: &Row) -> Reference {
    Reference {
        owner: TimelineNo(row.get("member")),
        cursor: Cursor { epoch: row.get("epoch"), seq: row.get("seq") },
        appended_at: row.get("at"),
        group_seq: row.get("group_seq"),
        target_seq: row.get("target_seq"),
        mentioned: row.get::<_, Option<i16>>("flags").is_some(),
        own_reactions: 0,
    }
}
