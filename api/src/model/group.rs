//! Groups: what they are, who is in them, and who may do what there.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Error, GroupId, Result, UserId, UserNo, is_line};

/// The longest name of a group and the longest nickname, in characters.
pub const MAX_GROUP_NAME_LENGTH: usize = 64;

/// The longest announcement of a group, in characters.
pub const MAX_ANNOUNCEMENT_LENGTH: usize = 2000;

/// The longest attributes of a group, in bytes of JSON.
pub const MAX_ATTRIBUTES_BYTES: usize = 4096;

/// The most messages that who joins may get to see.
pub const MAX_JOIN_HISTORY: i32 = 1000;

/// What a member may do. Each role may do what those before it may. Numbered as in the contract and in
/// the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GroupRole {
    /// Writes, reads, leaves.
    Member = 1,
    /// Also changes the group, and adds, removes and mutes members.
    Admin = 2,
    /// Also makes admins, hands the group on and dissolves it. Each group has one.
    Owner = 3,
}

impl GroupRole {
    const ALL: [Self; 3] = [Self::Member, Self::Admin, Self::Owner];

    /// The role with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as i16 == number)
    }

    /// The name in the contract: `MEMBER` …
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "MEMBER",
            Self::Admin => "ADMIN",
            Self::Owner => "OWNER",
        }
    }

    /// Requires at least the role `needed`. Errors: [`Error::GroupRoleNeeded`].
    pub fn require(self, needed: Self) -> Result<()> {
        if self < needed { Err(Error::GroupRoleNeeded(needed)) } else { Ok(()) }
    }

    /// Requires a role that is above `other`, and at least [`GroupRole::Admin`]: nobody changes what
    /// somebody of the same role is. Errors: [`Error::GroupRoleNeeded`].
    pub fn require_above(self, other: Self) -> Result<()> {
        self.require(Self::Admin)?;
        if self > other { Ok(()) } else { Err(Error::GroupRoleNeeded(Self::Owner)) }
    }
}

/// How one gets into a group. Numbered as in the contract and in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JoinRule {
    /// Owner and admins add members; others may invite, and an admin approves.
    #[default]
    Invite = 1,
    /// Anyone may ask to join, and an admin approves.
    Request = 2,
    /// Anyone may join.
    Open = 3,
}

impl JoinRule {
    const ALL: [Self; 3] = [Self::Invite, Self::Request, Self::Open];

    /// The rule with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| *rule as i16 == number)
    }
}

/// What is set of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupProfile {
    /// 1 to [`MAX_GROUP_NAME_LENGTH`] characters of one line.
    pub name: String,
    /// Up to [`MAX_ANNOUNCEMENT_LENGTH`] characters; empty for none.
    pub announcement: String,
    /// How one gets in.
    pub join: JoinRule,
    /// How many of the newest messages who joins gets to see, 0 to [`MAX_JOIN_HISTORY`].
    pub history: i32,
    /// Whether only owner and admins may write.
    pub muted: bool,
    /// A JSON object of the customer's own, up to [`MAX_ATTRIBUTES_BYTES`].
    pub attributes: String,
}

impl GroupProfile {
    /// A group of this name with the defaults: by invitation, and who joins sees what comes.
    #[must_use]
    pub fn named(name: String) -> Self {
        Self {
            name,
            announcement: String::new(),
            join: JoinRule::Invite,
            history: 0,
            muted: false,
            attributes: "{}".to_owned(),
        }
    }

    /// Checks all that was set. Errors: [`Error::InvalidArgument`] by the field's name.
    pub fn check(&self) -> Result<()> {
        check_group_line("name", &self.name)?;
        if self.name.trim().is_empty() {
            return Err(Error::invalid("name", "must not be empty"));
        }
        if self.announcement.chars().count() > MAX_ANNOUNCEMENT_LENGTH {
            let reason = format!("must be at most {MAX_ANNOUNCEMENT_LENGTH} characters");
            return Err(Error::invalid("announcement", reason));
        }
        if !(0..=MAX_JOIN_HISTORY).contains(&self.history) {
            return Err(Error::invalid("history", format!("must be 0 to {MAX_JOIN_HISTORY}")));
        }
        check_attributes(&self.attributes)
    }
}

/// Checks attributes of the customer's own: JSON of an object, up to [`MAX_ATTRIBUTES_BYTES`].
///
/// Errors: [`Error::InvalidArgument`].
pub(super) fn check_attributes(attributes: &str) -> Result<()> {
    if attributes.len() > MAX_ATTRIBUTES_BYTES {
        let reason =
            format!("are {} bytes of JSON; the limit is {MAX_ATTRIBUTES_BYTES}", attributes.len());
        return Err(Error::invalid("attributes", reason));
    }
    let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>;
    if object(attributes).is_err() {
        return Err(Error::invalid("attributes", "must be a JSON object"));
    }
    Ok(())
}

