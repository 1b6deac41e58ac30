//! One port: connections over HTTP/1.1 and HTTP/2, and how they end.

mod address;
mod gathering;
mod opening;
mod places;
mod tls;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request},
    response::Response,
};
use futures::{FutureExt, future::BoxFuture};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use metrics::counter;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

pub use self::tls::Tls;
use self::{address::client_address, gathering::Gathering, opening::Opening, places::Places};
use crate::{
    config::{Limits, Networks},
    model::{Error, Limit},
    telemetry,
};

/// How many calls and streams one HTTP/2 connection may carry at a time. A stream of a terminal takes
/// one for as long as it is open, so hyper's 200 is too few for a client that speaks for many.
const MAX_CONCURRENT_STREAMS: u32 = 10_000;

/// How long to wait after an accept that failed, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is said that accepts fail.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// How often a client that does not answer is asked again.
const PROBES: u32 = 4;

/// How many connections are told at a time that their address has too many.
const TOLD_AT_A_TIME: usize = 64;

/// How long that may take each.
const TIME_TO_TELL: Duration = Duration::from_secs(2);

/// When to come back from an address that has too many connections.
const CONNECTION_WAIT: Duration = Duration::from_secs(10);

/// What a listener serves, and how it bears with clients.
#[derive(Clone)]
pub struct Listening {
    /// What it serves.
    pub router: Router,
    /// What makes an answer of an error.
    pub refuse: fn(&HeaderMap, Error) -> Response,
    /// TLS, if it speaks that.
    pub tls: Option<Tls>,
    /// What one client may take.
    pub limits: Limits,
    /// Who is believed about where calls come from.
    pub trusted_proxies: Networks,
}

/// Serves on `listener` until `stop`, then takes no more connections, lets calls under way finish for up
/// to `grace`, and cuts off the rest.
pub async fn serve(
    listener: TcpListener,
    listening: Listening,
    stop: CancellationToken,
    grace: Duration,
) {
    let graceful = GracefulShutdown::new();
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let refusing = Arc::new(listening.refusing());
    let listening = Arc::new(listening);
    let (places, telling) = (Places::default(), Arc::new(Semaphore::new(TOLD_AT_A_TIME)));
    while let Some((stream, peer)) = stop.run_until_cancelled(accept(&listener)).await {
        tune(&stream, &listening.limits);
        if let Some(place) = places.take(peer.ip(), listening.most_connections(peer.ip())) {
            let conversation = listening.clone().take(stream, peer, place, graceful.watcher());
            connections.spawn(cut.clone().run_until_cancelled_owned(conversation));
        } else if let Ok(told) = telling.clone().try_acquire_owned() {
            let telling = refusing.clone().take(stream, peer, told, graceful.watcher());
            connections.spawn(timeout(TIME_TO_TELL, telling).map(drop));
        } else {
            // A flood is not worth an answer each.
            telemetry::note_limit(Limit::ConnectionsPerAddress);
        }
    }
    drop(listener);
    if timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("cutting off connections that did not end in time");
    }
    cut.cancel();
    connections.close();
    connections.wait().await;
}

impl Listening {
    fn most_connections(&self, address: IpAddr) -> usize {
        let limits = &self.limits;
        let exempt = !limits.loopback && address.to_canonical().is_loopback();
        match limits.connections_per_address {
            0 => usize::MAX,
            _ if exempt => usize::MAX,
            most => most,
        }
    }

    /// The same, but whatever is asked, it says that the address has too many connections.
    fn refusing(&self) -> Self {
        let refuse = self.refuse;
        let router = Router::new().fallback(async move |headers: HeaderMap| {
            let (limit, retry_after) = (Limit::ConnectionsPerAddress, CONNECTION_WAIT);
            refuse(&headers, Error::RateLimited { limit, retry_after })
        });
        Self { router, ..self.clone() }
    }

    /// Shakes hands, where there is TLS, and serves one connection to its end. Holds its `place` until
    /// it is closed, also when it has become a WebSocket meanwhile.
    fn take(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        place: impl Send + Unpin + 'static,
        watcher: Watcher,
    ) -> BoxFuture<'static, ()> {
        let Some(tls) = self.tls.clone() else {
            return self.converse(stream, peer, place, watcher);
        };
        let shaken = async move {
            if let Some(stream) = tls.accept(stream).await {
                self.converse(stream, peer, place, watcher).await;
            }
        };
        shaken.boxed()
    }

    /// Serves one connection to its end.
    ///
    /// Boxed, and no `async fn`: each of those around another keeps the room for it twice, and there are
    /// many connections that do nothing.
    fn converse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        place: impl Send + Unpin + 'static,
        watcher: Watcher,
    ) -> BoxFuture<'static, ()> {
        let (opening, time_to_open) = (Opening::default(), self.limits.header_timeout);
        let stream = Gathering::new(opening.watch(stream, place));
        let (opened, trusted) = (opening.clone(), self.trusted_proxies.clone());
        let service = self.router.clone().map_request(move |request: Request<Incoming>| {
            opened.is_over();
            let mut request = request.map(Body::new);
            let address = client_address(peer.ip(), request.headers(), &trusted);
            request.extensions_mut().insert(address);
            request
        });
        let builder = self.builder();
        let service = TowerToHyperService::new(service);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = watcher.watch(connection.into_owned()).boxed();
        let conversation = async move {
            match timeout(time_to_open, &mut connection).await {
                Ok(ended) => note_end(ended, &opening),
                Err(_) if opening.is_pending() => telemetry::note_limit(Limit::HeaderTimeout),
                Err(_) => note_end(connection.await, &opening),
            }
        };
        conversation.boxed()
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let limits = &self.limits;
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.header_bytes);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(limits.keepalive)
            .keep_alive_timeout(limits.header_timeout);
        builder
    }
}

/// Counts what ended a connection, if that is a limit. A client that goes away in the middle is no news.
fn note_end(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>, opening: &Opening) {
    match ended.err().and_then(|error| error.downcast::<hyper::Error>().ok()) {
        Some(error) if error.is_parse_too_large() => telemetry::note_limit(Limit::HeaderBytes),
        // After a request, it was quiet for long, which is no offence.
        Some(error) if error.is_timeout() && opening.lasts() => {
            telemetry::note_limit(Limit::HeaderTimeout);
        }
        _ => {}
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut said: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                counter!(telemetry::ACCEPT_ERRORS).increment(1);
                if said.is_none_or(|said| said.elapsed() > SAY_AGAIN) {
                    tracing::error!(%error, "cannot accept connections; trying again");
                    said = Some(Instant::now());
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// Has a connection notice when its client has vanished without a word. One that cannot be tuned is
/// about to fail anyway.
fn tune(stream: &TcpStream, limits: &Limits) {
    // Messages are small and wanted now.
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(limits.keepalive)
        .with_interval((limits.header_timeout / PROBES).max(Duration::from_secs(1)))
        .with_retries(PROBES);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(limits.keepalive + limits.header_timeout));
}
