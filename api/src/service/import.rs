//! Importing messages from another system, or from an export: batch by batch, as they come.

use std::{pin::pin, sync::Arc};

use futures::{FutureExt, Stream, StreamExt, stream, stream::BoxStream};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{AdminCall, SendContent, Service, admin::Actor};
use crate::{
    model::{Error, Result, Role, UserId, UserNo, parse_uuid},
    store::ImportMessage,
};

/// The most messages in one transaction.
const BATCH: usize = 500;

/// The most bytes that wait for a transaction.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How many timelines are opened in one transaction.
const FINISH_BATCH: i64 = 500;

/// What an administrator sends.
#[derive(Debug)]
pub enum ImportStep {
    /// How to import; the first step.
    Begin {
        /// Whether participants that do not exist get an account.
        create_users: bool,
    },
    /// The next message, in the order of times.
    Message(ImportedMessage),
    /// There are no more.
    End {
        /// Whether what other imports have left unfinished is finished, too.
        finish_all: bool,
    },
}

/// A message from elsewhere, as it is given.
#[derive(Debug)]
pub struct ImportedMessage {
    /// Where it stands in what is imported, for refusals.
    pub line: i64,
    /// Who sent it.
    pub sender_id: String,
    /// To whom; the sender for a note to oneself.
    pub recipient_id: String,
    /// To which group; empty between users. One with a group is refused.
    pub group_id: String,
    /// The UUID that its sender gave it.
    pub client_message_id: String,
    /// When it was sent.
    pub sent_at: Option<OffsetDateTime>,
    /// What it says.
    pub content: Option<SendContent>,
}

/// How far an import has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Everything up to this line is committed.
    pub line: i64,
    /// Messages that were appended.
    pub imported: i64,
    /// Messages that stood before.
    pub duplicates: i64,
    /// Accounts that were made.
    pub users_created: i64,
    /// Timelines that were opened at the end.
    pub timelines: i64,
}

/// The messages as they come.
type Steps = stream::Fuse<BoxStream<'static, Result<ImportStep>>>;

impl Service {
    /// Imports messages with their own times into the timelines of both participants; says after each
    /// transaction how far it has come. Until it has come to its end, nothing else is appended to these
    /// timelines. When it breaks off it is to be repeated with the same messages: those that stand are
    /// left.
    ///
    /// Errors, those of a message as [`Error::AtLine`]: see [`crate::store::Store::import_batch`].
    pub async fn import_messages(
        self: Arc<Self>,
        call: AdminCall<'_>,
        steps: impl Stream<Item = Result<ImportStep>> + Send + 'static,
    ) -> Result<impl Stream<Item = Result<ImportProgress>> + Send + 'static> {
        let admin = self.admin(call).await?;
        admin.require(Role::Admin)?;
        let import = Import {
            actor: admin.actor(),
            service: self.clone(),
            id: Uuid::now_v7(),
            create_users: false,
            last_at: None,
            progress: ImportProgress::default(),
        };
        let steps: Steps = steps.boxed().fuse();
        Ok(stream::try_unfold(Some((import, steps)), async |under_way| {
            let Some((mut import, mut steps)) = under_way else { return Ok(None) };
            let batch = gather(&mut steps).await?;
            import.create_users |= batch.create_users;
            import.take(batch.messages).await?;
            let Some(finish_all) = batch.end else {
                return Ok(Some((import.progress, Some((import, steps)))));
            };
            import.finish(finish_all).await?;
            Ok(Some((import.progress, None)))
        }))
    }
}

/// What came together.
#[derive(Default)]
struct Batch {
    create_users: bool,
    messages: Vec<ImportedMessage>,
    /// Set when it is the last one.
    end: Option<bool>,
}

