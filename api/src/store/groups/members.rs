//! Who comes to a group, who goes, and what becomes of members.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{
    Actor, JoinOutcome, LockedGroup,
    fan_out::{before_newest, bring_up},
    requests::GroupAsk,
};
use crate::{
    model::{
        EntryKind, Error, GroupNo, GroupRole, InGroup, Kind, MemberChange, MemberChanged, Result,
        TimelineNo, UserId, UserNo, WhoMay,
    },
    store::{
        Audit, Store, Transaction, contacts::who_lets_invite, reading, timelines::Closed,
        transaction,
    },
};

/// What is to change of a member; what is absent stays.
#[derive(Debug, Default)]
pub struct MemberSettings {
    /// Its role. [`GroupRole::Owner`] hands the group on: who owned it becomes an admin.
    pub role: Option<GroupRole>,
    /// What it is called in the group; empty for its own name.
    pub nickname: Option<String>,
    /// Until when it may not write; `Some(None)` lets it write again.
    pub muted_until: Option<Option<OffsetDateTime>>,
}

/// How a member goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// By itself.
    Left,
    /// Through an admin, the owner or an administrator of the server.
    Removed,
}

impl Store {
    /// Makes users members, those who let the actor add them, and invites the others; those who are
    /// members already stay as they are. Who asked to join itself is not asked again. Returns who became a
    /// member.
    ///
    /// Errors: [`Error::GroupFull`]; [`Error::UserNotFound`] for a deleted user; [`Error::Blocked`] for
    /// one who blocks the actor; [`Error::NotAMember`], [`Error::GroupRoleNeeded`];
    /// [`Error::GroupNotFound`]; [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn add_members(
        &self,
        group_no: GroupNo,
        users: &[(UserNo, UserId)],
        most: i64,
        actor: &Actor,
        invite_from: WhoMay,
        audit: Option<Audit<'_>>,
    ) -> Result<(Vec<UserId>, JoinOutcome)> {
        let admins = self.admins_of(group_no).await?;
        transaction!(self, async |tx| {
            let numbers: Vec<UserNo> = users.iter().map(|(no, _)| *no).collect();
            let concerned: Vec<UserNo> = numbers.iter().chain(&admins).copied().collect();
            let group = LockedGroup::lock(&tx, group_no, actor, &concerned).await?;
            group.role()?.require(GroupRole::Admin)?;
            if let Some(by) = actor.user_no() {
                require_unblocked(&tx, by, users).await?;
            }
            let lets = group.who_lets_add(&numbers, invite_from).await?;
            let (added, asked): (Vec<_>, Vec<_>) = users
                .iter()
                .cloned()
                .partition(|(no, _)| group.members.contains_key(no) || lets.contains(no));
            let added = group.admit(&added, most).await?;
            require_open(&tx, &asked).await?;
            let mut entries = Vec::new();
            for user in &asked {
                let request = GroupAsk { invited_by: actor.user_no(), note: "", approved: true };
                entries.extend(group.ask(user, request, &admins).await?);
            }
            if let Some(audit) = &audit {
                audit.record(&tx, None).await?;
            }
            tx.commit().await?;
            let all = asked.is_empty();
            let outcome = if all { JoinOutcome::Joined } else { JoinOutcome::Requested(entries) };
            Ok((added, outcome))
        })
    }

    /// Ends memberships of users; of who is no member nothing changes, unless `how` is [`Removal::Left`].
    /// The last that they get of the group is the entry that says so (I14).
    ///
    /// Errors: [`Error::MemberNotFound`]; [`Error::OwnerMustStay`]; [`Error::NotAMember`],
    /// [`Error::GroupRoleNeeded`]; [`Error::GroupNotFound`]; [`Error::SessionEnded`],
    /// [`Error::InvalidToken`].
    pub async fn remove_member(
        &self,
        group_no: GroupNo,
        user: &(UserNo, UserId),
        how: Removal,
        actor: &Actor,
        audit: Option<Audit<'_>>,
    ) -> Result<()> {
        transaction!(self, async |tx| {
            let (user_no, user_id) = user;
            let group = LockedGroup::lock(&tx, group_no, actor, &[*user_no]).await?;
            group.role()?;
            let member = group.member(user)?;
            if how == Removal::Removed {
                group.require_above(member)?;
            }
            if member == GroupRole::Owner {
                return Err(Error::OwnerMustStay);
            }
            let change =
                if how == Removal::Left { MemberChange::Left } else { MemberChange::Removed };
            group.end(user_no, user_id, change).await?;
            if let Some(audit) = &audit {
                audit.record(&tx, Some(*user_no)).await?;
            }
            tx.commit().await?;
            Ok(())
        })
    }

    /// Changes what a member is, and tells the group.
    ///
    /// Errors: [`Error::MemberNotFound`]; [`Error::NotAMember`], [`Error::GroupRoleNeeded`];
    /// [`Error::GroupNotFound`]; [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn set_member(
        &self,
        group_no: GroupNo,
        user: &(UserNo, UserId),
        settings: &MemberSettings,
        actor: &Actor,
        audit: Option<Audit<'_>>,
    ) -> Result<()> {
        transaction!(self, async |tx| {
            let user_no = &user.0;
            let group = LockedGroup::lock(&tx, group_no, actor, &[*user_no]).await?;
            let own = actor.user_no() == Some(*user_no);
            let actors = group.role()?;
            let member = group.member(user)?;
            if let Some(nickname) = &settings.nickname {
                if !own {
                    group.require_above(member)?;
                }
                group.set_nickname(user, nickname).await?;
            }
            if let Some(until) = settings.muted_until {
                group.require_above(member)?;
                group.mute(user, until).await?;
            }
            if let Some(role) = settings.role.filter(|role| *role != member) {
                actors.require(GroupRole::Owner)?;
                if member == GroupRole::Owner {
                    return Err(Error::OwnerMustStay);
                }
                group.set_role(user, role).await?;
            }
            if let Some(audit) = &audit {
                audit.record(&tx, Some(*user_no)).await?;
            }
            tx.commit().await?;
            Ok(())
        })
    }

    /// Ends the next membership of a user whose account is deleted: in which group; `None` when none is
    /// left. A group that the user owned goes to the admin, else the member, who has been in it longest,
    /// and is dissolved when there is nobody.
    pub async fn leave_next_group(&self, user_no: UserNo) -> Result<Option<GroupNo>> {
        let user_id = self.user_id(user_no).await?;
        transaction!(self, async |tx| {
            let next = tx
                .query_opt(
                    "SELECT group_no FROM group_members WHERE user_no = $1 AND left_seq IS NULL
                     ORDER BY group_no LIMIT 1",
                    &[&user_no.0],
                )
                .await?;
            let Some(next) = next else { return Ok(None) };
            let group_no = GroupNo(next.get(0));
            let locked = LockedGroup::lock(&tx, group_no, &Actor::Administrator, &[user_no]).await;
            let group = match locked {
                Ok(group) => group,
                Err(Error::GroupNotFound(_)) => {
                    // Dissolved: nobody is to be told, and the user reads nothing more of it.
                    tx.execute(
                        "UPDATE group_members SET left_seq = fanned_to, purged_to = fanned_to
                         WHERE group_no = $1 AND user_no = $2",
                        &[&group_no.0, &user_no.0],
                    )
                    .await?;
                    tx.commit().await?;
                    return Ok(Some(group_no));
                }
                Err(error) => return Err(error),
            };
            let owned = group.members.get(&user_no).is_some_and(|role| *role == GroupRole::Owner);
            group.end(&user_no, &user_id, MemberChange::Left).await?;
            if owned {
                match group.heir().await? {
                    Some(heir) => {
                        let user_id = self.user_id(heir).await?;
                        group.set_role(&(heir, user_id), GroupRole::Owner).await?;
                    }
                    None => group.dissolve().await?,
                }
            }
            tx.commit().await?;
            Ok(Some(group_no))
        })
    }
}

