//! What the tests stand on: a PostgreSQL to throw away, nodes in this process, and one client
//! interface over both transports.

pub(crate) mod admin;
pub(crate) mod api;
pub(crate) mod certificates;
pub(crate) mod checker;
pub(crate) mod cluster;
pub(crate) mod failure;
pub(crate) mod faketime;
pub(crate) mod feed;
pub(crate) mod grpc;
pub(crate) mod http2;
pub(crate) mod issuer;
pub(crate) mod listeners;
pub(crate) mod nats;
pub(crate) mod node;
pub(crate) mod packages;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod rest;
pub(crate) mod scratch;
pub(crate) mod socket;
pub(crate) mod terminal;
pub(crate) mod types;

use std::time::Duration;

/// How long anything that must happen may take. Long, so that a busy machine fails no test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for what must happen; panics when it has not happened in time.
pub(crate) async fn within_deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(DEADLINE, future).await;
    done.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Asks again and again until the answer is there; panics when it has not come in time. For what has
/// no event to wait for, such as rows of the database.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let answered = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within_deadline(what, answered).await
}

/// Makes two tests of each `async fn behaviour(imd: Cluster)`, `behaviour::grpc` and
/// `behaviour::rest`, each on a node and a database of its own.
macro_rules! on_both_transports {
    ($($behaviour:ident),+ $(,)?) => {$(
        mod $behaviour {
            crate::support::on_transport!($behaviour, grpc, Grpc);
            crate::support::on_transport!($behaviour, rest, Rest);
        }
    )+};
}
pub(crate) use on_both_transports;

/// As [`on_both_transports`], and a third test, `behaviour::websocket`: for what goes over one, too.
macro_rules! on_every_transport {
    ($($behaviour:ident),+ $(,)?) => {$(
        mod $behaviour {
            crate::support::on_transport!($behaviour, grpc, Grpc);
            crate::support::on_transport!($behaviour, rest, Rest);
            crate::support::on_transport!($behaviour, websocket, WebSocket);
        }
    )+};
}
pub(crate) use on_every_transport;

/// Makes one test of a behaviour, in the module named for it.
macro_rules! on_transport {
    ($behaviour:ident, $test:ident, $transport:ident) => {
        #[tokio::test]
        async fn $test() {
            use crate::support::{api::Transport, cluster::Cluster};

            super::$behaviour(Cluster::start(Transport::$transport).await).await;
        }
    };
}
pub(crate) use on_transport;
