//! Signals: what is stored nowhere and reaches whoever has a stream open.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use metrics::counter;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Recipient, Service, access::Identity};
use crate::{
    delivery::NewSignal,
    model::{
        Content, ConversationId, ConversationNo, Error, GroupId, MAX_SIGNAL_BYTES, Result,
        SessionId, Signal, SignalContent, TYPING_EXPIRES, Typing, UserId,
    },
    store::SignalCheck,
    telemetry,
};

/// How long after a signal that says that somebody types the next one is passed on.
const TYPING_EVERY: Duration = Duration::from_secs(3);

/// How many of those who type are known before they are first looked through for those who have stopped.
const FIRST_SWEEP: usize = 1024;

/// A signal as a client sends it.
#[derive(Debug)]
pub struct SendSignal {
    /// To whom.
    pub to: Option<Recipient>,
    /// What it says.
    pub content: Option<SendSignalContent>,
}

/// What a signal says, as a client sends it.
#[derive(Debug)]
pub enum SendSignalContent {
    /// Whether the sender types.
    Typing(Typing),
    /// A content of the client's own.
    Data {
        /// A media type.
        content_type: String,
        /// The bytes.
        data: Bytes,
    },
}

/// Where a session types.
type Place = (SessionId, ConversationNo);

/// Who types where, as far as this node was told.
#[derive(Default)]
pub(super) struct WhoTypes {
    places: Mutex<Places>,
    /// How many places there are: a send looks no further while there is none.
    count: AtomicUsize,
}

#[derive(Default)]
struct Places {
    known: HashMap<Place, Passed>,
    sweep_at: usize,
}

/// A signal that was passed on.
struct Passed {
    at: Instant,
    /// Shared with the signal while it is on its way.
    void: Arc<AtomicBool>,
}

impl WhoTypes {
    /// Notes that a session types: what voids its signal, or `None` when one was passed on a moment ago.
    fn start(&self, place: Place, now: Instant) -> Option<Arc<AtomicBool>> {
        let mut places = self.places.lock();
        let Places { known, sweep_at } = &mut *places;
        if known.get(&place).is_some_and(|passed| now < passed.at + TYPING_EVERY) {
            return None;
        }
        if known.len() >= (*sweep_at).max(FIRST_SWEEP) {
            known.retain(|_, passed| now < passed.at + TYPING_EXPIRES);
            *sweep_at = known.len() * 2;
        }
        let void = Arc::<AtomicBool>::default();
        known.insert(place, Passed { at: now, void: void.clone() });
        self.count.store(known.len(), Ordering::Release);
        Some(void)
    }

    /// Notes that a session types no longer, and voids a signal that is on its way; whether it typed.
    pub(super) fn stop(&self, place: Place) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut places = self.places.lock();
        let passed = places.known.remove(&place);
        self.count.store(places.known.len(), Ordering::Release);
        passed.inspect(|passed| passed.void.store(true, Ordering::Release)).is_some()
    }
}

impl Service {
    /// Sends a signal to the streams that its recipients have open at this moment. Returns when it is on its
    /// way, or is not passed on because one like it was a moment ago.
    ///
    /// Errors: [`Error::InvalidArgument`]; those of [`Service::send`] that say that the recipient takes nothing
    /// from the caller; [`Error::RateLimited`], [`Error::Overloaded`].
    pub async fn signal(&self, token: Option<&str>, signal: SendSignal) -> Result<()> {
        let caller = self.identify(token).await?;
        self.count_signal(&caller)?;
        let (check, content) = match self.read_signal(&caller, signal).await {
            Ok(read) => read,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let place = (caller.session_id, check.to);
        let (starts, void) = match &content {
            SignalContent::Typing(Typing::Started) => {
                (true, self.who_types.start(place, Instant::now()))
            }
            SignalContent::Typing(Typing::Stopped) => {
                (false, self.who_types.stop(place).then(Arc::default))
            }
            SignalContent::Data(_) => (false, Some(Arc::default())),
        };
        let Some(void) = void else {
            // Nothing to pass on, but an ended session is told so.
            return self.check_session(&caller).await;
        };
        if starts && check.to.group().is_some_and(|group_no| !self.count_typing(group_no)) {
            counter!(telemetry::SIGNALS_DROPPED, "reason" => "group").increment(1);
            return self.check_session(&caller).await;
        }
        let conversation_id = match &check.to_id {
            ConversationId::User(_) => ConversationId::User(caller.user_id.clone()),
            ConversationId::Group(group_id) => ConversationId::Group(group_id.clone()),
        };
        let signal = Signal { conversation_id, sender: caller.user_id, content };
        let sent = self.delivery.signal(NewSignal { check, signal, void }).await;
        if sent.is_err() && starts {
            // The next one is to learn of it, too.
            self.who_types.stop(place);
        }
        sent
    }

    async fn read_signal(
        &self,
        caller: &Identity,
        signal: SendSignal,
    ) -> Result<(SignalCheck, SignalContent)> {
        let to_id = match &signal.to {
            Some(Recipient::User(id)) => ConversationId::User(UserId::parse("to.user_id", id)?),
            Some(Recipient::Group(id)) => ConversationId::Group(GroupId::parse("to.group_id", id)?),
            None => return Err(Error::invalid("to", "a recipient is needed")),
        };
        let content = match signal.content {
            Some(SendSignalContent::Typing(typing)) => SignalContent::Typing(typing),
            Some(SendSignalContent::Data { content_type, data }) => {
                SignalContent::Data(Content::data(content_type, data, MAX_SIGNAL_BYTES)?)
            }
            None => return Err(Error::invalid("typing", "typing or data is needed")),
        };
        let check = SignalCheck {
            sender: caller.user_no,
            session_id: caller.session_id,
            to: self.store.conversation_no(&to_id).await?,
            to_id,
            if_blocked: self.limits.if_blocked,
        };
        Ok((check, content))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn typing_is_passed_on_once_in_three_seconds_and_anew_after_a_stop() {
        let (who, start) = (WhoTypes::default(), Instant::now());
        let place = (SessionId(Uuid::nil()), ConversationNo(7));
        assert!(!who.stop(place), "nobody types");
        let first = who.start(place, start).expect("the first is passed on");
        let just_before = start + TYPING_EVERY - Duration::from_millis(1);
        assert!(who.start(place, just_before).is_none());
        assert!(who.start((place.0, ConversationNo(8)), just_before).is_some(), "of its own");
        assert!(who.start(place, start + TYPING_EVERY).is_some());
        assert!(!first.load(Ordering::Acquire));
        let second = who.start((place.0, ConversationNo(9)), start).expect("another");
        assert!(who.stop((place.0, ConversationNo(9))));
        assert!(second.load(Ordering::Acquire), "what is on its way is void");
        assert!(who.start((place.0, ConversationNo(9)), start).is_some());
    }

    #[test]
    fn those_who_have_stopped_are_forgotten() {
        let (who, start) = (WhoTypes::default(), Instant::now());
        for n in 0..100_000_u32 {
            let place = (SessionId(Uuid::from_u128(n.into())), ConversationNo(7));
            who.start(place, start + Duration::from_millis(n.into()));
        }
        let known = who.places.lock().known.len();
        assert!(known <= 4 * 6000, "{known}");
    }
}
