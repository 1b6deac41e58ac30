//! Attachments.

use serde_json::json;
use uuid::Uuid;

use super::{Admin, list_size};
use crate::model::{Page, Result, Role, StoredAttachment, UserId};

impl Admin<'_> {
    /// The attachments that a user created, or all where no user is named, the newest first.
    pub async fn list_attachments(
        &self,
        user_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<StoredAttachment>> {
        self.require(Role::Support)?;
        let size = list_size(page_size)?;
        let store = &self.service.store;
        let owner = match user_id {
            "" => None,
            id => Some(store.user_no(&UserId::parse("user_id", id)?).await?),
        };
        let scope = format!("attachments/{:?}", owner.map(|no| no.0));
        let place = |carried: Vec<u8>| Uuid::from_slice(&carried).ok();
        let before = self.service.read_page_token(&scope, page_token, place)?;
        let mut items = store.list_attachments(owner, before, size.get() + 1).await?;
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