impl Store {
    /// The changes of a group's members that its timeline still has, in its order, each with its time.
    pub async fn member_changes(
        &self,
        group_no: GroupNo,
    ) -> Result<Vec<(OffsetDateTime, MemberChanged)>> {
        let rows = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    "SELECT appended_at, body FROM entries WHERE owner = $1 AND kind = $2 ORDER BY seq",
                )
                .await?;
            let timeline = TimelineNo::from(group_no);
            Ok(client.query(&statement, &[&timeline.0, &(Kind::MemberChanged as i16)]).await?)
        })?;
        let change = |row: &Row| {
            let change = serde_json::from_slice(row.get("body"));
            Ok((row.get("appended_at"), change.map_err(Error::internal)?))
        };
        rows.iter().map(change).collect()
    }

    /// When a dissolved group was: at the newest entry of its timeline; `None` when nothing is left of that.
    pub async fn dissolved_at(&self, group_no: GroupNo) -> Result<Option<OffsetDateTime>> {
        let row = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    "SELECT appended_at FROM entries WHERE owner = $1 AND kind = $2
                     ORDER BY seq DESC LIMIT 1",
                )
                .await?;
            let timeline = TimelineNo::from(group_no);
            Ok(client.query_opt(&statement, &[&timeline.0, &(Kind::GroupChanged as i16)]).await?)
        })?;
        Ok(row.map(|row| row.get(0)))
    }
}

