//! `PushService`.

use std::sync::Arc;

use imd_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::{bearer, status::status};
use crate::{
    model::{Error, PushContent},
    service::{Service, SetPush},
};

pub(super) struct PushOfTerminals(pub(super) Arc<Service>);

#[async_trait]
impl v1::push_service_server::PushService for PushOfTerminals {
    async fn get_push(
        &self,
        request: Request<v1::GetPushRequest>,
    ) -> Result<Response<v1::GetPushResponse>, Status> {
        let state = self.0.push(bearer(request.metadata())).await.map_err(status)?;
        Ok(Response::new(v1::GetPushResponse {
            providers: state.providers.iter().map(|p| p.name().to_owned()).collect(),
            web_push_key: state.web_push_key,
            provider: state.provider.map(|p| p.name().to_owned()).unwrap_or_default(),
        }))
    }

    async fn set_push(
        &self,
        request: Request<v1::SetPushRequest>,
    ) -> Result<Response<v1::SetPushResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let content = match v1::PushContent::try_from(asked.content) {
            Ok(v1::PushContent::Unspecified | v1::PushContent::Full) => PushContent::Full,
            Ok(v1::PushContent::Sender) => PushContent::Sender,
            Ok(v1::PushContent::Id) => PushContent::Id,
            Err(_) => {
                return Err(status(Error::invalid("content", "must be FULL, SENDER or ID")));
            }
        };
        let v1::SetPushRequest { provider, token, p256dh, auth, .. } = asked;
        let set = SetPush { provider, token, p256dh, auth, content };
        self.0.set_push(bearer(&metadata), set).await.map_err(status)?;
        Ok(Response::new(v1::SetPushResponse {}))
    }

    async fn remove_push(
        &self,
        request: Request<v1::RemovePushRequest>,
    ) -> Result<Response<v1::RemovePushResponse>, Status> {
        self.0.remove_push(bearer(request.metadata())).await.map_err(status)?;
        Ok(Response::new(v1::RemovePushResponse {}))
    }
}
