//! What users set for their conversations: which terminals learn of it, and what it does to the list.

use serde_json::{Value, json};
use time::macros::datetime;

use super::fill;
use crate::{
    groups::{IN_OSLO, group_of},
    support::{
        api::Result,
        cluster::Cluster,
        eventually, on_every_transport,
        terminal::Terminal,
        types::{ConversationChanged, ConversationSettings, Kind},
    },
};

on_every_transport! {
    i6_all_terminals_agree_on_what_is_set,
    what_is_so_already_is_told_nobody,
    a_mute_ends_when_its_time_is_over,
    a_hidden_conversation_comes_back_with_its_next_message,
    a_conversation_marked_as_unread_is_so_until_it_is_marked_as_read,
    the_list_shows_what_is_asked_for,
    what_moves_while_filtered_pages_are_read_is_met,
    few_among_many_are_found,
    a_group_is_set_like_others,
    settings_that_make_no_sense_are_refused,
    what_a_deleted_user_had_set_is_gone,
}

fn changed(peer: &str, settings: ConversationSettings) -> Kind {
    Kind::ConversationChanged(ConversationChanged {
        conversation_id: format!("user:{peer}"),
        settings,
    })
}

/// The peers of the conversations that are listed.
async fn listed(terminal: &Terminal, filter: &[(&str, bool)]) -> Vec<String> {
    let all = terminal.conversations_that(filter, 2).await;
    let peer = |id: &str| id.strip_prefix("user:").expect("user:<id>").to_owned();
    all.iter().map(|conversation| peer(&conversation.conversation_id)).collect()
}

async fn i6_all_terminals_agree_on_what_is_set(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    bob.say("ann", "hello").await;
    let told_bob = bob.timeline().await;
    let (_node, elsewhere) = imd.start_node().await;
    let mut on_phone = phone.follow("now").await;
    let mut on_pc = pc.through(elsewhere).follow("now").await;
    let until = datetime!(2100-01-01 0:00 UTC);
    let both = ConversationSettings { pinned: true, ..Default::default() };
    assert_eq!(phone.set("bob", json!({ "pinned": true })).await, Ok(both));
    let all = ConversationSettings { archived: true, muted_until: Some(until), ..both };
    let change = json!({ "archived": true, "muted_until": "2100-01-01T02:00:00+02:00" });
    assert_eq!(pc.set("bob", change).await, Ok(all), "what is not named stays");
    let left = ConversationSettings { pinned: false, ..all };
    assert_eq!(phone.set("bob", json!({ "pinned": false })).await, Ok(left));
    let entries = on_phone.entries(3).await;
    let kinds: Vec<_> = entries.iter().map(|entry| entry.kind.clone()).collect();
    assert_eq!(kinds, [both, all, left].map(|settings| changed("bob", settings)));
    assert_eq!(on_pc.entries(3).await, entries, "on the other node, too");
    let pad = imd.log_in("ann", "pad", "new").await;
    assert!(pad.timeline().await.contains(&entries[2]), "a new device reads it off the timeline");
    assert_eq!(pad.conversation("bob").await.settings, left, "and off the list");
    assert_eq!(bob.timeline().await, told_bob, "nobody else is told");
    assert_eq!(bob.conversation("ann").await.settings, ConversationSettings::default());
}

async fn what_is_so_already_is_told_nobody(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await.say("ann", "hello").await;
    let all = json!({
        "pinned": true, "archived": true, "marked_unread": true, "hidden": true,
        "muted_until": "2100-01-01T00:00:00.123456789Z",
    });
    let set = ann.set("bob", all.clone()).await.expect("set");
    let told = ann.timeline().await;
    for again in [all, json!({}), json!({ "pinned": true })] {
        assert_eq!(ann.set("bob", again).await, Ok(set));
    }
    let none = json!({
        "pinned": false, "archived": false, "marked_unread": false, "hidden": false, "muted_until": null,
    });
    assert_eq!(ann.timeline().await, told);
    for _ in 0..2 {
        assert_eq!(ann.set("bob", none.clone()).await, Ok(ConversationSettings::default()));
    }
    assert_eq!(ann.timeline().await.len(), told.len() + 1);
    assert_eq!(rows(&imd).await, 0, "what has nothing set has no row");
}

