//! The stable names of what can go wrong.

use super::Class;

macro_rules! codes {
    ($($variant:ident, $name:literal, $class:ident, $audience:ident, $meaning:literal;)+) => {
        /// What went wrong, for programs: `code` in REST, `reason` in gRPC's `ErrorInfo`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)+
        }

        impl Code {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What kind of failure it is.
            #[must_use]
            pub fn class(self) -> Class {
                match self {
                    $(Self::$variant => Class::$class,)+
                }
            }

            /// Whom it is for.
            #[must_use]
            pub fn audience(self) -> Audience {
                match self {
                    $(Self::$variant => Audience::$audience,)+
                }
            }

            /// When it is given, in a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)+
                }
            }
        }
    };
}

/// Who gets to see a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Clients.
    Clients,
    /// Administrators alone.
    Administrators,
}

codes! {
    InvalidArgument, "invalid_argument", InvalidArgument, Clients,
        "A field of the request is wrong; `field` names it.";
    InvalidCredentials, "invalid_credentials", Unauthenticated, Clients,
        "The user does not exist, has another password, or is disabled.";
    InvalidAssertion, "invalid_assertion", Unauthenticated, Clients,
        "The assertion is not one of a trusted issuer's, is no longer good, or was used before.";
    InvalidToken, "invalid_token", Unauthenticated, Clients,
        "The token is missing, not one of this server's, or expired.";
    SessionEnded, "session_ended", Unauthenticated, Clients,
        "The session has ended; `end_reason` says why. Stop: only a fresh login helps.";
    InvalidAdminKey, "invalid_admin_key", Unauthenticated, Administrators,
        "The admin key is missing or wrong.";
    PermissionDenied, "permission_denied", PermissionDenied, Administrators,
        "The role of the admin key does not allow it.";
    AdminKeyExists, "admin_key_exists", AlreadyExists, Administrators,
        "There is, or was, an admin key of that name.";
    AdminKeyNotFound, "admin_key_not_found", NotFound, Administrators,
        "There is no such admin key.";
    TerminalOccupied, "terminal_occupied", FailedPrecondition, Clients,
        "A login that was not to take anybody's place found its terminal type in use.";
    UserNotFound, "user_not_found", NotFound, Clients,
        "There is no such user, or none any more.";
    SessionNotFound, "session_not_found", NotFound, Clients,
        "The user never had such a session.";
    MessageNotFound, "message_not_found", NotFound, Clients,
        "There is no such message, or the user has not sent it.";
    RecallWindowOver, "recall_window_over", FailedPrecondition, Clients,
        "The message was sent too long ago to be recalled.";
    EditWindowOver, "edit_window_over", FailedPrecondition, Clients,
        "The message was sent too long ago to be edited.";
    TooManyReactions, "too_many_reactions", FailedPrecondition, Clients,
        "The message has as many kinds of reactions as one may have.";
    TooManyPins, "too_many_pins", FailedPrecondition, Clients,
        "As many messages of the conversation are pinned as may be.";
    TooManyScheduled, "too_many_scheduled", FailedPrecondition, Clients,
        "As many messages of the caller wait to be sent as may.";
    ScheduledNotFound, "scheduled_not_found", NotFound, Clients,
        "The caller has no such message that waits to be sent, or it is on its way.";
    AttachmentNotFound, "attachment_not_found", NotFound, Clients,
        "The message has no such attachment, or the caller none that a message can have.";
    AttachmentQuotaUsed, "attachment_quota_used", FailedPrecondition, Clients,
        "The attachments of the caller would take more bytes together than the server allows.";
    MessageQuotaUsed, "message_quota_used", FailedPrecondition, Clients,
        "The messages of the caller take as many bytes as its tier allows; deleting some makes room.";
    SearchDisabled, "search_disabled", FailedPrecondition, Clients,
        "The deployment does not search messages.";
    Blocked, "blocked", PermissionDenied, Clients,
        "The recipient takes no messages from the caller.";
    RecipientBlocked, "recipient_blocked", FailedPrecondition, Clients,
        "The caller blocks the recipient.";
    NotAccepted, "not_accepted", PermissionDenied, Clients,
        "The recipient takes messages from its contacts alone, or from nobody; `from` says which.";
    TooManyContacts, "too_many_contacts", FailedPrecondition, Clients,
        "The caller, or the other user, has as many contacts and requests as one may.";
    TooManyBlocks, "too_many_blocks", FailedPrecondition, Clients,
        "The caller blocks as many users as one may.";
    ImportUnfinished, "import_unfinished", Unavailable, Clients,
        "The user's messages are being imported from elsewhere. Try again after the time given.";
    TimelineNotEmpty, "timeline_not_empty", FailedPrecondition, Administrators,
        "The timeline holds something that no import has put there.";
    TierNotFound, "tier_not_found", NotFound, Administrators,
        "There is no such tier.";
    TierExists, "tier_exists", AlreadyExists, Administrators,
        "There is a tier of that name already.";
    TierInUse, "tier_in_use", FailedPrecondition, Administrators,
        "The tier cannot be deleted: users have it, or new users get it.";
    TerminalTypeExists, "terminal_type_exists", AlreadyExists, Administrators,
        "There is a terminal type of that name already.";
    TerminalTypeInUse, "terminal_type_in_use", FailedPrecondition, Administrators,
        "The terminal type cannot be deleted: sessions of it are live.";
    GroupNotFound, "group_not_found", NotFound, Clients,
        "There is no such group, or none any more.";
    GroupExists, "group_exists", AlreadyExists, Clients,
        "There is, or was, a group of that id.";
    GroupFull, "group_full", FailedPrecondition, Clients,
        "The group would have more members than a group may have.";
    NotAMember, "not_a_member", PermissionDenied, Clients,
        "The caller is not a member of the group.";
    MemberNotFound, "member_not_found", NotFound, Clients,
        "The user is not a member of the group.";
    RequestNotFound, "request_not_found", NotFound, Clients,
        "The user neither asks to join the group nor is invited.";
    GroupRoleNeeded, "group_role_needed", PermissionDenied, Clients,
        "The caller's role in the group does not allow this.";
    InvitationNeeded, "invitation_needed", PermissionDenied, Clients,
        "The group is joined by invitation.";
    OwnerMustStay, "owner_must_stay", FailedPrecondition, Clients,
        "The owner hands the group on, or dissolves it, before leaving.";
    Muted, "muted", PermissionDenied, Clients,
        "The caller may not write to the group for now.";
    VersionConflict, "version_conflict", FailedPrecondition, Clients,
        "The group, or the profile, has changed since that version; read it again.";
    UserExists, "user_exists", AlreadyExists, Administrators,
        "There is, or was, a user of that id.";
    ClientMessageIdConflict, "client_message_id_conflict", AlreadyExists, Clients,
        "The id was used for another recipient or content.";
    ClientEditIdConflict, "client_edit_id_conflict", AlreadyExists, Clients,
        "The id was used for another edit of the message.";
    PurgeRunning, "purge_running", FailedPrecondition, Administrators,
        "A purge is under way, here or on another node.";
    JobNotFound, "job_not_found", NotFound, Administrators,
        "There is no such job.";
    JobNotRunning, "job_not_running", FailedPrecondition, Administrators,
        "No node works at the job at present.";
    PolicyRefused, "policy_refused", PermissionDenied, Clients,
        "The deployment's own rules do not allow the message; `policy_code` says why, in their words.";
    WebhookNotFound, "webhook_not_found", NotFound, Administrators,
        "There is no such webhook.";
    TooManyWebhooks, "too_many_webhooks", FailedPrecondition, Administrators,
        "There are as many webhooks as there may be.";
    BroadcastNotFound, "broadcast_not_found", NotFound, Administrators,
        "There is no such broadcast.";
    BroadcastIdConflict, "broadcast_id_conflict", AlreadyExists, Administrators,
        "The id was used for another broadcast.";
    BroadcastEnded, "broadcast_ended", FailedPrecondition, Administrators,
        "The broadcast is done, or was aborted.";
    RateLimited, "rate_limited", ResourceExhausted, Clients,
        "One client takes too much; `limit` names the limit. Try again after the time given.";
    Overloaded, "overloaded", ResourceExhausted, Clients,
        "The server is busy. Try again after the time given.";
    Unavailable, "unavailable", Unavailable, Clients,
        "The database does not answer, the node is stopping, or a part of it has failed. Try again.";
    Internal, "internal", Internal, Clients,
        "A fault of the server's own.";
}
