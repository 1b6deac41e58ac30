//! Signals: what is stored nowhere.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{
    id::{ConversationId, GroupId, UserId},
    send::To,
};
use crate::{
    model::{self, Error},
    service::{SendSignal, SendSignalContent},
};

/// Whether a user types. The set is open.
///
/// `STARTED`: the user types. `STOPPED`: the user types no longer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Typing {
    Started,
    Stopped,
}

/// A signal to send: either `typing`, or `content_type` and `data`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(from = "Members")]
#[schema(examples(
    json!({ "to": { "user_id": "bob" }, "typing": "STARTED" }),
    json!({
        "to": { "group_id": "oslo" },
        "content_type": "application/vnd.example.cursor+json",
        "data": "eyJ4IjoxfQ==",
    }),
))]
pub(crate) struct SignalRequest {
    to: To,
    #[schema(required = false, nullable = false, value_type = Typing)]
    typing: Option<Typing>,
    /// A media type such as `application/vnd.example.cursor+json`.
    #[schema(
        required = false,
        nullable = false,
        max_length = 127,
        pattern = "^[ -.0-~]*/[ -.0-~]*$"
    )]
    content_type: Option<String>,
    /// The bytes, in base64 with padding: 1 to 1,024 before that.
    #[schema(
        required = false,
        nullable = false,
        min_length = 4,
        max_length = 1368,
        content_encoding = "base64",
        pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)$"
    )]
    data: Option<String>,
}

/// The members of a [`SignalRequest`].
#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    to: To,
    #[serde(default, deserialize_with = "given")]
    typing: Option<Typing>,
    #[serde(default, deserialize_with = "given")]
    content_type: Option<String>,
    #[serde(default, deserialize_with = "given")]
    data: Option<String>,
}

/// What the member says: null is none.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// What a user says to whoever has a stream open, stored nowhere: either `typing`, or `content_type` and
/// `data`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Signal {
    conversation_id: ConversationId,
    /// Whose signal it is.
    sender_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    typing: Option<Typing>,
    /// Of `STARTED`: for how many seconds it holds if nothing else comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// The bytes, in base64 with padding.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

impl From<Members> for SignalRequest {
    fn from(Members { to, typing, content_type, data }: Members) -> Self {
        Self { to, typing, content_type, data }
    }
}

impl SignalRequest {
    /// The conversation that it is about as far as that can be told, to name it in an error.
    pub(in crate::rest) fn conversation_id(&self) -> String {
        match (&self.to.user_id, &self.to.group_id) {
            (Some(UserId(id)), _) => format!("user:{id}"),
            (None, Some(GroupId(id))) => format!("group:{id}"),
            (None, None) => String::new(),
        }
    }
}

impl TryFrom<SignalRequest> for SendSignal {
    type Error = Error;

    fn try_from(request: SignalRequest) -> Result<Self, Error> {
        let to = request.to.into_recipient()?;
        let content = match (request.typing, request.content_type, request.data) {
            (None, None, None) => None,
            (Some(typing), None, None) => Some(SendSignalContent::Typing(match typing {
                Typing::Started => model::Typing::Started,
                Typing::Stopped => model::Typing::Stopped,
            })),
            (Some(_), ..) => {
                return Err(Error::invalid("typing", "excludes content_type and data"));
            }
            (None, content_type, data) => {
                let data = BASE64_STANDARD
                    .decode(data.unwrap_or_default())
                    .map_err(|error| Error::invalid("data", format!("is not base64: {error}")))?;
                let content_type = content_type.unwrap_or_default();
                Some(SendSignalContent::Data { content_type, data: data.into() })
            }
        };
        Ok(Self { to, content })
    }
}

impl From<&model::Signal> for Signal {
    fn from(signal: &model::Signal) -> Self {
        let (mut typing, mut content_type, mut data) = (None, None, None);
        match &signal.content {
            model::SignalContent::Typing(model::Typing::Started) => typing = Some(Typing::Started),
            model::SignalContent::Typing(model::Typing::Stopped) => typing = Some(Typing::Stopped),
            model::SignalContent::Data(content) => {
                content_type = content.content_type().map(str::to_owned);
                data = Some(BASE64_STANDARD.encode(content.body()));
            }
        }
        Self {
            conversation_id: (&signal.conversation_id).into(),
            sender_id: (&signal.sender).into(),
            typing,
            expires_in: signal.expires_in().map(|duration| duration.as_secs()),
            content_type,
            data,
        }
    }
}
