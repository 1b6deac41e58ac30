//! How many frames a connection may send that cost the server something and the client next to nothing.

use std::time::Duration;

use axum::extract::ws::Message;
use tokio::time::Instant;

use crate::model::{Error, Limit, Result};

/// How many frames may come before a good token: one is enough, and some clients send a ping or two.
const FRAMES_OF_STRANGERS: u32 = 16;

/// The time over which pings are counted.
const SECOND: Duration = Duration::from_secs(1);

/// The count of one connection. Each node answers a ping by itself, before anybody looks at it.
pub(super) struct Pace {
    /// Pings in a second; zero for no limit.
    most_pings: u32,
    /// Frames of any kind before a good token.
    frames: u32,
    /// Pings since `second` began.
    pings: u32,
    second: Instant,
}

impl Pace {
    pub(super) fn new(most_pings: u32, now: Instant) -> Self {
        Self { most_pings, frames: 0, pings: 0, second: now }
    }

    /// Counts a frame. Errors: [`Error::RateLimited`], after which the connection is to end.
    pub(super) fn count(
        &mut self,
        frame: &Message,
        authenticated: bool,
        now: Instant,
    ) -> Result<()> {
        if !authenticated {
            self.frames += 1;
            if self.frames > FRAMES_OF_STRANGERS {
                return Err(too_many());
            }
        }
        if matches!(frame, Message::Ping(_) | Message::Pong(_)) {
            self.count_ping(now)?;
        }
        Ok(())
    }

    fn count_ping(&mut self, now: Instant) -> Result<()> {
        if now.duration_since(self.second) >= SECOND {
            (self.second, self.pings) = (now, 0);
        }
        self.pings += 1;
        if self.most_pings > 0 && self.pings > self.most_pings { Err(too_many()) } else { Ok(()) }
    }
}

fn too_many() -> Error {
    Error::RateLimited { limit: Limit::PingsPerSecond, retry_after: SECOND }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping() -> Message {
        Message::Ping(axum::body::Bytes::new())
    }

    #[test]
    fn pings_are_counted_by_the_second() {
        let start = Instant::now();
        let mut pace = Pace::new(20, start);
        for second in 0..3 {
            let now = start + SECOND * second;
            assert!((0..20).all(|_| pace.count(&ping(), true, now).is_ok()));
            assert!(pace.count(&ping(), true, now + SECOND / 2).is_err());
        }
        assert!((0..1000).all(|_| pace.count(&Message::text("{}"), true, start).is_ok()));
    }

    #[test]
    fn zero_is_no_limit() {
        let (mut pace, now) = (Pace::new(0, Instant::now()), Instant::now());
        assert!((0..10_000).all(|_| pace.count(&ping(), true, now).is_ok()));
    }

    #[test]
    fn strangers_may_send_few_frames_of_any_kind() {
        for frame in [ping(), Message::text("{}")] {
            let (mut pace, now) = (Pace::new(0, Instant::now()), Instant::now());
            let passed = (0..1000).filter(|_| pace.count(&frame, false, now).is_ok()).count();
            assert_eq!(passed, 16);
        }
    }
}
