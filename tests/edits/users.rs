//! Edits of messages between two users.

use std::time::Duration;

use imd::model::IfBlocked;

use super::{edited, new_text, rows_that_say, told};
use crate::{
    append::assert_dense,
    support::{api::Outgoing, cluster::Cluster, on_both_transports, on_every_transport},
    tombstones::age,
};

on_every_transport! {
    i6_every_terminal_of_both_is_told_of_an_edit,
    an_edit_that_is_repeated_is_made_once,
}

on_both_transports! {
    i8_who_comes_back_reads_the_message_as_it_is,
    nothing_of_what_was_said_before_is_left,
    after_the_window_it_is_too_late_to_edit,
    the_window_of_edits_is_a_setting,
    only_the_sender_edits,
    what_is_gone_is_not_edited,
    what_the_recipient_has_deleted_is_not_edited,
    an_edit_changes_neither_unread_counts_nor_the_order_of_conversations,
    a_note_to_oneself_is_edited_once,
    an_edit_is_checked_as_a_message_is,
    a_block_holds_for_edits,
    a_retry_of_the_send_finds_the_edited_message,
}

async fn i6_every_terminal_of_both_is_told_of_an_edit(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    let (_node, elsewhere) = imd.start_node().await;
    let sent = ann.say("bob", "at six").await;
    let places = [sent.seq, bob.timeline().await.pop().expect("a message").seq];
    let mut feeds = [
        (ann.follow("now").await, places[0], "user:bob"),
        (pc.through(elsewhere.clone()).follow("now").await, places[0], "user:bob"),
        (bob.follow("now").await, places[1], "user:ann"),
        (bob.through(elsewhere).follow("now").await, places[1], "user:ann"),
    ];
    let made = pc.edit(&sent.message_id, "at seven").await.expect("edited, on another terminal");
    assert_eq!((made.edit_no, made.duplicate), (1, false));
    assert!(made.edited_at >= sent.sent_at);
    for (feed, seq, conversation) in &mut feeds {
        let entry = feed.entries(1).await.pop().expect("an entry");
        let said = edited(&entry);
        assert_eq!((said.seq, new_text(&entry)), (*seq, "at seven"));
        let message = &said.message;
        assert_eq!(message.message_id, sent.message_id);
        assert_eq!(
            (message.conversation_id.as_str(), message.sender_id.as_str()),
            (*conversation, "ann")
        );
        assert_eq!((message.edit_no, message.edited_at), (1, Some(made.edited_at)));
    }
    assert_dense(&imd.database).await;
}

async fn an_edit_that_is_repeated_is_made_once(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "one").await;
    let edit = Outgoing::text("", "two");
    let first = ann.edit_to(&sent.message_id, &edit).await.expect("edited");
    let third = ann.edit(&sent.message_id, "three").await.expect("edited");
    let again = ann.edit_to(&sent.message_id, &edit).await.expect("a retry");
    assert_eq!((first.edit_no, third.edit_no), (1, 2));
    assert_eq!((again.edit_no, again.edited_at, again.duplicate), (1, first.edited_at, true));
    age(&imd, 60).await;
    assert!(ann.edit_to(&sent.message_id, &edit).await.expect("a late retry").duplicate);
    let other =
        Outgoing { client_message_id: edit.client_message_id, ..Outgoing::text("", "four") };
    let refused = ann.edit_to(&sent.message_id, &other).await.expect_err("another content");
    assert_eq!(refused.code, "client_edit_id_conflict");
    for terminal in [&ann, &bob] {
        let timeline = terminal.timeline().await;
        assert_eq!((timeline[1].text(), told(&timeline)), ("three", 2));
    }
}

async fn i8_who_comes_back_reads_the_message_as_it_is(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let cursor = bob.pull("").await.expect("the timeline").next_after;
    let sent = ann.say("bob", "one").await;
    ann.say("bob", "between").await;
    ann.edit(&sent.message_id, "two").await.expect("edited");
    let data = Outgoing::data("", "application/x-card", b"three");
    ann.edit_to(&sent.message_id, &data).await.expect("edited into something else than a text");

    let mut feed = bob.follow(&cursor).await;
    let entries = feed.entries(4).await;
    assert_eq!(entries, bob.pull(&cursor).await.expect("the timeline").entries);
    let message = entries[0].message();
    assert_eq!((&message.content, message.edit_no), (&data.content, 2));
    assert_eq!(entries[1].text(), "between");
    for entry in &entries[2..] {
        assert_eq!((edited(entry).seq, &edited(entry).message), (entries[0].seq, message));
    }
    let history = bob.history("ann", 0, "").await.expect("a page").entries;
    assert_eq!(history[1], entries[0]);
    let own = &ann.history("bob", 0, "").await.expect("a page").entries[1];
    assert_eq!(own.message().content, data.content);
    assert!(own.message().client_message_id.is_some());
    assert_eq!((own.seq, own.appended_at), (sent.seq, sent.sent_at), "its place stays");
}

