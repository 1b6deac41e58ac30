//! Attachments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::model;

/// An attachment that is to be uploaded.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "file_name": "oslo.jpg", "content_type": "image/jpeg", "size": 48_213 })))]
pub(crate) struct CreateAttachmentRequest {
    /// The name of the file without a path. No slashes, control characters, or characters that change the direction of
    /// writing.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 255)]
    pub(in crate::rest) file_name: String,
    /// A media type.
    #[serde(default)]
    #[schema(required = true, max_length = 127)]
    pub(in crate::rest) content_type: String,
    /// Exactly how many bytes it has.
    #[serde(default)]
    #[schema(required = true, minimum = 1)]
    pub(in crate::rest) size: i64,
    /// The SHA-256 of its bytes in hexadecimal digits; empty for none. Readers find it with the message and can compare. An
    /// upload to this server with another SHA-256 is refused; a bucket does not look.
    #[serde(default)]
    #[schema(required = false, pattern = "^([0-9A-Fa-f]{64})?$")]
    pub(in crate::rest) sha256: String,
}

/// An attachment that was created.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedAttachment {
    /// What a message names it by.
    attachment_id: Uuid,
    /// How to upload it.
    upload: AttachmentRequest,
}

/// A link to an attachment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttachmentLink {
    /// How to download it.
    download: AttachmentRequest,
}

/// An HTTP request that a client makes.
#[derive(Debug, Serialize, ToSchema)]
struct AttachmentRequest {
    /// `PUT` or `GET`.
    method: &'static str,
    /// Where to. A URL that begins with `/` is of this server.
    url: String,
    /// The headers that the request must have.
    headers: BTreeMap<&'static str, String>,
    /// Until when the request can be made.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// An attachment of a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attachment {
    attachment_id: Uuid,
    /// The name of the file, as its sender said.
    file_name: String,
    /// A media type, as its sender said.
    content_type: String,
    /// Bytes.
    #[schema(minimum = 1)]
    size: i64,
    /// The SHA-256 of its bytes. Absent where its sender has not said.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    sha256: String,
}

impl Attachment {
    pub(in crate::rest) fn list(attachments: &[model::Attachment]) -> Vec<Self> {
        attachments.iter().map(Into::into).collect()
    }
}

impl From<&model::Attachment> for Attachment {
    fn from(attachment: &model::Attachment) -> Self {
        Self {
            attachment_id: attachment.attachment_id,
            file_name: attachment.file_name.clone(),
            content_type: attachment.content_type.clone(),
            size: attachment.size,
            sha256: attachment.sha256.clone(),
        }
    }
}

impl From<model::AttachmentRequest> for AttachmentRequest {
    fn from(request: model::AttachmentRequest) -> Self {
        Self {
            method: request.method,
            url: request.url,
            headers: request.headers.into_iter().collect(),
            expires_at: request.expires_at,
        }
    }
}

impl From<(Uuid, model::AttachmentRequest)> for CreatedAttachment {
    fn from((attachment_id, upload): (Uuid, model::AttachmentRequest)) -> Self {
        Self { attachment_id, upload: upload.into() }
    }
}

impl From<model::AttachmentRequest> for AttachmentLink {
    fn from(request: model::AttachmentRequest) -> Self {
        Self { download: request.into() }
    }
}
