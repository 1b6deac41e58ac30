//! `AdminService`; the files beside this one put what it says into the contract's messages.

mod audit;
mod broadcasts;
mod cluster;
mod epochs;
mod groups;
mod keys;
mod push;
mod records;
mod retention;
mod send;
mod sessions;
mod trace;
mod transfer;
mod users;
mod webhooks;

use std::{pin::Pin, sync::Arc};

use axum::{
    extract::{Request as HttpRequest, State},
    middleware::Next,
    response::Response as HttpResponse,
};
use futures::{Stream, StreamExt, stream};
use imd_proto::v1;
use secrecy::ExposeSecret;
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming, async_trait, metadata::MetadataValue};

use super::{
    attachment, bearer, bearer_token, contact, convert, deadline::exceeded, group,
    message::encode_sent, search, status::status, terminals,
};
use crate::{
    model::{BroadcastState, Error, Limit, Result as ServiceResult, Role},
    service::{Admin, AdminCall, Service},
    telemetry,
};

/// The metadata that says why a call is made.
const REASON: &str = "imd-reason-bin";

pub(super) struct Administration(pub(super) Arc<Service>);

/// The answers of a call that takes its time.
type Steps<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn steps<T, U: 'static>(
    steps: impl Stream<Item = ServiceResult<T>> + Send + 'static,
    answer: impl Fn(T) -> U + Send + 'static,
) -> Steps<U> {
    Box::pin(steps.map(move |step| step.map(&answer).map_err(status)))
}

impl Administration {
    async fn admin<T: Sync>(&self, request: &Request<T>) -> Result<Admin<'_>, Status> {
        self.0.admin(call(request)?).await.map_err(status)
    }
}

/// Lets a call in whose key is good, before its body is read: a call of an administrator has no deadline,
/// so that without this anybody could hold calls open for ever. The call checks the key again.
pub(super) async fn known_first(
    State(service): State<Arc<Service>>,
    request: HttpRequest,
    next: Next,
) -> HttpResponse {
    let checked = service.check_admin_key(bearer_token(request.headers()));
    match timeout(service.call_timeout(), checked).await {
        Ok(Ok(())) => next.run(request).await,
        Ok(Err(error)) => status(error).into_http(),
        Err(_) => {
            telemetry::note_limit(Limit::CallTimeout);
            exceeded().into_http()
        }
    }
}

/// Who calls, why and from where.
fn call<T>(request: &Request<T>) -> Result<AdminCall<'_>, Status> {
    let unreadable = |_| status(Error::invalid("reason", "must be base64"));
    let reason = request.metadata().get_bin(REASON).map(MetadataValue::to_bytes);
    Ok(AdminCall {
        key: bearer(request.metadata()),
        reason: reason.transpose().map_err(unreadable)?.unwrap_or_default(),
        address: request.extensions().get().copied(),
    })
}

