//! Exporting the messages of a timeline, page by page.

use std::{collections::VecDeque, sync::Arc};

use futures::{Stream, stream};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{AdminCall, Service};
use crate::{
    model::{Error, Result, Role, UserId, UserNo},
    store::ExportedMessage,
};

/// How many messages are read at a time.
const PAGE: i64 = 100;

/// What an export consists of.
#[derive(Debug)]
pub enum Exported {
    /// The first step: how many messages come at most.
    Begun {
        /// So many.
        messages: i64,
    },
    /// The next message.
    Message(Box<ExportedMessage>),
}

impl Service {
    /// Every message of a user's timeline that still says something, the oldest first: all that is
    /// stored, also what the user's tier hides. From the first one of `since` or later, if that is
    /// given. Read in short transactions.
    ///
    /// Errors: [`Error::UserNotFound`].
    pub async fn export_messages(
        self: Arc<Self>,
        call: AdminCall<'_>,
        user_id: &str,
        since: Option<OffsetDateTime>,
    ) -> Result<impl Stream<Item = Result<Exported>> + Send + 'static> {
        let admin = self.admin(call).await?;
        admin.require(Role::Admin)?;
        let owner = self.store.user_no(&UserId::parse("user_id", user_id)?).await?;
        let shown = since.map(|at| at.format(&Rfc3339).unwrap_or_default());
        let audit = admin.audit("export_messages", json!({ "since": shown }));
        let start = self.store.begin_export(owner, since, audit).await?;
        let begun = Exported::Begun { messages: start.messages };
        let export = Export {
            service: self.clone(),
            owner,
            after: start.after,
            ready: VecDeque::from([begun]),
        };
        Ok(stream::try_unfold(export, |mut export| async move {
            Ok::<_, Error>(export.next().await?.map(|step| (step, export)))
        }))
    }
}

struct Export {
    service: Arc<Service>,
    owner: UserNo,
    after: i64,
    ready: VecDeque<Exported>,
}

impl Export {
    async fn next(&mut self) -> Result<Option<Exported>> {
        while self.ready.is_empty() {
            let page = self.service.store.export_page(self.owner, self.after, PAGE).await?;
            let Some(last) = page.last else { break };
            self.after = last;
            let message = |message| Exported::Message(Box::new(message));
            self.ready = page.messages.into_iter().map(message).collect();
        }
        Ok(self.ready.pop_front())
    }
}