async fn nothing_of_what_was_said_before_is_left(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "the secret word").await;
    assert_eq!(rows_that_say(&imd, "secret").await, 2);
    ann.edit(&sent.message_id, "no word").await.expect("edited");
    assert_eq!(rows_that_say(&imd, "secret").await, 0);
    assert_eq!(rows_that_say(&imd, "no word").await, 2);
    assert!(
        ann.edits(&sent.message_id).await.expect("a page").iter().all(|(_, said)| said.is_none())
    );
    ann.recall(&sent.message_id).await.expect("recalled");
    assert_eq!(rows_that_say(&imd, "no word").await, 0);
    let last = ann.timeline().await;
    let edit = &edited(&last[2]).message;
    assert_eq!((edit.tombstone.as_deref(), edit.edit_no), (Some("RECALLED"), 0));
}

async fn after_the_window_it_is_too_late_to_edit(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "hello").await;
    age(&imd, 14).await;
    ann.edit(&sent.message_id, "in time").await.expect("edited");
    age(&imd, 1).await;
    let refused =
        ann.edit(&sent.message_id, "too late").await.expect_err("fifteen minutes and more");
    assert_eq!(refused.code, "edit_window_over");
    for terminal in [&ann, &bob] {
        let timeline = terminal.timeline().await;
        assert_eq!((timeline[1].text(), timeline.len()), ("in time", 3), "nothing has changed");
    }
    assert_dense(&imd.database).await;
}

async fn the_window_of_edits_is_a_setting(imd: Cluster) {
    let (_hour, hour) =
        imd.start_node_with(|s| s.messages.edit_window = Duration::from_hours(1)).await;
    let (_never, never) = imd.start_node_with(|s| s.messages.edit_window = Duration::ZERO).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await;
    let windows = [ann.api.info().await, hour.info().await, never.info().await];
    let windows = windows.map(|info| info.expect("the limits").edit_window);
    assert_eq!(windows, [900, 3600, 0]);
    let sent = ann.say("bob", "hello").await;
    let refused = ann.through(never).edit(&sent.message_id, "x").await.expect_err("never");
    assert_eq!(refused.code, "edit_window_over");
    age(&imd, 59).await;
    ann.edit(&sent.message_id, "x").await.expect_err("too late here");
    ann.through(hour).edit(&sent.message_id, "in time there").await.expect("edited");
}

async fn only_the_sender_edits(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    let sent = ann.say("bob", "hello").await;
    let refused = [
        bob.edit(&sent.message_id, "mine").await.expect_err("ann's, though bob has it"),
        carol.edit(&sent.message_id, "mine").await.expect_err("ann's"),
        carol.edit("AAAAAAAAJw8AAAAAAAAAAQ", "mine").await.expect_err("nobody's"),
    ];
    assert_eq!(refused[0].code, "message_not_found");
    assert!(refused.iter().all(|other| *other == refused[0]), "one answer for all: {refused:?}");
    let refused = [
        carol.edits(&sent.message_id).await.expect_err("carol has it not"),
        carol.edits("AAAAAAAAJw8AAAAAAAAAAQ").await.expect_err("nobody has"),
    ];
    assert_eq!(refused[0].code, "message_not_found");
    assert_eq!(refused[0], refused[1]);
    assert_eq!(bob.edits(&sent.message_id).await.expect("bob has it"), []);
    assert_eq!(bob.texts().await, ["hello"]);
}

async fn what_is_gone_is_not_edited(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let recalled = ann.say("bob", "recalled").await;
    ann.recall(&recalled.message_id).await.expect("recalled");
    let deleted = ann.say("bob", "bob keeps it").await;
    ann.delete("bob", deleted.seq).await.expect("deleted");
    for gone in [&recalled, &deleted] {
        let refused = ann.edit(&gone.message_id, "again").await.expect_err("gone");
        assert_eq!(refused.code, "message_not_found");
    }
    assert_eq!(told(&bob.timeline().await), 0);
    assert_eq!(bob.timeline().await[1].message().edit_no, 0);
    assert_dense(&imd.database).await;
}

async fn what_the_recipient_has_deleted_is_not_edited(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let [first, second] = [ann.say("bob", "first").await, ann.say("bob", "second").await];
    ann.edit(&second.message_id, "second, edited").await.expect("edited");
    let places = bob.timeline().await;
    for entry in &places[1..3] {
        bob.delete("ann", entry.seq).await.expect("deleted");
    }
    ann.edit(&first.message_id, "first, edited").await.expect("edited");
    let timeline = bob.timeline().await;
    assert_eq!(timeline.len(), 6, "bob is told nothing of the last: {timeline:?}");
    assert!(!format!("{timeline:?}").contains(", edited\""), "what bob has deleted is not shown");
    assert_eq!(told(&timeline), 0);
    assert_eq!(ann.texts().await, ["first, edited", "second, edited"]);
}

