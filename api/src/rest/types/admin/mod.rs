//! What administrators and backends send and see: a file for each of `rest/admin`.

mod cluster;
mod groups;
mod keys;
mod messages;
mod push;
mod retention;
mod sessions;
mod transfer;
mod users;
mod webhooks;

pub(crate) use cluster::{
    AuditRecordList, CheckList, Job, JobList, SetTerminalTypesRequest, Status, TerminalTypeList,
};
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
    ExportedMessage, ExportedRecord, ImportRecord, ImportResult, Progress, StartEpochRequest,
};
pub(crate) use users::{
    CreateUserRequest, DeletionProgress, NoteRequest, SetPasswordRequest, User, UserLimitsEffect,
    UserLimitsRequest, UserList,
};
pub(crate) use webhooks::{
    CreateWebhookRequest, ReplayWebhookRequest, ReplayedWebhook, RotateWebhookSecretRequest,
    TailedRequest, UpdateWebhookRequest, Webhook, WebhookList, WebhookTest, WebhookWithSecret,
};
