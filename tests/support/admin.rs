//! Administration, which speaks gRPC alone.

use std::net::SocketAddr;

use futures::{TryStreamExt, stream};
use imd_proto::v1::{
    self, admin_service_client::AdminServiceClient, export_group_response::Record,
    import_messages_request::Step, kick_sessions_request::Which, set_user_limits_request::Limits,
    start_epoch_request::Whose, trace_message_request::Message as Traced,
};
use tonic::{
    Request, Response, Status, Streaming,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use super::{
    eventually,
    failure::Failure,
    grpc::{self, search_request},
    types::{FoundPage, SearchCall},
};

type Result<T> = std::result::Result<T, Failure>;

/// Adds the admin key to each call, and the reason.
#[derive(Clone)]
pub(crate) struct Key {
    key: String,
    reason: Vec<u8>,
}

impl Interceptor for Key {
    fn call(&mut self, request: Request<()>) -> std::result::Result<Request<()>, Status> {
        let (mut metadata, extensions, message) = request.into_parts();
        metadata.insert("authorization", format!("Bearer {}", self.key).parse().expect("ASCII"));
        metadata.insert_bin("imd-reason-bin", MetadataValue::from_bytes(&self.reason));
        Ok(Request::from_parts(metadata, extensions, message))
    }
}

/// A tier; `max_age` in seconds.
pub(crate) fn tier(name: &str, max_age: Option<i64>, max_messages: Option<i64>) -> v1::Tier {
    let (name, max_age) = (name.to_owned(), max_age.map(seconds));
    v1::Tier { name, max_age, max_messages, ..v1::Tier::default() }
}

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// An administrator.
#[derive(Clone)]
pub(crate) struct Admin(AdminServiceClient<InterceptedService<Channel, Key>>);

fn answer<T>(response: std::result::Result<Response<T>, Status>) -> Result<T> {
    Ok(response?.into_inner())
}

impl Admin {
    pub(crate) fn new(address: SocketAddr, key: &str) -> Self {
        Self::because(address, key, b"")
    }

    /// An administrator who says why.
    pub(crate) fn because(address: SocketAddr, key: &str, reason: &[u8]) -> Self {
        let channel = grpc::channel(address);
        let key = Key { key: key.to_owned(), reason: reason.to_owned() };
        Self(AdminServiceClient::with_interceptor(channel, key))
    }

    /// Makes a key; the key itself.
    pub(crate) async fn create_key(&self, name: &str, role: v1::Role) -> Result<String> {
        let request = v1::CreateAdminKeyRequest { name: name.to_owned(), role: role.into() };
        Ok(answer(self.0.clone().create_admin_key(request).await)?.secret)
    }

    pub(crate) async fn access_keys(&self) -> Result<Vec<v1::AccessTokenKey>> {
        let request = v1::ListAccessTokenKeysRequest {};
        Ok(answer(self.0.clone().list_access_token_keys(request).await)?.keys)
    }

    /// All keys there are then.
    pub(crate) async fn rotate_access_key(&self) -> Result<Vec<v1::AccessTokenKey>> {
        let request = v1::RotateAccessTokenKeyRequest {};
        Ok(answer(self.0.clone().rotate_access_token_key(request).await)?.keys)
    }

    pub(crate) async fn keys(&self) -> Result<Vec<v1::AdminKey>> {
        Ok(answer(self.0.clone().list_admin_keys(v1::ListAdminKeysRequest {}).await)?.keys)
    }

    pub(crate) async fn revoke_key(&self, name: &str) -> Result<v1::AdminKey> {
        let request = v1::RevokeAdminKeyRequest { name: name.to_owned() };
        Ok(answer(self.0.clone().revoke_admin_key(request).await)?.key.expect("the key"))
    }

    pub(crate) async fn create_user(&self, user_id: &str, password: &str) -> Result<v1::User> {
        self.create("", user_id, Some(password)).await
    }

    pub(crate) async fn create_user_of(
        &self,
        tier: &str,
        user_id: &str,
        password: &str,
    ) -> Result<v1::User> {
        self.create(tier, user_id, Some(password)).await
    }

    /// Creates a user, perhaps without a password.
    pub(crate) async fn create(
        &self,
        tier: &str,
        user_id: &str,
        password: Option<&str>,
    ) -> Result<v1::User> {
        let request = v1::CreateUserRequest {
            user_id: user_id.to_owned(),
            password: password.map(str::to_owned),
            tier: tier.to_owned(),
        };
        let created = answer(self.0.clone().create_user(request).await)?;
        Ok(created.user.expect("the new user"))
    }

    pub(crate) async fn user(&self, user_id: &str) -> Result<v1::User> {
        let request = v1::GetUserRequest { user_id: user_id.to_owned() };
        Ok(answer(self.0.clone().get_user(request).await)?.user.expect("the user"))
    }

    pub(crate) async fn users(&self, size: i32, token: &str) -> Result<v1::ListUsersResponse> {
        self.users_that_begin("", size, token).await
    }

    /// The users whose ids begin so.
    pub(crate) async fn users_that_begin(
        &self,
        prefix: &str,
        size: i32,
        token: &str,
    ) -> Result<v1::ListUsersResponse> {
        let request = v1::ListUsersRequest {
            page_size: size,
            page_token: token.to_owned(),
            prefix: prefix.to_owned(),
            ..Default::default()
        };
        self.list_users(request).await
    }

    pub(crate) async fn list_users(
        &self,
        request: v1::ListUsersRequest,
    ) -> Result<v1::ListUsersResponse> {
        answer(self.0.clone().list_users(request).await)
    }

    pub(crate) async fn create_group(
        &self,
        owner_id: &str,
        group: v1::CreateGroupRequest,
    ) -> Result<v1::AdminGroup> {
        let request =
            v1::AdminCreateGroupRequest { owner_id: owner_id.to_owned(), group: Some(group) };
        Ok(answer(self.0.clone().admin_create_group(request).await)?.group.expect("the group"))
    }

    /// A group, also a dissolved one.
    pub(crate) async fn group(&self, group_id: &str) -> Result<v1::AdminGroup> {
        let request = v1::AdminGetGroupRequest { group_id: group_id.to_owned() };
        Ok(answer(self.0.clone().admin_get_group(request).await)?.group.expect("the group"))
    }

    /// The groups of a user, or of all when that is empty.
    pub(crate) async fn groups(
        &self,
        user_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<v1::AdminListGroupsResponse> {
        let (user_id, page_token) = (user_id.to_owned(), page_token.to_owned());
        let request =
            v1::AdminListGroupsRequest { user_id, page_size, page_token, ..Default::default() };
        self.list_groups(request).await
    }

    pub(crate) async fn list_groups(
        &self,
        request: v1::AdminListGroupsRequest,
    ) -> Result<v1::AdminListGroupsResponse> {
        answer(self.0.clone().admin_list_groups(request).await)
    }

    pub(crate) async fn update_group(
        &self,
        group: v1::UpdateGroupRequest,
    ) -> Result<v1::AdminGroup> {
        let request = v1::AdminUpdateGroupRequest { group: Some(group) };
        Ok(answer(self.0.clone().admin_update_group(request).await)?.group.expect("the group"))
    }

    pub(crate) async fn dissolve_group(&self, group_id: &str) -> Result<()> {
        let request = v1::AdminDissolveGroupRequest { group_id: group_id.to_owned() };
        answer(self.0.clone().admin_dissolve_group(request).await).map(drop)
    }

    pub(crate) async fn group_members(
        &self,
        group_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<v1::AdminListGroupMembersResponse> {
        let (group_id, page_token) = (group_id.to_owned(), page_token.to_owned());
        let request = v1::AdminListGroupMembersRequest { group_id, page_size, page_token };
        answer(self.0.clone().admin_list_group_members(request).await)
    }

    /// Those who were no members before.
    pub(crate) async fn add_group_members(
        &self,
        group_id: &str,
        user_ids: &[&str],
    ) -> Result<Vec<String>> {
        let user_ids = user_ids.iter().map(|id| (*id).to_owned()).collect();
        let request = v1::AdminAddGroupMembersRequest { group_id: group_id.to_owned(), user_ids };
        Ok(answer(self.0.clone().admin_add_group_members(request).await)?.added)
    }

    pub(crate) async fn remove_group_member(&self, group_id: &str, user_id: &str) -> Result<()> {
        let (group_id, user_id) = (group_id.to_owned(), user_id.to_owned());
        let request = v1::AdminRemoveGroupMemberRequest { group_id, user_id };
        answer(self.0.clone().admin_remove_group_member(request).await).map(drop)
    }

    pub(crate) async fn set_group_member(
        &self,
        member: v1::UpdateGroupMemberRequest,
    ) -> Result<()> {
        let request = v1::AdminUpdateGroupMemberRequest { member: Some(member) };
        answer(self.0.clone().admin_update_group_member(request).await).map(drop)
    }

    pub(crate) async fn set_password(
        &self,
        user_id: &str,
        password: &str,
    ) -> Result<Vec<v1::Session>> {
        let request =
            v1::SetPasswordRequest { user_id: user_id.to_owned(), password: password.to_owned() };
        Ok(answer(self.0.clone().set_password(request).await)?.ended)
    }

    pub(crate) async fn disable(&self, user_id: &str, note: &str) -> Result<Vec<v1::Session>> {
        let request = v1::DisableUserRequest { user_id: user_id.to_owned(), note: note.to_owned() };
        Ok(answer(self.0.clone().disable_user(request).await)?.ended)
    }

    pub(crate) async fn enable(&self, user_id: &str) -> Result<v1::User> {
        let request = v1::EnableUserRequest { user_id: user_id.to_owned() };
        Ok(answer(self.0.clone().enable_user(request).await)?.user.expect("the user"))
    }

    pub(crate) async fn set_tier(&self, user_id: &str, tier: &str) -> Result<v1::User> {
        self.limit(user_id, Limits::Tier(tier.to_owned())).await
    }

    /// Gives the user limits of its own; `max_age` in seconds.
    pub(crate) async fn set_limits(
        &self,
        user_id: &str,
        max_age: Option<i64>,
        max_messages: Option<i64>,
    ) -> Result<v1::User> {
        let max_age = max_age.map(seconds);
        let limits = v1::RetentionLimits { max_age, max_messages, ..Default::default() };
        self.limit(user_id, Limits::Override(limits)).await
    }

    /// Gives the user a quota of so many bytes as its only limit, or none.
    pub(crate) async fn set_quota(
        &self,
        user_id: &str,
        max_bytes: Option<i64>,
    ) -> Result<v1::User> {
        let limits = v1::RetentionLimits { max_bytes, ..Default::default() };
        self.limit(user_id, Limits::Override(limits)).await
    }

    async fn limit(&self, user_id: &str, limits: Limits) -> Result<v1::User> {
        let request =
            v1::SetUserLimitsRequest { user_id: user_id.to_owned(), limits: Some(limits) };
        Ok(answer(self.0.clone().set_user_limits(request).await)?.user.expect("the user"))
    }

    pub(crate) async fn tiers(&self) -> Result<Vec<v1::Tier>> {
        Ok(answer(self.0.clone().list_tiers(v1::ListTiersRequest {}).await)?.tiers)
    }

    pub(crate) async fn preview_tiers(&self, tiers: Vec<v1::Tier>) -> Result<Vec<v1::TierEffect>> {
        let request = v1::PreviewTiersRequest { tiers, ..Default::default() };
        Ok(answer(self.0.clone().preview_tiers(request).await)?.effects)
    }

    pub(crate) async fn apply_tiers(&self, tiers: Vec<v1::Tier>) -> Result<Vec<v1::Tier>> {
        let request = v1::ApplyTiersRequest { tiers, ..Default::default() };
        Ok(answer(self.0.clone().apply_tiers(request).await)?.tiers)
    }

    pub(crate) async fn terminal_types(&self) -> Result<Vec<v1::TerminalType>> {
        let request = v1::ListTerminalTypesRequest {};
        Ok(answer(self.0.clone().list_terminal_types(request).await)?.terminal_types)
    }

    /// All types there are then.
    pub(crate) async fn set_terminal_types(
        &self,
        names: &[&str],
        session_limit: Option<i32>,
        exclusive: Option<bool>,
    ) -> Result<Vec<v1::TerminalType>> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let request =
            v1::SetTerminalTypesRequest { names, session_limit, exclusive, ..Default::default() };
        Ok(answer(self.0.clone().set_terminal_types(request).await)?.terminal_types)
    }

    /// Purges to the end; how far it came.
    pub(crate) async fn purge(&self) -> Result<v1::PurgeResponse> {
        let mut steps = self.start_purge().await?;
        let mut last = v1::PurgeResponse::default();
        while let Some(step) = steps.message().await? {
            last = step;
        }
        Ok(last)
    }

    pub(crate) async fn start_purge(&self) -> Result<Streaming<v1::PurgeResponse>> {
        answer(self.0.clone().purge(v1::PurgeRequest {}).await)
    }

    /// Deletes a user to the end; how far it came with each step.
    pub(crate) async fn delete(
        &self,
        user_id: &str,
        erase_sent: bool,
    ) -> Result<Vec<v1::DeleteUserResponse>> {
        Ok(self.start_deletion(user_id, erase_sent).await?.try_collect().await?)
    }

    pub(crate) async fn start_deletion(
        &self,
        user_id: &str,
        erase_sent: bool,
    ) -> Result<Streaming<v1::DeleteUserResponse>> {
        let note = "goodbye".to_owned();
        let request = v1::DeleteUserRequest { user_id: user_id.to_owned(), erase_sent, note };
        answer(self.0.clone().delete_user(request).await)
    }

    pub(crate) async fn kick(
        &self,
        user_id: &str,
        which: Option<Which>,
        note: &str,
    ) -> Result<Vec<v1::Session>> {
        let request =
            v1::KickSessionsRequest { user_id: user_id.to_owned(), note: note.to_owned(), which };
        Ok(answer(self.0.clone().kick_sessions(request).await)?.ended)
    }

    pub(crate) async fn sessions(
        &self,
        request: v1::ListSessionsRequest,
    ) -> Result<v1::ListSessionsResponse> {
        answer(self.0.clone().list_sessions(request).await)
    }

    pub(crate) async fn checks(&self) -> Result<Vec<v1::Check>> {
        Ok(answer(self.0.clone().list_checks(v1::ListChecksRequest {}).await)?.checks)
    }

    pub(crate) async fn status(&self) -> Result<v1::GetStatusResponse> {
        answer(self.0.clone().get_status(v1::GetStatusRequest {}).await)
    }

    pub(crate) async fn send(&self, message: v1::AdminSendRequest) -> Result<v1::SendResponse> {
        let sent = answer(self.0.clone().admin_send(message).await)?;
        Ok(sent.sent.expect("where it stands"))
    }

    pub(crate) async fn send_batch(
        &self,
        messages: Vec<v1::AdminSendRequest>,
    ) -> Result<Vec<v1::admin_send_result::Result>> {
        let request = v1::AdminSendBatchRequest { messages };
        let results = answer(self.0.clone().admin_send_batch(request).await)?.results;
        Ok(results.into_iter().map(|result| result.result.expect("a result")).collect())
    }

    pub(crate) async fn list_push_tokens(
        &self,
        request: v1::ListPushTokensRequest,
    ) -> Result<v1::ListPushTokensResponse> {
        answer(self.0.clone().list_push_tokens(request).await)
    }

    pub(crate) async fn test_push(
        &self,
        request: v1::TestPushRequest,
    ) -> Result<v1::TestPushResponse> {
        answer(self.0.clone().test_push(request).await)
    }

    /// Makes a broadcast: the broadcast, and whether it was made before.
    pub(crate) async fn create_broadcast(
        &self,
        request: v1::CreateBroadcastRequest,
    ) -> Result<(v1::Broadcast, bool)> {
        let made = answer(self.0.clone().create_broadcast(request).await)?;
        Ok((made.broadcast.expect("a broadcast"), made.duplicate))
    }

    pub(crate) async fn broadcasts(
        &self,
        page_size: i32,
        page_token: &str,
    ) -> Result<v1::ListBroadcastsResponse> {
        let page_token = page_token.to_owned();
        let request = v1::ListBroadcastsRequest { page_size, page_token, ..Default::default() };
        self.list_broadcasts(request).await
    }

    pub(crate) async fn list_broadcasts(
        &self,
        request: v1::ListBroadcastsRequest,
    ) -> Result<v1::ListBroadcastsResponse> {
        answer(self.0.clone().list_broadcasts(request).await)
    }

    pub(crate) async fn broadcast(&self, broadcast_id: &str) -> Result<v1::Broadcast> {
        let request = v1::GetBroadcastRequest { broadcast_id: broadcast_id.to_owned() };
        let found = answer(self.0.clone().get_broadcast(request).await)?;
        Ok(found.broadcast.expect("a broadcast"))
    }

    pub(crate) async fn pause_broadcast(&self, broadcast_id: &str) -> Result<v1::Broadcast> {
        let request = v1::PauseBroadcastRequest { broadcast_id: broadcast_id.to_owned() };
        let paused = answer(self.0.clone().pause_broadcast(request).await)?;
        Ok(paused.broadcast.expect("a broadcast"))
    }

    pub(crate) async fn resume_broadcast(&self, broadcast_id: &str) -> Result<v1::Broadcast> {
        let request = v1::ResumeBroadcastRequest { broadcast_id: broadcast_id.to_owned() };
        let resumed = answer(self.0.clone().resume_broadcast(request).await)?;
        Ok(resumed.broadcast.expect("a broadcast"))
    }

    pub(crate) async fn abort_broadcast(&self, broadcast_id: &str) -> Result<v1::Broadcast> {
        let request = v1::AbortBroadcastRequest { broadcast_id: broadcast_id.to_owned() };
        let aborted = answer(self.0.clone().abort_broadcast(request).await)?;
        Ok(aborted.broadcast.expect("a broadcast"))
    }

    /// The requests to a webhook from now on.
    pub(crate) async fn tail_webhook(
        &self,
        webhook_id: &str,
        seconds: i32,
    ) -> Result<Streaming<v1::TailWebhookResponse>> {
        let request = v1::TailWebhookRequest { webhook_id: webhook_id.to_owned(), seconds };
        answer(self.0.clone().tail_webhook(request).await)
    }

    /// A webhook that is told of these kinds of events, and its secret.
    pub(crate) async fn create_webhook(
        &self,
        url: &str,
        kinds: &[&str],
    ) -> Result<(v1::Webhook, String)> {
        let kinds = kinds.iter().map(|&kind| kind.to_owned()).collect();
        let url = url.to_owned();
        self.make_webhook(v1::CreateWebhookRequest { url, kinds, ..Default::default() }).await
    }

    pub(crate) async fn make_webhook(
        &self,
        request: v1::CreateWebhookRequest,
    ) -> Result<(v1::Webhook, String)> {
        let made = answer(self.0.clone().create_webhook(request).await)?;
        Ok((made.webhook.expect("a webhook"), made.secret))
    }

    pub(crate) async fn webhook(&self, webhook_id: &str) -> Result<v1::Webhook> {
        let request = v1::GetWebhookRequest { webhook_id: webhook_id.to_owned() };
        let found = answer(self.0.clone().get_webhook(request).await)?;
        Ok(found.webhook.expect("a webhook"))
    }

    pub(crate) async fn update_webhook(
        &self,
        request: v1::UpdateWebhookRequest,
    ) -> Result<v1::Webhook> {
        let changed = answer(self.0.clone().update_webhook(request).await)?;
        Ok(changed.webhook.expect("a webhook"))
    }

    pub(crate) async fn pause_webhook(&self, webhook_id: &str) -> Result<v1::Webhook> {
        let request = v1::PauseWebhookRequest { webhook_id: webhook_id.to_owned() };
        let paused = answer(self.0.clone().pause_webhook(request).await)?;
        Ok(paused.webhook.expect("a webhook"))
    }

    pub(crate) async fn resume_webhook(&self, webhook_id: &str) -> Result<v1::Webhook> {
        let request = v1::ResumeWebhookRequest { webhook_id: webhook_id.to_owned() };
        let resumed = answer(self.0.clone().resume_webhook(request).await)?;
        Ok(resumed.webhook.expect("a webhook"))
    }

    pub(crate) async fn delete_webhook(&self, webhook_id: &str) -> Result<()> {
        let request = v1::DeleteWebhookRequest { webhook_id: webhook_id.to_owned() };
        answer(self.0.clone().delete_webhook(request).await).map(drop)
    }

    pub(crate) async fn test_webhook(&self, webhook_id: &str) -> Result<v1::TestWebhookResponse> {
        let request = v1::TestWebhookRequest { webhook_id: webhook_id.to_owned() };
        answer(self.0.clone().test_webhook(request).await)
    }

    /// Tells it once more of what happened `seconds` after 1970 and later: how many events that is.
    pub(crate) async fn replay_webhook(&self, webhook_id: &str, seconds: i64) -> Result<i64> {
        let from = Some(prost_types::Timestamp { seconds, nanos: 0 });
        let request = v1::ReplayWebhookRequest { webhook_id: webhook_id.to_owned(), from };
        Ok(answer(self.0.clone().replay_webhook(request).await)?.events)
    }

    /// A new secret.
    pub(crate) async fn rotate_webhook_secret(&self, webhook_id: &str) -> Result<String> {
        let request = v1::RotateWebhookSecretRequest {
            webhook_id: webhook_id.to_owned(),
            ..Default::default()
        };
        Ok(answer(self.0.clone().rotate_webhook_secret(request).await)?.secret)
    }

    pub(crate) async fn jobs(&self) -> Result<Vec<v1::Job>> {
        Ok(answer(self.0.clone().list_jobs(v1::ListJobsRequest {}).await)?.jobs)
    }

    pub(crate) async fn job(&self, name: &str) -> v1::Job {
        // A node that has just started makes them.
        eventually("a job of this name", async || {
            let jobs = self.jobs().await.expect("the jobs");
            jobs.into_iter().find(|job| job.name == name)
        })
        .await
    }

    pub(crate) async fn retry_job(&self, name: &str) -> Result<v1::Job> {
        let request = v1::RetryJobRequest { name: name.to_owned() };
        Ok(answer(self.0.clone().retry_job(request).await)?.job.expect("a job"))
    }

    pub(crate) async fn cancel_job(&self, name: &str) -> Result<v1::Job> {
        let request = v1::CancelJobRequest { name: name.to_owned() };
        Ok(answer(self.0.clone().cancel_job(request).await)?.job.expect("a job"))
    }

    pub(crate) async fn audit(
        &self,
        user_id: &str,
        size: i32,
        token: &str,
    ) -> Result<v1::ListAuditRecordsResponse> {
        let request = v1::ListAuditRecordsRequest {
            user_id: user_id.to_owned(),
            page_size: size,
            page_token: token.to_owned(),
            ..Default::default()
        };
        self.list_audit_records(request).await
    }

    pub(crate) async fn list_audit_records(
        &self,
        request: v1::ListAuditRecordsRequest,
    ) -> Result<v1::ListAuditRecordsResponse> {
        answer(self.0.clone().list_audit_records(request).await)
    }

    /// The attachments that a user created, the newest first.
    pub(crate) async fn attachments(&self, user_id: &str) -> Result<Vec<v1::StoredAttachment>> {
        let request = v1::ListAttachmentsRequest {
            user_id: user_id.to_owned(),
            ..v1::ListAttachmentsRequest::default()
        };
        Ok(self.list_attachments(request).await?.attachments)
    }

    pub(crate) async fn list_attachments(
        &self,
        request: v1::ListAttachmentsRequest,
    ) -> Result<v1::ListAttachmentsResponse> {
        answer(self.0.clone().list_attachments(request).await)
    }

    /// Deletes files that no message has: how many.
    pub(crate) async fn purge_attachments(&self) -> Result<i64> {
        let request = v1::PurgeAttachmentsRequest {};
        Ok(answer(self.0.clone().purge_attachments(request).await)?.attachments)
    }

    pub(crate) async fn search(&self, user_id: &str, asked: &SearchCall) -> Result<FoundPage> {
        let search = Some(search_request(asked));
        let request = v1::SearchUserMessagesRequest { user_id: user_id.to_owned(), search };
        let found = answer(self.0.clone().search_user_messages(request).await)?.found;
        Ok(found.expect("a page").into())
    }

    pub(crate) async fn trace(&self, message: Traced) -> Result<v1::TraceMessageResponse> {
        let request = v1::TraceMessageRequest { message: Some(message) };
        answer(self.0.clone().trace_message(request).await)
    }

    /// The progress, up to the end.
    pub(crate) async fn start_epoch(
        &self,
        whose: Option<Whose>,
    ) -> Result<Vec<v1::StartEpochResponse>> {
        let steps = self.0.clone().start_epoch(v1::StartEpochRequest { whose }).await?;
        Ok(steps.into_inner().try_collect().await?)
    }

    /// The messages of a timeline, to the end.
    pub(crate) async fn export(
        &self,
        user_id: &str,
        since: Option<prost_types::Timestamp>,
    ) -> Result<Vec<v1::ExportedMessage>> {
        Ok(self.export_whole(user_id, since).await?.0)
    }

    /// The messages of a timeline, and what else there is of the user, if there is something.
    pub(crate) async fn export_whole(
        &self,
        user_id: &str,
        since: Option<prost_types::Timestamp>,
    ) -> Result<(Vec<v1::ExportedMessage>, Option<v1::UserRecord>)> {
        let request = v1::ExportMessagesRequest { user_id: user_id.to_owned(), since };
        let mut steps = answer(self.0.clone().export_messages(request).await)?;
        let begun = steps.message().await?.expect("the first answer");
        assert_eq!((begun.message, begun.user), (None, None), "it says how many come");
        let mut rest: Vec<_> = steps.try_collect().await?;
        let user = rest.pop_if(|last| last.user.is_some()).and_then(|last| last.user);
        let messages: Vec<_> =
            rest.into_iter().map(|step| step.message.expect("a message")).collect();
        assert!(i64::try_from(messages.len()).expect("a number") <= begun.messages);
        Ok((messages, user))
    }

    /// The group as it was at first, and who came and went.
    pub(crate) async fn export_group(
        &self,
        group_id: &str,
    ) -> Result<(v1::GroupRecord, Vec<v1::MemberChangeRecord>)> {
        let (group, changes, dissolved) = self.export_whole_group(group_id).await?;
        assert_eq!(dissolved, None, "it is there still");
        Ok((group, changes))
    }

    /// The group as it was at first, who came and went, and its end, if it is dissolved.
    pub(crate) async fn export_whole_group(
        &self,
        group_id: &str,
    ) -> Result<(v1::GroupRecord, Vec<v1::MemberChangeRecord>, Option<v1::GroupDissolvedRecord>)>
    {
        let request = v1::ExportGroupRequest { group_id: group_id.to_owned() };
        let steps = answer(self.0.clone().export_group(request).await)?;
        let mut records: Vec<_> =
            steps.map_ok(|step| step.record.expect("a record")).try_collect().await?;
        let end = records.pop_if(|last| matches!(last, Record::Dissolved(_)));
        let end = end.map(|end| match end {
            Record::Dissolved(end) => end,
            other => panic!("{other:?}"),
        });
        let mut records = records.into_iter();
        let Some(Record::Group(group)) = records.next() else { panic!("no group comes first") };
        let changes = records.map(|record| match record {
            Record::MemberChange(change) => change,
            other => panic!("a second group, or an end in between: {other:?}"),
        });
        Ok((group, changes.collect(), end))
    }

    /// Imports messages to the end; how far it came.
    pub(crate) async fn import(
        &self,
        records: &[v1::MessageRecord],
    ) -> Result<v1::ImportMessagesResponse> {
        self.import_all(messages(records)).await
    }

    /// Imports what comes, to the end; how far it came.
    pub(crate) async fn import_all(
        &self,
        steps: impl IntoIterator<Item = Step>,
    ) -> Result<v1::ImportMessagesResponse> {
        let begin = Step::Begin(v1::ImportBegin { create_users: false });
        let end = Step::End(v1::ImportEnd { finish_all: false });
        let steps = std::iter::once(begin).chain(steps).chain([end]);
        let mut answers = self.import_steps(steps.collect()).await?;
        Ok(answers.pop().expect("an answer"))
    }

    pub(crate) async fn import_steps(
        &self,
        steps: Vec<Step>,
    ) -> Result<Vec<v1::ImportMessagesResponse>> {
        let requests = steps.into_iter().map(|step| v1::ImportMessagesRequest { step: Some(step) });
        let answers = self.0.clone().import_messages(stream::iter(requests)).await;
        Ok(answer(answers)?.try_collect().await?)
    }
}

/// The steps that import messages, each at the line of its number.
pub(crate) fn messages(records: &[v1::MessageRecord]) -> impl Iterator<Item = Step> + '_ {
    (1..).zip(records).map(|(line, record)| {
        Step::Message(v1::ImportedMessage { line, message: Some(record.clone()) })
    })
}