async fn an_edit_changes_neither_unread_counts_nor_the_order_of_conversations(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    let sent = ann.say("bob", "one").await;
    carol.say("bob", "two").await;
    ann.edit(&sent.message_id, "one, edited").await.expect("edited");
    let listed = bob.conversations(0).await;
    let ids: Vec<&str> = listed.iter().map(|c| c.conversation_id.as_str()).collect();
    assert_eq!(ids, ["user:carol", "user:ann"]);
    let of_ann = &listed[1];
    assert_eq!((of_ann.last_message.text(), of_ann.unread_count), ("one, edited", 1));
    let last = bob.timeline().await.last().expect("an entry").seq;
    bob.mark_read("ann", last).await.expect("read");
    ann.edit(&sent.message_id, "one, edited twice").await.expect("edited");
    let of_ann = bob.conversation("ann").await;
    assert_eq!((of_ann.last_message.text(), of_ann.unread_count), ("one, edited twice", 0));
}

async fn a_note_to_oneself_is_edited_once(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let note = ann.say("ann", "a note").await;
    ann.edit(&note.message_id, "a better note").await.expect("edited");
    let timeline = ann.timeline().await;
    assert_eq!((timeline[1].text(), told(&timeline)), ("a better note", 1));
    assert_dense(&imd.database).await;
}

async fn an_edit_is_checked_as_a_message_is(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "hello").await;
    let most = ann.api.info().await.expect("the limits").max_body_bytes;
    let mention = Outgoing { mentions: vec!["bob".to_owned()], ..Outgoing::text("", "@bob") };
    let bad = [
        (Outgoing::text("", ""), "text"),
        (Outgoing::text("", "x".repeat(most + 1)), "text"),
        (Outgoing { content: None, ..Outgoing::text("", "") }, "text"),
        (Outgoing::data("", "card", b"x"), "content_type"),
        (
            Outgoing { client_message_id: "7".to_owned(), ..Outgoing::text("", "x") },
            "client_edit_id",
        ),
        (Outgoing { mention_all: true, ..mention.clone() }, "mention_all"),
        (mention, "mentions"),
    ];
    for (edit, field) in bad {
        let refused = ann.edit_to(&sent.message_id, &edit).await.expect_err("not valid");
        assert_eq!((refused.code.as_str(), refused.detail("field")), ("invalid_argument", field));
    }
    let refused = ann.edit("no-id", "x").await.expect_err("no id");
    assert_eq!(refused.detail("field"), "message_id");
    let longest = "x".repeat(most);
    ann.edit(&sent.message_id, &longest).await.expect("the longest text there may be");
    for size in [-1, 0, 1] {
        let listed = ann.api.edits(&ann.token, &sent.message_id, size, "").await;
        assert_eq!(listed.is_err(), size < 0);
    }
    let listed = ann.api.edits(&ann.token, &sent.message_id, 0, "nowhere").await;
    assert_eq!(listed.expect_err("no token of this listing").code, "invalid_argument");
    assert_eq!(ann.timeline().await.len(), 3);
}

async fn a_block_holds_for_edits(imd: Cluster) {
    let (_drops, drops) = imd.start_node_with(|s| s.messages.if_blocked = IfBlocked::Drop).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "before").await;
    ann.block("bob").await.expect("blocked");
    let refused = ann.edit(&sent.message_id, "x").await.expect_err("ann blocks bob");
    assert_eq!(refused.code, "recipient_blocked");
    ann.unblock("bob").await.expect("unblocked");
    bob.block("ann").await.expect("blocked");
    let refused = ann.edit(&sent.message_id, "x").await.expect_err("bob blocks ann");
    assert_eq!(refused.code, "blocked");
    ann.through(drops).edit(&sent.message_id, "after").await.expect("ann is not to know");
    assert_eq!(
        (ann.texts().await, bob.texts().await),
        (vec!["after".to_owned()], vec!["before".to_owned()])
    );
    assert_eq!((told(&ann.timeline().await), told(&bob.timeline().await)), (1, 0));
    assert_dense(&imd.database).await;
}

async fn a_retry_of_the_send_finds_the_edited_message(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await;
    let message = Outgoing::text("bob", "first");
    let sent = ann.send(&message).await.expect("sent");
    ann.edit(&sent.message_id, "second").await.expect("edited");
    let again = ann.send(&message).await.expect("a retry");
    assert_eq!((again.message_id, again.duplicate), (sent.message_id, true));
    assert_eq!(ann.texts().await, ["second"]);
}
