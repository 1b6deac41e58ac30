//! What administrators and backends send and see.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    content::{Content, ContentMembers},
    group::{CreateGroupRequest, Group},
    id::{GroupId, UserId},
    info::TerminalType,
    session::Session,
    timeline::Retention,
};
use crate::{
    model::{self, ConversationId, Error, Page, Tombstone},
    service::{self, CopyState, Exported, ImportProgress, ImportedMessage},
};

/// Whether a user may log in.
///
/// `ACTIVE`: may. `DISABLED`: may not, and still receives messages. `DELETED`: is no more, and the id is not given
/// out again. `SYSTEM`: speaks for the system; nobody can log in as it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum UserState {
    Active,
    Disabled,
    Deleted,
    System,
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    user_id: UserId,
    state: UserState,
    /// What people call the user, by its newest assertion that said so; may be empty.
    name: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Absent while it is there.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    deleted_at: Option<OffsetDateTime>,
    live_sessions: i64,
    /// How many of them have a stream open.
    online_sessions: i64,
    /// The seq of the newest entry of its timeline.
    last_seq: i64,
    /// When the newest entry was appended; absent when there is none.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_at: Option<OffsetDateTime>,
    /// How far back it may see.
    retention: Retention,
}

/// A page of users, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserList {
    users: Vec<User>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// A user to make.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "user_id": "ann", "tier": "free" })))]
pub(crate) struct CreateUserRequest {
    #[serde(default)]
    #[schema(required = true)]
    user_id: UserId,
    /// 8–1,024 bytes; absent for a user who logs in by assertions alone.
    pub(in crate::rest) password: Option<String>,
    /// The setting `default_tier` when absent or empty.
    #[serde(default)]
    pub(in crate::rest) tier: String,
}

impl CreateUserRequest {
    pub(in crate::rest) fn user_id(&self) -> &str {
        &self.user_id.0
    }
}

/// A new password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SetPasswordRequest {
    /// 8–1,024 bytes.
    #[serde(default)]
    #[schema(required = true)]
    pub(in crate::rest) password: String,
}

/// A word for the terminals whose sessions end.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NoteRequest {
    /// Up to 256 characters on one line.
    #[serde(default)]
    pub(in crate::rest) note: String,
}

/// The sessions that were ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndedSessions {
    ended: Vec<Session>,
}

/// Which sessions of a user to end: one of the three.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "terminal_type": "phone", "note": "lost" })))]
pub(crate) struct KickSessionsRequest {
    session_id: Option<String>,
    terminal_type: Option<String>,
    #[serde(default)]
    all: bool,
    /// For the terminals: up to 256 characters on one line.
    #[serde(default)]
    pub(in crate::rest) note: String,
}

/// Whether a session is live, and whether it has a stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum SessionState {
    Online,
    Offline,
    Ended,
}

/// A session of some user's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminSession {
    user_id: UserId,
    session: Session,
    state: SessionState,
    /// The nodes that hold its streams.
    nodes: Vec<String>,
    /// The last entry that is known to have been handed to its connection; empty for none.
    cursor: String,
    /// How many entries stand behind the cursor; absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    lag: Option<i64>,
}

/// A page of sessions, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminSessionList {
    sessions: Vec<AdminSession>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// Which limits a user is to have: those of a tier, or its own.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "tier": "premium" }), json!({ "override": { "max_age_seconds": 604_800 } })))]
pub(crate) struct UserLimitsRequest {
    tier: Option<String>,
    r#override: Option<OwnLimits>,
}

/// How far back one sees; a limit that is absent does not limit.
#[derive(Debug, Deserialize, ToSchema)]
struct OwnLimits {
    /// Older entries are hidden.
    max_age_seconds: Option<u64>,
    /// Of the messages, only the newest so many may be seen.
    max_messages: Option<i64>,
}

/// What limits would hide from a user, and show again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserLimitsEffect {
    entries_hidden: i64,
    entries_shown: i64,
}

/// A named retention policy.
#[derive(Debug, Serialize, ToSchema)]
struct Tier {
    name: String,
    /// Older entries are hidden; absent for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_age_seconds: Option<u64>,
    /// Of the messages, only the newest so many may be seen; absent for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_messages: Option<i64>,
    /// How many users have it.
    users: i64,
}

