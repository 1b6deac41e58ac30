//! One WebSocket: requests in, answers and the events of the timeline out.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    Error,
    extract::ws::{CloseFrame, Message, WebSocket, close_code},
};
use futures::{
    FutureExt, SinkExt, StreamExt,
    future::{BoxFuture, OptionFuture},
    stream::{self, BoxStream, FuturesUnordered, SplitSink, SplitStream},
};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    frames::{SocketFrame, SocketRequest, parse},
    pace::Pace,
};
use crate::{
    model::{ClientAddress, Error as ServiceError, SessionId},
    rest::{
        events::or_reconnect,
        problem::Problem,
        types::{
            CancelScheduledRequest, DraftOfConversation, EditOfMessage, MarkReadResponse,
            PinRequest, ReactRequest, ScheduleRequest, SendRequest, SignalRequest,
            UpdateOfConversation, UpdateOfScheduled, UpdateScheduledRequest, UserId,
        },
    },
    service::{
        EditMessage, Event, Follow, Send as SendMessage, SendOrder, Service, UpdateScheduled,
        Watcher,
    },
    telemetry::{call, trace},
};

/// How many requests of a connection may wait for their commit; its further frames wait unread.
const REQUESTS_UNDER_WAY: usize = 64;

/// How long a connection may be open without a good token.
const TIME_TO_AUTHENTICATE: Duration = Duration::from_secs(10);

/// How long a client may take nothing of what is written to it. What it misses waits in its timeline.
const TIME_TO_READ: Duration = Duration::from_mins(2);

/// How long a client may take to answer the end of a connection.
const TIME_TO_CLOSE: Duration = Duration::from_secs(2);

/// How a connection ends: the last frame, and the close code behind it.
struct Ending {
    last: SocketFrame,
    code: u16,
}

impl Ending {
    /// The client is to stop.
    fn ended(last: SocketFrame) -> Self {
        Self { last, code: close_code::NORMAL }
    }

    /// The client is to come back, here or elsewhere.
    fn reconnect() -> Self {
        Self { last: (&Event::Reconnect).into(), code: close_code::RESTART }
    }

    fn refused(last: SocketFrame) -> Self {
        Self { last, code: close_code::POLICY }
    }
}

/// What a request is answered with.
type Answer = Result<SocketFrame, Problem>;

/// What the requests behind it wait for.
enum Opened {
    /// The token with its session.
    Authenticated(Result<(String, SessionId), Problem>),
    /// The events, and what says whom they tell the presence of.
    Subscribed(Result<(BoxStream<'static, Event>, Arc<Watcher>), Problem>),
    /// Of another request that the next ones wait for.
    Answered(Box<Answer>),
}

/// A request that the next ones wait for.
fn answered(
    name: &'static str,
    answer: impl Future<Output = Answer> + Send + 'static,
) -> BoxFuture<'static, Opened> {
    logged(name, answer).map(|answer| Opened::Answered(Box::new(answer))).boxed()
}

/// Does what the frame `name` asks for as a call of its own, which is logged when it ends.
fn logged<T: Send + 'static>(
    name: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> BoxFuture<'static, T> {
    let Some(call) = call::current().map(|connection| connection.request(name)) else {
        return work.boxed();
    };
    let span = trace::of_frame(name, call.id().as_str());
    let work = async move {
        let done = call.clone().run(work).instrument(span.clone()).await;
        call.describe(&span, None);
        call.end(None);
        done
    };
    work.boxed()
}

/// Ids as texts.
fn texts(user_ids: Vec<UserId>) -> Vec<String> {
    user_ids.into_iter().map(|id| id.0).collect()
}

/// What happens next on a connection.
enum Next {
    Opened(Opened),
    Answer(Answer),
    Event(Event),
    /// `None` when the client has gone.
    Message(Option<Result<Message, Error>>),
    Flushed(Result<(), Error>),
    Ending(Ending),
}

