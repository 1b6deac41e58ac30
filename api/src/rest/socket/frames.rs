//! What is said over a WebSocket: in each frame an object of one member, named for what it is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    rest::{
        extract::read,
        problem::{Members, Problem},
        types::{
            AcknowledgeRequest, CancelScheduledRequest, ConversationSettings, DraftOfConversation,
            EditMessageResponse, EditOfMessage, Entry, HistoryTruncated, MarkReadResponse,
            PinRequest, PresenceList, ReactRequest, Reactions, Reconnect, ScheduleRequest,
            ScheduleResponse, ScheduledMessage, SendRequest, SendResponse, SessionEnd,
            SetIdleRequest, Signal, SignalRequest, TimelineReset, TimelineState,
            UpdateOfConversation, UpdateOfScheduled, UserId,
        },
    },
    service::{Event, Service},
};

// A further kind of request is a further variant, with an arm in `Connection::answer`.
/// What a client sends over a WebSocket.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(examples(
    json!({ "authenticate": { "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.e30.c2ln" } }),
    json!({ "subscribe": { "after": "1763880000.42" } }),
    json!({ "send": {
        "to": { "user_id": "bob" },
        "client_message_id": "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f",
        "text": "On my way",
    } }),
    json!({ "ping": {} }),
))]
pub(crate) enum SocketRequest {
    Authenticate {
        /// Of the session that this connection is for.
        access_token: String,
    },
    Subscribe {
        /// Where to start: a cursor; absent or `0` for the floor; `now` for live entries only.
        #[serde(default)]
        #[schema(pattern = r"^(|0|now|[0-9]{1,18}\.[0-9]{1,18})$")]
        after: String,
        /// Instead of `after`: start before the newest so many entries.
        #[serde(default)]
        #[schema(minimum = 0)]
        last: i32,
        /// Whose presence the stream tells.
        #[serde(default)]
        #[schema(required = false, max_items = 500)]
        watch: Vec<UserId>,
        /// Whether nobody is at the terminal.
        #[serde(default)]
        #[schema(required = false)]
        idle: bool,
        /// Whether the client says by `acknowledge` how far it has got.
        #[serde(default)]
        #[schema(required = false)]
        acknowledging: bool,
    },
    Acknowledge(AcknowledgeRequest),
    Watch {
        /// Whose presence the stream tells from now on, and no others'.
        #[schema(max_items = 500)]
        user_ids: Vec<UserId>,
    },
    SetIdle(SetIdleRequest),
    Send(SendRequest),
    Edit(EditOfMessage),
    React(ReactRequest),
    Pin(PinRequest),
    Schedule(ScheduleRequest),
    UpdateScheduled(UpdateOfScheduled),
    CancelScheduled(CancelScheduledRequest),
    UpdateConversation(UpdateOfConversation),
    SetDraft(DraftOfConversation),
    MarkRead {
        /// `user:<peer id>` or `group:<group id>`.
        #[serde(default)]
        #[schema(required = true, pattern = "^(user|group):[A-Za-z0-9._@+=-]{1,64}$")]
        conversation_id: String,
        /// A place in the caller's timeline, usually that of the last message shown.
        #[serde(default)]
        #[schema(required = true, minimum = 1)]
        seq: i64,
    },
    Signal(SignalRequest),
    Ping {},
}

/// What the server sends over a WebSocket. The set is open: a client ignores what it does not know.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(examples(
    json!({ "authenticated": {} }),
    json!({ "sent": {
        "client_message_id": "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f",
        "message_id": "AAAAAAAAAAEAAAAAAAAAKg",
        "seq": 42,
        "cursor": "1763880000.42",
        "conversation_id": "user:bob",
        "sent_at": "2026-11-23T07:30:00.123456Z",
        "duplicate": false,
    } }),
))]
#[expect(clippy::large_enum_variant, reason = "nearly every frame is an entry")]
pub(crate) enum SocketFrame {
    Authenticated {},
    Opened(TimelineState),
    Entry(Entry),
    HistoryTruncated(HistoryTruncated),
    TimelineReset(TimelineReset),
    Signal(Signal),
    Presence(PresenceList),
    Heartbeat {},
    SessionEnded(SessionEnd),
    Reconnect(Reconnect),
    Sent {
        /// That of the request that this answers.
        client_message_id: String,
        #[serde(flatten)]
        response: SendResponse,
    },
    Edited {
        /// That of the request that this answers.
        client_edit_id: String,
        message_id: String,
        #[serde(flatten)]
        response: EditMessageResponse,
    },
    Reacted {
        /// Those of the request that this answers.
        message_id: String,
        reaction: String,
        #[serde(flatten)]
        response: Reactions,
    },
    Pinned {
        /// That of the request that this answers.
        message_id: String,
        /// Whether it is pinned no longer. Absent for false.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        #[schema(required = false)]
        removed: bool,
    },
    Scheduled {
        /// That of the request that this answers.
        client_message_id: String,
        #[serde(flatten)]
        response: ScheduleResponse,
    },
    ScheduledUpdated {
        /// That of the request that this answers.
        client_message_id: String,
        scheduled_message: ScheduledMessage,
    },
    ScheduledCancelled {
        /// That of the request that this answers.
        client_message_id: String,
    },
    ConversationUpdated {
        /// That of the request that this answers.
        conversation_id: String,
        /// All that is set.
        settings: ConversationSettings,
    },
    DraftSet {
        /// That of the request that this answers: it is stored, or a later one of the same terminal.
        conversation_id: String,
    },
    MarkedRead {
        /// That of the request that this answers.
        conversation_id: String,
        #[serde(flatten)]
        response: MarkReadResponse,
    },
    Signaled {
        /// To whom the signal is that this answers: `user:<user id>` or `group:<group id>`.
        conversation_id: String,
    },
    Watching {},
    Acknowledged {},
    IdleSet {},
    Pong {},
    Error(Members),
}

