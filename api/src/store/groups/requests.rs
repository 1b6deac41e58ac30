//! Asking to join a group, inviting to one, and the answers.

use std::collections::BTreeSet;

use tokio_postgres::Row;

use super::{Actor, LockedGroup, members::require_unblocked, now};
use crate::{
    model::{
        Entry, EntryKind, Error, GroupNo, GroupRequest, GroupRequestChanged, GroupRole, JoinRule,
        RequestState, Result, TimelineNo, UserId, UserNo,
    },
    store::{
        Store,
        timelines::{About, Place, no_timeline},
        transaction,
    },
};

/// What came of a wish to join.
#[derive(Debug)]
pub enum JoinOutcome {
    /// The user is a member, now or already.
    Joined,
    /// An admin is to answer; the entries tell those concerned.
    Requested(Vec<(TimelineNo, Entry)>),
}

/// An admin's answer to a request or an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestAnswer {
    /// The user becomes a member.
    Approve,
    /// It is forgotten.
    Decline,
}

impl Store {
    /// Joins a group that is open, or to which the user is invited; else asks to join, where that may be
    /// asked. Asking again changes the note.
    ///
    /// Errors: [`Error::InvitationNeeded`], [`Error::GroupFull`]; [`Error::GroupNotFound`];
    /// [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn join_group(
        &self,
        group_no: GroupNo,
        user: &(UserNo, UserId),
        note: &str,
        most: i64,
        actor: &Actor,
    ) -> Result<JoinOutcome> {
        let admins = self.admins_of(group_no).await?;
        transaction!(self, async |tx| {
            let group = LockedGroup::lock(&tx, group_no, actor, &admins).await?;
            if group.members.contains_key(&user.0) {
                return Ok(JoinOutcome::Joined);
            }
            let invited = tx
                .query_opt(
                    "SELECT FROM group_requests WHERE group_no = $1 AND user_no = $2 AND approved",
                    &[&group_no.0, &user.0.0],
                )
                .await?;
            if group.profile.join == JoinRule::Open || invited.is_some() {
                group.admit(std::slice::from_ref(user), most).await?;
                tx.commit().await?;
                return Ok(JoinOutcome::Joined);
            }
            if group.profile.join == JoinRule::Invite {
                return Err(Error::InvitationNeeded);
            }
            let entries = group.ask(user, None, note, &admins).await?;
            tx.commit().await?;
            Ok(JoinOutcome::Requested(entries))
        })
    }

    /// Invites a user to a group, as a member who may not add any: an admin is to answer.
    ///
    /// Errors: [`Error::Blocked`] for one who blocks the actor; [`Error::NotAMember`];
    /// [`Error::GroupNotFound`]; [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn invite_to_group(
        &self,
        group_no: GroupNo,
        user: &(UserNo, UserId),
        actor: &Actor,
    ) -> Result<JoinOutcome> {
        let admins = self.admins_of(group_no).await?;
        let concerned: Vec<UserNo> = admins.iter().copied().chain([user.0]).collect();
        transaction!(self, async |tx| {
            let group = LockedGroup::lock(&tx, group_no, actor, &concerned).await?;
            group.role()?;
            if group.members.contains_key(&user.0) {
                return Ok(JoinOutcome::Joined);
            }
            if let Some(by) = actor.user_no() {
                require_unblocked(&tx, by, std::slice::from_ref(user)).await?;
            }
            let entries = group.ask(user, actor.user_no(), "", &admins).await?;
            tx.commit().await?;
            Ok(JoinOutcome::Requested(entries))
        })
    }

    /// Answers a request or an invitation, and tells those concerned.
    ///
    /// Errors: [`Error::RequestNotFound`]; [`Error::GroupFull`]; [`Error::NotAMember`],
    /// [`Error::GroupRoleNeeded`]; [`Error::GroupNotFound`]; [`Error::SessionEnded`],
    /// [`Error::InvalidToken`].
    pub async fn answer_request(
        &self,
        group_no: GroupNo,
        user: &(UserNo, UserId),
        answer: RequestAnswer,
        most: i64,
        actor: &Actor,
    ) -> Result<Vec<(TimelineNo, Entry)>> {
        let admins = self.admins_of(group_no).await?;
        let concerned: Vec<UserNo> = admins.iter().copied().chain([user.0]).collect();
        transaction!(self, async |tx| {
            let group = LockedGroup::lock(&tx, group_no, actor, &concerned).await?;
            group.role()?.require(GroupRole::Admin)?;
            let request = tx
                .query_opt(
                    "DELETE FROM group_requests WHERE group_no = $1 AND user_no = $2
                     RETURNING invited_by, note",
                    &[&group_no.0, &user.0.0],
                )
                .await?;
            let request = request.ok_or_else(|| Error::RequestNotFound(user.1.clone()))?;
            if answer == RequestAnswer::Approve {
                group.admit(std::slice::from_ref(user), most).await?;
            }
            let invited_by: Option<i64> = request.get("invited_by");
            let invited_by = match invited_by {
                Some(user_no) => Some(self.user_id(UserNo(user_no)).await?),
                None => None,
            };
            let state = match answer {
                RequestAnswer::Approve => RequestState::Approved,
                RequestAnswer::Decline => RequestState::Declined,
            };
            let change = GroupRequestChanged {
                group_id: group.group_id.clone(),
                group_name: group.profile.name.clone(),
                user_id: user.1.clone(),
                invited_by,
                note: request.get("note"),
                state,
            };
            let entries = group.tell_each(&concerned, &change).await?;
            tx.commit().await?;
            Ok(entries)
        })
    }

    /// Who asks to join a group or is invited, by number: at most `limit`, all after `after`.
    pub async fn group_requests(
        &self,
        group_no: GroupNo,
        after: UserNo,
        limit: i64,
    ) -> Result<Vec<GroupRequest>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT user_no, invited_by, note, created_at FROM group_requests
                 WHERE group_no = $1 AND user_no > $2 ORDER BY user_no LIMIT $3",
            )
            .await?;
        let rows = client.query(&statement, &[&group_no.0, &after.0, &limit]).await?;
        drop(client);
        let named = rows.iter().flat_map(|row| {
            [Some(row.get::<_, i64>("user_no")), row.get("invited_by")].into_iter().flatten()
        });
        let users = self.known_users(&named.collect()).await?;
        let user_id = |user_no: i64| {
            let known = users.get(&user_no).ok_or_else(|| no_timeline(UserNo(user_no)))?;
            Ok::<_, Error>(known.user_id.clone())
        };
        let request = |row: &Row| {
            let invited_by: Option<i64> = row.get("invited_by");
            Ok(GroupRequest {
                user_id: user_id(row.get("user_no"))?,
                user_no: UserNo(row.get("user_no")),
                invited_by: invited_by.map(user_id).transpose()?,
                note: row.get("note"),
                created_at: row.get("created_at"),
            })
        };
        rows.iter().map(request).collect()
    }

    /// The owner and the admins of a group.
    async fn admins_of(&self, group_no: GroupNo) -> Result<Vec<UserNo>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT user_no FROM group_members
                 WHERE group_no = $1 AND left_seq IS NULL AND role > 1 ORDER BY user_no",
            )
            .await?;
        let rows = client.query(&statement, &[&group_no.0]).await?;
        Ok(rows.iter().map(|row| UserNo(row.get(0))).collect())
    }
}

