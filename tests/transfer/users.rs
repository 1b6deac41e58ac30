//! What users show of themselves, have set and have begun moves with them.

use imd_proto::v1::{
    ConversationRecord, ImportedUser, ScheduledRecord, UserRecord, import_messages_request::Step,
    scheduled_record::Content,
};
use serde_json::json;
use time::Duration;

use super::{
    groups::{Timed, in_order, message_steps},
    record, records,
};
use crate::{
    schedule::{list, schedule},
    support::{
        api::{Outgoing, ProfileCall, Transport},
        cluster::Cluster,
        eventually,
        failure::Failure,
        on_both_transports,
    },
};

on_both_transports! {
    who_moves_finds_what_was_set_and_begun,
}

fn user_step(record: UserRecord) -> Timed {
    let at = record.sent_at.unwrap_or_default();
    Timed(at, Step::User(ImportedUser { line: 0, user: Some(record) }))
}

async fn who_moves_finds_what_was_set_and_begun(there: Cluster) {
    let from = Cluster::start(Transport::Grpc).await;
    let ann = from.user_with_phone("ann").await;
    let bob = from.user_with_phone("bob").await;
    ann.say("bob", "hello").await;
    bob.say("ann", "hello, Ann").await;
    let shown = json!({
        "name": "Ann", "avatar_url": "https://example.com/ann.png", "attributes": { "team": "blue" },
    });
    ann.profile(ProfileCall::Update(shown)).await.expect("changed");
    let change = json!({ "pinned": true, "muted_until": "2096-12-24T00:00:00Z" });
    ann.set("bob", change).await.expect("set");
    bob.set("ann", json!({ "archived": true, "hidden": true })).await.expect("set");
    ann.draft("bob", "I mean").await.expect("written");
    let later = Outgoing::text("bob", "later");
    schedule(&ann, &later, Duration::seconds(2)).await.expect("scheduled");
    let never = Outgoing::text("ann", "next year");
    schedule(&bob, &never, Duration::days(200)).await.expect("scheduled");

    let mut steps = Vec::new();
    let mut users = Vec::new();
    for user_id in ["ann", "bob"] {
        let (messages, user) = from.admin().export_whole(user_id, None).await.expect("an export");
        if user_id == "ann" {
            steps.extend(message_steps(records(messages)));
        }
        let user = user.expect("there is something");
        users.push(user.clone());
        steps.push(user_step(user));
    }
    let steps = in_order(steps);
    there.users(["ann", "bob"]).await;
    let done = there.admin().import_all(steps.clone()).await.expect("an import");
    assert_eq!((done.imported, done.duplicates), (4, 0));

    for (user_id, before) in ["ann", "bob"].into_iter().zip(&users) {
        let (_, after) = there.admin().export_whole(user_id, None).await.expect("an export");
        // What was due may have been sent since.
        let known = |record: &UserRecord| UserRecord {
            sent_at: None,
            scheduled: Vec::new(),
            ..record.clone()
        };
        assert_eq!(known(&after.expect("there is something")), known(before));
    }
    let ann = there.log_in("ann", "phone", "new").await;
    let bob = there.log_in("bob", "phone", "new").await;
    eventually("what was due is sent", async || {
        bob.texts().await.contains(&"later".to_owned()).then_some(())
    })
    .await;
    eventually("it waits no longer", async || list(&ann).await.is_empty().then_some(())).await;
    assert_eq!(list(&bob).await, ["next year"]);
    let conversation = ann.conversation("bob").await;
    assert_eq!(conversation.draft, "I mean");

    // What holds since is not set back by who repeats the import.
    ann.draft("bob", "").await.expect("sent off");
    let again = there.admin().import_all(steps).await.expect("an import");
    assert_eq!((again.imported, again.duplicates), (0, 4));
    assert_eq!(ann.conversation("bob").await.draft, "");
}

async fn refusal(imd: &Cluster, user: UserRecord) -> Failure {
    imd.admin().import_all(in_order(vec![user_step(user)])).await.expect_err("a refusal")
}

#[tokio::test]
async fn what_cannot_hold_for_a_user_is_refused_by_its_name() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob"]).await;
    let ann = || UserRecord {
        sent_at: record("ann", "bob", 1, "").sent_at,
        user_id: "ann".to_owned(),
        ..UserRecord::default()
    };
    let conversation = |conversation_id: &str, draft: String| ConversationRecord {
        conversation_id: conversation_id.to_owned(),
        draft,
        ..ConversationRecord::default()
    };
    let scheduled = |id: &str, text: &str| ScheduledRecord {
        client_message_id: id.to_owned(),
        send_at: record("ann", "bob", -60, "").sent_at,
        conversation_id: "user:bob".to_owned(),
        content: Some(Content::Text(text.to_owned())),
        ..ScheduledRecord::default()
    };
    let id = || uuid::Uuid::new_v4().to_string();
    let cases = [
        ("sent_at", UserRecord { sent_at: None, ..ann() }),
        ("sent_at", UserRecord { sent_at: record("ann", "bob", -10, "").sent_at, ..ann() }),
        ("user_id", UserRecord { user_id: String::new(), ..ann() }),
        ("name", UserRecord { name: "a\nb".to_owned(), ..ann() }),
        ("avatar_url", UserRecord { avatar_url: "ann.png".to_owned(), ..ann() }),
        ("attributes", UserRecord { attributes: "[]".to_owned(), ..ann() }),
        (
            "conversation_id",
            UserRecord { conversations: vec![conversation("bob", String::new())], ..ann() },
        ),
        (
            "draft",
            UserRecord { conversations: vec![conversation("user:bob", "a".repeat(5000))], ..ann() },
        ),
        ("client_message_id", UserRecord { scheduled: vec![scheduled("7", "later")], ..ann() }),
        ("text", UserRecord { scheduled: vec![scheduled(&id(), "")], ..ann() }),
        (
            "scheduled",
            UserRecord {
                scheduled: (0..101).map(|_| scheduled(&id(), "later")).collect(),
                ..ann()
            },
        ),
    ];
    for (field, user) in cases {
        let refused = refusal(&imd, user).await;
        assert_eq!((refused.code.as_str(), refused.detail("field")), ("invalid_argument", field));
        assert_eq!(refused.detail("line"), "1");
    }
    let stranger = conversation("user:carol", "I mean".to_owned());
    let refused = refusal(&imd, UserRecord { conversations: vec![stranger], ..ann() }).await;
    assert_eq!((refused.code.as_str(), refused.detail("line")), ("user_not_found", "1"));
    // Nothing of it holds, and the user can log in.
    imd.log_in("ann", "phone", "new").await;
}
