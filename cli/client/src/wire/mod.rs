//! The calls that a terminal makes, over gRPC, REST or a WebSocket. The vocabulary is that of the contract's
//! messages, whatever goes over the wire.

mod grpc;
#[cfg(feature = "rest")]
mod rest;
#[cfg(feature = "rest")]
mod socket;

use std::time::Duration;

use imd_proto::v1::{
    LoginRequest, LoginResponse, SendRequest, SendResponse, SubscribeResponse, Tokens,
    subscribe_response::Event,
};
use tokio::time::timeout;
use tonic::{
    Streaming,
    transport::{Channel, Uri},
};

use crate::{error::Error, session::AccessToken};

/// How long connecting may take, and after that the answer to one call.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How often a quiet connection is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A server that can be connected to.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    Grpc(Box<tonic::transport::Endpoint>),
    #[cfg(feature = "rest")]
    Rest(Uri),
    #[cfg(feature = "rest")]
    Socket(Uri),
}

/// A connection to a server, or one for each call. Opens when it is needed.
#[derive(Debug, Clone)]
pub(crate) enum Wire {
    Grpc(Channel),
    #[cfg(feature = "rest")]
    Rest(rest::Client),
    #[cfg(feature = "rest")]
    Socket(socket::Client),
}

/// What a stream is asked for, beside where it starts.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Whose presence it tells.
    pub(crate) watched: Vec<String>,
    /// Whether the client says by itself how far it has got.
    pub(crate) acknowledging: bool,
}

/// The events of one stream.
#[derive(Debug)]
pub(crate) enum Events {
    Grpc(Box<Streaming<SubscribeResponse>>),
    #[cfg(feature = "rest")]
    Rest(rest::Events),
    #[cfg(feature = "rest")]
    Socket(socket::Events),
}

impl Server {
    pub(crate) fn grpc(server: &Uri, ca: Option<&[u8]>) -> Result<Self, Error> {
        grpc::endpoint(server, ca).map(|endpoint| Self::Grpc(Box::new(endpoint)))
    }

    #[cfg(feature = "rest")]
    pub(crate) fn rest(server: &Uri) -> Result<Self, Error> {
        match server.scheme_str() {
            Some("http") => Ok(Self::Rest(server.clone())),
            _ => Err(Error::Servers(format!("{server}: REST is spoken over http:// alone"))),
        }
    }

    #[cfg(feature = "rest")]
    pub(crate) fn socket(server: &Uri) -> Result<Self, Error> {
        match server.scheme_str() {
            Some("http") => Ok(Self::Socket(server.clone())),
            _ => Err(Error::Servers(format!("{server}: WebSockets are opened over http:// alone"))),
        }
    }

    pub(crate) fn connect(&self) -> Wire {
        match self {
            Self::Grpc(endpoint) => Wire::Grpc(endpoint.connect_lazy()),
            #[cfg(feature = "rest")]
            Self::Rest(server) => Wire::Rest(rest::Client::new(server)),
            #[cfg(feature = "rest")]
            Self::Socket(server) => Wire::Socket(socket::Client::new(server)),
        }
    }
}

impl Wire {
    /// Opens a session. Gives the server's heartbeat interval, too.
    pub(crate) async fn login(
        &self,
        request: LoginRequest,
    ) -> Result<(LoginResponse, Duration), Error> {
        let login = async {
            match self {
                Self::Grpc(channel) => grpc::login(channel, request).await,
                #[cfg(feature = "rest")]
                Self::Rest(client) => client.login(request).await,
                #[cfg(feature = "rest")]
                Self::Socket(client) => client.rest.login(request).await,
            }
        };
        let (login, seconds) = in_time(login).await?;
        let seconds = u64::try_from(seconds).unwrap_or(0).max(1);
        Ok((login, Duration::from_secs(seconds)))
    }

    pub(crate) async fn refresh(&self, refresh_token: String) -> Result<Tokens, Error> {
        in_time(async {
            match self {
                Self::Grpc(channel) => grpc::refresh(channel, refresh_token).await,
                #[cfg(feature = "rest")]
                Self::Rest(client) => client.refresh(refresh_token).await,
                #[cfg(feature = "rest")]
                Self::Socket(client) => client.rest.refresh(refresh_token).await,
            }
        })
        .await
    }

    pub(crate) async fn logout(&self, token: &AccessToken) -> Result<(), Error> {
        in_time(async {
            match self {
                Self::Grpc(channel) => grpc::logout(channel, token).await,
                #[cfg(feature = "rest")]
                Self::Rest(client) => client.logout(token).await,
                #[cfg(feature = "rest")]
                Self::Socket(client) => client.rest.logout(token).await,
            }
        })
        .await
    }

    pub(crate) async fn send(
        &self,
        token: &AccessToken,
        request: SendRequest,
    ) -> Result<SendResponse, Error> {
        in_time(async {
            match self {
                Self::Grpc(channel) => grpc::send(channel, token, request).await,
                #[cfg(feature = "rest")]
                Self::Rest(client) => client.send(token, request).await,
                #[cfg(feature = "rest")]
                Self::Socket(client) => client.send(token, request).await,
            }
        })
        .await
    }

    /// Says how far the terminal has got.
    pub(crate) async fn acknowledge(&self, token: &AccessToken, cursor: &str) -> Result<(), Error> {
        in_time(async {
            match self {
                Self::Grpc(channel) => grpc::acknowledge(channel, token, cursor).await,
                #[cfg(feature = "rest")]
                Self::Rest(client) => client.acknowledge(token, cursor).await,
                #[cfg(feature = "rest")]
                Self::Socket(client) => client.rest.acknowledge(token, cursor).await,
            }
        })
        .await
    }

    /// Opens a stream and waits for its first event.
    pub(crate) async fn subscribe(
        &self,
        token: &AccessToken,
        after: &str,
        asked: &Asked,
    ) -> Result<(Option<Event>, Events), Error> {
        in_time(async {
            let mut events = match self {
                Self::Grpc(channel) => {
                    Events::Grpc(Box::new(grpc::subscribe(channel, token, after, asked).await?))
                }
                #[cfg(feature = "rest")]
                Self::Rest(client) => Events::Rest(client.subscribe(token, after, asked).await?),
                #[cfg(feature = "rest")]
                Self::Socket(client) => {
                    Events::Socket(client.subscribe(token, after, asked).await?)
                }
            };
            let first = events.next().await?.ok_or_else(ended)?;
            Ok((first, events))
        })
        .await
    }
}

impl Events {
    /// The next event, none of it known here if it is a new kind; nothing at all at the end. Safe to
    /// cancel.
    pub(crate) async fn next(&mut self) -> Result<Option<Option<Event>>, Error> {
        match self {
            Self::Grpc(events) => Ok(events.message().await?.map(|response| response.event)),
            #[cfg(feature = "rest")]
            Self::Rest(events) => events.next().await,
            #[cfg(feature = "rest")]
            Self::Socket(events) => events.next().await,
        }
    }
}

/// A stream ended without a last word.
pub(crate) fn ended() -> Error {
    Error::Connection("the stream ended".to_owned())
}

async fn in_time<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(PATIENCE, call).await.unwrap_or(Err(Error::Timeout))
}
