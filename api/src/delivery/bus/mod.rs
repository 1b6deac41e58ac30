//! How hints travel between nodes. A bus may lose, repeat and reorder them (I9): they are numbered,
//! and a node that misses one sweeps.

mod nats;
mod postgres;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use futures::stream::BoxStream;
use secrecy::{ExposeSecret, SecretString};

use super::hint::{Incoming, Outgoing};
use crate::{
    model::{Error, Result},
    store::Store,
};

/// Carries hints from node to node, each at most once as far as it can.
#[async_trait]
pub(super) trait Bus: Send + Sync {
    /// Sends each hint to the node that it stands with.
    async fn send(&self, hints: &[(i64, Outgoing)]) -> Result<()>;

    /// The hints to a node from now on. Ends when some may have been missed.
    async fn listen(&self, node_no: i64) -> Result<BoxStream<'static, Incoming>>;
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

fn encode(hint: &Outgoing) -> Result<String> {
    serde_json::to_string(hint).map_err(Error::internal)
}

fn decode(payload: &[u8]) -> Option<Incoming> {
    serde_json::from_slice(payload)
        // The error itself may quote a message.
        .inspect_err(|error| tracing::warn!(kind = ?error.classify(), "a hint that cannot be read"))
        .ok()
}
