//! `AdminService`.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use imd_proto::v1;
use secrecy::ExposeSecret;
use tonic::{Request, Response, Status, Streaming, async_trait, metadata::MetadataValue};

use super::{
    bearer,
    convert::{self, timestamp},
    keys, retention,
    status::status,
    terminals, trace, transfer,
};
use crate::{
    model::{Error, Result as ServiceResult, Role, UserState},
    service::{
        Admin, AdminCall, AdminKey, AdminSession, AuditRecord, DeletionProgress, Kick,
        NewUserLimits, Node, Progress, Service, SessionQuery, SessionState, User, Whose,
    },
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
        Ok(Response::new(v1::CreateUserResponse { user: Some(user(&created)) }))
    }

    async fn list_users(
        &self,
        request: Request<v1::ListUsersRequest>,
    ) -> Result<Response<v1::ListUsersResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let page = admin.list_users(asked.page_size, &asked.page_token).await.map_err(status)?;
        Ok(Response::new(v1::ListUsersResponse {
            users: page.items.iter().map(user).collect(),
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
        Ok(Response::new(v1::GetUserResponse { user: Some(user(&found)) }))
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
        Ok(Response::new(v1::EnableUserResponse { user: Some(user(&enabled)) }))
    }

    async fn set_user_limits(
        &self,
        request: Request<v1::SetUserLimitsRequest>,
    ) -> Result<Response<v1::SetUserLimitsResponse>, Status> {
        use v1::set_user_limits_request::Limits;
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let limits = match asked.limits {
            Some(Limits::Tier(name)) => Some(NewUserLimits::Tier(name)),
            Some(Limits::Override(own)) => Some(NewUserLimits::Override {
                max_age: own
                    .max_age
                    .map(|age| retention::duration("override.max_age", age))
                    .transpose()?,
                max_messages: own.max_messages,
            }),
            None => None,
        };
        let changed = admin.set_user_limits(&asked.user_id, limits).await.map_err(status)?;
        Ok(Response::new(v1::SetUserLimitsResponse { user: Some(user(&changed)) }))
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
        let tiers = retention::new_tiers(request.into_inner().tiers)?;
        let effects = admin.preview_tiers(tiers).await.map_err(status)?;
        Ok(Response::new(v1::PreviewTiersResponse { effects: retention::effects(&effects) }))
    }

    async fn apply_tiers(
        &self,
        request: Request<v1::ApplyTiersRequest>,
    ) -> Result<Response<v1::ApplyTiersResponse>, Status> {
        let admin = self.admin(&request).await?;
        let tiers = retention::new_tiers(request.into_inner().tiers)?;
        let applied = admin.apply_tiers(tiers).await.map_err(status)?;
        Ok(Response::new(v1::ApplyTiersResponse { tiers: retention::tiers(&applied) }))
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

    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let state = match asked.state() {
            v1::SessionState::Unspecified => None,
            v1::SessionState::Online => Some(SessionState::Online),
            v1::SessionState::Offline => Some(SessionState::Offline),
            v1::SessionState::Ended => Some(SessionState::Ended),
        };
        let query =
            SessionQuery { user_id: asked.user_id, terminal_type: asked.terminal_type, state };
        let page =
            admin.list_sessions(query, asked.page_size, &asked.page_token).await.map_err(status)?;
        Ok(Response::new(v1::ListSessionsResponse {
            sessions: page.items.iter().map(session).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn kick_sessions(
        &self,
        request: Request<v1::KickSessionsRequest>,
    ) -> Result<Response<v1::KickSessionsResponse>, Status> {
        use v1::kick_sessions_request::Which;
        let admin = self.admin(&request).await?;
        let asked = request.into_inner();
        let which = match asked.which {
            Some(Which::SessionId(id)) => Some(Kick::Session(id)),
            Some(Which::TerminalType(name)) => Some(Kick::TerminalType(name)),
            Some(Which::All(true)) => Some(Kick::All),
            Some(Which::All(false)) | None => None,
        };
        let ended = admin.kick_sessions(&asked.user_id, which, asked.note).await.map_err(status)?;
        Ok(Response::new(v1::KickSessionsResponse { ended: convert::sessions(&ended) }))
    }

    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let cluster = self.admin(&request).await?.status().await.map_err(status)?;
        Ok(Response::new(v1::GetStatusResponse {
            version: cluster.version.to_owned(),
            node_id: cluster.node_id,
            nodes: cluster.nodes.iter().map(node).collect(),
            users: cluster.status.users,
            live_sessions: cluster.status.live_sessions,
            online_sessions: cluster.status.online_sessions,
            entries: cluster.status.entries,
            database_bytes: cluster.status.database_bytes,
            postgres_version: cluster.status.postgres_version,
        }))
    }

    async fn list_audit_records(
        &self,
        request: Request<v1::ListAuditRecordsRequest>,
    ) -> Result<Response<v1::ListAuditRecordsResponse>, Status> {
        let admin = self.admin(&request).await?;
        let asked = request.get_ref();
        let page = admin
            .list_audit_records(&asked.user_id, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListAuditRecordsResponse {
            records: page.items.into_iter().map(audit_record).collect(),
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
            key: Some(admin_key(key)),
            secret: secret.expose_secret().to_owned(),
        }))
    }

    async fn list_admin_keys(
        &self,
        request: Request<v1::ListAdminKeysRequest>,
    ) -> Result<Response<v1::ListAdminKeysResponse>, Status> {
        let keys = self.admin(&request).await?.list_admin_keys().await.map_err(status)?;
        let keys = keys.into_iter().map(admin_key).collect();
        Ok(Response::new(v1::ListAdminKeysResponse { keys }))
    }

    async fn revoke_admin_key(
        &self,
        request: Request<v1::RevokeAdminKeyRequest>,
    ) -> Result<Response<v1::RevokeAdminKeyResponse>, Status> {
        let admin = self.admin(&request).await?;
        let revoked = admin.revoke_admin_key(&request.get_ref().name).await.map_err(status)?;
        Ok(Response::new(v1::RevokeAdminKeyResponse { key: Some(admin_key(revoked)) }))
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

    type DeleteUserStream = Steps<v1::DeleteUserResponse>;

    async fn delete_user(
        &self,
        request: Request<v1::DeleteUserRequest>,
    ) -> Result<Response<Self::DeleteUserStream>, Status> {
        let (call, asked) = (call(&request)?, request.get_ref());
        let deleting =
            self.0.clone().delete_user(call, &asked.user_id, asked.erase_sent, &asked.note);
        let progress = deleting.await.map_err(status)?;
        Ok(Response::new(steps(progress, |progress| deletion(&progress))))
    }

    type ExportMessagesStream = Steps<v1::ExportMessagesResponse>;

    async fn export_messages(
        &self,
        request: Request<v1::ExportMessagesRequest>,
    ) -> Result<Response<Self::ExportMessagesStream>, Status> {
        let (call, asked) = (call(&request)?, request.get_ref());
        let since = asked.since.map(|at| transfer::time("since", at));
        let since = since.transpose().map_err(status)?;
        let exporting = self.0.clone().export_messages(call, &asked.user_id, since);
        Ok(Response::new(steps(exporting.await.map_err(status)?, transfer::exported)))
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
        use v1::start_epoch_request::Whose as Asked;
        let admin = self.admin(&request).await?;
        let whose = match request.into_inner().whose {
            Some(Asked::UserId(id)) => Some(Whose::User(id)),
            Some(Asked::All(true)) => Some(Whose::All),
            Some(Asked::All(false)) | None => None,
        };
        let epochs = admin.start_epoch(whose).await.map_err(status)?;
        let answer = |Progress { done, total }| v1::StartEpochResponse { done, total };
        Ok(Response::new(steps(epochs.into_stream(), answer)))
    }
}

fn admin_key(key: AdminKey) -> v1::AdminKey {
    v1::AdminKey {
        name: key.name,
        // The numbers are the contract's.
        role: key.role as i32,
        created_at: Some(timestamp(key.created_at)),
        created_by: key.created_by,
        revoked_at: key.revoked_at.map(timestamp),
    }
}

fn user(user: &User) -> v1::User {
    let state = match user.state {
        UserState::Active => v1::UserState::Active,
        UserState::Disabled => v1::UserState::Disabled,
        UserState::Deleted => v1::UserState::Deleted,
    };
    v1::User {
        user_id: user.user_id.to_string(),
        state: state.into(),
        created_at: Some(timestamp(user.created_at)),
        live_sessions: i32::try_from(user.live_sessions).unwrap_or(i32::MAX),
        online_sessions: i32::try_from(user.online_sessions).unwrap_or(i32::MAX),
        last_seq: user.last_seq,
        last_at: user.last_at.map(timestamp),
        deleted_at: user.deleted_at.map(timestamp),
        retention: Some(convert::retention(&user.retention)),
        name: user.name.clone(),
    }
}

pub(super) fn session(listed: &AdminSession) -> v1::AdminSession {
    let state = match listed.state() {
        SessionState::Online => v1::SessionState::Online,
        SessionState::Offline => v1::SessionState::Offline,
        SessionState::Ended => v1::SessionState::Ended,
    };
    v1::AdminSession {
        user_id: listed.user_id.to_string(),
        session: Some(convert::session(&listed.session, None)),
        state: state.into(),
        nodes: listed.nodes.clone(),
        cursor: listed.cursor.map(|cursor| cursor.to_string()).unwrap_or_default(),
        lag: listed.lag,
    }
}

fn node(node: &Node) -> v1::Node {
    v1::Node {
        node_id: node.node_id.clone(),
        started_at: Some(timestamp(node.started_at)),
        heartbeat_at: Some(timestamp(node.heartbeat_at)),
        alive: node.alive,
        version: node.version.clone(),
        streams: node.streams,
    }
}

fn deletion(progress: &DeletionProgress) -> v1::DeleteUserResponse {
    v1::DeleteUserResponse {
        ended: convert::sessions(&progress.ended),
        entries: progress.entries,
        entries_total: progress.entries_total,
        peers: progress.peers,
        peers_total: progress.peers_total,
    }
}

fn audit_record(record: AuditRecord) -> v1::AuditRecord {
    v1::AuditRecord {
        audit_no: record.audit_no,
        at: Some(timestamp(record.at)),
        actor: record.actor,
        action: record.action,
        user_id: record.user_id.map(|id| id.to_string()).unwrap_or_default(),
        details: record.details.to_string(),
        reason: record.reason,
        address: record.address.map(|address| address.to_string()).unwrap_or_default(),
    }
}
