//! Groups: making and changing them, who is in them, and how one gets in.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Service, access::Identity};
use crate::{
    model::{
        Error, Group, GroupId, GroupMember, GroupNo, GroupProfile, GroupRequest, GroupRole,
        JoinRule, Page, PageSize, Result, UserId, UserNo, check_group_line, is_line,
    },
    store::{ChangeGroup, JoinOutcome, MemberSettings, NewGroup, Removal, RequestAnswer},
};

/// The longest note of who asks to join, in characters.
const MAX_NOTE_LENGTH: usize = 200;

/// A group to make.
#[derive(Debug, Default)]
pub struct CreateGroup {
    /// Its id; empty for one that imd makes.
    pub group_id: String,
    /// What it is called.
    pub name: String,
    /// Its members beside the caller, by user id.
    pub member_ids: Vec<String>,
    /// How one gets in.
    pub join: JoinRule,
    /// How many of the newest messages who joins gets to see.
    pub history: i32,
    /// A JSON object of the customer's own; empty for none.
    pub attributes: String,
}

/// What came of a wish that somebody be in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// The user is a member.
    Member,
    /// An admin, or the user, is to answer.
    Requested,
}

/// Who has read a message of a group.
#[derive(Debug)]
pub struct GroupReaders {
    /// Members other than the sender.
    pub page: Page<UserId>,
    /// How many have read it.
    pub read: i64,
    /// How many have not.
    pub unread: i64,
}

impl Service {
    /// Makes a group that the caller owns. Members who do not let the caller add them are invited.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::UserNotFound`], [`Error::Blocked`] for a member;
    /// [`Error::GroupExists`], [`Error::GroupFull`].
    #[tracing::instrument(target = "imd::trace", level = "info", skip_all)]
    pub async fn create_group(&self, token: Option<&str>, create: CreateGroup) -> Result<Group> {
        let caller = self.changer(token).await?;
        self.check_session(&caller).await?;
        let owner = (caller.user_no, caller.user_id.clone());
        let new = self.new_group(owner, create).await?;
        let invite_from = self.limits.settings.groups_invite_from;
        let made = self.store.create_group(&new, &caller.actor(), invite_from, None).await?;
        let (group_no, group, entries) = made;
        self.announce(entries);
        self.fan_out([group_no]);
        Ok(group)
    }

    /// Checks what a group is to be.
    pub(super) async fn new_group(
        &self,
        owner: (UserNo, UserId),
        create: CreateGroup,
    ) -> Result<NewGroup> {
        let group_id = if create.group_id.is_empty() {
            GroupId::from_stored(&Uuid::now_v7().simple().to_string())
        } else {
            GroupId::parse("group_id", &create.group_id)?
        };
        let named = GroupProfile::named(create.name);
        let attributes = Some(create.attributes).filter(|attributes| !attributes.is_empty());
        let profile = GroupProfile {
            join: create.join,
            history: create.history,
            attributes: attributes.unwrap_or_else(|| named.attributes.clone()),
            ..named
        };
        profile.check()?;
        let members = self.read_members(&owner.1, &create.member_ids).await?;
        let would_have = i64::try_from(members.len()).unwrap_or(i64::MAX).saturating_add(1);
        let most = self.limits.max_members;
        if would_have > most {
            return Err(Error::GroupFull { would_have, most });
        }
        Ok(NewGroup { group_id, profile, owner, members })
    }

    async fn read_members(
        &self,
        owner_id: &UserId,
        user_ids: &[String],
    ) -> Result<Vec<(UserNo, UserId)>> {
        let mut members: Vec<UserId> = Vec::with_capacity(user_ids.len());
        let mut known = HashSet::new();
        for user_id in user_ids {
            let user_id = UserId::parse("member_ids", user_id)?;
            if user_id == *owner_id {
                return Err(Error::invalid("member_ids", "must not name the owner"));
            }
            if !known.insert(user_id.clone()) {
                return Err(Error::invalid("member_ids", format!("names {user_id} twice")));
            }
            members.push(user_id);
        }
        Ok(self.store.user_nos(&members).await?.into_iter().zip(members).collect())
    }

    /// A group; the caller need not be a member to see what one sees before joining.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::GroupNotFound`].
    pub async fn get_group(&self, token: Option<&str>, group_id: &str) -> Result<Group> {
        let caller = self.reader(token).await?;
        let group_no = self.group_no(group_id).await?;
        let group = self.store.group(group_no, Some(caller.user_no)).await?;
        if group.dissolved || (group.role.is_none() && group.profile.join == JoinRule::Invite) {
            return Err(Error::GroupNotFound(group.group_id));
        }
        Ok(group)
    }

