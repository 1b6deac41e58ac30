//! REST, and Server-Sent Events.

pub(super) mod json;

use std::{io, net::IpAddr, pin::Pin};

use futures::{StreamExt as _, TryStreamExt as _};
use imd_proto::v1::{
    IfOccupied, LoginRequest, LoginResponse, SendRequest, SendResponse, Tokens,
    login_request::Credential,
    send_request::{Content, To},
    subscribe_response::Event,
};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::AsyncRead;
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    io::StreamReader,
};
use tonic::transport::Uri;

use super::{Asked, KEEP_ALIVE, PATIENCE};
use crate::{error::Error, session::AccessToken};

/// Calls to one server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    /// The URL without the path.
    server: String,
}

impl Client {
    pub(super) fn new(server: &Uri) -> Self {
        let mut http = reqwest::Client::builder();
        if is_loopback(server) {
            // A proxy has a loopback of its own.
            http = http.no_proxy();
        }
        let http = http
            .http1_only()
            .connect_timeout(PATIENCE)
            .tcp_nodelay(true)
            .tcp_keepalive(KEEP_ALIVE)
            .build()
            .expect("nothing of this depends on the system");
        Self { http, server: server.to_string().trim_end_matches('/').to_owned() }
    }

    pub(super) async fn login(&self, login: LoginRequest) -> Result<(LoginResponse, i32), Error> {
        let if_occupied = match login.if_occupied() {
            IfOccupied::Refuse => "REFUSE",
            IfOccupied::Replace | IfOccupied::Unspecified => "REPLACE",
        };
        let terminal = login.terminal.unwrap_or_default();
        let mut body = json!({
            "user_id": login.user_id,
            "terminal": {
                "type": terminal.r#type,
                "device_id": terminal.device_id,
                "device_name": terminal.device_name,
            },
            "if_occupied": if_occupied,
        });
        match login.credential {
            Some(Credential::Password(password)) => body["password"] = Value::String(password),
            Some(Credential::Assertion(token)) => body["assertion"] = Value::String(token),
            None => {}
        }
        let (login, info) = tokio::try_join!(
            call::<json::LoginResponse>(self.post("/v1/login").json(&body)),
            call::<json::Info>(self.request(Method::GET, "/v1/info")),
        )?;
        Ok((login.into(), info.heartbeat_interval))
    }

    pub(super) async fn refresh(&self, refresh_token: String) -> Result<Tokens, Error> {
        let body = json!({ "refresh_token": refresh_token });
        let tokens = call::<json::Tokens>(self.post("/v1/refresh").json(&body)).await?;
        Ok(tokens.into())
    }

    pub(super) async fn logout(&self, token: &AccessToken) -> Result<(), Error> {
        answer(authorized(self.post("/v1/logout"), token)).await.map(drop)
    }

    pub(super) async fn send(
        &self,
        token: &AccessToken,
        message: SendRequest,
    ) -> Result<SendResponse, Error> {
        let body = send_body(message);
        let request = authorized(self.post("/v1/messages"), token).json(&body);
        Ok(call::<json::SendResponse>(request).await?.into())
    }

    pub(super) async fn subscribe(
        &self,
        token: &AccessToken,
        after: &str,
        asked: &Asked,
    ) -> Result<Events, Error> {
        // Of what cursors and ids are made of, only the plus sign needs escaping.
        let watched = asked.watched.join(",").replace('+', "%2B");
        let acknowledging = asked.acknowledging;
        let path =
            format!("/v1/events?after={after}&watch={watched}&acknowledging={acknowledging}");
        let stream = answer(authorized(self.request(Method::GET, &path), token)).await?;
        let bytes = stream.bytes_stream().map_err(io::Error::other);
        Ok(Events::new(StreamReader::new(bytes)))
    }

    pub(super) async fn acknowledge(&self, token: &AccessToken, cursor: &str) -> Result<(), Error> {
        let request = self.request(Method::PUT, "/v1/timeline/cursor");
        let request = request.timeout(PATIENCE).json(&json!({ "cursor": cursor }));
        answer(authorized(request, token)).await?;
        Ok(())
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.server))
    }
}

