//! One port: connections over HTTP/1.1 and HTTP/2, and how they end.

mod tls;

use std::{net::SocketAddr, time::Duration};

use axum::{Router, body::Body, http::Request};
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
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

pub use self::tls::Tls;
use crate::model::ClientAddress;

/// How many calls and streams one HTTP/2 connection may carry at a time. A stream of a terminal takes
/// one for as long as it is open, so hyper's 200 is too few for a client that speaks for many.
const MAX_CONCURRENT_STREAMS: u32 = 10_000;

/// How often a connection that is quiet is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// How long a connection may take to answer that, and an HTTP/1.1 client to send its headers.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to wait after an accept that failed, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener`, over TLS if there is any, until `stop`, then takes no more connections, lets calls under way
/// finish for up to `grace`, and cuts off the rest.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    stop: CancellationToken,
    grace: Duration,
) {
    let graceful = GracefulShutdown::new();
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    while let Some((stream, peer)) = stop.run_until_cancelled(accept(&listener)).await {
        let (tls, router, watcher) = (tls.clone(), router.clone(), graceful.watcher());
        let conversation = match tls {
            None => converse(stream, peer, router, watcher),
            Some(tls) => async move {
                if let Some(stream) = tls.accept(stream).await {
                    converse(stream, peer, router, watcher).await;
                }
            }
            .boxed(),
        };
        connections.spawn(cut.clone().run_until_cancelled_owned(conversation));
    }
    drop(listener);
    if timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("cutting off connections that did not end in time");
    }
    cut.cancel();
    connections.close();
    connections.wait().await;
}

/// Serves one connection to its end.
///
/// Boxed, and no `async fn`: each of those around another keeps the room for it twice, and there are
/// many connections that do nothing.
fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    watcher: Watcher,
) -> BoxFuture<'static, ()> {
    let service = router.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ClientAddress(peer.ip()));
        request
    });
    let builder = builder();
    let service = TowerToHyperService::new(service);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    // A client that goes away in the middle is no news.
    watcher.watch(connection.into_owned()).map(drop).boxed()
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Messages are small and wanted now.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(PATIENCE);
    builder
}
