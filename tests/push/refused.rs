//! What cannot be bound.

use reqwest::Method;
use serde_json::json;

use super::{call, with_webhook};
use crate::support::{api::Transport, cluster::Cluster};

#[tokio::test]
async fn an_unknown_provider_is_told_which_there_are() {
    let imd = with_webhook(Transport::Grpc, "http://127.0.0.1:9").await;
    let bob = imd.user_with_phone("bob").await;
    let body = |provider: &str, token: &str| Some(json!({ "provider": provider, "token": token }));
    for provider in ["", "apns", "web_push"] {
        let refused = call(&imd.node, &bob, Method::POST, body(provider, "x")).await;
        let refused = refused.expect_err("there is none");
        assert_eq!(refused.field(), "provider");
        assert!(refused.message.contains("webhook"), "{refused:?}");
    }
    for token in [String::new(), "x".repeat(4097)] {
        let refused = call(&imd.node, &bob, Method::POST, body("webhook", &token)).await;
        assert_eq!(refused.expect_err("no token").field(), "token");
    }
}

#[tokio::test]
async fn without_a_provider_nothing_can_be_bound() {
    let imd = Cluster::start(Transport::Grpc).await;
    let bob = imd.user_with_phone("bob").await;
    let body = json!({ "provider": "webhook", "token": "x" });
    let refused = call(&imd.node, &bob, Method::POST, Some(body)).await.expect_err("there is none");
    assert!(refused.message.contains("no push provider"), "{refused:?}");
    let state = call(&imd.node, &bob, Method::GET, None).await.expect("its state");
    assert_eq!(state, json!({ "providers": [], "web_push_key": "", "provider": "" }));
}
