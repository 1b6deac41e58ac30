//! Frames that cost a client next to nothing: how many of them a connection may send.

use bytes::Bytes;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{cluster, connected, expect, refused};
use crate::support::{cluster::Cluster, node::Node, socket::Socket};

/// The close code of a connection that is refused.
const POLICY: u16 = 1008;

async fn ends_for_pings(socket: &mut Socket) {
    let refused = refused(socket).await;
    assert_eq!((&*refused.code, refused.detail("limit")), ("rate_limited", "pings_per_second"));
    assert_eq!(socket.close_code().await, POLICY);
}

fn ping() -> Message {
    Message::Ping(Bytes::from_static(b"there?"))
}

#[tokio::test]
async fn a_connection_that_only_pings_ends() {
    let imd = cluster().await;
    let ann = imd.user_with_phone("ann").await;
    let mut socket = connected(&imd, &ann).await;
    for _ in 0..200 {
        // It may have ended meanwhile.
        let _ = socket.say_raw(ping()).await;
    }
    ends_for_pings(&mut socket).await;
}

#[tokio::test]
async fn a_connection_without_a_token_may_say_little() {
    let imd = cluster().await;
    for frame in [ping(), Message::text(json!({ "ping": {} }).to_string())] {
        let mut socket = Socket::open(imd.node.public_address()).await;
        for _ in 0..17 {
            socket.say_raw(frame.clone()).await.expect("it is there");
        }
        for _ in 0..if frame.is_text() { 16 } else { 0 } {
            expect(&mut socket, "pong").await;
        }
        ends_for_pings(&mut socket).await;
    }
}

#[tokio::test]
async fn who_sets_no_limit_may_ping_at_will() {
    let imd = cluster().await;
    let node = Node::start_with(&imd.database, |settings| settings.limits.pings_per_second = 0);
    let node = node.await;
    let imd = Cluster::of(imd.transport, imd.database, node);
    let ann = imd.user_with_phone("ann").await;
    let mut socket = connected(&imd, &ann).await;
    for _ in 0..500 {
        socket.say_raw(ping()).await.expect("it is there");
    }
    socket.say(&json!({ "ping": {} })).await;
    expect(&mut socket, "pong").await;
}
