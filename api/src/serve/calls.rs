//! The calls of a listener: how many at a time, how much of their answers may wait unread, and how
//! little is done for those who have not shown who they are.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    response::Response as AnyResponse,
};
use futures::{
    FutureExt,
    future::{BoxFuture, poll_fn},
};
use h2::Reason;
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, service::Service};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tower::ServiceExt;
use tracing::Instrument;

use super::{
    Listening,
    address::client_address,
    answer::{Answer, Taken, Unread},
    opening::Opening,
    places::{Place, Places},
};
use crate::{
    config::Limits,
    model::{ClientAddress, Error, Limit, Result},
    telemetry::{
        self,
        call::{Call, RequestId},
        operation::Transport,
        trace,
    },
};

/// How many streams a connection may have before something good has come on it: those of a page that is
/// loaded, and of a login.
const STREAMS_OF_STRANGERS: usize = 100;

/// The largest body of a request that shows nothing good, in bytes: no login is larger.
const BODY_OF_STRANGERS: usize = 16 * 1024;

/// The part of the calls that strangers may take, and of theirs the part of one address.
const STRANGERS_PART: usize = 4;

/// The smallest part of an answer that is counted while it waits unread, in bytes. What is smaller is
/// bounded by the number of streams.
const COUNTED: usize = 8 * 1024;

/// How many connections' worth of unread answers all connections of a listener may have together.
const CONNECTIONS_WORTH: usize = 32;

/// The header that names a call: taken over from a request, and given out with its answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// When to try again what could not be done for all that is under way.
const WAIT: Duration = Duration::from_secs(1);

/// What all connections of a listener share.
pub(super) struct Load {
    calls: Arc<Semaphore>,
    /// Those of the calls that strangers may take.
    strangers: Arc<Semaphore>,
    strangers_of_address: Places,
    unread: Arc<Semaphore>,
}

/// The right to a call until it is answered.
struct Admitted {
    _call: OwnedSemaphorePermit,
    _stranger: Option<(OwnedSemaphorePermit, Place)>,
}

impl Load {
    pub(super) fn new(limits: &Limits) -> Self {
        let calls = limits.calls;
        Self {
            calls: Arc::new(Semaphore::new(calls)),
            strangers: Arc::new(Semaphore::new(calls / STRANGERS_PART)),
            strangers_of_address: Places::default(),
            unread: Arc::new(Semaphore::new(limits.unread_bytes * CONNECTIONS_WORTH)),
        }
    }

    /// Lets a call in; `None` when there are too many. An address has its own part of the strangers', so
    /// that one of them does not keep all others from logging in.
    fn admit(&self, listening: &Listening, address: IpAddr, is_stranger: bool) -> Option<Admitted> {
        let call = self.calls.clone().try_acquire_owned().ok()?;
        if !is_stranger {
            return Some(Admitted { _call: call, _stranger: None });
        }
        let most = match listening.limits.calls / STRANGERS_PART / STRANGERS_PART {
            _ if listening.exempts(address) => usize::MAX,
            most => most,
        };
        let place = self.strangers_of_address.take(address, most)?;
        let stranger = self.strangers.clone().try_acquire_owned().ok()?;
        Some(Admitted { _call: call, _stranger: Some((stranger, place)) })
    }
}

/// What is known of a connection.
struct Connection {
    /// Whether something good has come on it.
    known: AtomicBool,
    streams: AtomicUsize,
    unread: Arc<Semaphore>,
}

/// One of the streams of a connection, until it is dropped.
pub(super) struct Stream {
    connection: Arc<Connection>,
    /// How many there were when it began, itself included.
    number: usize,
}

