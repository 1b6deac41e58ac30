//! `ScheduleService`.

use std::sync::Arc;

use imd_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::{bearer, convert, message::decode_send, status::status};
use crate::{
    model::{Error, ScheduledMessage},
    service::{Send as SendMessage, Service, UpdateScheduled},
};

pub(super) struct Schedule(pub(super) Arc<Service>);

#[async_trait]
impl v1::schedule_service_server::ScheduleService for Schedule {
    async fn schedule_message(
        &self,
        request: Request<v1::ScheduleMessageRequest>,
    ) -> Result<Response<v1::ScheduleMessageResponse>, Status> {
        let (metadata, extensions, asked) = request.into_parts();
        let message = decode_send(asked.message.unwrap_or_default());
        let message = SendMessage { address: extensions.get().copied(), ..message };
        let send_at = time(asked.send_at).map_err(status)?;
        let scheduled = self.0.schedule(bearer(&metadata), message, send_at).await;
        let (message, duplicate) = scheduled.map_err(status)?;
        let scheduled_message = Some(scheduled_message(&message));
        Ok(Response::new(v1::ScheduleMessageResponse { scheduled_message, duplicate }))
    }

    async fn update_scheduled_message(
        &self,
        request: Request<v1::UpdateScheduledMessageRequest>,
    ) -> Result<Response<v1::UpdateScheduledMessageResponse>, Status> {
        let (metadata, extensions, asked) = request.into_parts();
        let content = asked.content.map(convert::send_content);
        let send_at = time(asked.send_at).map_err(status)?;
        let update = UpdateScheduled { send_at, content, address: extensions.get().copied() };
        let id = &asked.client_message_id;
        let changed = self.0.change_scheduled(bearer(&metadata), id, update).await;
        let scheduled_message = Some(scheduled_message(&changed.map_err(status)?));
        Ok(Response::new(v1::UpdateScheduledMessageResponse { scheduled_message }))
    }

    async fn cancel_scheduled_message(
        &self,
        request: Request<v1::CancelScheduledMessageRequest>,
    ) -> Result<Response<v1::CancelScheduledMessageResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        self.0.cancel_scheduled(token, &asked.client_message_id).await.map_err(status)?;
        Ok(Response::new(v1::CancelScheduledMessageResponse {}))
    }

    async fn list_scheduled_messages(
        &self,
        request: Request<v1::ListScheduledMessagesRequest>,
    ) -> Result<Response<v1::ListScheduledMessagesResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let page = self.0.list_scheduled(token, asked.page_size, &asked.page_token).await;
        let page = page.map_err(status)?;
        Ok(Response::new(v1::ListScheduledMessagesResponse {
            scheduled_messages: page.items.iter().map(scheduled_message).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }
}

fn time(at: Option<prost_types::Timestamp>) -> Result<Option<time::OffsetDateTime>, Error> {
    at.map(|at| convert::time("send_at", at)).transpose()
}

fn scheduled_message(message: &ScheduledMessage) -> v1::ScheduledMessage {
    v1::ScheduledMessage {
        client_message_id: message.client_message_id.to_string(),
        conversation_id: message.conversation_id.to_string(),
        send_at: Some(convert::timestamp(message.send_at)),
        content: Some(convert::content(&message.content).into()),
        mentions: message.mentions.clone(),
        mention_all: message.mention_all,
        reply_to: message.reply_to.clone(),
        refusal: message.refusal.as_ref().map(convert::refusal),
        attachments: super::attachment::list(&message.attachments),
    }
}
