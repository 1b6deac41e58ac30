//! Reactions to messages between two users.

use std::time::Duration;

use imd::model::IfBlocked;

use super::{all_is_told, changed, in_history, rows, short, told};
use crate::{
    append::assert_dense,
    support::{
        admin::tier, api::Transport, cluster::Cluster, eventually, node::Node, on_both_transports,
        on_every_transport, postgres::Database, terminal::Terminal,
    },
};

on_every_transport! {
    i6_every_terminal_of_both_is_told_of_a_reaction,
    a_reaction_that_is_repeated_is_given_once,
    a_reaction_is_checked,
}

on_both_transports! {
    i8_who_comes_back_reads_the_reactions_as_they_are,
    many_changes_are_told_in_a_few_entries,
    a_message_takes_twenty_kinds,
    who_has_not_the_message_neither_reacts_nor_learns_who_does,
    what_is_gone_takes_no_reactions,
    who_has_deleted_a_message_is_told_nothing_of_reactions,
    a_block_holds_for_reactions,
    a_note_to_oneself_takes_reactions,
    who_reacts_is_listed_in_pages,
    an_edit_leaves_the_reactions,
    reactions_change_neither_unread_counts_nor_the_order_of_conversations,
    reactions_go_with_the_account,
}

async fn pair(imd: &Cluster) -> (Terminal, Terminal) {
    (imd.user_with_phone("ann").await, imd.user_with_phone("bob").await)
}

async fn i6_every_terminal_of_both_is_told_of_a_reaction(imd: Cluster) {
    let (ann, bob) = pair(&imd).await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let (_node, elsewhere) = imd.start_node().await;
    let sent = ann.say("bob", "at six").await;
    let places = [sent.seq, bob.timeline().await.pop().expect("a message").seq];
    let mut feeds = [
        (ann.follow("now").await, places[0], "user:bob", "👍 1"),
        (pc.through(elsewhere.clone()).follow("now").await, places[0], "user:bob", "👍 1"),
        (bob.follow("now").await, places[1], "user:ann", "👍 1*"),
        (bob.through(elsewhere).follow("now").await, places[1], "user:ann", "👍 1*"),
    ];
    let given = bob.react(&sent.message_id, "👍").await.expect("given");
    assert_eq!(short(&given), ["👍 1*"]);
    for (feed, seq, conversation, reactions) in &mut feeds {
        let entry = feed.entries(1).await.pop().expect("an entry");
        let said = changed(&entry);
        assert_eq!((said.seq, said.message_id.as_str()), (*seq, sent.message_id.as_str()));
        assert_eq!(said.conversation_id, *conversation);
        assert_eq!(short(&said.reactions), [*reactions]);
    }
    let given = ann.react(&sent.message_id, "👍").await.expect("given");
    assert_eq!(short(&given), ["👍 2*"]);
    let given = ann.react(&sent.message_id, "🎉").await.expect("given");
    assert_eq!(short(&given), ["👍 2*", "🎉 1*"]);
    assert_eq!(in_history(&bob, "ann", &sent.message_id).await, ["👍 2*", "🎉 1"]);
    assert_eq!(
        short(&ann.conversation("bob").await.last_message.message().reactions),
        ["👍 2*", "🎉 1*"]
    );
    for (feed, _, _, _) in &mut feeds {
        let entry = feed.entries(1).await.pop().expect("an entry");
        assert_eq!(changed(&entry).reactions.len(), 2, "told once of both");
    }
    let left = bob.unreact(&sent.message_id, "👍").await.expect("taken back");
    assert_eq!(short(&left), ["👍 1", "🎉 1"]);
    assert_dense(&imd.database).await;
}

async fn a_reaction_that_is_repeated_is_given_once(imd: Cluster) {
    let (ann, bob) = pair(&imd).await;
    let sent = ann.say("bob", "hello").await;
    for _ in 0..3 {
        let given = bob.react(&sent.message_id, "👍").await.expect("given");
        assert_eq!(short(&given), ["👍 1*"]);
    }
    for terminal in [&ann, &bob] {
        assert_eq!(told(&terminal.timeline().await), 1);
    }
    for _ in 0..3 {
        assert_eq!(bob.unreact(&sent.message_id, "👍").await, Ok(Vec::new()));
        assert_eq!(bob.unreact(&sent.message_id, "🎉").await, Ok(Vec::new()), "never given");
    }
    all_is_told(&imd).await;
    for terminal in [&ann, &bob] {
        let timeline = terminal.timeline().await;
        assert_eq!((told(&timeline), timeline.len()), (2, 4));
        assert_eq!(timeline[1].message().reactions, []);
    }
    assert_eq!(rows(&imd).await, (0, 0));
    assert_dense(&imd.database).await;
}

