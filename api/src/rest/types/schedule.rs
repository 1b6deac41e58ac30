//! Messages that are to be sent later.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    attachment::Attachment,
    content::{Content, ContentMembers},
    id::{ConversationId, UserId},
    send::{SendRequest, To, given},
};
use crate::{
    model::{self, Error, Page},
    service::UpdateScheduled,
};

/// A message, and when it is to be sent. It forwards no other.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(from = "Members")]
#[schema(examples(json!({
    "to": { "user_id": "bob" },
    "client_message_id": "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e12",
    "text": "Happy birthday",
    "send_at": "2026-12-24T07:00:00Z",
})))]
pub(crate) struct ScheduleRequest {
    #[serde(flatten)]
    pub(in crate::rest) message: SendRequest,
    /// From now on, within a year.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true, nullable = false)]
    pub(in crate::rest) send_at: Option<OffsetDateTime>,
}

/// The members of a [`ScheduleRequest`]. Not nested: serde cannot name a wrong member that it flattens.
#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    to: To,
    #[serde(default)]
    client_message_id: String,
    #[serde(default, deserialize_with = "given")]
    text: Option<String>,
    #[serde(default, deserialize_with = "given")]
    content_type: Option<String>,
    #[serde(default, deserialize_with = "given")]
    data: Option<String>,
    #[serde(default)]
    mentions: Vec<UserId>,
    #[serde(default)]
    mention_all: bool,
    #[serde(default)]
    reply_to: String,
    #[serde(default)]
    forward_of: String,
    #[serde(default)]
    attachments: Vec<String>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    send_at: Option<OffsetDateTime>,
}

impl From<Members> for ScheduleRequest {
    fn from(members: Members) -> Self {
        let Members { to, client_message_id, text, content_type, data, .. } = members;
        let Members { mentions, mention_all, reply_to, forward_of, attachments, send_at, .. } =
            members;
        let content = ContentMembers { text, content_type, data };
        let message = SendRequest {
            to,
            client_message_id,
            content,
            mentions,
            mention_all,
            reply_to,
            forward_of,
            attachments,
        };
        Self { message, send_at }
    }
}

impl ScheduleRequest {
    pub(in crate::rest) fn client_message_id(&self) -> &str {
        self.message.client_message_id()
    }
}

/// What is to change of a scheduled message; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "send_at": "2026-12-24T08:00:00Z" })))]
pub(crate) struct UpdateScheduledRequest {
    /// When it is to be sent: from now on, within a year.
    #[serde(default, with = "time::serde::rfc3339::option")]
    send_at: Option<OffsetDateTime>,
    /// Text that it is to say.
    text: Option<String>,
    /// The media type of anything else.
    content_type: Option<String>,
    /// The bytes of that, in base64 with padding.
    data: Option<String>,
}

/// A scheduled message, and what is to change of it.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct UpdateOfScheduled {
    /// The id that the client gave the message.
    #[serde(default)]
    #[schema(required = true, format = Uuid)]
    pub(in crate::rest) client_message_id: String,
    /// When it is to be sent: from now on, within a year. Absent to leave it.
    #[serde(default, with = "time::serde::rfc3339::option")]
    send_at: Option<OffsetDateTime>,
    /// Text that it is to say.
    text: Option<String>,
    /// The media type of anything else.
    content_type: Option<String>,
    /// The bytes of that, in base64 with padding.
    data: Option<String>,
}

impl From<UpdateOfScheduled> for UpdateScheduledRequest {
    fn from(update: UpdateOfScheduled) -> Self {
        let UpdateOfScheduled { send_at, text, content_type, data, .. } = update;
        Self { send_at, text, content_type, data }
    }
}

/// A scheduled message that is to be taken back.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CancelScheduledRequest {
    /// The id that the client gave the message.
    #[serde(default)]
    #[schema(required = true, format = Uuid)]
    pub(in crate::rest) client_message_id: String,
}

impl TryFrom<UpdateScheduledRequest> for UpdateScheduled {
    type Error = Error;

