//! How hints travel between nodes. A bus may lose, repeat and reorder them (I9): they are numbered,
//! and a node that misses one sweeps.

mod nats;
mod postgres;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    model::{Error, Result},
    store::Store,
};

/// The most timelines in a hint: a NOTIFY's payload must stay below 8,000 bytes.
pub(super) const HINT_LIMIT: usize = 150;

/// Which timelines have grown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hint {
    /// The node that says so.
    pub(super) from: i64,
    /// 1, 2, 3 … from that node to this.
    pub(super) no: i64,
    /// Owner and seq.
    pub(super) timelines: Vec<(i64, i64)>,
}

/// Carries hints from node to node, each at most once as far as it can.
#[async_trait]
pub(super) trait Bus: Send + Sync {
    /// Sends each hint to the node that it stands with.
    async fn send(&self, hints: &[(i64, Hint)]) -> Result<()>;

    /// The hints to a node from now on. Ends when some may have been missed.
    async fn listen(&self, node_no: i64) -> Result<BoxStream<'static, Hint>>;
}

/// The bus at `url` (`nats://…`); without one, PostgreSQL's own.
pub(super) async fn open(store: &Store, url: Option<&SecretString>) -> Result<Arc<dyn Bus>> {
    Ok(match url {
        None => Arc::new(postgres::PostgresBus::new(store.clone())),
        Some(url) => Arc::new(nats::NatsBus::connect(url.expose_secret()).await?),
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
