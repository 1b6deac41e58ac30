//! Sending from no terminal.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    content::ContentMembers,
    id::UserId,
    send::{SendRequest, SendResponse, To, given},
};
use crate::{
    model::{Error, Notice, Result},
    rest::problem::{Members as ProblemMembers, Problem},
    service::{SendAs, Sender, Sent},
};

/// A message to send as a user or as the system.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(from = "Members")]
#[schema(examples(json!({
    "from": { "system": "orders" },
    "to": { "user_id": "ann" },
    "client_message_id": "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f",
    "text": "Your order is on its way",
})))]
#[expect(clippy::struct_excessive_bools, reason = "the members of the contract")]
pub(crate) struct SendAsRequest {
    from: From,
    #[serde(flatten)]
    message: SendRequest,
    /// Whether terminals are to show it without a sound.
    #[schema(required = false)]
    silent: bool,
    /// Whether terminals without a stream are not to be pushed for it.
    #[schema(required = false)]
    no_push: bool,
    /// Whether the sender's own terminals have it. With false its place in the sender's timeline is that of a message
    /// which the sender has deleted. Must be true for a note to oneself.
    #[schema(required = false, default = true)]
    sender_timeline: bool,
    /// Whether it is stored though the recipient blocks the sender or takes messages from its contacts alone, or though
    /// the sender is not a member of the group, muted, or may not mention everybody. Audited.
    #[schema(required = false)]
    bypass: bool,
}

/// The sender: a user, or the system.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(expecting = "an object with the member user_id or system")]
pub(super) struct From {
    /// A user, also one that is disabled.
    pub(super) user_id: Option<UserId>,
    /// The system, under this name: the id of an account that nobody can log in as, made at its first message.
    pub(super) system: Option<UserId>,
}

impl From {
    /// The sender, if there is one.
    pub(super) fn into_sender(self) -> Result<Option<Sender>> {
        match (self.user_id, self.system) {
            (Some(_), Some(_)) => Err(Error::invalid("from", "must be a user or the system")),
            (Some(id), None) => Ok(Some(Sender::User(id.0))),
            (None, name) => Ok(name.map(|name| Sender::System(name.0))),
        }
    }
}

/// The members of a [`SendAsRequest`]. Not nested: serde cannot name a wrong member that it flattens.
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the members of the contract")]
struct Members {
    #[serde(default)]
    from: From,
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
    #[serde(default)]
    silent: bool,
    #[serde(default)]
    no_push: bool,
    #[serde(default = "yes")]
    sender_timeline: bool,
    #[serde(default)]
    bypass: bool,
}

fn yes() -> bool {
    true
}

/// Messages to send.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SendAsBatch {
    /// 1–500 messages.
    #[serde(default)]
    #[schema(required = true, min_items = 1, max_items = 500)]
    messages: Vec<SendAsRequest>,
}

/// What became of a message of a batch: one of the two.
#[derive(Serialize, ToSchema)]
struct SendAsResult {
    /// It is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sent: Option<SendResponse>,
    /// It was refused, and nothing of it is stored, unless `code` is `unavailable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    problem: Option<ProblemMembers>,
}

/// What became of the messages of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct SendAsResults {
    /// One for each message, in their order.
    results: Vec<SendAsResult>,
}

impl std::convert::From<Members> for SendAsRequest {
    fn from(members: Members) -> Self {
        let Members { from, to, client_message_id, text, content_type, data, .. } = members;
        let Members { mentions, mention_all, reply_to, forward_of, attachments, .. } = members;
        let Members { silent, no_push, sender_timeline, bypass, .. } = members;
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
        Self { from, message, silent, no_push, sender_timeline, bypass }
    }
}

impl TryFrom<SendAsRequest> for SendAs {
    type Error = Error;

    fn try_from(request: SendAsRequest) -> Result<Self> {
        Ok(Self {
            from: request.from.into_sender()?,
            message: request.message.try_into()?,
            notice: Notice { silent: request.silent, no_push: request.no_push },
            sender_timeline: request.sender_timeline,
            bypass: request.bypass,
        })
    }
}

impl SendAsBatch {
    /// The messages, or what is wrong with them.
    pub(in crate::rest) fn into_messages(self) -> Vec<Result<SendAs>> {
        self.messages.into_iter().map(TryInto::try_into).collect()
    }
}

impl std::convert::From<Vec<Result<Sent>>> for SendAsResults {
    fn from(results: Vec<Result<Sent>>) -> Self {
        let result = |result: Result<Sent>| match result {
            Ok(sent) => SendAsResult { sent: Some(sent.into()), problem: None },
            Err(error) => {
                let problem = Problem::from(error).into_members();
                SendAsResult { sent: None, problem: Some(problem) }
            }
        };
        Self { results: results.into_iter().map(result).collect() }
    }
}