/// How many conversations have something set.
async fn rows(imd: &Cluster) -> i64 {
    let count = "SELECT count(*) FROM conversation_settings";
    imd.database.sql().await.query_one(count, &[]).await.expect("a count").get(0)
}

async fn a_mute_ends_when_its_time_is_over(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await.say("ann", "hello").await;
    let over = json!({ "muted_until": "2020-01-01T00:00:00Z" });
    let before = ann.timeline().await;
    assert_eq!(ann.set("bob", over).await, Ok(ConversationSettings::default()));
    assert_eq!(ann.timeline().await, before);
    ann.set("bob", json!({ "muted_until": "2100-01-01T00:00:00Z" })).await.expect("muted");
    let ago = "UPDATE conversation_settings SET muted_until = now() - interval '1 second'";
    imd.database.sql().await.execute(ago, &[]).await.expect("over");
    assert_eq!(ann.conversation("bob").await.settings.muted_until, None);
    assert_eq!(ann.set("bob", json!({})).await, Ok(ConversationSettings::default()));
}

async fn a_hidden_conversation_comes_back_with_its_next_message(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let [bob, carol] = [imd.user_with_phone("bob").await, imd.user_with_phone("carol").await];
    bob.say("ann", "one").await;
    carol.say("ann", "hello").await;
    let hidden = ann.set("bob", json!({ "hidden": true })).await.expect("hidden");
    assert!(hidden.hidden);
    assert_eq!(listed(&ann, &[]).await, ["carol"]);
    assert_eq!(
        ann.history("bob", 0, "").await.expect("a page").entries.len(),
        1,
        "nothing is lost"
    );
    carol.say("ann", "another conversation").await;
    assert_eq!(ann.set("bob", json!({ "pinned": true })).await.map(|s| s.hidden), Ok(true));
    assert_eq!(listed(&ann, &[]).await, ["carol"]);

    let entries = ann.timeline().await.len();
    let two = bob.say("ann", "two").await;
    assert_eq!(ann.timeline().await.len(), entries + 1, "the message says it");
    assert_eq!(listed(&ann, &[]).await, ["bob", "carol"]);
    let back = ann.conversation("bob").await.settings;
    assert!(!back.hidden && back.pinned);
    assert_eq!(ann.set("bob", json!({})).await, Ok(back));
    // What brought it back is deleted.
    let newest = ann.history("bob", 1, "").await.expect("a page").entries.remove(0);
    assert_eq!(newest.message().message_id, two.message_id);
    ann.delete("bob", newest.seq).await.expect("deleted");
    assert_eq!(listed(&ann, &[]).await, ["carol"]);
    assert_eq!(ann.set("bob", json!({ "hidden": false })).await, Ok(back));
    assert_eq!(listed(&ann, &[]).await, ["carol", "bob"]);
    // One's own message, from whichever terminal, brings it back, too.
    ann.set("carol", json!({ "hidden": true })).await.expect("hidden");
    ann.say("carol", "an answer").await;
    assert_eq!(listed(&ann, &[]).await, ["carol", "bob"]);
}

