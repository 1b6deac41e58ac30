//! LISTEN and NOTIFY, on a channel for each node. Sent outside the appending transactions, because a
//! commit that carries a NOTIFY takes a lock of the whole database.

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{Bus, Frame, decode};
use crate::{model::Result, store::Store};

pub(super) struct PostgresBus {
    store: Store,
}

impl PostgresBus {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Bus for PostgresBus {
    async fn send(&self, frames: &[(i64, String)]) -> Result<()> {
        let channels: Vec<String> = frames.iter().map(|(node_no, _)| channel(*node_no)).collect();
        let payloads: Vec<&str> = frames.iter().map(|(_, payload)| payload.as_str()).collect();
        self.store.notify(&channels, &payloads).await
    }

    async fn listen(&self, node_no: i64) -> Result<BoxStream<'static, Frame>> {
        let listener = self.store.listen(&channel(node_no)).await?;
        let payloads = stream::unfold(listener, async |mut listener| {
            let payload = listener.next().await?;
            Some((payload, listener))
        });
        Ok(payloads.filter_map(async |payload| decode(payload.as_bytes())).boxed())
    }
}

fn channel(node_no: i64) -> String {
    format!("imd_node_{node_no}")
}
