//! One HTTP/2 connection to one of the servers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Uri};

use crate::error::Error;

/// How long connecting may take, and after that the answer to one call.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How often a quiet connection is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A connection to one of several servers of a cluster, which may all be given. Several terminals can
/// share one. It opens with its first call; when it fails, the next call opens one to the next server.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    servers: Vec<Endpoint>,
    current: Mutex<Line>,
}

/// A connection to one server; `number` tells it from those before it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) channel: Channel,
    number: usize,
}

impl Connection {
    /// A connection to the first of `servers` that answers, tried in this order: the URLs of public
    /// listeners. Clients that turn the list each by another amount spread over the servers. To be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Servers`] when there is none, or one whose URL cannot be used.
    pub fn new(servers: &[Uri]) -> Result<Self, Error> {
        let servers: Vec<_> = servers.iter().map(endpoint).collect::<Result<_, _>>()?;
        let first = servers.first().ok_or_else(|| Error::Servers("there is none".to_owned()))?;
        let current = Mutex::new(Line { channel: first.connect_lazy(), number: 0 });
        Ok(Self(Arc::new(Shared { servers, current })))
    }

    pub(crate) fn line(&self) -> Line {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the next call use another server, unless that has happened since `failed` was taken.
    /// Streams that still work on the old one go on.
    pub(crate) fn leave(&self, failed: &Line) {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number == failed.number {
            let number = failed.number + 1;
            let server = &self.0.servers[number % self.0.servers.len()];
            *current = Line { channel: server.connect_lazy(), number };
        }
    }
}

fn endpoint(server: &Uri) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from(server.clone())
        .connect_timeout(PATIENCE)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(PATIENCE)
        .keep_alive_while_idle(true);
    if server.scheme_str() != Some("https") {
        return Ok(endpoint);
    }
    let secured = endpoint.tls_config(ClientTlsConfig::new().with_native_roots());
    secured.map_err(|wrong| Error::Servers(format!("{server}: {wrong}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers() -> [Uri; 2] {
        [Uri::from_static("http://127.0.0.1:1"), Uri::from_static("http://127.0.0.1:2")]
    }

    #[tokio::test]
    async fn terminals_that_share_a_failed_connection_leave_it_once() {
        let connection = Connection::new(&servers()).expect("two servers");
        let line = connection.line();
        connection.leave(&line);
        connection.leave(&line);
        assert_eq!(connection.line().number, 1);
    }

    #[tokio::test]
    async fn at_least_one_server_is_needed() {
        assert!(matches!(Connection::new(&[]), Err(Error::Servers(_))));
    }
}
