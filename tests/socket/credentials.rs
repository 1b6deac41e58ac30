//! Whose connection it is.

use std::time::Duration;

use serde_json::json;

use super::{cluster, connected, expect, next, refused, send};
use crate::{
    authorization::forgeries,
    support::{
        api::Outgoing,
        cluster::Cluster,
        eventually,
        node::Node,
        process::in_time,
        socket::{Socket, failure, request},
    },
};

/// The close code of a connection whose token is refused.
const POLICY: u16 = 1008;

#[tokio::test]
async fn a_token_comes_in_the_first_frame_in_a_header_or_as_a_subprotocol() {
    let imd = cluster().await;
    let phone = imd.user_with_phone("ann").await;
    let address = imd.node.public_address();
    let header = ("authorization", format!("Bearer {}", phone.token));
    let protocol = ("sec-websocket-protocol", format!("imd.v1, bearer.{}", phone.token));
    for (name, value) in [header, protocol] {
        let mut request = request(address);
        request.headers_mut().insert(name, value.parse().expect("a header"));
        let mut socket = Socket::connect(request).await.expect("a WebSocket");
        expect(&mut socket, "authenticated").await;
        socket.say(&json!({ "subscribe": {} })).await;
        expect(&mut socket, "opened").await;
    }
    let mut socket = connected(&imd, &phone).await;
    socket.say(&json!({ "subscribe": {} })).await;
    expect(&mut socket, "opened").await;
}

#[tokio::test]
async fn a_token_in_the_url_is_none() {
    let imd = cluster().await;
    let phone = imd.user_with_phone("ann").await;
    let address = imd.node.public_address();
    let mut request = request(address);
    let uri = format!("ws://{address}/v1/ws?access_token={}&token={0}", phone.token);
    *request.uri_mut() = uri.parse().expect("a URL");
    let mut socket = Socket::connect(request).await.expect("a WebSocket");
    socket.say(&json!({ "subscribe": {} })).await;
    assert_eq!(refused(&mut socket).await.code, "invalid_token");
}

#[tokio::test]
async fn without_a_token_nothing_is_to_be_had() {
    let imd = cluster().await;
    imd.user("ann").await;
    let mut socket = Socket::open(imd.node.public_address()).await;
    socket.say(&json!({ "subscribe": { "after": "now" } })).await;
    assert_eq!(refused(&mut socket).await.code, "invalid_token");
    let message = Outgoing::text("ann", "a note");
    socket.say(&send(&message)).await;
    let problem = expect(&mut socket, "error").await;
    assert_eq!(problem["client_message_id"], message.client_message_id);
    assert_eq!(failure(problem).code, "invalid_token");
}

#[tokio::test]
async fn a_connection_is_not_kept_for_a_client_that_does_not_say_who_it_is() {
    let imd = cluster().await;
    let mut socket = Socket::open(imd.node.public_address()).await;
    let (name, problem) = in_time("the end", socket.next()).await.expect("a frame");
    assert_eq!((name.as_str(), failure(problem).code.as_str()), ("error", "invalid_token"));
    assert_eq!(socket.close_code().await, POLICY);
}

#[tokio::test]
async fn forged_tokens_are_refused_and_end_the_connection() {
    let imd = cluster().await;
    let phone = imd.user_with_phone("ann").await;
    for (what, token) in forgeries(&imd, &phone).await {
        let mut socket = Socket::open_as(imd.node.public_address(), &token).await;
        assert_eq!(refused(&mut socket).await.code, "invalid_token", "{what}");
        assert_eq!(socket.close_code().await, POLICY, "{what}");
    }
}

#[tokio::test]
async fn i2_the_token_of_an_ended_session_is_refused_with_the_reason() {
    let imd = cluster().await;
    let phone = imd.user_with_phone("ann").await;
    let mut open = connected(&imd, &phone).await;
    imd.log_in("ann", "phone", "second").await;
    let mut socket = Socket::open_as(imd.node.public_address(), &phone.token).await;
    assert_eq!(refused(&mut socket).await.end_reason(), "REPLACED");
    assert_eq!(socket.close_code().await, POLICY);

    // I3: nor does a connection that was open before get anything through.
    open.say(&send(&Outgoing::text("ann", "too late"))).await;
    let late = refused(&mut open).await;
    assert_eq!(
        (late.end_reason(), late.detail("ended_by_device_name")),
        ("REPLACED", "ann's second")
    );
    assert_eq!(open.close_code().await, POLICY);
}

#[tokio::test]
async fn a_fresh_token_keeps_a_connection_going_but_only_one_of_its_own_session() {
    let imd = cluster().await;
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let mut socket = connected(&imd, &phone).await;
    let fresh = imd.api.refresh(&phone.refresh_token).await.expect("fresh tokens");
    socket.say(&json!({ "authenticate": { "access_token": fresh.access_token } })).await;
    expect(&mut socket, "authenticated").await;
    socket.say(&send(&Outgoing::text("ann", "a note"))).await;
    expect(&mut socket, "sent").await;

    socket.say(&json!({ "authenticate": { "access_token": pc.token } })).await;
    assert_eq!(refused(&mut socket).await.code, "invalid_token");
    assert_eq!(socket.close_code().await, POLICY);
}

#[tokio::test]
async fn an_expired_token_stops_sends_until_there_is_a_fresh_one() {
    let imd = cluster().await;
    let node = Node::start_with(&imd.database, |settings| {
        settings.tokens.access_ttl = Duration::from_secs(1);
    });
    let node = node.await;
    let imd = Cluster::of(imd.transport, imd.database, node);
    let phone = imd.user_with_phone("ann").await;
    let mut socket = connected(&imd, &phone).await;
    let expired = eventually("an expired token", async || {
        socket.say(&send(&Outgoing::text("ann", "a note"))).await;
        let (name, data) = next(&mut socket).await;
        (name == "error").then_some(data)
    });
    assert_eq!(failure(expired.await).code, "invalid_token");
    let fresh = imd.api.refresh(&phone.refresh_token).await.expect("fresh tokens");
    socket.say(&json!({ "authenticate": { "access_token": fresh.access_token } })).await;
    expect(&mut socket, "authenticated").await;
    socket.say(&send(&Outgoing::text("ann", "a note"))).await;
    expect(&mut socket, "sent").await;
}
