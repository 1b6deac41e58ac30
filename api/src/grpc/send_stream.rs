//! `MessageService.SendStream`: many messages over one call, stored in the order in which they came.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesOrdered},
};
use imd_proto::v1::{self, send_stream_response::Result as Answer};
use tokio::time::sleep;
use tonic::{Status, Streaming};

use super::{
    message::{decode_send, encode_sent},
    status::{code, status},
};
use crate::{
    model::{Class, ClientAddress, Error},
    service::{Send as SendMessage, SendOrder, Service},
    telemetry,
};

/// How many messages of a stream may wait for their commit; its further ones wait unread.
const UNDER_WAY: usize = 64;

type Answered = Result<v1::SendStreamResponse, Error>;

/// A stream of messages on its way in, and of answers on its way out.
struct SendStream {
    service: Arc<Service>,
    /// What came with the call: each message is checked against it, as it would be alone.
    token: Option<String>,
    /// From where it came.
    address: Option<ClientAddress>,
    requests: Streaming<v1::SendStreamRequest>,
    /// How often a stream that nothing comes over is asked whether its session is live.
    idle: Duration,
    order: SendOrder,
    /// In the order of the requests.
    under_way: FuturesOrdered<BoxFuture<'static, Answered>>,
    /// Set once no more requests are read: how the stream ends behind its last answer.
    end: Option<Result<(), Status>>,
}

/// What happens next on a stream.
enum Next {
    Answered(Answered),
    Request(Result<Option<v1::SendStreamRequest>, Status>),
    Idle,
    Draining,
}

/// Stores the messages of a stream in their order; the answers come in the same order.
pub(super) fn answers(
    service: Arc<Service>,
    token: Option<String>,
    address: Option<ClientAddress>,
    requests: Streaming<v1::SendStreamRequest>,
) -> impl Stream<Item = Result<v1::SendStreamResponse, Status>> + Send {
    let send_stream = SendStream {
        idle: service.heartbeat(),
        service,
        token,
        address,
        requests,
        order: SendOrder::default(),
        under_way: FuturesOrdered::new(),
        end: None,
    };
    stream::unfold(Some(send_stream), |send_stream| async move {
        let mut send_stream = send_stream?;
        match send_stream.next_answer().await {
            Some(Ok(answer)) => Some((Ok(answer), Some(send_stream))),
            Some(Err(status)) => Some((Err(status), None)),
            None => None,
        }
    })
}

impl SendStream {
    /// The next answer; an error is the last.
    async fn next_answer(&mut self) -> Option<Result<v1::SendStreamResponse, Status>> {
        loop {
            if self.under_way.is_empty()
                && let Some(end) = self.end.take()
            {
                return end.err().map(Err);
            }
            match self.next().await {
                // Those behind it would be refused for the same reason.
                Next::Answered(answered) => return Some(answered.map_err(status)),
                Next::Request(Ok(Some(request))) => self.send(request),
                Next::Request(Ok(None)) => self.end = Some(Ok(())),
                Next::Request(Err(broken)) => self.end = Some(Err(broken)),
                Next::Idle => {
                    if let Err(error) = self.service.session_of(self.token.as_deref()).await {
                        return Some(Err(status(error)));
                    }
                }
                Next::Draining => self.end = Some(Err(status(Error::ShuttingDown))),
            }
        }
    }

    async fn next(&mut self) -> Next {
        let open = self.end.is_none();
        let quiet = self.under_way.is_empty();
        tokio::select! {
            biased;
            Some(answered) = self.under_way.next() => Next::Answered(answered),
            () = self.service.draining(), if open => Next::Draining,
            request = self.requests.message(), if open && self.under_way.len() < UNDER_WAY => {
                Next::Request(request)
            }
            () = sleep(self.idle), if open && quiet => Next::Idle,
        }
    }

    /// Gives a message its place among those of this stream.
    fn send(&mut self, request: v1::SendStreamRequest) {
        let (service, token) = (self.service.clone(), self.token.clone());
        let ticket = self.order.ticket();
        let request = request.send.unwrap_or_default();
        let client_message_id = request.client_message_id.clone();
        let message = SendMessage { address: self.address, ..decode_send(request) };
        let answered = async move {
            let sent = service.send_in_order(ticket, token.as_deref(), message).await;
            let result = match sent {
                Ok(sent) => Answer::Sent(encode_sent(&sent)),
                Err(error) if error.class() == Class::Unauthenticated => return Err(error),
                Err(error) => Answer::Error(send_error(&error)),
            };
            Ok(v1::SendStreamResponse { client_message_id, result: Some(result) })
        };
        self.under_way.push_back(answered.boxed());
    }
}

/// An error as it stands in an answer: what a call of its own would have for its status.
pub(super) fn send_error(error: &Error) -> v1::SendError {
    telemetry::note(error);
    let details: HashMap<_, _> =
        error.details().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    v1::SendError {
        code: error.code().to_owned(),
        grpc_code: code(error.class()).into(),
        message: error.to_string(),
        retry_after: error.retry_after().and_then(|after| after.try_into().ok()),
        details,
    }
}
