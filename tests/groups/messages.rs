//! What is said in a group, and how members see it.

use std::collections::BTreeMap;

use futures::future::join_all;
use tokio_postgres::Client;

use super::{IN_OSLO, create, group_of, seen, text, texts, words};
use crate::{
    append::assert_dense,
    support::{
        api::{GroupCall, Outgoing, Transport},
        cluster::Cluster,
        eventually,
        feed::Feed,
        on_both_transports, on_every_transport,
        types::{Entry, Kind},
    },
};

on_every_transport! {
    i6_every_terminal_of_every_member_sees_a_message,
    i7_a_message_to_a_group_is_stored_once,
}

on_both_transports! {
    i13_all_members_see_one_order,
    what_was_said_stands_once_and_is_read_by_all,
    mentions_are_counted_and_shown,
    a_recalled_message_is_gone_for_all,
    readers_are_told_to_those_who_ask,
    a_member_deletes_a_message_for_itself,
}

async fn i6_every_terminal_of_every_member_sees_a_message(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let mut feeds = Vec::new();
    for terminal in [&ann, &pc, &ben, &cleo] {
        seen(terminal, 2).await;
        feeds.push(terminal.follow("now").await);
    }
    let sent = ann.send(&text("hello")).await.expect("sent");
    assert_eq!(sent.conversation_id, IN_OSLO);
    for feed in &mut feeds {
        let entry = next(feed).await;
        let message = entry.message();
        assert_eq!((entry.text(), message.sender_id.as_str()), ("hello", "ann"));
        assert_eq!(
            (&message.message_id, message.conversation_id.as_str()),
            (&sent.message_id, IN_OSLO)
        );
    }
    // What comes over a stream is what stands in the timeline.
    let entries = seen(&ben, 3).await;
    assert_eq!(words(&entries), ["version 1", "ben+cleo+ann JOINED", "hello"]);
    assert_dense(&imd.database).await;
}

async fn i7_a_message_to_a_group_is_stored_once(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let message = text("once");
    let first = ann.send(&message).await.expect("sent");
    let again = ann.send(&message).await.expect("sent");
    assert!(again.duplicate && !first.duplicate);
    assert_eq!((&first.message_id, first.seq), (&again.message_id, again.seq));
    let elsewhere = Outgoing { to: Some("ben".to_owned()), ..message };
    let refused = ann.send(&elsewhere).await.expect_err("for another conversation");
    assert_eq!(refused.code, "client_message_id_conflict");
    ann.send(&text("last")).await.expect("sent");
    assert_eq!(texts(&seen(&ben, 4).await), ["once", "last"]);
}

async fn i13_all_members_see_one_order(imd: Cluster) {
    const EACH: usize = 20;
    let members = group_of(&imd, ["ann", "ben", "cleo", "dan"]).await;
    let says = members.iter().map(async |member| {
        for n in 0..EACH {
            member.send(&text(&format!("{} {n}", member.user_id))).await.expect("sent");
        }
    });
    join_all(says).await;
    let due = 2 + EACH * members.len();
    let first = words(&seen(&members[0], due).await);
    assert_eq!(first.len(), due);
    for member in &members[1..] {
        assert_eq!(words(&seen(member, due).await), first, "{}", member.user_id);
    }
    for member in &members {
        let own: Vec<_> =
            first[2..].iter().filter(|said| said.starts_with(&member.user_id)).collect();
        let due: Vec<_> = (0..EACH).map(|n| format!("{} {n}", member.user_id)).collect();
        assert_eq!(own, due.iter().collect::<Vec<_>>(), "in the order in which they were sent");
    }
    assert_dense(&imd.database).await;
}

async fn what_was_said_stands_once_and_is_read_by_all(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    ann.send(&text("a rare word")).await.expect("sent");
    seen(&ben, 3).await;
    seen(&cleo, 3).await;
    let sql = imd.database.sql().await;
    let bodies = "SELECT count(*) FROM entries WHERE body = convert_to('a rare word', 'UTF8')";
    let stored: i64 = sql.query_one(bodies, &[]).await.expect("a count").get(0);
    assert_eq!(stored, 1);
    for member in [&ann, &ben, &cleo] {
        let history = member.history(IN_OSLO, 0, "").await.expect("a page");
        assert_eq!(texts(&history.entries), ["a rare word"]);
        let conversation = member.conversation(IN_OSLO).await;
        assert_eq!(conversation.last_message.text(), "a rare word");
        let unread = i64::from(member.user_id != "ann");
        assert_eq!(conversation.unread_count, unread, "{}", member.user_id);
    }
}

async fn mentions_are_counted_and_shown(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let to_ben = Outgoing { mentions: vec!["ben".to_owned()], ..text("@ben") };
    ben.send(&text("hi")).await.expect("sent");
    cleo.send(&to_ben).await.expect("sent");
    ann.send(&Outgoing { mention_all: true, ..text("@all") }).await.expect("sent");
    let mentioned = async |terminal| {
        let entries = seen(terminal, 5).await;
        let messages = entries.iter().filter_map(|entry| entry.as_message());
        messages.map(|message| message.mentioned).collect::<Vec<_>>()
    };
    assert_eq!(mentioned(&ben).await, [false, true, true]);
    assert_eq!(mentioned(&cleo).await, [false, false, true]);
    assert_eq!(ben.conversation(IN_OSLO).await.unread_mentions, 2);
    assert_eq!(cleo.conversation(IN_OSLO).await.unread_mentions, 1);
    let last = seen(&cleo, 5).await.pop().expect("a message");
    assert!(last.message().mention_all);
    let before = &seen(&cleo, 5).await[3];
    assert_eq!(before.message().mentions, ["ben"]);
    ben.mark_read(IN_OSLO, seen(&ben, 5).await[4].seq).await.expect("marked");
    assert_eq!(ben.conversation(IN_OSLO).await.unread_mentions, 0);
}

