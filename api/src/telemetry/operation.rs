//! Calls by what they ask for: how many, how they were answered, how long they took.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use metrics::{Counter, Histogram, counter, histogram};
use parking_lot::{Mutex, RwLock};

use super::{CALL_SECONDS, CALLS};

/// By which calls come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// gRPC.
    Grpc,
    /// gRPC-web.
    GrpcWeb,
    /// Plain HTTP.
    Rest,
    /// A frame over a WebSocket.
    WebSocket,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc-web",
            Self::Rest => "rest",
            Self::WebSocket => "websocket",
        }
    }
}

/// Something that can be asked for over a transport.
pub(super) struct Operation {
    transport: Transport,
    method: Box<str>,
    seconds: Histogram,
    /// By code; few of them happen.
    counts: Mutex<Vec<(&'static str, Counter)>>,
}

/// Those that were asked for so far. Their handles are kept, for to look one up in the recorder takes longer.
static OPERATIONS: LazyLock<RwLock<HashMap<Transport, ByMethod>>> = LazyLock::new(RwLock::default);

type ByMethod = HashMap<Box<str>, Arc<Operation>>;

impl Operation {
    /// `method` must be one of few: nothing that a client makes up.
    pub(super) fn of(transport: Transport, method: &str) -> Arc<Self> {
        let known = |all: &HashMap<Transport, ByMethod>| all.get(&transport)?.get(method).cloned();
        let found = known(&OPERATIONS.read());
        found.unwrap_or_else(|| {
            let mut all = OPERATIONS.write();
            let of_transport = all.entry(transport).or_default();
            let new = || Arc::new(Self::new(transport, method));
            of_transport.entry(method.into()).or_insert_with(new).clone()
        })
    }

    fn new(transport: Transport, method: &str) -> Self {
        let name = transport.name();
        Self {
            transport,
            method: method.into(),
            seconds: histogram!(CALL_SECONDS, "transport" => name, "method" => method.to_owned()),
            counts: Mutex::default(),
        }
    }

    /// Counts a call that has ended, with an error of this code or without one.
    pub(super) fn count(&self, code: Option<&'static str>, took: Duration) {
        self.seconds.record(took);
        let code = code.unwrap_or("ok");
        let mut counts = self.counts.lock();
        if let Some((_, count)) = counts.iter().find(|(other, _)| *other == code) {
            return count.increment(1);
        }
        let (transport, method) = (self.transport.name(), self.method.to_string());
        let count = counter!(CALLS, "transport" => transport, "method" => method, "code" => code);
        count.increment(1);
        counts.push((code, count));
    }
}
