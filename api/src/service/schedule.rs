//! Messages that are to be sent later.

use std::{sync::Arc, time::Duration};

use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::{Recipient, Send, SendContent, Service, access::Identity};
use crate::{
    model::{
        ClientAddress, Content, ConversationId, Error, Page, PageSize, Refusal, Result,
        ScheduledMessage, parse_uuid,
    },
    store::{ChangeScheduled, DueMessage},
};

/// How far ahead a message may be scheduled.
const FARTHEST: Duration = Duration::from_hours(24 * 366);

/// How many messages are sent between two looks.
const BATCH: i64 = 50;

/// The most bytes of contents on a page.
const PAGE_BYTES: usize = 512 * 1024;

/// What is to change of a scheduled message, as a client asks for it.
#[derive(Debug)]
pub struct UpdateScheduled {
    /// When it is to be sent.
    pub send_at: Option<OffsetDateTime>,
    /// What it is to say.
    pub content: Option<SendContent>,
    /// From where the change comes, if that is known; for the policy hook.
    pub address: Option<ClientAddress>,
}

impl Service {
    /// Has a message be sent later. What is asked of a message when it is sent, such as blocks, is asked when it is
    /// due. Its attachments are kept until then. Returns the message, and whether it was scheduled before: the same id
    /// with the same content and time is
    /// scheduled once. The policy hook is asked now, as of a message that is sent.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::PolicyRefused`]; [`Error::UserNotFound`], [`Error::GroupNotFound`],
    /// [`Error::MessageNotFound`], [`Error::AttachmentNotFound`]; [`Error::ClientMessageIdConflict`], [`Error::TooManyScheduled`];
    /// [`Error::RateLimited`].
    pub async fn schedule(
        &self,
        token: Option<&str>,
        send: Send,
        send_at: Option<OffsetDateTime>,
    ) -> Result<(ScheduledMessage, bool)> {
        // The session is checked in the transaction, behind the lock.
        let caller = self.changer(token).await?;
        let message = match self.read_scheduled(&caller, send, send_at).await {
            Ok(message) => message,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let (owner, session_id) = (caller.user_no, caller.session_id);
        let scheduled = self.store.schedule(owner, session_id, &message).await?;
        let (message, duplicate, entry) = scheduled;
        self.announce(entry.map(|entry| (owner, entry)));
        Ok((message, duplicate))
    }

    async fn read_scheduled(
        &self,
        caller: &Identity,
        send: Send,
        send_at: Option<OffsetDateTime>,
    ) -> Result<ScheduledMessage> {
        let send_at = send_at.ok_or_else(|| Error::invalid("send_at", "is needed"))?;
        let send_at = within_reach(send_at, self.store.now())?;
        if !send.forward_of.is_empty() {
            return Err(Error::invalid("forward_of", "what is sent later is not forwarded"));
        }
        let (mentions, mention_all) = (send.mentions.clone(), send.mention_all);
        let reply_to = send.reply_to.clone();
        // As far as it can be told now.
        let session = Some(caller.session_id);
        let address = send.address;
        let append = self.read_message(caller.user_no, &caller.user_id, session, send).await?;
        let append = Box::pin(self.apply_policy(caller, address, append)).await?;
        Ok(ScheduledMessage {
            client_message_id: append.client_message_id,
            conversation_id: append.conversation_id,
            send_at,
            content: append.content,
            mentions,
            mention_all,
            reply_to,
            attachments: append.attachments.to_vec(),
            refusal: None,
        })
    }

    /// Changes a scheduled message, or has one be tried once more that was refused. Returns what it is then.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::ScheduledNotFound`] for one that there is not, or that is on its
    /// way; [`Error::RateLimited`].
    pub async fn change_scheduled(
        &self,
        token: Option<&str>,
        client_message_id: &str,
        update: UpdateScheduled,
    ) -> Result<ScheduledMessage> {
        let caller = self.changer(token).await?;
        let read = async {
            let id = parse_uuid("client_message_id", client_message_id)?;
            let send_at =
                update.send_at.map(|at| within_reach(at, self.store.now())).transpose()?;
            let content = match update.content {
                Some(content) => {
                    Some(self.new_content(&caller, update.address, id, content).await?)
                }
                None => None,
            };
            Ok((id, ChangeScheduled { send_at, content }))
        };
        let (id, change) = match read.await {
            Ok(read) => read,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let (owner, session_id) = (caller.user_no, caller.session_id);
        let (message, entry) = self.store.change_scheduled(owner, session_id, id, &change).await?;
        self.announce(entry.map(|entry| (owner, entry)));
        Ok(message)
    }

    /// What a scheduled message is to say in place of what it says, as it is to be stored.
    async fn new_content(
        &self,
        caller: &Identity,
        address: Option<ClientAddress>,
        id: Uuid,
        content: SendContent,
    ) -> Result<Content> {
        let message = self.store.scheduled_message(caller.user_no, id).await?;
        let send = Send { content: Some(content), ..send_of(&message) };
        let session = Some(caller.session_id);
        let append = self.read_message(caller.user_no, &caller.user_id, session, send).await?;
        Ok(Box::pin(self.apply_policy(caller, address, append)).await?.content)
    }

    /// Takes a scheduled message back. Once this has returned it is not sent.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::ScheduledNotFound`] for one that there is not, or that is on its
    /// way; [`Error::RateLimited`].
    pub async fn cancel_scheduled(
        &self,
        token: Option<&str>,
        client_message_id: &str,
    ) -> Result<()> {
        let caller = self.changer(token).await?;
        let id = match parse_uuid("client_message_id", client_message_id) {
            Ok(id) => id,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let (owner, session_id) = (caller.user_no, caller.session_id);
        let entry = self.store.cancel_scheduled(owner, session_id, id).await?;
        self.announce([(owner, entry)]);
        Ok(())
    }

    /// The messages of the caller that wait to be sent or were refused, in the order of their times.
    ///
    /// Errors: [`Error::InvalidArgument`].
    pub async fn list_scheduled(
        &self,
        token: Option<&str>,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<ScheduledMessage>> {
        let caller = self.reader(token).await?;
        let size = PageSize::parse("page_size", page_size, 50, 100)?;
        let scope = format!("scheduled/{}", caller.user_no.0);
        let after = self.read_page_token(&scope, page_token, |payload| place(&payload))?;
        let after = after.unwrap_or((OffsetDateTime::UNIX_EPOCH, Uuid::nil()));
        let read = async {
            let _turn = self.page_turn().await?;
            self.store.scheduled(caller.user_no, after, size.get() + 1).await
        };
        let mut items = self.begin_read(caller.user_no).await?.run(read).await?;
        let more = size.cut(&mut items) | cut_bytes(&mut items);
        let next_page_token = items.last().filter(|_| more).map(|last| {
            let micros = last.send_at.unix_timestamp_nanos() / 1000;
            let micros = i64::try_from(micros).unwrap_or(i64::MAX);
            let mut payload = micros.to_be_bytes().to_vec();
            payload.extend(last.client_message_id.as_bytes());
            self.opaque_tokens.seal(&scope, &payload)
        });
        Ok(Page { items, next_page_token })
    }

    /// Sends what is due.
    pub(super) async fn send_scheduled(self: Arc<Self>) -> Result<()> {
        loop {
            let due = self.store.claim_scheduled(BATCH).await?;
            let count = due.len();
            for due in due {
                self.send_due(due).await?;
            }
            if i64::try_from(count).is_ok_and(|count| count < BATCH) {
                return Ok(());
            }
        }
    }

    async fn send_due(&self, mut due: DueMessage) -> Result<()> {
        let id = due.message.client_message_id;
        match self.try_to_send(&due).await {
            Ok(()) => {}
            Err(error) if error.is_final() => {
                let (code, message) = (error.code().to_owned(), error.to_string());
                due.message.refusal = Some(Refusal { code, message });
            }
            Err(error) => {
                tracing::info!(%error, user = due.owner.0, "a scheduled message is sent later");
                // Of an append whose outcome is not known it may be stored: no change comes in time any more.
                return match error {
                    Error::RateLimited { .. }
                    | Error::ImportUnfinished(_)
                    | Error::Overloaded { .. } => self.store.unclaim_scheduled(due.owner, id).await,
                    _ => Ok(()),
                };
            }
        }
        let entry = self.store.finish_scheduled(&due).await?;
        self.announce(entry.map(|entry| (due.owner, entry)));
        Ok(())
    }

    async fn try_to_send(&self, due: &DueMessage) -> Result<()> {
        let sender_id = self.store.sender_of_scheduled(due.owner).await?;
        self.count_scheduled(due.owner)?;
        let send = send_of(&due.message);
        // Without a session: the user need not be logged in any more. The policy hook was asked when it was scheduled.
        let append = self.read_message(due.owner, &sender_id, None, send).await?;
        self.delivery.append(append)?.committed().await.map(drop)
    }
}

/// A scheduled message as one that is sent.
fn send_of(message: &ScheduledMessage) -> Send {
    let to = match &message.conversation_id {
        ConversationId::User(user_id) => Recipient::User(user_id.to_string()),
        ConversationId::Group(group_id) => Recipient::Group(group_id.to_string()),
    };
    Send {
        to: Some(to),
        client_message_id: message.client_message_id.to_string(),
        content: Some(SendContent::of(&message.content)),
        mentions: message.mentions.clone(),
        mention_all: message.mention_all,
        reply_to: message.reply_to.clone(),
        forward_of: String::new(),
        attachments: message.attachments.iter().map(|one| one.attachment_id.to_string()).collect(),
        address: None,
    }
}

/// Checks a time from now on and within a year, as the database keeps it.
fn within_reach(send_at: OffsetDateTime, now: OffsetDateTime) -> Result<OffsetDateTime> {
    let refusal = || Error::invalid("send_at", "must be a time from now on, within a year");
    let send_at = send_at.checked_to_offset(UtcOffset::UTC).ok_or_else(refusal)?;
    // The clocks of clients are not those of servers.
    if send_at < now - Duration::from_mins(1) || send_at > now + FARTHEST {
        return Err(refusal());
    }
    send_at.replace_microsecond(send_at.microsecond()).map_err(|_| refusal())
}

/// Cuts off what makes a page too large, but for its first item: whether there was something.
fn cut_bytes(items: &mut Vec<ScheduledMessage>) -> bool {
    let mut bytes = 0;
    let too_many = items.iter().position(|item| {
        bytes += item.content.body().len();
        bytes > PAGE_BYTES
    });
    let Some(at) = too_many else { return false };
    let kept = at.max(1);
    let cut = kept < items.len();
    items.truncate(kept);
    cut
}

/// The place behind which a page begins, as its token carries it.
fn place(payload: &[u8]) -> Option<(OffsetDateTime, Uuid)> {
    let (micros, id) = payload.split_first_chunk::<8>()?;
    let nanos = i128::from(i64::from_be_bytes(*micros)) * 1000;
    let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    Some((at, Uuid::from_slice(id).ok()?))
}
