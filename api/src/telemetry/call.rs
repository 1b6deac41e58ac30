//! The call under way: its id, and who makes it, for whatever is logged on its behalf.
//!
//! The transport begins a call, and runs everything that is done for it within it. What is learned on the way
//! (who calls, which error is answered) is noted here, so that one line at the end tells it all.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use time::OffsetDateTime;
use tokio::task_local;
use tracing::Span;
use uuid::Uuid;

use super::{
    load::{self, SlowCall},
    operation::{Operation, Transport},
};
use crate::model::{ClientAddress, SessionId, UserId};

/// The longest id of a request that is taken over from a client, in bytes.
const LONGEST_ID: usize = 128;

/// The longest path that is logged, in bytes.
const LONGEST_PATH: usize = 256;

/// What is told of calls that ask for nothing that there is, or are refused before.
const NO_METHOD: &str = "none";

/// The code of an answer that is an error without a code.
const OTHER: &str = "other";

/// Whether each call is logged at the level `info`; else it is at `debug`.
static ACCESS: AtomicBool = AtomicBool::new(false);

/// From how many microseconds on a call or a statement is slow; zero for never.
static SLOW: AtomicU64 = AtomicU64::new(0);

task_local! {
    static CALL: Arc<Call>;
}

/// Says what is logged of calls, from now on: whether each one is, and from how long on one is slow (zero for never).
pub fn log_calls(access: bool, slow: Duration) {
    ACCESS.store(access, Ordering::Relaxed);
    SLOW.store(u64::try_from(slow.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Whether what has taken so long is slow.
#[must_use]
pub fn is_slow(took: Duration) -> bool {
    let slow = SLOW.load(Ordering::Relaxed);
    slow > 0 && took.as_micros() >= u128::from(slow)
}

/// A line about a call, with what is known of it.
macro_rules! line {
    ($level:ident, $target:literal, $call:ident, $status:ident, $took:ident, $message:literal) => {
        tracing::$level!(
            target: $target,
            request_id = $call.id.as_str(),
            method = $call.method,
            path = &*$call.path,
            status = $status,
            code = $call.code.get().copied(),
            took_ms = millis($took),
            address = $call.address.map(|address| display(address.0)),
            user_id = $call.user(),
            session_id = $call.session().map(|id| display(id.0)),
            administrator = $call.administrator(),
            $message
        )
    };
}

/// A duration for the log: milliseconds with two decimals.
#[must_use]
pub fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 100_000.0).round() / 100.0
}

/// Names a call across servers and logs: 1 to 128 printable characters of ASCII without spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// What a client or a proxy has given, where that can be used; a new one otherwise.
    #[must_use]
    pub fn of(given: Option<&[u8]>) -> Self {
        let usable = |id: &&[u8]| {
            !id.is_empty() && id.len() <= LONGEST_ID && id.iter().all(u8::is_ascii_graphic)
        };
        let given = given.filter(usable).and_then(|id| str::from_utf8(id).ok());
        Self(given.map_or_else(|| Uuid::now_v7().simple().to_string().into(), Arc::from))
    }

    /// The id as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A call, or one request over a WebSocket.
pub struct Call {
    id: RequestId,
    /// `POST`, or the name of a frame.
    method: &'static str,
    /// Without the query.
    path: Box<str>,
    address: Option<ClientAddress>,
    transport: Transport,
    /// What it asks for, once that is known.
    operation: OnceLock<Arc<Operation>>,
    began: Instant,
    caller: OnceLock<Caller>,
    /// Of the error that it is answered with.
    code: OnceLock<&'static str>,
}

/// Who calls.
#[derive(Debug)]
enum Caller {
    User {
        user_id: Box<str>,
        session_id: SessionId,
    },
    /// By the name of the key.
    Administrator(Box<str>),
}

impl Call {
    /// Begins a call.
    #[must_use]
    pub fn begin(
        id: RequestId,
        method: &'static str,
        path: &str,
        address: Option<ClientAddress>,
        transport: Transport,
    ) -> Arc<Self> {
        let path = path.get(..path.floor_char_boundary(LONGEST_PATH)).unwrap_or_default();
        Arc::new(Self {
            id,
            method,
            path: path.into(),
            address,
            transport,
            operation: OnceLock::new(),
            began: Instant::now(),
            caller: OnceLock::new(),
            code: OnceLock::new(),
        })
    }

    /// A request within this call, which has a line in the log of its own.
    #[must_use]
    pub fn request(&self, method: &'static str) -> Arc<Self> {
        let transport = Transport::WebSocket;
        let request = Self::begin(self.id.clone(), method, &self.path, self.address, transport);
        request.asks_for(method);
        request
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// `POST`, or the name of a frame.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// From where it comes, where that is known.
    #[must_use]
    pub fn address(&self) -> Option<ClientAddress> {
        self.address
    }

    fn asks_for(&self, method: &str) -> &Operation {
        self.operation.get_or_init(|| Operation::of(self.transport, method))
    }

    /// Runs `work` as a part of this call.
    pub fn run<T>(self: Arc<Self>, work: impl Future<Output = T>) -> impl Future<Output = T> {
        // No `async fn`, which would keep the room for the work twice.
        CALL.scope(self, work)
    }

    /// Does something at once as a part of this call.
    pub fn within<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        CALL.sync_scope(self.clone(), work)
    }

    /// Logs how the call went: every one where that is wanted, and those that were slow. `status` is that of HTTP,
    /// where there is one.
    pub fn end(&self, status: Option<u16>) {
        let took = self.began.elapsed();
        if ACCESS.load(Ordering::Relaxed) {
            line!(info, "imd::access", self, status, took, "a call");
        } else {
            line!(debug, "imd::access", self, status, took, "a call");
        }
        let refused = || status.is_some_and(|status| status >= 400).then_some(OTHER);
        // What it asked for, if it has got so far.
        self.asks_for(NO_METHOD).count(self.code.get().copied().or_else(refused), took);
        load::note(took, self.code.get().is_some(), self.user(), || SlowCall {
            at: OffsetDateTime::now_utc(),
            took,
            method: self.method,
            path: self.path.to_string(),
            user_id: self.user().unwrap_or_default().to_owned(),
            request_id: self.id.to_string(),
        });
        if is_slow(took) {
            line!(warn, "imd::slow", self, status, took, "a slow call");
        }
    }

    /// Notes in the span of the call how it went.
    pub fn describe(&self, span: &Span, status: Option<u16>) {
        if span.is_disabled() {
            return;
        }
        if let Some(status) = status {
            span.record("http.response.status_code", status);
        }
        if let Some(Caller::User { user_id, session_id }) = self.caller.get() {
            span.record("imd.user_id", &**user_id);
            span.record("imd.session_id", tracing::field::display(session_id.0));
        }
        if let Some(code) = self.code.get() {
            span.record("imd.code", *code);
            span.record("otel.status_code", "ERROR");
        }
    }

    fn user(&self) -> Option<&str> {
        match self.caller.get()? {
            Caller::User { user_id, .. } => Some(user_id),
            Caller::Administrator(_) => None,
        }
    }

    fn session(&self) -> Option<SessionId> {
        match self.caller.get()? {
            Caller::User { session_id, .. } => Some(*session_id),
            Caller::Administrator(_) => None,
        }
    }

    fn administrator(&self) -> Option<&str> {
        match self.caller.get()? {
            Caller::Administrator(name) => Some(name),
            Caller::User { .. } => None,
        }
    }
}

/// The call under way, if there is one.
#[must_use]
pub fn current() -> Option<Arc<Call>> {
    CALL.try_with(Arc::clone).ok()
}

/// The id of the call under way, if there is one.
#[must_use]
pub fn request_id() -> Option<RequestId> {
    CALL.try_with(|call| call.id.clone()).ok()
}

/// Notes the user who calls.
pub fn note_user(user_id: &UserId, session_id: SessionId) {
    note_caller(|| Caller::User { user_id: user_id.as_str().into(), session_id });
}

/// Notes the administrator who calls, by the name of the key.
pub fn note_administrator(name: &str) {
    note_caller(|| Caller::Administrator(name.into()));
}

fn note_caller(caller: impl FnOnce() -> Caller) {
    let _ = CALL.try_with(|call| {
        call.caller.get_or_init(caller);
    });
}

/// Notes what the call asks for: one of few methods, and nothing that a client makes up.
pub fn note_method(method: &str) {
    let _ = CALL.try_with(|call| {
        call.asks_for(method);
    });
}

/// Notes the code of an error that the call is answered with.
pub fn note_code(code: &'static str) {
    let _ = CALL.try_with(|call| call.code.set(code));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_over_where_it_is_printable_and_short() {
        let given = |id: &str| RequestId::of(Some(id.as_bytes())).as_str() == id;
        assert!(given("a") && given("4bf92f35-77b3:x/y+z==") && given(&"a".repeat(LONGEST_ID)));
        for unfit in ["", "two words", "line\nend", "\u{202e}abc", &"a".repeat(LONGEST_ID + 1)] {
            assert!(!given(unfit), "{unfit:?}");
        }
        assert_ne!(RequestId::of(None), RequestId::of(None));
    }
}
