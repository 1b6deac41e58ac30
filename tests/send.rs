//! Sending: stored before it is said (I4), the same on every terminal (I6), once however often it is
//! sent (I7).

use std::time::Duration;

use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use imd::config::Settings;
use uuid::Uuid;

use crate::support::{
    api::Outgoing,
    cluster::Cluster,
    node::Node,
    on_every_transport,
    types::{Content, Sent},
    within_deadline,
};

/// How many entries all timelines hold.
async fn entries(imd: &Cluster) -> i64 {
    let sql = imd.database.sql().await;
    sql.query_one("SELECT count(*) FROM entries", &[]).await.expect("a number").get(0)
}

on_every_transport! {
    i4_an_acknowledged_message_is_stored_in_both_timelines,
    i6_the_senders_other_terminals_see_what_it_sent,
    content_arrives_as_it_was_sent,
    i6_a_note_to_oneself_stands_there_once,
    a_message_to_a_disabled_user_waits_for_it,
    i7_a_retry_returns_the_first_result,
    i7_the_same_message_sent_twenty_times_at_once_stands_there_once,
    i7_the_same_id_for_something_else_is_a_conflict,
    i7_ids_of_different_senders_have_nothing_to_do_with_each_other,
    a_bad_message_names_the_field_and_leaves_no_trace,
    i5_messages_of_one_terminal_sent_at_once_have_places_of_their_own,
    a_server_with_too_much_to_do_says_when_to_come_again,
}

async fn i4_an_acknowledged_message_is_stored_in_both_timelines(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let (_other_node, other) = imd.start_node().await;
    for n in 0..20 {
        let sent = ann.say("bob", &format!("message {n}")).await;
        // At once, through a node that has heard nothing of it.
        let seen = bob.through(other.clone()).pull("").await.expect("the timeline");
        let last = seen.entries.last().expect("an entry");
        assert_eq!(last.text(), format!("message {n}"));
        assert_eq!(last.message().message_id, sent.message_id);
        let own = ann.through(other.clone()).pull("").await.expect("the timeline");
        assert_eq!(own.entries.last().expect("an entry").cursor, sent.cursor);
    }
}

async fn i6_the_senders_other_terminals_see_what_it_sent(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    let mut on_phone = phone.follow("now").await;
    let mut on_pc = pc.follow("now").await;
    let mut on_bobs = bob.follow("now").await;

    let message = Outgoing::text("bob", "hello");
    let sent = phone.send(&message).await.expect("sent");
    let entry = on_pc.entry().await;
    assert_eq!(on_phone.entry().await, entry, "its own stream tells the sender the same");
    assert_eq!((entry.seq, &entry.cursor), (sent.seq, &sent.cursor));
    assert_eq!(entry.appended_at, sent.sent_at);
    let own = entry.message();
    assert_eq!(own.message_id, sent.message_id);
    assert_eq!(own.client_message_id.as_ref(), Some(&message.client_message_id));
    assert_eq!((own.conversation_id.as_str(), own.sender_id.as_str()), ("user:bob", "ann"));
    assert_eq!(sent.conversation_id, "user:bob");

    let entry = on_bobs.entry().await;
    let received = entry.message();
    assert_eq!(received.message_id, sent.message_id);
    assert_eq!(received.client_message_id, None, "the sender's id is the sender's business");
    assert_eq!(
        (received.conversation_id.as_str(), received.sender_id.as_str()),
        ("user:ann", "ann")
    );
    assert_eq!(received.content, own.content);
}

async fn content_arrives_as_it_was_sent(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let mut feed = bob.follow("now").await;
    let all_bytes: Vec<u8> = (0..=255).collect();
    let largest = "x".repeat(16_384);
    let messages = [
        Outgoing::text("bob", "naïve 漢字 🙂 \"quoted\"\n\ttabs \u{0} nul"),
        Outgoing::text("bob", " "),
        Outgoing::text("bob", &*largest),
        Outgoing::data("bob", "application/octet-stream", &all_bytes),
        Outgoing::data("bob", "text/plain; charset=utf-8", b"typed text"),
    ];
    for message in messages {
        ann.send(&message).await.unwrap_or_else(|error| panic!("{message:?}: {error:?}"));
        assert_eq!(feed.entry().await.message().content, message.content);
    }
}