async fn a_conversation_marked_as_unread_is_so_until_it_is_marked_as_read(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    bob.say("ann", "hello").await;
    let seq = ann.conversation("bob").await.last_message.seq;
    ann.mark_read("bob", seq).await.expect("marked");
    let told_bob = bob.timeline().await;
    let unread = [("unread", true)];
    assert_eq!(listed(&ann, &unread).await, [] as [&str; 0]);
    ann.set("bob", json!({ "marked_unread": true, "pinned": true })).await.expect("marked");
    let shown = ann.conversation("bob").await;
    assert_eq!((shown.settings.marked_unread, shown.unread_count, shown.read_seq), (true, 0, seq));
    assert_eq!(listed(&ann, &unread).await, ["bob"]);

    // The mark stands at the newest message already.
    let mut feed = ann.follow("now").await;
    assert_eq!(ann.mark_read("bob", seq).await, Ok(seq));
    let pinned = ConversationSettings { pinned: true, ..Default::default() };
    assert_eq!(feed.entry().await.kind, changed("bob", pinned));
    assert_eq!(ann.mark_read("bob", seq).await, Ok(seq), "and again: nothing new");
    assert_eq!(listed(&ann, &unread).await, [] as [&str; 0]);
    assert_eq!(bob.timeline().await, told_bob, "the peer has been told of the mark before");

    // The mark moves, and says it.
    ann.set("bob", json!({ "marked_unread": true })).await.expect("marked");
    feed.entry().await;
    bob.say("ann", "again").await;
    let again = feed.entry().await.seq;
    assert_eq!(ann.mark_read("bob", again).await, Ok(again));
    assert!(matches!(feed.entry().await.kind, Kind::ReadMark(_)));
    assert_eq!(ann.conversation("bob").await.settings, pinned);
    crate::append::assert_dense(&imd.database).await;
}

async fn the_list_shows_what_is_asked_for(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    for peer in ["bob", "carol", "dave", "eve", "fred"] {
        imd.user_with_phone(peer).await.say("ann", "hello").await;
    }
    ann.say("dave", "an answer").await;
    ann.set("bob", json!({ "pinned": true })).await.expect("set");
    ann.set("carol", json!({ "archived": true })).await.expect("set");
    ann.set("dave", json!({ "archived": true, "pinned": true })).await.expect("set");
    ann.set("fred", json!({ "hidden": true, "pinned": true })).await.expect("set");
    let none: [(&str, bool); 0] = [];
    for (filter, found) in [
        (&none[..], &["dave", "eve", "carol", "bob"][..]),
        (&[("pinned", true)], &["dave", "bob"]),
        (&[("pinned", false)], &["eve", "carol"]),
        (&[("archived", true)], &["dave", "carol"]),
        (&[("archived", false)], &["eve", "bob"]),
        (&[("unread", true)], &["eve", "carol", "bob"]),
        (&[("unread", false)], &["dave"]),
        (&[("archived", false), ("pinned", false), ("unread", true)], &["eve"]),
        (&[("archived", true), ("unread", false)], &["dave"]),
        (&[("pinned", true), ("unread", true), ("archived", true)], &[]),
    ] {
        assert_eq!(listed(&ann, filter).await, found, "{filter:?}");
    }
    for conversation in ann.conversations(2).await {
        let is_unread = [("unread", conversation.unread_count > 0)];
        let listed = ann.conversations_that(&is_unread, 50).await;
        assert!(listed.iter().any(|c| c.conversation_id == conversation.conversation_id));
    }
}