async fn a_reaction_is_checked(imd: Cluster) {
    let (ann, _bob) = pair(&imd).await;
    let sent = ann.say("bob", "hello").await;
    let longest = "👍".repeat(16);
    for bad in ["👍 👍", "\u{7}", &format!("{longest}x")] {
        for given in [true, false] {
            let refused = ann.api.react(&ann.token, &sent.message_id, bad, given).await;
            let refused = refused.expect_err("not valid");
            assert_eq!(
                (refused.code.as_str(), refused.detail("field")),
                ("invalid_argument", "reaction")
            );
        }
    }
    let refused = ann.react("no-id", "👍").await.expect_err("no id");
    assert_eq!(refused.detail("field"), "message_id");
    for good in [longest.as_str(), "thumbs_up", "a/b", "100%", "?"] {
        let given = ann.react(&sent.message_id, good).await.expect("given");
        assert!(given.iter().any(|reaction| reaction.reaction == good));
        ann.unreact(&sent.message_id, good).await.expect("taken back");
    }
    let list = async |reaction: &str, size: i32, token: &str| {
        ann.api.reactions(&ann.token, &sent.message_id, reaction, size, token).await
    };
    assert_eq!(list("", -1, "").await.expect_err("no size").detail("field"), "page_size");
    assert_eq!(list("", 0, "nowhere").await.expect_err("no token").detail("field"), "page_token");
    assert_eq!(list("a b", 0, "").await.expect_err("no reaction").detail("field"), "reaction");
}

async fn i8_who_comes_back_reads_the_reactions_as_they_are(imd: Cluster) {
    let (ann, bob) = pair(&imd).await;
    let cursor = bob.pull("").await.expect("the timeline").next_after;
    let sent = ann.say("bob", "one").await;
    ann.react(&sent.message_id, "👍").await.expect("given");
    ann.say("bob", "between").await;
    ann.react(&sent.message_id, "🎉").await.expect("given");
    ann.unreact(&sent.message_id, "👍").await.expect("taken back");
    all_is_told(&imd).await;
    let mut feed = bob.follow(&cursor).await;
    let entries = feed.entries(4).await;
    assert_eq!(entries, bob.pull(&cursor).await.expect("the timeline").entries);
    assert_eq!(short(&entries[0].message().reactions), ["🎉 1"]);
    assert_eq!(entries[2].text(), "between");
    for at in [1, 3] {
        let said = changed(&entries[at]);
        assert_eq!((said.seq, short(&said.reactions)), (entries[0].seq, vec!["🎉 1".to_owned()]));
    }
    let last = bob.pull(&entries[2].cursor).await.expect("the rest").entries;
    assert_eq!(last, entries[3..], "from any cursor the same");
}

async fn many_changes_are_told_in_a_few_entries(imd: Cluster) {
    let (ann, bob) = pair(&imd).await;
    let (_node, elsewhere) = imd.start_node().await;
    let there = bob.through(elsewhere);
    let sent = ann.say("bob", "hello").await;
    let before = bob.timeline().await.len();
    for n in 0..60 {
        let terminal = if n % 2 == 0 { &bob } else { &there };
        let reaction = format!("r{}", n % 5);
        if n / 5 % 2 == 0 {
            terminal.react(&sent.message_id, &reaction).await.expect("given");
        } else {
            terminal.unreact(&sent.message_id, &reaction).await.expect("taken back");
        }
    }
    ann.react(&sent.message_id, "last").await.expect("given");
    all_is_told(&imd).await;
    for terminal in [&ann, &bob] {
        let timeline = terminal.timeline().await;
        let told = told(&timeline);
        assert!((2..=10).contains(&told), "{told} entries");
        assert_eq!(timeline.len(), before + told);
        let last = timeline.iter().rfind(|entry| entry.as_message().is_none());
        assert_eq!(changed(last.expect("an entry")).reactions.len(), 1);
    }
    assert_eq!(in_history(&bob, "ann", &sent.message_id).await, ["last 1"]);
    assert_dense(&imd.database).await;
}

