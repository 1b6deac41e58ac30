//! Administration, which speaks gRPC alone.

use std::net::SocketAddr;

use imd_proto::v1::{self, admin_service_client::AdminServiceClient, kick_sessions_request::Which};
use tonic::{
    Request, Response, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use super::{failure::Failure, grpc};

type Result<T> = std::result::Result<T, Failure>;

/// Adds the admin key to each call.
#[derive(Clone)]
pub(crate) struct Key(String);

impl Interceptor for Key {
    fn call(&mut self, request: Request<()>) -> std::result::Result<Request<()>, Status> {
        let (mut metadata, extensions, message) = request.into_parts();
        metadata.insert("authorization", format!("Bearer {}", self.0).parse().expect("ASCII"));
        Ok(Request::from_parts(metadata, extensions, message))
    }
}

/// An administrator.
#[derive(Clone)]
pub(crate) struct Admin(AdminServiceClient<InterceptedService<Channel, Key>>);

fn answer<T>(response: std::result::Result<Response<T>, Status>) -> Result<T> {
    Ok(response?.into_inner())
}

impl Admin {
    pub(crate) fn new(address: SocketAddr, key: &str) -> Self {
        let channel = grpc::channel(address);
        Self(AdminServiceClient::with_interceptor(channel, Key(key.to_owned())))
    }

    pub(crate) async fn create_user(&self, user_id: &str, password: &str) -> Result<v1::User> {
        let request =
            v1::CreateUserRequest { user_id: user_id.to_owned(), password: password.to_owned() };
        let created = answer(self.0.clone().create_user(request).await)?;
        Ok(created.user.expect("the new user"))
    }

    pub(crate) async fn user(&self, user_id: &str) -> Result<v1::User> {
        let request = v1::GetUserRequest { user_id: user_id.to_owned() };
        Ok(answer(self.0.clone().get_user(request).await)?.user.expect("the user"))
    }

    pub(crate) async fn users(&self, size: i32, token: &str) -> Result<v1::ListUsersResponse> {
        let request = v1::ListUsersRequest { page_size: size, page_token: token.to_owned() };
        answer(self.0.clone().list_users(request).await)
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

    pub(crate) async fn status(&self) -> Result<v1::GetStatusResponse> {
        answer(self.0.clone().get_status(v1::GetStatusRequest {}).await)
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
        };
        answer(self.0.clone().list_audit_records(request).await)
    }
}
