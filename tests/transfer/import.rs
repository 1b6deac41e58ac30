//! What is imported is as if it had been sent then.

use imd_proto::v1::{
    ImportBegin, ImportEnd, ImportMessagesResponse, MessageRecord, import_messages_request::Step,
    message_record::Content as Wire,
};

use super::{record, sent_at, text};
use crate::support::{
    admin::messages,
    api::{Outgoing, Transport},
    cluster::{Cluster, PASSWORD, login},
    on_both_transports,
    types::{Content, Entry},
};

on_both_transports! {
    i6_both_participants_have_what_was_imported,
    i7_a_message_that_was_imported_is_not_stored_again,
    it_goes_on_behind_what_was_imported,
}

/// Ann and bob talked an hour ago, and ann kept a note.
fn talk() -> Vec<MessageRecord> {
    vec![
        record("ann", "bob", 60, "hello"),
        record("bob", "ann", 59, "hello, Ann"),
        record("ann", "ann", 30, "a note"),
        record("carol", "bob", 20, "hi"),
        record("ann", "bob", 10, "bye"),
    ]
}

fn done(imported: i64, duplicates: i64, timelines: i64) -> ImportMessagesResponse {
    let line = imported + duplicates;
    ImportMessagesResponse { line, imported, duplicates, users_created: 0, timelines }
}

/// The entries must be these messages, from the first place on, at the times they were sent.
fn are(entries: &[Entry], owner: &str, records: &[&MessageRecord]) {
    assert_eq!(entries.len(), records.len());
    for ((entry, record), seq) in entries.iter().zip(records).zip(1..) {
        let message = entry.message();
        assert_eq!(
            (entry.seq, entry.text(), entry.appended_at),
            (seq, text(record), sent_at(record))
        );
        assert_eq!(message.sender_id, record.sender_id);
        let (own, peer) = (record.sender_id == owner, &record.sender_id);
        let peer = if own { &record.recipient_id } else { peer };
        assert_eq!(message.conversation_id, format!("user:{peer}"));
        let id = own.then_some(&record.client_message_id);
        assert_eq!(message.client_message_id.as_ref(), id);
    }
}

async fn i6_both_participants_have_what_was_imported(imd: Cluster) {
    imd.users(["ann", "bob", "carol"]).await;
    let talk = talk();
    assert_eq!(imd.admin().import(&talk).await, Ok(done(5, 0, 3)));

    let ann = imd.log_in("ann", "phone", "new").await;
    let entries = ann.follow("").await.entries(5).await;
    are(&entries[..4], "ann", &[&talk[0], &talk[1], &talk[2], &talk[4]]);
    assert_eq!(
        entries[4].session_changed().started.as_ref().map(|s| &*s.session_id),
        Some(ann.session_id())
    );
    let bob = imd.log_in("bob", "phone", "new").await;
    let of_bob = bob.pull("").await.expect("the timeline").entries;
    are(&of_bob[..4], "bob", &[&talk[0], &talk[1], &talk[3], &talk[4]]);
    for (own, his) in [(0, 0), (1, 1), (3, 3)] {
        assert_eq!(entries[own].message().message_id, of_bob[his].message().message_id);
    }

    // Roaming, too, and nothing of it is news.
    let history = bob.history("ann", 2, "").await.expect("a page");
    assert_eq!(history.entries.iter().map(Entry::text).collect::<Vec<_>>(), ["bye", "hello, Ann"]);
    let page = bob.history("ann", 2, &history.next_page_token).await.expect("a page");
    assert_eq!(page.entries[0].text(), "hello");
    assert_eq!(page.end.as_deref(), Some("BEGINNING"));
    let listed = bob.api.conversations(&bob.token, 0, "").await.expect("a page").conversations;
    let listed: Vec<_> = listed.iter().map(|c| (&*c.conversation_id, c.unread_count)).collect();
    assert_eq!(listed, [("user:ann", 0), ("user:carol", 0)]);
}

async fn i7_a_message_that_was_imported_is_not_stored_again(imd: Cluster) {
    imd.users(["ann", "bob", "carol"]).await;
    let talk = talk();
    let admin = imd.admin();
    admin.import(&talk).await.expect("imported");
    let ann = imd.log_in("ann", "phone", "new").await;
    let before = ann.pull("").await.expect("the timeline").entries;
    // By a terminal that does not know whether it had arrived, and by whoever runs the import again.
    let again = Outgoing {
        to: Some("bob".to_owned()),
        client_message_id: talk[0].client_message_id.clone(),
        content: Some(Content::Text("hello".to_owned())),
        mentions: Vec::new(),
        mention_all: false,
        reply_to: String::new(),
        forward_of: String::new(),
        attachments: Vec::new(),
    };
    let sent = ann.send(&again).await.expect("an answer");
    assert!(sent.duplicate);
    assert_eq!(
        (&sent.message_id, sent.sent_at),
        (&before[0].message().message_id, sent_at(&talk[0]))
    );
    let other = Outgoing { content: Some(Content::Text("hullo".to_owned())), ..again };
    let refused = ann.send(&other).await.expect_err("another content");
    assert_eq!(refused.code, "client_message_id_conflict");
    assert_eq!(admin.import(&talk).await, Ok(done(0, 5, 0)));
    assert_eq!(ann.pull("").await.expect("the timeline").entries, before);
}