impl Connection {
    fn begin(self: &Arc<Self>) -> Stream {
        let number = self.streams.fetch_add(1, Ordering::Relaxed) + 1;
        Stream { connection: self.clone(), number }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers the calls of one connection. Cheap to clone.
#[derive(Clone)]
pub(super) struct Calls {
    listening: Arc<Listening>,
    load: Arc<Load>,
    peer: IpAddr,
    opening: Opening,
    connection: Arc<Connection>,
}

impl Calls {
    pub(super) fn new(
        listening: Arc<Listening>,
        load: Arc<Load>,
        peer: IpAddr,
        opening: Opening,
    ) -> Self {
        let connection = Connection {
            known: AtomicBool::new(false),
            streams: AtomicUsize::new(0),
            unread: Arc::new(Semaphore::new(listening.limits.unread_bytes)),
        };
        Self { listening, load, peer, opening, connection: Arc::new(connection) }
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        stream: Stream,
    ) -> Result<Response<Answer<Stream>>, h2::Error> {
        let unknown = self.recognize(request.headers()).await.err();
        let too_many = unknown.is_some() && stream.number > STREAMS_OF_STRANGERS;
        if too_many && request.version() == Version::HTTP_2 {
            // As if there were no more to be had: clients try again what is refused so.
            telemetry::note_limit(Limit::StreamsPerConnection);
            return Err(Reason::REFUSED_STREAM.into());
        }
        let listening = &self.listening;
        let address = client_address(self.peer, request.headers(), &listening.trusted_proxies);
        let call = begin(&request, address);
        // Boxed, so that the room for it is not kept more than once: many calls may wait for their bodies.
        let (headers, path) = (request.headers(), request.uri().path());
        let span = trace::of_call(headers, call.method(), path, call.id().as_str());
        let working = self.answer_call(request, address, unknown, stream).boxed();
        let mut response = call.clone().run(working.instrument(span.clone())).await;
        call.describe(&span, Some(response.status().as_u16()));
        drop(span);
        if let Ok(id) = HeaderValue::from_str(call.id().as_str()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        call.end(Some(response.status().as_u16()));
        Ok(response.map(|answer| answer.of(call)))
    }

    /// Answers one call. `unknown` says why its client is a stranger, if it is one.
    async fn answer_call(
        &self,
        request: Request<Incoming>,
        address: ClientAddress,
        unknown: Option<Error>,
        stream: Stream,
    ) -> Response<Answer<Stream>> {
        let listening = &self.listening;
        let refusing = Refusing::of(listening, request.headers());
        let Some(admitted) = self.load.admit(listening, address.0, unknown.is_some()) else {
            let (parts, body) =
                refusing.refuse(Error::Overloaded { retry_after: WAIT }).into_parts();
            return Response::from_parts(parts, Answer::new(None, None, body, stream));
        };
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(address);
        let response = match unknown {
            None => self.route(request).await,
            Some(error) => self.route_for_stranger(request, &refusing, error).await,
        };
        drop(admitted);
        self.hand_on(response, &refusing, stream).await
    }

    /// Whether something good has come on the connection. Errors: what is wrong with this request's.
    async fn recognize(&self, headers: &HeaderMap) -> Result<()> {
        if self.connection.known.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Listening { recognize, limits, .. } = &*self.listening;
        let recognized = timeout(limits.call_timeout, recognize(headers)).await;
        recognized.map_err(Error::unavailable)??;
        self.connection.known.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn route(&self, request: Request<Body>) -> AnyResponse {
        let answered = self.listening.router.clone().oneshot(request).await;
        answered.unwrap_or_else(|never| match never {})
    }

    /// Reads no more of a body than a stranger may send. One who sends more along with a token is told
    /// what is wrong with that.
    async fn route_for_stranger(
        &self,
        request: Request<Body>,
        refusing: &Refusing,
        error: Error,
    ) -> AnyResponse {
        // A scheme, and something behind it.
        let credential = request.headers().get(AUTHORIZATION);
        let shows_something = credential.is_some_and(|value| value.as_bytes().contains(&b' '));
        let cut_off = Arc::new(AtomicBool::new(false));
        let noted = cut_off.clone();
        let request = request.map(|body| {
            let body = Limited::new(body, BODY_OF_STRANGERS);
            Body::new(body.map_err(move |error| {
                noted.store(true, Ordering::Relaxed);
                error
            }))
        });
        let response = self.route(request).await;
        if shows_something && cut_off.load(Ordering::Relaxed) {
            return refusing.refuse(error);
        }
        response
    }

    /// The answer as it goes to the client, if the client has not left too much unread before.
    async fn hand_on(
        &self,
        response: AnyResponse,
        refusing: &Refusing,
        stream: Stream,
    ) -> Response<Answer<Stream>> {
        let (parts, mut body) = response.into_parts();
        let taken = take_ready(&mut body).await;
        let size = match &taken {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        let unread = self.unread(size);
        if size < COUNTED || unread.is_some() {
            return Response::from_parts(parts, Answer::new(taken, unread, body, stream));
        }
        drop(taken);
        let refusal = Error::RateLimited { limit: Limit::UnreadBytes, retry_after: WAIT };
        let (parts, body) = refusing.refuse(refusal).into_parts();
        Response::from_parts(parts, Answer::new(None, None, body, stream))
    }

    /// Room for so many bytes of answers, with the connection and with the listener; `None` also for
    /// what is not worth counting.
    fn unread(&self, bytes: usize) -> Option<Unread> {
        if bytes < COUNTED {
            return None;
        }
        let bytes = bytes.min(self.listening.limits.unread_bytes);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let take = |of: &Arc<Semaphore>| of.clone().try_acquire_many_owned(bytes).ok();
        Some([take(&self.connection.unread)?, take(&self.load.unread)?])
    }
}

impl Service<Request<Incoming>> for Calls {
    type Response = Response<Answer<Stream>>;
    type Error = h2::Error;
    type Future = BoxFuture<'static, Result<Self::Response, h2::Error>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.opening.is_over();
        let stream = self.connection.begin();
        self.clone().answer(request, stream).boxed()
    }
}

/// Begins a call under the id that it brings, or a new one.
fn begin(request: &Request<Incoming>, address: ClientAddress) -> Arc<Call> {
    let id = RequestId::of(request.headers().get(REQUEST_ID).map(HeaderValue::as_bytes));
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::HEAD => "HEAD",
        _ => "OTHER",
    };
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let transport = match content_type {
        Some(web) if web.starts_with(b"application/grpc-web") => Transport::GrpcWeb,
        Some(grpc) if grpc.starts_with(b"application/grpc") => Transport::Grpc,
        _ => Transport::Rest,
    };
    Call::begin(id, method, request.uri().path(), Some(address), transport)
}

/// What makes a refusal of an error, in the language of the request.
struct Refusing {
    refuse: fn(&HeaderMap, Error) -> AnyResponse,
    content_type: Option<HeaderValue>,
}

impl Refusing {
    fn of(listening: &Listening, headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE).cloned();
        Self { refuse: listening.refuse, content_type }
    }

    fn refuse(&self, error: Error) -> AnyResponse {
        let headers = self.content_type.iter().map(|value| (CONTENT_TYPE, value.clone()));
        (self.refuse)(&headers.collect(), error)
    }
}

/// What of a body is there at once.
async fn take_ready(body: &mut Body) -> Option<Taken> {
    if body.is_end_stream() {
        return None;
    }
    let taken = poll_fn(|context| Poll::Ready(Pin::new(&mut *body).poll_frame(context)));
    match taken.await {
        Poll::Ready(Some(taken)) => Some(taken),
        Poll::Ready(None) => {
            *body = Body::empty();
            None
        }
        Poll::Pending => None,
    }
}
