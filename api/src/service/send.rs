//! Sending.

use bytes::Bytes;
use time::OffsetDateTime;

use super::{SendOrder, Service, Ticket, access::Identity};
use crate::{
    model::{
        Attachment, ClientAddress, Content, ConversationId, ConversationNo, Cursor, Error, GroupId,
        Mentions, MessageId, Notice, Result, SealedMessageId, SessionId, TimelineNo, UserId,
        UserNo, parse_uuid,
    },
    store::{Append, AppendForward, AppendQuote, Appended},
};

/// The most users that a message mentions one by one.
const MOST_MENTIONS: usize = 50;

/// A message as a client sends it.
#[derive(Debug)]
pub struct Send {
    /// To whom.
    pub to: Option<Recipient>,
    /// A UUID of the client's.
    pub client_message_id: String,
    /// What it says.
    pub content: Option<SendContent>,
    /// Members whom it mentions, by id; only in groups.
    pub mentions: Vec<String>,
    /// Whether it mentions everybody; only in groups, by their owner and admins.
    pub mention_all: bool,
    /// The id of a message of the same conversation that it quotes; empty for none.
    pub reply_to: String,
    /// The id of a message whose content it is to send on, in place of one of its own; empty for none.
    pub forward_of: String,
    /// The ids of attachments of the sender's that it is to have.
    pub attachments: Vec<String>,
    /// From where it comes, if that is known; for the policy hook.
    pub address: Option<ClientAddress>,
}

/// To whom a message goes.
#[derive(Debug)]
pub enum Recipient {
    /// A user, by id.
    User(String),
    /// A group, by id.
    Group(String),
}

/// What a message says.
#[derive(Debug)]
pub enum SendContent {
    /// Text.
    Text(String),
    /// Typed bytes.
    Data {
        /// A media type.
        content_type: String,
        /// The bytes.
        data: Bytes,
    },
}

/// A message that has been stored.
#[derive(Debug)]
pub struct Sent {
    /// The same for every participant.
    pub message_id: SealedMessageId,
    /// The place in the sender's timeline.
    pub cursor: Cursor,
    /// The conversation as the sender sees it.
    pub conversation_id: ConversationId,
    /// When it was appended to the sender's timeline.
    pub sent_at: OffsetDateTime,
    /// Whether this is the result of an earlier send.
    pub duplicate: bool,
}

impl Sent {
    pub(super) fn new(appended: &Appended, conversation_id: ConversationId) -> Self {
        Self {
            message_id: appended.message_id,
            cursor: appended.cursor,
            conversation_id,
            sent_at: appended.appended_at,
            duplicate: appended.duplicate,
        }
    }
}

impl SendContent {
    /// What was checked before.
    pub(super) fn of(content: &Content) -> Self {
        let data = content.body().clone();
        match content.content_type() {
            Some(content_type) => Self::Data { content_type: content_type.to_owned(), data },
            None => Self::Text(String::from_utf8_lossy(&data).into_owned()),
        }
    }

    /// Its size in bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Data { data, .. } => data.len(),
        }
    }
}

impl Service {
    /// Stores a message in the timelines of all its participants and sets its delivery going. Returns
    /// after the commit (I4). The same `client_message_id` returns the first result (I7).
    ///
    /// Errors: [`Error::InvalidArgument`], [`Error::UserNotFound`], [`Error::MessageNotFound`] for what it quotes,
    /// [`Error::Blocked`], [`Error::RecipientBlocked`], [`Error::ClientMessageIdConflict`],
    /// [`Error::PolicyRefused`], [`Error::RateLimited`], [`Error::Overloaded`].
    #[tracing::instrument(target = "imd::trace", level = "info", skip_all)]
    pub async fn send(&self, token: Option<&str>, send: Send) -> Result<Sent> {
        self.send_in_order(SendOrder::default().ticket(), token, send).await
    }

    /// As [`Service::send`], for a connection that brings the next message before the last is stored:
    /// messages are stored in the order of their tickets, and one that is refused holds up none.
    #[tracing::instrument(target = "imd::trace", level = "info", skip_all)]
    pub async fn send_in_order(
        &self,
        mut ticket: Ticket,
        token: Option<&str>,
        send: Send,
    ) -> Result<Sent> {
        let admitted = self.admit(token, send).await;
        ticket.turn().await;
        let append = admitted?;
        if let Some(session_id) = append.session_id {
            self.who_types.stop((session_id, append.conversation));
        }
        let conversation_id = append.conversation_id.clone();
        let appending = self.delivery.append(append)?;
        // It has its place in the queue: the next one may take the place behind it.
        drop(ticket);
        Ok(Sent::new(&appending.committed().await?, conversation_id))
    }

    /// All that is checked before a message gets its place. The session, blocks and what else may change
    /// meanwhile is checked in the transaction, behind the locks.
    async fn admit(&self, token: Option<&str>, send: Send) -> Result<Append> {
        let caller = self.identify(token).await?;
        // What is beyond the limit costs the database nothing.
        self.count_send(&caller)?;
        let address = send.address;
        match self.read_send(&caller, send).await {
            // Boxed: it is large, and mostly there is no hook.
            Ok(append) => Box::pin(self.apply_policy(&caller, address, append)).await,
            Err(refusal) => Err(self.refuse(&caller, refusal).await),
        }
    }

    async fn read_send(&self, caller: &Identity, send: Send) -> Result<Append> {
        self.read_message(caller.user_no, &caller.user_id, Some(caller.session_id), send).await
    }

