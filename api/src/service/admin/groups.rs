//! Everybody's groups.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{Admin, list_size};
use crate::{
    model::{Error, Group, GroupId, GroupMember, GroupNo, Page, Result, Role, UserId, UserNo},
    service::{
        conversations::instant,
        groups::{CreateGroup, check_member_settings},
    },
    store::{Actor, ChangeGroup, MemberSettings, Removal},
};

/// How many users may be added at once.
const MOST_ADDED: usize = 1000;

/// How many ids are looked at, on either side, for the one that was probably meant.
const NEIGHBOURS: i64 = 500;

/// A group as administrators see it.
#[derive(Debug)]
pub struct AdminGroup {
    /// As its members see it.
    pub group: Group,
    /// Who owns it; `None` for a group that nobody is in.
    pub owner: Option<UserId>,
}

impl Admin<'_> {
    /// The groups, the one made first first; only those of `user_id` when it is not empty, and only those made at the time
    /// `since` or later, where that is given.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::UserNotFound`].
    pub async fn list_groups(
        &self,
        user_id: &str,
        since: Option<OffsetDateTime>,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<AdminGroup>> {
        self.require(Role::Viewer)?;
        let size = list_size(page_size)?;
        let user_no = self.only_of(user_id).await?;
        let scope = format!("admin/groups/{user_no:?}/{:?}", instant(since));
        let after = self.service.read_after(&scope, page_token)?;
        let store = &self.service.store;
        let mut found = match user_no {
            Some(user_no) => store.groups_of(user_no, since, after, size.get() + 1).await?,
            None => store.groups(since, after, size.get() + 1).await?,
        };
        let more = size.cut(&mut found);
        let last = found.last().filter(|_| more);
        let next = last.map(|(group_no, _)| self.service.place_token(&scope, group_no.0));
        Ok(Page { items: self.with_owners(found).await?, next_page_token: next })
    }

    /// One group, a dissolved one too. Errors: [`Error::NoSuchGroup`].
    pub async fn get_group(&self, group_id: &str) -> Result<AdminGroup> {
        self.require(Role::Viewer)?;
        self.group(self.group_no(group_id).await?).await
    }

    /// Makes a group for an owner.
    ///
    /// Errors: as [`Service::create_group`](crate::service::Service::create_group).
    pub async fn create_group(&self, owner_id: &str, create: CreateGroup) -> Result<AdminGroup> {
        self.require(Role::Backend)?;
        let owner_id = UserId::parse("owner_id", owner_id)?;
        let owner = (self.service.store.user_no(&owner_id).await?, owner_id);
        let new = self.service.new_group(owner, create).await?;
        let details = json!({ "group_id": new.group_id, "members": new.members.len() + 1 });
        let audit = self.audit("create_group", details);
        let actor = Actor::Administrator;
        let invite_from = self.service.limits.settings.groups_invite_from;
        let made = self.service.store.create_group(&new, &actor, invite_from, Some(audit)).await?;
        let (group_no, _, entries) = made;
        self.service.announce(entries);
        self.service.fan_out([group_no]);
        self.group(group_no).await
    }

    /// Changes a group, and tells its members.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::VersionConflict`]; [`Error::NoSuchGroup`],
    /// [`Error::GroupNotFound`].
    pub async fn change_group(&self, group_id: &str, change: ChangeGroup) -> Result<AdminGroup> {
        self.require(Role::Support)?;
        let group_no = self.group_no(group_id).await?;
        let audit = self.audit("change_group", changes(group_id, &change));
        let store = &self.service.store;
        if store.change_group(group_no, &change, &Actor::Administrator, Some(audit)).await? {
            self.service.fan_out([group_no]);
        }
        self.group(group_no).await
    }

    /// Dissolves a group. What was said stays with who has it.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::NoSuchGroup`], [`Error::GroupNotFound`].
    pub async fn dissolve_group(&self, group_id: &str) -> Result<()> {
        self.require(Role::Backend)?;
        let group_no = self.group_no(group_id).await?;
        let audit = self.audit("dissolve_group", json!({ "group_id": group_id }));
        let store = &self.service.store;
        store.dissolve_group(group_no, &Actor::Administrator, Some(audit)).await?;
        self.service.fan_out([group_no]);
        Ok(())
    }

    /// The members of a group, in the order in which their accounts were made.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::NoSuchGroup`].
    pub async fn list_group_members(
        &self,
        group_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<GroupMember>> {
        self.require(Role::Viewer)?;
        let group_no = self.group_no(group_id).await?;
        self.service.group_member_page(group_no, page_size, page_token).await
    }

    /// Makes users members of a group; those who became one.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::UserNotFound`]; [`Error::GroupFull`];
    /// [`Error::NoSuchGroup`], [`Error::GroupNotFound`].
    pub async fn add_group_members(
        &self,
        group_id: &str,
        user_ids: &[String],
    ) -> Result<Vec<UserId>> {
        self.require(Role::Support)?;
        let group_no = self.group_no(group_id).await?;
        if user_ids.is_empty() || user_ids.len() > MOST_ADDED {
            let wrong = format!("must name 1 to {MOST_ADDED} users");
            return Err(Error::invalid("user_ids", wrong));
        }
        let mut users: Vec<(UserNo, UserId)> = Vec::with_capacity(user_ids.len());
        for user_id in user_ids {
            let user_id = UserId::parse("user_ids", user_id)?;
            if users.iter().any(|(_, known)| *known == user_id) {
                return Err(Error::invalid("user_ids", format!("names {user_id} twice")));
            }
            users.push((self.service.store.user_no(&user_id).await?, user_id));
        }
        let details = json!({ "group_id": group_id, "user_ids": user_ids });
        let audit = self.audit("add_group_members", details);
        let (store, most) = (&self.service.store, self.service.limits.max_members);
        let actor = Actor::Administrator;
        let invite_from = self.service.limits.settings.groups_invite_from;
        // An administrator asks nobody.
        let (added, _) =
            store.add_members(group_no, &users, most, &actor, invite_from, Some(audit)).await?;
        self.service.fan_out([group_no]);
        Ok(added)
    }

    /// Removes a member from a group.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::UserNotFound`], [`Error::MemberNotFound`];
    /// [`Error::OwnerMustStay`]; [`Error::NoSuchGroup`], [`Error::GroupNotFound`].
    pub async fn remove_group_member(&self, group_id: &str, user_id: &str) -> Result<()> {
        self.require(Role::Support)?;
        let group_no = self.group_no(group_id).await?;
        let user = self.service.group_user(user_id).await?;
        let audit = self.audit("remove_group_member", json!({ "group_id": group_id }));
        let (store, how) = (&self.service.store, Removal::Removed);
        store.remove_member(group_no, &user, how, &Actor::Administrator, Some(audit)).await?;
        self.service.wake_member(group_no, user.0);
        Ok(())
    }

    /// Changes a member's role, nickname or mute.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::UserNotFound`], [`Error::MemberNotFound`];
    /// [`Error::OwnerMustStay`]; [`Error::NoSuchGroup`], [`Error::GroupNotFound`].
    pub async fn set_group_member(
        &self,
        group_id: &str,
        user_id: &str,
        settings: MemberSettings,
    ) -> Result<()> {
        self.require(Role::Support)?;
        check_member_settings(&settings)?;
        let group_no = self.group_no(group_id).await?;
        let user = self.service.group_user(user_id).await?;
        let mut details = json!({ "group_id": group_id });
        if let Some(role) = settings.role {
            details["role"] = role.name().into();
        }
        if let Some(nickname) = &settings.nickname {
            details["nickname"] = nickname.as_str().into();
        }
        if let Some(until) = settings.muted_until {
            details["muted_until"] = json!(until.map(|until| until.to_string()));
        }
        let audit = self.audit("set_group_member", details);
        let store = &self.service.store;
        let actor = Actor::Administrator;
        store.set_member(group_no, &user, &settings, &actor, Some(audit)).await?;
        self.service.fan_out([group_no]);
        Ok(())
    }

    /// The group that an administrator names.
    pub(in crate::service) async fn group_no(&self, group_id: &str) -> Result<GroupNo> {
        match self.service.group_no(group_id).await {
            Err(Error::GroupNotFound(group_id)) => Err(self.no_group(group_id).await?),
            found => found,
        }
    }

    /// Says that there is no such group, and which one was probably meant.
    async fn no_group(&self, group_id: GroupId) -> Result<Error> {
        let near = self.service.store.group_ids_near(&group_id, NEIGHBOURS).await?;
        Ok(Error::no_group(group_id, near.iter().map(String::as_str)))
    }

    async fn group(&self, group_no: GroupNo) -> Result<AdminGroup> {
        let group = self.service.store.group(group_no, None).await?;
        let owner = self.service.store.group_owners(&[group_no]).await?.remove(&group_no);
        Ok(AdminGroup { group, owner })
    }

    async fn with_owners(&self, groups: Vec<(GroupNo, Group)>) -> Result<Vec<AdminGroup>> {
        let numbers: Vec<GroupNo> = groups.iter().map(|(group_no, _)| *group_no).collect();
        let mut owners = self.service.store.group_owners(&numbers).await?;
        let with_owner = |(group_no, group)| AdminGroup { group, owner: owners.remove(&group_no) };
        Ok(groups.into_iter().map(with_owner).collect())
    }
}

/// What changes of a group, for the audit: what people wrote is named and not repeated.
fn changes(group_id: &str, change: &ChangeGroup) -> Value {
    let mut details = Map::new();
    details.insert("group_id".to_owned(), group_id.into());
    let mut note = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            details.insert(name.to_owned(), value);
        }
    };
    note("name", change.name.clone().map(Value::from));
    note("announcement", change.announcement.as_ref().map(|_| "changed".into()));
    note("join", change.join.map(|join| json!(join)));
    note("history", change.history.map(Value::from));
    note("muted", change.muted.map(Value::from));
    note("attributes", change.attributes.as_ref().map(|_| "changed".into()));
    Value::Object(details)
}