pub(super) struct Connection {
    service: Arc<Service>,
    incoming: SplitStream<WebSocket>,
    outgoing: SplitSink<WebSocket, Message>,
    /// From where it comes.
    address: Option<ClientAddress>,
    /// The largest frame to read, in bytes.
    largest: usize,
    token: Option<String>,
    /// That of the first good token.
    session: Option<SessionId>,
    /// Never ends by itself.
    events: BoxStream<'static, Event>,
    /// Of the stream, when there is one.
    watcher: Option<Arc<Watcher>>,
    /// A request that what comes behind it depends on: further frames wait unread.
    opening: Option<BoxFuture<'static, Opened>>,
    order: SendOrder,
    /// The order of its drafts: the last one counts.
    drafts: SendOrder,
    /// Requests that are not answered yet.
    under_way: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Whether something is written that may not be on its way yet.
    unflushed: bool,
    pace: Pace,
}

impl Connection {
    pub(super) fn new(
        service: Arc<Service>,
        socket: WebSocket,
        address: Option<ClientAddress>,
        largest: usize,
    ) -> Self {
        let (outgoing, incoming) = socket.split();
        let most_pings = service.most_pings();
        Self {
            service,
            incoming,
            outgoing,
            address,
            largest,
            token: None,
            session: None,
            events: stream::pending().boxed(),
            watcher: None,
            opening: None,
            order: SendOrder::default(),
            drafts: SendOrder::default(),
            under_way: FuturesUnordered::new(),
            unflushed: false,
            pace: Pace::new(most_pings, Instant::now()),
        }
    }

    /// Serves the connection to its end. `token` is what came with the handshake.
    pub(super) async fn run(mut self, token: Option<String>, stopping: CancellationToken) {
        if let Some(token) = token {
            self.authenticate(token);
        }
        match self.serve(&stopping).await {
            Ok(Some(ending)) => {
                let patience = if self.session.is_some() { TIME_TO_READ } else { TIME_TO_CLOSE };
                let _ = timeout(patience, self.end(ending)).await;
            }
            Ok(None) => self.finish().await,
            // The connection is broken, or what came over it is no WebSocket.
            Err(error) => {
                self.close(close_code::PROTOCOL, error.to_string()).await.unwrap_or_default();
                self.finish().await;
            }
        }
    }

    /// Until there is an end to be told, or the client has gone.
    async fn serve(&mut self, stopping: &CancellationToken) -> Result<Option<Ending>, Error> {
        let authenticate_by = Instant::now() + TIME_TO_AUTHENTICATE;
        loop {
            match self.next(stopping, authenticate_by).await {
                Next::Opened(opened) => {
                    self.opening = None;
                    if let Err(ending) = self.opened(opened).await? {
                        return Ok(Some(ending));
                    }
                }
                Next::Answer(answer) => {
                    if let Err(ending) = self.say(answer).await? {
                        return Ok(Some(ending));
                    }
                }
                Next::Event(event) => match event {
                    Event::SessionEnded(_) => return Ok(Some(Ending::ended((&event).into()))),
                    Event::Reconnect => return Ok(Some(Ending::reconnect())),
                    event => self.write(&(&event).into()).await?,
                },
                Next::Message(Some(message)) => match message? {
                    Message::Text(text) => {
                        if let Err(ending) = self.answer(text.as_str()).await? {
                            return Ok(Some(ending));
                        }
                    }
                    Message::Binary(_) => {
                        self.write(&Problem::unsupported_media_type().into()).await?;
                    }
                    Message::Close(_) => return Ok(None),
                    // Pings are answered by the one who reads them.
                    Message::Ping(_) | Message::Pong(_) => {}
                },
                Next::Message(None) => return Ok(None),
                Next::Flushed(flushed) => {
                    flushed?;
                    self.unflushed = false;
                }
                Next::Ending(ending) => return Ok(Some(ending)),
            }
        }
    }

