//! `AttachmentService`.

use std::sync::Arc;

use imd_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::{
    bearer,
    convert::{state_filter, time_if_given, timestamp},
    status::status,
};
use crate::{
    model::{Attachment, AttachmentRequest, AttachmentState, Error, Page, StoredAttachment},
    service::{AttachmentQuery, Service},
};

pub(super) struct Attachments(pub(super) Arc<Service>);

#[async_trait]
impl v1::attachment_service_server::AttachmentService for Attachments {
    async fn create_attachment(
        &self,
        request: Request<v1::CreateAttachmentRequest>,
    ) -> Result<Response<v1::CreateAttachmentResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let v1::CreateAttachmentRequest { file_name, content_type, size, sha256 } = asked;
        let token = bearer(&metadata);
        let created = self.0.create_attachment(token, file_name, content_type, size, &sha256).await;
        let (attachment_id, upload) = created.map_err(status)?;
        Ok(Response::new(v1::CreateAttachmentResponse {
            attachment_id: attachment_id.to_string(),
            upload: Some(encode(upload)),
        }))
    }

    async fn get_attachment_link(
        &self,
        request: Request<v1::GetAttachmentLinkRequest>,
    ) -> Result<Response<v1::GetAttachmentLinkResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let link = self.0.attachment_link(token, &asked.message_id, &asked.attachment_id).await;
        let download = Some(encode(link.map_err(status)?));
        Ok(Response::new(v1::GetAttachmentLinkResponse { download }))
    }
}

fn encode(request: AttachmentRequest) -> v1::AttachmentRequest {
    let headers = request.headers.into_iter();
    v1::AttachmentRequest {
        method: request.method.to_owned(),
        url: request.url,
        headers: headers.map(|(name, value)| (name.to_owned(), value)).collect(),
        expires_at: Some(timestamp(request.expires_at)),
    }
}

/// The attachments of a message.
pub(super) fn list(attachments: &[Attachment]) -> Vec<v1::Attachment> {
    attachments.iter().map(one).collect()
}

fn one(attachment: &Attachment) -> v1::Attachment {
    v1::Attachment {
        attachment_id: attachment.attachment_id.to_string(),
        file_name: attachment.file_name.clone(),
        content_type: attachment.content_type.clone(),
        size: attachment.size,
        sha256: attachment.sha256.clone(),
    }
}

/// Which attachments an administrator wants to see.
pub(super) fn query(asked: &v1::ListAttachmentsRequest) -> Result<AttachmentQuery, Error> {
    Ok(AttachmentQuery {
        user_id: asked.user_id.clone(),
        state: state_filter(asked.state, AttachmentState::from_number)?,
        since: time_if_given("since", asked.since)?,
    })
}

/// Attachments as administrators see them.
pub(super) fn page(page: Page<StoredAttachment>) -> v1::ListAttachmentsResponse {
    let stored = |stored: &StoredAttachment| v1::StoredAttachment {
        attachment: Some(one(&stored.attachment)),
        user_id: stored.owner.to_string(),
        // The numbers are the contract's.
        state: stored.state as i32,
        uses: stored.uses,
        created_at: Some(timestamp(stored.created_at)),
    };
    v1::ListAttachmentsResponse {
        attachments: page.items.iter().map(stored).collect(),
        next_page_token: page.next_page_token.unwrap_or_default(),
    }
}
