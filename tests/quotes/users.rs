//! Quotes between two users.

use super::{quote, quoted, reply};
use crate::{
    append::assert_dense,
    edits::edited,
    support::{
        admin::tier,
        api::{Outgoing, Transport},
        cluster::Cluster,
        on_both_transports, on_every_transport,
        types::Quote,
    },
};

on_every_transport! {
    i6_both_see_what_a_message_quotes,
}

on_both_transports! {
    what_is_shown_follows_edits_and_recalls,
    only_what_the_sender_sees_in_the_conversation_is_quoted,
    who_has_deleted_what_is_quoted_sees_that_there_was_something,
    what_is_quoted_is_shown_in_short,
    a_message_that_quotes_is_edited_recalled_and_sent_again,
    a_note_to_oneself_quotes_another,
}

async fn i6_both_see_what_a_message_quotes(imd: Cluster) {
    let (_node, elsewhere) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let mut feeds = [
        ann.follow("now").await,
        ann.through(elsewhere.clone()).follow("now").await,
        bob.follow("now").await,
        bob.through(elsewhere).follow("now").await,
    ];
    let asked = ann.say("bob", "at six?").await;
    let answer = reply(&asked.message_id, Outgoing::text("ann", "at seven"));
    let answered = bob.send(&answer).await.expect("sent");
    let again = reply(&answered.message_id, Outgoing::text("ann", "or at eight"));
    bob.send(&again).await.expect("sent");
    for (feed, terminal) in feeds.iter_mut().zip([&ann, &ann, &bob, &bob]) {
        let entries = feed.entries(3).await;
        let shown = |seq, message_id: &str, sender: &str, text: &str| Quote {
            seq,
            message_id: message_id.to_owned(),
            sender_id: sender.to_owned(),
            text: text.to_owned(),
            ..Quote::default()
        };
        assert_eq!(entries[0].message().reply_to, None);
        assert_eq!(
            quoted(&entries[1]),
            &shown(entries[0].seq, &asked.message_id, "ann", "at six?")
        );
        assert_eq!(
            quoted(&entries[2]),
            &shown(entries[1].seq, &answered.message_id, "bob", "at seven")
        );
        let timeline = terminal.timeline().await;
        assert_eq!(timeline[timeline.len() - 3..], entries, "a stream brings what stands there");
        let peer = if terminal.user_id == "ann" { "bob" } else { "ann" };
        let history = terminal.history(peer, 0, "").await.expect("a page").entries;
        assert!(history.iter().eq(entries.iter().rev()));
        assert_eq!(terminal.conversation(peer).await.last_message, entries[2]);
    }
    assert_dense(&imd.database).await;
}

async fn what_is_shown_follows_edits_and_recalls(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "one").await;
    bob.send(&reply(&sent.message_id, Outgoing::text("ann", "yes"))).await.expect("sent");
    ann.edit(&sent.message_id, "two").await.expect("edited");
    for terminal in [&ann, &bob] {
        assert_eq!(quoted(&terminal.timeline().await[2]).text, "two");
    }
    ann.recall(&sent.message_id).await.expect("recalled");
    for terminal in [&ann, &bob] {
        let timeline = terminal.timeline().await;
        let quote = quoted(&timeline[2]);
        assert_eq!((quote.text.as_str(), quote.tombstone.as_str()), ("", "RECALLED"));
        assert_eq!(
            (quote.seq, quote.message_id.as_str()),
            (timeline[1].seq, sent.message_id.as_str())
        );
    }
    let late = reply(&sent.message_id, Outgoing::text("ann", "again"));
    assert_eq!(bob.send(&late).await.expect_err("it is gone").code, "message_not_found");
}