/// Whether the server is on this machine, whatever the environment says of proxies.
fn is_loopback(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A `SendRequest` as REST and the socket have it.
pub(super) fn send_body(message: SendRequest) -> Value {
    let mut body = json!({ "client_message_id": message.client_message_id });
    match message.to {
        Some(To::UserId(user_id)) => body["to"] = json!({ "user_id": user_id }),
        Some(To::GroupId(group_id)) => body["to"] = json!({ "group_id": group_id }),
        None => {}
    }
    match message.content {
        Some(Content::Text(text)) => body["text"] = Value::String(text),
        Some(Content::Data(typed)) => {
            body["content_type"] = Value::String(typed.content_type);
            body["data"] = Value::String(json::base64(&typed.data));
        }
        None => {}
    }
    if !message.mentions.is_empty() {
        body["mentions"] = json!(message.mentions);
    }
    if !message.reply_to.is_empty() {
        body["reply_to"] = Value::from(message.reply_to.as_str());
    }
    if !message.attachments.is_empty() {
        body["attachments"] = json!(message.attachments);
    }
    if message.mention_all {
        body["mention_all"] = Value::Bool(true);
    }
    body
}

fn authorized(request: RequestBuilder, token: &AccessToken) -> RequestBuilder {
    request.header("authorization", token.bearer.as_bytes())
}

async fn call<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Error> {
    answer(request).await?.json().await.map_err(|error| failure(&error))
}

/// The answer, unless it is a problem.
async fn answer(request: RequestBuilder) -> Result<Response, Error> {
    let response = request.send().await.map_err(|error| failure(&error))?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    match response.json::<json::Problem>().await {
        Ok(problem) => Err(problem.into()),
        Err(_) => Err(Error::Connection(format!("{status} from elsewhere"))),
    }
}

fn failure(error: &reqwest::Error) -> Error {
    if error.is_decode() {
        return Error::Contract("JSON of another shape");
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Error::Connection(cause.to_string())
}

/// A stream of events.
pub(crate) struct Events {
    lines: FramedRead<Pin<Box<dyn AsyncRead + Send>>, LinesCodec>,
    /// The fields of the event that is being read.
    name: String,
    data: String,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    fn new(stream: impl AsyncRead + Send + 'static) -> Self {
        let lines =
            FramedRead::new(Box::pin(stream) as Pin<Box<dyn AsyncRead + Send>>, LinesCodec::new());
        Self { lines, name: String::new(), data: String::new() }
    }

    /// As [`Events::next`](super::Events::next).
    pub(super) async fn next(&mut self) -> Result<Option<Option<Event>>, Error> {
        while let Some(line) = self.lines.next().await {
            let line = line.map_err(|error| Error::Connection(error.to_string()))?;
            if line.starts_with(':') {
                return Ok(Some(Some(Event::Heartbeat(imd_proto::v1::Heartbeat {}))));
            }
            if !line.is_empty() {
                self.take(&line);
                continue;
            }
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            if !data.is_empty() {
                return json::event(&name, &data).map(Some);
            }
        }
        Ok(None)
    }

    fn take(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" if self.data.is_empty() => value.clone_into(&mut self.data),
            "data" => self.data.extend(["\n", value]),
            // The cursor of an entry is in the entry, too.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use imd_proto::v1::{EndReason, Retention, TimelineState, Tombstone, entry::Kind, message};

    use super::*;

    async fn read(text: &'static str) -> Vec<Result<Option<Event>, Error>> {
        let mut events = Events::new(text.as_bytes());
        let mut read = Vec::new();
        while let Some(event) = events.next().await.transpose() {
            read.push(event);
        }
        read
    }

    #[tokio::test]
    async fn events_are_told_apart_by_name_and_unknown_ones_are_none() {
        let read = read(
            "event: opened\ndata: {\"epoch\":5,\"last_seq\":42,\"floor\":1,\"retention\":\
             {\"tier\":\"free\",\"overridden\":false,\"max_age_seconds\":604800}}\n\n\
             : heartbeat\n\n\
             event: surprise\ndata: {\"from\": \"the future\"}\n\n\
             event: history_truncated\ndata: {\"from\":1,\ndata: \"to\":9}\n\n\
             event: session_ended\r\ndata: {\"reason\":\"KICKED\",\"by_terminal_type\":\"\",\
             \"by_device_name\":\"\",\"ended_at\":\"2026-11-23T12:00:00Z\",\"note\":\"why\"}\r\n\r\n",
        )
        .await;
        let events: Vec<_> =
            read.into_iter().map(|event| event.expect("it is well-formed")).collect();
        let [Some(opened), Some(heartbeat), None, Some(gone), Some(ended)] = events.as_slice()
        else {
            panic!("{events:?}");
        };
        let max_age = Some(prost_types::Duration { seconds: 604_800, nanos: 0 });
        let retention = Retention { tier: "free".to_owned(), max_age, ..Retention::default() };
        let state = TimelineState { epoch: 5, last_seq: 42, floor: 1, retention: Some(retention) };
        assert_eq!(*opened, Event::Opened(state));
        assert!(matches!(heartbeat, Event::Heartbeat(_)));
        assert!(matches!(gone, Event::HistoryTruncated(gone) if (gone.from, gone.to) == (1, 9)));
        let Event::SessionEnded(end) = ended else { panic!("{ended:?}") };
        assert_eq!((end.reason(), end.note.as_str()), (EndReason::Kicked, "why"));
    }

    #[tokio::test]
    async fn an_entry_is_what_grpc_would_give() {
        let read = read(
            "event: entry\ndata: {\"seq\":42,\"cursor\":\"5.42\",\"appended_at\":\
             \"2026-11-23T07:30:00.5Z\",\"kind\":\"message\",\"message\":{\"message_id\":\"m\",\
             \"conversation_id\":\"user:ann\",\"sender_id\":\"ann\",\"text\":\"On my way\"}}\nid: 5.42\n\n",
        )
        .await;
        let [Ok(Some(Event::Entry(entry)))] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((entry.seq, entry.cursor.as_str()), (42, "5.42"));
        assert_eq!(entry.appended_at.map(|at| at.nanos), Some(500_000_000));
        let Some(Kind::Message(message)) = &entry.kind else { panic!("{entry:?}") };
        assert_eq!((message.message_id.as_str(), message.sender_id.as_str()), ("m", "ann"));
        assert_eq!(message.content, Some(message::Content::Text("On my way".to_owned())));
    }

    #[tokio::test]
    async fn what_became_of_messages_is_what_grpc_would_give() {
        let read = read(
            "event: entry\ndata: {\"seq\":42,\"cursor\":\"5.42\",\"appended_at\":\
             \"2026-11-23T07:30:00.5Z\",\"kind\":\"message\",\"message\":{\"message_id\":\"m\",\
             \"conversation_id\":\"user:ann\",\"sender_id\":\"ann\",\"tombstone\":\"DELETED\"}}\n\n\
             event: entry\ndata: {\"seq\":43,\"cursor\":\"5.43\",\"appended_at\":\
             \"2026-11-23T07:30:00.5Z\",\"kind\":\"message_deleted\",\"message_deleted\":\
             {\"message_id\":\"m\",\"conversation_id\":\"user:ann\",\"seq\":42}}\n\n\
             event: entry\ndata: {\"seq\":44,\"cursor\":\"5.44\",\"appended_at\":\
             \"2026-11-23T07:30:00.5Z\",\"kind\":\"read_receipt\",\"read_receipt\":\
             {\"conversation_id\":\"user:ann\",\"seq\":40}}\n\n",
        )
        .await;
        let kinds = read.into_iter().map(|event| match event {
            Ok(Some(Event::Entry(entry))) => entry.kind.expect("it is known"),
            other => panic!("{other:?}"),
        });
        let [Kind::Message(message), Kind::MessageDeleted(deleted), Kind::ReadReceipt(receipt)] =
            &kinds.collect::<Vec<_>>()[..]
        else {
            panic!("other kinds");
        };
        assert_eq!((message.tombstone(), &message.content), (Tombstone::Deleted, &None));
        assert_eq!((deleted.message_id.as_str(), deleted.seq), ("m", 42));
        assert_eq!((receipt.conversation_id.as_str(), receipt.seq), ("user:ann", 40));
    }

    #[tokio::test]
    async fn what_is_no_json_is_a_breach_of_the_contract() {
        let read = read("event: opened\ndata: hello\n\n").await;
        assert!(matches!(read.as_slice(), [Err(Error::Contract(_))]), "{read:?}");
    }

    #[test]
    fn loopback_is_told_from_the_rest() {
        for (url, local) in [
            ("http://127.0.0.1:8080", true),
            ("http://127.9.9.9", true),
            ("http://LOCALHOST:8080", true),
            ("http://[::1]:8080", true),
            ("http://10.0.0.1:8080", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&Uri::from_static(url)), local, "{url}");
        }
    }

    #[test]
    fn a_problem_is_the_error_that_grpc_would_give() {
        let problem: json::Problem = serde_json::from_str(
            r#"{"type": "about:blank", "status": 429, "code": "overloaded", "detail": "busy", "retry_after": 2}"#,
        )
        .expect("a problem");
        let error = Error::from(problem);
        assert_eq!((error.code(), error.may_pass()), ("overloaded", true));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
    }
}
