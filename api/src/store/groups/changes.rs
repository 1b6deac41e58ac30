//! Changing and dissolving groups.

use super::{Actor, LockedGroup, write_profile};
use crate::{
    model::{
        EntryKind, Error, GroupChanged, GroupNo, GroupProfile, GroupRole, InGroup, JoinRule,
        Result, TimelineNo,
    },
    store::{Audit, Store, timelines::Closed, transaction},
};

/// What is to change of a group; what is absent stays.
#[derive(Debug, Default)]
pub struct ChangeGroup {
    /// See [`GroupProfile::name`].
    pub name: Option<String>,
    /// See [`GroupProfile::announcement`].
    pub announcement: Option<String>,
    /// See [`GroupProfile::join`].
    pub join: Option<JoinRule>,
    /// See [`GroupProfile::history`].
    pub history: Option<i32>,
    /// See [`GroupProfile::muted`].
    pub muted: Option<bool>,
    /// See [`GroupProfile::attributes`].
    pub attributes: Option<String>,
    /// The version that the caller has read; absent where it does not matter what that was.
    pub version: Option<i64>,
}

impl ChangeGroup {
    fn apply(&self, profile: &GroupProfile) -> GroupProfile {
        let changed = |new: &Option<String>, old: &String| new.as_ref().unwrap_or(old).clone();
        GroupProfile {
            name: changed(&self.name, &profile.name),
            announcement: changed(&self.announcement, &profile.announcement),
            join: self.join.unwrap_or(profile.join),
            history: self.history.unwrap_or(profile.history),
            muted: self.muted.unwrap_or(profile.muted),
            attributes: changed(&self.attributes, &profile.attributes),
        }
    }
}

impl Store {
    /// Changes what is set of a group, and tells its members: whether anything is different now.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::VersionConflict`]; [`Error::NotAMember`],
    /// [`Error::GroupRoleNeeded`]; [`Error::GroupNotFound`]; [`Error::SessionEnded`],
    /// [`Error::InvalidToken`].
    pub async fn change_group(
        &self,
        group_no: GroupNo,
        change: &ChangeGroup,
        actor: &Actor,
        audit: Option<Audit<'_>>,
    ) -> Result<bool> {
        transaction!(self, async |tx| {
            let group = LockedGroup::lock(&tx, group_no, actor, &[]).await?;
            group.role()?.require(GroupRole::Admin)?;
            if change.version.is_some_and(|version| version != group.version) {
                return Err(Error::VersionConflict(group.version));
            }
            let profile = change.apply(&group.profile);
            profile.check()?;
            if profile == group.profile {
                return Ok(false);
            }
            let version = group.version + 1;
            write_profile(&tx, group_no, &profile, version).await?;
            group.append_change(profile, version, false).await?;
            if let Some(audit) = &audit {
                audit.record(&tx, None).await?;
            }
            tx.commit().await?;
            Ok(true)
        })
    }

    /// Dissolves a group: its members keep what they have and are told, and nothing more is stored.
    ///
    /// Errors: [`Error::NotAMember`], [`Error::GroupRoleNeeded`]; [`Error::GroupNotFound`];
    /// [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn dissolve_group(
        &self,
        group_no: GroupNo,
        actor: &Actor,
        audit: Option<Audit<'_>>,
    ) -> Result<()> {
        transaction!(self, async |tx| {
            let group = LockedGroup::lock(&tx, group_no, actor, &[]).await?;
            group.role()?.require(GroupRole::Owner)?;
            group.dissolve().await?;
            if let Some(audit) = &audit {
                audit.record(&tx, None).await?;
            }
            tx.commit().await?;
            Ok(())
        })
    }
}

impl LockedGroup<'_> {
    /// Tells the members that the group is no more, and closes its timeline.
    pub(super) async fn dissolve(&self) -> Result<()> {
        self.append_change(self.profile.clone(), self.version, true).await?;
        let timeline = TimelineNo::from(self.group_no);
        self.tx
            .execute(
                "UPDATE timelines SET state = $2 WHERE owner = $1",
                &[&timeline.0, &(Closed::Deleted as i16)],
            )
            .await?;
        let requests = "DELETE FROM group_requests WHERE group_no = $1";
        self.tx.execute(requests, &[&self.group_no.0]).await?;
        Ok(())
    }

    async fn append_change(
        &self,
        profile: GroupProfile,
        version: i64,
        dissolved: bool,
    ) -> Result<i64> {
        let change = GroupChanged { by: self.actor.user_id(), profile, version, dissolved };
        let group_id = self.group_id.clone();
        self.append(EntryKind::GroupChanged(InGroup { group_id, change })).await
    }
}