async fn what_moves_while_filtered_pages_are_read_is_met(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let mut peers = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let peer = imd.user_with_phone(name).await;
        peer.say("ann", "hello").await;
        peers.push(peer);
    }
    ann.set("a", json!({ "archived": true })).await.expect("set");
    ann.set("b", json!({ "hidden": true })).await.expect("set");
    for filter in [&[("archived", false)][..], &[]] {
        let api = &ann.api;
        let mut page = api.conversations_that(&ann.token, filter, 2, "").await.expect("a page");
        let (mut met, mut pages) = (Vec::new(), 1);
        loop {
            met.extend(page.conversations.into_iter().map(|c| c.conversation_id));
            if page.next_page_token.is_empty() {
                break;
            }
            if pages == 1 {
                // The last of the list, one that is not listed, and one that comes back.
                for n in [2, 0, 1] {
                    peers[n].say("ann", "again").await;
                }
            }
            let token = page.next_page_token;
            page = api.conversations_that(&ann.token, filter, 2, &token).await.expect("a page");
            pages += 1;
        }
        for must in ["b", "c", "d", "e", "f"] {
            assert!(met.contains(&format!("user:{must}")), "{filter:?}: {must} of {met:?}");
        }
        assert_eq!(met.contains(&"user:a".to_owned()), filter.is_empty(), "{met:?}");
        // A token is good for its own listing.
        let first = api.conversations_that(&ann.token, filter, 2, "").await.expect("a page");
        let other = [("unread", true)];
        let refused = api.conversations_that(&ann.token, &other, 2, &first.next_page_token).await;
        assert_eq!(refused.expect_err("another filter").field(), "page_token");
        ann.set("b", json!({ "hidden": true })).await.expect("set");
    }
}

async fn few_among_many_are_found(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await.say("ann", "the oldest").await;
    fill(&imd, "ann", 2_500, 1).await;
    ann.set("bob", json!({ "pinned": true })).await.expect("set");
    assert_eq!(listed(&ann, &[("pinned", true)]).await, ["bob"]);
    let page = ann.api.conversations_that(&ann.token, &[("pinned", true)], 50, "").await;
    assert_eq!(page.expect("a page").conversations.len(), 1, "on the first page");
    // Nearly all are hidden.
    let hide = "INSERT INTO conversation_settings
        SELECT owner, conversation, false, false, false, NULL, last_seq
        FROM conversations WHERE conversation <> (SELECT user_no FROM users WHERE user_id = 'bob')";
    imd.database.sql().await.execute(hide, &[]).await.expect("hidden");
    assert_eq!(listed(&ann, &[]).await, ["bob"]);
}

async fn a_group_is_set_like_others(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    ann.say(IN_OSLO, "hello").await;
    eventually("the message", async || ben.conversations(50).await.pop()).await;
    let set = ben.set(IN_OSLO, json!({ "pinned": true, "hidden": true })).await.expect("set");
    assert!(set.pinned && set.hidden);
    assert!(ben.conversations(50).await.is_empty());
    assert!(!ann.conversation(IN_OSLO).await.settings.pinned);
    ann.say(IN_OSLO, "again").await;
    let back = eventually("the message", async || ben.conversations(50).await.pop()).await;
    assert!(back.settings.pinned && !back.settings.hidden);
}

async fn settings_that_make_no_sense_are_refused(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let pin = || json!({ "pinned": true });
    let refused = async |id: &str, change: Value| -> Result<()> {
        ann.api.update_conversation(&ann.token, id, &change).await.map(drop)
    };
    for bad in ["ann", "user:", "room:x"] {
        let failure = refused(bad, pin()).await.expect_err(bad);
        assert_eq!(failure.field(), "conversation_id", "{bad}");
    }
    assert_eq!(refused("user:nobody", pin()).await.expect_err("nobody").code, "user_not_found");
    assert_eq!(refused("group:none", pin()).await.expect_err("none").code, "group_not_found");
    let beyond = json!({ "muted_until": "9999-12-31T23:59:59-12:00" });
    if let Err(failure) = refused("user:ann", beyond).await {
        assert_eq!(failure.field(), "muted_until");
    }
    ann.set("ann", json!({ "muted_until": "9999-12-31T23:59:59.999999999Z" }))
        .await
        .expect("for ever");
    assert!(ann.set("ann", json!({})).await.expect("what holds").muted_until.is_some());
}

async fn what_a_deleted_user_had_set_is_gone(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await.say("ann", "hello").await;
    ann.set("bob", json!({ "pinned": true })).await.expect("set");
    assert_eq!(rows(&imd).await, 1);
    imd.admin().delete("ann", false).await.expect("deleted");
    assert_eq!(rows(&imd).await, 0);
}
