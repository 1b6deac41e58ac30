//! One port: connections over HTTP/1.1 and HTTP/2, and how they end.

mod address;
mod answer;
mod calls;
mod gathering;
mod opening;
mod places;
mod progress;
mod tls;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, http::HeaderMap, response::Response};
use futures::{FutureExt, future::BoxFuture};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use metrics::{counter, gauge};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::tls::Tls;
use self::{
    calls::{Calls, Load},
    gathering::Gathering,
    opening::Opening,
    places::Places,
    progress::{Streams, watched},
};
use crate::{
    config::{Limits, Networks},
    model::{Error, Limit, Result},
    telemetry,
};

/// How many bytes of an answer over HTTP/2 are buffered beyond what the client takes.
const SEND_BUFFER: usize = 64 * 1024;

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
    /// What metrics call it.
    pub name: &'static str,
    /// What it serves.
    pub router: Router,
    /// What makes an answer of an error.
    pub refuse: fn(&HeaderMap, Error) -> Response,
    /// Whether the header of a request shows something good: what makes more of a client than a
    /// stranger. The call itself is not allowed by that; it checks for itself.
    pub recognize: Recognize,
    /// TLS, if it speaks that.
    pub tls: Option<Tls>,
    /// What one client may take.
    pub limits: Limits,
    /// Who is believed about where calls come from.
    pub trusted_proxies: Networks,
}

/// Whether a header shows an access token or a key that is good; what is wrong with it otherwise.
pub type Recognize = Arc<dyn Fn(&HeaderMap) -> BoxFuture<'static, Result<()>> + Send + Sync>;

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
    let load = Arc::new(Load::new(&listening.limits));
    let refusing = Arc::new(listening.refusing());
    let (name, tracked) = (listening.name, connections.clone());
    telemetry::observe(move || {
        let open = u32::try_from(tracked.len()).unwrap_or(u32::MAX);
        gauge!(telemetry::CONNECTIONS, "listener" => name).set(open);
        !tracked.is_closed()
    });
    let listening = Arc::new(listening);
    let (places, telling) = (Places::default(), Arc::new(Semaphore::new(TOLD_AT_A_TIME)));
    while let Some((stream, peer)) = stop.run_until_cancelled(accept(&listener)).await {
        tune(&stream, &listening.limits);
        if let Some(place) = places.take(peer.ip(), listening.most_connections(peer.ip())) {
            let conversation =
                listening.clone().take(stream, peer, place, load.clone(), graceful.watcher());
            connections.spawn(cut.clone().run_until_cancelled_owned(conversation));
        } else if let Ok(told) = telling.clone().try_acquire_owned() {
            let telling =
                refusing.clone().take(stream, peer, told, load.clone(), graceful.watcher());
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
        match self.limits.connections_per_address {
            0 => usize::MAX,
            _ if self.exempts(address) => usize::MAX,
            most => most,
        }
    }

    /// Whether the limits of addresses do not hold for this one.
    fn exempts(&self, address: IpAddr) -> bool {
        !self.limits.loopback && address.to_canonical().is_loopback()
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
        load: Arc<Load>,
        watcher: Watcher,
    ) -> BoxFuture<'static, ()> {
        let Some(tls) = self.tls.clone() else {
            return self.converse(stream, peer, place, load, watcher);
        };
        let shaken = async move {
            if let Some(stream) = tls.accept(stream).await {
                self.converse(stream, peer, place, load, watcher).await;
            }
        };
        shaken.boxed()
    }

    /// Serves one connection to its end.
    ///
    /// Boxed, and no `async fn`: each of those around another keeps the room for it twice, and there are
    /// many connections that do nothing.
    fn converse(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        place: impl Send + Unpin + 'static,
        load: Arc<Load>,
        watcher: Watcher,
    ) -> BoxFuture<'static, ()> {
        let (opening, time_to_open) = (Opening::default(), self.limits.header_timeout);
        let stream = Gathering::new(opening.watch(stream, place));
        let (builder, patience) = (self.builder(), self.limits.call_timeout);
        let calls = Calls::new(self, load, peer.ip(), opening.clone());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), calls);
        let connection = watcher.watch(connection.into_owned());
        let mut connection = watched(connection, patience).boxed();
        let conversation = async move {
            match timeout(time_to_open, &mut connection).await {
                Ok(ended) => note_end(ended, &opening),
                Err(_) if opening.is_pending() => telemetry::note_limit(Limit::HeaderTimeout),
                Err(_) => note_end(connection.await, &opening),
            }
        };
        conversation.boxed()
    }

    fn builder(&self) -> Builder<Streams> {
        let limits = &self.limits;
        let mut builder = Builder::new(Streams { patience: limits.call_timeout });
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.header_bytes);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_per_connection)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(limits.keepalive)
            .keep_alive_timeout(limits.header_timeout);
        builder
    }
}

/// Counts what ended a connection, if that is a limit. A client that goes away in the middle is no news.
/// One that took nothing of its answers has been counted already.
fn note_end(
    ended: Option<std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>>,
    opening: &Opening,
) {
    let error = ended.and_then(std::result::Result::err);
    match error.and_then(|error| error.downcast::<hyper::Error>().ok()) {
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
