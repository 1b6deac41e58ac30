//! The public interface of a node, over whichever transport.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use futures::stream::BoxStream;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    failure::Failure,
    grpc::Grpc,
    rest::Rest,
    socket::Sockets,
    types::{
        BlockedUserPage, Content, ConversationPage, ConversationSettings, EditPage, Edited, Entry,
        Event, FileCall, FileRequest, FoundPage, HistoryPage, Info, LoggedIn, Reaction,
        ReactionPage, SearchCall, Sent, Session, Stretch, Tokens, UserPresence,
    },
};

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The events of a stream as they come. One that is not polled is a terminal that does not read.
pub(crate) type Events = BoxStream<'static, Result<Event>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Grpc,
    Rest,
    WebSocket,
}

impl Transport {
    /// A client of the node at `address`, on connections of its own.
    pub(crate) fn connect(self, address: SocketAddr) -> Arc<dyn Api> {
        match self {
            Self::Grpc => Arc::new(Grpc::new(address)),
            Self::Rest => Arc::new(Rest::new(address)),
            Self::WebSocket => Arc::new(Sockets::new(address)),
        }
    }

    /// A client whose logins come through a proxy that says they are from there.
    pub(crate) fn connect_from(self, address: SocketAddr, forwarded_for: &str) -> Arc<dyn Api> {
        match self {
            Self::Grpc => Arc::new(Grpc::new(address).forwarded_for(forwarded_for)),
            Self::Rest => Arc::new(Rest::new(address).forwarded_for(forwarded_for)),
            Self::WebSocket => panic!("logins do not go over WebSocket"),
        }
    }
}

/// What shows who is logging in.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    Password(String),
    Assertion(String),
    Nothing,
}

/// A login as a client asks for it.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) user_id: String,
    pub(crate) credential: Credential,
    pub(crate) terminal_type: String,
    pub(crate) device_id: String,
    pub(crate) device_name: String,
    /// Ask for REFUSE and not for REPLACE.
    pub(crate) refuse: bool,
}

impl Login {
    /// The same login with another password.
    pub(crate) fn password(self, password: &str) -> Self {
        Self { credential: Credential::Password(password.to_owned()), ..self }
    }
}

/// A message as a client sends it.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) to: Option<String>,
    pub(crate) client_message_id: String,
    pub(crate) content: Option<Content>,
    pub(crate) mentions: Vec<String>,
    pub(crate) mention_all: bool,
    /// Which message it quotes; empty for none.
    pub(crate) reply_to: String,
    /// Which message it forwards, in place of a content; empty for none.
    pub(crate) forward_of: String,
    /// Which files it has with it.
    pub(crate) attachments: Vec<String>,
}

impl Outgoing {
    /// The group it goes to, if it goes to one: `to` is `group:<id>`.
    pub(crate) fn group(&self) -> Option<&str> {
        self.to.as_deref().and_then(|to| to.strip_prefix("group:"))
    }

    /// A text with a fresh id.
    pub(crate) fn text(to: &str, text: impl Into<String>) -> Self {
        Self::new(to, Content::Text(text.into()))
    }

    /// What another message says, sent on.
    pub(crate) fn forward(to: &str, message_id: &str) -> Self {
        let forward_of = message_id.to_owned();
        Self { content: None, forward_of, ..Self::text(to, "") }
    }

    /// Typed bytes with a fresh id.
    pub(crate) fn data(to: &str, content_type: &str, data: &[u8]) -> Self {
        let content_type = content_type.to_owned();
        Self::new(to, Content::Data { content_type, data: data.to_owned() })
    }

    /// With a fresh id.
    pub(crate) fn new(to: &str, content: Content) -> Self {
        let client_message_id = Uuid::new_v4().to_string();
        Self {
            to: Some(to.to_owned()),
            client_message_id,
            content: Some(content),
            mentions: Vec::new(),
            mention_all: false,
            reply_to: String::new(),
            forward_of: String::new(),
            attachments: Vec::new(),
        }
    }
}

/// A signal as a client sends it. What it says is JSON of REST: `typing`, or `content_type` and `data`.
#[derive(Debug, Clone)]
pub(crate) struct OutgoingSignal {
    /// A user, or `group:<id>`.
    pub(crate) to: Option<String>,
    pub(crate) content: Value,
}

impl OutgoingSignal {
    /// `STARTED` or `STOPPED`.
    pub(crate) fn typing(to: &str, typing: &str) -> Self {
        Self { to: Some(to.to_owned()), content: json!({ "typing": typing }) }
    }

    pub(crate) fn data(to: &str, content_type: &str, data: &[u8]) -> Self {
        let data = BASE64_STANDARD.encode(data);
        let content = json!({ "content_type": content_type, "data": data });
        Self { to: Some(to.to_owned()), content }
    }

    /// As the body of a request over REST.
    pub(crate) fn body(&self) -> Value {
        let mut body = self.content.clone();
        match self.to.as_deref().map(|to| (to, to.strip_prefix("group:"))) {
            Some((_, Some(group))) => body["to"] = json!({ "group_id": group }),
            Some((user, None)) => body["to"] = json!({ "user_id": user }),
            None => {}
        }
        body
    }
}

