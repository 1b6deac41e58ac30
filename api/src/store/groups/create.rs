//! Making groups.

use time::OffsetDateTime;

use super::{
    Actor, GROUP, LockedGroup, lock_timelines, members, read_group, requests::GroupAsk,
    write_profile,
};
use crate::{
    model::{
        Entry, EntryKind, Error, Group, GroupChanged, GroupId, GroupNo, GroupProfile, GroupRole,
        InGroup, MemberChange, MemberChanged, Result, TimelineNo, UserId, UserNo, WhoMay,
    },
    store::{
        Audit, Store, Transaction,
        contacts::who_lets_invite,
        sessions::require_live,
        timelines::{About, Place},
        transaction,
    },
};

/// A group to make.
#[derive(Debug)]
pub struct NewGroup {
    /// Its id.
    pub group_id: GroupId,
    /// What is set of it.
    pub profile: GroupProfile,
    /// Who owns it.
    pub owner: (UserNo, UserId),
    /// Its other members, each once and not the owner.
    pub members: Vec<(UserNo, UserId)>,
}

impl Store {
    /// Makes a group with its members: those who let the owner add them; the others are invited, as the
    /// entries say.
    ///
    /// Errors: [`Error::GroupExists`]; [`Error::UserNotFound`] for a deleted user; [`Error::Blocked`] for
    /// a member who blocks the owner; [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn create_group(
        &self,
        new: &NewGroup,
        actor: &Actor,
        invite_from: WhoMay,
        audit: Option<Audit<'_>>,
    ) -> Result<(GroupNo, Group, Vec<(TimelineNo, Entry)>)> {
        transaction!(self, async |tx| {
            let (owner, owner_id) = &new.owner;
            let members: Vec<i64> = new.members.iter().map(|(no, _)| no.0).collect();
            let owners: Vec<i64> = members.iter().copied().chain([owner.0]).collect();
            lock_timelines(&tx, &owners).await?;
            if let Actor::User { user_no, session_id, .. } = actor {
                require_live(&tx, *user_no, *session_id).await?;
            }
            let everybody: Vec<_> = new.members.iter().chain([&new.owner]).cloned().collect();
            members::require_open(&tx, &everybody).await?;
            members::require_unblocked(&tx, *owner, &new.members).await?;
            let numbers: Vec<UserNo> = new.members.iter().map(|(no, _)| *no).collect();
            let lets = match actor.user_no() {
                Some(by) => who_lets_invite(&tx, by, &numbers, invite_from).await?,
                None => numbers.into_iter().collect(),
            };
            let (everybody, invited): (Vec<_>, Vec<_>) =
                everybody.into_iter().partition(|(no, _)| no == owner || lets.contains(no));
            let group_no = insert(&tx, &new.group_id, &new.profile, None).await?;
            let by = actor.user_id().or_else(|| Some(owner_id.clone()));
            let made = GroupChanged {
                by: by.clone(),
                profile: new.profile.clone(),
                version: 1,
                dissolved: false,
            };
            let user_ids = everybody.iter().map(|(_, user_id)| user_id.clone()).collect();
            let joined = MemberChanged::new(by, MemberChange::Joined, user_ids);
            let group_id = new.group_id.clone();
            let in_group = InGroup { group_id: group_id.clone(), change: made };
            let events = [
                EntryKind::GroupChanged(in_group),
                EntryKind::MemberChanged(InGroup { group_id, change: joined }),
            ];
            for event in events {
                let place = Place::take_if_open(&tx, group_no).await?;
                let place = place.ok_or_else(|| Error::internal("a new group has no timeline"))?;
                let about = About::group(group_no, Some(*owner), place.seq());
                place.fill(&tx, about, event).await?;
            }
            let roles: Vec<i16> = everybody
                .iter()
                .map(
                    |(no, _)| if no == owner { GroupRole::Owner } else { GroupRole::Member } as i16,
                )
                .collect();
            let numbers: Vec<i64> = everybody.iter().map(|(no, _)| no.0).collect();
            // All see the group from its first entry on.
            tx.execute(
                "INSERT INTO group_members (group_no, user_no, role, joined_at, joined_seq, fanned_to)
                 SELECT $1, m.user_no, m.role, $4, 2, 0
                 FROM unnest($2::bigint[], $3::smallint[]) m (user_no, role)",
                &[&group_no.0, &numbers, &roles, &tx.now().await?],
            )
            .await?;
            let mut entries = Vec::new();
            if !invited.is_empty() {
                let group = LockedGroup::lock(&tx, group_no, actor, &[]).await?;
                for user in &invited {
                    let request = GroupAsk { invited_by: Some(*owner), note: "", approved: true };
                    entries.extend(group.ask(user, request, &[*owner]).await?);
                }
            }
            let row = tx
                .query_one(&format!("{GROUP} WHERE g.group_no = $2"), &[&owner.0, &group_no.0])
                .await?;
            let group = read_group(&row)?;
            if let Some(audit) = &audit {
                audit.record(&tx, Some(*owner)).await?;
            }
            tx.commit().await?;
            Ok((group_no, group, entries))
        })
    }
}

/// Writes the group's row and its timeline's. Made now, where no other time is given. Errors:
/// [`Error::GroupExists`].
pub(in crate::store) async fn insert(
    tx: &Transaction<'_>,
    group_id: &GroupId,
    profile: &GroupProfile,
    created_at: Option<OffsetDateTime>,
) -> Result<GroupNo> {
    let inserted = tx
        .query_opt(
            "INSERT INTO groups (group_id, name, join_rule, history, created_at)
             VALUES ($1, '', $2, 0, coalesce($3, now()))
             ON CONFLICT (group_id) DO NOTHING RETURNING group_no",
            &[&group_id.as_str(), &(profile.join as i16), &created_at],
        )
        .await?;
    let inserted = inserted.ok_or_else(|| Error::GroupExists(group_id.clone()))?;
    let group_no = GroupNo(inserted.get(0));
    write_profile(tx, group_no, profile, 1).await?;
    tx.execute(
        "INSERT INTO timelines (owner, epoch)
         VALUES ($1, trunc(extract(epoch FROM now()))::bigint)",
        &[&TimelineNo::from(group_no).0],
    )
    .await?;
    Ok(group_no)
}
