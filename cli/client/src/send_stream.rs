//! Messages in order over one call.

use std::sync::Arc;

use imd_proto::v1::{
    SendRequest, SendResponse, SendStreamRequest, SendStreamResponse,
    send_stream_response::Result as Wire,
};
use tokio::sync::mpsc;
use tonic::Streaming;

use crate::{
    error::{Answer, Error},
    session::Session,
};

/// How many messages wait here while the server reads no further.
pub(crate) const QUEUE: usize = 64;

/// The way in of a stream of messages: see [`Terminal::send_stream`](crate::Terminal::send_stream).
/// Dropping it ends the stream behind the last answer.
#[derive(Debug)]
pub struct SendRequests(pub(crate) mpsc::Sender<SendStreamRequest>);

/// The way out of a stream of messages.
#[derive(Debug)]
pub struct SendAnswers {
    pub(crate) session: Arc<Session>,
    pub(crate) answers: Streaming<SendStreamResponse>,
}

impl SendRequests {
    /// Hands a message over, behind all those before it. Waits while the server reads no further, so
    /// the answers must be read meanwhile.
    ///
    /// # Errors
    /// [`Error::Connection`] when the stream has ended: [`SendAnswers::next`] says why.
    pub async fn send(&self, message: SendRequest) -> Result<(), Error> {
        let request = SendStreamRequest { send: Some(message) };
        let ended = |_| Error::Connection("the stream has ended".to_owned());
        self.0.send(request).await.map_err(ended)
    }
}

impl SendAnswers {
    /// What became of the next message, in the order of the messages: its `client_message_id`, and the
    /// answer to it. `None` when the stream has ended and all is answered. Safe to cancel.
    ///
    /// # Errors
    /// Those that end the stream: [`Error::SessionEnded`], an access token that has expired, no
    /// connection. What was not answered by then is to be sent again.
    pub async fn next(&mut self) -> Result<Option<(String, Result<SendResponse, Error>)>, Error> {
        let answer = self.answers.message().await;
        let Some(answer) = answer.map_err(|status| self.session.note(status.into()))? else {
            return Ok(None);
        };
        let result = match answer.result {
            Some(Wire::Sent(sent)) => Ok(sent),
            Some(Wire::Error(error)) => Err(Error::Answer(Box::new(Answer {
                code: error.code,
                retry_after: error.retry_after.and_then(|after| after.try_into().ok()),
                message: error.message,
            }))),
            None => Err(Error::Contract("an answer that says neither yes nor no")),
        };
        Ok(Some((answer.client_message_id, result)))
    }
}
