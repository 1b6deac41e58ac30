//! The bodies of answers: in pieces, so that it shows whether the client takes them; and counted while
//! they wait, so that a client that does not read costs a bounded amount of memory.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::progress::Progress;
use crate::telemetry::call::Call;

/// The largest piece that is handed on at a time, in bytes: one frame of HTTP/2. A client that takes one
/// within `limits.call_timeout` goes on.
const PIECE: usize = 16 * 1024;

/// What has been taken from a body.
pub(super) type Taken = Result<Frame<Bytes>, axum::Error>;

/// Room for what waits unread: with the connection, and with the listener.
pub(super) type Unread = [OwnedSemaphorePermit; 2];

/// The body of an answer. It holds `S`, the place of its call, until it is sent or given up.
pub(super) struct Answer<S> {
    body: Body,
    /// What has been taken from `body` already.
    taken: Option<Taken>,
    progress: Arc<Progress>,
    /// What the body is an answer to.
    call: Option<Arc<Call>>,
    _place: S,
}

/// A part of an answer that counts until the last piece of it is written.
struct Counted {
    bytes: Bytes,
    _unread: Unread,
}

fn counted(frame: Frame<Bytes>, unread: Unread) -> Frame<Bytes> {
    frame.map_data(|bytes| Bytes::from_owner(Counted { bytes, _unread: unread }))
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<S> Answer<S> {
    /// The `body` behind what has been `taken` from it already, which counts as `unread` until it is
    /// written.
    pub(super) fn new(taken: Option<Taken>, unread: Option<Unread>, body: Body, place: S) -> Self {
        let progress = Progress::of_this_task();
        if taken.is_some() {
            progress.handed_on();
        }
        let taken = match unread {
            None => taken,
            Some(unread) => taken.map(|taken| taken.map(|frame| counted(frame, unread))),
        };
        Self { body, taken, progress, call: None, _place: place }
    }

    /// As the answer to `call`: what goes wrong while it is sent is told as a part of that.
    pub(super) fn of(mut self, call: Arc<Call>) -> Self {
        if !self.body.is_end_stream() {
            self.call = Some(call);
        }
        self
    }
}

impl<S: Unpin> HttpBody for Answer<S> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = if let Some(taken) = self.taken.take() {
            taken
        } else {
            self.progress.waits_for_more();
            let Self { body, call, .. } = &mut *self;
            let polled = match call {
                Some(call) => call.within(|| Pin::new(body).poll_frame(context)),
                None => Pin::new(body).poll_frame(context),
            };
            let Some(frame) = ready!(polled) else { return Poll::Ready(None) };
            frame
        };
        self.progress.handed_on();
        let frame = frame.map(|frame| match frame.into_data() {
            Ok(mut bytes) if bytes.len() > PIECE => {
                let piece = bytes.split_to(PIECE);
                self.taken = Some(Ok(Frame::data(bytes)));
                Frame::data(piece)
            }
            Ok(bytes) => Frame::data(bytes),
            Err(frame) => frame,
        });
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.taken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.taken.as_ref().and_then(|taken| taken.as_ref().ok()?.data_ref());
        let (taken, rest) = (data.map_or(0, Bytes::len) as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(taken + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(taken + upper);
        }
        hint
    }
}

impl<S> Drop for Answer<S> {
    fn drop(&mut self) {
        self.progress.waits_for_more();
    }
}