/// The calls of the contract. Where a call needs a token, it is the first argument.
#[async_trait]
pub(crate) trait Api: Send + Sync {
    async fn info(&self) -> Result<Info>;
    async fn login(&self, login: &Login) -> Result<LoggedIn>;
    async fn refresh(&self, refresh_token: &str) -> Result<Tokens>;
    async fn logout(&self, token: &str) -> Result<()>;
    async fn sessions(&self, token: &str) -> Result<Vec<Session>>;
    async fn end_session(&self, token: &str, session_id: &str) -> Result<()>;
    async fn send(&self, token: &str, message: &Outgoing) -> Result<Sent>;
    /// `after` may be `last=N`, here and in `pull`.
    async fn signal(&self, token: &str, signal: &OutgoingSignal) -> Result<()>;
    async fn subscribe(&self, token: &str, after: &str) -> Result<Events>;
    /// A stream of what comes, which watches these users; `idle` when nobody is at the terminal.
    async fn watch(&self, token: &str, user_ids: &[&str], idle: bool) -> Result<Events>;
    async fn presence(&self, token: &str, user_ids: &[&str]) -> Result<Vec<UserPresence>>;
    async fn set_idle(&self, token: &str, idle: bool) -> Result<()>;
    /// A stream after a cursor, of a client that says by itself how far it has got.
    async fn follow_acknowledging(&self, token: &str, after: &str) -> Result<Events>;
    /// Says how far it has got.
    async fn acknowledge(&self, token: &str, cursor: &str) -> Result<()>;
    async fn pull(&self, token: &str, after: &str, limit: i32) -> Result<Stretch>;
    async fn conversations(
        &self,
        token: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<ConversationPage> {
        self.conversations_that(token, &[], page_size, page_token).await
    }
    /// Those that are `unread`, `archived`, `pinned`, or are not.
    async fn conversations_that(
        &self,
        token: &str,
        filter: &[(&str, bool)],
        page_size: i32,
        page_token: &str,
    ) -> Result<ConversationPage>;
    async fn history(
        &self,
        token: &str,
        conversation_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<HistoryPage>;
    /// What is JSON is the body of the request over REST.
    async fn update_conversation(
        &self,
        token: &str,
        conversation_id: &str,
        body: &Value,
    ) -> Result<ConversationSettings>;
    async fn set_draft(&self, token: &str, conversation_id: &str, text: &str) -> Result<()>;
    /// Where the mark stands now.
    async fn mark_read(&self, token: &str, conversation_id: &str, seq: i64) -> Result<i64>;
    async fn recall(&self, token: &str, message_id: &str) -> Result<()>;
    /// What the message is to say, and with the `client_message_id` as the id of the edit.
    async fn edit(&self, token: &str, message_id: &str, edit: &Outgoing) -> Result<Edited>;
    async fn edits(
        &self,
        token: &str,
        message_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<EditPage>;
    /// Tells of a file: its id, and how to upload it.
    async fn create_attachment(
        &self,
        token: &str,
        file: &FileCall,
    ) -> Result<(String, FileRequest)>;
    /// How to get a file of a message.
    async fn attachment_link(
        &self,
        token: &str,
        message_id: &str,
        attachment_id: &str,
    ) -> Result<FileRequest>;
    /// Searches the user's messages.
    async fn search(&self, token: &str, asked: &SearchCall) -> Result<FoundPage>;
    /// Pins a message, or does so no longer.
    async fn pin(&self, token: &str, message_id: &str, pinned: bool) -> Result<()>;
    /// The pinned messages of a conversation, each with who has pinned it.
    async fn pins(&self, token: &str, conversation_id: &str) -> Result<Vec<(Entry, String)>>;
    /// Gives a reaction, or takes it back: all there are then.
    async fn react(
        &self,
        token: &str,
        message_id: &str,
        reaction: &str,
        given: bool,
    ) -> Result<Vec<Reaction>>;
    /// Of one reaction, or of all where it is empty.
    async fn reactions(
        &self,
        token: &str,
        message_id: &str,
        reaction: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<ReactionPage>;
    async fn delete_message(&self, token: &str, conversation_id: &str, seq: i64) -> Result<()>;
    async fn block_user(&self, token: &str, user_id: &str) -> Result<()>;
    async fn unblock_user(&self, token: &str, user_id: &str) -> Result<()>;
    async fn blocked_users(
        &self,
        token: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<BlockedUserPage>;
    /// A call about groups, answered in the JSON of REST.
    async fn group(&self, token: &str, call: &GroupCall) -> Result<Value>;
    /// A call about scheduled messages, answered in the JSON of REST.
    async fn schedule(&self, token: &str, call: &ScheduleCall) -> Result<Value>;
    /// A call about profiles, answered in the JSON of REST.
    async fn profile(&self, token: &str, call: &ProfileCall) -> Result<Value>;
    /// A call about contacts, answered in the JSON of REST.
    async fn contact(&self, token: &str, call: &ContactCall) -> Result<Value>;
}

/// A call about scheduled messages. What is JSON is the body of the request over REST.
#[derive(Debug, Clone)]
pub(crate) enum ScheduleCall {
    /// A message, and when it is to be sent: a time as text.
    Schedule(Outgoing, String),
    /// With the size of a page and its token.
    List(i32, String),
    Update(String, Value),
    Cancel(String),
}

/// A call about profiles. What is JSON is the body of the request over REST.
#[derive(Debug, Clone)]
pub(crate) enum ProfileCall {
    Own,
    Get(String),
    List(Vec<String>),
    Update(Value),
}

/// A call about contacts and settings. What is JSON is the body of the request over REST.
#[derive(Debug, Clone)]
pub(crate) enum ContactCall {
    /// With what stands behind the path, from `?` on; may be empty.
    List(String),
    Set(String, Value),
    Remove(String),
    Settings,
    UpdateSettings(Value),
}

/// A call about groups. What is JSON is the body of the request over REST.
#[derive(Debug, Clone)]
pub(crate) enum GroupCall {
    Create(Value),
    List,
    Get(String),
    Update(String, Value),
    Dissolve(String),
    Members(String),
    Add(String, String),
    UpdateMember(String, String, Value),
    Remove(String, String),
    Join(String),
    Leave(String),
    Requests(String),
    Answer(String, String, bool),
    Readers(String),
}
