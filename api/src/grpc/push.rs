//! `PushService`.

use std::sync::Arc;

use imd_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::{bearer, status::status};
use crate::{
    model::{Error, PushContent, QuietHours},
    service::{Service, SetPush, SetQuietHours},
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
            quiet_hours: state.quiet_hours.map(|hours| v1::QuietHours {
                from: QuietHours::text(hours.from),
                to: QuietHours::text(hours.to),
                time_zone: hours.time_zone,
            }),
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

    async fn set_quiet_hours(
        &self,
        request: Request<v1::SetQuietHoursRequest>,
    ) -> Result<Response<v1::SetQuietHoursResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let v1::QuietHours { from, to, time_zone } = asked.quiet_hours.unwrap_or_default();
        let hours = SetQuietHours { from, to, time_zone };
        self.0.set_quiet_hours(bearer(&metadata), hours).await.map_err(status)?;
        Ok(Response::new(v1::SetQuietHoursResponse {}))
    }

    async fn remove_quiet_hours(
        &self,
        request: Request<v1::RemoveQuietHoursRequest>,
    ) -> Result<Response<v1::RemoveQuietHoursResponse>, Status> {
        self.0.remove_quiet_hours(bearer(request.metadata())).await.map_err(status)?;
        Ok(Response::new(v1::RemoveQuietHoursResponse {}))
    }
}
