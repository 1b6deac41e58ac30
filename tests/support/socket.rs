//! The client over WebSocket: sends and streams, each on a connection of its own. What does not go
//! over them goes over REST.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures::{SinkExt, StreamExt, stream, stream::SplitSink};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::{Mutex as AsyncMutex, oneshot},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, handshake::client::Request},
};

use super::{
    api::{
        Api, ContactCall, Events, GroupCall, Login, Outgoing, OutgoingSignal, ProfileCall, Result,
        ScheduleCall,
    },
    failure::Failure,
    rest::{Rest, edit_body, entry_of, send_request},
    types::{
        BlockedUserPage, ConversationPage, ConversationSettings, EditPage, Edited, Entry, Event,
        FileCall, FileRequest, FoundPage, HistoryPage, Info, LoggedIn, PresenceList, Reaction,
        ReactionPage, SearchCall, Sent, Session, Stretch, Tokens, UserPresence,
    },
    within_deadline,
};

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection, frame by frame.
pub(crate) struct Socket {
    stream: Stream,
}

impl Socket {
    /// Opens a connection that says nothing of who it is for.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::connect(request(address)).await.expect("a WebSocket")
    }

    /// Opens a connection with a token in its first frame, which is not answered yet.
    pub(crate) async fn open_as(address: SocketAddr, token: &str) -> Self {
        let mut socket = Self::open(address).await;
        socket.say(&json!({ "authenticate": { "access_token": token } })).await;
        socket
    }

    pub(crate) async fn connect(request: Request) -> std::result::Result<Self, Error> {
        Ok(Self { stream: connect_async(request).await?.0 })
    }

    pub(crate) async fn say(&mut self, frame: &Value) {
        self.say_raw(Message::text(frame.to_string())).await.expect("a frame that is sent");
    }

    pub(crate) async fn say_raw(&mut self, message: Message) -> std::result::Result<(), Error> {
        self.stream.send(message).await
    }

    /// The next frame, by name; `None` when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            match self.stream.next().await?.ok()? {
                Message::Text(text) => return Some(named(&text)),
                Message::Close(_) => return None,
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("a server says {other:?}"),
            }
        }
    }

    /// The close code behind the last frame.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            match within_deadline("a close", self.stream.next()).await {
                Some(Ok(Message::Close(Some(close)))) => return close.code.into(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("the last frame is followed by {other:?}"),
            }
        }
    }
}

/// The request that opens a connection.
pub(crate) fn request(address: SocketAddr) -> Request {
    format!("ws://{address}/v1/ws").into_client_request().expect("a URL")
}

/// Where to start: `last=5` is a member of its own, all else is `after`.
fn start(after: &str) -> Value {
    match after.strip_prefix("last=") {
        Some(last) => json!({ "last": last.parse::<i32>().expect("a number") }),
        None => json!({ "after": after }),
    }
}

/// A frame's name and what it holds.
fn named(text: &str) -> (String, Value) {
    let frame: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text}"));
    let Value::Object(members) = frame else { panic!("{text} is no object") };
    assert_eq!(members.len(), 1, "one member in {text}");
    members.into_iter().next().expect("one member")
}

