//! Attachments.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    model::{self, Page},
    rest::types::{Attachment, UserId},
};

/// A page of attachments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoredAttachmentList {
    /// The newest first.
    attachments: Vec<StoredAttachment>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// An attachment, and what has become of it.
#[derive(Debug, Serialize, ToSchema)]
struct StoredAttachment {
    #[serde(flatten)]
    attachment: Attachment,
    /// Who created it.
    user_id: UserId,
    /// What has become of it.
    state: AttachmentState,
    /// How many copies of messages have it, and messages that are to be sent later; a message of a group counts once.
    #[schema(minimum = 0)]
    uses: i64,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// What has become of an attachment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum AttachmentState {
    /// It was created, and not uploaded yet.
    Waiting,
    /// It was uploaded.
    Stored,
    /// No message has it any more; its bytes are about to be deleted.
    Deleting,
}

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PurgedAttachments {
    /// How many attachments.
    #[schema(minimum = 0)]
    attachments: i64,
    /// Their bytes.
    #[schema(minimum = 0)]
    bytes: i64,
}

impl From<Page<model::StoredAttachment>> for StoredAttachmentList {
    fn from(page: Page<model::StoredAttachment>) -> Self {
        Self {
            attachments: page.items.iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<&model::StoredAttachment> for StoredAttachment {
    fn from(stored: &model::StoredAttachment) -> Self {
        Self {
            attachment: (&stored.attachment).into(),
            user_id: (&stored.owner).into(),
            state: stored.state.into(),
            uses: stored.uses,
            created_at: stored.created_at,
        }
    }
}

impl From<model::AttachmentState> for AttachmentState {
    fn from(state: model::AttachmentState) -> Self {
        match state {
            model::AttachmentState::Waiting => Self::Waiting,
            model::AttachmentState::Stored => Self::Stored,
            model::AttachmentState::Deleting => Self::Deleting,
        }
    }
}

impl From<AttachmentState> for model::AttachmentState {
    fn from(state: AttachmentState) -> Self {
        match state {
            AttachmentState::Waiting => Self::Waiting,
            AttachmentState::Stored => Self::Stored,
            AttachmentState::Deleting => Self::Deleting,
        }
    }
}

impl From<(i64, i64)> for PurgedAttachments {
    fn from((attachments, bytes): (i64, i64)) -> Self {
        Self { attachments, bytes }
    }
}