/// Waits for the next message and takes what has come with it. What ends without saying so has
/// broken off.
async fn gather(steps: &mut Steps) -> Result<Batch> {
    let mut batch = Batch::default();
    let mut bytes = 0;
    let mut next = steps.next().await;
    while let Some(step) = next {
        match step? {
            ImportStep::Begin { create_users } => batch.create_users |= create_users,
            ImportStep::Message(message) => {
                bytes += message.content.as_ref().map_or(0, SendContent::len);
                batch.messages.push(message);
            }
            ImportStep::End { finish_all } => {
                batch.end = Some(finish_all);
                return Ok(batch);
            }
        }
        if batch.messages.len() >= BATCH || bytes >= BATCH_BYTES {
            return Ok(batch);
        }
        next = match pin!(steps.next()).now_or_never() {
            Some(next) => next,
            None => return Ok(batch),
        };
    }
    Err(Error::invalid("step", "the import broke off: the last step must be the end"))
}

struct Import {
    service: Arc<Service>,
    actor: Actor,
    id: Uuid,
    create_users: bool,
    last_at: Option<OffsetDateTime>,
    progress: ImportProgress,
}

impl Import {
    /// Imports a batch.
    async fn take(&mut self, given: Vec<ImportedMessage>) -> Result<()> {
        let Some(line) = given.last().map(|message| message.line) else { return Ok(()) };
        let mut batch = Vec::with_capacity(given.len());
        for message in given {
            let line = message.line;
            let read = self.read(message).await;
            batch.push(read.map_err(|error| Error::at_line(line, error))?);
        }
        let is_first = self.progress.line == 0;
        let audit = is_first.then(|| self.actor.audit("import_messages", json!({ "begun": true })));
        let store = &self.service.store;
        let done = store.import_batch(self.id, self.last_at, &batch, audit).await?;
        self.last_at = batch.last().map(|message| message.sent_at);
        self.progress.line = line;
        self.progress.imported += done.imported;
        self.progress.duplicates += done.duplicates;
        Ok(())
    }

    async fn read(&mut self, given: ImportedMessage) -> Result<ImportMessage> {
        if !given.group_id.is_empty() {
            return Err(Error::invalid(
                "group_id",
                "must be empty: no messages of groups are imported",
            ));
        }
        let sender_id = UserId::parse("sender_id", &given.sender_id)?;
        let recipient_id = UserId::parse("recipient_id", &given.recipient_id)?;
        let client_message_id = parse_uuid("client_message_id", &given.client_message_id)?;
        let sent_at = given.sent_at.ok_or_else(|| Error::invalid("sent_at", "is needed"))?;
        let content = self.service.content(given.content)?;
        Ok(ImportMessage {
            line: given.line,
            sender: self.user_no(&sender_id).await?,
            sender_id,
            recipient: self.user_no(&recipient_id).await?,
            recipient_id,
            client_message_id,
            sent_at,
            content_hash: content.hash(),
            content,
        })
    }

    async fn user_no(&mut self, user_id: &UserId) -> Result<UserNo> {
        match self.service.store.user_no(user_id).await {
            Err(Error::UserNotFound(_)) if self.create_users => {}
            known => return known,
        }
        let audit = self.actor.audit("create_user", json!({ "imported": true }));
        let tier = &self.service.limits.default_tier;
        let user_no = self.service.store.provision_user(user_id, tier, audit).await?;
        self.progress.users_created += 1;
        Ok(user_no)
    }

    /// Opens the timelines.
    async fn finish(&mut self, finish_all: bool) -> Result<()> {
        let store = &self.service.store;
        let which = (!finish_all).then_some(self.id);
        loop {
            match store.finish_import_batch(which, FINISH_BATCH).await? {
                0 => break,
                opened => self.progress.timelines += opened,
            }
        }
        let ImportProgress { imported, duplicates, users_created, timelines, .. } = self.progress;
        let details = json!({
            "imported": imported,
            "duplicates": duplicates,
            "users_created": users_created,
            "timelines": timelines,
        });
        store.record(self.actor.audit("import_messages", details)).await
    }
}
