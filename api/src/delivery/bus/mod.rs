//! How hints and signals travel between nodes. A bus may lose, repeat and reorder them (I9). Hints are
//! numbered, and a node that misses one sweeps; signals are not, and what is lost of them is lost.

mod nats;
mod postgres;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use futures::stream::BoxStream;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{hint::Incoming, presence_frame::PresenceFrame, signal_frame::IncomingSignals};
use crate::{
    model::{Error, Result},
    store::Store,
};

/// What tells a frame of signals from a hint, which is a JSON object and begins with a brace.
const OF_SIGNALS: u8 = b's';

/// What tells a frame of presence from the others.
const OF_PRESENCE: u8 = b'p';

/// Carries frames from node to node, each at most once as far as it can, and mostly in their order.
#[async_trait]
pub(super) trait Bus: Send + Sync {
    /// Sends each frame, as one of the functions below makes it, to the node that it stands with.
    async fn send(&self, frames: &[(i64, String)]) -> Result<()>;

    /// The frames to a node from now on. Ends when some may have been missed.
    async fn listen(&self, node_no: i64) -> Result<BoxStream<'static, Frame>>;
}

/// What nodes tell each other.
pub(super) enum Frame {
    /// What was appended.
    Hint(Incoming),
    /// What is stored nowhere.
    Signals(IncomingSignals),
    /// Of whom to look how they are.
    Presence(PresenceFrame),
}

/// Where the bus is.
#[derive(Debug, Clone, Default)]
pub struct BusSettings {
    /// `nats://…`, or `tls://…`; PostgreSQL's own without one.
    pub url: Option<SecretString>,
    /// A file of the authorities that may say who the server is; those of the system without one.
    pub ca: Option<PathBuf>,
    /// Files of the certificate that the server is shown, and of its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The bus of the settings. Errors: a file that cannot be used.
pub(super) async fn open(store: &Store, settings: &BusSettings) -> Result<Arc<dyn Bus>> {
    Ok(match &settings.url {
        None => Arc::new(postgres::PostgresBus::new(store.clone())),
        Some(url) => {
            // Its options are large, and every future that starts a node would be.
            Arc::new(Box::pin(nats::NatsBus::connect(url.expose_secret(), settings)).await?)
        }
    })
}

pub(super) fn encode_hint(hint: &impl Serialize) -> Result<String> {
    serde_json::to_string(hint).map_err(Error::internal)
}

pub(super) fn encode_signals(signals: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string(signals).map_err(Error::internal)?;
    Ok(format!("{}{json}", char::from(OF_SIGNALS)))
}

pub(super) fn encode_presence(frame: &PresenceFrame) -> Result<String> {
    let json = serde_json::to_string(frame).map_err(Error::internal)?;
    Ok(format!("{}{json}", char::from(OF_PRESENCE)))
}

fn decode(payload: &[u8]) -> Option<Frame> {
    let read = match payload.split_first() {
        Some((&OF_SIGNALS, json)) => serde_json::from_slice(json).map(Frame::Signals),
        Some((&OF_PRESENCE, json)) => serde_json::from_slice(json).map(Frame::Presence),
        _ => serde_json::from_slice(payload).map(Frame::Hint),
    };
    // The error itself may quote a message.
    read.inspect_err(
        |error| tracing::warn!(kind = ?error.classify(), "a frame that cannot be read"),
    )
    .ok()
}
