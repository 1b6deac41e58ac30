//! The audit log.

use time::OffsetDateTime;

use super::{Admin, check_line, list_size};
use crate::{
    model::{Page, Result, Role},
    service::conversations::instant,
    store::{AuditFilter, AuditRecord},
};

/// Which records to list.
#[derive(Debug, Default)]
pub struct AuditQuery {
    /// Only those about this user; empty for all.
    pub user_id: String,
    /// Only of this action, such as `kick_sessions`; empty for all.
    pub action: String,
    /// Only of what this one did; empty for all.
    pub actor: String,
    /// Only those made then or later.
    pub since: Option<OffsetDateTime>,
}

impl Admin<'_> {
    /// The audit records, the newest first.
    ///
    /// Errors: [`crate::model::Error::InvalidArgument`]; [`crate::model::Error::UserNotFound`].
    pub async fn list_audit_records(
        &self,
        query: &AuditQuery,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<AuditRecord>> {
        self.require(Role::Viewer)?;
        let size = list_size(page_size)?;
        let AuditQuery { user_id, action, actor, since } = query;
        check_line("action", action)?;
        check_line("actor", actor)?;
        let user_no = self.only_of(user_id).await?;
        let scope = format!("audit/{user_no:?}/{action:?}/{actor:?}/{:?}", instant(*since));
        let before = self.service.read_place(&scope, page_token)?;
        let filter = AuditFilter {
            user_no,
            action: Some(action.as_str()).filter(|name| !name.is_empty()),
            actor: Some(actor.as_str()).filter(|name| !name.is_empty()),
            since: *since,
        };
        let mut items = self.service.store.audit_records(&filter, before, size.get() + 1).await?;
        let more = size.cut(&mut items);
        let last = items.last().filter(|_| more);
        let next = last.map(|record| self.service.place_token(&scope, record.audit_no));
        Ok(Page { items, next_page_token: next })
    }
}