async fn a_message_takes_twenty_kinds(imd: Cluster) {
    let (ann, bob) = pair(&imd).await;
    let sent = ann.say("bob", "hello").await;
    for n in 0..20 {
        bob.react(&sent.message_id, &format!("r{n}")).await.expect("given");
    }
    let refused = ann.react(&sent.message_id, "one more").await.expect_err("a space, too");
    assert_eq!(refused.code, "invalid_argument");
    let refused = ann.react(&sent.message_id, "r20").await.expect_err("one too many");
    assert_eq!(refused.code, "too_many_reactions");
    let given = ann.react(&sent.message_id, "r7").await.expect("a kind that is there");
    assert_eq!((given.len(), &given[7].count), (20, &2));
    bob.unreact(&sent.message_id, "r0").await.expect("taken back");
    let given = ann.react(&sent.message_id, "r20").await.expect("there is room");
    let kinds: Vec<&str> = given.iter().map(|reaction| reaction.reaction.as_str()).collect();
    assert_eq!((kinds[0], kinds[19]), ("r1", "r20"), "in the order in which they came");
}

async fn who_has_not_the_message_neither_reacts_nor_learns_who_does(imd: Cluster) {
    let (ann, bob) = pair(&imd).await;
    let carol = imd.user_with_phone("carol").await;
    let sent = ann.say("bob", "hello").await;
    bob.react(&sent.message_id, "👍").await.expect("given");
    let nobodys = "AAAAAAAAJw8AAAAAAAAAAQ";
    let refused = [
        carol.react(&sent.message_id, "👍").await.err(),
        carol.unreact(&sent.message_id, "👍").await.err(),
        carol.reactions(&sent.message_id).await.err(),
        carol.react(nobodys, "👍").await.err(),
        carol.reactions(nobodys).await.err(),
    ];
    let refused = refused.map(|refused| refused.expect("not carol's"));
    assert_eq!(refused[0].code, "message_not_found");
    assert!(refused.iter().all(|other| *other == refused[0]), "one answer for all: {refused:?}");
    assert_eq!(in_history(&ann, "bob", &sent.message_id).await, ["👍 1"]);
}

async fn what_is_gone_takes_no_reactions(imd: Cluster) {
    let (ann, bob) = pair(&imd).await;
    let recalled = ann.say("bob", "recalled").await;
    let deleted = ann.say("bob", "deleted").await;
    for message in [&recalled, &deleted] {
        bob.react(&message.message_id, "👍").await.expect("given");
        ann.react(&message.message_id, "👍").await.expect("given");
    }
    ann.recall(&recalled.message_id).await.expect("recalled");
    ann.delete("bob", deleted.seq).await.expect("deleted");
    for terminal in [&ann, &bob] {
        let refused = [
            terminal.react(&recalled.message_id, "🎉").await.err(),
            terminal.unreact(&recalled.message_id, "👍").await.err(),
            terminal.reactions(&recalled.message_id).await.err(),
        ];
        for refused in refused {
            assert_eq!(refused.expect("gone").code, "message_not_found");
        }
    }
    let refused = ann.react(&deleted.message_id, "🎉").await.expect_err("ann has it no longer");
    assert_eq!(refused.code, "message_not_found");
    let given = bob.react(&deleted.message_id, "🎉").await.expect("bob has it");
    assert_eq!(short(&given), ["👍 2*", "🎉 1*"]);
    all_is_told(&imd).await;
    assert_eq!(rows(&imd).await, (3, 1), "of the message that bob has alone");
    let own = ann.timeline().await;
    assert!(own[1..3].iter().all(|entry| entry.message().reactions.is_empty()));
    let of_bob = bob.timeline().await;
    let about = |entry: &&crate::support::types::Entry| {
        matches!(&entry.kind, crate::support::types::Kind::ReactionsChanged(changed)
            if changed.message_id == recalled.message_id)
    };
    for entry in of_bob.iter().filter(about) {
        assert_eq!(changed(entry).reactions, [], "nothing is left of those to what was recalled");
    }
    assert_dense(&imd.database).await;
}

async fn who_has_deleted_a_message_is_told_nothing_of_reactions(imd: Cluster) {
    let (ann, bob) = pair(&imd).await;
    let sent = ann.say("bob", "hello").await;
    bob.react(&sent.message_id, "👍").await.expect("given");
    let place = bob.timeline().await[1].seq;
    bob.delete("ann", place).await.expect("deleted");
    let before = bob.timeline().await;
    assert_eq!(told(&before), 0, "what was told says nothing any more: {before:?}");
    let given = ann.react(&sent.message_id, "🎉").await.expect("given");
    assert_eq!(short(&given), ["👍 1", "🎉 1*"], "what bob gave stays");
    all_is_told(&imd).await;
    assert_eq!(bob.timeline().await, before);
    assert_eq!(told(&ann.timeline().await), 2);
}

