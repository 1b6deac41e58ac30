//! What a server of the deployment's own is asked, and what its answers do.

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::Method;

use super::{KEY, bind, call, provider::Provider, with_webhook};
use crate::support::{api::Transport, eventually};

#[tokio::test]
async fn requests_are_signed_and_repeated_until_they_are_taken() {
    let mut provider = Provider::start().await;
    provider.answers(503, &[]);
    provider.answers(429, &[("retry-after", "3")]);
    let imd = with_webhook(Transport::Grpc, &provider.url).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    bind(&imd, &bob, "phone").await;
    ann.say("bob", "hello").await;
    let mut ids = Vec::new();
    let mut asked_at = Vec::new();
    for _ in 0..3 {
        let got = provider.next().await;
        asked_at.push(std::time::Instant::now());
        let header = |name: &str| got.headers[name].clone();
        let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
        let signed = [format!("{id}.{timestamp}.").as_bytes(), &got.body].concat();
        let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
        let signature = header("webhook-signature");
        let tag = BASE64_STANDARD.decode(signature.strip_prefix("v1,").expect("a version"));
        hmac::verify(&key, &signed, &tag.expect("base64")).expect("a signature of the key");
        ids.push(id);
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "the same each time: {ids:?}");
    let paused = asked_at[2] - asked_at[1];
    assert!(paused.as_millis() >= 2900, "it is asked no sooner than it said: {paused:?}");
    provider.gets_nothing().await;
}

#[tokio::test]
async fn a_token_that_is_none_any_more_is_dropped() {
    let mut provider = Provider::start().await;
    provider.answers(410, &[]);
    let imd = with_webhook(Transport::Grpc, &provider.url).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    bind(&imd, &bob, "phone").await;
    ann.say("bob", "hello").await;
    provider.next().await;
    eventually("the token is dropped", async || {
        let state = call(&imd.node, &bob, Method::GET, None).await.expect("its state");
        (state["provider"] == "").then_some(())
    })
    .await;
}
