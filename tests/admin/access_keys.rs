//! The keys that sign access tokens, and their rotation.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header, encode};
use serde_json::{Value, json};

use crate::support::{
    api::Api,
    cluster::{Cluster, login},
    eventually, on_both_transports,
    terminal::Terminal,
};

/// The id of the key that signed a token.
fn kid(token: &str) -> String {
    decode_header(token).expect("a header").kid.expect("a key id")
}

async fn is_good(api: &Arc<dyn Api>, token: &str) -> bool {
    match api.sessions(token).await {
        Ok(_) => true,
        Err(refused) => {
            assert_eq!(refused.code, "invalid_token");
            false
        }
    }
}

on_both_transports! {
    a_new_key_signs_at_once_on_every_node_and_the_old_tokens_stay_good,
    a_token_of_a_key_that_is_gone_is_refused_on_every_node,
    a_retired_key_outlives_the_longest_token_of_any_node,
    rotations_under_load_log_nobody_out,
}

async fn a_new_key_signs_at_once_on_every_node_and_the_old_tokens_stay_good(imd: Cluster) {
    let (_node, elsewhere) = imd.start_node().await;
    let before = imd.user_with_phone("ann").await;
    let keys = imd.admin().rotate_access_key().await.expect("a rotation");
    assert_eq!(keys.len(), 2);
    assert_eq!((&keys[0].retired_at, &keys[0].good_until), (&None, &None));
    assert_eq!(keys[1].key_id, kid(&before.token));

    let here = imd.log_in("ann", "pc", "here").await;
    let there = elsewhere.login(&login("ann", "pad", "there")).await.expect("a login");
    let there = Terminal::new(elsewhere.clone(), "ann", there);
    let refreshed = elsewhere.refresh(&before.refresh_token).await.expect("new tokens");
    for token in [&here.token, &there.token, &refreshed.access_token] {
        assert_eq!(kid(token), keys[0].key_id);
        assert!(is_good(&imd.api, token).await && is_good(&elsewhere, token).await);
    }
    assert!(is_good(&imd.api, &before.token).await && is_good(&elsewhere, &before.token).await);

    let record = &imd.admin().audit("", 1, "").await.expect("records").records[0];
    assert_eq!(record.action, "rotate_access_key");
    assert_eq!(record.details, json!({ "key_id": keys[0].key_id }).to_string());
}

async fn a_token_of_a_key_that_is_gone_is_refused_on_every_node(imd: Cluster) {
    let (_node, elsewhere) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await;
    // Who has the old key could sign what never expires.
    let sql = imd.database.sql().await;
    let key = "SELECT secret FROM keys WHERE purpose = 'access_token'";
    let secret: Vec<u8> = sql.query_one(key, &[]).await.expect("a key").get(0);
    let claims = phone.token.split('.').nth(1).expect("claims");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let mut claims: Value = serde_json::from_slice(&claims).expect("JSON");
    claims["exp"] = 4_102_444_800_u64.into();
    let header = Header { kid: Some(kid(&phone.token)), ..Header::new(Algorithm::EdDSA) };
    let eternal = encode(&header, &claims, &EncodingKey::from_ed_der(&secret)).expect("a token");
    assert!(is_good(&imd.api, &eternal).await && is_good(&elsewhere, &eternal).await);

    imd.admin().rotate_access_key().await.expect("a rotation");
    let later = "UPDATE keys SET retired_at = retired_at - interval '17 minutes'";
    sql.batch_execute(later).await.expect("time flies");
    for api in [&imd.api, &elsewhere] {
        let refused = async || (!is_good(api, &eternal).await).then_some(());
        eventually("the end of the old key", refused).await;
    }
    let keys = imd.admin().access_keys().await.expect("the keys");
    assert_eq!(keys.len(), 1, "the old one is deleted");
    let tokens = imd.api.refresh(&phone.refresh_token).await.expect("new tokens");
    assert!(is_good(&elsewhere, &tokens.access_token).await);
}

async fn a_retired_key_outlives_the_longest_token_of_any_node(imd: Cluster) {
    let hour = Duration::from_hours(1);
    let (_node, _) = imd.start_node_with(|settings| settings.tokens.access_ttl = hour).await;
    for _ in 0..2 {
        let keys = imd.admin().rotate_access_key().await.expect("a rotation");
        let (until, since) = (&keys[1].good_until, &keys[1].retired_at);
        let seconds = until.expect("an end").seconds - since.expect("a beginning").seconds;
        // The second time, only this node has signed with the key.
        let longest = if keys.len() == 2 { 60 * 60 } else { 15 * 60 };
        assert_eq!(seconds, longest + 60);
        imd.user(&format!("ann-{}", keys.len())).await;
        imd.log_in(&format!("ann-{}", keys.len()), "phone", "phone").await;
    }
}

async fn rotations_under_load_log_nobody_out(imd: Cluster) {
    let (_node, elsewhere) = imd.start_node().await;
    let names: Vec<String> = (0..8).map(|n| format!("user-{n}")).collect();
    for name in &names {
        imd.user(name).await;
    }
    let load = join_all(names.iter().enumerate().map(async |(n, name)| {
        let (one, other) = if n % 2 == 0 { (&imd.api, &elsewhere) } else { (&elsewhere, &imd.api) };
        for round in 0..10 {
            let logged_in = one.login(&login(name, "phone", "phone")).await.expect("a login");
            let first = logged_in.tokens;
            let second = other.refresh(&first.refresh_token).await.expect("new tokens");
            for token in [&first.access_token, &second.access_token] {
                other.sessions(token).await.unwrap_or_else(|e| panic!("{name} {round}: {e:?}"));
            }
        }
    }));
    let rotations = async {
        for _ in 0..10 {
            imd.admin().rotate_access_key().await.expect("a rotation");
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(load, rotations);
    assert_eq!(imd.admin().access_keys().await.expect("the keys").len(), 11);
}
