//! Importing messages, groups and what users have set from another system, or from an export: batch by batch, as they
//! come.

mod records;

use std::{pin::pin, sync::Arc};

use futures::{FutureExt, Stream, StreamExt, stream, stream::BoxStream};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{AdminCall, Recipient, SendContent, Service, admin::Actor};
use crate::{
    model::{
        ConversationId, ConversationNo, Error, GroupId, GroupProfile, GroupRole, MemberChange,
        Mentions, Result, Role, UserId, UserNo, check_group_line, parse_uuid,
    },
    store::{ImportChange, ImportGroup, ImportMember, ImportMessage, ImportedBatch},
};

pub use records::{
    ImportedConversation, ImportedEdit, ImportedForward, ImportedMarks, ImportedName, ImportedPin,
    ImportedReaction, ImportedScheduled, ImportedUser,
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
    /// What comes next, in the order of times.
    Line(Box<ImportLine>),
    /// There are no more.
    End {
        /// Whether what other imports have left unfinished is finished, too.
        finish_all: bool,
    },
}

/// What is imported at a line.
#[derive(Debug)]
pub struct ImportLine {
    /// Where it stands in what is imported, for refusals and progress.
    pub line: i64,
    /// When it was.
    pub sent_at: Option<OffsetDateTime>,
    /// What it is.
    pub record: ImportRecord,
}

/// What can be imported.
#[derive(Debug)]
pub enum ImportRecord {
    /// A message.
    Message(ImportedMessage),
    /// A group as it was at first.
    Group(ImportedGroup),
    /// A user who came to a group that was imported, or went.
    MemberChange(ImportedChange),
    /// What a user shows of itself, has set and has begun.
    User(ImportedUser),
    /// The group of this id, which was imported, was dissolved.
    Dissolved(String),
}

/// A message from elsewhere, as it is given.
#[derive(Debug)]
pub struct ImportedMessage {
    /// Who sent it.
    pub sender_id: String,
    /// To whom, the sender for a note to oneself; or to which group.
    pub to: Option<Recipient>,
    /// The UUID that its sender gave it.
    pub client_message_id: String,
    /// What it says.
    pub content: Option<SendContent>,
    /// Members whom it mentions, by id; only in groups.
    pub mentions: Vec<String>,
    /// Whether it mentions everybody; only in groups.
    pub mention_all: bool,
    /// What stands with it.
    pub marks: ImportedMarks,
}

impl ImportedMessage {
    /// How many bytes it says, now and before.
    fn len(&self) -> usize {
        let before = self.marks.edits.iter().filter_map(|edit| edit.before.as_ref());
        before.chain(&self.content).map(SendContent::len).sum()
    }
}

/// A group from elsewhere, as it is given.
#[derive(Debug)]
pub struct ImportedGroup {
    /// Its id.
    pub group_id: String,
    /// What is set of it.
    pub profile: GroupProfile,
    /// Its first members.
    pub members: Vec<RecordedMember>,
}

/// A member as it moves from one system to another.
#[derive(Debug, Clone)]
pub struct RecordedMember {
    /// Who.
    pub user_id: String,
    /// What the member may do.
    pub role: GroupRole,
    /// What the member is called in the group; empty for its own name.
    pub nickname: String,
    /// Until when the member may not write.
    pub muted_until: Option<OffsetDateTime>,
}

/// What became of a user in a group, as it is given.
#[derive(Debug)]
pub struct ImportedChange {
    /// Which group.
    pub group_id: String,
    /// Who; what is beside the id counts where the user joined.
    pub member: RecordedMember,
    /// [`MemberChange::Joined`], [`MemberChange::Left`] or [`MemberChange::Removed`].
    pub change: MemberChange,
}

/// To whom a message goes that names a user or a group: `None` for neither. Errors:
/// [`Error::InvalidArgument`] for both.
pub fn recipient(recipient_id: String, group_id: String) -> Result<Option<Recipient>> {
    match (recipient_id.is_empty(), group_id.is_empty()) {
        (true, true) => Ok(None),
        (false, true) => Ok(Some(Recipient::User(recipient_id))),
        (true, false) => Ok(Some(Recipient::Group(group_id))),
        (false, false) => {
            Err(Error::invalid("group_id", "must be empty where there is a recipient_id"))
        }
    }
}

/// How far an import has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Everything up to this line is committed.
    pub line: i64,
    /// Lines whose message, group, change or user's record stands now.
    pub imported: i64,
    /// Lines of which that stood before.
    pub duplicates: i64,
    /// Accounts that were made.
    pub users_created: i64,
    /// Timelines that were opened at the end.
    pub timelines: i64,
}

/// The messages as they come.
type Steps = stream::Fuse<BoxStream<'static, Result<ImportStep>>>;

