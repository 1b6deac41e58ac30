//! `InfoService`.

use std::sync::Arc;

use imd_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::{status::status, terminals::terminal_types};
use crate::service::Service;

pub(super) struct Info(pub(super) Arc<Service>);

#[async_trait]
impl v1::info_service_server::InfoService for Info {
    async fn get_info(
        &self,
        _: Request<v1::GetInfoRequest>,
    ) -> Result<Response<v1::GetInfoResponse>, Status> {
        let info = self.0.info().await.map_err(status)?;
        Ok(Response::new(v1::GetInfoResponse {
            version: info.version.to_owned(),
            terminal_types: terminal_types(info.terminal_types),
            max_body_bytes: i32::try_from(info.max_body_bytes).unwrap_or(i32::MAX),
            heartbeat_interval: i32::try_from(info.heartbeat.as_secs()).unwrap_or(i32::MAX),
            recall_window: i32::try_from(info.recall_window.as_secs()).unwrap_or(i32::MAX),
            edit_window: i32::try_from(info.edit_window.as_secs()).unwrap_or(i32::MAX),
            read_receipts: info.read_receipts,
            search: info.search,
            max_attachment_bytes: info.max_attachment_bytes,
        }))
    }
}
