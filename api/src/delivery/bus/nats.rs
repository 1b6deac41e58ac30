//! NATS, for clusters that outgrow NOTIFY: a subject for each node. Core NATS, at most once, is all
//! that hints need.

use std::{error::Error as StdError, io, time::Duration};

use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, connection::State,
};
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use tokio::{sync::watch, time::timeout};

use super::{Bus, BusSettings, Frame, decode};
use crate::{
    model::{Error, Result},
    tls::{self, TlsFileError},
};

/// How long a hint may take to be handed to the connection.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) struct NatsBus {
    client: Client,
    /// Counts the losses and returns of the connection.
    breaks: watch::Receiver<u64>,
}

impl NatsBus {
    /// Connects; in the background, again and again, where the server does not answer: without its bus a
    /// node works on, only slower. Errors: a server that is not to be trusted, or a file that cannot be
    /// used.
    pub(super) async fn connect(url: &str, settings: &BusSettings) -> Result<Self> {
        let (count, breaks) = watch::channel(0);
        let options =
            options(url, settings).map_err(Error::internal)?.event_callback(move |event| {
                if matches!(event, Event::Connected | Event::Disconnected | Event::SlowConsumer(_))
                {
                    count.send_modify(|breaks| *breaks += 1);
                }
                std::future::ready(())
            });
        let client = match options.clone().connect(url).await {
            Err(error) if is_of_tls(&error) => Err(Error::internal(Distrusted(error))),
            Err(_) => {
                options.retry_on_initial_connect().connect(url).await.map_err(Error::unavailable)
            }
            Ok(client) => Ok(client),
        };
        Ok(Self { client: client?, breaks })
    }
}

/// No connection, and no use in trying again.
#[derive(Debug, thiserror::Error)]
#[error("no TLS with the server of bus.url")]
struct Distrusted(#[source] ConnectError);

fn is_of_tls(error: &ConnectError) -> bool {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let mut inner = causes.filter_map(|cause| cause.downcast_ref::<io::Error>()?.get_ref());
    error.kind() == ConnectErrorKind::Tls
        || inner.any(<dyn StdError + Send + Sync>::is::<rustls::Error>)
}

/// The files are read once here, so that one that cannot be used is noticed at the start.
fn options(url: &str, settings: &BusSettings) -> Result<ConnectOptions, TlsFileError> {
    let mut options = ConnectOptions::new().name("imd").require_tls(url.starts_with("tls:"));
    if let Some(ca) = &settings.ca {
        tls::authorities(ca)?;
        options = options.add_root_certificates(ca.clone());
    }
    if let Some((cert, key)) = &settings.identity {
        tls::certificates(cert)?;
        tls::private_key(key)?;
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    Ok(options)
}

#[async_trait]
impl Bus for NatsBus {
    async fn send(&self, frames: &[(i64, String)]) -> Result<()> {
        for (node_no, payload) in frames {
            // While the connection is away the client would queue, and then block. A hint that does not
            // go is a missing number, which the other node sees.
            if self.client.connection_state() != State::Connected {
                return Ok(());
            }
            let publish = self.client.publish(subject(*node_no), payload.clone().into());
            match timeout(PATIENCE, publish).await {
                Ok(published) => published.map_err(Error::unavailable)?,
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn listen(&self, node_no: i64) -> Result<BoxStream<'static, Frame>> {
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