    /// The groups that the caller is a member of, the one made first first.
    pub async fn list_groups(
        &self,
        token: Option<&str>,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<Group>> {
        let caller = self.reader(token).await?;
        let size = PageSize::parse("page_size", page_size, 50, 1000)?;
        let scope = format!("groups/{}", caller.user_no.0);
        let after = self.read_after(&scope, page_token)?;
        let mut items = self.store.groups_of(caller.user_no, None, after, size.get() + 1).await?;
        let more = size.cut(&mut items);
        let next = items.last().filter(|_| more).map(|(no, _)| self.place_token(&scope, no.0));
        let items = items.into_iter().map(|(_, group)| group).collect();
        Ok(Page { items, next_page_token: next })
    }

    /// Changes a group, and tells its members. Returns how it is now.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::VersionConflict`]; [`Error::NotAMember`],
    /// [`Error::GroupRoleNeeded`]; [`Error::GroupNotFound`].
    pub async fn change_group(
        &self,
        token: Option<&str>,
        group_id: &str,
        change: ChangeGroup,
    ) -> Result<Group> {
        let caller = self.changer(token).await?;
        let group_no = self.group_of(&caller, group_id).await?;
        if self.store.change_group(group_no, &change, &caller.actor(), None).await? {
            self.fan_out([group_no]);
        }
        self.store.group(group_no, Some(caller.user_no)).await
    }

    /// Dissolves a group. What was said stays with who has it.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::NotAMember`], [`Error::GroupRoleNeeded`];
    /// [`Error::GroupNotFound`].
    pub async fn dissolve_group(&self, token: Option<&str>, group_id: &str) -> Result<()> {
        let caller = self.changer(token).await?;
        let group_no = self.group_of(&caller, group_id).await?;
        self.store.dissolve_group(group_no, &caller.actor(), None).await?;
        self.fan_out([group_no]);
        Ok(())
    }

    /// The members of a group of the caller's.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::NotAMember`]; [`Error::GroupNotFound`].
    pub async fn list_group_members(
        &self,
        token: Option<&str>,
        group_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<GroupMember>> {
        let caller = self.reader(token).await?;
        let group_no = self.group_no(group_id).await?;
        self.require_role(group_no, &caller, GroupRole::Member).await?;
        self.group_member_page(group_no, page_size, page_token).await
    }

    pub(super) async fn group_member_page(
        &self,
        group_no: GroupNo,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<GroupMember>> {
        let size = PageSize::parse("page_size", page_size, 100, 1000)?;
        let scope = format!("group_members/{}", group_no.0);
        let after = self.read_after(&scope, page_token)?;
        let mut items = self.store.group_members(group_no, UserNo(after), size.get() + 1).await?;
        let more = size.cut(&mut items);
        let next = items.last().filter(|_| more).map(|m| self.place_token(&scope, m.user_no.0));
        Ok(Page { items, next_page_token: next })
    }

    /// Has a user be in a group: an admin adds one who lets it at once and invites another; a member who is
    /// none asks the admins to.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::UserNotFound`], [`Error::Blocked`];
    /// [`Error::GroupFull`]; [`Error::NotAMember`]; [`Error::GroupNotFound`].
    pub async fn add_group_member(
        &self,
        token: Option<&str>,
        group_id: &str,
        user_id: &str,
    ) -> Result<Joined> {
        let caller = self.changer(token).await?;
        let group_no = self.group_of(&caller, group_id).await?;
        let user = self.member(&caller, user_id).await?;
        let actor = caller.actor();
        let role = self.store.group_role(group_no, caller.user_no).await?;
        if role.is_none_or(|role| role >= GroupRole::Admin) {
            let most = self.limits.max_members;
            let invite_from = self.limits.settings.groups_invite_from;
            let (_, outcome) =
                self.store.add_members(group_no, &[user], most, &actor, invite_from, None).await?;
            return Ok(self.joined(group_no, outcome));
        }
        let outcome = self.store.invite_to_group(group_no, &user, &actor).await?;
        Ok(self.joined(group_no, outcome))
    }

    /// Removes a member from a group; oneself, as [`Service::leave_group`] does.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::MemberNotFound`]; [`Error::OwnerMustStay`];
    /// [`Error::NotAMember`], [`Error::GroupRoleNeeded`]; [`Error::GroupNotFound`].
    pub async fn remove_group_member(
        &self,
        token: Option<&str>,
        group_id: &str,
        user_id: &str,
    ) -> Result<()> {
        let caller = self.changer(token).await?;
        let group_no = self.group_of(&caller, group_id).await?;
        let user = self.member(&caller, user_id).await?;
        let own = user.0 == caller.user_no;
        let how = if own { Removal::Left } else { Removal::Removed };
        self.store.remove_member(group_no, &user, how, &caller.actor(), None).await?;
        self.wake_member(group_no, user.0);
        Ok(())
    }

    /// Leaves a group. Who owns it hands it on or dissolves it first.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::NotAMember`]; [`Error::OwnerMustStay`];
    /// [`Error::GroupNotFound`].
    pub async fn leave_group(&self, token: Option<&str>, group_id: &str) -> Result<()> {
        let caller = self.changer(token).await?;
        let group_no = self.group_of(&caller, group_id).await?;
        let user = (caller.user_no, caller.user_id.clone());
        let actor = caller.actor();
        self.store.remove_member(group_no, &user, Removal::Left, &actor, None).await?;
        self.wake_member(group_no, user.0);
        Ok(())
    }

    /// Changes a member's role, nickname or mute.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::MemberNotFound`]; [`Error::NotAMember`],
    /// [`Error::GroupRoleNeeded`], [`Error::OwnerMustStay`]; [`Error::GroupNotFound`].
    pub async fn set_group_member(
        &self,
        token: Option<&str>,
        group_id: &str,
        user_id: &str,
        settings: MemberSettings,
    ) -> Result<()> {
        let caller = self.changer(token).await?;
        let group_no = self.group_of(&caller, group_id).await?;
        let user = self.member(&caller, user_id).await?;
        if let Err(refusal) = check_member_settings(&settings) {
            return Err(self.refuse(&caller, refusal).await);
        }
        self.store.set_member(group_no, &user, &settings, &caller.actor(), None).await?;
        self.fan_out([group_no]);
        Ok(())
    }

    /// Joins a group that is open or that the caller is invited to, or asks to.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::InvitationNeeded`], [`Error::GroupFull`];
    /// [`Error::GroupNotFound`].
    pub async fn join_group(
        &self,
        token: Option<&str>,
        group_id: &str,
        note: &str,
    ) -> Result<Joined> {
        let caller = self.changer(token).await?;
        let group_no = self.group_of(&caller, group_id).await?;
        if note.chars().count() > MAX_NOTE_LENGTH || !is_line(note) {
            let reason = format!("must be a line of at most {MAX_NOTE_LENGTH} characters");
            return Err(self.refuse(&caller, Error::invalid("note", reason)).await);
        }
        let user = (caller.user_no, caller.user_id.clone());
        let most = self.limits.max_members;
        let outcome = self.store.join_group(group_no, &user, note, most, &caller.actor()).await?;
        Ok(self.joined(group_no, outcome))
    }

    /// Who asks to join a group, or is invited by a member who may not add any.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::NotAMember`], [`Error::GroupRoleNeeded`];
    /// [`Error::GroupNotFound`].
    pub async fn list_group_requests(
        &self,
        token: Option<&str>,
        group_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<GroupRequest>> {
        let caller = self.reader(token).await?;
        let group_no = self.group_no(group_id).await?;
        self.require_role(group_no, &caller, GroupRole::Admin).await?;
        let size = PageSize::parse("page_size", page_size, 50, 1000)?;
        let scope = format!("group_requests/{}", group_no.0);
        let after = self.read_after(&scope, page_token)?;
        let mut items = self.store.group_requests(group_no, UserNo(after), size.get() + 1).await?;
        let more = size.cut(&mut items);
        let next = items.last().filter(|_| more).map(|r| self.place_token(&scope, r.user_no.0));
        Ok(Page { items, next_page_token: next })
    }

    /// Answers a request to join or an invitation: as an admin, or as the user whom it is about.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::RequestNotFound`]; [`Error::GroupFull`];
    /// [`Error::NotAMember`], [`Error::GroupRoleNeeded`]; [`Error::GroupNotFound`].
    pub async fn answer_group_request(
        &self,
        token: Option<&str>,
        group_id: &str,
        user_id: &str,
        approve: bool,
    ) -> Result<()> {
        let caller = self.changer(token).await?;
        let group_no = self.group_of(&caller, group_id).await?;
        let user = self.member(&caller, user_id).await?;
        let answer = if approve { RequestAnswer::Approve } else { RequestAnswer::Decline };
        let most = self.limits.max_members;
        let invite_from = self.limits.settings.groups_invite_from;
        let entries = self
            .store
            .answer_request(group_no, &user, answer, most, &caller.actor(), invite_from)
            .await?;
        self.announce(entries);
        self.fan_out([group_no]);
        Ok(())
    }

    /// Who has read a message of a group, and how many have not.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::MessageNotFound`].
    pub async fn list_readers(
        &self,
        token: Option<&str>,
        message_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<GroupReaders> {
        let caller = self.reader(token).await?;
        let size = PageSize::parse("page_size", page_size, 100, 1000)?;
        let message_id = self.message_id(message_id).await?;
        let scope = format!("readers/{}/{}", message_id.home.0, message_id.seq);
        let after = UserNo(self.read_after(&scope, page_token)?);
        let found = self.store.readers(caller.user_no, message_id, after, size.get() + 1).await?;
        let mut items = found.readers;
        let more = size.cut(&mut items);
        let next = items.last().filter(|_| more).map(|(no, _)| self.place_token(&scope, no.0));
        let items = items.into_iter().map(|(_, user_id)| user_id).collect();
        let page = Page { items, next_page_token: next };
        Ok(GroupReaders { page, read: found.read, unread: found.unread })
    }

    /// Tells those whom the outcome concerns.
    fn joined(&self, group_no: GroupNo, outcome: JoinOutcome) -> Joined {
        match outcome {
            JoinOutcome::Joined => {
                self.fan_out([group_no]);
                Joined::Member
            }
            JoinOutcome::Requested(entries) => {
                self.announce(entries);
                Joined::Requested
            }
        }
    }

    /// Has a member who has gone read the last that it got, and the others get the news.
    pub(super) fn wake_member(&self, group_no: GroupNo, user_no: UserNo) {
        self.delivery.read_log(user_no.into());
        self.fan_out([group_no]);
    }

    /// The group that a client names.
    pub(super) async fn group_no(&self, group_id: &str) -> Result<GroupNo> {
        self.store.group_no(&GroupId::parse("group_id", group_id)?).await
    }

    /// As [`Service::group_no`], for a caller whose session is not checked yet.
    async fn group_of(&self, caller: &Identity, group_id: &str) -> Result<GroupNo> {
        match self.group_no(group_id).await {
            Ok(group_no) => Ok(group_no),
            Err(refusal) => Err(self.refuse(caller, refusal).await),
        }
    }

    /// The user that a client names, for a caller whose session is not checked yet.
    async fn member(&self, caller: &Identity, user_id: &str) -> Result<(UserNo, UserId)> {
        match self.group_user(user_id).await {
            Ok(user) => Ok(user),
            Err(refusal) => Err(self.refuse(caller, refusal).await),
        }
    }

    /// The user that a client names.
    pub(super) async fn group_user(&self, user_id: &str) -> Result<(UserNo, UserId)> {
        let user_id = UserId::parse("user_id", user_id)?;
        Ok((self.store.user_no(&user_id).await?, user_id))
    }

    async fn require_role(
        &self,
        group_no: GroupNo,
        caller: &Identity,
        needed: GroupRole,
    ) -> Result<()> {
        let group = self.store.group(group_no, Some(caller.user_no)).await?;
        if group.dissolved {
            return Err(Error::GroupNotFound(group.group_id));
        }
        group.role.ok_or(Error::NotAMember)?.require(needed)
    }

    /// The number behind which a listing in rising order goes on; 0 for the first page.
    pub(super) fn read_after(&self, scope: &str, page_token: &str) -> Result<i64> {
        let place = |payload: Vec<u8>| payload.try_into().ok().map(i64::from_be_bytes);
        Ok(self.read_page_token(scope, page_token, place)?.unwrap_or_default())
    }
}

/// Checks what is to be set of a member.
pub(super) fn check_member_settings(settings: &MemberSettings) -> Result<()> {
    if let Some(nickname) = &settings.nickname {
        check_group_line("nickname", nickname)?;
    }
    if settings.role.is_none() && settings.nickname.is_none() && settings.muted_until.is_none() {
        return Err(Error::invalid("role", "role, nickname or muted_until is needed"));
    }
    Ok(())
}
