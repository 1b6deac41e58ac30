//! `AuthService`.

use std::sync::Arc;

use imd_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::{bearer, convert, status::status};
use crate::service::{Credential, Login, Service};

pub(super) struct Auth(pub(super) Arc<Service>);

#[async_trait]
impl v1::auth_service_server::AuthService for Auth {
    async fn login(
        &self,
        request: Request<v1::LoginRequest>,
    ) -> Result<Response<v1::LoginResponse>, Status> {
        let address = request.extensions().get().copied();
        let request = request.into_inner();
        let if_occupied = convert::if_occupied(request.if_occupied());
        let terminal = request.terminal.unwrap_or_default();
        let credential = request.credential.map(|credential| match credential {
            v1::login_request::Credential::Password(password) => Credential::Password(password),
            v1::login_request::Credential::Assertion(token) => Credential::Assertion(token),
        });
        let login = Login {
            user_id: request.user_id,
            credential,
            terminal_type: terminal.r#type,
            device_id: terminal.device_id,
            device_name: terminal.device_name,
            if_occupied,
            address,
        };
        let logged_in = self.0.login(login).await.map_err(status)?;
        Ok(Response::new(v1::LoginResponse {
            tokens: Some(convert::tokens(logged_in.tokens)),
            session: Some(convert::session(&logged_in.session, Some(logged_in.session.session_id))),
            replaced: convert::sessions(&logged_in.replaced),
        }))
    }

    async fn refresh(
        &self,
        request: Request<v1::RefreshRequest>,
    ) -> Result<Response<v1::RefreshResponse>, Status> {
        let tokens = self.0.refresh(&request.get_ref().refresh_token).await.map_err(status)?;
        Ok(Response::new(v1::RefreshResponse { tokens: Some(convert::tokens(tokens)) }))
    }

    async fn logout(
        &self,
        request: Request<v1::LogoutRequest>,
    ) -> Result<Response<v1::LogoutResponse>, Status> {
        self.0.logout(bearer(request.metadata())).await.map_err(status)?;
        Ok(Response::new(v1::LogoutResponse {}))
    }

    async fn list_my_sessions(
        &self,
        request: Request<v1::ListMySessionsRequest>,
    ) -> Result<Response<v1::ListMySessionsResponse>, Status> {
        let (sessions, current) =
            self.0.list_my_sessions(bearer(request.metadata())).await.map_err(status)?;
        let sessions = sessions.iter().map(|s| convert::session(s, Some(current))).collect();
        Ok(Response::new(v1::ListMySessionsResponse { sessions }))
    }

    async fn end_my_session(
        &self,
        request: Request<v1::EndMySessionRequest>,
    ) -> Result<Response<v1::EndMySessionResponse>, Status> {
        let session_id = &request.get_ref().session_id;
        self.0.end_my_session(bearer(request.metadata()), session_id).await.map_err(status)?;
        Ok(Response::new(v1::EndMySessionResponse {}))
    }
}
