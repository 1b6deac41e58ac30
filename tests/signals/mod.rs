//! Signals: what is stored nowhere reaches whoever has a stream open, and nobody else.

mod delivery;
mod refused;

use crate::support::{
    feed::Feed,
    types::{Event, Signal},
};

/// What those who see somebody type get.
fn typing(conversation_id: &str, sender_id: &str) -> Signal {
    Signal {
        conversation_id: conversation_id.to_owned(),
        sender_id: sender_id.to_owned(),
        typing: Some("STARTED".to_owned()),
        expires_in: Some(6),
        ..Signal::default()
    }
}

/// The next event, which must be a signal.
#[track_caller]
fn signal(feed: &mut Feed) -> impl Future<Output = Signal> {
    let caller = std::panic::Location::caller();
    async move {
        match feed.event().await {
            Event::Signal(signal) => signal,
            other => panic!("{caller}: {other:?}"),
        }
    }
}
