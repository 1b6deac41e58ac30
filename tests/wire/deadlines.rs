//! Deadlines: a call ends in time and leaves nothing running.

use std::time::Duration;

use imd_proto::v1::{self, message_service_client::MessageServiceClient};
use tokio::time::Instant;
use tonic::{Code, Request};

use super::raw::request;
use crate::{
    faults::held::{Held, waiting_for_locks},
    support::{
        api::Transport,
        cluster::Cluster,
        eventually,
        grpc::{channel, with_bearer},
        types::Entry,
        within_deadline,
    },
};

/// The number of `DEADLINE_EXCEEDED` on the wire.
const DEADLINE_EXCEEDED: &str = "4";

fn text(to: &str, text: &str) -> v1::SendRequest {
    v1::SendRequest {
        to: Some(v1::send_request::To::UserId(to.to_owned())),
        client_message_id: uuid::Uuid::new_v4().to_string(),
        content: Some(v1::send_request::Content::Text(text.to_owned())),
        ..Default::default()
    }
}

fn by<T>(timeout: Duration, mut request: Request<T>) -> Request<T> {
    let timeout = format!("{}m", timeout.as_millis()).parse().expect("a value");
    request.metadata_mut().insert("grpc-timeout", timeout);
    request
}

#[tokio::test]
async fn a_send_that_takes_too_long_ends_and_is_not_stored_later() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    imd.users(["bob", "carol"]).await;
    let client = MessageServiceClient::new(channel(imd.node.public_address()));
    let held = Held::timeline_of("bob", &imd.database).await;
    // The first holds the lane up; the second is still queued when its time is up.
    let mut first_client = client;
    let first = with_bearer(&ann.token, text("bob", "first"));
    let first = tokio::spawn(async move { first_client.send(first).await });
    waiting_for_locks(1, &imd.database).await;
    // Not by a gRPC library: that would keep to the time itself.
    let message = text("carol", "second");
    let second = request(&imd, "proto", "MessageService/Send", &ann.token, &message);
    let second = second.header("grpc-timeout", "100m").send();
    let late = within_deadline("an answer", second).await.expect("an answer");
    assert_eq!(late.headers()["grpc-status"], DEADLINE_EXCEEDED);
    held.release().await;
    first.await.expect("it ran").expect("the first is stored");
    let third = ann.say("carol", "third").await;
    let own = ann.pull("").await.expect("the timeline").entries;
    let messages = own.iter().filter(|entry| entry.as_message().is_some());
    let texts: Vec<_> = messages.map(Entry::text).collect();
    assert_eq!((texts, third.seq), (vec!["first", "third"], 3));
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline_and_is_held_no_longer() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let mut client = MessageServiceClient::new(channel(imd.node.public_address()));
    let began = Instant::now();
    let timeout = Duration::from_millis(700);
    let request = by(timeout, with_bearer(&ann.token, v1::SubscribeRequest::default()));
    let mut events = client.subscribe(request).await.expect("a stream").into_inner();
    let ended = async {
        loop {
            match events.message().await {
                Ok(Some(_)) => {}
                ended => return ended,
            }
        }
    };
    let ended = within_deadline("the end", ended).await.expect_err("an end before its time");
    assert_eq!(ended.code(), Code::DeadlineExceeded);
    assert!(began.elapsed() >= timeout);
    eventually("the session is offline", async || {
        let online = imd.admin().status().await.expect("a status").online_sessions;
        (online == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_call_with_time_enough_is_not_disturbed() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let mut client = MessageServiceClient::new(channel(imd.node.public_address()));
    let request = by(Duration::from_mins(1), with_bearer(&ann.token, text("ann", "a note")));
    assert_eq!(client.send(request).await.expect("sent").into_inner().seq, 2);
}
