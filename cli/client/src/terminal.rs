//! A terminal: one login of one device.

use std::{sync::Arc, time::Duration};

use imd_proto::v1::{
    LoginRequest, LoginResponse, SendRequest, SendResponse,
    message_service_client::MessageServiceClient,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::{
    backoff::Backoff,
    connection::Connection,
    error::Error,
    send_stream::{QUEUE, SendAnswers, SendRequests},
    session::Session,
    timeline::Timeline,
    wire::Wire,
};

/// A channel whose calls carry a bearer token.
pub type AuthorizedChannel = InterceptedService<Channel, Bearer>;

/// Puts `authorization` on each call.
#[derive(Debug, Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A logged-in terminal. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Terminal {
    session: Arc<Session>,
    login: Arc<LoginResponse>,
    /// A stream that is silent for so long is dead.
    silence: Duration,
}

/// A message that stands in every participant's timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The server's answer.
    pub response: SendResponse,
    /// How often it was sent, 1 when the first try did.
    pub attempts: u32,
}

/// Why a message was given up.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cause}")]
pub struct SendError {
    /// The last error.
    #[source]
    pub cause: Error,
    /// Whether the message may stand in the timelines all the same: in all of them or in none.
    pub outcome_unknown: bool,
    /// How often it was sent.
    pub attempts: u32,
}

impl Terminal {
    /// Opens a session. Not tried again on failure: a person is waiting.
    ///
    /// # Errors
    /// [`Error::Answer`] as the contract has it for `Login`; no connection; no answer in time.
    pub async fn login(connection: Connection, request: LoginRequest) -> Result<Self, Error> {
        let line = connection.line();
        let login = line.wire.login(request).await;
        let (mut login, heartbeat) =
            login.inspect_err(|error| connection.leave_if_at_fault(&line, error))?;
        let tokens = login.tokens.take().ok_or(Error::Contract("no tokens"))?;
        Ok(Self {
            session: Arc::new(Session::new(connection, tokens)?),
            login: Arc::new(login),
            silence: 3 * heartbeat,
        })
    }

    /// The answer to the login: the session and those it ended; without the tokens.
    #[must_use]
    pub fn opened(&self) -> &LoginResponse {
        &self.login
    }

    /// Follows the timeline from `after` on: a cursor, [`FLOOR`](crate::FLOOR) or
    /// [`NOW`](crate::NOW). Nothing happens before the first [`Timeline::next`].
    #[must_use]
    pub fn follow(&self, after: &str) -> Timeline {
        Timeline::new(self.session.clone(), after, self.silence)
    }

    /// Sends a message. While that fails for a reason that may pass, it is sent again, for `patience`
    /// at most and always with the `client_message_id` of the request: so it is stored once, however
    /// often it arrives.
    ///
    /// # Errors
    /// [`SendError`], which tells whether the message may have been stored.
    pub async fn send(&self, request: SendRequest, patience: Duration) -> Result<Sent, SendError> {
        let give_up = Instant::now() + patience;
        let mut backoff = Backoff::new();
        let mut outcome_unknown = false;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let cause = match timeout_at(give_up, self.try_send(request.clone())).await {
                Ok(Ok(response)) => return Ok(Sent { response, attempts }),
                Ok(Err(cause)) => cause,
                Err(_) => Error::Timeout,
            };
            outcome_unknown |= cause.outcome_unknown();
            let again =
                Instant::now() + backoff.next().max(cause.retry_after().unwrap_or_default());
            if !cause.may_pass() || again >= give_up {
                return Err(SendError { cause, outcome_unknown, attempts });
            }
            sleep_until(again).await;
        }
    }

    async fn try_send(&self, message: SendRequest) -> Result<SendResponse, Error> {
        let mut token = self.session.access_token().await?;
        let mut renewed = false;
        loop {
            let line = self.session.connection.line();
            match line.wire.send(&token, message.clone()).await {
                Err(error) if error.is_of_the_token() && !renewed => {
                    token = self.session.renew(&token).await?;
                    renewed = true;
                }
                Err(error) => {
                    self.session.connection.leave_if_at_fault(&line, &error);
                    return Err(self.session.note(error));
                }
                Ok(response) => return Ok(response),
            }
        }
    }

    /// Opens a stream of messages: they are stored in the order in which they are handed over, without
    /// waiting for each other's answers, and each is answered in that order. Nothing is sent again by
    /// itself. It lasts as long as the access token at most, and ends with an error then; it is to be
    /// opened anew, and what was not answered sent again.
    ///
    /// # Errors
    /// [`Error::SessionEnded`]; those of a refresh, when the token had to be renewed; [`Error::Servers`]
    /// when the connection is not one for gRPC; no connection.
    pub async fn send_stream(&self) -> Result<(SendRequests, SendAnswers), Error> {
        let (requests, taken) = mpsc::channel(QUEUE);
        let mut messages = MessageServiceClient::new(self.channel().await?);
        let answers = messages.send_stream(ReceiverStream::new(taken)).await;
        let answers = answers.map_err(|status| self.session.note(status.into()))?.into_inner();
        Ok((SendRequests(requests), SendAnswers { session: self.session.clone(), answers }))
    }

    /// For every other call of the contract: a channel with an access token that is good for a while.
    /// To be asked for anew with each use.
    ///
    /// # Errors
    /// [`Error::SessionEnded`]; those of a refresh, when the token had to be renewed; [`Error::Servers`]
    /// when the connection is not one for gRPC.
    pub async fn channel(&self) -> Result<AuthorizedChannel, Error> {
        let token = self.session.access_token().await?;
        match self.session.connection.line().wire {
            Wire::Grpc(channel) => Ok(InterceptedService::new(channel, Bearer(token.bearer))),
            #[cfg(feature = "rest")]
            Wire::Rest(_) | Wire::Socket(_) => {
                Err(Error::Servers("they are not used over gRPC".to_owned()))
            }
        }
    }

    /// Ends the session.
    ///
    /// # Errors
    /// [`Error::SessionEnded`] when it had ended already; no connection; no answer in time.
    pub async fn logout(&self) -> Result<(), Error> {
        let token = self.session.access_token().await?;
        let ended = self.session.connection.line().wire.logout(&token).await;
        ended.map_err(|error| self.session.note(error))
    }
}
