//! Where messages have got to.

use serde_json::json;
use uuid::Uuid;

use super::Admin;
use crate::{
    model::{Cursor, Error, Result, Role, SealedMessageId, SearchQuery, UserId, parse_uuid},
    service::{SearchMessages, SearchResults},
    store::{AdminSession, MessageCopy, MessageHome, MessageName, SessionFilter},
};

/// The most live sessions of a user to look at.
const MAX_TERMINALS: i64 = 1000;

/// How an administrator names a message.
#[derive(Debug)]
pub enum TracedMessage {
    /// By its id.
    Id(String),
    /// By the id that its sender gave it.
    ByClient {
        /// Who sent it.
        sender_id: String,
        /// The sender's id for it.
        client_message_id: String,
    },
}

/// Where a message has got to.
#[derive(Debug)]
pub struct MessageTrace {
    /// The message.
    pub message_id: SealedMessageId,
    /// Who sent it.
    pub sender_id: UserId,
    /// The id that its sender gave it; `None` when the sender's copy is gone.
    pub client_message_id: Option<Uuid>,
    /// The sender's copy, then the others.
    pub copies: Vec<TracedCopy>,
    /// Where it stands once; `None` between users.
    pub home: Option<MessageHome>,
}

/// One participant's copy and the terminals that are to have it.
#[derive(Debug)]
pub struct TracedCopy {
    /// Whose timeline it is in.
    pub user_id: UserId,
    /// The copy.
    pub copy: MessageCopy,
    /// The live sessions of the user.
    pub terminals: Vec<TracedTerminal>,
}

/// A terminal that is to have a message.
#[derive(Debug)]
pub struct TracedTerminal {
    /// Its session.
    pub session: AdminSession,
    /// Whether its cursor has passed the message.
    pub passed: bool,
}

impl Admin<'_> {
    /// Where a message has got to: each timeline that it is in, and for each terminal whether its
    /// cursor has passed it.
    ///
    /// Errors: [`Error::MessageNotFound`]; [`Error::UserNotFound`] for an unknown sender.
    pub async fn trace_message(&self, message: Option<TracedMessage>) -> Result<MessageTrace> {
        self.require(Role::Support)?;
        let store = &self.service.store;
        let (name, named) = match message {
            Some(TracedMessage::Id(id)) => {
                (MessageName::Id(self.service.message_id(&id).await?), json!({ "message_id": id }))
            }
            Some(TracedMessage::ByClient { sender_id, client_message_id: id }) => {
                let client_message_id = parse_uuid("client_message_id", &id)?;
                let sender = store.user_no(&UserId::parse("sender_id", &sender_id)?).await?;
                let name = MessageName::ByClient { sender, client_message_id };
                (name, json!({ "client_message_id": id }))
            }
            None => return Err(Error::invalid("message", "a message is needed")),
        };
        let trace = store.trace_message(&name, self.audit("trace_message", named)).await?;
        let mut copies = Vec::with_capacity(trace.copies.len());
        for copy in trace.copies {
            let terminals = self.terminals(&copy).await?;
            copies.push(TracedCopy { user_id: store.user_id(copy.owner).await?, copy, terminals });
        }
        Ok(MessageTrace {
            message_id: trace.message_id,
            sender_id: store.user_id(trace.sender).await?,
            client_message_id: trace.client_message_id,
            copies,
            home: trace.home,
        })
    }

    /// The messages of a user that the user itself would find.
    ///
    /// Errors: those of [`Service::search_messages`].
    pub async fn search_messages(
        &self,
        user_id: &str,
        asked: SearchMessages,
    ) -> Result<SearchResults> {
        self.require(Role::Admin)?;
        let owner = self.service.store.user_no(&UserId::parse("user_id", user_id)?).await?;
        SearchQuery::parse("q", &asked.q)?;
        if asked.page_token.is_empty() {
            let audit = self.audit("search_messages", json!({ "q": asked.q }));
            self.service.store.record_about(owner, audit).await?;
        }
        self.service.search(owner, &asked).await
    }

    async fn terminals(&self, copy: &MessageCopy) -> Result<Vec<TracedTerminal>> {
        let live = SessionFilter { user_no: Some(copy.owner), ..SessionFilter::default() };
        let sessions = self.service.store.list_sessions(&live, None, MAX_TERMINALS).await?;
        let stands = copy.appended_at.is_some() || copy.in_group.is_none();
        let passed =
            |cursor: Cursor| stands && Some(cursor.epoch) == copy.epoch && cursor.seq >= copy.seq;
        let terminal = |session: AdminSession| TracedTerminal {
            passed: session.cursor.is_some_and(passed),
            session,
        };
        Ok(sessions.into_iter().map(terminal).collect())
    }
}
