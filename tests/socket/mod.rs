//! What is a WebSocket's own; what it has in common with the other transports is tested with them.

mod credentials;
mod end;
mod frames;
mod pings;

use serde_json::{Value, json};

use crate::support::{
    api::{Outgoing, Transport},
    cluster::Cluster,
    failure::Failure,
    rest::send_request,
    socket::{Socket, failure},
    terminal::Terminal,
    within_deadline,
};

async fn cluster() -> Cluster {
    Cluster::start(Transport::WebSocket).await
}

/// A connection of a terminal whose token has been taken.
async fn connected(imd: &Cluster, terminal: &Terminal) -> Socket {
    let mut socket = Socket::open_as(imd.node.public_address(), &terminal.token).await;
    assert_eq!(next(&mut socket).await, ("authenticated".to_owned(), json!({})));
    socket
}

/// A connection of a terminal that follows its timeline, and what it opened with.
async fn following(imd: &Cluster, terminal: &Terminal, after: &str) -> (Socket, Value) {
    let mut socket = connected(imd, terminal).await;
    socket.say(&json!({ "subscribe": { "after": after } })).await;
    let opened = expect(&mut socket, "opened").await;
    (socket, opened)
}

/// The next frame, heartbeats left out.
async fn next(socket: &mut Socket) -> (String, Value) {
    loop {
        let frame = within_deadline("a frame", socket.next()).await.expect("a frame");
        if frame.0 != "heartbeat" {
            return frame;
        }
    }
}

/// What the next frame holds, which must be of this name.
async fn expect(socket: &mut Socket, name: &str) -> Value {
    let (found, data) = next(socket).await;
    assert_eq!(found, name, "{data}");
    data
}

/// How the next frame refuses something.
async fn refused(socket: &mut Socket) -> Failure {
    failure(expect(socket, "error").await)
}

fn send(message: &Outgoing) -> Value {
    json!({ "send": send_request(message) })
}