/// Checks a name or a nickname. Errors: [`Error::InvalidArgument`].
pub fn check_group_line(field: &'static str, value: &str) -> Result<()> {
    if value.chars().count() > MAX_GROUP_NAME_LENGTH || !is_line(value) {
        let reason = format!(
            "must be at most {MAX_GROUP_NAME_LENGTH} characters, none of them a control character or a change of direction"
        );
        return Err(Error::invalid(field, reason));
    }
    Ok(())
}

/// A group as one of its members, or an administrator, sees it.
#[derive(Debug, Clone)]
pub struct Group {
    /// The customer's id of it, or one that imd made.
    pub group_id: GroupId,
    /// What is set of it.
    pub profile: GroupProfile,
    /// Counts the changes of the profile.
    pub version: i64,
    /// How many members it has.
    pub members: i64,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// The caller's role; `None` for who is no member.
    pub role: Option<GroupRole>,
    /// Whether it was dissolved.
    pub dissolved: bool,
}

/// A member of a group.
#[derive(Debug, Clone)]
pub struct GroupMember {
    /// Who.
    pub user_id: UserId,
    /// The same, by number.
    pub user_no: UserNo,
    /// What the member may do.
    pub role: GroupRole,
    /// What the member is called in this group; empty for its own name.
    pub nickname: String,
    /// Until when the member may not write; `None` when it may.
    pub muted_until: Option<OffsetDateTime>,
    /// When it joined.
    pub joined_at: OffsetDateTime,
}

/// Somebody who wants to join a group or is invited.
#[derive(Debug, Clone)]
pub struct GroupRequest {
    /// Who is to become a member.
    pub user_id: UserId,
    /// The same, by number.
    pub user_no: UserNo,
    /// Who invites; `None` when the user asks to join.
    pub invited_by: Option<UserId>,
    /// In the words of whoever asks; may be empty.
    pub note: String,
    /// Whether an admin has agreed, so that only the user is to follow.
    pub approved: bool,
    /// Since when.
    pub created_at: OffsetDateTime,
}

/// A change of a group: what holds from then on. Stored as JSON: fields are added, never renamed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupChanged {
    /// Who changed it; `None` for an administrator of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// What is set now.
    pub profile: GroupProfile,
    /// Counts the changes of the profile.
    pub version: i64,
    /// Whether it is dissolved from now on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dissolved: bool,
}

/// What became of members. Numbered as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MemberChange {
    /// They are members from now on.
    Joined = 1,
    /// They have left.
    Left = 2,
    /// They were removed.
    Removed = 3,
    /// They have another role.
    RoleChanged = 4,
    /// They may not write until a time, or may again.
    Muted = 5,
    /// They are called something else.
    NicknameChanged = 6,
}

/// A change of members. Stored as JSON: fields are added, never renamed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MemberChanged {
    /// Who did it; `None` for an administrator of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// What became of them.
    pub change: MemberChange,
    /// Of whom.
    pub user_ids: Vec<UserId>,
    /// Their role now, where that is what changed or they joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<GroupRole>,
    /// Until when they may not write, where that is what changed; `None` when they may.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub muted_until: Option<OffsetDateTime>,
    /// What they are called now, where that is what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
}

impl MemberChanged {
    /// A change with nothing more to say of it.
    #[must_use]
    pub fn new(by: Option<UserId>, change: MemberChange, user_ids: Vec<UserId>) -> Self {
        Self { by, change, user_ids, role: None, muted_until: None, nickname: None }
    }
}

/// What became of a request to join or an invitation. Numbered as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RequestState {
    /// It waits for an answer.
    Pending = 1,
    /// It was granted: the user is a member.
    Approved = 2,
    /// It was refused.
    Declined = 3,
}

/// A request to join a group, an invitation, or the answer to one. It stands in the timelines of those
/// concerned, not in the group's. Stored as JSON: fields are added, never renamed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupRequestChanged {
    /// Which group.
    pub group_id: GroupId,
    /// What it is called.
    pub group_name: String,
    /// Who is to become a member.
    pub user_id: UserId,
    /// Who invites; `None` when the user asks to join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invited_by: Option<UserId>,
    /// In the words of whoever asks; may be empty.
    #[serde(default)]
    pub note: String,
    /// Whether an admin has agreed, so that only the user is to follow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approved: bool,
    /// What became of it.
    pub state: RequestState,
}
