//! What cannot be imported is refused with the line, and nothing of its transaction stands.

use imd_proto::v1::{MessageRecord, message_record::Content};
use prost_types::Timestamp;

use super::record;
use crate::support::{api::Transport, cluster::Cluster, failure::Failure};

/// How an import of a good message and this one is refused: at line 2, and as a whole.
async fn refusal(imd: &Cluster, bad: MessageRecord) -> Failure {
    let good = record("ann", "bob", 10, "hello");
    let refused = imd.admin().import(&[good, bad]).await.expect_err("a refusal");
    assert_eq!(refused.detail("line"), "2", "{refused:?}");
    assert!(refused.message.starts_with("line 2: "), "{refused:?}");
    let count = "SELECT count(*) FROM entries JOIN users ON user_no = owner
                 WHERE user_id = 'ann' AND kind = 1";
    let count = imd.database.sql().await.query_one(count, &[]).await;
    assert_eq!(count.expect("a count").get::<_, i64>(0), 0);
    refused
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_said_by_name() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob"]).await;
    let good = || record("ann", "bob", 5, "hello");
    let to_come = record("ann", "bob", -5, "hello").sent_at;
    let wrong = [
        (MessageRecord { sender_id: "no one".to_owned(), ..good() }, "sender_id"),
        (MessageRecord { recipient_id: String::new(), ..good() }, "recipient_id"),
        (MessageRecord { client_message_id: "7".to_owned(), ..good() }, "client_message_id"),
        (MessageRecord { sent_at: None, ..good() }, "sent_at"),
        (MessageRecord { sent_at: to_come, ..good() }, "sent_at"),
        (record("ann", "bob", 20, "before the one before it"), "sent_at"),
        (MessageRecord { content: None, ..good() }, "text"),
        (record("ann", "bob", 5, ""), "text"),
        (record("ann", "bob", 5, &"x".repeat(17_000)), "text"),
    ];
    for (bad, field) in wrong {
        assert_eq!(refusal(&imd, bad).await.field(), field);
    }
    let beyond = Timestamp { seconds: i64::MAX, nanos: 0 };
    let bad = MessageRecord { sent_at: Some(beyond), ..good() };
    assert_eq!(imd.admin().import(&[bad]).await.expect_err("no such time").field(), "sent_at");
}

#[tokio::test]
async fn users_that_are_not_there_are_not_found() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob", "dan"]).await;
    imd.admin().delete("dan", false).await.expect("done");
    for nobody in ["nobody", "dan"] {
        assert_eq!(refusal(&imd, record("ann", nobody, 5, "hi")).await.code, "user_not_found");
        assert_eq!(refusal(&imd, record(nobody, "ann", 5, "hi")).await.code, "user_not_found");
    }
}

#[tokio::test]
async fn a_timeline_that_is_in_use_takes_nothing() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob", "dan"]).await;
    let carol = imd.user_with_phone("carol").await;
    carol.say("dan", "hi").await;
    // One has logged in, the other has been written to.
    for in_use in ["carol", "dan"] {
        let refused = refusal(&imd, record("ann", in_use, 5, "hello")).await;
        assert_eq!(refused.code, "timeline_not_empty");
        assert!(refused.message.contains(in_use), "{refused:?}");
    }
    // One that was imported is in use once that is finished.
    imd.admin().import(&[record("ann", "bob", 5, "hello")]).await.expect("imported");
    let more = [record("ann", "bob", 3, "and more")];
    let refused = imd.admin().import(&more).await.expect_err("it is finished");
    assert_eq!(refused.code, "timeline_not_empty");
}

#[tokio::test]
async fn one_id_cannot_stand_for_two_messages() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob", "carol"]).await;
    let one = record("ann", "bob", 5, "hello");
    let others = [
        MessageRecord { content: Some(Content::Text("hullo".to_owned())), ..one.clone() },
        MessageRecord { recipient_id: "carol".to_owned(), ..one.clone() },
    ];
    for other in &others {
        let both = [one.clone(), other.clone()];
        let refused = imd.admin().import(&both).await.expect_err("a conflict");
        assert_eq!(
            (refused.code.as_str(), refused.detail("line")),
            ("client_message_id_conflict", "2")
        );
    }
    // The same message twice is one, and the same id of another sender is another.
    let of_bob = MessageRecord {
        sender_id: "bob".to_owned(),
        recipient_id: "ann".to_owned(),
        ..one.clone()
    };
    let done = imd.admin().import(&[one.clone(), one.clone(), of_bob]).await.expect("imported");
    assert_eq!((done.imported, done.duplicates), (2, 1));
    let refused = imd.admin().import(&others[..1]).await.expect_err("a conflict");
    assert_eq!(refused.code, "client_message_id_conflict");
}
