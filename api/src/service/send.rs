//! Sending.

use bytes::Bytes;
use time::OffsetDateTime;

use super::{SendOrder, Service, Ticket, access::Identity};
use crate::{
    model::{Content, ConversationId, Cursor, Error, Result, SealedMessageId, UserId, parse_uuid},
    store::Append,
};

/// A message as a client sends it.
#[derive(Debug)]
pub struct Send {
    /// To whom.
    pub to: Option<Recipient>,
    /// A UUID of the client's.
    pub client_message_id: String,
    /// What it says.
    pub content: Option<SendContent>,
}

/// To whom a message goes.
#[derive(Debug)]
pub enum Recipient {
    /// A user, by id.
    User(String),
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

impl SendContent {
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
    /// Errors: [`Error::InvalidArgument`], [`Error::UserNotFound`],
    /// [`Error::Blocked`], [`Error::RecipientBlocked`], [`Error::ClientMessageIdConflict`],
    /// [`Error::RateLimited`], [`Error::Overloaded`].
    pub async fn send(&self, token: Option<&str>, send: Send) -> Result<Sent> {
        self.send_in_order(SendOrder::default().ticket(), token, send).await
    }

    /// As [`Service::send`], for a connection that brings the next message before the last is stored:
    /// messages are stored in the order of their tickets, and one that is refused holds up none.
    pub async fn send_in_order(
        &self,
        mut ticket: Ticket,
        token: Option<&str>,
        send: Send,
    ) -> Result<Sent> {
        let admitted = self.admit(token, send).await;
        ticket.turn().await;
        let append = admitted?;
        let conversation_id = ConversationId::User(append.recipient_id.clone());
        let appending = self.delivery.append(append)?;
        // It has its place in the queue: the next one may take the place behind it.
        drop(ticket);
        let appended = appending.committed().await?;
        Ok(Sent {
            message_id: appended.message_id,
            cursor: appended.cursor,
            conversation_id,
            sent_at: appended.appended_at,
            duplicate: appended.duplicate,
        })
    }

    /// All that is checked before a message gets its place. The session, blocks and what else may change
    /// meanwhile is checked in the transaction, behind the locks.
    async fn admit(&self, token: Option<&str>, send: Send) -> Result<Append> {
        let caller = self.identify(token).await?;
        // What is beyond the limit costs the database nothing.
        self.count_send(&caller)?;
        match self.read_send(&caller, send).await {
            Ok(append) => Ok(append),
            Err(refusal) => Err(self.refuse(&caller, refusal).await),
        }
    }

    async fn read_send(&self, caller: &Identity, send: Send) -> Result<Append> {
        let Some(Recipient::User(recipient)) = send.to else {
            return Err(Error::invalid("to", "a recipient is needed"));
        };
        let recipient_id = UserId::parse("to.user_id", &recipient)?;
        let client_message_id = parse_uuid("client_message_id", &send.client_message_id)?;
        let content = self.content(send.content)?;
        Ok(Append {
            sender: caller.user_no,
            sender_id: caller.user_id.clone(),
            session_id: caller.session_id,
            recipient: self.store.user_no(&recipient_id).await?,
            recipient_id,
            client_message_id,
            content_hash: content.hash(),
            content,
            if_blocked: self.limits.if_blocked,
        })
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