/// What an `error` frame says.
pub(crate) fn failure(problem: Value) -> Failure {
    let status = problem["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    let members: BTreeMap<String, Value> = serde_json::from_value(problem).expect("an object");
    let mut failure = Failure::from_problem(status.expect("a status"), members);
    failure.details.remove("client_message_id");
    failure.details.remove("conversation_id");
    failure
}

/// The event that a frame is.
pub(crate) fn event((name, data): (String, Value)) -> Event {
    let of = |data| serde_json::from_value(data).expect("a signal");
    match name.as_str() {
        "opened" => Event::Opened(serde_json::from_value(data).expect("a state")),
        "entry" => Event::Entry(entry_of(data)),
        "history_truncated" => {
            Event::HistoryTruncated(serde_json::from_value(data).expect("a stretch"))
        }
        "timeline_reset" => {
            Event::TimelineReset { epoch: data["epoch"].as_i64().expect("an epoch") }
        }
        "presence" => {
            let list: PresenceList = serde_json::from_value(data).expect("users");
            Event::Presence(list.users)
        }
        "signal" => Event::Signal(of(data)),
        "heartbeat" => Event::Heartbeat,
        "session_ended" => Event::SessionEnded(serde_json::from_value(data).expect("an end")),
        "reconnect" => Event::Reconnect,
        _ => panic!("an unknown event {name:?}"),
    }
}

pub(crate) struct Sockets {
    rest: Rest,
    address: SocketAddr,
    /// By token.
    sending: AsyncMutex<HashMap<String, Sending>>,
}

impl Sockets {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { rest: Rest::new(address), address, sending: AsyncMutex::default() }
    }

    /// Says something on a connection of its own, up to the frame that answers it.
    async fn ask(&self, token: &str, request: &Value, answered: &str) -> Result<Value> {
        let mut socket = Socket::open_as(self.address, token).await;
        socket.say(request).await;
        loop {
            match socket.next().await {
                Some((name, _)) if name == "authenticated" => {}
                Some((name, answer)) if name == answered => return Ok(answer),
                Some((_, problem)) => return Err(failure(problem)),
                None => return Err(Failure::lost("the connection has ended")),
            }
        }
    }

    /// Opens a stream.
    async fn follow(&self, token: &str, subscribe: &Value) -> Result<Events> {
        let mut socket = Socket::open_as(self.address, token).await;
        socket.say(&json!({ "subscribe": subscribe })).await;
        loop {
            match socket.next().await {
                Some((name, _)) if name == "authenticated" => {}
                Some((name, problem)) if name == "error" => return Err(failure(problem)),
                Some(opened) => {
                    let first = stream::iter([Ok(event(opened))]);
                    let rest = stream::unfold(socket, async |mut socket| {
                        Some((Ok(event(socket.next().await?)), socket))
                    });
                    return Ok(first.chain(rest).boxed());
                }
                None => return Err(Failure::lost("the connection has ended")),
            }
        }
    }
}

/// Those who wait for answers, by `client_message_id`. `None` when there will be no more.
type Waiting = Arc<Mutex<Option<HashMap<String, VecDeque<oneshot::Sender<Result<Sent>>>>>>>;

/// A connection that sends.
struct Sending {
    outgoing: SplitSink<Stream, Message>,
    waiting: Waiting,
}

impl Sending {
    async fn open(address: SocketAddr, token: &str) -> Result<Self> {
        let mut request = request(address);
        let header = format!("Bearer {token}").parse().expect("a header");
        request.headers_mut().insert("authorization", header);
        let mut socket = Socket::connect(request).await.map_err(Failure::lost)?;
        match socket.next().await {
            Some((name, _)) if name == "authenticated" => {}
            Some((name, problem)) if name == "error" => return Err(failure(problem)),
            other => return Err(Failure::lost(format!("{other:?}"))),
        }
        let (outgoing, mut incoming) = socket.stream.split();
        let waiting = Waiting::new(Mutex::new(Some(HashMap::new())));
        let answered = waiting.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = incoming.next().await {
                let Message::Text(text) = message else { continue };
                answer(&answered, named(&text));
            }
            answered.lock().expect("no panic").take();
        });
        Ok(Self { outgoing, waiting })
    }

    /// Sends; the answer comes by the receiver. `None` when the connection has ended.
    async fn send(&mut self, message: &Outgoing) -> Option<oneshot::Receiver<Result<Sent>>> {
        let (reply, answer) = oneshot::channel();
        let id = message.client_message_id.clone();
        self.waiting.lock().expect("no panic").as_mut()?.entry(id).or_default().push_back(reply);
        let frame = json!({ "send": send_request(message) });
        self.outgoing.send(Message::text(frame.to_string())).await.ok()?;
        Some(answer)
    }
}

