//! NATS, for clusters that outgrow NOTIFY: a subject for each node. Core NATS, at most once, is all
//! that hints need.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, connection::State};
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use tokio::{sync::watch, time::timeout};

use super::{Bus, Hint, decode, encode};
use crate::model::{Error, Result};

/// How long a hint may take to be handed to the connection.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) struct NatsBus {
    client: Client,
    /// Counts the losses and returns of the connection.
    breaks: watch::Receiver<u64>,
}

impl NatsBus {
    /// Connects in the background, again and again: without its bus a node works on, only slower.
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let (count, breaks) = watch::channel(0);
        let client = ConnectOptions::new()
            .name("imd")
            .retry_on_initial_connect()
            .event_callback(move |event| {
                if matches!(event, Event::Connected | Event::Disconnected | Event::SlowConsumer(_))
                {
                    count.send_modify(|breaks| *breaks += 1);
                }
                std::future::ready(())
            })
            .connect(url)
            .await
            .map_err(Error::unavailable)?;
        Ok(Self { client, breaks })
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn send(&self, hints: &[(i64, Hint)]) -> Result<()> {
        for (node_no, hint) in hints {
            // While the connection is away the client would queue, and then block. A hint that does not
            // go is a missing number, which the other node sees.
            if self.client.connection_state() != State::Connected {
                return Ok(());
            }
            let publish = self.client.publish(subject(*node_no), encode(hint)?.into());
            match timeout(PATIENCE, publish).await {
                Ok(published) => published.map_err(Error::unavailable)?,
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn listen(&self, node_no: i64) -> Result<BoxStream<'static, Hint>> {
        let mut breaks = self.breaks.clone();
        breaks.mark_unchanged();
        let messages = self.client.subscribe(subject(node_no)).await.map_err(Error::unavailable)?;
        // The client subscribes again by itself when the connection is back; what was said meanwhile
        // is lost.
        let broken = async move { breaks.changed().await };
        let hints = messages.filter_map(async |message| decode(&message.payload));
        Ok(hints.take_until(Box::pin(broken)).boxed())
    }
}

fn subject(node_no: i64) -> String {
    format!("imd.node.{node_no}")
}
