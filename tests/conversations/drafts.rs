//! What users have begun to write follows them from terminal to terminal.

use futures::future::join_all;
use serde_json::json;

use crate::{
    append::assert_dense,
    groups::{IN_OSLO, group_of},
    support::{
        api::Transport,
        cluster::Cluster,
        eventually, on_every_transport,
        socket::Socket,
        terminal::Terminal,
        types::{DraftChanged, Kind},
        within_deadline,
    },
};

on_every_transport! {
    i6_all_terminals_agree_on_a_draft,
    of_many_changes_few_are_written_and_the_last_holds,
    a_draft_for_a_group_is_the_members_own,
    drafts_that_make_no_sense_are_refused,
    i3_a_terminal_that_has_ended_writes_no_draft,
    drafts_of_a_deleted_user_are_gone,
}

fn written(conversation_id: &str, text: &str) -> Kind {
    let (conversation_id, text) = (conversation_id.to_owned(), text.to_owned());
    Kind::DraftChanged(DraftChanged { conversation_id, text })
}

/// The drafts of a terminal's timeline, in order.
async fn drafts(terminal: &Terminal) -> Vec<String> {
    let text = |kind| match kind {
        Kind::DraftChanged(draft) => Some(draft.text),
        _ => None,
    };
    terminal.timeline().await.into_iter().filter_map(|entry| text(entry.kind)).collect()
}

async fn i6_all_terminals_agree_on_a_draft(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    bob.say("ann", "hello").await;
    let told_bob = bob.timeline().await;
    let (_node, elsewhere) = imd.start_node().await;
    let mut on_pc = pc.through(elsewhere).follow("now").await;
    assert_eq!(phone.conversation("bob").await.draft, "");
    phone.draft("bob", "What I \u{1f44b}").await.expect("stored");
    assert_eq!(on_pc.entry().await.kind, written("user:bob", "What I \u{1f44b}"));
    assert_eq!(pc.conversation("bob").await.draft, "What I \u{1f44b}");
    // The other terminal goes on with it, at once.
    pc.draft("bob", "What I wanted").await.expect("stored");
    assert_eq!(on_pc.entry().await.kind, written("user:bob", "What I wanted"));
    let before = phone.timeline().await;
    let pad = imd.log_in("ann", "pad", "new").await;
    pad.draft("bob", "What I wanted").await.expect("what is so already");
    assert_eq!(phone.timeline().await.len(), before.len() + 1, "the login alone");
    pad.draft("bob", "").await.expect("no draft");
    assert_eq!(phone.conversation("bob").await.draft, "");
    assert_eq!(drafts(&phone).await, ["What I \u{1f44b}", "What I wanted", ""]);
    assert_eq!(bob.timeline().await, told_bob, "nobody else is told");
    assert_dense(&imd.database).await;
}

async fn of_many_changes_few_are_written_and_the_last_holds(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let [bob, carol] = [imd.user_with_phone("bob").await, imd.user_with_phone("carol").await];
    bob.say("ann", "hello").await;
    carol.say("ann", "hello").await;
    ann.draft("bob", "begun").await.expect("stored");
    let texts: Vec<String> = (0..20).map(|n| format!("begun, and changed {n}")).collect();
    let (changes, ()) = tokio::join!(
        join_all(texts.iter().map(|text| ann.draft("bob", text))),
        // That in another conversation waits for none of them.
        async { ann.draft("carol", "to you").await.expect("stored") },
    );
    assert!(changes.iter().all(Result::is_ok), "{changes:?}");
    let of_bob: Vec<_> = drafts(&ann).await.into_iter().filter(|text| text != "to you").collect();
    assert!((2..=4).contains(&of_bob.len()), "{of_bob:?}");
    let last = of_bob.last().expect("a draft");
    assert_eq!((&ann.conversation("bob").await.draft, texts.contains(last)), (last, true));
    ann.draft("bob", "the end").await.expect("stored");
    assert_eq!(ann.conversation("bob").await.draft, "the end");
    assert_eq!(ann.conversation("carol").await.draft, "to you");
}

async fn a_draft_for_a_group_is_the_members_own(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    ann.say(IN_OSLO, "hello").await;
    ben.draft(IN_OSLO, "to all of you").await.expect("stored");
    eventually("the message", async || {
        let listed = ben.conversations(50).await.pop()?;
        (listed.draft == "to all of you").then_some(())
    })
    .await;
    assert_eq!(ann.conversation(IN_OSLO).await.draft, "");
    assert_eq!(drafts(&ann).await, [] as [&str; 0]);
}

async fn drafts_that_make_no_sense_are_refused(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let set = async |id: &str, text: &str| ann.api.set_draft(&ann.token, id, text).await;
    for bad in ["ann", "user:", "room:x"] {
        assert_eq!(set(bad, "x").await.expect_err(bad).field(), "conversation_id", "{bad}");
    }
    assert_eq!(set("user:nobody", "x").await.expect_err("nobody").code, "user_not_found");
    assert_eq!(set("group:none", "x").await.expect_err("none").code, "group_not_found");
    for bad in ["x".repeat(4097), "\u{1f44b}".repeat(1025), "a\0b".to_owned()] {
        assert_eq!(set("user:ann", &bad).await.expect_err("too long").field(), "text");
    }
    set("user:ann", &"x".repeat(4096)).await.expect("as long as it may be");
}

async fn i3_a_terminal_that_has_ended_writes_no_draft(imd: Cluster) {
    let first = imd.user_with_phone("ann").await;
    first.draft("ann", "begun").await.expect("stored");
    let second = imd.log_in("ann", "phone", "second").await;
    let refused = first.draft("ann", "and on").await.expect_err("ended");
    assert_eq!(refused.code, "session_ended");
    assert_eq!(drafts(&second).await, ["begun"]);
}

async fn drafts_of_a_deleted_user_are_gone(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await;
    ann.draft("bob", "begun").await.expect("stored");
    imd.admin().delete("ann", false).await.expect("deleted");
    let count = "SELECT count(*) FROM drafts";
    let left: i64 = imd.database.sql().await.query_one(count, &[]).await.expect("a count").get(0);
    assert_eq!(left, 0);
}

#[tokio::test]
async fn of_the_drafts_of_one_connection_the_last_holds() {
    let imd = Cluster::start(Transport::WebSocket).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await.say("ann", "hello").await;
    let mut socket = Socket::open_as(imd.node.public_address(), &ann.token).await;
    for n in 1..=40 {
        let draft = json!({ "conversation_id": "user:bob", "text": n.to_string() });
        socket.say(&json!({ "set_draft": draft })).await;
    }
    let mut set = 0;
    while set < 40 {
        let (name, answer) = within_deadline("an answer", socket.next()).await.expect("a frame");
        if name != "authenticated" {
            assert_eq!(
                (name.as_str(), &answer["conversation_id"]),
                ("draft_set", &json!("user:bob"))
            );
            set += 1;
        }
    }
    assert_eq!(ann.conversation("bob").await.draft, "40");
    assert!(drafts(&ann).await.len() < 10);
}