impl SocketFrame {
    pub(super) fn json(&self) -> Result<String, axum::Error> {
        serde_json::to_string(self).map_err(axum::Error::new)
    }
}

impl From<Problem> for SocketFrame {
    fn from(problem: Problem) -> Self {
        Self::Error(problem.into_members())
    }
}

impl From<&Event> for SocketFrame {
    fn from(event: &Event) -> Self {
        match event {
            Event::Opened(state) => Self::Opened(state.clone().into()),
            Event::Entry(entry) => Self::Entry(entry.as_ref().into()),
            Event::HistoryTruncated(gone) => Self::HistoryTruncated(gone.clone().into()),
            Event::TimelineReset { epoch } => Self::TimelineReset(TimelineReset { epoch: *epoch }),
            Event::Signal(signal) => Self::Signal(signal.as_ref().into()),
            Event::Presence(users) => Self::Presence(users.as_ref().into()),
            Event::Heartbeat => Self::Heartbeat {},
            Event::SessionEnded(end) => Self::SessionEnded(end.into()),
            Event::Reconnect => Self::Reconnect(Reconnect {}),
        }
    }
}

/// The largest frame that could be valid, in bytes: what a body of REST may be.
pub(super) fn largest_frame(service: &Service) -> usize {
    crate::rest::largest_body(service)
}

/// Reads a frame. A problem names the field as a request over REST would, and the message that it is
/// about if that can be told.
pub(super) fn parse(text: &str) -> Result<SocketRequest, Problem> {
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = read("frame", &mut json).and_then(|request| {
        json.end().map(|()| request).map_err(|e| Problem::invalid("frame", &e))
    });
    parsed.map_err(|problem| {
        let id = serde_json::from_str::<AnySend>(text).ok().map(|any| any.send.client_message_id);
        let problem = problem.below_member();
        match id {
            Some(id) => problem.about("client_message_id", &id),
            None => problem,
        }
    })
}

/// As much of a `send` as it takes to say which one was bad.
#[derive(Deserialize)]
struct AnySend {
    send: AnyMessage,
}

#[derive(Deserialize)]
struct AnyMessage {
    client_message_id: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused(text: &str) -> Value {
        let problem = parse(text).map(|request| format!("{request:?}")).unwrap_err();
        serde_json::to_value(SocketFrame::from(problem)).unwrap()["error"].take()
    }

    #[test]
    fn a_frame_is_an_object_of_one_member() {
        assert!(matches!(parse(r#"{"ping":{}}"#), Ok(SocketRequest::Ping {})));
        assert!(matches!(parse(r#" {"subscribe":{"new":1}} "#),
            Ok(SocketRequest::Subscribe { after, last: 0, .. }) if after.is_empty()));
        for bad in
            ["", "7", "{", "{}", r#"{"pong":{}}"#, r#"{"ping":{}} {}"#, r#"{"ping":{},"x":1}"#]
        {
            let problem = refused(bad);
            assert_eq!(
                (&problem["code"], &problem["status"]),
                (&json!("invalid_argument"), &json!(400))
            );
        }
    }

    #[test]
    fn a_bad_send_names_the_field_and_the_message() {
        let problem = refused(r#"{"send":{"client_message_id":"7","text":7}}"#);
        assert_eq!(
            (&problem["field"], &problem["client_message_id"]),
            (&json!("text"), &json!("7"))
        );
        let problem = refused(r#"{"send":{"client_message_id":7}}"#);
        assert_eq!(problem["field"], "client_message_id");
        assert_eq!(problem.get("client_message_id"), None);
        assert_eq!(refused(r#"{"send":7}"#)["field"], "send");
    }
}
