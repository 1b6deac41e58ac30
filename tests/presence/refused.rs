//! What cannot be watched.

use crate::support::{cluster::Cluster, on_every_transport};

on_every_transport! {
    what_is_wrong_with_those_to_be_watched_is_named,
}

async fn what_is_wrong_with_those_to_be_watched_is_named(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let many: Vec<String> = (0..501).map(|n| format!("u{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for users in [&many[..], &["no id!"]] {
        let failure = ann.presence(users).await.expect_err("refused");
        assert_eq!(failure.field(), "user_ids", "{failure:?}");
        let failure = ann.api.watch(&ann.token, users, false).await.err().expect("refused");
        assert_eq!(failure.field(), "watch", "{failure:?}");
    }
    let failure = ann.presence(&["nobody"]).await.expect_err("refused");
    assert_eq!(failure.code, "user_not_found");
    let failure = ann.api.watch(&ann.token, &["nobody"], false).await.err().expect("refused");
    assert_eq!(failure.code, "user_not_found");
    // As many as may be, each with as long an id as there is.
    let long: Vec<String> = (0..500).map(|n| format!("{n:0>40}")).collect();
    for chunk in long.chunks(50) {
        futures::future::join_all(chunk.iter().map(|id| imd.user(id))).await;
    }
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let seen = ann.presence(&long).await.expect("presence");
    assert_eq!(seen.len(), 500);
    assert!(
        seen.iter().zip(&long).all(|(user, id)| user.user_id == *id && user.state == "OFFLINE")
    );
}
