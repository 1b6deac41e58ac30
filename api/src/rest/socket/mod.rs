//! Sending and following one's timeline over one WebSocket.

mod connection;
mod frames;
mod pace;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{
        State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::HeaderMap,
    response::Response,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::frames::{SocketFrame, SocketRequest};
use self::{connection::Connection, frames::largest_frame};
use super::{document::Refusal, extract::Bearer, problem::Problem};
use crate::{model::ClientAddress, service::Service, telemetry::call};

/// The subprotocol of a client that asks for one.
const PROTOCOL: &str = "imd.v1";

/// How an access token is given as a subprotocol.
const TOKEN_PROTOCOL: &str = "bearer.";

/// How many bytes a connection reads at a time: messages are small, and terminals many.
const READ_BUFFER: usize = 8 * 1024;

/// How many bytes a connection gathers before it writes.
const WRITE_BUFFER: usize = 32 * 1024;

/// How many of the largest frames may wait, beside the buffer, for a client that does not read. The
/// library answers pings by itself, so that without this bound the answers pile up in memory; a
/// connection that would need more ends.
const FRAMES_WAITING: usize = 2;

/// How much larger than any frame that could be valid one may be and still be refused by an error, not
/// by the end of the connection.
const TOLERANCE: usize = 4;

/// The open connections over WebSocket of a node. Cheap to clone.
#[derive(Clone, Default)]
pub struct Sockets {
    connections: TaskTracker,
    stopping: CancellationToken,
    cut: CancellationToken,
}

impl Sockets {
    /// Asks every connection, open or yet to come, to finish what is under way and to come back later.
    pub fn stop(&self) {
        self.stopping.cancel();
        self.connections.close();
    }

    /// Waits until the last connection has ended. For use after [`Sockets::stop`].
    pub async fn stopped(&self) {
        self.connections.wait().await;
    }

    /// Ends the connections that are left.
    pub fn cut(&self) {
        self.cut.cancel();
    }
}

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(open_socket))
}

/// Send and follow one's timeline over one WebSocket.
///
/// Each frame is a text of JSON: an object of one member, named for what it is, with the same types as
/// elsewhere. A client sends a `SocketRequest`:
///
/// | request | data |
/// |---|---|
/// | `authenticate` | `{"access_token"}`. The first frame, within 10 s, unless the token came with the handshake. Again before the token expires, with a fresh one of the same session. |
/// | `subscribe` | `{"after"}` or `{"last"}`, and `{"watch"}`, `{"idle"}` and `{"acknowledging"}`, as in `GET /v1/events`. Once a connection, or never. |
/// | `watch` | `{"user_ids"}`. Whose presence the stream tells from now on, and no others'. |
/// | `acknowledge` | `{"cursor"}`, as in `PUT /v1/timeline/cursor`. |
/// | `set_idle` | `{"idle"}`, as in `PUT /v1/presence`. |
/// | `send` | `SendRequest`. Many may be under way at a time; they are stored in the order of the frames. |
/// | `mark_read` | `{"conversation_id", "seq"}`, as in `POST /v1/conversations/{conversation_id}/read`. |
/// | `signal` | `SignalRequest`, as in `POST /v1/signals`. |
/// | `ping` | `{}`. Answered with `pong`. |
///
/// The server sends a `SocketFrame`:
///
/// | frame | data |
/// |---|---|
/// | `authenticated` | `{}`. The token is good, however it came. |
/// | `opened` | `TimelineState`. The first answer to `subscribe`. |
/// | `entry` | `Entry`. The next one. Keep its cursor: it is the `after` of the next connection. |
/// | `history_truncated` | `HistoryTruncated`. Entries after the cursor are gone; the entries that follow start behind them. |
/// | `timeline_reset` | `TimelineReset`. The cursor was of another numbering. Entries follow from the floor. |
/// | `signal` | `Signal`. Somebody types, or says something that is stored nowhere. |
/// | `presence` | `PresenceList`. How users are whom the stream watches: first all of them, then those who have changed. |
/// | `heartbeat` | `{}`. Nothing has happened for a while. |
/// | `session_ended` | `SessionEnd`. The last frame. The client stops; only a fresh login helps. |
/// | `reconnect` | `{}`. The last frame. Open another connection with the last cursor. |
/// | `sent` | `SendResponse` with the `client_message_id` that it answers. The message is stored. |
/// | `marked_read` | `MarkReadResponse` with the `conversation_id` that it answers. |
/// | `signaled` | `{"conversation_id"}` of the `signal` that it answers. |
/// | `watching` | `{}`. The answer to `watch`; `presence` follows. |
/// | `acknowledged` | `{}`. The answer to `acknowledge`. |
/// | `idle_set` | `{}`. The answer to `set_idle`. |
/// | `pong` | `{}`. The answer to `ping`. |
/// | `error` | `Problem`, with the `client_message_id` of the `send`, or the `conversation_id` of the `mark_read` or `signal`, that it answers. |
///
/// A client ignores a frame it does not know. After an `error` the connection goes on, except when the
/// first token is refused, and when its `code` is `session_ended`: that is the last frame, too. A
/// connection that ends without `session_ended` is to be opened again with the last cursor, and what was
/// sent on it without an answer to be sent again with the same `client_message_id`.
///
/// The access token is taken from `authenticate`, or with the handshake from the header `authorization`
/// or, for browsers, from the subprotocols `imd.v1` and `bearer.<access_token>`, offered both. Never from
/// the URL. A client that does not read slows nobody else: what it has not taken waits in its timeline.
#[utoipa::path(
    get, path = "/v1/ws", tag = "Messages", security((), ("access_token" = [])),
    params(
        ("sec-websocket-protocol" = Option<String>, Header, nullable = false,
            description = "`imd.v1`, and `bearer.<access_token>` for a token with the handshake."),
    ),
    responses(
        (status = 101, description = "The connection speaks WebSocket: `SocketRequest` one way, `SocketFrame` the other."),
        Refusal<426>,
    ),
)]
async fn open_socket(
    State(service): State<Arc<Service>>,
    Extension(sockets): Extension<Sockets>,
    bearer: Bearer,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| Problem::upgrade_required())?;
    let address = address.map(|Extension(address)| address);
    let token = bearer.into_token().or_else(|| token_among_protocols(&headers));
    let largest = largest_frame(&service);
    let Sockets { connections, stopping, cut } = sockets;
    let counted = connections.token();
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + largest * FRAMES_WAITING)
        .max_message_size(largest * TOLERANCE)
        .max_frame_size(largest * TOLERANCE);
    let call = call::current();
    Ok(upgrade.on_upgrade(async move |socket| {
        let connection = Connection::new(service, socket, address, largest);
        let conversation = Box::pin(connection.run(token, stopping));
        match call {
            Some(call) => drop(call.run(cut.run_until_cancelled(conversation)).await),
            None => drop(cut.run_until_cancelled(conversation).await),
        }
        drop(counted);
    }))
}

fn token_among_protocols(headers: &HeaderMap) -> Option<String> {
    let offered = headers.get_all("sec-websocket-protocol");
    let mut names =
        offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    names.find_map(|name| name.trim().strip_prefix(TOKEN_PROTOCOL)).map(str::to_owned)
}
