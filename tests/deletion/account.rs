//! The account goes at once, and says why.

use imd_proto::v1::{UserState, kick_sessions_request::Which};

use super::{rows_about, shown};
use crate::support::{
    api::{Outgoing, Transport},
    cluster::{Cluster, PASSWORD, login},
    eventually, on_both_transports,
    terminal::Terminal,
    types::{Entry, Event},
};

on_both_transports! {
    i2_every_terminal_on_every_node_is_told,
    i3_no_call_of_a_deleted_user_succeeds,
    nobody_can_write_to_a_deleted_user,
    peers_keep_their_copies_and_see_that_the_sender_is_deleted,
}

async fn i2_every_terminal_on_every_node_is_told(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await.through(there.clone());
    let pad = imd.log_in("ann", "pad", "away").await;
    let mut feeds = [phone.follow("now").await, pc.follow("now").await];
    let steps = imd.admin().delete("ann", false).await.expect("done");
    assert_eq!(steps[0].ended.len(), 3);
    assert_eq!(steps.last().map(|step| (step.entries, step.entries_total)), Some((4, 4)));
    for feed in &mut feeds {
        let (_, last) = feed.to_the_end().await;
        assert!(
            matches!(&last, Event::SessionEnded(end) if end.reason == "USER_DELETED"),
            "{last:?}"
        );
    }
    // Also the one that was away, when nothing of its session is left.
    assert_eq!(rows_about(&imd, "ann").await, 0);
    for pad in [pad.clone(), pad.through(there)] {
        let refused = pad.api.subscribe(&pad.token, "").await.err().expect("an end");
        assert_eq!(refused.end_reason(), "USER_DELETED");
    }
}

/// Every call that a terminal can make is refused with the reason.
async fn is_told_why(terminal: &Terminal) {
    let Terminal { api, token, .. } = terminal;
    let refused = [
        api.subscribe(token, "").await.err(),
        api.pull(token, "", 1).await.err(),
        api.send(token, &Outgoing::text("bob", "hello")).await.err(),
        api.send(token, &Outgoing::text("ann", "a note")).await.err(),
        api.conversations(token, 1, "").await.err(),
        api.history(token, "user:bob", 1, "").await.err(),
        api.sessions(token).await.err(),
        api.refresh(&terminal.refresh_token).await.err(),
        terminal.mark_read("bob", 1).await.err(),
        terminal.delete("bob", 2).await.err(),
        terminal.logout().await.err(),
    ];
    for (call, refused) in refused.into_iter().enumerate() {
        let refused = refused.unwrap_or_else(|| panic!("call {call} succeeds"));
        assert_eq!(refused.end_reason(), "USER_DELETED", "call {call}");
        assert_eq!(refused.detail("note"), "goodbye", "call {call}");
    }
}

async fn i3_no_call_of_a_deleted_user_succeeds(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    ann.say("bob", "hello").await;
    let mut deletion = imd.admin().start_deletion("ann", false).await.expect("begun");
    let begun = deletion.message().await.expect("a step").expect("the account is gone");
    assert_eq!((begun.ended.len(), begun.entries), (1, 0));
    // At once, and when nothing is left.
    is_told_why(&ann).await;
    is_told_why(&ann.through(there.clone())).await;
    while deletion.message().await.expect("a step").is_some() {}
    assert_eq!(rows_about(&imd, "ann").await, 0);
    is_told_why(&ann).await;
    is_told_why(&ann.through(there)).await;
    let again = imd.try_log_in(&login("ann", "phone", "new")).await.err().expect("no account");
    assert_eq!(again.code, "invalid_credentials");
}

async fn nobody_can_write_to_a_deleted_user(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    imd.user("ann").await;
    let bob = imd.user_with_phone("bob").await;
    // Known to both nodes from now on.
    let bob_there = bob.through(there);
    bob.say("ann", "one").await;
    bob_there.say("ann", "two").await;
    let before = bob.pull("").await.expect("the timeline").state.last_seq;
    let mut deletion = imd.admin().start_deletion("ann", false).await.expect("begun");
    deletion.message().await.expect("a step");
    for bob in [&bob, &bob_there] {
        let refused = bob.send(&Outgoing::text("ann", "three")).await.expect_err("nobody");
        assert_eq!(refused.code, "user_not_found");
    }
    while deletion.message().await.expect("a step").is_some() {}
    for bob in [&bob, &bob_there] {
        let refused = bob.send(&Outgoing::text("ann", "four")).await.expect_err("nobody");
        assert_eq!(refused.code, "user_not_found");
    }
    let after = bob.say("bob", "a note").await;
    assert_eq!(after.seq, before + 1, "what was refused left no gap");
}