async fn only_what_the_sender_sees_in_the_conversation_is_quoted(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    let secret = ann.say("bob", "a secret").await;
    let deleted = ann.say("bob", "deleted").await;
    bob.delete("ann", bob.timeline().await[2].seq).await.expect("deleted");
    let hidden = ann.say("carol", "hidden").await;
    let refused = [
        carol.send(&reply(&secret.message_id, Outgoing::text("bob", "aha"))).await,
        carol.send(&reply(&secret.message_id, Outgoing::text("ann", "aha"))).await,
        ann.send(&reply(&secret.message_id, Outgoing::text("carol", "look"))).await,
        ann.send(&reply(&hidden.message_id, Outgoing::text("bob", "look"))).await,
        bob.send(&reply(&deleted.message_id, Outgoing::text("ann", "this?"))).await,
        ann.send(&reply("AAAAAAAAJw8AAAAAAAAAAQ", Outgoing::text("bob", "what?"))).await,
    ];
    for refused in refused {
        assert_eq!(refused.expect_err("not to be quoted").code, "message_not_found");
    }
    let refused = ann.send(&reply("no-id", Outgoing::text("bob", "x"))).await.expect_err("no id");
    assert_eq!((refused.code.as_str(), refused.detail("field")), ("invalid_argument", "reply_to"));
    let admin = imd.admin();
    admin.apply_tiers(vec![tier("small", None, Some(1))]).await.expect("a tier");
    admin.set_tier("ann", "small").await.expect("the user's tier");
    let beyond = reply(&secret.message_id, Outgoing::text("bob", "x"));
    assert_eq!(ann.send(&beyond).await.expect_err("hidden from ann").code, "message_not_found");
    let shown = reply(&hidden.message_id, Outgoing::text("carol", "this one ann sees"));
    ann.send(&shown).await.expect("sent");
    let own = ann.timeline().await.pop().expect("a message");
    assert_eq!(
        quoted(&own),
        &Quote::default(),
        "by now it is hidden from ann, and so is the quote"
    );
    assert_eq!(quoted(carol.timeline().await.last().expect("it")).text, "hidden");
}

async fn who_has_deleted_what_is_quoted_sees_that_there_was_something(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "a secret").await;
    ann.send(&reply(&sent.message_id, Outgoing::text("bob", "as I said"))).await.expect("sent");
    bob.delete("ann", bob.timeline().await[1].seq).await.expect("deleted");
    let timeline = bob.timeline().await;
    assert_eq!(quoted(&timeline[2]), &Quote::default());
    assert!(!format!("{timeline:?}").contains("secret"));
    assert_eq!(quoted(&ann.timeline().await[2]).text, "a secret");
}

async fn what_is_quoted_is_shown_in_short(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await;
    let long = ann.say("bob", &"\u{1F600}".repeat(300)).await;
    let data = ann.send(&Outgoing::data("bob", "image/png", b"a face")).await.expect("sent");
    let mut feed = ann.follow("now").await;
    for sent in [&long, &data] {
        ann.send(&reply(&sent.message_id, Outgoing::text("bob", "this"))).await.expect("sent");
    }
    let live = feed.entries(2).await;
    let timeline = ann.timeline().await;
    assert_eq!(live, timeline[timeline.len() - 2..]);
    assert_eq!(quoted(&live[0]).text, "\u{1F600}".repeat(200));
    let of_data = quoted(&live[1]);
    assert_eq!((of_data.text.as_str(), of_data.content_type.as_str()), ("", "image/png"));
}

async fn a_message_that_quotes_is_edited_recalled_and_sent_again(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let first = ann.say("bob", "first").await;
    let second = reply(&first.message_id, Outgoing::text("bob", "second"));
    let sent = ann.send(&second).await.expect("sent");
    assert!(ann.send(&second).await.expect("a retry").duplicate);
    let mut feed = bob.follow("now").await;
    ann.edit(&sent.message_id, "second, edited").await.expect("edited");
    let live = feed.entries(1).await;
    assert_eq!(quote(&edited(&live[0]).message).text, "first", "an edit leaves what is quoted");
    assert_eq!(live[0], *bob.timeline().await.last().expect("it"));
    ann.recall(&sent.message_id).await.expect("recalled");
    assert_eq!(bob.timeline().await[2].message().reply_to, None);
    assert_dense(&imd.database).await;
}

async fn a_note_to_oneself_quotes_another(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let note = ann.say("ann", "a note").await;
    ann.send(&reply(&note.message_id, Outgoing::text("ann", "more"))).await.expect("sent");
    assert_eq!(quoted(&ann.timeline().await[2]).text, "a note");
}

/// Of one batch of a lane some quote and some do not.
#[tokio::test]
async fn messages_that_quote_are_stored_beside_others() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let first = ann.say("bob", "0").await;
    let sends = (1..=40).map(|n: usize| {
        let message = Outgoing::text("bob", n.to_string());
        if n.is_multiple_of(2) { message } else { reply(&first.message_id, message) }
    });
    let sends: Vec<Outgoing> = sends.collect();
    let sent = futures::future::join_all(sends.iter().map(|message| ann.send(message))).await;
    assert!(sent.iter().all(Result::is_ok));
    for terminal in [&ann, &bob] {
        for entry in &terminal.timeline().await[2..] {
            let n: usize = entry.text().parse().expect("a number");
            let quotes = entry.message().reply_to.as_ref().map(|quote| quote.text.as_str());
            assert_eq!(quotes, (n % 2 == 1).then_some("0"));
        }
    }
    assert_dense(&imd.database).await;
}