#[async_trait]
impl v1::admin_service_server::AdminService for Administration {
    async fn create_user(
        &self,
        request: Request<v1::CreateUserRequest>,
    ) -> Result<Response<v1::CreateUserResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let created =
            admin.create_user(&asked.user_id, asked.password, &asked.tier).await.map_err(status)?;
        Ok(Response::new(v1::CreateUserResponse { user: Some(users::user(&created)) }))
    }

    async fn list_users(
        &self,
        request: Request<v1::ListUsersRequest>,
    ) -> Result<Response<v1::ListUsersResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let since = convert::time_if_given("since", asked.since).map_err(status)?;
        let page = admin
            .list_users(&asked.prefix, since, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListUsersResponse {
            users: page.items.iter().map(users::user).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn get_user(
        &self,
        request: Request<v1::GetUserRequest>,
    ) -> Result<Response<v1::GetUserResponse>, Status> {
        let found = self
            .admin(&request)
            .await?
            .get_user(&request.get_ref().user_id)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::GetUserResponse { user: Some(users::user(&found)) }))
    }

    async fn describe_user(
        &self,
        request: Request<v1::DescribeUserRequest>,
    ) -> Result<Response<v1::DescribeUserResponse>, Status> {
        let admin = self.admin(&request).await?;
        let described = admin.describe_user(&request.get_ref().user_id).await.map_err(status)?;
        let description = Some(users::description(described));
        Ok(Response::new(v1::DescribeUserResponse { description }))
    }

    async fn set_password(
        &self,
        request: Request<v1::SetPasswordRequest>,
    ) -> Result<Response<v1::SetPasswordResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let ended = admin.set_password(&asked.user_id, asked.password).await.map_err(status)?;
        Ok(Response::new(v1::SetPasswordResponse { ended: convert::sessions(&ended) }))
    }

    async fn disable_user(
        &self,
        request: Request<v1::DisableUserRequest>,
    ) -> Result<Response<v1::DisableUserResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let ended = admin.disable_user(&asked.user_id, &asked.note).await.map_err(status)?;
        Ok(Response::new(v1::DisableUserResponse { ended: convert::sessions(&ended) }))
    }

    async fn enable_user(
        &self,
        request: Request<v1::EnableUserRequest>,
    ) -> Result<Response<v1::EnableUserResponse>, Status> {
        let enabled = self
            .admin(&request)
            .await?
            .enable_user(&request.get_ref().user_id)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::EnableUserResponse { user: Some(users::user(&enabled)) }))
    }

    async fn set_user_limits(
        &self,
        request: Request<v1::SetUserLimitsRequest>,
    ) -> Result<Response<v1::SetUserLimitsResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let limits = asked.limits.map(retention::user_limits).transpose()?;
        let changed = admin.set_user_limits(&asked.user_id, limits).await.map_err(status)?;
        Ok(Response::new(v1::SetUserLimitsResponse { user: Some(users::user(&changed)) }))
    }

    async fn list_tiers(
        &self,
        request: Request<v1::ListTiersRequest>,
    ) -> Result<Response<v1::ListTiersResponse>, Status> {
        let tiers = self.admin(&request).await?.list_tiers().await.map_err(status)?;
        Ok(Response::new(v1::ListTiersResponse { tiers: retention::tiers(&tiers) }))
    }

    async fn preview_tiers(
        &self,
        request: Request<v1::PreviewTiersRequest>,
    ) -> Result<Response<v1::PreviewTiersResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let expect = convert::expect(asked.expect());
        let tiers = retention::new_tiers(asked.tiers)?;
        let effects = admin.preview_tiers(tiers, expect).await.map_err(status)?;
        Ok(Response::new(v1::PreviewTiersResponse { effects: retention::effects(&effects) }))
    }

    async fn apply_tiers(
        &self,
        request: Request<v1::ApplyTiersRequest>,
    ) -> Result<Response<v1::ApplyTiersResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let expect = convert::expect(asked.expect());
        let tiers = retention::new_tiers(asked.tiers)?;
        let applied = admin.apply_tiers(tiers, expect).await.map_err(status)?;
        Ok(Response::new(v1::ApplyTiersResponse { tiers: retention::tiers(&applied) }))
    }

    async fn delete_tier(
        &self,
        request: Request<v1::DeleteTierRequest>,
    ) -> Result<Response<v1::DeleteTierResponse>, Status> {
        let admin = self.admin(&request).await?;
        let left = admin.delete_tier(&request.get_ref().name).await.map_err(status)?;
        Ok(Response::new(v1::DeleteTierResponse { tiers: retention::tiers(&left) }))
    }

    async fn preview_user_limits(
        &self,
        request: Request<v1::PreviewUserLimitsRequest>,
    ) -> Result<Response<v1::PreviewUserLimitsResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let limits = asked.limits.map(retention::tried_limits).transpose()?;
        let effect = admin.preview_user_limits(&asked.user_id, limits).await.map_err(status)?;
        Ok(Response::new(v1::PreviewUserLimitsResponse {
            entries_hidden: effect.entries_hidden,
            entries_shown: effect.entries_shown,
        }))
    }

    type PurgeStream = Steps<v1::PurgeResponse>;

    async fn purge(
        &self,
        request: Request<v1::PurgeRequest>,
    ) -> Result<Response<Self::PurgeStream>, Status> {
        let progress = self.0.clone().purge(call(&request)?).await.map_err(status)?;
        Ok(Response::new(steps(progress, retention::progress)))
    }

    async fn list_access_token_keys(
        &self,
        request: Request<v1::ListAccessTokenKeysRequest>,
    ) -> Result<Response<v1::ListAccessTokenKeysResponse>, Status> {
        let known = self.admin(&request).await?.list_access_keys().await.map_err(status)?;
        Ok(Response::new(v1::ListAccessTokenKeysResponse { keys: keys::access_keys(known) }))
    }

    async fn rotate_access_token_key(
        &self,
        request: Request<v1::RotateAccessTokenKeyRequest>,
    ) -> Result<Response<v1::RotateAccessTokenKeyResponse>, Status> {
        let known = self.admin(&request).await?.rotate_access_key().await.map_err(status)?;
        Ok(Response::new(v1::RotateAccessTokenKeyResponse { keys: keys::access_keys(known) }))
    }

    async fn list_terminal_types(
        &self,
        request: Request<v1::ListTerminalTypesRequest>,
    ) -> Result<Response<v1::ListTerminalTypesResponse>, Status> {
        let known = self.admin(&request).await?.list_terminal_types().await.map_err(status)?;
        let terminal_types = terminals::terminal_types(known);
        Ok(Response::new(v1::ListTerminalTypesResponse { terminal_types }))
    }

    async fn set_terminal_types(
        &self,
        request: Request<v1::SetTerminalTypesRequest>,
    ) -> Result<Response<v1::SetTerminalTypesResponse>, Status> {
        let admin = self.admin(&request).await?;
        let change = terminals::change(request.into_inner());
        let known = admin.set_terminal_types(change).await.map_err(status)?;
        let terminal_types = terminals::terminal_types(known);
        Ok(Response::new(v1::SetTerminalTypesResponse { terminal_types }))
    }

    async fn delete_terminal_types(
        &self,
        request: Request<v1::DeleteTerminalTypesRequest>,
    ) -> Result<Response<v1::DeleteTerminalTypesResponse>, Status> {
        let admin = self.admin(&request).await?;
        let left = admin.delete_terminal_types(request.into_inner().names).await.map_err(status)?;
        let terminal_types = terminals::terminal_types(left);
        Ok(Response::new(v1::DeleteTerminalTypesResponse { terminal_types }))
    }

    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let query = sessions::query(&asked).map_err(status)?;
        let page =
            admin.list_sessions(query, asked.page_size, &asked.page_token).await.map_err(status)?;
        Ok(Response::new(v1::ListSessionsResponse {
            sessions: page.items.iter().map(sessions::session).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn kick_sessions(
        &self,
        request: Request<v1::KickSessionsRequest>,
    ) -> Result<Response<v1::KickSessionsResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let which = asked.which.and_then(sessions::kick);
        let ended = admin.kick_sessions(&asked.user_id, which, asked.note).await.map_err(status)?;
        Ok(Response::new(v1::KickSessionsResponse { ended: convert::sessions(&ended) }))
    }

    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let seen = self.admin(&request).await?.status().await.map_err(status)?;
        Ok(Response::new(cluster::status(seen)))
    }

    async fn list_checks(
        &self,
        request: Request<v1::ListChecksRequest>,
    ) -> Result<Response<v1::ListChecksResponse>, Status> {
        let checks = self.admin(&request).await?.checks().await.map_err(status)?;
        let checks = checks.into_iter().map(cluster::check).collect();
        Ok(Response::new(v1::ListChecksResponse { checks }))
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        let known = self.admin(&request).await?.list_jobs().await.map_err(status)?;
        Ok(Response::new(v1::ListJobsResponse { jobs: cluster::jobs(known) }))
    }

    async fn list_push_tokens(
        &self,
        request: Request<v1::ListPushTokensRequest>,
    ) -> Result<Response<v1::ListPushTokensResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let query = push::query(asked).map_err(status)?;
        let page = admin.list_push_tokens(&query, asked.page_size, &asked.page_token).await;
        let page = page.map_err(status)?;
        Ok(Response::new(v1::ListPushTokensResponse {
            tokens: page.items.iter().map(push::token).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn test_push(
        &self,
        request: Request<v1::TestPushRequest>,
    ) -> Result<Response<v1::TestPushResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let tested = admin.test_push(&asked.user_id, &asked.terminal_type).await.map_err(status)?;
        Ok(Response::new(v1::TestPushResponse { tests: tested.iter().map(push::test).collect() }))
    }

    async fn retry_job(
        &self,
        request: Request<v1::RetryJobRequest>,
    ) -> Result<Response<v1::RetryJobResponse>, Status> {
        let admin = self.admin(&request).await?;
        let job = admin.retry_job(&request.get_ref().name).await.map_err(status)?;
        Ok(Response::new(v1::RetryJobResponse { job: Some(cluster::job(job)) }))
    }

    async fn cancel_job(
        &self,
        request: Request<v1::CancelJobRequest>,
    ) -> Result<Response<v1::CancelJobResponse>, Status> {
        let admin = self.admin(&request).await?;
        let job = admin.cancel_job(&request.get_ref().name).await.map_err(status)?;
        Ok(Response::new(v1::CancelJobResponse { job: Some(cluster::job(job)) }))
    }

    async fn list_audit_records(
        &self,
        request: Request<v1::ListAuditRecordsRequest>,
    ) -> Result<Response<v1::ListAuditRecordsResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let query = audit::query(asked).map_err(status)?;
        let page = admin
            .list_audit_records(&query, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListAuditRecordsResponse {
            records: page.items.into_iter().map(audit::record).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn create_admin_key(
        &self,
        request: Request<v1::CreateAdminKeyRequest>,
    ) -> Result<Response<v1::CreateAdminKeyResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let role = Role::from_number(asked.role);
        let (key, secret) = admin.create_admin_key(&asked.name, role).await.map_err(status)?;
        Ok(Response::new(v1::CreateAdminKeyResponse {
            key: Some(keys::admin_key(key)),
            secret: secret.expose_secret().to_owned(),
        }))
    }

    async fn list_admin_keys(
        &self,
        request: Request<v1::ListAdminKeysRequest>,
    ) -> Result<Response<v1::ListAdminKeysResponse>, Status> {
        let known = self.admin(&request).await?.list_admin_keys().await.map_err(status)?;
        let keys = known.into_iter().map(keys::admin_key).collect();
        Ok(Response::new(v1::ListAdminKeysResponse { keys }))
    }

    async fn revoke_admin_key(
        &self,
        request: Request<v1::RevokeAdminKeyRequest>,
    ) -> Result<Response<v1::RevokeAdminKeyResponse>, Status> {
        let admin = self.admin(&request).await?;
        let revoked = admin.revoke_admin_key(&request.get_ref().name).await.map_err(status)?;
        Ok(Response::new(v1::RevokeAdminKeyResponse { key: Some(keys::admin_key(revoked)) }))
    }

    async fn trace_message(
        &self,
        request: Request<v1::TraceMessageRequest>,
    ) -> Result<Response<v1::TraceMessageResponse>, Status> {
        let admin = self.admin(&request).await?;
        let message = request.into_inner().message.map(trace::decode);
        let traced = admin.trace_message(message).await.map_err(status)?;
        Ok(Response::new(trace::encode(&traced)))
    }

    async fn search_user_messages(
        &self,
        request: Request<v1::SearchUserMessagesRequest>,
    ) -> Result<Response<v1::SearchUserMessagesResponse>, Status> {
        let admin = self.admin(&request).await?;
        let v1::SearchUserMessagesRequest { user_id, search: asked } = request.into_inner();
        let asked = search::decode(asked.unwrap_or_default()).map_err(status)?;
        let found = admin.search_messages(&user_id, asked).await.map_err(status)?;
        let found = Some(search::encode(&found));
        Ok(Response::new(v1::SearchUserMessagesResponse { found }))
    }

    async fn list_attachments(
        &self,
        request: Request<v1::ListAttachmentsRequest>,
    ) -> Result<Response<v1::ListAttachmentsResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let query = attachment::query(asked).map_err(status)?;
        let page = admin.list_attachments(&query, asked.page_size, &asked.page_token).await;
        Ok(Response::new(attachment::page(page.map_err(status)?)))
    }

    async fn purge_attachments(
        &self,
        request: Request<v1::PurgeAttachmentsRequest>,
    ) -> Result<Response<v1::PurgeAttachmentsResponse>, Status> {
        let admin = self.admin(&request).await?;
        let (attachments, bytes) = admin.purge_attachments().await.map_err(status)?;
        Ok(Response::new(v1::PurgeAttachmentsResponse { attachments, bytes }))
    }

    type DeleteUserStream = Steps<v1::DeleteUserResponse>;

    async fn delete_user(
        &self,
        request: Request<v1::DeleteUserRequest>,
    ) -> Result<Response<Self::DeleteUserStream>, Status> {
        let (call, asked) = (call(&request)?, request.get_ref());
        let deleting =
            self.0.clone().delete_user(call, &asked.user_id, asked.erase_sent, &asked.note);
        let progress = deleting.await.map_err(status)?;
        Ok(Response::new(steps(progress, |progress| users::deletion(&progress))))
    }

    type ExportMessagesStream = Steps<v1::ExportMessagesResponse>;

    async fn export_messages(
        &self,
        request: Request<v1::ExportMessagesRequest>,
    ) -> Result<Response<Self::ExportMessagesStream>, Status> {
        let (call, asked) = (call(&request)?, request.get_ref());
        let since = convert::time_if_given("since", asked.since).map_err(status)?;
        let exporting = self.0.clone().export_messages(call, &asked.user_id, since);
        Ok(Response::new(steps(exporting.await.map_err(status)?, transfer::exported)))
    }

    type ExportGroupStream = Steps<v1::ExportGroupResponse>;

    async fn export_group(
        &self,
        request: Request<v1::ExportGroupRequest>,
    ) -> Result<Response<Self::ExportGroupStream>, Status> {
        let (call, asked) = (call(&request)?, request.get_ref());
        let records = self.0.export_group(call, &asked.group_id).await.map_err(status)?;
        let records = stream::iter(records.into_iter().map(Ok));
        Ok(Response::new(steps(records, transfer::exported_record)))
    }

    type ImportMessagesStream = Steps<v1::ImportMessagesResponse>;

    async fn import_messages(
        &self,
        request: Request<Streaming<v1::ImportMessagesRequest>>,
    ) -> Result<Response<Self::ImportMessagesStream>, Status> {
        let (metadata, extensions, given) = request.into_parts();
        let request = Request::from_parts(metadata, extensions, ());
        let given = given.map(|step| match step {
            Ok(step) => transfer::import_step(step),
            Err(broken) => Err(Error::unavailable(broken)),
        });
        let importing = self.0.clone().import_messages(call(&request)?, given);
        Ok(Response::new(steps(importing.await.map_err(status)?, transfer::imported)))
    }

    type StartEpochStream = Steps<v1::StartEpochResponse>;

    async fn start_epoch(
        &self,
        request: Request<v1::StartEpochRequest>,
    ) -> Result<Response<Self::StartEpochStream>, Status> {
        let admin = self.admin(&request).await?;
        let whose = request.into_inner().whose.and_then(epochs::whose);
        let renumbering = admin.start_epoch(whose).await.map_err(status)?;
        Ok(Response::new(steps(renumbering.into_stream(), epochs::progress)))
    }

    async fn admin_send(
        &self,
        request: Request<v1::AdminSendRequest>,
    ) -> Result<Response<v1::AdminSendResponse>, Status> {
        let admin = self.admin(&request).await?;
        let sent = admin.send(send::decode(request.into_inner())).await.map_err(status)?;
        Ok(Response::new(v1::AdminSendResponse { sent: Some(encode_sent(&sent)) }))
    }

    async fn admin_send_batch(
        &self,
        request: Request<v1::AdminSendBatchRequest>,
    ) -> Result<Response<v1::AdminSendBatchResponse>, Status> {
        let admin = self.admin(&request).await?;
        let messages = request.into_inner().messages;
        let messages = messages.into_iter().map(|message| Ok(send::decode(message))).collect();
        let results = admin.send_batch(messages).await.map_err(status)?;
        let results = results.into_iter().map(send::result).collect();
        Ok(Response::new(v1::AdminSendBatchResponse { results }))
    }

    async fn create_broadcast(
        &self,
        request: Request<v1::CreateBroadcastRequest>,
    ) -> Result<Response<v1::CreateBroadcastResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = broadcasts::decode(request.into_inner());
        let (made, duplicate) = admin.create_broadcast(asked).await.map_err(status)?;
        let broadcast = Some(broadcasts::broadcast(made));
        Ok(Response::new(v1::CreateBroadcastResponse { broadcast, duplicate }))
    }

    async fn list_broadcasts(
        &self,
        request: Request<v1::ListBroadcastsRequest>,
    ) -> Result<Response<v1::ListBroadcastsResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let state = convert::state_filter(asked.state, BroadcastState::from_number);
        let state = state.map_err(status)?;
        let since = convert::time_if_given("since", asked.since).map_err(status)?;
        let page = admin
            .list_broadcasts(state, since, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListBroadcastsResponse {
            broadcasts: page.items.into_iter().map(broadcasts::broadcast).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn get_broadcast(
        &self,
        request: Request<v1::GetBroadcastRequest>,
    ) -> Result<Response<v1::GetBroadcastResponse>, Status> {
        let admin = self.admin(&request).await?;
        let found = admin.get_broadcast(&request.get_ref().broadcast_id).await.map_err(status)?;
        let broadcast = Some(broadcasts::broadcast(found));
        Ok(Response::new(v1::GetBroadcastResponse { broadcast }))
    }

    async fn pause_broadcast(
        &self,
        request: Request<v1::PauseBroadcastRequest>,
    ) -> Result<Response<v1::PauseBroadcastResponse>, Status> {
        let admin = self.admin(&request).await?;
        let paused = admin.pause_broadcast(&request.get_ref().broadcast_id).await;
        let broadcast = Some(broadcasts::broadcast(paused.map_err(status)?));
        Ok(Response::new(v1::PauseBroadcastResponse { broadcast }))
    }

    async fn resume_broadcast(
        &self,
        request: Request<v1::ResumeBroadcastRequest>,
    ) -> Result<Response<v1::ResumeBroadcastResponse>, Status> {
        let admin = self.admin(&request).await?;
        let resumed = admin.resume_broadcast(&request.get_ref().broadcast_id).await;
        let broadcast = Some(broadcasts::broadcast(resumed.map_err(status)?));
        Ok(Response::new(v1::ResumeBroadcastResponse { broadcast }))
    }

    async fn abort_broadcast(
        &self,
        request: Request<v1::AbortBroadcastRequest>,
    ) -> Result<Response<v1::AbortBroadcastResponse>, Status> {
        let admin = self.admin(&request).await?;
        let aborted = admin.abort_broadcast(&request.get_ref().broadcast_id).await;
        let broadcast = Some(broadcasts::broadcast(aborted.map_err(status)?));
        Ok(Response::new(v1::AbortBroadcastResponse { broadcast }))
    }

    async fn admin_list_groups(
        &self,
        request: Request<v1::AdminListGroupsRequest>,
    ) -> Result<Response<v1::AdminListGroupsResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let since = convert::time_if_given("since", asked.since).map_err(status)?;
        let page = admin
            .list_groups(&asked.user_id, since, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::AdminListGroupsResponse {
            groups: page.items.into_iter().map(groups::group).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn admin_get_group(
        &self,
        request: Request<v1::AdminGetGroupRequest>,
    ) -> Result<Response<v1::AdminGetGroupResponse>, Status> {
        let admin = self.admin(&request).await?;
        let found = admin.get_group(&request.get_ref().group_id).await.map_err(status)?;
        Ok(Response::new(v1::AdminGetGroupResponse { group: Some(groups::group(found)) }))
    }

    async fn admin_create_group(
        &self,
        request: Request<v1::AdminCreateGroupRequest>,
    ) -> Result<Response<v1::AdminCreateGroupResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let create = group::create(asked.group.unwrap_or_default());
        let made = admin.create_group(&asked.owner_id, create).await.map_err(status)?;
        Ok(Response::new(v1::AdminCreateGroupResponse { group: Some(groups::group(made)) }))
    }

    async fn admin_update_group(
        &self,
        request: Request<v1::AdminUpdateGroupRequest>,
    ) -> Result<Response<v1::AdminUpdateGroupResponse>, Status> {
        let admin = self.admin(&request).await?;
        let (group_id, change) = group::change(request.into_inner().group.unwrap_or_default());
        let changed = admin.change_group(&group_id, change).await.map_err(status)?;
        Ok(Response::new(v1::AdminUpdateGroupResponse { group: Some(groups::group(changed)) }))
    }

    async fn admin_dissolve_group(
        &self,
        request: Request<v1::AdminDissolveGroupRequest>,
    ) -> Result<Response<v1::AdminDissolveGroupResponse>, Status> {
        let admin = self.admin(&request).await?;
        admin.dissolve_group(&request.get_ref().group_id).await.map_err(status)?;
        Ok(Response::new(v1::AdminDissolveGroupResponse {}))
    }

    async fn admin_list_group_members(
        &self,
        request: Request<v1::AdminListGroupMembersRequest>,
    ) -> Result<Response<v1::AdminListGroupMembersResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let page = admin
            .list_group_members(&asked.group_id, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::AdminListGroupMembersResponse {
            members: page.items.into_iter().map(group::member).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn admin_add_group_members(
        &self,
        request: Request<v1::AdminAddGroupMembersRequest>,
    ) -> Result<Response<v1::AdminAddGroupMembersResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let added = admin.add_group_members(&asked.group_id, &asked.user_ids).await;
        let added = added.map_err(status)?.iter().map(ToString::to_string).collect();
        Ok(Response::new(v1::AdminAddGroupMembersResponse { added }))
    }

    async fn admin_remove_group_member(
        &self,
        request: Request<v1::AdminRemoveGroupMemberRequest>,
    ) -> Result<Response<v1::AdminRemoveGroupMemberResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        admin.remove_group_member(&asked.group_id, &asked.user_id).await.map_err(status)?;
        Ok(Response::new(v1::AdminRemoveGroupMemberResponse {}))
    }

    async fn admin_update_group_member(
        &self,
        request: Request<v1::AdminUpdateGroupMemberRequest>,
    ) -> Result<Response<v1::AdminUpdateGroupMemberResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.into_inner().member.unwrap_or_default();
        let settings = group::member_settings(&asked).map_err(status)?;
        let changed = admin.set_group_member(&asked.group_id, &asked.user_id, settings).await;
        changed.map_err(status)?;
        Ok(Response::new(v1::AdminUpdateGroupMemberResponse {}))
    }

    async fn list_webhooks(
        &self,
        request: Request<v1::ListWebhooksRequest>,
    ) -> Result<Response<v1::ListWebhooksResponse>, Status> {
        let known = self.admin(&request).await?.list_webhooks().await.map_err(status)?;
        let webhooks = known.iter().map(webhooks::webhook).collect();
        Ok(Response::new(v1::ListWebhooksResponse { webhooks }))
    }

    async fn create_webhook(
        &self,
        request: Request<v1::CreateWebhookRequest>,
    ) -> Result<Response<v1::CreateWebhookResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let filter = asked.filter.as_ref().map(webhooks::filter).transpose().map_err(status)?;
        let filter = filter.unwrap_or_default();
        let (made, secret) = admin
            .create_webhook(&asked.url, &asked.description, &asked.kinds, filter, &asked.secret)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::CreateWebhookResponse {
            webhook: Some(webhooks::webhook(&made)),
            secret: secret.expose_secret().to_owned(),
        }))
    }

    async fn get_webhook(
        &self,
        request: Request<v1::GetWebhookRequest>,
    ) -> Result<Response<v1::GetWebhookResponse>, Status> {
        let admin = self.admin(&request).await?;
        let found = admin.get_webhook(&request.get_ref().webhook_id).await.map_err(status)?;
        let webhook = Some(webhooks::webhook(&found));
        Ok(Response::new(v1::GetWebhookResponse { webhook }))
    }

    async fn update_webhook(
        &self,
        request: Request<v1::UpdateWebhookRequest>,
    ) -> Result<Response<v1::UpdateWebhookResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let kinds = Some(&asked.kinds[..]).filter(|kinds| !kinds.is_empty());
        let filter = asked.filter.as_ref().map(webhooks::filter).transpose().map_err(status)?;
        let (id, url) = (&asked.webhook_id, asked.url.as_deref());
        let changed = admin
            .update_webhook(id, url, asked.description, kinds, filter)
            .await
            .map_err(status)?;
        let webhook = Some(webhooks::webhook(&changed));
        Ok(Response::new(v1::UpdateWebhookResponse { webhook }))
    }

    async fn delete_webhook(
        &self,
        request: Request<v1::DeleteWebhookRequest>,
    ) -> Result<Response<v1::DeleteWebhookResponse>, Status> {
        let admin = self.admin(&request).await?;
        admin.delete_webhook(&request.get_ref().webhook_id).await.map_err(status)?;
        Ok(Response::new(v1::DeleteWebhookResponse {}))
    }

    async fn test_webhook(
        &self,
        request: Request<v1::TestWebhookRequest>,
    ) -> Result<Response<v1::TestWebhookResponse>, Status> {
        let admin = self.admin(&request).await?;
        let tested = admin.test_webhook(&request.get_ref().webhook_id).await.map_err(status)?;
        Ok(Response::new(webhooks::test(tested)))
    }

    async fn pause_webhook(
        &self,
        request: Request<v1::PauseWebhookRequest>,
    ) -> Result<Response<v1::PauseWebhookResponse>, Status> {
        let admin = self.admin(&request).await?;
        let paused = admin.pause_webhook(&request.get_ref().webhook_id).await.map_err(status)?;
        let webhook = Some(webhooks::webhook(&paused));
        Ok(Response::new(v1::PauseWebhookResponse { webhook }))
    }

    async fn resume_webhook(
        &self,
        request: Request<v1::ResumeWebhookRequest>,
    ) -> Result<Response<v1::ResumeWebhookResponse>, Status> {
        let admin = self.admin(&request).await?;
        let resumed = admin.resume_webhook(&request.get_ref().webhook_id).await.map_err(status)?;
        let webhook = Some(webhooks::webhook(&resumed));
        Ok(Response::new(v1::ResumeWebhookResponse { webhook }))
    }

    async fn replay_webhook(
        &self,
        request: Request<v1::ReplayWebhookRequest>,
    ) -> Result<Response<v1::ReplayWebhookResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let from = asked.from.map(|from| convert::time("from", from)).transpose();
        let from = from.map_err(status)?;
        let events = admin.replay_webhook(&asked.webhook_id, from).await.map_err(status)?;
        Ok(Response::new(v1::ReplayWebhookResponse { events }))
    }

    async fn get_load(
        &self,
        request: Request<v1::GetLoadRequest>,
    ) -> Result<Response<v1::GetLoadResponse>, Status> {
        let load = self.admin(&request).await?.load().map_err(status)?;
        Ok(Response::new(cluster::load(load)))
    }

    type TailEventsStream = Steps<v1::TailEventsResponse>;

    async fn tail_events(
        &self,
        request: Request<v1::TailEventsRequest>,
    ) -> Result<Response<Self::TailEventsStream>, Status> {
        let admin = self.admin(&request).await?;
        let events = admin.tail_events(request.get_ref().seconds).await.map_err(status)?;
        Ok(Response::new(steps(events, cluster::security_event)))
    }

    type TailTimelineStream = Steps<v1::TailTimelineResponse>;

    async fn tail_timeline(
        &self,
        request: Request<v1::TailTimelineRequest>,
    ) -> Result<Response<Self::TailTimelineStream>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let entries = admin.tail_timeline(&asked.user_id, asked.seconds).await.map_err(status)?;
        let entry = |entry| v1::TailTimelineResponse { entry: Some(convert::entry(&entry)) };
        Ok(Response::new(steps(entries, entry)))
    }

    type TailWebhookStream = Steps<v1::TailWebhookResponse>;

    async fn tail_webhook(
        &self,
        request: Request<v1::TailWebhookRequest>,
    ) -> Result<Response<Self::TailWebhookStream>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let tail = admin.tail_webhook(&asked.webhook_id, asked.seconds).await.map_err(status)?;
        Ok(Response::new(steps(tail.into_stream(), webhooks::tailed)))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<v1::RotateWebhookSecretRequest>,
    ) -> Result<Response<v1::RotateWebhookSecretResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let rotated = admin.rotate_webhook_secret(&asked.webhook_id, &asked.secret).await;
        let (webhook, secret) = rotated.map_err(status)?;
        Ok(Response::new(v1::RotateWebhookSecretResponse {
            webhook: Some(webhooks::webhook(&webhook)),
            secret: secret.expose_secret().to_owned(),
        }))
    }

    async fn admin_list_contacts(
        &self,
        request: Request<v1::AdminListContactsRequest>,
    ) -> Result<Response<v1::AdminListContactsResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let (state, size) = (contact::state(asked.state()), asked.page_size);
        let page = admin.list_contacts(&asked.user_id, state, size, &asked.page_token).await;
        let page = page.map_err(status)?;
        Ok(Response::new(v1::AdminListContactsResponse {
            contacts: page.items.into_iter().map(contact::contact).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }
}