impl LockedGroup<'_> {
    /// Makes users members, whose timelines are locked: who was none before. Tells the group, and shows
    /// them as much of its history as it lets be seen.
    pub(super) async fn admit(&self, users: &[(UserNo, UserId)], most: i64) -> Result<Vec<UserId>> {
        let new: Vec<&(UserNo, UserId)> =
            users.iter().filter(|(no, _)| !self.members.contains_key(no)).collect();
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let would_have = self.count().await? + i64::try_from(new.len()).unwrap_or(i64::MAX);
        if would_have > most {
            return Err(Error::GroupFull { would_have, most });
        }
        let new: Vec<(UserNo, UserId)> = new.into_iter().cloned().collect();
        require_open(self.tx, &new).await?;
        let numbers: Vec<i64> = new.iter().map(|(no, _)| no.0).collect();
        let user_ids: Vec<UserId> = new.iter().map(|(_, user_id)| user_id.clone()).collect();
        let by = self.actor.user_id();
        let joined = MemberChanged {
            role: Some(GroupRole::Member),
            ..MemberChanged::new(by, MemberChange::Joined, user_ids.clone())
        };
        let seq = self.tell(joined).await?;
        let shown = self.profile.history.into();
        let after = before_newest(self.tx, self.group_no, shown, seq - 1).await?;
        // Who was a member before has what there was until it left, as far as that is not purged.
        self.tx
            .execute(
                "INSERT INTO group_members (group_no, user_no, role, joined_at, joined_seq, fanned_to,
                     purged_to)
                 SELECT $1, m.user_no, $3, $4, $5, $6, $6
                 FROM unnest($2::bigint[]) m (user_no)
                 ON CONFLICT (group_no, user_no) DO UPDATE
                 SET role = excluded.role, nickname = '', muted_until = NULL,
                     joined_at = excluded.joined_at, joined_seq = excluded.joined_seq,
                     left_seq = NULL,
                     fanned_to = greatest(excluded.fanned_to, group_members.left_seq),
                     purged_to = CASE WHEN group_members.purged_to < group_members.left_seq
                         THEN group_members.purged_to ELSE excluded.purged_to END",
                &[
                    &self.group_no.0,
                    &numbers,
                    &(GroupRole::Member as i16),
                    &self.tx.now().await?,
                    &seq,
                    &after,
                ],
            )
            .await?;
        // The first that they get of what comes is the entry that says so.
        bring_up(self.tx, self.group_no, &numbers, seq - 1).await?;
        self.tx
            .execute(
                "DELETE FROM group_requests WHERE group_no = $1 AND user_no = ANY($2)",
                &[&self.group_no.0, &numbers],
            )
            .await?;
        Ok(user_ids)
    }

    /// What a user is in the group. Errors: [`Error::MemberNotFound`].
    fn member(&self, (user_no, user_id): &(UserNo, UserId)) -> Result<GroupRole> {
        let role = self.members.get(user_no).copied();
        role.ok_or_else(|| Error::MemberNotFound(user_id.clone()))
    }

    /// Those of `users`, whose timelines are locked, whom the actor may add without asking them: who lets
    /// it, and who has asked to join.
    pub(super) async fn who_lets_add(
        &self,
        users: &[UserNo],
        invite_from: WhoMay,
    ) -> Result<BTreeSet<UserNo>> {
        let Some(by) = self.actor.user_no() else { return Ok(users.iter().copied().collect()) };
        let mut lets = who_lets_invite(self.tx, by, users, invite_from).await?;
        let numbers: Vec<i64> = users.iter().map(|no| no.0).collect();
        let statement = self
            .tx
            .prepare_cached(
                "SELECT user_no FROM group_requests
                 WHERE group_no = $1 AND user_no = ANY($2) AND invited_by IS NULL",
            )
            .await?;
        let rows = self.tx.query(&statement, &[&self.group_no.0, &numbers]).await?;
        lets.extend(rows.iter().map(|row| UserNo(row.get(0))));
        Ok(lets)
    }

    /// Ends a membership: tells the group, and gives the member all up to that entry and nothing after.
    async fn end(&self, user_no: &UserNo, user_id: &UserId, change: MemberChange) -> Result<()> {
        let change = MemberChanged::new(self.actor.user_id(), change, vec![user_id.clone()]);
        let seq = self.tell(change).await?;
        bring_up(self.tx, self.group_no, &[user_no.0], seq).await?;
        self.tx
            .execute(
                "UPDATE group_members SET left_seq = $3 WHERE group_no = $1 AND user_no = $2",
                &[&self.group_no.0, &user_no.0, &seq],
            )
            .await?;
        Ok(())
    }

    async fn set_nickname(&self, user: &(UserNo, UserId), nickname: &str) -> Result<()> {
        self.tx
            .execute(
                "UPDATE group_members SET nickname = $3 WHERE group_no = $1 AND user_no = $2",
                &[&self.group_no.0, &user.0.0, &nickname],
            )
            .await?;
        let change = MemberChanged {
            nickname: Some(nickname.to_owned()),
            ..self.change_of(user, MemberChange::NicknameChanged)
        };
        self.tell(change).await.map(drop)
    }

    async fn mute(&self, user: &(UserNo, UserId), until: Option<OffsetDateTime>) -> Result<()> {
        // A time that has passed lets it write again, by the database's clock, which sends go by.
        let row = self
            .tx
            .query_one(
                "UPDATE group_members
                 SET muted_until = CASE WHEN $3::timestamptz > now() THEN $3 END
                 WHERE group_no = $1 AND user_no = $2 RETURNING muted_until",
                &[&self.group_no.0, &user.0.0, &until],
            )
            .await?;
        let change = MemberChanged {
            muted_until: row.get("muted_until"),
            ..self.change_of(user, MemberChange::Muted)
        };
        self.tell(change).await.map(drop)
    }

    /// Gives a member another role; a new owner takes the place of the old one, who becomes an admin.
    async fn set_role(&self, user: &(UserNo, UserId), role: GroupRole) -> Result<()> {
        if role == GroupRole::Owner {
            self.tx
                .execute(
                    "UPDATE group_members SET role = $2
                     WHERE group_no = $1 AND role = $3 AND left_seq IS NULL",
                    &[&self.group_no.0, &(GroupRole::Admin as i16), &(GroupRole::Owner as i16)],
                )
                .await?;
        }
        self.tx
            .execute(
                "UPDATE group_members SET role = $3 WHERE group_no = $1 AND user_no = $2",
                &[&self.group_no.0, &user.0.0, &(role as i16)],
            )
            .await?;
        let change =
            MemberChanged { role: Some(role), ..self.change_of(user, MemberChange::RoleChanged) };
        self.tell(change).await.map(drop)
    }

    /// Who is to own the group when its owner has gone.
    async fn heir(&self) -> Result<Option<UserNo>> {
        let row = self
            .tx
            .query_opt(
                "SELECT user_no FROM group_members WHERE group_no = $1 AND left_seq IS NULL
                 ORDER BY role DESC, joined_seq, user_no LIMIT 1",
                &[&self.group_no.0],
            )
            .await?;
        Ok(row.map(|row| UserNo(row.get(0))))
    }

    fn change_of(&self, user: &(UserNo, UserId), change: MemberChange) -> MemberChanged {
        MemberChanged::new(self.actor.user_id(), change, vec![user.1.clone()])
    }

    /// Appends a change of members to the group's timeline: its place.
    async fn tell(&self, change: MemberChanged) -> Result<i64> {
        let group_id = self.group_id.clone();
        self.append(EntryKind::MemberChanged(InGroup { group_id, change })).await
    }
}