impl LockedGroup<'_> {
    /// Notes that a user is to become a member, and tells the user and the admins.
    async fn ask(
        &self,
        user: &(UserNo, UserId),
        invited_by: Option<UserNo>,
        note: &str,
        admins: &[UserNo],
    ) -> Result<Vec<(TimelineNo, Entry)>> {
        let asked = self
            .tx
            .query_opt(
                "INSERT INTO group_requests (group_no, user_no, invited_by, note, created_at)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (group_no, user_no) DO UPDATE SET note = excluded.note
                     WHERE group_requests.note <> excluded.note
                 RETURNING user_no",
                &[
                    &self.group_no.0,
                    &user.0.0,
                    &invited_by.map(|no| no.0),
                    &note,
                    &now(self.tx).await?,
                ],
            )
            .await?;
        if asked.is_none() {
            return Ok(Vec::new());
        }
        let change = GroupRequestChanged {
            group_id: self.group_id.clone(),
            group_name: self.profile.name.clone(),
            user_id: user.1.clone(),
            invited_by: invited_by.and_then(|_| self.actor.user_id()),
            note: note.to_owned(),
            state: RequestState::Pending,
        };
        let told: Vec<UserNo> = admins.iter().copied().chain([user.0]).collect();
        self.tell_each(&told, &change).await
    }

    /// Appends an entry about a request to the timelines of users, which are locked.
    async fn tell_each(
        &self,
        users: &[UserNo],
        change: &GroupRequestChanged,
    ) -> Result<Vec<(TimelineNo, Entry)>> {
        let users: BTreeSet<UserNo> = users.iter().copied().collect();
        let mut entries = Vec::with_capacity(users.len());
        for (user_no, place) in Place::take_each(self.tx, &users).await? {
            let event = EntryKind::GroupRequest(change.clone());
            let entry = place.fill(self.tx, About::default(), event).await?;
            entries.push((user_no.into(), entry));
        }
        Ok(entries)
    }
}