async fn peers_keep_their_copies_and_see_that_the_sender_is_deleted(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    ann.say("bob", "hello").await;
    bob.say("ann", "hello, Ann").await;
    carol.say("bob", "hi").await;
    imd.admin().delete("ann", false).await.expect("done");

    for bob in [bob.clone(), bob.through(there)] {
        let history = eventually("it is shown", async || {
            let history = bob.history("ann", 0, "").await.expect("a history");
            history.entries[1].message().sender_deleted.then_some(history)
        })
        .await;
        assert_eq!(shown(&history.entries), ["hello, Ann", "hello"]);
        assert_eq!(history.end.as_deref(), Some("BEGINNING"));
        let [own, of_ann] = [&history.entries[0], &history.entries[1]].map(Entry::message);
        assert_eq!((own.sender_id.as_str(), own.sender_deleted), ("bob", false));
        assert_eq!((of_ann.sender_id.as_str(), of_ann.sender_deleted), ("ann", true));
        let pulled = bob.pull("").await.expect("the timeline").entries;
        assert!(pulled[1].message().sender_deleted);
        assert!(!pulled[3].message().sender_deleted);
        let conversations = bob.api.conversations(&bob.token, 0, "").await.expect("a page");
        let peers: Vec<_> = conversations
            .conversations
            .iter()
            .map(|c| (c.conversation_id.as_str(), c.peer_deleted))
            .collect();
        assert_eq!(peers, [("user:carol", false), ("user:ann", true)]);
    }
}

#[tokio::test]
async fn the_id_is_not_given_out_again() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob"]).await;
    let admin = imd.admin();
    admin.delete("ann", false).await.expect("done");
    let taken = admin.create_user("ann", PASSWORD).await.expect_err("it was hers");
    assert_eq!(taken.code, "user_exists");
    let listed = admin.users(0, "").await.expect("a page").users;
    assert_eq!(listed.iter().map(|user| &*user.user_id).collect::<Vec<_>>(), ["bob"]);
    assert_eq!(admin.status().await.expect("the status").users, 1);
    let left = admin.user("ann").await.expect("a tombstone");
    assert_eq!((left.state(), left.last_seq, left.live_sessions), (UserState::Deleted, 0, 0));
    assert!(left.deleted_at.is_some());
}

#[tokio::test]
async fn nothing_brings_a_deleted_user_back() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user("ann").await;
    let admin = imd.admin();
    admin.delete("ann", false).await.expect("done");
    let everything = Some(Which::All(true));
    let refused = [
        admin.enable("ann").await.map(drop),
        admin.disable("ann", "").await.map(drop),
        admin.set_password("ann", PASSWORD).await.map(drop),
        admin.kick("ann", everything, "").await.map(drop),
        admin.set_tier("ann", "unlimited").await.map(drop),
        admin
            .start_epoch(Some(imd_proto::v1::start_epoch_request::Whose::UserId("ann".to_owned())))
            .await
            .map(drop),
    ];
    for (call, refused) in refused.into_iter().enumerate() {
        assert_eq!(refused.expect_err("she is gone").code, "user_not_found", "call {call}");
    }
    assert_eq!(admin.user("ann").await.expect("a tombstone").state(), UserState::Deleted);
    assert_eq!(admin.delete("nobody", false).await.expect_err("nobody").code, "user_not_found");
}

#[tokio::test]
async fn a_deletion_leaves_a_record() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user_with_phone("ann").await;
    imd.admin().delete("ann", true).await.expect("done");
    let records = imd.admin().audit("ann", 0, "").await.expect("the records").records;
    let shown: Vec<_> = records.iter().map(|r| (&*r.action, &*r.user_id, &*r.details)).collect();
    let details = r#"{"erase_sent":true,"note":"goodbye","sessions_ended":1}"#;
    assert_eq!(shown[0], ("delete_user", "ann", details));
    assert_eq!(shown.len(), 2, "and that of her creation stays");
}