/// The tiers, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TierList {
    tiers: Vec<Tier>,
}

/// A tier to make or change; a limit that is absent does not limit.
#[derive(Debug, Deserialize, ToSchema)]
struct NewTier {
    /// 1–64 characters of `a-z 0-9 _ -`.
    #[serde(default)]
    #[schema(required = true)]
    name: String,
    max_age_seconds: Option<u64>,
    max_messages: Option<i64>,
}

/// Whether what is named must exist, or must not.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Expect {
    #[default]
    Either,
    Existing,
    New,
}

/// Tiers to make or change, all or none.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "tiers": [{ "name": "free", "max_age_seconds": 604_800 }] })))]
pub(crate) struct TiersRequest {
    /// 1–100 tiers.
    #[serde(default)]
    #[schema(required = true)]
    tiers: Vec<NewTier>,
    #[serde(default)]
    expect: Expect,
}

/// What new limits of a tier would do to its users.
#[derive(Debug, Serialize, ToSchema)]
struct TierEffect {
    name: String,
    users_losing: i64,
    entries_hidden: i64,
    entries_shown: i64,
}

/// What new limits would do, by tier.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TierEffectList {
    effects: Vec<TierEffect>,
}

/// How far a purge has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PurgeProgress {
    timelines: i64,
    timelines_seen: i64,
    timelines_purged: i64,
    entries: i64,
}

/// The terminal types, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TerminalTypeList {
    terminal_types: Vec<TerminalType>,
}

/// Terminal types to make or change, all or none.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "names": ["phone", "pad"], "exclusive": true })))]
pub(crate) struct SetTerminalTypesRequest {
    /// 1–32 names.
    #[serde(default)]
    #[schema(required = true)]
    names: Vec<String>,
    /// How many sessions of each a user may have; absent to leave it.
    session_limit: Option<i32>,
    /// Whether they exclude each other; absent to leave it.
    exclusive: Option<bool>,
    #[serde(default)]
    expect: Expect,
}

/// The cluster as one node sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    version: &'static str,
    node_id: String,
    nodes: Vec<Node>,
    /// An estimate above 100,000.
    users: i64,
    live_sessions: i64,
    online_sessions: i64,
    /// An estimate above 100,000.
    entries: i64,
    database_bytes: i64,
    postgres_version: String,
    replication: Replication,
    jobs: Vec<Job>,
}

/// A running `imd`, or one that has lately stopped.
#[derive(Debug, Serialize, ToSchema)]
struct Node {
    node_id: String,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    heartbeat_at: OffsetDateTime,
    alive: bool,
    version: String,
    streams: i64,
}

/// How safe what is acknowledged is against the loss of the database's server.
#[derive(Debug, Serialize, ToSchema)]
struct Replication {
    primary: String,
    /// Whether commits wait for a standby.
    synchronous: bool,
    standbys: Vec<Standby>,
    generation: i16,
    #[serde(with = "time::serde::rfc3339")]
    generation_started_at: OffsetDateTime,
    generation_reason: String,
}

/// A server that follows the primary; null is what imd's role may not see.
#[derive(Debug, Serialize, ToSchema)]
struct Standby {
    #[schema(required = true)]
    name: Option<String>,
    #[schema(required = true)]
    synchronous: Option<bool>,
    #[schema(required = true)]
    lag_bytes: Option<i64>,
}

/// A job of the cluster: what the nodes do unasked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Job {
    name: String,
    /// The node that works at it; null while none does.
    #[schema(required = true)]
    node_id: Option<String>,
    /// When it is to run next; in the past while it runs.
    #[serde(with = "time::serde::rfc3339")]
    due_at: OffsetDateTime,
    /// When its last run started; null before the first.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    started_at: Option<OffsetDateTime>,
    /// When the last run ended that succeeded; null before the first.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    finished_at: Option<OffsetDateTime>,
    /// How many runs have failed since then.
    failures: i32,
    /// Why the last of them failed; empty when it did not.
    error: String,
}

/// The jobs, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobList {
    jobs: Vec<Job>,
}

