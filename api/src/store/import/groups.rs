//! Groups that are imported: made with the members that they had at first, and changed as members came
//! and went.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    ImportedBatch, Rows,
    filled::{Filling, Timelines, fill},
    require_order,
};
use crate::{
    model::{
        EntryKind, Error, Group, GroupChanged, GroupId, GroupNo, GroupProfile, GroupRole, InGroup,
        MemberChange, MemberChanged, Result, TimelineNo, UserId, UserNo,
    },
    store::{
        Audit, Store, Transaction,
        entries::EventColumns,
        groups::{insert_group, lock_timelines},
        timelines::Closed,
        transaction,
    },
};

/// A group from elsewhere, as it was at first.
#[derive(Debug, Clone)]
pub struct ImportGroup {
    /// Its id.
    pub group_id: GroupId,
    /// What is set of it.
    pub profile: GroupProfile,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Its first members, each once, with at most one owner.
    pub members: Vec<ImportMember>,
}

/// A member from elsewhere.
#[derive(Debug, Clone)]
pub struct ImportMember {
    /// Who.
    pub user_no: UserNo,
    /// The same, by id.
    pub user_id: UserId,
    /// What the member may do.
    pub role: GroupRole,
    /// What the member is called in the group; empty for its own name.
    pub nickname: String,
    /// Until when the member may not write.
    pub muted_until: Option<OffsetDateTime>,
}

/// What became of a user in a group that is imported.
#[derive(Debug, Clone)]
pub struct ImportChange {
    /// The group.
    pub group_no: GroupNo,
    /// The same, by id.
    pub group_id: GroupId,
    /// Who; what is beside the user counts where it joined.
    pub member: ImportMember,
    /// [`MemberChange::Joined`], [`MemberChange::Left`] or [`MemberChange::Removed`].
    pub change: MemberChange,
    /// When.
    pub at: OffsetDateTime,
}

impl ImportChange {
    fn event(&self) -> EntryKind {
        let user_id = self.member.user_id.clone();
        let by = (self.change == MemberChange::Left).then(|| user_id.clone());
        let role = (self.change == MemberChange::Joined).then_some(self.member.role);
        let change = MemberChanged { role, ..MemberChanged::new(by, self.change, vec![user_id]) };
        EntryKind::MemberChanged(InGroup { group_id: self.group_id.clone(), change })
    }
}

impl Store {
    /// Makes a group with its own time. It and the timelines of its members belong to the import from now
    /// on. One of the same id and time stands already, and is left as it is.
    ///
    /// Errors: [`Error::GroupExists`]; [`Error::UserNotFound`]; [`Error::TimelineNotEmpty`] for a member's
    /// timeline that was not begun by an import; [`Error::InvalidArgument`] for a time that is out of order.
    pub async fn import_group(
        &self,
        import_id: Uuid,
        last_at: Option<OffsetDateTime>,
        group: &ImportGroup,
        audit: Audit<'_>,
    ) -> Result<ImportedBatch> {
        transaction!(self, async |tx| {
            let members: BTreeSet<i64> = group.members.iter().map(|m| m.user_no.0).collect();
            let mut timelines = Timelines::lock(&tx, &members).await?;
            require_order(group.created_at, last_at, tx.now().await?)?;
            let same = "SELECT created_at = $2 FROM groups WHERE group_id = $1";
            if let Some(row) =
                tx.query_opt(same, &[&group.group_id.as_str(), &group.created_at]).await?
            {
                let is_same: bool = row.get(0);
                let stands = ImportedBatch { taken: 1, imported: 0, duplicates: 1 };
                let other = || Error::GroupExists(group.group_id.clone());
                return is_same.then_some(stands).ok_or_else(other);
            }
            let group_no =
                insert_group(&tx, &group.group_id, &group.profile, Some(group.created_at)).await?;
            let timeline = TimelineNo::from(group_no).0;
            timelines.insert_group(timeline, group.group_id.as_str());
            let events = group.events()?;
            let owner = group.members.iter().find(|m| m.role == GroupRole::Owner);
            let mut rows = Rows::default();
            for event in &events {
                let event = Event {
                    group: timeline,
                    by: owner.map(|m| m.user_no),
                    at: group.created_at,
                    columns: event,
                };
                rows.add_event(&event, &members, &mut timelines)?;
            }
            fill(&tx, &rows.filled).await?;
            timelines.count(&tx, import_id).await?;
            let joined_seq = timelines.last_seq(timeline);
            admit(&tx, group_no, &group.members, group.created_at, joined_seq, 0).await?;
            audit.record(&tx, None).await?;
            tx.commit().await?;
            Ok(ImportedBatch { taken: 1, imported: 1, duplicates: 0 })
        })
    }