/// Errors: [`Error::UserNotFound`], [`Error::ImportUnfinished`] for the first whose timeline, which is
/// locked, takes no entries.
pub(super) async fn require_open(tx: &Transaction<'_>, users: &[(UserNo, UserId)]) -> Result<()> {
    let numbers: Vec<i64> = users.iter().map(|(no, _)| no.0).collect();
    let rows =
        tx.query("SELECT owner, state FROM timelines WHERE owner = ANY($1)", &[&numbers]).await?;
    for (user_no, user_id) in users {
        let state = rows.iter().find(|row| row.get::<_, i64>("owner") == user_no.0);
        match state.map(|row| Closed::read(row.get("state"))) {
            Some(None) => {}
            Some(Some(Closed::Importing)) => {
                return Err(Error::ImportUnfinished(user_id.to_string()));
            }
            Some(Some(Closed::Deleted)) | None => return Err(Error::UserNotFound(user_id.clone())),
        }
    }
    Ok(())
}

/// Errors: [`Error::Blocked`] for the first of `users` who blocks `by`. Behind the locks of all their
/// timelines.
pub(super) async fn require_unblocked(
    tx: &Transaction<'_>,
    by: UserNo,
    users: &[(UserNo, UserId)],
) -> Result<()> {
    let numbers: Vec<i64> = users.iter().map(|(no, _)| no.0).collect();
    let rows = tx
        .query(
            "SELECT owner FROM blocks WHERE owner = ANY($1) AND blocked = $2",
            &[&numbers, &by.0],
        )
        .await?;
    let blocking: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
    match users.iter().find(|(no, _)| blocking.contains(&no.0)) {
        Some((_, user_id)) => Err(Error::Blocked(user_id.clone())),
        None => Ok(()),
    }
}
