//! Asking to join a group, inviting to one, and the answers.

use std::collections::BTreeSet;

use tokio_postgres::Row;

use super::{Actor, LockedGroup, members::require_unblocked};
use crate::{
    model::{
        Entry, EntryKind, Error, GroupNo, GroupRequest, GroupRequestChanged, GroupRole, JoinRule,
        RequestState, Result, TimelineNo, UserId, UserNo, WhoMay,
    },
    store::{
        Store, Transaction,
        contacts::who_lets_invite,
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

/// A wish that a user become a member.
pub(super) struct GroupAsk<'a> {
    /// Who invites; `None` where the user itself asks.
    pub(super) invited_by: Option<UserNo>,
    /// In the words of whoever asks.
    pub(super) note: &'a str,
    /// Whether an admin has agreed, so that only the user is to be asked.
    pub(super) approved: bool,
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
            let request = GroupAsk { invited_by: None, note, approved: false };
            let entries = group.ask(user, request, &admins).await?;
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
            let request = GroupAsk { invited_by: actor.user_no(), note: "", approved: false };
            let entries = group.ask(user, request, &admins).await?;
            tx.commit().await?;
            Ok(JoinOutcome::Requested(entries))
        })
    }

    /// Answers a request or an invitation, and tells those concerned: an admin, or the user itself, who
    /// may decline and, where an admin has agreed, follow. An invitation that an admin agrees to waits for
    /// the user, unless this lets whoever invites add it.
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
        invite_from: WhoMay,
    ) -> Result<Vec<(TimelineNo, Entry)>> {
        let admins = self.admins_of(group_no).await?;
        let concerned: Vec<UserNo> = admins.iter().copied().chain([user.0]).collect();
        transaction!(self, async |tx| {
            let group = LockedGroup::lock(&tx, group_no, actor, &concerned).await?;
            let own = actor.user_no() == Some(user.0);
            if !own {
                group.role()?.require(GroupRole::Admin)?;
            }
            let request = tx
                .query_opt(
                    "SELECT invited_by, note, approved FROM group_requests
                     WHERE group_no = $1 AND user_no = $2",
                    &[&group_no.0, &user.0.0],
                )
                .await?;
            let request = request.ok_or_else(|| Error::RequestNotFound(user.1.clone()))?;
            let invited_by = request.get::<_, Option<i64>>("invited_by").map(UserNo);
            let mut approved: bool = request.get("approved");
            let state = match answer {
                RequestAnswer::Approve if own && !approved => {
                    return Err(Error::GroupRoleNeeded(GroupRole::Admin));
                }
                RequestAnswer::Approve
                    if !own && !lets_add(&tx, user.0, invited_by, invite_from).await? =>
                {
                    if approved {
                        return Ok(Vec::new());
                    }
                    approved = true;
                    group.approve(user.0).await?;
                    RequestState::Pending
                }
                RequestAnswer::Approve => {
                    group.admit(std::slice::from_ref(user), most).await?;
                    RequestState::Approved
                }
                RequestAnswer::Decline => {
                    group.forget_request(user.0).await?;
                    RequestState::Declined
                }
            };
            let invited_by = match invited_by {
                Some(user_no) => Some(self.user_id(user_no).await?),
                None => None,
            };
            let change = GroupRequestChanged {
                group_id: group.group_id.clone(),
                group_name: group.profile.name.clone(),
                user_id: user.1.clone(),
                invited_by,
                note: request.get("note"),
                approved,
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
                "SELECT user_no, invited_by, note, approved, created_at FROM group_requests
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
                approved: row.get("approved"),
                created_at: row.get("created_at"),
            })
        };
        rows.iter().map(request).collect()
    }

    /// The owner and the admins of a group.
    pub(super) async fn admins_of(&self, group_no: GroupNo) -> Result<Vec<UserNo>> {
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

/// Whether a user, whose timeline is locked, becomes a member as soon as an admin agrees: it asked itself, or
/// lets whoever invites it add it.
async fn lets_add(
    tx: &Transaction<'_>,
    user_no: UserNo,
    invited_by: Option<UserNo>,
    invite_from: WhoMay,
) -> Result<bool> {
    let Some(by) = invited_by else { return Ok(true) };
    Ok(who_lets_invite(tx, by, &[user_no], invite_from).await?.contains(&user_no))
}

impl LockedGroup<'_> {
    /// Notes that a user is to become a member, and tells the user and the admins.
    pub(super) async fn ask(
        &self,
        user: &(UserNo, UserId),
        GroupAsk { invited_by, note, approved }: GroupAsk<'_>,
        admins: &[UserNo],
    ) -> Result<Vec<(TimelineNo, Entry)>> {
        let asked = self
            .tx
            .query_opt(
                "INSERT INTO group_requests (group_no, user_no, invited_by, note, approved, created_at)
                 VALUES ($1, $2, $3, $4, $6, $5)
                 ON CONFLICT (group_no, user_no) DO UPDATE SET note = excluded.note,
                     approved = group_requests.approved OR excluded.approved
                     WHERE group_requests.note <> excluded.note
                         OR (excluded.approved AND NOT group_requests.approved)
                 RETURNING user_no",
                &[
                    &self.group_no.0,
                    &user.0.0,
                    &invited_by.map(|no| no.0),
                    &note,
                    &self.tx.now().await?,
                    &approved,
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
            approved,
            state: RequestState::Pending,
        };
        let told: Vec<UserNo> = admins.iter().copied().chain([user.0]).collect();
        self.tell_each(&told, &change).await
    }

    /// Notes that an admin agrees, so that only the user is to be asked.
    async fn approve(&self, user_no: UserNo) -> Result<()> {
        self.tx
            .execute(
                "UPDATE group_requests SET approved = true WHERE group_no = $1 AND user_no = $2",
                &[&self.group_no.0, &user_no.0],
            )
            .await?;
        Ok(())
    }

    async fn forget_request(&self, user_no: UserNo) -> Result<()> {
        self.tx
            .execute(
                "DELETE FROM group_requests WHERE group_no = $1 AND user_no = $2",
                &[&self.group_no.0, &user_no.0],
            )
            .await?;
        Ok(())
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
