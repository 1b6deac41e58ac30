//! What becomes of groups when an account of a member is deleted.

use futures::future::{join, join_all};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{IN_OSLO, group_of, oslo, seen, text, words};
use crate::{
    append::assert_dense,
    support::{
        api::{GroupCall, Outgoing, Transport},
        cluster::Cluster,
        eventually, on_both_transports,
        terminal::Terminal,
        types::{Kind, MessagesErased},
    },
};

on_both_transports! {
    what_a_deleted_member_sent_is_erased_for_all_at_once,
    what_a_deleted_member_sent_stays_unless_it_is_to_be_erased,
    a_group_goes_to_the_admin_who_has_been_in_it_longest,
    a_group_without_admins_goes_to_the_member_who_has_been_in_it_longest,
    a_group_of_nobody_is_dissolved,
}

async fn what_a_deleted_member_sent_is_erased_for_all_at_once(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let mention = Outgoing { mentions: vec!["cleo".to_owned()], ..text("a secret") };
    ben.send(&mention).await.expect("sent");
    ben.send(&text("another")).await.expect("sent");
    ann.send(&text("hm")).await.expect("sent");
    seen(&cleo, 5).await;
    let mut feed = cleo.follow("now").await;
    imd.admin().delete("ben", true).await.expect("deleted");
    // The home has nothing more to say: not to one who has read it before, nor to a new terminal.
    let pad = imd.log_in("cleo", "pad", "new").await;
    for member in [&ann, &cleo, &pad] {
        let page = member.history(IN_OSLO, 0, "").await.expect("a page").entries;
        let gone: Vec<_> = page.iter().map(|e| e.message().tombstone.as_deref()).collect();
        assert_eq!(gone, [None, Some("ERASED"), Some("ERASED")], "{}", member.user_id);
        assert!(page[2].message().mentions.is_empty() && page[1].message().content.is_none());
    }
    let erased = Kind::MessagesErased(MessagesErased {
        conversation_id: IN_OSLO.to_owned(),
        sender_id: "ben".to_owned(),
    });
    loop {
        let entry = feed.entry().await;
        if entry.kind == erased {
            break;
        }
    }
    let conversation = eventually("the count", async || {
        let conversation = cleo.conversation(IN_OSLO).await;
        (conversation.unread_count == 1).then_some(conversation)
    })
    .await;
    assert_eq!(conversation.unread_mentions, 0, "nobody is mentioned any more");
    let secret = "SELECT count(*) FROM entries WHERE body = convert_to('a secret', 'UTF8')";
    let left: i64 = imd.database.sql().await.query_one(secret, &[]).await.expect("a count").get(0);
    assert_eq!(left, 0);
    assert_dense(&imd.database).await;
}

async fn what_a_deleted_member_sent_stays_unless_it_is_to_be_erased(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    ben.send(&text("remember me")).await.expect("sent");
    imd.admin().delete("ben", false).await.expect("deleted");
    assert_eq!(words(&seen(&ann, 4).await)[2..], ["remember me", "ben LEFT"]);
    let page = ann.history(IN_OSLO, 0, "").await.expect("a page").entries;
    assert!(page[0].message().sender_deleted);
    assert_eq!(members(&ann).await, [("ann".to_owned(), "OWNER".to_owned())]);
}