async fn a_recalled_message_is_gone_for_all(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let sent = ben.send(&text("never mind")).await.expect("sent");
    seen(&cleo, 3).await;
    assert_eq!(cleo.conversation(IN_OSLO).await.unread_count, 1);
    let refused = cleo.recall(&sent.message_id).await.expect_err("another member's");
    assert_eq!(refused.code, "message_not_found");
    // Ann owns the group, and may.
    ann.recall(&sent.message_id).await.expect("recalled");
    ben.recall(&sent.message_id).await.expect("recalled again, which changes nothing");
    for member in [&ann, &ben, &cleo] {
        let entries = seen(member, 4).await;
        assert_eq!(words(&entries)[2..], ["tombstone", "recalled"], "{}", member.user_id);
        let Kind::MessageRecalled(gone) = &entries[3].kind else { panic!("{entries:?}") };
        assert_eq!((gone.seq, &gone.message_id), (entries[2].seq, &sent.message_id));
    }
    assert_eq!(cleo.conversation(IN_OSLO).await.unread_count, 0);
}

async fn readers_are_told_to_those_who_ask(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let sent = ann.send(&text("have you read this?")).await.expect("sent");
    let readers = GroupCall::Readers(sent.message_id);
    let nobody = ann.group(readers.clone()).await.expect("readers");
    assert_eq!((&nobody["read_count"], &nobody["unread_count"]), (&0.into(), &2.into()));
    let last = seen(&ben, 3).await.pop().expect("the message");
    ben.mark_read(IN_OSLO, last.seq).await.expect("marked");
    let one = cleo.group(readers.clone()).await.expect("readers");
    assert_eq!(one["user_ids"], serde_json::json!(["ben"]));
    assert_eq!((&one["read_count"], &one["unread_count"]), (&1.into(), &1.into()));
    let dan = imd.user_with_phone("dan").await;
    let refused = dan.group(readers).await.expect_err("no member");
    assert_eq!(refused.code, "message_not_found");
}

async fn a_member_deletes_a_message_for_itself(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    ann.send(&text("keep")).await.expect("sent");
    ann.send(&text("drop")).await.expect("sent");
    let last = seen(&ben, 4).await.pop().expect("a message");
    ben.delete(IN_OSLO, last.seq).await.expect("deleted");
    assert_eq!(texts(&ben.history(IN_OSLO, 0, "").await.expect("a page").entries), ["keep"]);
    assert_eq!(ben.conversation(IN_OSLO).await.last_message.text(), "keep");
    let own = ann.history(IN_OSLO, 0, "").await.expect("a page");
    assert_eq!(texts(&own.entries), ["drop", "keep"]);
}

#[tokio::test]
async fn what_one_node_appends_reaches_the_terminals_of_another() {
    use crate::support::api::Transport;

    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let (_node, api) = imd.start_node().await;
    let ben = ben.through(api);
    seen(&ben, 2).await;
    let mut feed = ben.follow("now").await;
    for n in 0..50 {
        ann.send(&text(&n.to_string())).await.expect("sent");
    }
    for n in 0..50 {
        assert_eq!(next(&mut feed).await.text(), n.to_string());
    }
    // Longer than what hints carry.
    let long = "long ".repeat(2000);
    ann.send(&text(&long)).await.expect("sent");
    assert_eq!(next(&mut feed).await.text(), long);
}

/// The next entry of a stream.
async fn next(feed: &mut Feed) -> Entry {
    feed.entries(1).await.remove(0)
}

/// How large each table is with its indexes when it holds nothing that is dead: the least of three looks, because what
/// others still see is kept.
async fn packed(sql: &Client) -> BTreeMap<String, i64> {
    let mut least = BTreeMap::new();
    for _ in 0..3 {
        sql.batch_execute("VACUUM FULL").await.expect("an owner may");
        let sizes = "SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class c
                     WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace";
        for row in sql.query(sizes, &[]).await.expect("sizes") {
            let size: i64 = row.get(1);
            least
                .entry(row.get(0))
                .and_modify(|least: &mut i64| *least = size.min(*least))
                .or_insert(size);
        }
    }
    least
}

#[tokio::test]
async fn a_message_to_five_hundred_is_stored_once_and_referred_to() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let names: Vec<String> = (1..500).map(|n| format!("member-{n}")).collect();
    for name in &names {
        imd.admin().create("", name, None).await.expect("a user");
    }
    create(&ann, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let sql = imd.database.sql().await;
    let everybody_has = async |messages: i64| {
        eventually("everybody has it", async || {
            let count = "SELECT count(*) FROM entries WHERE conversation < 0 AND kind = 1";
            let rows: i64 = sql.query_one(count, &[]).await.expect("a count").get(0);
            (rows == messages * 501).then_some(())
        })
        .await;
    };
    ann.send(&text("the first")).await.expect("sent");
    everybody_has(1).await;
    let before = packed(&sql).await;
    // What cannot be compressed by much.
    let long: String = std::iter::repeat_with(fastrand::alphanumeric).take(16 * 1024).collect();
    ann.send(&text(&long)).await.expect("sent");
    everybody_has(2).await;
    let mut grown = packed(&sql).await;
    for (table, before) in before {
        *grown.entry(table).or_default() -= before;
    }
    grown.retain(|_, bytes| *bytes != 0);
    let bytes: i64 = grown.values().sum();
    assert!((16 * 1024..=150 * 1024).contains(&bytes), "{bytes} bytes: {grown:?}");
}