    /// Has a user join or leave a group that is being imported, at its own time. What stands already is
    /// left as it is. A group has at most `most` members.
    ///
    /// Errors: [`Error::MemberNotFound`] for who leaves and is no member; [`Error::InvalidArgument`] for who
    /// joins and is one, for a second owner and for a time that is out of order; [`Error::GroupFull`];
    /// [`Error::UserNotFound`], [`Error::GroupNotFound`]; [`Error::TimelineNotEmpty`].
    pub async fn import_member(
        &self,
        import_id: Uuid,
        last_at: Option<OffsetDateTime>,
        change: &ImportChange,
        most: i64,
    ) -> Result<ImportedBatch> {
        let event = EventColumns::of(&change.event())?;
        let timeline = TimelineNo::from(change.group_no).0;
        let user_no = change.member.user_no;
        transaction!(self, async |tx| {
            let groups = BTreeSet::from([timeline]);
            let mut members = members_of(&tx, &groups).await?.remove(&timeline).unwrap_or_default();
            let was_member = members.contains(&user_no.0);
            let has = i64::try_from(members.len()).unwrap_or(i64::MAX);
            members.insert(user_no.0);
            let owners = members.iter().copied().chain([timeline]).collect();
            let mut timelines = Timelines::lock(&tx, &owners).await?;
            require_order(change.at, last_at, tx.now().await?)?;
            let may_stand = timelines.last_at(timeline).is_some_and(|last| change.at <= last);
            if may_stand && stands(&tx, timeline, change.at, &event).await? {
                return Ok(ImportedBatch { taken: 1, imported: 0, duplicates: 1 });
            }
            let joins = change.change == MemberChange::Joined;
            if joins {
                require_room(&tx, change, was_member, has, most).await?;
            } else if !was_member {
                return Err(Error::MemberNotFound(change.member.user_id.clone()));
            }
            let mut rows = Rows::default();
            let by = (change.change == MemberChange::Left).then_some(user_no);
            let told = Event { group: timeline, by, at: change.at, columns: &event };
            rows.add_event(&told, &members, &mut timelines)?;
            fill(&tx, &rows.filled).await?;
            timelines.count(&tx, import_id).await?;
            let seq = timelines.last_seq(timeline);
            if joins {
                let member = std::slice::from_ref(&change.member);
                admit(&tx, change.group_no, member, change.at, seq, seq - 1).await?;
            }
            bring_members_up(&tx, &groups, &timelines).await?;
            if !joins {
                let left =
                    "UPDATE group_members SET left_seq = $3 WHERE group_no = $1 AND user_no = $2";
                tx.execute(left, &[&change.group_no.0, &user_no.0, &seq]).await?;
            }
            tx.commit().await?;
            Ok(ImportedBatch { taken: 1, imported: 1, duplicates: 0 })
        })
    }
}