/// What waits goes on when the owner has gone: what it sent itself is refused, all else is stored.
#[tokio::test]
async fn an_owner_is_deleted_while_sends_wait() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    seen(&cleo, 2).await;
    let mut sql = imd.database.sql().await;
    let held = sql.transaction().await.expect("a transaction");
    let lock = "SELECT FROM timelines WHERE owner < 0 FOR UPDATE";
    held.execute(lock, &[]).await.expect("the group is held");
    let watching = imd.database.sql().await;
    let waiting = async |count: i64| {
        let query = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually("those who wait", async || {
            let row = watching.query_one(query, &[]).await.expect("a count");
            (row.get::<_, i64>(0) >= count).then_some(())
        })
        .await;
    };
    let messages: Vec<_> = (0..5).map(|n| text(&n.to_string())).collect();
    let sends = async {
        let of = async |terminal: &Terminal| {
            join_all(messages.iter().map(async |message| {
                let message =
                    Outgoing { client_message_id: Uuid::new_v4().to_string(), ..message.clone() };
                terminal.send(&message).await
            }))
            .await
        };
        join(of(&ann), of(&ben)).await
    };
    let deletion = async {
        waiting(1).await;
        let admin = imd.admin();
        let deletion = admin.delete("ann", false);
        let release = async {
            waiting(2).await;
            held.rollback().await.expect("let go");
        };
        join(deletion, release).await.0.expect("deleted");
    };
    let ((of_ann, of_ben), ()) = join(sends, deletion).await;
    for sent in of_ann {
        assert_eq!(sent.expect_err("she is gone").code, "session_ended");
    }
    assert_eq!(of_ben.into_iter().flatten().count(), 5);
    let told = words(&seen(&cleo, 9).await);
    assert_eq!(told, words(&seen(&ben, 9).await), "one order");
    let mut rest: Vec<_> = told[2..].to_vec();
    rest.sort();
    assert_eq!(rest, ["0", "1", "2", "3", "4", "ann LEFT", "ben ROLE_CHANGED"]);
    assert_eq!(owner(&cleo).await.as_deref(), Some("ben"));
    assert_dense(&imd.database).await;
}

/// The members of the group, with their roles.
async fn members(terminal: &Terminal) -> Vec<(String, String)> {
    let listed = terminal.group(GroupCall::Members(oslo())).await.expect("members");
    let member = |member: &Value| {
        let text = |name: &str| member[name].as_str().expect("a text").to_owned();
        (text("user_id"), text("role"))
    };
    listed["members"].as_array().expect("a list").iter().map(member).collect()
}

fn role(member: &str, role: &str) -> GroupCall {
    GroupCall::UpdateMember(oslo(), member.to_owned(), json!({ "role": role }))
}

async fn owner(terminal: &Terminal) -> Option<String> {
    members(terminal).await.into_iter().find(|(_, role)| role == "OWNER").map(|(who, _)| who)
}

async fn a_group_goes_to_the_admin_who_has_been_in_it_longest(imd: Cluster) {
    // They join in another order than that of their accounts.
    imd.users(["dan", "cleo", "ben"]).await;
    let [ann, eve] = group_of(&imd, ["ann", "eve"]).await;
    for member in ["ben", "cleo", "dan"] {
        ann.group(GroupCall::Add(oslo(), member.to_owned())).await.expect("added");
    }
    ann.group(role("dan", "ADMIN")).await.expect("an admin");
    ann.group(role("cleo", "ADMIN")).await.expect("an admin");
    imd.admin().delete("ann", false).await.expect("deleted");
    assert_eq!(owner(&eve).await.as_deref(), Some("cleo"));
    let told = words(&seen(&eve, 9).await);
    assert_eq!(told[7..], ["ann LEFT", "cleo ROLE_CHANGED"]);
}

async fn a_group_without_admins_goes_to_the_member_who_has_been_in_it_longest(imd: Cluster) {
    imd.users(["dan", "cleo"]).await;
    let ann = imd.user_with_phone("ann").await;
    super::create(&ann, &["dan"]).await;
    ann.group(GroupCall::Add(oslo(), "cleo".to_owned())).await.expect("added");
    ann.group(GroupCall::Remove(oslo(), "dan".to_owned())).await.expect("removed");
    ann.group(GroupCall::Add(oslo(), "dan".to_owned())).await.expect("added again");
    let dan = imd.log_in("dan", "phone", "new").await;
    imd.admin().delete("ann", true).await.expect("deleted");
    assert_eq!(owner(&dan).await.as_deref(), Some("cleo"), "dan came back after her");
    let cleo = imd.log_in("cleo", "phone", "new").await;
    cleo.group(GroupCall::Update(oslo(), json!({ "name": "ours" }))).await.expect("she owns it");
}

async fn a_group_of_nobody_is_dissolved(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    super::create(&ann, &[]).await;
    let ben = imd.user_with_phone("ben").await;
    ann.group(GroupCall::Update(oslo(), json!({ "join": "OPEN" }))).await.expect("open");
    imd.admin().delete("ann", false).await.expect("deleted");
    let refused = ben.group(GroupCall::Join(oslo())).await.expect_err("nobody is left");
    assert_eq!(refused.code, "group_not_found");
}
