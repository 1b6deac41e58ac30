//! Groups.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::id::{GroupId, UserId};
use crate::{
    model::{self, InGroup, Page},
    service::{
        ChangeGroup, CreateGroup, GroupReaders, ImportedGroup, Joined, MemberSettings,
        RecordedMember,
    },
};

/// How one gets into a group.
///
/// `INVITE`: owner and admins add members, other members ask them to. `REQUEST`: anyone may ask to join,
/// and owner and admins answer. `OPEN`: anyone may join.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum JoinRule {
    #[default]
    Invite,
    Request,
    Open,
}

/// What a member may do. Each role may do what those before it may.
///
/// `MEMBER`: writes, reads, leaves. `ADMIN`: changes the group, adds, removes and mutes members, recalls any
/// message, and mentions everybody. `OWNER`: makes admins, hands the group on and dissolves it; each group
/// has one.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum GroupRole {
    #[default]
    Member,
    Admin,
    Owner,
}

/// A group to make.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "name": "Trip to Oslo", "member_ids": ["ben", "cleo"] })))]
pub(crate) struct CreateGroupRequest {
    /// Absent for an id that the server makes.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9._@+=-]{0,64}$")]
    group_id: String,
    /// 1–64 characters, on one line.
    #[serde(default)]
    #[schema(required = true)]
    name: String,
    /// Its members beside the caller, each once.
    #[serde(default)]
    #[schema(required = false)]
    member_ids: Vec<UserId>,
    #[serde(default)]
    join: JoinRule,
    /// How many of the newest messages who joins gets to see.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1000)]
    history: i32,
    /// Of the customer's own, up to 4,096 bytes.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    attributes: Option<Map<String, Value>>,
}

/// What is to change of a group; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "name": "Oslo in May", "version": 1 })))]
pub(crate) struct UpdateGroupRequest {
    /// 1–64 characters, on one line.
    name: Option<String>,
    /// Up to 2,000 characters; empty for none.
    announcement: Option<String>,
    join: Option<JoinRule>,
    /// How many of the newest messages who joins gets to see.
    #[schema(minimum = 0, maximum = 1000)]
    history: Option<i32>,
    /// Whether only owner and admins may write.
    muted: Option<bool>,
    /// Of the customer's own, up to 4,096 bytes.
    #[schema(value_type = Option<Object>)]
    attributes: Option<Map<String, Value>>,
    /// The version that the caller has read; absent where it does not matter what that was.
    version: Option<i64>,
}

/// A group as the caller sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "group_id": "oslo",
    "name": "Trip to Oslo",
    "announcement": "",
    "join": "INVITE",
    "history": 0,
    "muted": false,
    "attributes": {},
    "version": 1,
    "member_count": 3,
    "created_at": "2026-11-23T07:30:00.123456Z",
    "role": "OWNER",
})))]
pub(crate) struct Group {
    group_id: GroupId,
    name: String,
    /// Empty for none.
    announcement: String,
    join: JoinRule,
    /// How many of the newest messages who joins gets to see.
    history: i32,
    /// Whether only owner and admins may write.
    muted: bool,
    /// Of the customer's own.
    #[schema(value_type = Object)]
    attributes: Value,
    /// Counts the changes of the members above.
    version: i64,
    member_count: i64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// The caller's role; absent for who is not a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    role: Option<GroupRole>,
}

/// A page of the caller's groups, the one made first first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupList {
    groups: Vec<Group>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// A member of a group.
#[derive(Debug, Serialize, ToSchema)]
struct GroupMember {
    user_id: UserId,
    role: GroupRole,
    /// What it is called in the group; empty for its own name.
    nickname: String,
    /// Until when it may not write; null when it may.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    muted_until: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    joined_at: OffsetDateTime,
}

/// A page of a group's members.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupMemberList {
    members: Vec<GroupMember>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// What is to change of a member; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "role": "ADMIN" }), json!({ "muted_until": "2026-12-24T00:00:00Z" })))]
pub(crate) struct UpdateGroupMemberRequest {
    role: Option<GroupRole>,
    /// What it is called in the group; empty for its own name.
    nickname: Option<String>,
    /// Until when it may not write; null lets it write again.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = DateTime)]
    muted_until: Option<MutedUntil>,
}