async fn a_block_holds_for_reactions(imd: Cluster) {
    let (_drops, drops) = imd.start_node_with(|s| s.messages.if_blocked = IfBlocked::Drop).await;
    let (ann, bob) = pair(&imd).await;
    let sent = ann.say("bob", "hello").await;
    let id = sent.message_id.as_str();
    ann.react(id, "before").await.expect("given");
    ann.block("bob").await.expect("blocked");
    assert_eq!(ann.react(id, "x").await.expect_err("ann blocks bob").code, "recipient_blocked");
    ann.unblock("bob").await.expect("unblocked");
    bob.block("ann").await.expect("blocked");
    assert_eq!(ann.react(id, "x").await.expect_err("bob blocks ann").code, "blocked");
    let unseen = ann.through(drops);
    let given = unseen.react(id, "unseen").await.expect("ann is not to know");
    assert_eq!(short(&given), ["before 1*", "unseen 1*"]);
    assert_eq!(in_history(&ann, "bob", id).await, ["before 1*", "unseen 1*"]);
    assert_eq!(in_history(&bob, "ann", id).await, ["before 1"]);
    assert_eq!(bob.reactions(id).await.expect("a page"), [("before".to_owned(), "ann".to_owned())]);
    bob.unblock("ann").await.expect("unblocked");
    bob.react(id, "unseen").await.expect("given by chance");
    assert_eq!(
        short(&ann.unreact(id, "unseen").await.expect("taken back")),
        ["before 1*", "unseen 1"]
    );
    assert_eq!(in_history(&bob, "ann", id).await, ["before 1", "unseen 1*"]);
    bob.block("ann").await.expect("blocked");
    let left = ann.unreact(id, "before").await.expect("taken back, though nothing can be written");
    assert_eq!(short(&left), ["unseen 1"]);
    assert_dense(&imd.database).await;
}

async fn a_note_to_oneself_takes_reactions(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let note = ann.say("ann", "a note").await;
    let given = ann.react(&note.message_id, "done").await.expect("given");
    assert_eq!(short(&given), ["done 1*"]);
    let timeline = ann.timeline().await;
    assert_eq!((short(&timeline[1].message().reactions), told(&timeline)), (short(&given), 1));
    assert_eq!(ann.reactions(&note.message_id).await.expect("a page").len(), 1);
    assert_eq!(ann.unreact(&note.message_id, "done").await, Ok(Vec::new()));
    assert_dense(&imd.database).await;
}

async fn who_reacts_is_listed_in_pages(imd: Cluster) {
    let (ann, bob) = pair(&imd).await;
    let sent = ann.say("bob", "hello").await;
    for (terminal, reaction) in [(&bob, "b"), (&ann, "b"), (&ann, "c"), (&bob, "a")] {
        terminal.react(&sent.message_id, reaction).await.expect("given");
    }
    let of = |reaction: &str, user: &str| (reaction.to_owned(), user.to_owned());
    let all = [of("a", "bob"), of("b", "ann"), of("b", "bob"), of("c", "ann")];
    for terminal in [&ann, &bob] {
        assert_eq!(terminal.reactions(&sent.message_id).await.expect("a page"), all);
        let list = async |reaction: &str, size: i32, token: &str| {
            let listed =
                terminal.api.reactions(&terminal.token, &sent.message_id, reaction, size, token);
            listed.await.expect("a page")
        };
        let first = list("", 3, "").await;
        assert_eq!(first.reactions, all[..3]);
        let rest = list("", 3, &first.next_page_token).await;
        assert_eq!((&rest.reactions[..], rest.next_page_token.as_str()), (&all[3..], ""));
        assert_eq!(list("b", 0, "").await.reactions, all[1..3]);
        assert_eq!(list("d", 0, "").await.reactions, []);
    }
}

