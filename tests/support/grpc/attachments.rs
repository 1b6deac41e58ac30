//! Files of messages.

use imd_proto::v1::{self, attachment_service_client::AttachmentServiceClient};

use super::{Grpc, at, with_bearer};
use crate::support::{
    api::Result,
    types::{Attachment, FileCall, FileRequest},
};

impl Grpc {
    pub(super) async fn new_attachment(
        &self,
        token: &str,
        file: &FileCall,
    ) -> Result<(String, FileRequest)> {
        let FileCall { file_name, content_type, size, sha256 } = file.clone();
        let request = v1::CreateAttachmentRequest { file_name, content_type, size, sha256 };
        let mut client = AttachmentServiceClient::new(self.channel.clone());
        let created = client.create_attachment(with_bearer(token, request)).await?.into_inner();
        Ok((created.attachment_id, created.upload.expect("a request").into()))
    }

    pub(super) async fn link_to_attachment(
        &self,
        token: &str,
        message_id: &str,
        attachment_id: &str,
    ) -> Result<FileRequest> {
        let request = v1::GetAttachmentLinkRequest {
            message_id: message_id.to_owned(),
            attachment_id: attachment_id.to_owned(),
        };
        let mut client = AttachmentServiceClient::new(self.channel.clone());
        let link = client.get_attachment_link(with_bearer(token, request)).await?.into_inner();
        Ok(link.download.expect("a request").into())
    }
}

impl From<v1::AttachmentRequest> for FileRequest {
    fn from(request: v1::AttachmentRequest) -> Self {
        let v1::AttachmentRequest { method, url, headers, expires_at } = request;
        Self { method, url, headers: headers.into_iter().collect(), expires_at: at(expires_at) }
    }
}

impl From<v1::Attachment> for Attachment {
    fn from(attachment: v1::Attachment) -> Self {
        let v1::Attachment { attachment_id, file_name, content_type, size, sha256 } = attachment;
        Self { attachment_id, file_name, content_type, size, sha256 }
    }
}