    async fn next(&mut self, stopping: &CancellationToken, authenticate_by: Instant) -> Next {
        tokio::select! {
            () = stopping.cancelled() => Next::Ending(Ending::reconnect()),
            () = sleep_until(authenticate_by), if self.session.is_none() => {
                let late = ServiceError::InvalidToken("no access token has come in time");
                Next::Ending(Ending::refused(Problem::from(late).into()))
            }
            Some(opened) = OptionFuture::from(self.opening.as_mut()) => Next::Opened(opened),
            Some(answer) = self.under_way.next() => Next::Answer(answer),
            Some(event) = self.events.next() => Next::Event(event),
            message = self.incoming.next(), if self.takes_requests() => self.counted(message),
            flushed = self.outgoing.flush(), if self.unflushed => Next::Flushed(flushed),
        }
    }

    /// The next message, unless it is one too many.
    fn counted(&mut self, message: Option<Result<Message, Error>>) -> Next {
        let Some(Ok(frame)) = &message else { return Next::Message(message) };
        match self.pace.count(frame, self.session.is_some(), Instant::now()) {
            Ok(()) => Next::Message(message),
            Err(refusal) => Next::Ending(Ending::refused(Problem::from(refusal).into())),
        }
    }

    /// Answers a frame, or takes it up to be answered later.
    async fn answer(&mut self, text: &str) -> Result<Result<(), Ending>, Error> {
        if text.len() > self.largest {
            self.write(&Problem::body_too_large().into()).await?;
            return Ok(Ok(()));
        }
        match parse(text) {
            Ok(SocketRequest::Authenticate { access_token }) => self.authenticate(access_token),
            Ok(SocketRequest::Subscribe { after, last, watch, idle, acknowledging }) => {
                let follow = Follow { after, last, watch: texts(watch), idle, acknowledging };
                match self.subscribe(follow) {
                    // The first event is the answer.
                    Ok(()) => {}
                    Err(problem) => return self.say(Err(problem)).await,
                }
            }
            Ok(SocketRequest::Watch { user_ids }) => match self.watch(texts(user_ids)) {
                Ok(()) => {}
                Err(problem) => return self.say(Err(problem)).await,
            },
            Ok(SocketRequest::Acknowledge(request)) => self.acknowledge(request.cursor),
            Ok(SocketRequest::SetIdle(request)) => self.set_idle(request.idle),
            Ok(SocketRequest::Send(request)) => self.send(request),
            Ok(SocketRequest::Edit(request)) => self.edit(request),
            Ok(SocketRequest::React(request)) => self.react(request),
            Ok(SocketRequest::Pin(request)) => self.pin(request),
            Ok(SocketRequest::Schedule(request)) => self.schedule(request),
            Ok(SocketRequest::UpdateScheduled(request)) => self.update_scheduled(request),
            Ok(SocketRequest::CancelScheduled(request)) => self.cancel_scheduled(request),
            Ok(SocketRequest::UpdateConversation(request)) => self.update_conversation(request),
            Ok(SocketRequest::SetDraft(request)) => self.set_draft(request),
            Ok(SocketRequest::MarkRead { conversation_id, seq }) => {
                self.mark_read(conversation_id, seq);
            }
            Ok(SocketRequest::Signal(request)) => self.signal(request),
            Ok(SocketRequest::Ping {}) => return self.say(Ok(SocketFrame::Pong {})).await,
            Err(problem) => return self.say(Err(problem)).await,
        }
        Ok(Ok(()))
    }

    async fn say(&mut self, answer: Answer) -> Result<Result<(), Ending>, Error> {
        match answer {
            Ok(frame) => self.write(&frame).await?,
            Err(problem) if problem.is_end_of_session() => {
                return Ok(Err(Ending::refused(problem.into())));
            }
            Err(problem) => self.write(&problem.into()).await?,
        }
        Ok(Ok(()))
    }

