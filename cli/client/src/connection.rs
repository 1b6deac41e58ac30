//! The connection to one of the servers.

use std::sync::{Arc, Mutex, PoisonError};

use tonic::transport::Uri;

use crate::{
    error::Error,
    wire::{Server, Wire},
};

/// A connection to one of several servers of a cluster. Several terminals can share one. It opens with
/// its first call; when it fails, the next call opens one to the next server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    servers: Vec<Server>,
    current: Mutex<Line>,
}

/// A connection to one server; `number` tells it from those before it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) wire: Wire,
    number: usize,
}

impl Connection {
    /// An HTTP/2 connection for gRPC to the first of `servers` that answers, tried in this order: the
    /// URLs of public listeners. Clients that turn the list each by another amount spread over the
    /// servers. To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Servers`] when there is none, or one whose URL cannot be used.
    pub fn new(servers: &[Uri]) -> Result<Self, Error> {
        Self::open(
            servers.iter().map(|server| Server::grpc(server, None)).collect::<Result<_, _>>()?,
        )
    }

    /// The same, and trusts the authorities in `ca`, PEM, instead of those of the system.
    ///
    /// # Errors
    /// As [`Connection::new`].
    pub fn with_ca(servers: &[Uri], ca: &[u8]) -> Result<Self, Error> {
        let server = |server| Server::grpc(server, Some(ca));
        Self::open(servers.iter().map(server).collect::<Result<_, _>>()?)
    }

    /// The same for REST and Server-Sent Events over HTTP/1.1, without TLS, with as many connections
    /// as there are calls and streams at a time.
    ///
    /// # Errors
    /// As [`Connection::new`].
    #[cfg(feature = "rest")]
    pub fn rest(servers: &[Uri]) -> Result<Self, Error> {
        Self::open(servers.iter().map(Server::rest).collect::<Result<_, _>>()?)
    }

    /// The same for one WebSocket, without TLS, over which one terminal alone sends and follows its
    /// timeline. Answers to sends come as long as [`Timeline::next`](crate::Timeline::next) is called;
    /// before its first call nothing can be sent.
    ///
    /// # Errors
    /// As [`Connection::new`].
    #[cfg(feature = "rest")]
    pub fn websocket(servers: &[Uri]) -> Result<Self, Error> {
        Self::open(servers.iter().map(Server::socket).collect::<Result<_, _>>()?)
    }

    fn open(servers: Vec<Server>) -> Result<Self, Error> {
        let first = servers.first().ok_or_else(|| Error::Servers("there is none".to_owned()))?;
        let current = Mutex::new(Line { wire: first.connect(), number: 0 });
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
            *current = Line { wire: server.connect(), number };
        }
    }

    /// Leaves the server when the error is of a kind that another one may not have.
    pub(crate) fn leave_if_at_fault(&self, line: &Line, error: &Error) {
        if error.is_of_the_server() {
            self.leave(line);
        }
    }
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