impl Service {
    /// Imports messages and groups with their own times into the timelines of all participants; says after
    /// each transaction how far it has come. Until it has come to its end, nothing else is appended to these
    /// timelines. When it breaks off it is to be repeated with the same messages: those that stand are
    /// left.
    ///
    /// Errors, those of a line as [`Error::AtLine`]: see [`crate::store::Store::import_batch`],
    /// [`crate::store::Store::import_group`], [`crate::store::Store::import_member`],
    /// [`crate::store::Store::import_end_of_group`] and [`crate::store::Store::import_user`].
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
            if let Some((at, event)) = batch.event {
                let done = import.take_event(at, event).await;
                done.map_err(|error| Error::at_line(at.line, error))?;
            }
            let Some(finish_all) = batch.end else {
                return Ok(Some((import.progress, Some((import, steps)))));
            };
            import.finish(finish_all).await?;
            Ok(Some((import.progress, None)))
        }))
    }
}

/// Where in what is imported something stands, and when it was.
#[derive(Debug, Clone, Copy)]
struct At {
    line: i64,
    sent_at: Option<OffsetDateTime>,
}

impl At {
    fn sent_at(self) -> Result<OffsetDateTime> {
        self.sent_at.ok_or_else(|| Error::invalid("sent_at", "is needed"))
    }
}

/// What is a transaction of its own.
enum Event {
    Group(ImportedGroup),
    Member(ImportedChange),
    User(ImportedUser),
    Dissolved(String),
}

/// What came together.
#[derive(Default)]
struct Batch {
    create_users: bool,
    messages: Vec<(At, ImportedMessage)>,
    /// Comes behind the messages.
    event: Option<(At, Event)>,
    /// Set when it is the last one.
    end: Option<bool>,
}

impl Batch {
    /// Takes a step, after which the batch is whole.
    fn take(&mut self, step: ImportStep) -> bool {
        match step {
            ImportStep::Begin { create_users } => {
                self.create_users |= create_users;
                false
            }
            ImportStep::End { finish_all } => {
                self.end = Some(finish_all);
                true
            }
            ImportStep::Line(next) => {
                let ImportLine { line, sent_at, record } = *next;
                let at = At { line, sent_at };
                match record {
                    ImportRecord::Message(message) => self.messages.push((at, message)),
                    ImportRecord::Group(group) => self.event = Some((at, Event::Group(group))),
                    ImportRecord::MemberChange(change) => {
                        self.event = Some((at, Event::Member(change)));
                    }
                    ImportRecord::User(user) => self.event = Some((at, Event::User(user))),
                    ImportRecord::Dissolved(group_id) => {
                        self.event = Some((at, Event::Dissolved(group_id)));
                    }
                }
                self.event.is_some() || self.messages.len() >= BATCH
            }
        }
    }

    fn bytes(&self) -> usize {
        self.messages.last().map_or(0, |(_, message)| message.len())
    }
}

