//! What imd asks of its database, and what becomes of imd when the database cannot give it: defaults
//! that a role or a server sets, conflicts between transactions, a server that takes no writes, hangs or
//! loses its power, and hosts of which not all answer.

mod conflicts;
mod defaults;
mod generations;
mod hosts;
mod migrations;
mod outages;
mod start;
mod statements;

use std::{net::SocketAddr, time::Duration};

use tokio::time::Instant;

/// Whether a node says that it is ready, and how long it took to say so.
async fn readiness(node: SocketAddr) -> (u16, Duration) {
    let began = Instant::now();
    let answer = reqwest::get(format!("http://{node}/readyz")).await.expect("an answer");
    (answer.status().as_u16(), began.elapsed())
}