/// Hands an answer to the one who waits for it; one for nobody in particular ends it for all.
fn answer(waiting: &Waiting, (name, mut data): (String, Value)) {
    let id = data["client_message_id"].as_str().map(str::to_owned);
    let answer = match name.as_str() {
        "sent" => Ok(serde_json::from_value(data.take()).expect("an answer")),
        "error" => Err(failure(data.take())),
        // Then the connection ends.
        "reconnect" => return,
        _ => panic!("{name} is no answer to a send"),
    };
    let mut waiting = waiting.lock().expect("no panic");
    let Some(all) = waiting.as_mut() else { return };
    let Some(id) = id else {
        for reply in all.drain().flat_map(|(_, replies)| replies) {
            let _ = reply.send(answer.clone());
        }
        return;
    };
    let replies = all.get_mut(&id).and_then(VecDeque::pop_front);
    let _ = replies.expect("somebody waits for the answer").send(answer);
}

#[async_trait]
impl Api for Sockets {
    async fn info(&self) -> Result<Info> {
        self.rest.info().await
    }

    async fn login(&self, login: &Login) -> Result<LoggedIn> {
        self.rest.login(login).await
    }

    async fn refresh(&self, refresh_token: &str) -> Result<Tokens> {
        self.rest.refresh(refresh_token).await
    }

    async fn logout(&self, token: &str) -> Result<()> {
        self.rest.logout(token).await
    }

    async fn sessions(&self, token: &str) -> Result<Vec<Session>> {
        self.rest.sessions(token).await
    }

    async fn end_session(&self, token: &str, session_id: &str) -> Result<()> {
        self.rest.end_session(token, session_id).await
    }

    async fn send(&self, token: &str, message: &Outgoing) -> Result<Sent> {
        let answer = {
            let mut sending = self.sending.lock().await;
            let sent = match sending.get_mut(token) {
                Some(open) => open.send(message).await,
                None => None,
            };
            if let Some(answer) = sent {
                answer
            } else {
                let mut fresh = Sending::open(self.address, token).await?;
                let answer = fresh.send(message).await;
                sending.insert(token.to_owned(), fresh);
                answer.ok_or_else(|| Failure::lost("the connection has ended"))?
            }
        };
        answer.await.map_err(Failure::lost)?
    }

    async fn signal(&self, token: &str, signal: &OutgoingSignal) -> Result<()> {
        self.ask(token, &json!({ "signal": signal.body() }), "signaled").await.map(drop)
    }

    async fn subscribe(&self, token: &str, after: &str) -> Result<Events> {
        self.follow(token, &json!(start(after))).await
    }

    async fn watch(&self, token: &str, user_ids: &[&str], idle: bool) -> Result<Events> {
        let subscribe = json!({ "after": "now", "watch": user_ids, "idle": idle });
        self.follow(token, &subscribe).await
    }

    async fn presence(&self, token: &str, user_ids: &[&str]) -> Result<Vec<UserPresence>> {
        self.rest.presence(token, user_ids).await
    }

    async fn set_idle(&self, token: &str, idle: bool) -> Result<()> {
        self.ask(token, &json!({ "set_idle": { "idle": idle } }), "idle_set").await.map(drop)
    }

    async fn follow_acknowledging(&self, token: &str, after: &str) -> Result<Events> {
        self.follow(token, &json!({ "after": after, "acknowledging": true })).await
    }

    async fn acknowledge(&self, token: &str, cursor: &str) -> Result<()> {
        self.ask(token, &json!({ "acknowledge": { "cursor": cursor } }), "acknowledged")
            .await
            .map(drop)
    }

    async fn pull(&self, token: &str, after: &str, limit: i32) -> Result<Stretch> {
        self.rest.pull(token, after, limit).await
    }

