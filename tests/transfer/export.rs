//! What a timeline says, written down.

use imd_proto::v1::{Data, message_record::Content};

use super::{record, records, sent_at, text};
use crate::support::{
    api::{Outgoing, Transport},
    cluster::Cluster,
    types::Entry,
};

#[tokio::test]
async fn every_message_that_says_something_is_exported_in_order() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let hello = Outgoing::text("bob", "hello");
    let sent = ann.send(&hello).await.expect("sent");
    let answer = Outgoing::data("ann", "image/png", &[0, 255]);
    bob.send(&answer).await.expect("sent");
    let recalled = ann.say("bob", "recalled").await;
    ann.recall(&recalled.message_id).await.expect("recalled");
    let note = ann.say("ann", "a note").await;
    let deleted = ann.say("bob", "deleted").await;
    ann.delete("bob", deleted.seq).await.expect("deleted");

    let exported = imd.admin().export("ann", None).await.expect("an export");
    let places: Vec<_> = exported.iter().map(|m| (m.seq, m.message_id.as_str())).collect();
    let pulled = ann.pull("").await.expect("the timeline").entries;
    let of_bob = pulled[2].message().message_id.as_str();
    assert_eq!(places, [(2, &*sent.message_id), (3, of_bob), (6, &*note.message_id)]);
    let exported = records(exported);
    let people: Vec<_> = exported.iter().map(|m| (&*m.sender_id, &*m.recipient_id)).collect();
    assert_eq!(people, [("ann", "bob"), ("bob", "ann"), ("ann", "ann")]);
    assert_eq!(exported[0].client_message_id, hello.client_message_id);
    assert_eq!(exported[1].client_message_id, answer.client_message_id, "that of its sender");
    let data = Data { content_type: "image/png".to_owned(), data: vec![0, 255].into() };
    assert_eq!(exported[1].content, Some(Content::Data(data)));
    assert!(
        exported
            .iter()
            .zip([1, 2, 5])
            .all(|(m, n): (_, usize)| sent_at(m) == pulled[n].appended_at)
    );

    // The other side has the same messages, under the same ids.
    let of_bob = records(imd.admin().export("bob", None).await.expect("an export"));
    assert_eq!(of_bob[..2], exported[..2]);
    assert_eq!(text(&of_bob[2]), "deleted", "he has not deleted it");
}

#[tokio::test]
async fn an_export_begins_where_it_is_asked_to() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob"]).await;
    let talk: Vec<_> = (1..=300).map(|n| record("ann", "bob", 301 - n, &n.to_string())).collect();
    imd.admin().import(&talk).await.expect("imported");
    for from in [0, 1, 150, 299] {
        let since = talk[from].sent_at;
        let exported = records(imd.admin().export("bob", since).await.expect("an export"));
        assert_eq!(exported, talk[from..], "since that of message {from}");
    }
    let later = record("ann", "bob", 0, "").sent_at;
    assert_eq!(imd.admin().export("bob", later).await, Ok(vec![]));
}

#[tokio::test]
async fn an_export_brings_all_that_is_stored() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say("bob", "hello").await;
    // What his tier hides is there all the same.
    imd.admin().set_limits("bob", None, Some(0)).await.expect("set");
    assert_eq!(bob.pull("").await.expect("the timeline").entries, []);
    let exported = records(imd.admin().export("bob", None).await.expect("an export"));
    assert_eq!(text(&exported[0]), "hello");
    // Her copy is gone, and with it her id for it: one stands for it, always the same.
    imd.admin().delete("ann", false).await.expect("done");
    let stand_in = records(imd.admin().export("bob", None).await.expect("an export"));
    assert_eq!((text(&stand_in[0]), &*stand_in[0].sender_id), ("hello", "ann"));
    assert_ne!(stand_in[0].client_message_id, exported[0].client_message_id);
    assert_eq!(records(imd.admin().export("bob", None).await.expect("an export")), stand_in);
    // Of her, nothing is left to export.
    assert_eq!(imd.admin().export("ann", None).await.expect_err("gone").code, "user_not_found");
    assert_eq!(
        imd.admin().export("nobody", None).await.expect_err("nobody").code,
        "user_not_found"
    );
}

#[tokio::test]
async fn an_export_leaves_a_record() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    ann.say("ann", "a secret").await;
    imd.admin().export("ann", None).await.expect("an export");
    let since = prost_types::Timestamp { seconds: 1_795_432_500, nanos: 0 };
    imd.admin().export("ann", Some(since)).await.expect("an export");
    let records = imd.admin().audit("ann", 2, "").await.expect("the records").records;
    let shown: Vec<_> = records.iter().map(|r| (&*r.action, &*r.details)).collect();
    let since = r#"{"since":"2026-11-23T11:15:00Z"}"#;
    assert_eq!(shown, [("export_messages", since), ("export_messages", r#"{"since":null}"#)]);
}

/// As on the way to another system: two exports in one file, in the order of times.
#[tokio::test]
async fn exports_of_several_users_are_imported_as_one() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    for n in 0..30 {
        ann.say("bob", &n.to_string()).await;
        bob.say("ann", &n.to_string()).await;
        carol.say("bob", &n.to_string()).await;
        ann.say("ann", &n.to_string()).await;
    }
    let admin = imd.admin();
    let mut merged = Vec::new();
    for user in ["ann", "bob", "carol"] {
        merged.extend(records(admin.export(user, None).await.expect("an export")));
    }
    merged.sort_by_key(sent_at);
    // The other system has the same people under other names.
    for record in &mut merged {
        record.sender_id.push_str("-there");
        record.recipient_id.push_str("-there");
    }
    imd.users(["ann-there", "bob-there", "carol-there"]).await;
    let done = admin.import(&merged).await.expect("imported");
    assert_eq!((done.imported, done.duplicates), (120, 90), "each message that two have is one");
    let there = imd.log_in("bob-there", "phone", "new").await;
    let said = |entries: &[Entry]| -> Vec<(String, time::OffsetDateTime)> {
        let messages = entries.iter().filter(|entry| entry.as_message().is_some());
        messages.map(|entry| (entry.text().to_owned(), entry.appended_at)).collect()
    };
    let here = said(&bob.pull("").await.expect("the timeline").entries);
    assert_eq!(said(&there.pull("").await.expect("the timeline").entries), here);
}