    fn try_from(request: UpdateScheduledRequest) -> Result<Self, Error> {
        let UpdateScheduledRequest { send_at, text, content_type, data } = request;
        let content = ContentMembers { text, content_type, data }.into_content()?;
        Ok(Self { send_at, content, address: None })
    }
}

/// A message that is to be sent later.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduledMessage {
    /// The id that the client gave it, and that it keeps when it is sent.
    client_message_id: Uuid,
    conversation_id: ConversationId,
    /// When it is to be sent.
    #[serde(with = "time::serde::rfc3339")]
    send_at: OffsetDateTime,
    #[serde(flatten)]
    content: Content,
    /// Members whom it mentions; only in groups. Absent for none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    mentions: Vec<String>,
    /// Whether it mentions everybody; only in groups. Absent for false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    mention_all: bool,
    /// The message that it quotes. Absent for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    reply_to: String,
    /// Its attachments. They are kept until it is sent or taken back. Absent for none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    attachments: Vec<Attachment>,
    /// Why it was not sent. Absent while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refusal: Option<Refusal>,
}

/// Why a message was not sent that had been scheduled.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Refusal {
    /// The code of the error that a send would have had.
    code: String,
    /// The same in words.
    message: String,
}

/// A message that has been scheduled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleResponse {
    scheduled_message: ScheduledMessage,
    /// Whether it was scheduled before.
    duplicate: bool,
}

/// A page of scheduled messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduledMessageList {
    /// In the order of their times.
    scheduled_messages: Vec<ScheduledMessage>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// What became of a scheduled message. The set is open.
///
/// `WAITING`: it waits, or says something else than before, or waits for another time. `CANCELLED`: it was taken back.
/// `SENT`: the message is an entry of its own. `REFUSED`: it was due, and was refused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ScheduledState {
    Waiting,
    Cancelled,
    Sent,
    Refused,
}

/// A message that the timeline's owner has scheduled was made, changed, taken back, sent or refused.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ScheduledChanged {
    client_message_id: Uuid,
    conversation_id: ConversationId,
    state: ScheduledState,
    /// When it is, or was, to be sent.
    #[serde(with = "time::serde::rfc3339")]
    send_at: OffsetDateTime,
    /// Why it was refused. Absent where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refusal: Option<Refusal>,
}

impl From<&model::Refusal> for Refusal {
    fn from(refusal: &model::Refusal) -> Self {
        Self { code: refusal.code.clone(), message: refusal.message.clone() }
    }
}

impl From<&model::ScheduledMessage> for ScheduledMessage {
    fn from(message: &model::ScheduledMessage) -> Self {
        Self {
            client_message_id: message.client_message_id,
            conversation_id: (&message.conversation_id).into(),
            send_at: message.send_at,
            content: (&message.content).into(),
            mentions: message.mentions.clone(),
            mention_all: message.mention_all,
            reply_to: message.reply_to.clone(),
            attachments: Attachment::list(&message.attachments),
            refusal: message.refusal.as_ref().map(Into::into),
        }
    }
}

impl From<(model::ScheduledMessage, bool)> for ScheduleResponse {
    fn from((message, duplicate): (model::ScheduledMessage, bool)) -> Self {
        Self { scheduled_message: (&message).into(), duplicate }
    }
}

impl From<Page<model::ScheduledMessage>> for ScheduledMessageList {
    fn from(page: Page<model::ScheduledMessage>) -> Self {
        Self {
            scheduled_messages: page.items.iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<&model::ScheduledChanged> for ScheduledChanged {
    fn from(changed: &model::ScheduledChanged) -> Self {
        Self {
            client_message_id: changed.client_message_id,
            conversation_id: (&changed.conversation_id).into(),
            state: match changed.state {
                model::ScheduledState::Waiting => ScheduledState::Waiting,
                model::ScheduledState::Cancelled => ScheduledState::Cancelled,
                model::ScheduledState::Sent => ScheduledState::Sent,
                model::ScheduledState::Refused => ScheduledState::Refused,
            },
            send_at: changed.send_at,
            refusal: changed.refusal.as_ref().map(Into::into),
        }
    }
}
