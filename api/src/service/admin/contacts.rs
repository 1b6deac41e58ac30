//! Everybody's contacts.

use super::Admin;
use crate::model::{Contact, ContactState, Page, Result, Role, UserId};

impl Admin<'_> {
    /// The contacts of a user, those whom it has asked, and those who ask; only those in `state`, where one
    /// is given. Without what the user calls them, which nobody else sees.
    ///
    /// Errors: [`crate::model::Error::InvalidArgument`]; [`crate::model::Error::UserNotFound`].
    pub async fn list_contacts(
        &self,
        user_id: &str,
        state: Option<ContactState>,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<Contact>> {
        self.require(Role::Viewer)?;
        let owner = self.service.store.user_no(&UserId::parse("user_id", user_id)?).await?;
        let mut page = self.service.contact_page(owner, state, page_size, page_token).await?;
        for contact in &mut page.items {
            contact.remark.clear();
        }
        Ok(page)
    }
}
