//! Administration. [`Admin`] is the permission: only its methods administrate, and only the right key
//! makes one.

mod retention;
mod sessions;
mod status;
mod users;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret, SecretString};

use super::Service;
use crate::{
    model::{Error, Page, PageSize, Result, UserId, is_line},
    store::{Audit, AuditRecord},
};

pub use retention::{NewTier, NewUserLimits};
pub use sessions::{Kick, SessionQuery};
pub use status::ClusterStatus;

/// The longest note of an administrator, in characters.
const MAX_NOTE_LENGTH: usize = 256;

/// The key of the administrator, and the name it has in audit records.
pub struct AdminKey {
    /// The name.
    pub name: String,
    /// The key.
    pub secret: SecretString,
}

/// An administrator at work.
pub struct Admin<'a> {
    service: &'a Service,
    name: &'a str,
}

impl Service {
    /// Lets an administrator in. Errors: [`Error::InvalidAdminKey`].
    pub fn admin(&self, key: Option<&str>) -> Result<Admin<'_>> {
        let expected = self.admin_key.secret.expose_secret().as_bytes();
        let given = key.unwrap_or_default().as_bytes();
        verify_slices_are_equal(given, expected).map_err(|_| Error::InvalidAdminKey)?;
        Ok(Admin { service: self, name: &self.admin_key.name })
    }
}

impl Admin<'_> {
    /// The audit records, the newest first; only those about `user_id` when it is not empty.
    pub async fn list_audit_records(
        &self,
        user_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<AuditRecord>> {
        let size = list_size(page_size)?;
        let user_no = match user_id {
            "" => None,
            id => Some(self.service.store.user_no(&UserId::parse("user_id", id)?).await?),
        };
        let scope = format!("audit/{}", user_no.map_or(0, |no| no.0));
        let before = self.service.read_place(&scope, page_token)?;
        let mut items = self.service.store.audit_records(user_no, before, size.get() + 1).await?;
        let more = size.cut(&mut items);
        let last = items.last().filter(|_| more);
        let next = last.map(|record| self.service.place_token(&scope, record.audit_no));
        Ok(Page { items, next_page_token: next })
    }

    pub(super) fn audit(&self, action: &'static str, details: serde_json::Value) -> Audit<'_> {
        Audit { actor: self.name, action, details }
    }
}

/// The page size of an administrator's listing.
fn list_size(page_size: i32) -> Result<PageSize> {
    PageSize::parse("page_size", page_size, 100, 1000)
}

fn check_note(note: &str) -> Result<()> {
    if note.chars().count() <= MAX_NOTE_LENGTH && is_line(note) {
        return Ok(());
    }
    let reason = format!(
        "must be at most {MAX_NOTE_LENGTH} characters, none of them a control character or a change of direction"
    );
    Err(Error::invalid("note", reason))
}