    /// Checks a message, whoever brings it.
    pub(super) async fn read_message(
        &self,
        sender: UserNo,
        sender_id: &UserId,
        session_id: Option<SessionId>,
        send: Send,
    ) -> Result<Append> {
        let conversation_id = match &send.to {
            Some(Recipient::User(id)) => ConversationId::User(UserId::parse("to.user_id", id)?),
            Some(Recipient::Group(id)) => ConversationId::Group(GroupId::parse("to.group_id", id)?),
            None => return Err(Error::invalid("to", "a recipient is needed")),
        };
        let client_message_id = parse_uuid("client_message_id", &send.client_message_id)?;
        let forwarded = match send.forward_of.as_str() {
            "" => None,
            _ if send.content.is_some() => {
                return Err(Error::invalid("forward_of", "brings the content with it"));
            }
            id => Some(self.forward(sender, id).await?),
        };
        let (content, content_hash, attachments, forward) = match forwarded {
            Some(_) if !send.attachments.is_empty() => {
                return Err(Error::invalid(
                    "attachments",
                    "a forwarded message brings its attachments",
                ));
            }
            Some((message_id, content, attachments, from)) => {
                let hash = Content::hash_of_forward(message_id);
                (content, hash, attachments.into(), Some(Box::new(from)))
            }
            None => {
                let content = self.content(send.content)?;
                let attachments = self.attachments_named(sender, &send.attachments).await?;
                let hash = content.hash_with(&attachments);
                (content, hash, attachments, None)
            }
        };
        let conversation = self.store.conversation_no(&conversation_id).await?;
        let quote = match send.reply_to.as_str() {
            "" => None,
            id => Some(Box::new(self.quote(sender, conversation, id).await?)),
        };
        let mentions =
            self.mentions_in(TimelineNo(conversation.0), &send.mentions, send.mention_all).await?;
        Ok(Append {
            sender,
            sender_id: sender_id.clone(),
            session_id,
            conversation,
            conversation_id,
            client_message_id,
            content_hash,
            content,
            mentions,
            if_blocked: self.limits.if_blocked,
            bypass: false,
            notice: Notice::default(),
            sender_timeline: true,
            quote,
            forward,
            attachments,
        })
    }

    /// What a message says that the sender forwards and can see, and where that comes from.
    async fn forward(
        &self,
        sender: UserNo,
        message_id: &str,
    ) -> Result<(MessageId, Content, Vec<Attachment>, AppendForward)> {
        let message_id = self.named("forward_of", message_id).await?;
        let (content, attachments, from) = Box::pin(self.store.forward(sender, message_id)).await?;
        Ok((message_id, content, attachments, from))
    }

    /// The message that a client names in a field.
    async fn named(&self, field: &'static str, message_id: &str) -> Result<MessageId> {
        self.message_id(message_id).await.map_err(|error| match error {
            Error::InvalidArgument { reason, .. } => Error::InvalidArgument { field, reason },
            error => error,
        })
    }

    /// The message that one of the sender's quotes: of the same conversation, and visible to the sender.
    async fn quote(
        &self,
        sender: UserNo,
        conversation: ConversationNo,
        message_id: &str,
    ) -> Result<AppendQuote> {
        let message_id = self.named("reply_to", message_id).await?;
        Box::pin(self.store.quote(sender, conversation, message_id)).await
    }

    /// Checks whom a message mentions: members of the group, each once.
    pub(super) async fn mentions_in(
        &self,
        conversation: TimelineNo,
        user_ids: &[String],
        all: bool,
    ) -> Result<Mentions> {
        if user_ids.is_empty() && !all {
            return Ok(Mentions::default());
        }
        let field = if all { "mention_all" } else { "mentions" };
        let group_no = conversation
            .group()
            .ok_or_else(|| Error::invalid(field, "only messages to groups mention users"))?;
        if user_ids.len() > MOST_MENTIONS {
            let reason = format!("must be at most {MOST_MENTIONS} users; mention_all is for all");
            return Err(Error::invalid("mentions", reason));
        }
        let mut ids: Vec<UserId> = Vec::with_capacity(user_ids.len());
        for user_id in user_ids {
            let user_id = UserId::parse("mentions", user_id)?;
            if !ids.contains(&user_id) {
                ids.push(user_id);
            }
        }
        let numbers: Vec<UserNo> = match self.store.user_nos(&ids).await {
            Err(Error::UserNotFound(user_id)) => {
                return Err(Error::invalid("mentions", format!("there is no user {user_id}")));
            }
            found => found?,
        };
        let users: Vec<(UserNo, UserId)> = numbers.iter().copied().zip(ids).collect();
        let members = self.store.members_among(group_no, &numbers).await?;
        match users.iter().find(|(user_no, _)| !members.contains(user_no)) {
            Some((_, user_id)) => {
                let reason = format!("{user_id} is not a member of the group");
                Err(Error::invalid("mentions", reason))
            }
            None => Ok(Mentions { users, all }),
        }
    }

    /// Checks what a message says.
    pub(super) fn content(&self, content: Option<SendContent>) -> Result<Content> {
        let max_bytes = self.limits.max_body_bytes;
        match content {
            Some(SendContent::Text(text)) => Content::text(text, max_bytes),
            Some(SendContent::Data { content_type, data }) => {
                Content::data(content_type, data, max_bytes)
            }
            None => Err(Error::invalid("text", "text or data is needed")),
        }
    }
}
