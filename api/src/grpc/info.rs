//! `InfoService`.

use std::sync::Arc;

use imd_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::status::status;
use crate::{model::TerminalType, service::Service};

pub(super) struct Info(pub(super) Arc<Service>);

#[async_trait]
impl v1::info_service_server::InfoService for Info {
    async fn get_info(
        &self,
        _: Request<v1::GetInfoRequest>,
    ) -> Result<Response<v1::GetInfoResponse>, Status> {
        let info = self.0.info().await.map_err(status)?;
        let terminal_type =
            |t: TerminalType| v1::TerminalType { name: t.name, session_limit: t.session_limit };
        Ok(Response::new(v1::GetInfoResponse {
            version: info.version.to_owned(),
            terminal_types: info.terminal_types.into_iter().map(terminal_type).collect(),
            max_body_bytes: i32::try_from(info.max_body_bytes).unwrap_or(i32::MAX),
            heartbeat_interval: i32::try_from(info.heartbeat.as_secs()).unwrap_or(i32::MAX),
            recall_window: i32::try_from(info.recall_window.as_secs()).unwrap_or(i32::MAX),
            read_receipts: info.read_receipts,
        }))
    }
}