impl Store {
    /// Dissolves a group that is being imported, at its own time. One that is dissolved already is left as it is.
    ///
    /// Errors: [`Error::InvalidArgument`] for a time that is out of order; [`Error::TimelineNotEmpty`].
    pub async fn import_end_of_group(
        &self,
        import_id: Uuid,
        last_at: Option<OffsetDateTime>,
        group_no: GroupNo,
        at: OffsetDateTime,
    ) -> Result<ImportedBatch> {
        let Group { group_id, profile, version, .. } = self.group(group_no, None).await?;
        let change = GroupChanged { by: None, profile, version, dissolved: true };
        let group = InGroup { group_id, change };
        let event = EventColumns::of(&EntryKind::GroupChanged(group))?;
        let timeline = TimelineNo::from(group_no).0;
        transaction!(self, async |tx| {
            let groups = BTreeSet::from([timeline]);
            let members = members_of(&tx, &groups).await?.remove(&timeline).unwrap_or_default();
            let owners = members.iter().copied().chain([timeline]).collect();
            let mut timelines = Timelines::lock(&tx, &owners).await?;
            require_order(at, last_at, tx.now().await?)?;
            if timelines.is_gone(timeline) {
                return Ok(ImportedBatch { taken: 1, imported: 0, duplicates: 1 });
            }
            let mut rows = Rows::default();
            let told = Event { group: timeline, by: None, at, columns: &event };
            rows.add_event(&told, &members, &mut timelines)?;
            fill(&tx, &rows.filled).await?;
            timelines.count(&tx, import_id).await?;
            bring_members_up(&tx, &groups, &timelines).await?;
            let close = "UPDATE timelines SET state = $2 WHERE owner = $1";
            tx.execute(close, &[&timeline, &(Closed::Deleted as i16)]).await?;
            tx.execute("DELETE FROM imports WHERE owner = $1", &[&timeline]).await?;
            tx.commit().await?;
            Ok(ImportedBatch { taken: 1, imported: 1, duplicates: 0 })
        })
    }
}

impl ImportGroup {
    /// What the group's timeline begins with, as that of any group.
    fn events(&self) -> Result<Vec<EventColumns>> {
        let owner = self.members.iter().find(|m| m.role == GroupRole::Owner);
        let by = owner.map(|m| m.user_id.clone());
        let made = GroupChanged {
            by: by.clone(),
            profile: self.profile.clone(),
            version: 1,
            dissolved: false,
        };
        let group_id = self.group_id.clone();
        let made = EntryKind::GroupChanged(InGroup { group_id: group_id.clone(), change: made });
        let mut events = vec![EventColumns::of(&made)?];
        if !self.members.is_empty() {
            let user_ids = self.members.iter().map(|m| m.user_id.clone()).collect();
            let change = MemberChanged::new(by, MemberChange::Joined, user_ids);
            let joined = EntryKind::MemberChanged(InGroup { group_id, change });
            events.push(EventColumns::of(&joined)?);
        }
        Ok(events)
    }
}

/// An event of a group to import.
struct Event<'a> {
    /// The group's timeline.
    group: i64,
    /// Who did it.
    by: Option<UserNo>,
    at: OffsetDateTime,
    columns: &'a EventColumns,
}

impl<'a> Rows<'a> {
    /// Gives an event its place in the group's timeline, and references to it those in the timelines of
    /// `members`.
    fn add_event(
        &mut self,
        event: &Event<'a>,
        members: &BTreeSet<i64>,
        timelines: &mut Timelines,
    ) -> Result<()> {
        let gone = || Error::internal("a timeline of a group is missing");
        let home = timelines.take(event.group, event.at, false, gone)?;
        let row = |owner, place, body| Filling {
            owner,
            place,
            conversation: event.group,
            sender: event.by.map(|no| no.0),
            home_seq: home.seq,
            at: event.at,
            kind: event.columns.kind,
            sent: None,
            content_type: None,
            body,
            mentions: None,
            flags: None,
        };
        self.filled.push(row(event.group, home, &event.columns.body));
        for &member in members {
            let place = timelines.take(member, event.at, false, gone)?;
            self.filled.push(row(member, place, &[]));
        }
        Ok(())
    }
}

/// Locks groups' timelines, and reads who their members are: by timeline.
pub(super) async fn members_of(
    tx: &Transaction<'_>,
    groups: &BTreeSet<i64>,
) -> Result<BTreeMap<i64, BTreeSet<i64>>> {
    let mut members: BTreeMap<i64, BTreeSet<i64>> =
        groups.iter().map(|group| (*group, BTreeSet::new())).collect();
    if groups.is_empty() {
        return Ok(members);
    }
    lock_timelines(tx, &groups.iter().copied().collect::<Vec<_>>()).await?;
    let numbers: Vec<i64> = groups.iter().map(|timeline| -timeline).collect();
    let rows = tx
        .query(
            "SELECT -group_no AS timeline, user_no FROM group_members
             WHERE group_no = ANY($1) AND left_seq IS NULL",
            &[&numbers],
        )
        .await?;
    for row in &rows {
        members.entry(row.get("timeline")).or_default().insert(row.get("user_no"));
    }
    Ok(members)
}