    async fn conversations_that(
        &self,
        token: &str,
        filter: &[(&str, bool)],
        page_size: i32,
        page_token: &str,
    ) -> Result<ConversationPage> {
        self.rest.conversations_that(token, filter, page_size, page_token).await
    }

    async fn set_draft(&self, token: &str, conversation_id: &str, text: &str) -> Result<()> {
        let draft = json!({ "conversation_id": conversation_id, "text": text });
        let set = self.ask(token, &json!({ "set_draft": draft }), "draft_set").await?;
        assert_eq!(set, json!({ "conversation_id": conversation_id }));
        Ok(())
    }

    async fn update_conversation(
        &self,
        token: &str,
        conversation_id: &str,
        body: &Value,
    ) -> Result<ConversationSettings> {
        let mut change = body.clone();
        change["conversation_id"] = conversation_id.into();
        let request = json!({ "update_conversation": change });
        let mut updated = self.ask(token, &request, "conversation_updated").await?;
        assert_eq!(updated["conversation_id"], conversation_id);
        Ok(serde_json::from_value(updated["settings"].take()).expect("settings"))
    }

    async fn mark_read(&self, token: &str, conversation_id: &str, seq: i64) -> Result<i64> {
        let mut socket = Socket::open_as(self.address, token).await;
        let mark = json!({ "conversation_id": conversation_id, "seq": seq });
        socket.say(&json!({ "mark_read": mark })).await;
        loop {
            match socket.next().await {
                Some((name, _)) if name == "authenticated" => {}
                Some((name, marked)) if name == "marked_read" => {
                    return Ok(marked["read_seq"].as_i64().expect("a place"));
                }
                Some((_, problem)) => return Err(failure(problem)),
                None => return Err(Failure::lost("the connection has ended")),
            }
        }
    }

    async fn recall(&self, token: &str, message_id: &str) -> Result<()> {
        self.rest.recall(token, message_id).await
    }

    async fn edit(&self, token: &str, message_id: &str, edit: &Outgoing) -> Result<Edited> {
        let mut socket = Socket::open_as(self.address, token).await;
        let mut body = edit_body(edit);
        body["message_id"] = json!(message_id);
        socket.say(&json!({ "edit": body })).await;
        loop {
            match socket.next().await {
                Some((name, _)) if name == "authenticated" => {}
                Some((name, edited)) if name == "edited" => {
                    assert_eq!(edited["client_edit_id"], edit.client_message_id);
                    assert_eq!(edited["message_id"], message_id);
                    return Ok(serde_json::from_value(edited).expect("an edit"));
                }
                Some((_, problem)) => return Err(failure(problem)),
                None => return Err(Failure::lost("the connection has ended")),
            }
        }
    }