async fn it_goes_on_behind_what_was_imported(imd: Cluster) {
    imd.users(["ann", "bob", "carol"]).await;
    imd.admin().import(&talk()).await.expect("imported");
    let bob = imd.log_in("bob", "phone", "new").await;
    let mut feed = bob.follow("now").await;
    let ann = imd.log_in("ann", "phone", "new").await;
    let sent = ann.say("bob", "here I am").await;
    assert_eq!(sent.seq, 6);
    let entry = feed.entry().await;
    assert_eq!((entry.seq, &entry.message().message_id), (6, &sent.message_id));
    let pulled = bob.pull("").await.expect("the timeline").entries;
    assert!(pulled.is_sorted_by_key(|entry| entry.appended_at), "in the order of times");
    // Recall reaches the copies of what was imported as well.
    let id = &pulled[0].message().message_id;
    let refused = ann.recall(id).await.expect_err("an hour is too long");
    assert_eq!(refused.code, "recall_window_over");
    let trace = imd_proto::v1::trace_message_request::Message::MessageId(id.clone());
    let copies = imd.admin().trace(trace).await.expect("a trace").copies;
    assert_eq!(
        copies.iter().map(|c| (&*c.user_id, c.seq)).collect::<Vec<_>>(),
        [("ann", 1), ("bob", 1)]
    );
}

#[tokio::test]
async fn accounts_are_made_where_that_is_wished_for() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user("ann").await;
    let begin = |create_users| Step::Begin(ImportBegin { create_users });
    let end = || Step::End(ImportEnd { finish_all: false });
    let talk = [record("ann", "bob", 2, "hello"), record("carol", "bob", 1, "hi")];
    let import = async |create_users| {
        let steps = std::iter::once(begin(create_users)).chain(messages(&talk)).chain([end()]);
        imd.admin().import_steps(steps.collect()).await
    };
    let refused = import(false).await.expect_err("there is no bob");
    assert_eq!((refused.code.as_str(), refused.detail("line")), ("user_not_found", "1"));
    let last = import(true).await.expect("imported").pop().expect("an answer");
    assert_eq!((last.imported, last.users_created, last.timelines), (2, 2, 3));
    // They can be given a password.
    let unknown = imd.try_log_in(&login("bob", "phone", "new")).await.err().expect("no password");
    assert_eq!(unknown.code, "invalid_credentials");
    imd.admin().set_password("bob", PASSWORD).await.expect("set");
    let bob = imd.log_in("bob", "phone", "new").await;
    assert_eq!(bob.pull("").await.expect("the timeline").entries[0].text(), "hello");
    let records = imd.admin().audit("bob", 0, "").await.expect("the records").records;
    assert_eq!(records.last().map(|record| &*record.action), Some("create_user"));
}

#[tokio::test]
async fn many_messages_are_imported_in_short_transactions() {
    const MANY: i64 = 1_700;
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob"]).await;
    let mut talk: Vec<_> = (0..MANY)
        .map(|n| {
            let (from, to) = if n % 3 == 0 { ("bob", "ann") } else { ("ann", "bob") };
            record(from, to, MANY - n, &n.to_string())
        })
        .collect();
    // Not only text, and some of it at the same time.
    talk[7].content = Some(Wire::Data(imd_proto::v1::Data {
        content_type: "image/png".to_owned(),
        data: vec![0, 1, 255].into(),
    }));
    talk[9].sent_at = talk[8].sent_at;
    let begin = Step::Begin(ImportBegin { create_users: false });
    let end = Step::End(ImportEnd { finish_all: false });
    let steps = std::iter::once(begin).chain(messages(&talk)).chain([end]).collect();
    let answers = imd.admin().import_steps(steps).await.expect("imported");
    assert!(answers.len() > 3 && answers.is_sorted_by_key(|answer| answer.line), "{answers:?}");
    assert_eq!(answers.last(), Some(&done(MANY, 0, 2)));
    let transactions = "SELECT count(DISTINCT xmin::text) FROM entries WHERE kind = 1";
    let sql = imd.database.sql().await;
    let transactions: i64 = sql.query_one(transactions, &[]).await.expect("a count").get(0);
    assert!(transactions > 3, "{transactions}");
    let ann = imd.log_in("ann", "phone", "new").await;
    let entries = ann.follow("").await.entries(talk.len() + 1).await;
    for (entry, record) in entries.iter().zip(&talk) {
        assert_eq!(entry.appended_at, sent_at(record));
        match &record.content {
            Some(Wire::Text(text)) => assert_eq!(entry.text(), text),
            _ => assert!(
                matches!(&entry.message().content, Some(Content::Data { data, .. }) if data == &[0, 1, 255])
            ),
        }
    }
}

#[tokio::test]
async fn an_import_leaves_records() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob"]).await;
    imd.admin().import(&[record("ann", "bob", 1, "a secret")]).await.expect("imported");
    let records = imd.admin().audit("", 2, "").await.expect("the records").records;
    let shown: Vec<_> = records.iter().map(|r| (&*r.action, &*r.details)).collect();
    let counts = r#"{"duplicates":0,"imported":1,"timelines":2,"users_created":0}"#;
    assert_eq!(shown, [("import_messages", counts), ("import_messages", r#"{"begun":true}"#)]);
}
