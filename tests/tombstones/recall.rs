//! Recalling: every copy becomes a tombstone, and every terminal is told.

use std::time::Duration;

use imd::{
    model::{MessageId, SealedMessageId},
    store::Store,
};

use super::{age, gone, rows_that_say, told, tombstone};
use crate::{
    append::assert_dense,
    support::{api::Outgoing, checker::Run, cluster::Cluster, on_both_transports, types::Kind},
};

on_both_transports! {
    i6_every_terminal_of_both_is_told,
    i8_a_terminal_that_comes_back_finds_a_tombstone_in_its_place,
    nothing_of_what_was_said_is_left,
    after_the_window_it_is_too_late,
    the_window_is_a_setting,
    only_the_sender_recalls,
    what_is_no_message_is_not_recalled,
    a_second_recall_tells_nobody_again,
    a_note_to_oneself_is_recalled_once,
    what_the_recipient_has_deleted_stays_so,
    what_the_sender_has_deleted_can_be_recalled,
    a_recalled_message_stays_the_last_of_its_conversation,
    a_recipient_that_is_gone_does_not_matter,
}

async fn i6_every_terminal_of_both_is_told(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    let (_node, elsewhere) = imd.start_node().await;
    let mut feeds = [phone.follow("").await, pc.follow("").await];
    let mut of_bob = [bob.follow("").await, bob.through(elsewhere).follow("").await];
    let before = phone.say("bob", "before").await;
    let message = Outgoing::text("bob", "never mind");
    let sent = phone.send(&message).await.expect("sent");
    let places = [sent.seq, bob.timeline().await.pop().expect("a message").seq];
    pc.recall(&sent.message_id).await.expect("recalled, on another terminal than it was sent from");

    let mut run = Run::default();
    run.sent(
        "ann",
        &Outgoing { content: message.content.clone(), ..message.clone() },
        Ok(sent.clone()),
    );
    for (feed, name) in feeds.iter_mut().zip(["phone", "pc"]) {
        let entries = feed.entries_to(places[0] + 1).await;
        let last = entries.last().expect("an entry");
        assert_eq!(last.kind, Kind::MessageRecalled(gone(&sent.message_id, "bob", places[0])));
        run.saw("ann", name, 0, entries);
    }
    for (feed, name) in of_bob.iter_mut().zip(["here", "elsewhere"]) {
        let entries = feed.entries_to(places[1] + 1).await;
        let last = entries.last().expect("an entry");
        assert_eq!(last.kind, Kind::MessageRecalled(gone(&sent.message_id, "ann", places[1])));
        run.saw("bob", name, 0, entries);
    }
    run.saw("bob", "a pull", 0, bob.timeline().await);
    run.saw("ann", "a pull", 0, phone.timeline().await);
    let first =
        phone.history("bob", 0, "").await.expect("a page").entries.pop().expect("a message");
    assert_eq!((first.text(), first.seq), ("before", before.seq));
    run.sent(
        "ann",
        &Outgoing {
            client_message_id: first.message().client_message_id.clone().expect("ann's own"),
            ..Outgoing::text("bob", "before")
        },
        Ok(before),
    );
    run.assert_sound();
    assert_dense(&imd.database).await;
}

async fn i8_a_terminal_that_comes_back_finds_a_tombstone_in_its_place(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let cursor = bob.pull("").await.expect("the timeline").next_after;
    let message = Outgoing::text("bob", "never mind");
    let sent = ann.send(&message).await.expect("sent");
    ann.say("bob", "after").await;
    ann.recall(&sent.message_id).await.expect("recalled");

    let mut feed = bob.follow(&cursor).await;
    let entries = feed.entries(3).await;
    assert_eq!(entries, bob.pull(&cursor).await.expect("the timeline").entries);
    let tombstone = entries[0].message();
    assert_eq!(tombstone.tombstone.as_deref(), Some("RECALLED"));
    assert_eq!((&tombstone.content, &tombstone.message_id), (&None, &sent.message_id));
    assert_eq!(tombstone.conversation_id, "user:ann");
    assert_eq!(tombstone.sender_id, "ann");
    assert_eq!(entries[1].text(), "after");
    let recalled = gone(&sent.message_id, "ann", entries[0].seq);
    assert_eq!(entries[2].kind, Kind::MessageRecalled(recalled));

    for (terminal, peer) in [(&ann, "bob"), (&bob, "ann")] {
        let page = terminal.history(peer, 0, "").await.expect("a page").entries;
        assert_eq!(page.len(), 2, "history shows the tombstone");
        assert_eq!((page[0].text(), super::tombstone(&page[1])), ("after", "RECALLED"));
        assert!(terminal.timeline().await.contains(&page[1]));
    }
    let own = ann.history("bob", 0, "").await.expect("a page").entries.pop().expect("a message");
    assert_eq!(own.message().client_message_id, Some(message.client_message_id));
    assert_eq!((own.seq, own.appended_at), (sent.seq, sent.sent_at));
}

