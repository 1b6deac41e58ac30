//! `BlockService`.

use std::sync::Arc;

use imd_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::{bearer, convert, status::status};
use crate::{model::BlockedUser, service::Service};

pub(super) struct Blocks(pub(super) Arc<Service>);

#[async_trait]
impl v1::block_service_server::BlockService for Blocks {
    async fn block_user(
        &self,
        request: Request<v1::BlockUserRequest>,
    ) -> Result<Response<v1::BlockUserResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        self.0.block_user(token, &asked.user_id).await.map_err(status)?;
        Ok(Response::new(v1::BlockUserResponse {}))
    }

    async fn unblock_user(
        &self,
        request: Request<v1::UnblockUserRequest>,
    ) -> Result<Response<v1::UnblockUserResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        self.0.unblock_user(token, &asked.user_id).await.map_err(status)?;
        Ok(Response::new(v1::UnblockUserResponse {}))
    }

    async fn list_blocked_users(
        &self,
        request: Request<v1::ListBlockedUsersRequest>,
    ) -> Result<Response<v1::ListBlockedUsersResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let page = self
            .0
            .list_blocked_users(token, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        let blocked_user = |user: BlockedUser| v1::BlockedUser {
            user_id: user.user_id.to_string(),
            blocked_at: Some(convert::timestamp(user.blocked_at)),
        };
        Ok(Response::new(v1::ListBlockedUsersResponse {
            blocked_users: page.items.into_iter().map(blocked_user).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }
}
