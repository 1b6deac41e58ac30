//! Deadlines: a call ends in time, and what it was doing ends with it. In the time that it carries as
//! `grpc-timeout`, or else in the longest that the server gives a call.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{
        HeaderMap,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    middleware::Next,
    response::Response,
};
use http_body::Frame;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tonic::Status;

use super::methods;
use crate::{
    model::Limit,
    telemetry::{self, call},
};

/// The longest time that a client may write, in digits.
const DIGITS: usize = 8;

/// The longest time that the server gives a call, the part of a stream that follows its head left out;
/// `None` for no end.
#[derive(Clone, Copy)]
pub(super) struct Longest(pub(super) Option<Duration>);

/// Answers `DEADLINE_EXCEEDED` when the call's time is up; a stream that is under way then ends so.
pub(super) async fn keep(
    State(Longest(longest)): State<Longest>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(method) = methods::at(request.uri().path()) {
        call::note_method(method);
    }
    let now = Instant::now();
    let asked = timeout(request.headers()).map(|timeout| now + timeout);
    let allowed = longest.map(|longest| now + longest);
    let Some(head_by) = asked.into_iter().chain(allowed).min() else {
        return next.run(request).await;
    };
    match (timeout_at(head_by, next.run(request)).await, asked) {
        (Ok(response), None) => response,
        (Ok(response), Some(asked)) => response.map(|body| {
            Body::new(Limited { body: Some(body), deadline: Box::pin(sleep_until(asked)) })
        }),
        (Err(_), asked) => {
            if asked != Some(head_by) {
                telemetry::note_limit(Limit::CallTimeout);
            }
            exceeded().into_http()
        }
    }
}

/// What a call ends with whose time is up.
pub(super) fn exceeded() -> Status {
    Status::deadline_exceeded("the call took longer than its deadline allows")
}

/// The time that a call has, where it is said as the gRPC protocol has it.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_hours(number)),
        "M" => Some(Duration::from_mins(number)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// The body of an answer until the deadline.
struct Limited {
    /// `None` when the time is up.
    body: Option<Body>,
    deadline: Pin<Box<Sleep>>,
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if body.is_end_stream() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        ready!(self.deadline.as_mut().poll(context));
        self.body = None;
        let mut trailers = exceeded().into_http::<Body>().into_parts().0.headers;
        trailers.remove(CONTENT_TYPE);
        trailers.remove(CONTENT_LENGTH);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_number_and_a_unit() {
        let read = |value: &'static str| {
            timeout(&HeaderMap::from_iter([(
                "grpc-timeout".parse().unwrap(),
                value.parse().unwrap(),
            )]))
        };
        for (value, duration) in [
            ("2H", Duration::from_hours(2)),
            ("3M", Duration::from_mins(3)),
            ("4S", Duration::from_secs(4)),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("5u", Duration::from_micros(5)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(read(value), Some(duration), "{value}");
        }
        for value in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S"] {
            assert_eq!(read(value), None, "{value}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
