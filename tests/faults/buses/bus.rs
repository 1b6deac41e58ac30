//! The buses under test, with the means to break them and to speak and listen on them.

use std::time::Duration;

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use imd::store::Store;
use tokio::{task::JoinSet, time::sleep};

use crate::support::{listeners::end_listeners, nats::Nats, postgres::Database};

/// How often a LISTEN is ended while that bus is down.
const PAUSE: Duration = Duration::from_millis(20);

/// What a tap says to itself. Nodes that hear it too make nothing of it.
const TEST: &str = "testing";

/// What nodes of a test send each other hints over.
pub(super) enum Bus {
    /// NOTIFY. While it is down, no connection listens for long; the database works.
    Postgres {
        outage: JoinSet<()>,
    },
    Nats(Box<Nats>),
}

impl Bus {
    pub(super) fn postgres() -> Self {
        Self::Postgres { outage: JoinSet::new() }
    }

    pub(super) async fn nats() -> Self {
        Self::Nats(Box::new(Nats::start().await))
    }

    /// For `bus.url`.
    pub(super) fn url(&self) -> Option<String> {
        match self {
            Self::Postgres { .. } => None,
            Self::Nats(nats) => Some(nats.url()),
        }
    }

    /// From now on hints are lost.
    pub(super) async fn go_down(&mut self, database: &Database) {
        match self {
            Self::Postgres { outage } => {
                let sql = database.sql().await;
                end_listeners(&sql).await;
                outage.spawn(async move {
                    loop {
                        sleep(PAUSE).await;
                        end_listeners(&sql).await;
                    }
                });
            }
            Self::Nats(nats) => nats.kill().await,
        }
    }

    pub(super) async fn come_back(&mut self) {
        match self {
            Self::Postgres { outage } => outage.shutdown().await,
            Self::Nats(nats) => nats.start_again().await,
        }
    }

    /// Says something to a node, as another node would.
    pub(super) async fn publish(&self, database: &Database, node_no: i64, payload: &[u8]) {
        match self {
            Self::Postgres { .. } => {
                let payload = std::str::from_utf8(payload).expect("NOTIFY carries text");
                let sql = database.sql().await;
                let notify = "SELECT pg_notify($1, $2)";
                sql.execute(notify, &[&channel(node_no), &payload]).await.expect("a NOTIFY");
            }
            Self::Nats(nats) => {
                let client = async_nats::connect(nats.url()).await.expect("a NATS server");
                let payload = payload.to_vec().into();
                client.publish(subject(node_no), payload).await.expect("a connection");
                client.flush().await.expect("a connection");
            }
        }
    }

    /// What is said to a node from now on.
    pub(super) async fn tap(
        &self,
        database: &Database,
        node_no: i64,
    ) -> BoxStream<'static, String> {
        match self {
            Self::Postgres { .. } => {
                let store = Store::new(database.url(), 1).expect("a store");
                let listener = store.listen(&channel(node_no)).await.expect("a connection");
                let said = async |mut listener: imd::store::Listener| {
                    Some((listener.next().await?, listener))
                };
                stream::unfold(listener, said).boxed()
            }
            Self::Nats(nats) => {
                let client = async_nats::connect(nats.url()).await.expect("a NATS server");
                let messages = client.subscribe(subject(node_no)).await.expect("a connection");
                let text = |message: async_nats::Message| {
                    String::from_utf8(message.payload.to_vec()).expect("UTF-8")
                };
                let mut said = messages.map(text).boxed();
                // Heard as soon as the server knows of the subscription.
                let testing = client.publish(subject(node_no), TEST.into()).await;
                testing.expect("a connection");
                while said.next().await.expect("a connection") != TEST {}
                said
            }
        }
    }
}

fn channel(node_no: i64) -> String {
    format!("imd_node_{node_no}")
}

fn subject(node_no: i64) -> String {
    format!("imd.node.{node_no}")
}

/// Turns `async fn behaviour(bus: Bus) { … }` into two tests, `behaviour::postgres` and
/// `behaviour::nats`.
macro_rules! on_both_buses {
    ($($(#[$meta:meta])* async fn $name:ident($bus:ident: Bus) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "not every behaviour needs all that its file imports")]
            use super::*;
            use crate::faults::buses::bus::Bus;

            async fn behaviour($bus: Bus) $body

            #[tokio::test]
            async fn postgres() {
                behaviour(Bus::postgres()).await;
            }

            #[tokio::test]
            async fn nats() {
                behaviour(Bus::nats().await).await;
            }
        }
    )+};
}
pub(super) use on_both_buses;