/// Waits for the next line and takes what has come with it. What ends without saying so has broken off.
async fn gather(steps: &mut Steps) -> Result<Batch> {
    let mut batch = Batch::default();
    let mut bytes = 0;
    let mut next = steps.next().await;
    while let Some(step) = next {
        let whole = batch.take(step?);
        bytes += batch.bytes();
        if whole || bytes >= BATCH_BYTES {
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
    /// Imports messages.
    async fn take(&mut self, given: Vec<(At, ImportedMessage)>) -> Result<()> {
        let mut batch = Vec::with_capacity(given.len());
        for (at, message) in given {
            let read = self.read(at, message).await;
            batch.push(read.map_err(|error| Error::at_line(at.line, error))?);
        }
        let mut rest = &batch[..];
        while !rest.is_empty() {
            let is_first = self.progress.line == 0;
            let audit =
                is_first.then(|| self.actor.audit("import_messages", json!({ "begun": true })));
            let store = &self.service.store;
            let done = store.import_batch(self.id, self.last_at, rest, audit).await?;
            let (taken, left) = rest.split_at(done.taken);
            if let Some(last) = taken.last() {
                self.note(last.line, last.sent_at, done);
            }
            rest = left;
        }
        Ok(())
    }

    fn note(&mut self, line: i64, at: OffsetDateTime, done: ImportedBatch) {
        self.last_at = Some(at);
        self.progress.line = line;
        self.progress.imported += done.imported;
        self.progress.duplicates += done.duplicates;
    }

    /// Imports what is a transaction of its own.
    async fn take_event(&mut self, at: At, event: Event) -> Result<()> {
        let sent_at = at.sent_at()?;
        let done = match event {
            Event::Group(given) => {
                let group = self.read_group(given, sent_at).await?;
                let details = json!({ "group_id": group.group_id, "imported": true });
                let audit = self.actor.audit("create_group", details);
                self.service.store.import_group(self.id, self.last_at, &group, audit).await?
            }
            Event::Member(given) => {
                let change = self.read_change(given, sent_at).await?;
                let (store, most) = (&self.service.store, self.service.limits.max_members);
                store.import_member(self.id, self.last_at, &change, most).await?
            }
            Event::User(given) => {
                let user = self.read_user(at, given).await?;
                self.service.store.import_user(self.id, self.last_at, &user).await?
            }
            Event::Dissolved(group_id) => {
                let group_id = GroupId::parse("group_id", &group_id)?;
                let store = &self.service.store;
                let group_no = store.group_no(&group_id).await?;
                store.import_end_of_group(self.id, self.last_at, group_no, sent_at).await?
            }
        };
        self.note(at.line, sent_at, done);
        Ok(())
    }

    async fn read(&mut self, at: At, mut given: ImportedMessage) -> Result<ImportMessage> {
        let sender_id = UserId::parse("sender_id", &given.sender_id)?;
        let to_id = match &given.to {
            Some(Recipient::User(id)) => ConversationId::User(UserId::parse("recipient_id", id)?),
            Some(Recipient::Group(id)) => ConversationId::Group(GroupId::parse("group_id", id)?),
            None => return Err(Error::invalid("recipient_id", "or group_id is needed")),
        };
        let client_message_id = parse_uuid("client_message_id", &given.client_message_id)?;
        let sent_at = at.sent_at()?;
        let sender = self.user_no(&sender_id).await?;
        let to: ConversationNo = match &to_id {
            ConversationId::User(user_id) => self.user_no(user_id).await?.into(),
            ConversationId::Group(group_id) => self.service.store.group_no(group_id).await?.into(),
        };
        let mentions = self.read_mentions(&to_id, &given).await?;
        let marks = std::mem::take(&mut given.marks);
        let marks = self.read_marks(marks, sent_at, sender, to.peer()).await?;
        let content = self.service.content(given.content)?;
        Ok(ImportMessage {
            line: at.line,
            sender,
            sender_id,
            to,
            mentions,
            to_id,
            client_message_id,
            sent_at,
            content_hash: content.hash(),
            content,
            marks,
        })
    }

    async fn read_mentions(
        &mut self,
        to: &ConversationId,
        given: &ImportedMessage,
    ) -> Result<Mentions> {
        let field = if given.mention_all { "mention_all" } else { "mentions" };
        let mentions_some = given.mention_all || !given.mentions.is_empty();
        if mentions_some && matches!(to, ConversationId::User(_)) {
            return Err(Error::invalid(field, "only messages to groups mention users"));
        }
        let mut users = Vec::with_capacity(given.mentions.len());
        for user_id in &given.mentions {
            let user_id = UserId::parse("mentions", user_id)?;
            users.push((self.user_no(&user_id).await?, user_id));
        }
        Ok(Mentions { users, all: given.mention_all })
    }

    async fn read_group(
        &mut self,
        given: ImportedGroup,
        created_at: OffsetDateTime,
    ) -> Result<ImportGroup> {
        let group_id = GroupId::parse("group_id", &given.group_id)?;
        given.profile.check()?;
        let would_have = i64::try_from(given.members.len()).unwrap_or(i64::MAX);
        let most = self.service.limits.max_members;
        if would_have > most {
            return Err(Error::GroupFull { would_have, most });
        }
        let mut members: Vec<ImportMember> = Vec::with_capacity(given.members.len());
        for member in given.members {
            let member = self.read_member(member).await?;
            if members.iter().any(|other| other.user_no == member.user_no) {
                let reason = format!("names {} twice", member.user_id);
                return Err(Error::invalid("members", reason));
            }
            members.push(member);
        }
        if members.iter().filter(|member| member.role == GroupRole::Owner).count() > 1 {
            return Err(Error::invalid("members", "names two owners: a group has one"));
        }
        Ok(ImportGroup { group_id, profile: given.profile, created_at, members })
    }

    async fn read_change(
        &mut self,
        given: ImportedChange,
        at: OffsetDateTime,
    ) -> Result<ImportChange> {
        use MemberChange::{Joined, Left, Removed};
        if !matches!(given.change, Joined | Left | Removed) {
            return Err(Error::invalid("change", "must be JOINED, LEFT or REMOVED"));
        }
        let group_id = GroupId::parse("group_id", &given.group_id)?;
        let group_no = self.service.store.group_no(&group_id).await?;
        let member = self.read_member(given.member).await?;
        Ok(ImportChange { group_no, group_id, member, change: given.change, at })
    }

    async fn read_member(&mut self, given: RecordedMember) -> Result<ImportMember> {
        let user_id = UserId::parse("user_id", &given.user_id)?;
        check_group_line("nickname", &given.nickname)?;
        Ok(ImportMember {
            user_no: self.user_no(&user_id).await?,
            user_id,
            role: given.role,
            nickname: given.nickname,
            muted_until: given.muted_until,
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
