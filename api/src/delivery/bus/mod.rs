//! How hints travel between nodes. A bus may lose, repeat and reorder them (I9): they are numbered,
//! and a node that misses one sweeps.

mod nats;
mod postgres;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use futures::stream::BoxStream;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    model::{Error, Result},
    store::Store,
};

/// The most timelines in a hint: a NOTIFY's payload must stay below 8,000 bytes.
pub(super) const HINT_LIMIT: usize = 120;

/// Which timelines have grown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hint {
    /// The node that says so.
    pub(super) from: i64,
    /// 1, 2, 3 … from that node to this.
    pub(super) no: i64,
    /// Owner, and the first and the last seq of what was appended.
    pub(super) timelines: Vec<(i64, i64, i64)>,
}

/// Carries hints from node to node, each at most once as far as it can.
#[async_trait]
pub(super) trait Bus: Send + Sync {
    /// Sends each hint to the node that it stands with.
    async fn send(&self, hints: &[(i64, Hint)]) -> Result<()>;

    /// The hints to a node from now on. Ends when some may have been missed.
    async fn listen(&self, node_no: i64) -> Result<BoxStream<'static, Hint>>;
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

fn encode(hint: &Hint) -> Result<String> {
    serde_json::to_string(hint).map_err(Error::internal)
}

fn decode(payload: &[u8]) -> Option<Hint> {
    serde_json::from_slice(payload)
        .inspect_err(|error| tracing::warn!(%error, "a hint that cannot be read"))
        .ok()
}
