//! What messages said before their edits, where a deployment keeps that.

use super::rows_that_say;
use crate::{
    groups::{OSLO, create, group_of, text},
    support::{
        admin::tier,
        api::{GroupCall, Transport},
        cluster::Cluster,
        eventually,
        node::Node,
        on_both_transports,
        postgres::Database,
        types::Content,
    },
};

on_both_transports! {
    participants_read_what_was_said_before,
    what_was_kept_goes_with_the_message,
}

/// What was said before edits, by the numbers of the edits.
fn before(edits: &[(i32, Option<Content>)]) -> Vec<(i32, &str)> {
    let mut said = Vec::new();
    for (edit_no, content) in edits {
        let Some(Content::Text(text)) = content else { panic!("{content:?}") };
        said.push((*edit_no, text.as_str()));
    }
    said
}

async fn participants_read_what_was_said_before(imd: Cluster) {
    let (_node, api) = imd.start_node_with(|s| s.messages.keep_edits = true).await;
    let ann = imd.user_with_phone("ann").await.through(api);
    let bob = imd.user_with_phone("bob").await;
    create(&ann, &["bob"]).await;
    let in_group = ann.send(&text("one")).await.expect("sent");
    eventually("the message", async || (!bob.texts().await.is_empty()).then_some(())).await;
    let sent = ann.say("bob", "one").await;
    for message_id in [&sent.message_id, &in_group.message_id] {
        for said in ["two", "three", "four"] {
            ann.edit(message_id, said).await.expect("edited");
        }
        for terminal in [&ann, &bob] {
            let edits = terminal.edits(message_id).await.expect("a page");
            assert_eq!(before(&edits), [(3, "three"), (2, "two"), (1, "one")]);
            let page =
                terminal.api.edits(&terminal.token, message_id, 2, "").await.expect("a page");
            assert_eq!(page.edits, edits[..2]);
            let next = page.next_page_token;
            let page =
                terminal.api.edits(&terminal.token, message_id, 2, &next).await.expect("a page");
            assert_eq!((&page.edits[..], page.next_page_token.as_str()), (&edits[2..], ""));
            let other = [&sent.message_id, &in_group.message_id];
            let other = other.into_iter().find(|other| *other != message_id).expect("the other");
            terminal
                .api
                .edits(&terminal.token, other, 2, &next)
                .await
                .expect_err("of another message");
        }
    }
    let place = bob.timeline().await.iter().rfind(|e| e.as_message().is_some()).expect("it").seq;
    bob.delete("ann", place).await.expect("deleted");
    let refused = bob.edits(&sent.message_id).await.expect_err("bob has it no longer");
    assert_eq!(refused.code, "message_not_found");
}

async fn what_was_kept_goes_with_the_message(imd: Cluster) {
    let (_node, api) = imd.start_node_with(|s| s.messages.keep_edits = true).await;
    let owner = imd.user_with_phone("zoe").await;
    let ann = imd.user_with_phone("ann").await.through(api);
    imd.user_with_phone("bob").await;
    create(&owner, &["ann"]).await;
    let recalled = ann.say("bob", "secret 1").await;
    let kept = ann.say("bob", "secret 2").await;
    let in_group = ann.send(&text("secret 3")).await.expect("sent");
    let gone_in_group = ann.send(&text("secret 4")).await.expect("sent");
    for message in [&recalled, &kept, &in_group, &gone_in_group] {
        ann.edit(&message.message_id, "plain").await.expect("edited");
    }
    assert_eq!(rows_that_say(&imd, "secret").await, 4);
    ann.recall(&recalled.message_id).await.expect("recalled");
    owner.recall(&gone_in_group.message_id).await.expect("recalled");
    assert_eq!(rows_that_say(&imd, "secret").await, 2);
    assert_eq!(ann.edits(&recalled.message_id).await.expect_err("gone").code, "message_not_found");
    imd.admin().delete("ann", true).await.expect("deleted");
    assert_eq!(rows_that_say(&imd, "secret").await, 0, "with the account and all that it sent");
    assert_eq!(rows_that_say(&imd, "plain").await, 0);
    let dissolve = GroupCall::Dissolve(OSLO.to_owned());
    owner.group(dissolve).await.expect("dissolved");
}

#[tokio::test]
async fn what_was_kept_is_purged_with_the_message() {
    let settings = |s: &mut imd::config::Settings| {
        s.messages.keep_edits = true;
        s.retention.purge_after = std::time::Duration::ZERO;
    };
    let database = Database::create().await;
    let node = Node::start_with(&database, settings).await;
    let imd = Cluster::of(Transport::Grpc, database, node);
    let admin = imd.admin();
    admin.apply_tiers(vec![tier("small", None, Some(2))]).await.expect("a tier");
    let [ann, bob] = group_of(&imd, ["ann", "bob"]).await;
    let sent = ann.say("bob", "secret").await;
    let in_group = ann.send(&text("secret, too")).await.expect("sent");
    for message in [&sent, &in_group] {
        ann.edit(&message.message_id, "plain").await.expect("edited");
    }
    for user in ["ann", "bob"] {
        admin.set_tier(user, "small").await.expect("the user's tier");
    }
    admin.purge().await.expect("a purge");
    assert_eq!(rows_that_say(&imd, "secret").await, 2, "nothing is hidden yet");
    for n in 0..3 {
        ann.say("bob", &format!("later {n}")).await;
    }
    eventually("the members have all of it", async || {
        let have = bob.texts().await;
        (have == ["later 1", "later 2"]).then_some(())
    })
    .await;
    assert_eq!(ann.edits(&sent.message_id).await.expect_err("hidden").code, "message_not_found");
    admin.purge().await.expect("a purge");
    assert_eq!(rows_that_say(&imd, "secret").await, 0);
}
