//! Attachments.

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Admin, list_size};
use crate::{
    model::{AttachmentState, Page, Result, Role, StoredAttachment},
    service::conversations::instant,
    store::AttachmentFilter,
};

/// Which attachments to list.
#[derive(Debug, Default)]
pub struct AttachmentQuery {
    /// Only those that this user created; empty for all.
    pub user_id: String,
    /// Only those in this state.
    pub state: Option<AttachmentState>,
    /// Only those created then or later.
    pub since: Option<OffsetDateTime>,
}

impl Admin<'_> {
    /// The attachments, the newest first.
    ///
    /// Errors: [`crate::model::Error::InvalidArgument`]; [`crate::model::Error::UserNotFound`].
    pub async fn list_attachments(
        &self,
        query: &AttachmentQuery,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<StoredAttachment>> {
        self.require(Role::Support)?;
        let size = list_size(page_size)?;
        let AttachmentQuery { user_id, state, since } = query;
        let owner = self.only_of(user_id).await?;
        let scope = format!("attachments/{owner:?}/{state:?}/{:?}", instant(*since));
        let place = |carried: Vec<u8>| Uuid::from_slice(&carried).ok();
        let before = self.service.read_page_token(&scope, page_token, place)?;
        let filter = AttachmentFilter { owner, state: *state, since: *since };
        let store = &self.service.store;
        let mut items = store.list_attachments(&filter, before, size.get() + 1).await?;
        let more = size.cut(&mut items);
        let last = items.last().filter(|_| more).map(|item| item.attachment.attachment_id);
        let next_page_token = last.map(|id| self.service.opaque_tokens.seal(&scope, id.as_bytes()));
        Ok(Page { items, next_page_token })
    }

    /// Deletes the attachments that no message has, without waiting for the day that those have which no message ever had:
    /// how many, and their bytes. Those of the last ten minutes stay.
    pub async fn purge_attachments(&self) -> Result<(i64, i64)> {
        self.require(Role::Admin)?;
        let store = &self.service.store;
        store.record(self.audit("purge_attachments", json!({}))).await?;
        store.hurry_unused_attachments().await?;
        self.service.collect_attachments().await
    }
}
