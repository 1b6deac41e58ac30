//! Following one's timeline: Server-Sent Events.

use std::sync::Arc;

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Sse, sse},
};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Query},
    presence::split,
    problem::Problem,
    types::{
        Entry, HistoryTruncated, PresenceList, Reconnect, SessionEnd, Signal, TimelineReset,
        TimelineState,
    },
};
use crate::{
    model::Result as ServiceResult,
    service::{Event, Follow, Service},
    telemetry,
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(subscribe))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Where to start: a cursor; absent or `0` for the floor; `now` for live entries only.
    #[serde(default)]
    #[param(pattern = r"^(|0|now|[0-9]{1,18}\.[0-9]{1,18})$", example = "1763880000.42")]
    after: String,
    /// Instead of `after`: start before the newest so many entries.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    last: i32,
    /// Up to 500 users with commas between them whose presence the stream tells.
    #[serde(default)]
    #[param(
        pattern = "^([A-Za-z0-9._@+=-]{1,64}(,[A-Za-z0-9._@+=-]{1,64}){0,499})?$",
        example = "bob,carl"
    )]
    watch: String,
    /// Whether nobody is at the terminal.
    #[serde(default)]
    idle: bool,
    /// Whether the client says by `PUT /v1/timeline/cursor` how far it has got. Otherwise it counts as having what the
    /// stream has handed over, though that may have been lost with the connection: it is delivered again then, but not
    /// pushed.
    #[serde(default)]
    acknowledging: bool,
}

/// Follow one's timeline.
///
/// Server-Sent Events: first what is stored after the cursor, then what comes, in the order of `seq`, each
/// entry once. The `id` of an `entry` is its cursor; no other event has one. So a client that reconnects
/// with the header `last-event-id`, as such clients do, misses nothing: the header goes before
/// `after`.
///
/// | event | data |
/// |---|---|
/// | `opened` | `TimelineState`. The first event of each stream. |
/// | `entry` | `Entry`. The next one. |
/// | `history_truncated` | `HistoryTruncated`. Entries after the cursor are gone; the entries that follow start behind them. |
/// | `timeline_reset` | `TimelineReset`. The cursor was of another numbering. Entries follow from the floor. |
/// | `signal` | `Signal`. Somebody types, or says something that is stored nowhere. |
/// | `presence` | `PresenceList`. How users are whom the stream watches: first all of them, then those who have changed. |
/// | `session_ended` | `SessionEnd`. The last event. The client stops; only a fresh login helps. |
/// | `reconnect` | `Reconnect`. The last event. Open the stream again with the last cursor. |
///
/// A client ignores an event it does not know. A stream that ends without `session_ended` is to be opened
/// again with the last cursor. While nothing happens, comment lines (`: heartbeat`) show that the stream
/// is alive.
///
/// Errors: `user_not_found` for who is to be watched; `rate_limited` when the session has too many streams open.
#[utoipa::path(
    get, path = "/v1/events", tag = "Messages", security(("access_token" = [])),
    params(
        EventsQuery,
        ("last-event-id" = Option<String>, Header, nullable = false,
            description = "The `id` of the last entry received; goes before `after`.",
            pattern = r"^(|0|now|[0-9]{1,18}\.[0-9]{1,18})$"),
    ),
    responses(
        (status = 200, description = "The events.", body = String, content_type = "text/event-stream",
            example = example),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn subscribe(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let (after, last) = match last_event_id(&headers) {
        Some(id) => (id.to_owned(), 0),
        None => (query.after, query.last),
    };
    let EventsQuery { watch, idle, acknowledging, .. } = query;
    let follow = Follow { after, last, watch: split(&watch), idle, acknowledging };
    let subscription = service.subscribe(bearer.token(), follow).await?;
    let events = subscription.into_stream().map(or_reconnect).map(|event| encode(&event));
    // Asks proxies to pass on each event as it comes.
    Ok(([("x-accel-buffering", "no")], Sse::new(events)))
}

fn example() -> &'static str {
    r#"event: opened
data: {"epoch":1763880000,"last_seq":42,"floor":1}

event: entry
data: {"seq":42,"cursor":"1763880000.42","appended_at":"2026-11-23T07:30:00.123456Z","kind":"message","message":{"message_id":"AAAAAAAAAAEAAAAAAAAAKg","conversation_id":"user:bob","sender_id":"bob","text":"On my way"}}
id: 1763880000.42

: heartbeat

event: reconnect
data: {}

"#
}

fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok().filter(|id| !id.is_empty())
}

/// A stream that fails ends like one that is wanted elsewhere: the client opens it again, and the answer
/// to that says what is wrong, if it still is.
pub(super) fn or_reconnect(event: ServiceResult<Event>) -> Event {
    event.unwrap_or_else(|error| {
        telemetry::note(&error);
        Event::Reconnect
    })
}

fn encode(event: &Event) -> Result<sse::Event, axum::Error> {
    match event {
        Event::Opened(state) => named("opened", &TimelineState::from(state.clone())),
        Event::Entry(entry) => {
            Ok(named("entry", &Entry::from(entry.as_ref()))?.id(entry.cursor.to_string()))
        }
        Event::HistoryTruncated(gone) => {
            named("history_truncated", &HistoryTruncated::from(gone.clone()))
        }
        Event::TimelineReset { epoch } => named("timeline_reset", &TimelineReset { epoch: *epoch }),
        Event::Signal(signal) => named("signal", &Signal::from(signal.as_ref())),
        Event::Presence(users) => named("presence", &PresenceList::from(users.as_ref())),
        Event::Heartbeat => Ok(sse::Event::default().comment("heartbeat")),
        Event::SessionEnded(end) => named("session_ended", &SessionEnd::from(end)),
        Event::Reconnect => named("reconnect", &Reconnect {}),
    }
}

fn named(name: &str, data: &impl Serialize) -> Result<sse::Event, axum::Error> {
    sse::Event::default().event(name).json_data(data)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use futures::stream;
    use time::macros::datetime;

    use super::*;
    use crate::model::{self, Cursor, Error, Retention, TimelineState as State, Truncated};

    async fn written(events: Vec<Event>) -> String {
        let body = Sse::new(stream::iter(events).map(|event| encode(&event))).into_response();
        String::from_utf8(to_bytes(body.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_entry_carries_its_cursor_as_id() {
        let entry = model::Entry {
            cursor: Cursor { epoch: 5, seq: 42 },
            appended_at: datetime!(2026-11-23 07:30 UTC),
            kind: model::EntryKind::Unknown,
        };
        let data =
            r#"{"seq":42,"cursor":"5.42","appended_at":"2026-11-23T07:30:00Z","kind":"unknown"}"#;
        assert_eq!(
            written(vec![Event::Entry(Arc::new(entry))]).await,
            format!("event: entry\ndata: {data}\nid: 5.42\n\n"),
        );
    }

    #[tokio::test]
    async fn no_other_event_carries_an_id() {
        let events = vec![
            Event::Opened(State {
                epoch: 5,
                last_seq: 42,
                floor: 1,
                retention: Retention::default(),
            }),
            Event::TimelineReset { epoch: 5 },
            Event::HistoryTruncated(Truncated { from: 1, to: 9, retention: Retention::default() }),
            Event::Heartbeat,
            Event::Reconnect,
        ];
        assert_eq!(
            written(events).await,
            "event: opened\ndata: {\"epoch\":5,\"last_seq\":42,\"floor\":1,\
                \"retention\":{\"tier\":\"\",\"overridden\":false}}\n\n\
             event: timeline_reset\ndata: {\"epoch\":5}\n\n\
             event: history_truncated\ndata: {\"from\":1,\"to\":9,\
                \"retention\":{\"tier\":\"\",\"overridden\":false}}\n\n\
             : heartbeat\n\n\
             event: reconnect\ndata: {}\n\n"
        );
    }

    #[tokio::test]
    async fn a_stream_that_fails_asks_the_client_to_come_back() {
        let event = or_reconnect(Err(Error::unavailable("the database went away")));
        assert_eq!(written(vec![event]).await, "event: reconnect\ndata: {}\n\n");
    }

    #[test]
    fn a_reconnect_resumes_behind_the_last_entry() {
        let with = |id| HeaderMap::from_iter([("last-event-id".parse().unwrap(), id)]);
        assert_eq!(last_event_id(&with("5.42".parse().unwrap())), Some("5.42"));
        assert_eq!(last_event_id(&with("".parse().unwrap())), None);
        assert_eq!(last_event_id(&HeaderMap::new()), None);
    }
}