/// Notes that the members of the groups that have grown have all of them, and have read it.
pub(super) async fn bring_members_up(
    tx: &Transaction<'_>,
    groups: &BTreeSet<i64>,
    timelines: &Timelines,
) -> Result<()> {
    let grown: Vec<(i64, i64)> =
        groups.iter().filter_map(|group| Some((-group, timelines.grown_to(*group)?))).collect();
    let (groups, seqs): (Vec<i64>, Vec<i64>) = grown.into_iter().unzip();
    tx.execute(
        "UPDATE group_members m SET fanned_to = g.seq, read_seq = g.seq
         FROM unnest($1::bigint[], $2::bigint[]) g (group_no, seq)
         WHERE m.group_no = g.group_no AND m.left_seq IS NULL",
        &[&groups, &seqs],
    )
    .await?;
    Ok(())
}

/// Makes users members of a group, by an entry of its timeline; they see what stands behind `after`.
async fn admit(
    tx: &Transaction<'_>,
    group_no: GroupNo,
    members: &[ImportMember],
    at: OffsetDateTime,
    joined_seq: i64,
    after: i64,
) -> Result<()> {
    let users: Vec<i64> = members.iter().map(|m| m.user_no.0).collect();
    let roles: Vec<i16> = members.iter().map(|m| m.role as i16).collect();
    let nicknames: Vec<&str> = members.iter().map(|m| m.nickname.as_str()).collect();
    let muted: Vec<Option<OffsetDateTime>> = members.iter().map(|m| m.muted_until).collect();
    let values: [&(dyn ToSql + Sync); 8] =
        [&group_no.0, &users, &roles, &nicknames, &muted, &at, &joined_seq, &after];
    tx.execute(
        "INSERT INTO group_members (group_no, user_no, role, nickname, muted_until, joined_at, joined_seq,
             fanned_to, read_seq, purged_to)
         SELECT $1, m.user_no, m.role, m.nickname, m.muted_until, $6, $7, $7, $7, $8
         FROM unnest($2::bigint[], $3::smallint[], $4::text[], $5::timestamptz[])
             m (user_no, role, nickname, muted_until)
         ON CONFLICT (group_no, user_no) DO UPDATE
         SET role = excluded.role, nickname = excluded.nickname, muted_until = excluded.muted_until,
             joined_at = excluded.joined_at, joined_seq = excluded.joined_seq, left_seq = NULL,
             fanned_to = excluded.fanned_to, read_seq = excluded.read_seq",
        &values,
    )
    .await?;
    Ok(())
}

/// Whether a change stands in the group's timeline already.
async fn stands(
    tx: &Transaction<'_>,
    timeline: i64,
    at: OffsetDateTime,
    event: &EventColumns,
) -> Result<bool> {
    let row = tx
        .query_one(
            "SELECT EXISTS (SELECT FROM entries
             WHERE owner = $1 AND kind = $2 AND appended_at = $3 AND body = $4)",
            &[&timeline, &event.kind, &at, &event.body],
        )
        .await?;
    Ok(row.get(0))
}

/// Requires that a user may join a group that has so many members.
async fn require_room(
    tx: &Transaction<'_>,
    change: &ImportChange,
    is_member: bool,
    has: i64,
    most: i64,
) -> Result<()> {
    if is_member {
        let reason = format!("{} is a member of the group already", change.member.user_id);
        return Err(Error::invalid("user_id", reason));
    }
    if has >= most {
        return Err(Error::GroupFull { would_have: has + 1, most });
    }
    let has_owner = "SELECT EXISTS (SELECT FROM group_members
         WHERE group_no = $1 AND role = $2 AND left_seq IS NULL)";
    let owner = GroupRole::Owner;
    if change.member.role == owner
        && tx.query_one(has_owner, &[&change.group_no.0, &(owner as i16)]).await?.get(0)
    {
        return Err(Error::invalid("role", "the group has an owner already"));
    }
    Ok(())
}
