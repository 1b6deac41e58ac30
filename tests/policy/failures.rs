//! A hook that hangs, fails or lies.

use std::time::{Duration, Instant};

use imd::model::PolicyOnFailure::{Allow, Refuse};
use serde_json::json;

use super::{
    TIMEOUT,
    hook::{Answer, Way},
    start, start_with,
};
use crate::support::api::{Outgoing, Transport};

#[tokio::test]
async fn what_the_hook_does_not_answer_for_is_allowed_or_refused_as_the_setting_says() {
    let ways = [(Way::Http, Allow), (Way::Http, Refuse), (Way::Grpc, Allow), (Way::Grpc, Refuse)];
    for (way, on_failure) in ways {
        let (imd, hook) = start_with(way, Transport::Grpc, on_failure).await;
        let ann = imd.user_with_phone("ann").await;
        for answer in [
            Answer::Status(500),
            Answer::Nothing,
            Answer::Text("no JSON"),
            Answer::Json(json!({ "action": "rewrite", "text": "" })),
        ] {
            hook.answers(answer.clone());
            match (on_failure, ann.send(&Outgoing::text("ann", "x")).await) {
                (Allow, sent) => drop(sent.expect("allowed")),
                (Refuse, sent) => {
                    assert_eq!(sent.expect_err("refused").code, "unavailable", "{answer:?}");
                }
            }
        }
        let stored = if on_failure == Allow { 4 } else { 0 };
        assert_eq!(ann.texts().await.len(), stored);
    }
}

#[tokio::test]
async fn a_hook_that_hangs_holds_up_its_own_senders_alone() {
    for way in [Way::Http, Way::Grpc] {
        Box::pin(hang(way)).await;
    }
}

async fn hang(way: Way) {
    let (imd, hook) = start_with(way, Transport::Grpc, Refuse).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    hook.rule(|question| match question["sender_id"].as_str() {
        Some("ann") => Answer::Nothing,
        _ => Answer::Json(json!({ "action": "allow" })),
    });
    let held = tokio::spawn(async move {
        let began = Instant::now();
        let refused = ann.send(&Outgoing::text("ann", "x")).await.expect_err("no answer");
        (refused, began.elapsed())
    });
    let began = Instant::now();
    for n in 0..10 {
        bob.say("bob", &n.to_string()).await;
    }
    assert!(!held.is_finished() || began.elapsed() > TIMEOUT, "bob does not wait for ann");
    let (refused, took) = held.await.expect("no panic");
    assert_eq!(refused.code, "unavailable");
    assert!(took >= TIMEOUT, "{took:?}");
}

#[tokio::test]
async fn messages_of_one_connection_keep_their_order_though_the_hook_is_slower_for_some() {
    let (imd, hook) = start(Transport::WebSocket, Refuse).await;
    let ann = imd.user_with_phone("ann").await;
    hook.rule(|question| {
        let n: u64 = question["text"].as_str().expect("a text").parse().expect("a number");
        let pause = Duration::from_millis(if n.is_multiple_of(3) { 60 } else { 0 });
        Answer::Late(pause, json!({ "action": "allow" }))
    });
    ann.say_at_once("ann", (0..30).map(|n| n.to_string())).await;
    assert_eq!(ann.texts().await, (0..30).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_hook_that_fails_all_the_time_is_left_alone_until_it_is_back() {
    let (imd, hook) = start(Transport::Grpc, Allow).await;
    let ann = imd.user_with_phone("ann").await;
    hook.answers(Answer::Status(503));
    for n in 0..20 {
        ann.say("ann", &n.to_string()).await;
    }
    assert!(hook.asked() < 10, "{} requests", hook.asked());
    hook.answers(Answer::Json(json!({ "action": "refuse", "code": "back", "text": "" })));
    crate::support::eventually("it is asked again", async || {
        let sent = ann.send(&Outgoing::text("ann", "x")).await;
        sent.is_err_and(|refused| refused.code == "policy_refused").then_some(())
    })
    .await;
}