/// A time or null, where that was given.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct MutedUntil(
    #[serde(with = "time::serde::rfc3339::option")] pub(super) Option<OffsetDateTime>,
);

/// What was given, null included.
pub(super) fn given<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<MutedUntil>, D::Error> {
    MutedUntil::deserialize(deserializer).map(Some)
}

/// Whether somebody is a member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Membership {
    /// Whether the user is a member now; else owner and admins are asked, or the user itself where these have
    /// agreed.
    is_member: bool,
}

/// A wish to join.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct JoinGroupRequest {
    /// For the admins, where they are asked: up to 200 characters on one line.
    #[serde(default)]
    pub(in crate::rest) note: String,
}

/// Somebody who asks to join a group or is invited.
#[derive(Debug, Serialize, ToSchema)]
struct GroupRequest {
    user_id: UserId,
    /// The member who invites; absent when the user itself asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    invited_by: Option<UserId>,
    /// In the words of whoever asks; may be empty.
    note: String,
    /// Whether an admin has agreed, so that only the user is to follow, by joining, or to decline. Absent for
    /// false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    approved: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// A page of those who ask to join a group or are invited.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupRequestList {
    requests: Vec<GroupRequest>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// An answer to a request.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct AnswerGroupRequest {
    /// Whether the user becomes a member.
    pub(in crate::rest) approve: bool,
}

/// Who has read a message of a group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReaderList {
    /// Members who have marked it as read, the sender left out.
    user_ids: Vec<UserId>,
    read_count: i64,
    unread_count: i64,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// A group was made, changed or dissolved.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupChanged {
    group_id: GroupId,
    /// Who did it; absent for an administrator of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    by: Option<UserId>,
    name: String,
    announcement: String,
    join: JoinRule,
    history: i32,
    muted: bool,
    #[schema(value_type = Object)]
    attributes: Value,
    version: i64,
    /// Whether the group is dissolved from now on.
    dissolved: bool,
}

/// What became of members. The set is open.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum MemberChange {
    Joined,
    Left,
    Removed,
    RoleChanged,
    Muted,
    NicknameChanged,
}

/// Members of a group came, went or changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MemberChanged {
    group_id: GroupId,
    /// Who did it; absent for an administrator of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    by: Option<UserId>,
    change: MemberChange,
    user_ids: Vec<UserId>,
    /// Their role now, where they joined or that is what changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    role: Option<GroupRole>,
    /// Until when they may not write, where that is what changed; absent when they may.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    muted_until: Option<OffsetDateTime>,
    /// What they are called now, where that is what changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    nickname: Option<String>,
}

/// What became of a request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum GroupRequestState {
    Pending,
    Approved,
    Declined,
}

/// Somebody asks to join a group, is invited to one, or is answered: in the timelines of that user and of
/// the group's owner and admins.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupRequestChanged {
    group_id: GroupId,
    group_name: String,
    /// Who is to become a member.
    user_id: UserId,
    /// The member who invites; absent when the user itself asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    invited_by: Option<UserId>,
    /// In the words of whoever asks; may be empty.
    note: String,
    /// Whether an admin has agreed, so that only the user is to follow, by joining, or to decline. Absent for
    /// false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    approved: bool,
    state: GroupRequestState,
}

/// A group as it moves from one system to another.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct GroupRecord {
    #[serde(default)]
    #[schema(required = true)]
    group_id: GroupId,
    /// 1–64 characters, on one line.
    #[serde(default)]
    #[schema(required = true)]
    name: String,
    /// Up to 2,000 characters; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    announcement: String,
    #[serde(default)]
    join: JoinRule,
    /// How many of the newest messages who joins gets to see.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1000)]
    history: i32,
    /// Whether only owner and admins may write.
    #[serde(default)]
    #[schema(required = false)]
    muted: bool,
    /// Of the customer's own, up to 4,096 bytes.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object, required = false)]
    attributes: Map<String, Value>,
    /// Whom it had at first, each once; one of them may be the owner.
    #[serde(default)]
    #[schema(required = false)]
    members: Vec<MemberRecord>,
}