/// What an administrator did.
#[derive(Debug, Serialize, ToSchema)]
struct AuditRecord {
    /// Grows with time.
    audit_no: i64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// The name of the admin key, or who else did it.
    actor: String,
    action: String,
    /// To whom; absent where it was not about one user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_id: Option<UserId>,
    #[schema(value_type = Object)]
    details: Value,
    /// Why; may be empty.
    reason: String,
    /// From which address; empty when that is not known.
    address: String,
}

/// A page of audit records, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditRecordList {
    records: Vec<AuditRecord>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// What a key may do.
///
/// `VIEWER`: see users, sessions, groups, status, jobs and audit. `SUPPORT`: the same, and end sessions, disable and
/// enable users, change groups and their members. `BACKEND`: the same, and send messages, make and delete users
/// and groups, set passwords. `ADMIN`: everything.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Role {
    Viewer,
    Support,
    Backend,
    Admin,
}

/// A key of the admin listener.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminKey {
    /// What the audit calls it.
    name: String,
    role: Role,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    created_by: String,
    /// Null while it is good.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    revoked_at: Option<OffsetDateTime>,
}

/// All keys there ever were but that of the data folder, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminKeyList {
    keys: Vec<AdminKey>,
}

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "name": "shop", "role": "BACKEND" })))]
pub(crate) struct CreateAdminKeyRequest {
    /// 1–64 characters of `[A-Za-z0-9._@+=-]`.
    #[serde(default)]
    #[schema(required = true)]
    pub(in crate::rest) name: String,
    #[schema(required = true, nullable = false)]
    role: Option<Role>,
}

/// A key as it was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedAdminKey {
    key: AdminKey,
    /// The key itself, shown this once.
    secret: String,
}

/// A key that signs access tokens.
#[derive(Debug, Serialize, ToSchema)]
struct AccessTokenKey {
    key_id: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Null for the current one.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    retired_at: Option<OffsetDateTime>,
    /// Null for the current one.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    good_until: Option<OffsetDateTime>,
}

/// The keys whose tokens are taken, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccessTokenKeyList {
    keys: Vec<AccessTokenKey>,
}

/// Where a message has got to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageTrace {
    message_id: String,
    sender_id: UserId,
    /// Null when the sender's copy is gone.
    #[schema(required = true)]
    client_message_id: Option<Uuid>,
    /// The sender's copy, then the others.
    copies: Vec<TracedCopy>,
    /// Where it stands once; null between users.
    #[schema(required = true)]
    home: Option<TracedHome>,
}

/// What has become of a copy.
///
/// `PENDING`: a member of the group has not got it yet. `OWNER_DELETED`: gone with its user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum TracedState {
    There,
    Recalled,
    Deleted,
    Erased,
    Purged,
    OwnerDeleted,
    Pending,
}

/// The place of a message in its group's timeline.
#[derive(Debug, Serialize, ToSchema)]
struct TracedHome {
    group_id: GroupId,
    seq: i64,
    state: TracedState,
    #[serde(with = "time::serde::rfc3339")]
    appended_at: OffsetDateTime,
}

/// One participant's copy, and the terminals that are to have it.
#[derive(Debug, Serialize, ToSchema)]
struct TracedCopy {
    user_id: UserId,
    seq: i64,
    state: TracedState,
    /// Null when it is gone, or not there yet.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    appended_at: Option<OffsetDateTime>,
    /// The place in the group's timeline up to which the member's has been brought; null between users.
    #[schema(required = true)]
    fanned_to: Option<i64>,
    /// Whether the member has read it; null for its sender and between users.
    #[schema(required = true)]
    read: Option<bool>,
    terminals: Vec<TracedTerminal>,
}

/// A terminal that is to have a message.
#[derive(Debug, Serialize, ToSchema)]
struct TracedTerminal {
    session: AdminSession,
    /// Whether its cursor has passed the message.
    passed: bool,
}

/// How far a deletion has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletionProgress {
    /// The sessions that the deletion ended; in the first line alone.
    ended: Vec<Session>,
    entries: i64,
    entries_total: i64,
    /// Peers whose copies are erased.
    peers: i64,
    peers_total: i64,
}

/// How far something has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Progress {
    done: i64,
    total: i64,
}

/// Whose timelines are to be numbered anew: one user's, or all.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "all": true })))]
pub(crate) struct StartEpochRequest {
    user_id: Option<UserId>,
    #[serde(default)]
    all: bool,
}