async fn an_edit_leaves_the_reactions(imd: Cluster) {
    let (ann, bob) = pair(&imd).await;
    let sent = ann.say("bob", "one").await;
    bob.react(&sent.message_id, "👍").await.expect("given");
    let mut feed = bob.follow("now").await;
    ann.edit(&sent.message_id, "two").await.expect("edited");
    let entry = feed.entries(1).await.pop().expect("an entry");
    let message = &crate::edits::edited(&entry).message;
    assert_eq!((short(&message.reactions), message.edit_no), (vec!["👍 1*".to_owned()], 1));
}

async fn reactions_change_neither_unread_counts_nor_the_order_of_conversations(imd: Cluster) {
    let (ann, bob) = pair(&imd).await;
    let carol = imd.user_with_phone("carol").await;
    let sent = ann.say("bob", "one").await;
    carol.say("bob", "two").await;
    ann.react(&sent.message_id, "👍").await.expect("given");
    let listed = bob.conversations(0).await;
    let ids: Vec<&str> = listed.iter().map(|c| c.conversation_id.as_str()).collect();
    assert_eq!(ids, ["user:carol", "user:ann"]);
    assert_eq!(
        (listed[1].unread_count, short(&listed[1].last_message.message().reactions)),
        (1, vec!["👍 1".to_owned()])
    );
}

async fn reactions_go_with_the_account(imd: Cluster) {
    let (ann, bob) = pair(&imd).await;
    let of_ann = ann.say("bob", "from ann").await;
    let of_bob = bob.say("ann", "from bob").await;
    for message in [&of_ann, &of_bob] {
        ann.react(&message.message_id, "👍").await.expect("given");
        ann.react(&message.message_id, "🎉").await.expect("given");
        bob.react(&message.message_id, "👍").await.expect("given");
    }
    all_is_told(&imd).await;
    let mut feed = bob.follow("now").await;
    imd.admin().delete("ann", false).await.expect("deleted");
    let entries = feed.entries(2).await;
    for entry in &entries {
        assert_eq!(short(&changed(entry).reactions), ["👍 1*"]);
    }
    for message in [&of_ann, &of_bob] {
        assert_eq!(in_history(&bob, "ann", &message.message_id).await, ["👍 1*"]);
    }
    all_is_told(&imd).await;
    assert_eq!(rows(&imd).await, (1, 2), "a row for the message whose home is bob's");
    imd.admin().delete("bob", true).await.expect("deleted");
    assert_eq!(rows(&imd).await, (0, 0));
}

#[tokio::test]
async fn reactions_are_purged_with_the_message() {
    let database = Database::create().await;
    let node = Node::start_with(&database, |s| s.retention.purge_after = Duration::ZERO).await;
    let imd = Cluster::of(Transport::Grpc, database, node);
    let admin = imd.admin();
    admin.apply_tiers(vec![tier("small", None, Some(1))]).await.expect("a tier");
    let (ann, bob) = pair(&imd).await;
    let sent = ann.say("bob", "hello").await;
    bob.react(&sent.message_id, "👍").await.expect("given");
    for user in ["ann", "bob"] {
        admin.set_tier(user, "small").await.expect("the user's tier");
    }
    ann.say("bob", "later").await;
    let refused = bob.react(&sent.message_id, "🎉").await.expect_err("hidden");
    assert_eq!(refused.code, "message_not_found");
    admin.purge().await.expect("a purge");
    assert_eq!(rows(&imd).await, (0, 0));
}

/// A node that dies between a change and the entry that tells of it leaves that to another.
#[tokio::test]
async fn i11_what_a_node_has_left_untold_another_tells() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (ann, bob) = pair(&imd).await;
    let sent = ann.say("bob", "hello").await;
    bob.react(&sent.message_id, "👍").await.expect("given");
    let sql = imd.database.sql().await;
    // As a node leaves it that has noted the change and is gone.
    sql.batch_execute(
        "UPDATE reactions_told SET pending = true, due_at = now() + interval '1 hour'",
    )
    .await
    .expect("noted");
    bob.react(&sent.message_id, "🎉").await.expect("given");
    assert_eq!(told(&ann.timeline().await), 1);
    let mut feed = ann.follow("now").await;
    let (_node, _) = imd.start_node().await;
    sql.batch_execute("UPDATE reactions_told SET due_at = now()").await.expect("it is due");
    let entry = feed.entries(1).await.pop().expect("an entry");
    assert_eq!(short(&changed(&entry).reactions), ["👍 1", "🎉 1"]);
    eventually("bob is told", async || (told(&bob.timeline().await) == 2).then_some(())).await;
    all_is_told(&imd).await;
    assert_dense(&imd.database).await;
}