    /// Whether the next frame is read: not while one before it decides what may be done, and not while
    /// too many are under way.
    fn takes_requests(&self) -> bool {
        self.opening.is_none() && self.under_way.len() < REQUESTS_UNDER_WAY
    }

    /// Has a token checked: the first one, or a fresh one of the same session.
    fn authenticate(&mut self, token: String) {
        let (service, first) = (self.service.clone(), self.session);
        let checked = async move {
            let session = service.session_of(Some(&token)).await?;
            if first.is_some_and(|first| first != session) {
                let another = ServiceError::InvalidToken("the connection is for another session");
                return Err(another.into());
            }
            Ok((token, session))
        };
        self.opening = Some(logged("authenticate", checked).map(Opened::Authenticated).boxed());
    }

    fn subscribe(&mut self, follow: Follow) -> Result<(), Problem> {
        if self.watcher.is_some() {
            return Err(Problem::invalid(
                "subscribe",
                &"the connection follows the timeline already",
            ));
        }
        let (service, token) = (self.service.clone(), self.token.clone());
        let subscribed = async move {
            let subscription = service.subscribe(token.as_deref(), follow).await?;
            let watcher = subscription.watcher();
            Ok((subscription.into_stream().map(or_reconnect).boxed(), watcher))
        };
        self.opening = Some(logged("subscribe", subscribed).map(Opened::Subscribed).boxed());
        Ok(())
    }

    /// Watches others than so far, one request after the other.
    fn watch(&mut self, user_ids: Vec<String>) -> Result<(), Problem> {
        let Some(watcher) = self.watcher.clone() else {
            return Err(Problem::invalid(
                "watch",
                &"the connection does not follow the timeline yet",
            ));
        };
        let (service, token) = (self.service.clone(), self.token.clone());
        let answer = async move {
            service.watch(token.as_deref(), &watcher, &user_ids).await?;
            Ok(SocketFrame::Watching {})
        };
        self.opening = Some(answered("watch", answer));
        Ok(())
    }

    fn acknowledge(&mut self, cursor: String) {
        let (service, token) = (self.service.clone(), self.token.clone());
        let noted = async move {
            service.acknowledge(token.as_deref(), &cursor).await?;
            Ok(SocketFrame::Acknowledged {})
        };
        self.opening = Some(answered("acknowledge", noted));
    }

    fn set_idle(&mut self, idle: bool) {
        let (service, token) = (self.service.clone(), self.token.clone());
        let set = async move {
            service.set_idle(token.as_deref(), idle).await?;
            Ok(SocketFrame::IdleSet {})
        };
        self.opening = Some(answered("set_idle", set));
    }

    /// Goes on with what the next requests depend on.
    async fn opened(&mut self, opened: Opened) -> Result<Result<(), Ending>, Error> {
        match opened {
            Opened::Authenticated(Ok((token, session))) => {
                self.session = Some(session);
                self.token = Some(token);
                self.say(Ok(SocketFrame::Authenticated {})).await
            }
            Opened::Authenticated(Err(problem)) => Ok(Err(Ending::refused(problem.into()))),
            Opened::Subscribed(Ok((events, watcher))) => {
                // The last event ends the connection.
                self.events = events.chain(stream::pending()).boxed();
                self.watcher = Some(watcher);
                Ok(Ok(()))
            }
            Opened::Subscribed(Err(problem)) => self.say(Err(problem)).await,
            Opened::Answered(answer) => self.say(*answer).await,
        }
    }

    /// Gives a message its place among those of this connection; the answer comes with its commit.
    fn send(&mut self, request: SendRequest) {
        let id = request.client_message_id().to_owned();
        let (service, token) = (self.service.clone(), self.token.clone());
        let (ticket, address) = (self.order.ticket(), self.address);
        let answer = async move {
            let about = |error: ServiceError| Problem::from(error).about("client_message_id", &id);
            let message = SendMessage { address, ..request.try_into().map_err(about)? };
            let sent = service.send_in_order(ticket, token.as_deref(), message).await;
            let response = sent.map_err(about)?.into();
            Ok(SocketFrame::Sent { client_message_id: id, response })
        };
        self.under_way.push(logged("send", answer));
    }

