//! The one error type: what can go wrong, and how each of the two transports shows it.

use std::{iter::successors, sync::Arc, time::Duration};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Code, GroupId, GroupRole, Limit, MOST_BLOCKS, MOST_CONTACTS, MOST_PINS, MOST_SCHEDULED,
    Occupant, Role, SessionEnd, UserId, WhoMay, nearest,
};

/// A result of imd.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. The text is for people; `code` is for programs.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The request itself is wrong, whatever the state of the server.
    #[error("{field}: {reason}")]
    InvalidArgument {
        /// The field as it is named in the contract.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The user does not exist, has another password, or is disabled: a caller cannot tell which.
    #[error("user id or password is wrong")]
    InvalidCredentials,
    /// An assertion that opens no session, and why.
    #[error("{0}")]
    InvalidAssertion(&'static str),
    /// No token, or not one of this server's, or one that is no longer good.
    #[error("{0}")]
    InvalidToken(&'static str),
    /// The session of the token has ended.
    #[error("the session has ended: {}", .0.reason.name())]
    SessionEnded(Box<SessionEnd>),
    /// The admin key is missing or not one of this server's.
    #[error("the admin key is missing or wrong")]
    InvalidAdminKey,
    /// The admin key is good, but not for this.
    #[error("this needs an admin key with the role {0}")]
    PermissionDenied(Role),
    /// There is, or was, an admin key of that name.
    #[error("there is, or was, an admin key of this name")]
    AdminKeyExists,
    /// There is no such admin key.
    #[error("there is no admin key of this name")]
    AdminKeyNotFound,
    /// A login with `if_occupied = REFUSE` found its place taken.
    #[error("{} is in use on {:?}", .0.terminal_type, .0.device_name)]
    TerminalOccupied(Box<Occupant>),
    /// There is no such user.
    #[error("there is no user {0}")]
    UserNotFound(UserId),
    /// The user has no such session.
    #[error("the user has no such session")]
    SessionNotFound,
    /// The caller has no such message, or it is not the caller's to recall.
    #[error("there is no such message")]
    MessageNotFound,
    /// The message was sent too long ago to be recalled.
    #[error("the message was sent too long ago to be recalled")]
    RecallWindowOver,
    /// The message was sent too long ago to be edited.
    #[error("the message was sent too long ago to be edited")]
    EditWindowOver,
    /// The message has as many kinds of reactions as one may have.
    #[error("the message has {0} kinds of reactions already")]
    TooManyReactions(usize),
    /// As many messages of the conversation are pinned as may be.
    #[error("{MOST_PINS} messages of the conversation are pinned already")]
    TooManyPins,
    /// As many messages of the user wait to be sent as may.
    #[error("{MOST_SCHEDULED} of your messages wait to be sent already")]
    TooManyScheduled,
    /// The user has no such message that waits to be sent, or it is on its way.
    #[error("no such message waits to be sent")]
    ScheduledNotFound,
    /// The message has no such attachment, or the user none that a message can have.
    #[error("there is no such attachment")]
    AttachmentNotFound,
    /// The attachments of the user would take more bytes together than a user's may.
    #[error("your attachments would take more bytes together than this server allows")]
    AttachmentQuotaUsed,
    /// The messages that the user has sent take as many bytes as the user may store.
    #[error(
        "the messages of the user take as many bytes as its tier allows: delete some, and send again in a minute"
    )]
    MessageQuotaUsed,
    /// The deployment does not search messages.
    #[error("this server does not search messages")]
    SearchDisabled,
    /// The recipient takes no messages from the sender.
    #[error("{0} takes no messages from you")]
    Blocked(UserId),
    /// The sender itself blocks the recipient.
    #[error("you block {0}")]
    RecipientBlocked(UserId),
    /// The recipient takes no messages from the caller: only from these.
    #[error("{user_id} takes messages from {} alone", from.name().to_lowercase())]
    NotAccepted {
        /// Who.
        user_id: UserId,
        /// Whom the recipient takes messages from.
        from: WhoMay,
    },
    /// The user has as many contacts and requests as one may.
    #[error("{0} has as many contacts and requests as one may: {MOST_CONTACTS}")]
    TooManyContacts(UserId),
    /// The caller blocks as many users as one may.
    #[error("you block {MOST_BLOCKS} users already")]
    TooManyBlocks,
    /// The timeline of a user, or of a group, is being filled with messages from elsewhere, and nothing else
    /// may be appended.
    #[error("messages of {0} are being imported")]
    ImportUnfinished(String),
    /// The timeline holds something that no import has put there.
    #[error("the timeline of {0} is not empty")]
    TimelineNotEmpty(String),
    /// What is wrong with one of many messages.
    #[error("line {line}: {error}")]
    AtLine {
        /// Where it stands in what was given.
        line: i64,
        /// What is wrong with it.
        error: Box<Error>,
    },
    /// There is no such tier.
    #[error("there is no tier {name:?}{}", did_you_mean(.nearest.as_deref()))]
    TierNotFound {
        /// What was asked for.
        name: String,
        /// The tier that was probably meant.
        nearest: Option<String>,
    },
    /// There is a tier of that name already.
    #[error("there is a tier {0:?} already")]
    TierExists(String),
    /// The tier cannot be deleted, and why.
    #[error("the tier {name:?} cannot be deleted: {why}")]
    TierInUse {
        /// Which.
        name: String,
        /// What uses it, and what to do about it.
        why: String,
    },
    /// There is a terminal type of that name already.
    #[error("there is a terminal type {0:?} already")]
    TerminalTypeExists(String),
    /// The terminal type cannot be deleted: so many sessions of it are live.
    #[error(
        "the terminal type {name:?} cannot be deleted: {sessions} of its sessions are live; log them out first"
    )]
    TerminalTypeInUse {
        /// Which.
        name: String,
        /// How many live sessions there are of it.
        sessions: i64,
    },
    /// There is no such group, or none any more.
    #[error("there is no group {0}")]
    GroupNotFound(GroupId),
    /// There is no such group, as administrators are told it.
    #[error("there is no group {group_id}{}", did_you_mean(.nearest.as_deref()))]
    NoSuchGroup {
        /// What was asked for.
        group_id: GroupId,
        /// The id that was probably meant.
        nearest: Option<String>,
    },
    /// There is, or was, a group of that id.
    #[error("the group id {0} is taken")]
    GroupExists(GroupId),
    /// The group has as many members as it may.
    #[error("the group would have {would_have} members; at most {most} are allowed")]
    GroupFull {
        /// How many it would have.
        would_have: i64,
        /// How many a group may have.
        most: i64,
    },
    /// The caller is not a member of the group.
    #[error("you are not a member of the group")]
    NotAMember,
    /// The user is not a member of the group.
    #[error("{0} is not a member of the group")]
    MemberNotFound(UserId),
    /// Nobody asks to join the group by that id, nor is invited.
    #[error("{0} neither asks to join the group nor is invited")]
    RequestNotFound(UserId),
    /// The caller's role in the group is too low.
    #[error("this needs the role {} in the group", .0.name())]
    GroupRoleNeeded(GroupRole),
    /// The group is joined in another way.
    #[error("the group is joined by invitation")]
    InvitationNeeded,
    /// The owner hands the group on, or dissolves it, before leaving.
    #[error("you own the group: hand it on or dissolve it first")]
    OwnerMustStay,
    /// The caller may not write to the group, until a time or until an admin says so.
    #[error("you may not write to this group{}", until.map(until_text).unwrap_or_default())]
    Muted {
        /// Until when; `None` when only owner and admins may write.
        until: Option<OffsetDateTime>,
    },
    /// The group was changed by somebody else meanwhile.
    #[error("version: the group is at version {0}; read it again")]
    VersionConflict(i64),
    /// There is, or was, a user of that id.
    #[error("the user id {0} is taken")]
    UserExists(UserId),
    /// The `client_message_id` was used for another recipient or content.
    #[error("the client_message_id was used for another recipient or content")]
    ClientMessageIdConflict,
    /// The `client_edit_id` was used for another edit of the message.
    #[error("the client_edit_id was used for another edit of the message")]
    ClientEditIdConflict,
    /// A purge is under way, here or on another node.
    #[error("a purge is under way")]
    PurgeRunning,
    /// There is no such job.
    #[error("there is no job of this name")]
    JobNotFound,
    /// A job that no node works at cannot be cancelled.
    #[error("no node works at this job at present")]
    JobNotRunning,
    /// The deployment's policy hook refuses a message.
    #[error("{}", if .text.is_empty() { "the message is not allowed here" } else { .text })]
    PolicyRefused {
        /// Why, for programs; may be empty.
        code: String,
        /// Why, for people; may be empty.
        text: String,
    },
    /// The policy hook did not say whether a message may be stored.
    #[error("it cannot be told for now whether the message is allowed here")]
    PolicyUnanswered,
    /// There is no such webhook.
    #[error("there is no such webhook")]
    WebhookNotFound,
    /// There are as many webhooks as there may be; how many.
    #[error("there are {0} webhooks already, which is as many as there may be")]
    TooManyWebhooks(i64),
    /// There is no such broadcast.
    #[error("there is no such broadcast")]
    BroadcastNotFound,
    /// The `broadcast_id` was used for another broadcast.
    #[error("the broadcast_id was used for another broadcast")]
    BroadcastIdConflict,
    /// The broadcast is done, or was aborted.
    #[error("the broadcast has ended")]
    BroadcastEnded,
    /// One client takes too much.
    #[error("the limit {} is reached", .limit.name())]
    RateLimited {
        /// Which limit.
        limit: Limit,
        /// When to try again.
        retry_after: Duration,
    },
    /// There is more to do than can be done in time.
    #[error("the server is busy")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// Something that imd depends on does not answer.
    #[error("the database cannot be reached")]
    Unavailable(#[source] Source),
    /// The node takes no more work.
    #[error("the node is shutting down; reconnect to another")]
    ShuttingDown,
    /// Tasks of the node have failed and are being started again; their names.
    #[error("tasks of this node have failed and are being started again: {0}")]
    TasksFailing(Arc<str>),
    /// The node failed while it stored a message.
    #[error("it is not known whether the message was stored; send it again as it is")]
    OutcomeUnknown,
    /// A fault of the server's own.
    #[error("internal error")]
    Internal(#[source] Source),
}

fn until_text(until: OffsetDateTime) -> String {
    format!(" until {}", rfc3339(until))
}

/// A cause, kept for the log and never shown to a client.
pub type Source = Arc<dyn std::error::Error + Send + Sync>;

/// What kind of failure an error is: this decides the status on both transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request is wrong.
    InvalidArgument,
    /// Who is asking is not known.
    Unauthenticated,
    /// Who is asking may not.
    PermissionDenied,
    /// What is asked for does not exist.
    NotFound,
    /// What is to be made exists.
    AlreadyExists,
    /// The state of things does not allow it.
    FailedPrecondition,
    /// A limit is reached.
    ResourceExhausted,
    /// Try again.
    Unavailable,
    /// A fault of the server's.
    Internal,
}