    async fn edits(
        &self,
        token: &str,
        message_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<EditPage> {
        self.rest.edits(token, message_id, page_size, page_token).await
    }

    async fn create_attachment(
        &self,
        token: &str,
        file: &FileCall,
    ) -> Result<(String, FileRequest)> {
        self.rest.create_attachment(token, file).await
    }

    async fn attachment_link(
        &self,
        token: &str,
        message_id: &str,
        attachment_id: &str,
    ) -> Result<FileRequest> {
        self.rest.attachment_link(token, message_id, attachment_id).await
    }

    async fn search(&self, token: &str, asked: &SearchCall) -> Result<FoundPage> {
        self.rest.search(token, asked).await
    }

    async fn pin(&self, token: &str, message_id: &str, pinned: bool) -> Result<()> {
        let mut request = json!({ "message_id": message_id });
        if !pinned {
            request["remove"] = json!(true);
        }
        let answer = self.ask(token, &json!({ "pin": request }), "pinned").await;
        let answer = answer.map_err(|mut refusal| {
            // Which request it is about; that of REST has it in its path.
            refusal.details.remove("message_id");
            refusal
        })?;
        assert_eq!(answer["message_id"], message_id);
        assert_eq!(answer.get("removed").is_some(), !pinned);
        Ok(())
    }

    async fn pins(&self, token: &str, conversation_id: &str) -> Result<Vec<(Entry, String)>> {
        self.rest.pins(token, conversation_id).await
    }

    async fn react(
        &self,
        token: &str,
        message_id: &str,
        reaction: &str,
        given: bool,
    ) -> Result<Vec<Reaction>> {
        let mut socket = Socket::open_as(self.address, token).await;
        let mut request = json!({ "message_id": message_id, "reaction": reaction });
        if !given {
            request["remove"] = json!(true);
        }
        socket.say(&json!({ "react": request })).await;
        loop {
            match socket.next().await {
                Some((name, _)) if name == "authenticated" => {}
                Some((name, mut reacted)) if name == "reacted" => {
                    assert_eq!(reacted["message_id"], message_id);
                    assert_eq!(reacted["reaction"], reaction);
                    let reactions = reacted["reactions"].take();
                    return Ok(serde_json::from_value(reactions).expect("reactions"));
                }
                Some((_, problem)) => return Err(failure(problem)),
                None => return Err(Failure::lost("the connection has ended")),
            }
        }
    }

    async fn reactions(
        &self,
        token: &str,
        message_id: &str,
        reaction: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<ReactionPage> {
        self.rest.reactions(token, message_id, reaction, page_size, page_token).await
    }

    async fn delete_message(&self, token: &str, conversation_id: &str, seq: i64) -> Result<()> {
        self.rest.delete_message(token, conversation_id, seq).await
    }

    async fn block_user(&self, token: &str, user_id: &str) -> Result<()> {
        self.rest.block_user(token, user_id).await
    }

    async fn unblock_user(&self, token: &str, user_id: &str) -> Result<()> {
        self.rest.unblock_user(token, user_id).await
    }

    async fn blocked_users(
        &self,
        token: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<BlockedUserPage> {
        self.rest.blocked_users(token, page_size, page_token).await
    }

    async fn schedule(&self, token: &str, call: &ScheduleCall) -> Result<Value> {
        match call {
            ScheduleCall::Schedule(message, send_at) => {
                let mut body = send_request(message);
                if !send_at.is_empty() {
                    body["send_at"] = send_at.as_str().into();
                }
                let mut scheduled =
                    self.ask(token, &json!({ "schedule": body }), "scheduled").await?;
                let id = scheduled.as_object_mut().and_then(|all| all.remove("client_message_id"));
                assert_eq!(id, Some(body["client_message_id"].clone()));
                Ok(scheduled)
            }
            ScheduleCall::Update(id, body) => {
                let mut update = body.clone();
                update["client_message_id"] = id.as_str().into();
                let request = json!({ "update_scheduled": update });
                let mut updated = self.ask(token, &request, "scheduled_updated").await?;
                Ok(updated["scheduled_message"].take())
            }
            ScheduleCall::Cancel(id) => {
                let request = json!({ "cancel_scheduled": { "client_message_id": id } });
                let cancelled = self.ask(token, &request, "scheduled_cancelled").await?;
                assert_eq!(cancelled, json!({ "client_message_id": id }));
                Ok(Value::Null)
            }
            ScheduleCall::List(..) => self.rest.schedule(token, call).await,
        }
    }

    async fn profile(&self, token: &str, call: &ProfileCall) -> Result<Value> {
        self.rest.profile(token, call).await
    }

    async fn contact(&self, token: &str, call: &ContactCall) -> Result<Value> {
        self.rest.contact(token, call).await
    }

    async fn group(&self, token: &str, call: &GroupCall) -> Result<Value> {
        self.rest.group(token, call).await
    }

    async fn history(
        &self,
        token: &str,
        conversation_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<HistoryPage> {
        self.rest.history(token, conversation_id, page_size, page_token).await
    }
}