/// A member of a group as it moves from one system to another.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct MemberRecord {
    #[serde(default)]
    #[schema(required = true)]
    user_id: UserId,
    /// `MEMBER` when absent.
    #[serde(default)]
    role: GroupRole,
    /// Empty for its own name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    nickname: String,
    /// Until when it may not write.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    muted_until: Option<OffsetDateTime>,
}

impl GroupRecord {
    pub(super) fn new(
        group_id: &model::GroupId,
        profile: model::GroupProfile,
        members: Vec<RecordedMember>,
    ) -> Self {
        Self {
            group_id: group_id.into(),
            name: profile.name,
            announcement: profile.announcement,
            join: profile.join.into(),
            history: profile.history,
            muted: profile.muted,
            attributes: serde_json::from_str(&profile.attributes).unwrap_or_default(),
            members: members.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<GroupRecord> for ImportedGroup {
    fn from(record: GroupRecord) -> Self {
        Self {
            group_id: record.group_id.0,
            profile: model::GroupProfile {
                name: record.name,
                announcement: record.announcement,
                join: record.join.into(),
                history: record.history,
                muted: record.muted,
                attributes: json(record.attributes),
            },
            members: record.members.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<RecordedMember> for MemberRecord {
    fn from(member: RecordedMember) -> Self {
        Self {
            user_id: UserId(member.user_id),
            role: member.role.into(),
            nickname: member.nickname,
            muted_until: member.muted_until,
        }
    }
}

impl From<MemberRecord> for RecordedMember {
    fn from(member: MemberRecord) -> Self {
        Self {
            user_id: member.user_id.0,
            role: member.role.into(),
            nickname: member.nickname,
            muted_until: member.muted_until,
        }
    }
}

impl From<MemberChange> for model::MemberChange {
    fn from(change: MemberChange) -> Self {
        match change {
            MemberChange::Joined => Self::Joined,
            MemberChange::Left => Self::Left,
            MemberChange::Removed => Self::Removed,
            MemberChange::RoleChanged => Self::RoleChanged,
            MemberChange::Muted => Self::Muted,
            MemberChange::NicknameChanged => Self::NicknameChanged,
        }
    }
}

impl From<model::MemberChange> for MemberChange {
    fn from(change: model::MemberChange) -> Self {
        match change {
            model::MemberChange::Joined => Self::Joined,
            model::MemberChange::Left => Self::Left,
            model::MemberChange::Removed => Self::Removed,
            model::MemberChange::RoleChanged => Self::RoleChanged,
            model::MemberChange::Muted => Self::Muted,
            model::MemberChange::NicknameChanged => Self::NicknameChanged,
        }
    }
}

impl From<JoinRule> for model::JoinRule {
    fn from(rule: JoinRule) -> Self {
        match rule {
            JoinRule::Invite => Self::Invite,
            JoinRule::Request => Self::Request,
            JoinRule::Open => Self::Open,
        }
    }
}

impl From<model::JoinRule> for JoinRule {
    fn from(rule: model::JoinRule) -> Self {
        match rule {
            model::JoinRule::Invite => Self::Invite,
            model::JoinRule::Request => Self::Request,
            model::JoinRule::Open => Self::Open,
        }
    }
}

impl From<GroupRole> for model::GroupRole {
    fn from(role: GroupRole) -> Self {
        match role {
            GroupRole::Member => Self::Member,
            GroupRole::Admin => Self::Admin,
            GroupRole::Owner => Self::Owner,
        }
    }
}

impl From<model::GroupRole> for GroupRole {
    fn from(role: model::GroupRole) -> Self {
        match role {
            model::GroupRole::Member => Self::Member,
            model::GroupRole::Admin => Self::Admin,
            model::GroupRole::Owner => Self::Owner,
        }
    }
}

fn json(attributes: Map<String, Value>) -> String {
    Value::Object(attributes).to_string()
}

/// What was checked when it was stored.
fn object(attributes: &str) -> Value {
    serde_json::from_str(attributes).unwrap_or_default()
}

impl From<CreateGroupRequest> for CreateGroup {
    fn from(request: CreateGroupRequest) -> Self {
        Self {
            group_id: request.group_id,
            name: request.name,
            member_ids: request.member_ids.into_iter().map(|id| id.0).collect(),
            join: request.join.into(),
            history: request.history,
            attributes: request.attributes.map(json).unwrap_or_default(),
        }
    }
}

impl From<UpdateGroupRequest> for ChangeGroup {
    fn from(request: UpdateGroupRequest) -> Self {
        Self {
            name: request.name,
            announcement: request.announcement,
            join: request.join.map(Into::into),
            history: request.history,
            muted: request.muted,
            attributes: request.attributes.map(json),
            version: request.version,
        }
    }
}

impl From<UpdateGroupMemberRequest> for MemberSettings {
    fn from(request: UpdateGroupMemberRequest) -> Self {
        Self {
            role: request.role.map(Into::into),
            nickname: request.nickname,
            muted_until: request.muted_until.map(|until| until.0),
        }
    }
}

impl From<model::Group> for Group {
    fn from(group: model::Group) -> Self {
        Self {
            group_id: (&group.group_id).into(),
            name: group.profile.name,
            announcement: group.profile.announcement,
            join: group.profile.join.into(),
            history: group.profile.history,
            muted: group.profile.muted,
            attributes: object(&group.profile.attributes),
            version: group.version,
            member_count: group.members,
            created_at: group.created_at,
            role: group.role.map(Into::into),
        }
    }
}

impl From<Page<model::Group>> for GroupList {
    fn from(page: Page<model::Group>) -> Self {
        Self {
            groups: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<Page<model::GroupMember>> for GroupMemberList {
    fn from(page: Page<model::GroupMember>) -> Self {
        let member = |member: model::GroupMember| GroupMember {
            user_id: (&member.user_id).into(),
            role: member.role.into(),
            nickname: member.nickname,
            muted_until: member.muted_until,
            joined_at: member.joined_at,
        };
        Self {
            members: page.items.into_iter().map(member).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<Page<model::GroupRequest>> for GroupRequestList {
    fn from(page: Page<model::GroupRequest>) -> Self {
        let request = |request: model::GroupRequest| GroupRequest {
            user_id: (&request.user_id).into(),
            invited_by: request.invited_by.as_ref().map(Into::into),
            note: request.note,
            approved: request.approved,
            created_at: request.created_at,
        };
        Self {
            requests: page.items.into_iter().map(request).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<GroupReaders> for ReaderList {
    fn from(readers: GroupReaders) -> Self {
        Self {
            user_ids: readers.page.items.iter().map(Into::into).collect(),
            read_count: readers.read,
            unread_count: readers.unread,
            next_page_token: readers.page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<Joined> for Membership {
    fn from(joined: Joined) -> Self {
        Self { is_member: joined == Joined::Member }
    }
}

impl From<&InGroup<model::GroupChanged>> for GroupChanged {
    fn from(InGroup { group_id, change }: &InGroup<model::GroupChanged>) -> Self {
        let profile = &change.profile;
        Self {
            group_id: group_id.into(),
            by: change.by.as_ref().map(Into::into),
            name: profile.name.clone(),
            announcement: profile.announcement.clone(),
            join: profile.join.into(),
            history: profile.history,
            muted: profile.muted,
            attributes: object(&profile.attributes),
            version: change.version,
            dissolved: change.dissolved,
        }
    }
}

impl From<&InGroup<model::MemberChanged>> for MemberChanged {
    fn from(InGroup { group_id, change }: &InGroup<model::MemberChanged>) -> Self {
        Self {
            group_id: group_id.into(),
            by: change.by.as_ref().map(Into::into),
            change: change.change.into(),
            user_ids: change.user_ids.iter().map(Into::into).collect(),
            role: change.role.map(Into::into),
            muted_until: change.muted_until,
            nickname: change.nickname.clone(),
        }
    }
}

impl From<&model::GroupRequestChanged> for GroupRequestChanged {
    fn from(request: &model::GroupRequestChanged) -> Self {
        Self {
            group_id: (&request.group_id).into(),
            group_name: request.group_name.clone(),
            user_id: (&request.user_id).into(),
            invited_by: request.invited_by.as_ref().map(Into::into),
            note: request.note.clone(),
            approved: request.approved,
            state: match request.state {
                model::RequestState::Pending => GroupRequestState::Pending,
                model::RequestState::Approved => GroupRequestState::Approved,
                model::RequestState::Declined => GroupRequestState::Declined,
            },
        }
    }
}