impl Class {
    /// The number of the gRPC status code.
    #[must_use]
    pub fn grpc_code(self) -> i32 {
        match self {
            Self::InvalidArgument => 3,
            Self::NotFound => 5,
            Self::AlreadyExists => 6,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::FailedPrecondition => 9,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }

    /// The name of the gRPC status code.
    #[must_use]
    pub fn grpc_name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidArgument => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::FailedPrecondition => 409,
            Self::ResourceExhausted => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }
}

impl Error {
    /// A field that is wrong, by its name in the contract.
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidArgument { field, reason: reason.into() }
    }

    /// What is wrong with one of many messages, which stands at `line` of what was given.
    #[must_use]
    pub fn at_line(line: i64, error: Self) -> Self {
        Self::AtLine { line, error: Box::new(error) }
    }

    /// There is no tier `name`; `known` are those there are.
    pub fn no_tier<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let nearest = nearest(name, known).map(str::to_owned);
        Self::TierNotFound { name: name.to_owned(), nearest }
    }

    /// There is no group of that id; `known` are some of those there are.
    pub fn no_group<'a>(group_id: GroupId, known: impl IntoIterator<Item = &'a str>) -> Self {
        let nearest = nearest(group_id.as_str(), known).map(str::to_owned);
        Self::NoSuchGroup { group_id, nearest }
    }

    /// A fault of the server's own.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(source.into().into())
    }

    /// Something that imd depends on does not answer.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into().into())
    }

    /// The message with its causes, which are for operators and not for clients.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let causes = successors(std::error::Error::source(self), |cause| cause.source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }

    /// What went wrong, for programs.
    #[must_use]
    pub fn kind(&self) -> Code {
        match self {
            Self::InvalidArgument { .. } => Code::InvalidArgument,
            Self::InvalidCredentials => Code::InvalidCredentials,
            Self::InvalidAssertion(_) => Code::InvalidAssertion,
            Self::InvalidToken(_) => Code::InvalidToken,
            Self::SessionEnded(_) => Code::SessionEnded,
            Self::InvalidAdminKey => Code::InvalidAdminKey,
            Self::PermissionDenied(_) => Code::PermissionDenied,
            Self::AdminKeyExists => Code::AdminKeyExists,
            Self::AdminKeyNotFound => Code::AdminKeyNotFound,
            Self::TerminalOccupied(_) => Code::TerminalOccupied,
            Self::UserNotFound(_) => Code::UserNotFound,
            Self::SessionNotFound => Code::SessionNotFound,
            Self::MessageNotFound => Code::MessageNotFound,
            Self::RecallWindowOver => Code::RecallWindowOver,
            Self::EditWindowOver => Code::EditWindowOver,
            Self::TooManyReactions(_) => Code::TooManyReactions,
            Self::TooManyPins => Code::TooManyPins,
            Self::TooManyScheduled => Code::TooManyScheduled,
            Self::ScheduledNotFound => Code::ScheduledNotFound,
            Self::AttachmentNotFound => Code::AttachmentNotFound,
            Self::AttachmentQuotaUsed => Code::AttachmentQuotaUsed,
            Self::MessageQuotaUsed => Code::MessageQuotaUsed,
            Self::SearchDisabled => Code::SearchDisabled,
            Self::Blocked(_) => Code::Blocked,
            Self::RecipientBlocked(_) => Code::RecipientBlocked,
            Self::NotAccepted { .. } => Code::NotAccepted,
            Self::TooManyContacts(_) => Code::TooManyContacts,
            Self::TooManyBlocks => Code::TooManyBlocks,
            Self::ImportUnfinished(_) => Code::ImportUnfinished,
            Self::TimelineNotEmpty(_) => Code::TimelineNotEmpty,
            Self::AtLine { error, .. } => error.kind(),
            Self::TierNotFound { .. } => Code::TierNotFound,
            Self::TierExists(_) => Code::TierExists,
            Self::TierInUse { .. } => Code::TierInUse,
            Self::TerminalTypeExists(_) => Code::TerminalTypeExists,
            Self::TerminalTypeInUse { .. } => Code::TerminalTypeInUse,
            Self::GroupNotFound(_) | Self::NoSuchGroup { .. } => Code::GroupNotFound,
            Self::GroupExists(_) => Code::GroupExists,
            Self::GroupFull { .. } => Code::GroupFull,
            Self::NotAMember => Code::NotAMember,
            Self::MemberNotFound(_) => Code::MemberNotFound,
            Self::RequestNotFound(_) => Code::RequestNotFound,
            Self::GroupRoleNeeded(_) => Code::GroupRoleNeeded,
            Self::InvitationNeeded => Code::InvitationNeeded,
            Self::OwnerMustStay => Code::OwnerMustStay,
            Self::Muted { .. } => Code::Muted,
            Self::VersionConflict(_) => Code::VersionConflict,
            Self::UserExists(_) => Code::UserExists,
            Self::ClientMessageIdConflict => Code::ClientMessageIdConflict,
            Self::ClientEditIdConflict => Code::ClientEditIdConflict,
            Self::PurgeRunning => Code::PurgeRunning,
            Self::JobNotFound => Code::JobNotFound,
            Self::JobNotRunning => Code::JobNotRunning,
            Self::PolicyRefused { .. } => Code::PolicyRefused,
            Self::WebhookNotFound => Code::WebhookNotFound,
            Self::TooManyWebhooks(_) => Code::TooManyWebhooks,
            Self::BroadcastNotFound => Code::BroadcastNotFound,
            Self::BroadcastIdConflict => Code::BroadcastIdConflict,
            Self::BroadcastEnded => Code::BroadcastEnded,
            Self::RateLimited { .. } => Code::RateLimited,
            Self::Overloaded { .. } => Code::Overloaded,
            Self::Unavailable(_)
            | Self::ShuttingDown
            | Self::TasksFailing(_)
            | Self::PolicyUnanswered
            | Self::OutcomeUnknown => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }

    /// The stable name: `code` in REST, `reason` in gRPC's `ErrorInfo`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind().name()
    }

    /// See [`Class`].
    #[must_use]
    pub fn class(&self) -> Class {
        self.kind().class()
    }

    /// Whether another try would end the same way.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self.class(), Class::Unavailable | Class::ResourceExhausted | Class::Internal)
    }

    /// What a program may want to know beyond the code, by the names of the contract.
    #[must_use]
    pub fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::InvalidArgument { field, .. } => vec![("field", (*field).to_owned())],
            Self::SessionEnded(end) => vec![
                ("end_reason", end.reason.name().to_owned()),
                ("ended_by_terminal_type", end.by_terminal_type.clone()),
                ("ended_by_device_name", end.by_device_name.clone()),
                ("ended_at", rfc3339(end.ended_at)),
                ("note", end.note.clone()),
            ],
            Self::RateLimited { limit, .. } => vec![("limit", limit.name().to_owned())],
            Self::PolicyRefused { code, .. } => vec![("policy_code", code.clone())],
            Self::PermissionDenied(role) => vec![("role", role.to_string())],
            Self::NotAccepted { from, .. } => vec![("from", from.name().to_owned())],
            Self::GroupRoleNeeded(role) => vec![("role", role.name().to_owned())],
            Self::TerminalOccupied(occupant) => vec![
                ("terminal_type", occupant.terminal_type.clone()),
                ("device_name", occupant.device_name.clone()),
                ("last_used_at", rfc3339(occupant.last_used_at)),
            ],
            Self::AtLine { line, error } => {
                let at = ("line", line.to_string());
                std::iter::once(at).chain(error.details()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// When to try again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Overloaded { retry_after } => {
                Some(*retry_after)
            }
            Self::Unavailable(_)
            | Self::ShuttingDown
            | Self::TasksFailing(_)
            | Self::PolicyUnanswered
            | Self::OutcomeUnknown => Some(Duration::from_secs(1)),
            Self::ImportUnfinished(_) => Some(Duration::from_secs(30)),
            Self::AtLine { error, .. } => error.retry_after(),
            _ => None,
        }
    }
}

/// The end of an error about a name that is not known.
pub(super) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}
