//! Strings that are nearly tokens, and headers that are nearly right: none opens anything.

use http::HeaderValue;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use reqwest::Client;

use crate::support::{
    admin::Admin, api::Transport, cluster::Cluster, node::ADMIN_KEY, on_both_transports,
};

/// How many strings are tried.
const TRIES: usize = 200;

/// Strings a small step away from a good one: other bytes in places, cut, repeated, with more around.
fn near(good: &str) -> Vec<String> {
    let length = good.len();
    let good = good.to_owned();
    let change = (0..length, 0..length, "[ -~]{0,3}", 0..4);
    let changed = change.prop_map(move |(from, to, put, how)| {
        let (from, to) = (from.min(to), from.max(to));
        match how {
            0 => format!("{}{put}{}", &good[..from], &good[to..]),
            1 => format!("{}{put}", &good[..to]),
            2 => format!("{put}{good}"),
            _ => format!("{good}{}", &good[from..]),
        }
    });
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let mut draw = || changed.new_tree(&mut runner).expect("a string").current();
    (0..TRIES).map(|_| draw()).collect()
}

on_both_transports! {
    nearly_a_page_token_opens_no_page,
    nearly_an_access_token_is_refused,
    nearly_a_refresh_token_is_refused,
    nearly_an_admin_key_is_refused,
}

async fn nearly_a_page_token_opens_no_page(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    for n in 0..3 {
        ann.say("ann", &format!("note {n}")).await;
    }
    let good = ann.history("ann", 1, "").await.expect("a page").next_page_token;
    ann.history("ann", 1, &good).await.expect("the next page");
    for token in near(&good).into_iter().filter(|token| *token != good && !token.is_empty()) {
        let refused = ann.history("ann", 1, &token).await.expect_err(&token);
        assert_eq!(refused.detail("field"), "page_token", "{token:?}");
    }
}

async fn nearly_an_access_token_is_refused(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    for token in near(&ann.token).into_iter().filter(|token| token.trim() != ann.token) {
        let refused = imd.api.sessions(&token).await.expect_err(&token);
        assert_eq!(refused.code, "invalid_token", "{token:?}");
    }
    ann.sessions().await.expect("the good one is good");
}

async fn nearly_a_refresh_token_is_refused(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    for token in near(&ann.refresh_token).into_iter().filter(|token| *token != ann.refresh_token) {
        let refused = imd.api.refresh(&token).await.expect_err(&token);
        assert!(["invalid_token", "invalid_argument"].contains(&&*refused.code), "{refused:?}");
    }
    imd.api.refresh(&ann.refresh_token).await.expect("the good one is good");
}

async fn nearly_an_admin_key_is_refused(imd: Cluster) {
    for key in near(ADMIN_KEY).into_iter().filter(|key| key.trim() != ADMIN_KEY) {
        let admin = Admin::new(imd.node.admin_address(), &key);
        let refused = admin.keys().await.expect_err(&key);
        assert_eq!(refused.code, "invalid_admin_key", "{key:?}");
    }
}

#[tokio::test]
async fn nearly_an_authorization_header_is_refused() {
    let imd = Cluster::start(Transport::Rest).await;
    let ann = imd.user_with_phone("ann").await;
    let url = format!("http://{}/v1/sessions", imd.node.public_address());
    let client = Client::new();
    let good = format!("Bearer {}", ann.token);
    for header in near(&good).into_iter().filter(|header| header.trim() != good) {
        let Ok(value) = HeaderValue::from_str(&header) else { continue };
        let answer = client.get(&url).header("authorization", value).send().await;
        assert_eq!(answer.expect("an answer").status(), 401, "{header:?}");
    }
    let bytes = HeaderValue::from_bytes(b"Bearer \xff\xfe").expect("a header");
    let answer = client.get(&url).header("authorization", bytes).send().await;
    assert_eq!(answer.expect("an answer").status(), 401);
}
