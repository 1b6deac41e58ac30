//! One WebSocket: requests in, answers and the events of the timeline out.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    Error,
    extract::ws::{CloseFrame, Message, WebSocket, close_code},
};
use futures::{
    FutureExt, SinkExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesUnordered, SplitSink, SplitStream},
};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::frames::{SocketFrame, SocketRequest, parse};
use crate::{
    model::{Error as ServiceError, SessionId},
    rest::{
        events::or_reconnect,
        problem::Problem,
        types::{MarkReadResponse, SendRequest},
    },
    service::{Event, Service},
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

/// What happens next on a connection.
enum Next {
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
    /// The largest frame to read, in bytes.
    largest: usize,
    token: Option<String>,
    /// That of the first good token.
    session: Option<SessionId>,
    /// Never ends by itself.
    events: BoxStream<'static, Event>,
    subscribed: bool,
    /// Requests that are not answered yet.
    under_way: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Whether something is written that may not be on its way yet.
    unflushed: bool,
}

impl Connection {
    pub(super) fn new(service: Arc<Service>, socket: WebSocket, largest: usize) -> Self {
        let (outgoing, incoming) = socket.split();
        Self {
            service,
            incoming,
            outgoing,
            largest,
            token: None,
            session: None,
            events: stream::pending().boxed(),
            subscribed: false,
            under_way: FuturesUnordered::new(),
            unflushed: false,
        }
    }

    /// Serves the connection to its end. `token` is what came with the handshake.
    pub(super) async fn run(mut self, token: Option<String>, stopping: CancellationToken) {
        let opened = match token {
            Some(token) => self.authenticate(token).await.map(|()| true),
            None => Ok(false),
        };
        let ending = match opened {
            Ok(authenticated) => self.serve(authenticated, &stopping).await,
            Err(ending) => Ok(Some(ending)),
        };
        match ending {
            Ok(Some(ending)) => self.end(ending).await.unwrap_or_default(),
            Ok(None) => self.finish().await,
            // The connection is broken, or what came over it is no WebSocket.
            Err(error) => {
                self.close(close_code::PROTOCOL, error.to_string()).await.unwrap_or_default();
                self.finish().await;
            }
        }
    }

    /// Until there is an end to be told, or the client has gone.
    async fn serve(
        &mut self,
        authenticated: bool,
        stopping: &CancellationToken,
    ) -> Result<Option<Ending>, Error> {
        if authenticated {
            self.write(&SocketFrame::Authenticated {}).await?;
        }
        let authenticate_by = Instant::now() + TIME_TO_AUTHENTICATE;
        loop {
            match self.next(stopping, authenticate_by).await {
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
            Some(answer) = self.under_way.next() => Next::Answer(answer),
            Some(event) = self.events.next() => Next::Event(event),
            message = self.incoming.next(), if self.under_way.len() < REQUESTS_UNDER_WAY => {
                Next::Message(message)
            }
            flushed = self.outgoing.flush(), if self.unflushed => Next::Flushed(flushed),
        }
    }

    /// Answers a frame, or takes it up to be answered later.
    async fn answer(&mut self, text: &str) -> Result<Result<(), Ending>, Error> {
        if text.len() > self.largest {
            self.write(&Problem::body_too_large().into()).await?;
            return Ok(Ok(()));
        }
        let answer = match parse(text) {
            Ok(SocketRequest::Authenticate { access_token }) => {
                match self.authenticate(access_token).await {
                    Ok(()) => Ok(SocketFrame::Authenticated {}),
                    Err(ending) => return Ok(Err(ending)),
                }
            }
            Ok(SocketRequest::Subscribe { after, last }) => {
                match self.subscribe(&after, last).await {
                    // The first event is the answer.
                    Ok(()) => return Ok(Ok(())),
                    Err(problem) => Err(problem),
                }
            }
            Ok(SocketRequest::Send(request)) => match self.send(request).await {
                Ok(()) => return Ok(Ok(())),
                Err(problem) => Err(problem),
            },
            Ok(SocketRequest::MarkRead { conversation_id, seq }) => {
                self.mark_read(conversation_id, seq);
                return Ok(Ok(()));
            }
            Ok(SocketRequest::Ping {}) => Ok(SocketFrame::Pong {}),
            Err(problem) => Err(problem),
        };
        self.say(answer).await
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

    /// Takes the first token, or a fresh one of the same session.
    async fn authenticate(&mut self, token: String) -> Result<(), Ending> {
        let session = self.service.session_of(Some(&token)).await;
        let another = ServiceError::InvalidToken("the connection is for another session");
        let session = match (session, self.session) {
            (Ok(session), Some(first)) if session != first => Err(another),
            (session, _) => session,
        };
        let session = session.map_err(|refused| Ending::refused(Problem::from(refused).into()))?;
        self.session = Some(session);
        self.token = Some(token);
        Ok(())
    }

    async fn subscribe(&mut self, after: &str, last: i32) -> Result<(), Problem> {
        if self.subscribed {
            return Err(Problem::invalid(
                "subscribe",
                &"the connection follows the timeline already",
            ));
        }
        let subscription = self.service.subscribe(self.token.as_deref(), after, last).await?;
        let events = subscription.into_stream().map(or_reconnect);
        // The last event ends the connection.
        self.events = events.chain(stream::pending()).boxed();
        self.subscribed = true;
        Ok(())
    }

    /// Gives a message its place in the queue; the answer comes with its commit.
    async fn send(&mut self, request: SendRequest) -> Result<(), Problem> {
        let id = request.client_message_id().to_owned();
        let about =
            |error: ServiceError, id: &str| Problem::from(error).about("client_message_id", id);
        let message = request.try_into().map_err(|error| about(error, &id))?;
        let sending = self.service.begin_send(self.token.as_deref(), message).await;
        let sending = sending.map_err(|error| about(error, &id))?;
        let answer = async move {
            let sent = sending.stored().await.map_err(|error| about(error, &id))?;
            Ok(SocketFrame::Sent { client_message_id: id, response: sent.into() })
        };
        self.under_way.push(answer.boxed());
        Ok(())
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
        self.under_way.push(answer.boxed());
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