/// A message as a line of an export.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportedMessage {
    #[serde(with = "time::serde::rfc3339")]
    sent_at: OffsetDateTime,
    sender_id: UserId,
    /// Absent in a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    recipient_id: Option<UserId>,
    /// Absent between users.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    group_id: Option<GroupId>,
    client_message_id: Uuid,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    mentions: Vec<UserId>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    mention_all: bool,
    #[serde(flatten)]
    content: Content,
    message_id: String,
    seq: i64,
}

/// A message as a line of an import: a line of an export will do.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ImportRecord {
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[schema(required = true, nullable = false)]
    sent_at: Option<OffsetDateTime>,
    #[serde(default)]
    sender_id: String,
    #[serde(default)]
    recipient_id: String,
    #[serde(default)]
    group_id: String,
    #[serde(default)]
    client_message_id: String,
    text: Option<String>,
    content_type: Option<String>,
    data: Option<String>,
}

/// What an import has done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportResult {
    /// Everything up to this line is stored.
    line: i64,
    imported: i64,
    /// Messages that stood before.
    duplicates: i64,
    users_created: i64,
    /// Timelines that were opened at the end.
    timelines: i64,
}

/// A group as administrators see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminGroup {
    group: Group,
    /// Null for a group that nobody is in.
    #[schema(required = true)]
    owner_id: Option<UserId>,
    dissolved: bool,
}

/// A page of groups, the one made first first, dissolved ones too.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminGroupList {
    groups: Vec<AdminGroup>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// A group to make for an owner.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "owner_id": "ann", "group": { "name": "Trip to Oslo", "member_ids": ["ben"] } })))]
pub(crate) struct CreateAdminGroupRequest {
    #[serde(default)]
    #[schema(required = true)]
    owner_id: UserId,
    pub(in crate::rest) group: CreateGroupRequest,
}

/// Users to make members.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "user_ids": ["ben", "cleo"] })))]
pub(crate) struct AddMembersRequest {
    /// 1–1,000 users, each once.
    #[serde(default)]
    #[schema(required = true, min_items = 1, max_items = 1000)]
    user_ids: Vec<UserId>,
}

/// Who became a member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AddedMembers {
    added: Vec<UserId>,
}

impl From<&service::User> for User {
    fn from(user: &service::User) -> Self {
        Self {
            user_id: (&user.user_id).into(),
            state: match user.state {
                model::UserState::Active => UserState::Active,
                model::UserState::Disabled => UserState::Disabled,
                model::UserState::Deleted => UserState::Deleted,
                model::UserState::System => UserState::System,
            },
            name: user.name.clone(),
            created_at: user.created_at,
            deleted_at: user.deleted_at,
            live_sessions: user.live_sessions,
            online_sessions: user.online_sessions,
            last_seq: user.last_seq,
            last_at: user.last_at,
            retention: user.retention.clone().into(),
        }
    }
}