async fn i6_a_note_to_oneself_stands_there_once(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let mut on_pc = pc.follow("now").await;
    let note = phone.say("ann", "buy milk").await;
    let second = phone.say("ann", "buy bread").await;
    assert_eq!(second.seq, note.seq + 1);
    let entries = on_pc.entries(2).await;
    assert_eq!((entries[0].text(), entries[1].text()), ("buy milk", "buy bread"));
    assert_eq!(entries[0].message().conversation_id, "user:ann");
    assert!(entries[0].message().client_message_id.is_some());
}

async fn a_message_to_a_disabled_user_waits_for_it(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    imd.admin().disable("bob", "").await.expect("disabled");
    ann.say("bob", "are you there?").await;
    imd.admin().enable("bob").await.expect("enabled");
    let bob = imd.log_in("bob", "phone", "p").await;
    let pulled = bob.pull("").await.expect("the timeline");
    assert_eq!(pulled.entries[0].text(), "are you there?");
}

async fn i7_a_retry_returns_the_first_result(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let message = Outgoing::text("bob", "once");
    let first = ann.send(&message).await.expect("sent");
    assert!(!first.duplicate);
    ann.say("bob", "another one between").await;
    let again = ann.send(&message).await.expect("the first result");
    assert_eq!(again, Sent { duplicate: true, ..first.clone() });
    let pc = imd.log_in("ann", "pc", "desk").await;
    let from_pc = pc.send(&message).await.expect("the id is the user's, not the terminal's");
    assert_eq!(from_pc.message_id, first.message_id);
    assert!(from_pc.duplicate);
}

async fn i7_the_same_message_sent_twenty_times_at_once_stands_there_once(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let (_node, other) = imd.start_node().await;
    let through_other = ann.through(other);
    let message = Outgoing::text("bob", "once");
    let sends = (0..20).map(|n| if n % 2 == 0 { &ann } else { &through_other }.send(&message));
    let answers: Vec<Sent> =
        join_all(sends).await.into_iter().map(|answer| answer.expect("sent")).collect();

    assert_eq!(answers.iter().filter(|sent| !sent.duplicate).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|sent| sent.message_id == answers[0].message_id));
    assert!(answers.iter().all(|sent| sent.seq == answers[0].seq));
    let after = ann.say("bob", "after").await;
    assert_eq!(after.seq, answers[0].seq + 1, "no gap in the sender's timeline");
    let received = bob.pull("").await.expect("the timeline").entries;
    assert_eq!(received.len(), 3, "a login and two messages");
    assert!(received.iter().zip(1..).all(|(entry, seq)| entry.seq == seq));
}

async fn i7_the_same_id_for_something_else_is_a_conflict(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.users(["bob", "carol"]).await;
    let first = Outgoing::text("bob", "hello");
    let sent = ann.send(&first).await.expect("sent");
    let id = || first.client_message_id.clone();
    let others = [
        Outgoing { client_message_id: id(), ..Outgoing::text("carol", "hello") },
        Outgoing { client_message_id: id(), ..Outgoing::text("ann", "hello") },
        Outgoing { client_message_id: id(), ..Outgoing::text("bob", "Hello") },
        Outgoing { client_message_id: id(), ..Outgoing::data("bob", "text/plain", b"hello") },
    ];
    for other in others {
        let refused = ann.send(&other).await.expect_err("a conflict");
        assert_eq!(refused.code, "client_message_id_conflict", "{other:?}");
    }
    let after = ann.say("bob", "after").await;
    assert_eq!(after.seq, sent.seq + 1, "conflicts leave no gap");
}

async fn i7_ids_of_different_senders_have_nothing_to_do_with_each_other(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let of_ann = Outgoing::text("bob", "from ann");
    let id = of_ann.client_message_id.to_uppercase();
    let of_bob = Outgoing { client_message_id: id, ..Outgoing::text("ann", "from bob") };
    assert!(!ann.send(&of_ann).await.expect("sent").duplicate);
    assert!(!bob.send(&of_bob).await.expect("sent").duplicate);
    let again = Outgoing { client_message_id: of_ann.client_message_id.to_uppercase(), ..of_ann };
    assert!(ann.send(&again).await.expect("a UUID is a UUID however it is written").duplicate);
}

