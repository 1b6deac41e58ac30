//! When events are written: by the transactions that they tell of, and only where somebody wants them.

use super::{count, local, receiver::Receiver, start};
use crate::{
    groups::{create, text},
    support::api::Transport,
};

#[tokio::test]
async fn where_nobody_wants_them_no_events_are_written() {
    let imd = start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    ann.say("ann", "one").await;
    assert_eq!(count(&imd, "outbox").await, 0);
    let mut receiver = Receiver::start().await;
    imd.admin().create_webhook(&receiver.url, &["message.recalled"]).await.expect("a webhook");
    let sent = ann.say("ann", "two").await;
    imd.user_with_phone("bob").await;
    assert_eq!(count(&imd, "outbox").await, 0);
    ann.recall(&sent.message_id).await.expect("recalled");
    receiver.said("message.recalled").await;
    assert_eq!(count(&imd, "outbox").await, 1);
    receiver.gets_nothing().await;
}

#[tokio::test]
async fn i15_every_node_writes_events_as_soon_as_a_webhook_is_there() {
    let imd = start(Transport::Grpc).await;
    let (_other, api) = imd.start_node_with(local).await;
    let ann = imd.user_with_phone("ann").await;
    let there = ann.through(api);
    let bob = imd.user_with_phone("bob").await;
    create(&ann, &["bob"]).await;
    let mut receiver = Receiver::start().await;
    for round in 0..3 {
        // The lanes of both nodes have their connections, and none has heard of a webhook.
        for terminal in [&ann, &there] {
            terminal.say("bob", "before").await;
            terminal.send(&text("before")).await.expect("sent");
        }
        let made = imd.admin().create_webhook(&receiver.url, &["message.sent"]).await;
        let webhook_id = made.expect("a webhook").0.webhook_id;
        there.say("bob", &format!("{round} there")).await;
        ann.say("bob", &format!("{round} here")).await;
        bob.send(&text(&format!("{round} in the group"))).await.expect("sent");
        let mut texts = Vec::new();
        for _ in 0..3 {
            texts
                .push(receiver.said("message.sent").await["text"].as_str().expect("it").to_owned());
        }
        texts.sort();
        let due = ["here", "in the group", "there"].map(|text| format!("{round} {text}"));
        assert_eq!(texts, due);
        imd.admin().delete_webhook(&webhook_id).await.expect("deleted");
    }
    receiver.gets_nothing().await;
}

#[tokio::test]
async fn what_is_refused_or_sent_again_is_no_event() {
    let imd = start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let mut receiver = Receiver::start().await;
    imd.admin().create_webhook(&receiver.url, &["message.sent"]).await.expect("a webhook");
    bob.block("ann").await.expect("blocked");
    let message = crate::support::api::Outgoing::text("bob", "refused");
    assert_eq!(ann.send(&message).await.expect_err("blocked").code, "blocked");
    let message = crate::support::api::Outgoing::text("ann", "once");
    ann.send(&message).await.expect("sent");
    assert!(ann.send(&message).await.expect("sent").duplicate);
    assert_eq!(receiver.said("message.sent").await["text"], "once");
    receiver.gets_nothing().await;
    assert_eq!(count(&imd, "outbox").await, 1);
}