    fn edit(&mut self, EditOfMessage { message_id, edit: request }: EditOfMessage) {
        let id = request.client_edit_id().to_owned();
        let (service, token) = (self.service.clone(), self.token.clone());
        let address = self.address;
        let answer = async move {
            let about = |error: ServiceError| Problem::from(error).about("client_edit_id", &id);
            let edit = request.of(message_id.clone()).map_err(about)?;
            let edit = EditMessage { address, ..edit };
            let edited = service.edit_message(token.as_deref(), edit).await.map_err(about)?;
            Ok(SocketFrame::Edited { client_edit_id: id, message_id, response: edited.into() })
        };
        self.under_way.push(logged("edit", answer));
    }

    fn react(&mut self, ReactRequest { message_id, reaction, remove }: ReactRequest) {
        let (service, token) = (self.service.clone(), self.token.clone());
        let answer = async move {
            let reacted = service.react(token.as_deref(), &message_id, &reaction, !remove).await;
            let reactions =
                reacted.map_err(|error| Problem::from(error).about("message_id", &message_id))?;
            Ok(SocketFrame::Reacted { message_id, reaction, response: reactions.into() })
        };
        self.under_way.push(logged("react", answer));
    }

    fn pin(&mut self, PinRequest { message_id, remove }: PinRequest) {
        let (service, token) = (self.service.clone(), self.token.clone());
        let answer = async move {
            let pinned = service.pin(token.as_deref(), &message_id, !remove).await;
            pinned.map_err(|error| Problem::from(error).about("message_id", &message_id))?;
            Ok(SocketFrame::Pinned { message_id, removed: remove })
        };
        self.under_way.push(logged("pin", answer));
    }

    fn schedule(&mut self, request: ScheduleRequest) {
        let id = request.client_message_id().to_owned();
        let (service, token) = (self.service.clone(), self.token.clone());
        let address = self.address;
        let answer = async move {
            let about = |error: ServiceError| Problem::from(error).about("client_message_id", &id);
            let ScheduleRequest { message, send_at } = request;
            let message = SendMessage { address, ..message.try_into().map_err(about)? };
            let scheduled = service.schedule(token.as_deref(), message, send_at).await;
            let response = scheduled.map_err(about)?.into();
            Ok(SocketFrame::Scheduled { client_message_id: id, response })
        };
        self.under_way.push(logged("schedule", answer));
    }

    fn update_scheduled(&mut self, request: UpdateOfScheduled) {
        let id = request.client_message_id.clone();
        let (service, token) = (self.service.clone(), self.token.clone());
        let address = self.address;
        let answer = async move {
            let about = |error: ServiceError| Problem::from(error).about("client_message_id", &id);
            let request = UpdateScheduledRequest::from(request);
            let update = UpdateScheduled { address, ..request.try_into().map_err(about)? };
            let changed = service.change_scheduled(token.as_deref(), &id, update).await;
            let scheduled_message = (&changed.map_err(about)?).into();
            Ok(SocketFrame::ScheduledUpdated { client_message_id: id, scheduled_message })
        };
        self.under_way.push(logged("update_scheduled", answer));
    }

    fn cancel_scheduled(&mut self, request: CancelScheduledRequest) {
        let id = request.client_message_id;
        let (service, token) = (self.service.clone(), self.token.clone());
        let answer = async move {
            let cancelled = service.cancel_scheduled(token.as_deref(), &id).await;
            cancelled.map_err(|error| Problem::from(error).about("client_message_id", &id))?;
            Ok(SocketFrame::ScheduledCancelled { client_message_id: id })
        };
        self.under_way.push(logged("cancel_scheduled", answer));
    }

