//! LISTEN and NOTIFY.

use futures::{Stream, StreamExt, stream};
use tokio_postgres::{AsyncMessage, Client};

use super::Store;
use crate::model::{Error, Result};

/// A connection that listens on one channel. It ends with the connection: listen again, and take it
/// that notifications were missed meanwhile.
pub struct Listener {
    // Held so that the connection stays open.
    _client: Client,
    payloads: stream::BoxStream<'static, String>,
}

impl Listener {
    /// The next payload; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<String> {
        self.payloads.next().await
    }
}

impl Store {
    /// Listens on `channel` from now on.
    pub async fn listen(&self, channel: &str) -> Result<Listener> {
        let (client, mut connection) = self.0.config.connect(self.0.tls.clone()).await?;
        let messages = stream::poll_fn(move |cx| connection.poll_message(cx));
        let mut payloads = payloads(messages).boxed();
        let listen = format!("LISTEN \"{channel}\"");
        // The connection has to be driven for the command to be answered; what arrives before the
        // answer is of no interest.
        let drained = async { while payloads.next().await.is_some() {} };
        tokio::select! {
            answer = client.batch_execute(&listen) => answer?,
            () = drained => return Err(Error::unavailable("the connection ended")),
        }
        Ok(Listener { _client: client, payloads })
    }

    /// Sends payloads, each to its channel, in one transaction of their own, which does not wait for the
    /// disk: no notification outlives the server.
    pub async fn notify(&self, channels: &[String], payloads: &[String]) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT set_config('synchronous_commit', 'off', true), pg_notify(n.channel, n.payload)
                 FROM unnest($1::text[], $2::text[]) n (channel, payload)",
            )
            .await?;
        client.execute(&statement, &[&channels, &payloads]).await?;
        Ok(())
    }
}

fn payloads(
    messages: impl Stream<Item = Result<AsyncMessage, tokio_postgres::Error>> + Send + 'static,
) -> impl Stream<Item = String> + Send {
    messages.take_while(|message| std::future::ready(message.is_ok())).filter_map(|message| {
        std::future::ready(match message {
            Ok(AsyncMessage::Notification(notification)) => Some(notification.payload().to_owned()),
            _ => None,
        })
    })
}