async fn nothing_of_what_was_said_is_left(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let text = ann.say("bob", "the secret word").await;
    let data = Outgoing::data("bob", "application/secret", b"a secret, typed");
    let data = ann.send(&data).await.expect("sent");
    let note = ann.say("ann", "a secret note").await;
    let deleted = ann.say("bob", "a secret for bob alone").await;
    assert_eq!(rows_that_say(&imd, "secret").await, 7);
    for sent in [&text, &data, &note] {
        ann.recall(&sent.message_id).await.expect("recalled");
    }
    assert_eq!(rows_that_say(&imd, "secret").await, 2);
    ann.delete("bob", deleted.seq).await.expect("deleted");
    assert_eq!(rows_that_say(&imd, "secret").await, 1, "bob's copy is bob's");
    ann.recall(&deleted.message_id).await.expect("recalled");
    assert_eq!(rows_that_say(&imd, "secret").await, 0);
    for terminal in [&ann, &bob] {
        assert!(!format!("{:?}", terminal.timeline().await).contains("secret"));
    }
}

async fn after_the_window_it_is_too_late(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "hello").await;
    age(&imd, 1).await;
    let in_time = ann.say("bob", "in time").await;
    ann.recall(&in_time.message_id).await.expect("recalled");
    age(&imd, 1).await;
    let refused = ann.recall(&sent.message_id).await.expect_err("two minutes and more");
    assert_eq!(refused.code, "recall_window_over");
    age(&imd, 60).await;
    ann.recall(&in_time.message_id).await.expect("it is recalled, however long ago");
    for terminal in [&ann, &bob] {
        let timeline = terminal.timeline().await;
        assert_eq!((timeline[1].text(), timeline.len()), ("hello", 4), "nothing has changed");
    }
    assert_dense(&imd.database).await;
}

async fn the_window_is_a_setting(imd: Cluster) {
    let (_long, long) =
        imd.start_node_with(|s| s.messages.recall_window = Duration::from_hours(1)).await;
    let (_never, never) = imd.start_node_with(|s| s.messages.recall_window = Duration::ZERO).await;
    let windows = [&imd.api, &long, &never].map(|api| api.info());
    let windows = futures::future::try_join_all(windows).await.expect("facts");
    assert_eq!(windows.iter().map(|info| info.recall_window).collect::<Vec<_>>(), [120, 3600, 0]);

    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let sent = ann.say("bob", "hello").await;
    let refused = ann.through(never).recall(&sent.message_id).await.expect_err("never");
    assert_eq!(refused.code, "recall_window_over");
    age(&imd, 59).await;
    let refused = ann.recall(&sent.message_id).await.expect_err("too late here");
    assert_eq!(refused.code, "recall_window_over");
    ann.through(long).recall(&sent.message_id).await.expect("within an hour");
}

async fn only_the_sender_recalls(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    let sent = ann.say("bob", "hello").await;
    let unknown = carol.recall("AAAAAAAAJw8AAAAAAAAAAQ").await.expect_err("nobody's");
    for other in [&bob, &carol] {
        let refused = other.recall(&sent.message_id).await.expect_err("ann's");
        assert_eq!(refused.code, "message_not_found");
        assert_eq!(refused, unknown, "the same answer as for a message that there is not");
    }
    assert_eq!(ann.history("bob", 0, "").await.expect("a page").entries[0].text(), "hello");
    assert_dense(&imd.database).await;
}