async fn a_bad_message_names_the_field_and_leaves_no_trace(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let before = entries(&imd).await;
    let good = Outgoing::text("bob", "hello");
    let text = |text: String| Some(Content::Text(text));
    let data = |content_type: &str, data: Vec<u8>| {
        Some(Content::Data { content_type: content_type.to_owned(), data })
    };
    let long_type = format!("image/{}", "x".repeat(122));
    let cases = [
        ("to", Outgoing { to: None, ..good.clone() }),
        ("to.user_id", Outgoing { to: Some(String::new()), ..good.clone() }),
        ("to.user_id", Outgoing { to: Some("b b".to_owned()), ..good.clone() }),
        ("client_message_id", Outgoing { client_message_id: String::new(), ..good.clone() }),
        ("client_message_id", Outgoing { client_message_id: "7".to_owned(), ..good.clone() }),
        ("text", Outgoing { content: None, ..good.clone() }),
        ("text", Outgoing { content: text(String::new()), ..good.clone() }),
        ("text", Outgoing { content: text("x".repeat(16_385)), ..good.clone() }),
        ("content_type", Outgoing { content: data("", vec![1]), ..good.clone() }),
        ("content_type", Outgoing { content: data("image", vec![1]), ..good.clone() }),
        ("content_type", Outgoing { content: data("a/b/c", vec![1]), ..good.clone() }),
        ("content_type", Outgoing { content: data("image/\u{e9}", vec![1]), ..good.clone() }),
        ("content_type", Outgoing { content: data(&long_type, vec![1]), ..good.clone() }),
        ("data", Outgoing { content: data("image/png", vec![]), ..good.clone() }),
        ("data", Outgoing { content: data("image/png", vec![0; 16_385]), ..good.clone() }),
    ];
    for (field, message) in cases {
        assert_eq!(ann.send(&message).await.expect_err(field).field(), field, "{message:?}");
    }
    let refused = ann.send(&Outgoing::text("nobody", "hello")).await.expect_err("no such user");
    assert_eq!(refused.code, "user_not_found");
    assert_eq!(entries(&imd).await, before);
    let sent = ann.send(&good).await.expect("the good one");
    assert_eq!(sent.seq, 2, "no gap is left");
}

async fn i5_messages_of_one_terminal_sent_at_once_have_places_of_their_own(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let messages: Vec<_> = (0..100).map(|n| Outgoing::text("bob", n.to_string())).collect();
    let sent = join_all(messages.iter().map(|message| ann.send(message))).await;
    let mut seqs: Vec<_> = sent.into_iter().map(|sent| sent.expect("sent").seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (2..102).collect::<Vec<_>>());
    let unknown = Outgoing { client_message_id: Uuid::nil().to_string(), ..messages[0].clone() };
    assert!(!ann.send(&unknown).await.expect("nil is a UUID, too").duplicate);
}

async fn a_server_with_too_much_to_do_says_when_to_come_again(imd: Cluster) {
    let tiny = |settings: &mut Settings| {
        (settings.append.lanes, settings.append.batch, settings.append.queue) = (1, 1, 1);
    };
    let node = Node::start_with(&imd.database, tiny).await;
    let ann = imd.user_with_phone("ann").await.through(node.api(imd.transport));
    let mut sql = imd.database.sql().await;
    let held = sql.transaction().await.expect("a transaction");
    held.execute("SELECT FROM timelines FOR UPDATE", &[]).await.expect("locked");

    let notes: Vec<_> = (0..10).map(|n| Outgoing::text("ann", n.to_string())).collect();
    let mut sends: FuturesUnordered<_> = notes.iter().map(|note| ann.send(note)).collect();
    let refused = within_deadline("a refusal", sends.next()).await.expect("an answer");
    let refused = refused.expect_err("nothing can be stored");
    assert_eq!(refused.code, "overloaded");
    assert_eq!(refused.retry_after, Some(Duration::from_secs(1)));
    held.commit().await.expect("released");
    while let Some(answer) = within_deadline("every answer", sends.next()).await {
        assert!(answer.is_ok() || answer.as_ref() == Err(&refused), "{answer:?}");
    }
    for note in &notes {
        ann.send(note).await.expect("there is time now");
    }
    assert_eq!(ann.pull("").await.expect("the timeline").state.last_seq, 1 + 10);
}
