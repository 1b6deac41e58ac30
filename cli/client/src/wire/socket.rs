//! One WebSocket for a terminal: its sends and its timeline. Logins and renewals go over REST.

use std::{
    collections::HashMap,
    fmt::{Debug, Formatter},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use imd_proto::v1::{SendRequest, SendResponse, subscribe_response::Event};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::{net::TcpStream, sync::oneshot};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Uri,
};

use super::{
    Asked, ended,
    rest::{self, json},
};
use crate::{error::Error, session::AccessToken};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Who waits for the answer to a send, by `client_message_id`.
type Waiting = Mutex<HashMap<String, oneshot::Sender<Result<SendResponse, Error>>>>;

/// Calls to one server. All sends go over the socket of the last subscription, so it is for one
/// terminal.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(super) rest: rest::Client,
    url: String,
    line: Arc<Mutex<Option<Line>>>,
}

/// What sends need of an open socket.
#[derive(Clone)]
struct Line {
    out: Arc<tokio::sync::Mutex<Out>>,
    waiting: Arc<Waiting>,
}

struct Out {
    sink: SplitSink<Socket, Message>,
    /// The token that the server knows.
    bearer: MetadataValue<Ascii>,
}

/// The events of a socket. Reading them is what brings the answers to sends, too.
pub(crate) struct Events {
    stream: SplitStream<Socket>,
    waiting: Arc<Waiting>,
}

/// The members of a frame that say which send it answers.
#[derive(Deserialize)]
struct About {
    #[serde(default)]
    client_message_id: String,
}

impl Client {
    pub(super) fn new(server: &Uri) -> Self {
        let url = server.to_string();
        let url = format!("{}/v1/ws", url.trim_end_matches('/').replacen("http", "ws", 1));
        Self { rest: rest::Client::new(server), url, line: Arc::default() }
    }

    pub(super) async fn send(
        &self,
        token: &AccessToken,
        message: SendRequest,
    ) -> Result<SendResponse, Error> {
        let line = self.line().clone();
        let line = line.ok_or_else(|| Error::Connection("the WebSocket is not open".to_owned()))?;
        let (answer, answered) = oneshot::channel();
        let id = message.client_message_id.clone();
        line.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
        line.out.lock().await.send(token, &rest::send_body(message)).await?;
        answered.await.map_err(|_| ended())?
    }

    pub(super) async fn subscribe(
        &self,
        token: &AccessToken,
        after: &str,
        asked: &Asked,
    ) -> Result<Events, Error> {
        let mut request = self.url.as_str().into_client_request().map_err(failure)?;
        let bearer = token.bearer.as_bytes().try_into();
        let bearer = bearer.map_err(|_| Error::Contract("the access token fits no header"))?;
        request.headers_mut().insert("authorization", bearer);
        let (socket, _) = connect_async_with_config(request, None, true).await.map_err(failure)?;
        let (mut sink, stream) = socket.split();
        let Asked { watched, acknowledging } = asked;
        let subscribe = json!({ "subscribe": {
            "after": after, "watch": watched, "acknowledging": acknowledging,
        } });
        sink.send(Message::text(subscribe.to_string())).await.map_err(failure)?;
        let waiting = Arc::new(Waiting::default());
        let out = Arc::new(tokio::sync::Mutex::new(Out { sink, bearer: token.bearer.clone() }));
        *self.line() = Some(Line { out, waiting: waiting.clone() });
        Ok(Events { stream, waiting })
    }

    fn line(&self) -> MutexGuard<'_, Option<Line>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Out {
    /// Sends a message; before it a token that the server does not know yet.
    async fn send(&mut self, token: &AccessToken, body: &serde_json::Value) -> Result<(), Error> {
        if self.bearer != token.bearer {
            let bearer = token.bearer.to_str().unwrap_or_default();
            let access_token = bearer.strip_prefix("Bearer ").unwrap_or(bearer);
            let authenticate = json!({ "authenticate": { "access_token": access_token } });
            self.say(&authenticate).await?;
            self.bearer = token.bearer.clone();
        }
        self.say(&json!({ "send": body })).await
    }

    async fn say(&mut self, frame: &serde_json::Value) -> Result<(), Error> {
        self.sink.send(Message::text(frame.to_string())).await.map_err(failure)
    }
}

impl Events {
    /// As [`Events::next`](super::Events::next).
    pub(super) async fn next(&mut self) -> Result<Option<Option<Event>>, Error> {
        while let Some(message) = self.stream.next().await {
            let text = match message.map_err(failure)? {
                Message::Text(text) => text,
                Message::Close(_) => return Ok(None),
                _ => continue,
            };
            let shape = |_| Error::Contract("a frame of another shape");
            let frame: HashMap<&str, &RawValue> = serde_json::from_str(&text).map_err(shape)?;
            let Some((name, data)) = frame.into_iter().next() else { continue };
            let data = data.get();
            match name {
                "sent" => {
                    let response =
                        serde_json::from_str::<json::SendResponse>(data).map_err(shape)?;
                    self.answer(&about(data)?, Ok(response.into()));
                }
                "error" => {
                    let problem: json::Problem = serde_json::from_str(data).map_err(shape)?;
                    let error = Error::from(problem);
                    let about = about(data)?;
                    if about.is_empty() {
                        return Err(error);
                    }
                    self.answer(&about, Err(error));
                }
                "heartbeat" => {
                    return Ok(Some(Some(Event::Heartbeat(imd_proto::v1::Heartbeat {}))));
                }
                "authenticated" | "pong" | "marked_read" => {}
                _ => return json::event(name, data).map(Some),
            }
        }
        Ok(None)
    }

    fn answer(&self, client_message_id: &str, answer: Result<SendResponse, Error>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = waiting.remove(client_message_id) {
            let _ = waiting.send(answer);
        }
    }
}

impl Drop for Events {
    /// Those who wait for an answer get none.
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Debug for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Debug for Events {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// The `client_message_id` of the send that a frame is about; empty when it is about none.
fn about(data: &str) -> Result<String, Error> {
    let about = serde_json::from_str::<About>(data);
    about
        .map(|about| about.client_message_id)
        .map_err(|_| Error::Contract("a frame of another shape"))
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failure(error: tungstenite::Error) -> Error {
    Error::Connection(error.to_string())
}