impl From<Page<service::User>> for UserList {
    fn from(page: Page<service::User>) -> Self {
        Self {
            users: page.items.iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<Vec<model::Session>> for EndedSessions {
    fn from(ended: Vec<model::Session>) -> Self {
        Self { ended: Session::list(&ended) }
    }
}

impl KickSessionsRequest {
    /// Which sessions; nothing unless it is one of the three.
    pub(in crate::rest) fn which(&mut self) -> Option<service::Kick> {
        match (self.session_id.take(), self.terminal_type.take(), self.all) {
            (Some(id), None, false) => Some(service::Kick::Session(id)),
            (None, Some(name), false) => Some(service::Kick::TerminalType(name)),
            (None, None, true) => Some(service::Kick::All),
            _ => None,
        }
    }
}

impl From<SessionState> for service::SessionState {
    fn from(state: SessionState) -> Self {
        match state {
            SessionState::Online => Self::Online,
            SessionState::Offline => Self::Offline,
            SessionState::Ended => Self::Ended,
        }
    }
}

impl From<&service::AdminSession> for AdminSession {
    fn from(listed: &service::AdminSession) -> Self {
        Self {
            user_id: (&listed.user_id).into(),
            session: Session::new(&listed.session, None),
            state: match listed.state() {
                service::SessionState::Online => SessionState::Online,
                service::SessionState::Offline => SessionState::Offline,
                service::SessionState::Ended => SessionState::Ended,
            },
            nodes: listed.nodes.clone(),
            cursor: listed.cursor.map(|cursor| cursor.to_string()).unwrap_or_default(),
            lag: listed.lag,
        }
    }
}

impl From<Page<service::AdminSession>> for AdminSessionList {
    fn from(page: Page<service::AdminSession>) -> Self {
        Self {
            sessions: page.items.iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl TryFrom<UserLimitsRequest> for service::NewUserLimits {
    type Error = Error;

    fn try_from(request: UserLimitsRequest) -> Result<Self, Error> {
        match (request.tier, request.r#override) {
            (Some(name), None) => Ok(Self::Tier(name)),
            (None, Some(own)) => Ok(Self::Override {
                max_age: own.max_age_seconds.map(std::time::Duration::from_secs),
                max_messages: own.max_messages,
            }),
            _ => Err(Error::invalid("limits", "a tier or an override is needed, and not both")),
        }
    }
}

impl From<service::Effect> for UserLimitsEffect {
    fn from(effect: service::Effect) -> Self {
        Self { entries_hidden: effect.entries_hidden, entries_shown: effect.entries_shown }
    }
}

impl From<Expect> for model::Expect {
    fn from(expect: Expect) -> Self {
        match expect {
            Expect::Either => Self::Either,
            Expect::Existing => Self::Existing,
            Expect::New => Self::New,
        }
    }
}

impl From<TiersRequest> for (Vec<service::NewTier>, model::Expect) {
    fn from(request: TiersRequest) -> Self {
        let tier = |tier: NewTier| service::NewTier {
            name: tier.name,
            max_age: tier.max_age_seconds.map(std::time::Duration::from_secs),
            max_messages: tier.max_messages,
        };
        (request.tiers.into_iter().map(tier).collect(), request.expect.into())
    }
}

impl From<Vec<service::TierUse>> for TierList {
    fn from(tiers: Vec<service::TierUse>) -> Self {
        let tier = |used: service::TierUse| Tier {
            name: used.tier.name,
            max_age_seconds: used.tier.limits.max_age.map(|age| age.as_secs()),
            max_messages: used.tier.limits.max_messages,
            users: used.users,
        };
        Self { tiers: tiers.into_iter().map(tier).collect() }
    }
}

impl From<Vec<(String, service::Effect)>> for TierEffectList {
    fn from(effects: Vec<(String, service::Effect)>) -> Self {
        let effect = |(name, effect): (String, service::Effect)| TierEffect {
            name,
            users_losing: effect.users_losing,
            entries_hidden: effect.entries_hidden,
            entries_shown: effect.entries_shown,
        };
        Self { effects: effects.into_iter().map(effect).collect() }
    }
}

impl From<service::PurgeProgress> for PurgeProgress {
    fn from(progress: service::PurgeProgress) -> Self {
        Self {
            timelines: progress.timelines,
            timelines_seen: progress.timelines_seen,
            timelines_purged: progress.timelines_purged,
            entries: progress.entries,
        }
    }
}

impl From<Vec<model::TerminalType>> for TerminalTypeList {
    fn from(types: Vec<model::TerminalType>) -> Self {
        Self { terminal_types: types.into_iter().map(Into::into).collect() }
    }
}

impl From<SetTerminalTypesRequest> for service::TerminalTypeChange {
    fn from(request: SetTerminalTypesRequest) -> Self {
        Self {
            names: request.names,
            session_limit: request.session_limit,
            exclusive: request.exclusive,
            expect: request.expect.into(),
        }
    }
}

impl From<service::Job> for Job {
    fn from(job: service::Job) -> Self {
        Self {
            name: job.name,
            node_id: job.node_id,
            due_at: job.due_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            failures: job.failures,
            error: job.error,
        }
    }
}

impl From<Vec<service::Job>> for JobList {
    fn from(jobs: Vec<service::Job>) -> Self {
        Self { jobs: jobs.into_iter().map(Into::into).collect() }
    }
}

impl From<service::ClusterStatus> for Status {
    fn from(cluster: service::ClusterStatus) -> Self {
        let node = |node: service::Node| Node {
            node_id: node.node_id,
            started_at: node.started_at,
            heartbeat_at: node.heartbeat_at,
            alive: node.alive,
            version: node.version,
            streams: node.streams,
        };
        let standby = |standby: service::Standby| Standby {
            name: standby.name,
            synchronous: standby.synchronous,
            lag_bytes: standby.lag_bytes,
        };
        let (status, replication) = (cluster.status.users, cluster.status.replication);
        Self {
            version: cluster.version,
            node_id: cluster.node_id,
            nodes: cluster.nodes.into_iter().map(node).collect(),
            users: status,
            live_sessions: cluster.status.live_sessions,
            online_sessions: cluster.status.online_sessions,
            entries: cluster.status.entries,
            database_bytes: cluster.status.database_bytes,
            postgres_version: cluster.status.postgres_version,
            replication: Replication {
                primary: replication.primary,
                synchronous: replication.synchronous,
                standbys: replication.standbys.into_iter().map(standby).collect(),
                generation: replication.generation,
                generation_started_at: replication.generation_started_at,
                generation_reason: replication.generation_reason,
            },
            jobs: cluster.jobs.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Page<service::AuditRecord>> for AuditRecordList {
    fn from(page: Page<service::AuditRecord>) -> Self {
        let record = |record: service::AuditRecord| AuditRecord {
            audit_no: record.audit_no,
            at: record.at,
            actor: record.actor,
            action: record.action,
            user_id: record.user_id.as_ref().map(Into::into),
            details: record.details,
            reason: record.reason,
            address: record.address.map(|address| address.to_string()).unwrap_or_default(),
        };
        Self {
            records: page.items.into_iter().map(record).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<service::AdminKey> for AdminKey {
    fn from(key: service::AdminKey) -> Self {
        Self {
            name: key.name,
            role: match key.role {
                model::Role::Viewer => Role::Viewer,
                model::Role::Support => Role::Support,
                model::Role::Backend => Role::Backend,
                model::Role::Admin => Role::Admin,
            },
            created_at: key.created_at,
            created_by: key.created_by,
            revoked_at: key.revoked_at,
        }
    }
}

impl From<Vec<service::AdminKey>> for AdminKeyList {
    fn from(keys: Vec<service::AdminKey>) -> Self {
        Self { keys: keys.into_iter().map(Into::into).collect() }
    }
}

impl CreateAdminKeyRequest {
    pub(in crate::rest) fn role(&self) -> Option<model::Role> {
        self.role.map(|role| match role {
            Role::Viewer => model::Role::Viewer,
            Role::Support => model::Role::Support,
            Role::Backend => model::Role::Backend,
            Role::Admin => model::Role::Admin,
        })
    }
}

impl CreatedAdminKey {
    pub(in crate::rest) fn new(key: service::AdminKey, secret: &str) -> Self {
        Self { key: key.into(), secret: secret.to_owned() }
    }
}

impl From<Vec<service::AccessKey>> for AccessTokenKeyList {
    fn from(keys: Vec<service::AccessKey>) -> Self {
        let key = |key: service::AccessKey| AccessTokenKey {
            key_id: key.key_id,
            created_at: key.created_at,
            retired_at: key.retired_at,
            good_until: key.good_until,
        };
        Self { keys: keys.into_iter().map(key).collect() }
    }
}

impl From<CopyState> for TracedState {
    fn from(state: CopyState) -> Self {
        match state {
            CopyState::There => Self::There,
            CopyState::Gone(Tombstone::Recalled) => Self::Recalled,
            CopyState::Gone(Tombstone::Deleted) => Self::Deleted,
            CopyState::Gone(Tombstone::Erased) => Self::Erased,
            CopyState::Purged => Self::Purged,
            CopyState::OwnerDeleted => Self::OwnerDeleted,
            CopyState::Pending => Self::Pending,
        }
    }
}

impl From<service::MessageTrace> for MessageTrace {
    fn from(trace: service::MessageTrace) -> Self {
        let terminal = |traced: &service::TracedTerminal| TracedTerminal {
            session: (&traced.session).into(),
            passed: traced.passed,
        };
        let copy = |traced: service::TracedCopy| TracedCopy {
            user_id: (&traced.user_id).into(),
            seq: traced.copy.seq,
            state: traced.copy.state.into(),
            appended_at: traced.copy.appended_at,
            fanned_to: traced.copy.in_group.map(|member| member.fanned_to),
            read: traced.copy.in_group.and_then(|member| member.read),
            terminals: traced.terminals.iter().map(terminal).collect(),
        };
        let home = |home: service::MessageHome| TracedHome {
            group_id: (&home.group_id).into(),
            seq: home.seq,
            state: home.state.into(),
            appended_at: home.appended_at,
        };
        Self {
            message_id: trace.message_id.to_string(),
            sender_id: (&trace.sender_id).into(),
            client_message_id: trace.client_message_id,
            copies: trace.copies.into_iter().map(copy).collect(),
            home: trace.home.map(home),
        }
    }
}

impl From<service::DeletionProgress> for DeletionProgress {
    fn from(progress: service::DeletionProgress) -> Self {
        Self {
            ended: Session::list(&progress.ended),
            entries: progress.entries,
            entries_total: progress.entries_total,
            peers: progress.peers,
            peers_total: progress.peers_total,
        }
    }
}

impl From<service::Progress> for Progress {
    fn from(service::Progress { done, total }: service::Progress) -> Self {
        Self { done, total }
    }
}

impl From<StartEpochRequest> for Option<service::Whose> {
    fn from(request: StartEpochRequest) -> Self {
        match (request.user_id, request.all) {
            (Some(user_id), false) => Some(service::Whose::User(user_id.0)),
            (None, true) => Some(service::Whose::All),
            _ => None,
        }
    }
}

impl ExportedMessage {
    /// A step of an export as a line; none for the one that says how many there are.
    pub(in crate::rest) fn line(step: Exported) -> Option<Self> {
        let Exported::Message(message) = step else { return None };
        let (recipient_id, group_id) = match &message.to {
            ConversationId::User(user_id) => (Some(user_id.into()), None),
            ConversationId::Group(group_id) => (None, Some(group_id.into())),
        };
        Some(Self {
            sent_at: message.sent_at,
            sender_id: (&message.sender_id).into(),
            recipient_id,
            group_id,
            client_message_id: message.client_message_id,
            mentions: message.mentions.iter().map(Into::into).collect(),
            mention_all: message.mention_all,
            content: (&message.content).into(),
            message_id: message.message_id.to_string(),
            seq: message.seq,
        })
    }
}

impl ImportRecord {
    /// The message that stands in a line.
    pub(in crate::rest) fn at(self, line: i64) -> Result<ImportedMessage, Error> {
        let Self { text, content_type, data, .. } = self;
        let content = ContentMembers { text, content_type, data }.into_content()?;
        Ok(ImportedMessage {
            line,
            sender_id: self.sender_id,
            recipient_id: self.recipient_id,
            group_id: self.group_id,
            client_message_id: self.client_message_id,
            sent_at: self.sent_at,
            content,
        })
    }
}

impl From<ImportProgress> for ImportResult {
    fn from(progress: ImportProgress) -> Self {
        let ImportProgress { line, imported, duplicates, users_created, timelines } = progress;
        Self { line, imported, duplicates, users_created, timelines }
    }
}

impl From<service::AdminGroup> for AdminGroup {
    fn from(found: service::AdminGroup) -> Self {
        Self {
            dissolved: found.group.dissolved,
            owner_id: found.owner.as_ref().map(Into::into),
            group: found.group.into(),
        }
    }
}

impl From<Page<service::AdminGroup>> for AdminGroupList {
    fn from(page: Page<service::AdminGroup>) -> Self {
        Self {
            groups: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl CreateAdminGroupRequest {
    pub(in crate::rest) fn owner_id(&self) -> &str {
        &self.owner_id.0
    }
}

impl AddMembersRequest {
    pub(in crate::rest) fn into_ids(self) -> Vec<String> {
        self.user_ids.into_iter().map(|id| id.0).collect()
    }
}

impl From<Vec<model::UserId>> for AddedMembers {
    fn from(added: Vec<model::UserId>) -> Self {
        Self { added: added.iter().map(Into::into).collect() }
    }
}
