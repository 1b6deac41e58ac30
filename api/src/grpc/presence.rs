//! `PresenceService`.

use std::sync::Arc;

use imd_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::{bearer, convert, status::status};
use crate::service::Service;

pub(super) struct PresenceOfUsers(pub(super) Arc<Service>);

#[async_trait]
impl v1::presence_service_server::PresenceService for PresenceOfUsers {
    async fn get_presence(
        &self,
        request: Request<v1::GetPresenceRequest>,
    ) -> Result<Response<v1::GetPresenceResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let seen = self.0.presence(token, &asked.user_ids).await.map_err(status)?;
        let users = seen.iter().map(convert::presence).collect();
        Ok(Response::new(v1::GetPresenceResponse { users }))
    }

    async fn set_idle(
        &self,
        request: Request<v1::SetIdleRequest>,
    ) -> Result<Response<v1::SetIdleResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        self.0.set_idle(token, asked.idle).await.map_err(status)?;
        Ok(Response::new(v1::SetIdleResponse {}))
    }
}
