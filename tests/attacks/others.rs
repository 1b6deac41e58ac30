//! Reaching for what is another user's with what that user holds.

use crate::support::{
    api::{Api, Outgoing},
    cluster::Cluster,
    on_both_transports,
    terminal::Terminal,
};

on_both_transports! {
    anothers_page_token_opens_no_listing,
    anothers_session_cannot_be_ended,
    a_message_cannot_be_sent_in_anothers_name,
}

/// Ann has talked to bob; mallory has what she wants to know it with.
async fn scene(imd: &Cluster) -> (Terminal, Terminal) {
    imd.user("bob").await;
    let ann = imd.user_with_phone("ann").await;
    for n in 0..4 {
        ann.say("bob", &format!("secret {n}")).await;
        ann.say("ann", &format!("secret note {n}")).await;
    }
    (ann, imd.user_with_phone("mallory").await)
}

async fn anothers_page_token_opens_no_listing(imd: Cluster) {
    let (ann, mallory) = scene(&imd).await;
    let of_history = ann.history("bob", 1, "").await.expect("a page").next_page_token;
    let of_conversations =
        imd.api.conversations(&ann.token, 1, "").await.expect("a page").next_page_token;
    assert!(!of_history.is_empty() && !of_conversations.is_empty());
    for token in [&of_history, &of_conversations] {
        let listed = imd.api.conversations(&mallory.token, 1, token).await;
        assert_eq!(listed.expect_err("ann's").field(), "page_token");
        for peer in ["ann", "bob", "mallory"] {
            let read = mallory.history(peer, 1, token).await;
            assert_eq!(read.expect_err("ann's").field(), "page_token");
        }
    }
}

async fn anothers_session_cannot_be_ended(imd: Cluster) {
    let (ann, mallory) = scene(&imd).await;
    let refused = mallory.end_session(ann.session_id()).await.expect_err("ann's");
    assert_eq!(refused.code, "session_not_found");
    assert!(ann.sessions().await.is_ok());
}

/// Who sends is in the token alone.
async fn a_message_cannot_be_sent_in_anothers_name(imd: Cluster) {
    let (ann, mallory) = scene(&imd).await;
    let sent = mallory.say("ann", "it is me").await;
    let api: &dyn Api = &*imd.api;
    let received = api.history(&ann.token, "user:mallory", 1, "").await.expect("a page");
    let message = received.entries[0].message();
    assert_eq!((message.sender_id.as_str(), &message.message_id), ("mallory", &sent.message_id));
    let again = Outgoing { client_message_id: sent.message_id, ..Outgoing::text("ann", "x") };
    assert_eq!(mallory.send(&again).await.expect_err("no UUID").field(), "client_message_id");
}
