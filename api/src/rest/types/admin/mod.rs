//! What administrators and backends send and see: a file for each of `rest/admin`.

mod attachments;
mod cluster;
mod description;
mod groups;
mod keys;
mod messages;
mod push;
mod records;
mod retention;
mod sessions;
mod transfer;
mod users;
mod webhooks;

pub(crate) use attachments::{AttachmentState, PurgedAttachments, StoredAttachmentList};
pub(crate) use cluster::{
    AuditRecordList, CheckList, Job, JobList, Load, SecurityEvent, SetTerminalTypesRequest, Status,
    TerminalTypeList,
};
pub(crate) use description::UserDescription;
pub(crate) use groups::{
    AddMembersRequest, AddedMembers, AdminGroup, AdminGroupList, CreateAdminGroupRequest,
};
pub(crate) use keys::{
    AccessTokenKeyList, AdminKey, AdminKeyList, CreateAdminKeyRequest, CreatedAdminKey,
};
pub(crate) use messages::MessageTrace;
pub(crate) use push::{PushTestList, PushTokenList, TestPushRequest};
pub(crate) use retention::{PurgeProgress, TierEffectList, TierList, TiersRequest};
pub(crate) use sessions::{
    AdminSession, AdminSessionList, EndedSessions, KickSessionsRequest, SessionState,
};
pub(crate) use transfer::{
    ExportedLine, ExportedRecord, ImportRecord, ImportResult, Progress, StartEpochRequest,
};
pub(crate) use users::{
    CreateUserRequest, DeletionProgress, NoteRequest, SetPasswordRequest, User, UserLimitsEffect,
    UserLimitsRequest, UserList,
};
pub(crate) use webhooks::{
    CreateWebhookRequest, ReplayWebhookRequest, ReplayedWebhook, RotateWebhookSecretRequest,
    TailedRequest, UpdateWebhookRequest, Webhook, WebhookList, WebhookTest, WebhookWithSecret,
};