    fn update_conversation(&mut self, request: UpdateOfConversation) {
        let id = request.conversation_id.clone();
        let (service, token) = (self.service.clone(), self.token.clone());
        let answer = async move {
            let changed = service.change_conversation(token.as_deref(), &id, request.into()).await;
            let changed =
                changed.map_err(|error| Problem::from(error).about("conversation_id", &id))?;
            Ok(SocketFrame::ConversationUpdated { conversation_id: id, settings: changed.into() })
        };
        self.under_way.push(logged("update_conversation", answer));
    }

    /// The draft of the last frame is the last, though frames are answered side by side.
    fn set_draft(
        &mut self,
        DraftOfConversation { conversation_id: id, text }: DraftOfConversation,
    ) {
        let (service, token) = (self.service.clone(), self.token.clone());
        let ticket = self.drafts.ticket();
        let answer = async move {
            let set = service.set_draft_in_order(ticket, token.as_deref(), &id, text).await;
            set.map_err(|error| Problem::from(error).about("conversation_id", &id))?;
            Ok(SocketFrame::DraftSet { conversation_id: id })
        };
        self.under_way.push(logged("set_draft", answer));
    }

    fn mark_read(&mut self, conversation_id: String, seq: i64) {
        let (service, token) = (self.service.clone(), self.token.clone());
        let answer = async move {
            let marked = service.mark_read(token.as_deref(), &conversation_id, seq).await;
            let read_seq = marked
                .map_err(|error| Problem::from(error).about("conversation_id", &conversation_id))?;
            let response = MarkReadResponse { read_seq };
            Ok(SocketFrame::MarkedRead { conversation_id, response })
        };
        self.under_way.push(logged("mark_read", answer));
    }

    fn signal(&mut self, request: SignalRequest) {
        let (service, token) = (self.service.clone(), self.token.clone());
        let answer = async move {
            let id = request.conversation_id();
            let about = |error: ServiceError| Problem::from(error).about("conversation_id", &id);
            let signal = request.try_into().map_err(about)?;
            service.signal(token.as_deref(), signal).await.map_err(about)?;
            Ok(SocketFrame::Signaled { conversation_id: id })
        };
        self.under_way.push(logged("signal", answer));
    }

    async fn write(&mut self, frame: &SocketFrame) -> Result<(), Error> {
        let message = Message::Text(frame.json()?.into());
        self.unflushed = true;
        let written = timeout(TIME_TO_READ, self.outgoing.feed(message)).await;
        written.unwrap_or_else(|late| Err(Error::new(late)))
    }

    /// Answers what is under way, and then says the last words.
    async fn end(mut self, ending: Ending) -> Result<(), Error> {
        while let Some(answer) = self.under_way.next().await {
            self.write(&answer.unwrap_or_else(SocketFrame::from)).await?;
        }
        self.write(&ending.last).await?;
        self.close(ending.code, "").await?;
        // Closing with frames unread could cost the client the last of what was written.
        let unread = async { while let Some(Ok(_)) = self.incoming.next().await {} };
        let _ = timeout(TIME_TO_CLOSE, unread).await;
        Ok(())
    }

    async fn close(
        &mut self,
        code: u16,
        reason: impl Into<Cow<'static, str>>,
    ) -> Result<(), Error> {
        let reason: Cow<'static, str> = reason.into();
        let frame = CloseFrame { code, reason: reason.as_ref().into() };
        let closed = timeout(TIME_TO_READ, self.outgoing.send(Message::Close(Some(frame)))).await;
        closed.unwrap_or_else(|late| Err(Error::new(late)))
    }

    /// What has been taken up is stored though nobody waits for the answers any more.
    async fn finish(mut self) {
        while self.under_way.next().await.is_some() {}
    }
}