async fn what_is_no_message_is_not_recalled(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "hello").await;
    bob.say("ann", "hello").await;
    for bad in ["x", "no-message-id", &sent.message_id[1..], &format!("{}A", sent.message_id)] {
        let refused = ann.recall(bad).await.expect_err(bad);
        assert_eq!(refused.field(), "message_id", "{bad}");
    }
    // Ann's number with other places: a login, bob's message, none.
    let store = Store::new(imd.database.url(), 1).expect("a store");
    let cipher = store.message_id_cipher().await.expect("the cipher of this database");
    let id = SealedMessageId::parse(&sent.message_id).and_then(|id| cipher.open(id));
    let id = id.expect("a message id");
    for seq in [1, sent.seq + 1, sent.seq + 2, 0, (1 << 48) - 1] {
        let id = cipher.seal(MessageId { seq, ..id }).expect("a sealed id");
        let refused = ann.recall(&id.to_string()).await.expect_err("no message of ann's");
        assert_eq!(refused.code, "message_not_found", "{seq}");
    }
}

async fn a_second_recall_tells_nobody_again(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "hello").await;
    let recalls = (0..10).map(|_| ann.recall(&sent.message_id));
    for recalled in futures::future::join_all(recalls).await {
        recalled.expect("recalled");
    }
    for terminal in [&ann, &bob] {
        let timeline = terminal.timeline().await;
        assert_eq!((timeline.len(), told(&timeline)), (3, 1), "a login, a message, its recall");
    }
    assert_eq!(assert_dense(&imd.database).await, 6);
}

async fn a_note_to_oneself_is_recalled_once(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let note = phone.say("ann", "buy milk").await;
    phone.recall(&note.message_id).await.expect("recalled");
    let timeline = pc.timeline().await;
    assert_eq!(tombstone(&timeline[2]), "RECALLED");
    assert_eq!(timeline[3].kind, Kind::MessageRecalled(gone(&note.message_id, "ann", note.seq)));
    assert_eq!(assert_dense(&imd.database).await, 4);
}

async fn what_the_recipient_has_deleted_stays_so(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "hello").await;
    let place = bob.timeline().await.pop().expect("a message").seq;
    bob.delete("ann", place).await.expect("deleted");
    let before = bob.timeline().await;
    ann.recall(&sent.message_id).await.expect("recalled");
    assert_eq!(bob.timeline().await, before, "bob has deleted it, and learns nothing");
    assert_eq!(bob.history("ann", 0, "").await.expect("a page").entries, []);
    let of_ann = ann.history("bob", 0, "").await.expect("a page").entries;
    assert_eq!(tombstone(&of_ann[0]), "RECALLED");
    assert_eq!(told(&ann.timeline().await), 1);
    assert_dense(&imd.database).await;
}

async fn what_the_sender_has_deleted_can_be_recalled(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "hello").await;
    ann.delete("bob", sent.seq).await.expect("deleted");
    let before = ann.timeline().await;
    for _ in 0..2 {
        ann.recall(&sent.message_id).await.expect("recalled");
        assert_eq!(ann.timeline().await, before, "ann has it no more, deleted or recalled");
        let of_bob = bob.timeline().await;
        assert_eq!((of_bob.len(), tombstone(&of_bob[1])), (3, "RECALLED"));
    }
    age(&imd, 5).await;
    ann.recall(&sent.message_id).await.expect("nothing is left to recall");
    assert_dense(&imd.database).await;
}

async fn a_recalled_message_stays_the_last_of_its_conversation(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say("bob", "one").await;
    let two = ann.say("bob", "two").await;
    ann.recall(&two.message_id).await.expect("recalled");
    for (terminal, peer) in [(&ann, "bob"), (&bob, "ann")] {
        let last = terminal.conversation(peer).await.last_message;
        assert_eq!((tombstone(&last), &last.message().message_id), ("RECALLED", &two.message_id));
    }
}

async fn a_recipient_that_is_gone_does_not_matter(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let sent = ann.say("bob", "hello").await;
    let sql = imd.database.sql().await;
    let delete = "DELETE FROM timelines WHERE owner <> 1; DELETE FROM entries WHERE owner <> 1";
    sql.batch_execute(delete).await.expect("deleted");
    ann.recall(&sent.message_id).await.expect("recalled");
    assert_eq!(told(&ann.timeline().await), 1);
    assert_dense(&imd.database).await;
}
