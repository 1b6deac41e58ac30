//! What webhooks are told of.

use imd_proto::v1::{AdminSendRequest, CreateWebhookRequest, UpdateWebhookRequest, WebhookFilter};
use serde_json::json;

use super::{receiver::Receiver, start};
use crate::{
    admin::send::{as_system, user},
    groups::{create, group_of, text},
    support::{
        api::{GroupCall, Outgoing, Transport},
        cluster::Cluster,
        eventually,
        terminal::Terminal,
    },
};

async fn scene(kinds: &[&str]) -> (Cluster, Receiver, String) {
    let imd = start(Transport::Grpc).await;
    let receiver = Receiver::start().await;
    let (_, secret) = imd.admin().create_webhook(&receiver.url, kinds).await.expect("a webhook");
    (imd, receiver, secret)
}

#[tokio::test]
async fn i15_messages_their_edits_and_recalls_are_told_in_order_and_signed() {
    let (imd, mut receiver, secret) = scene(&["message.*"]).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let one = ann.say("bob", "one").await;
    let got = receiver.next().await;
    assert_eq!(got.signatures_by(&secret), 1, "{got:?}");
    assert_eq!(got.header("content-type"), "application/json");
    let timestamp: i64 = got.header("webhook-timestamp").parse().expect("seconds");
    assert!((time::OffsetDateTime::now_utc().unix_timestamp() - timestamp).abs() < 60);
    let events = got.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0]["id"].as_str().expect("an id").starts_with("evt_"));
    assert!(events[0]["timestamp"].as_str().expect("a time").ends_with('Z'));
    let data = &events[0]["data"];
    assert_eq!(
        (&data["message_id"], &data["sender_id"], &data["recipient_id"], &data["text"]),
        (&json!(one.message_id), &json!("ann"), &json!("bob"), &json!("one"))
    );
    assert!(data["client_message_id"].is_string() && data["sent_at"].is_string(), "{data}");

    let picture = ann.send(&Outgoing::data("bob", "image/png", &[1, 2, 3])).await.expect("sent");
    ann.edit(&one.message_id, "two").await.expect("edited");
    // What is told of a message is what it says by then.
    let data = receiver.said("message.sent").await;
    assert_eq!((&data["content_type"], &data["data"]), (&json!("image/png"), &json!("AQID")));
    ann.recall(&picture.message_id).await.expect("recalled");
    ann.say("ann", "a note").await;
    let data = receiver.said("message.edited").await;
    assert_eq!(
        (&data["message_id"], &data["text"], &data["edit_no"]),
        (&json!(one.message_id), &json!("two"), &json!(1))
    );
    assert_eq!((&data["sender_id"], &data["recipient_id"]), (&json!("ann"), &json!("bob")));
    let data = receiver.said("message.recalled").await;
    let expected =
        json!({ "message_id": picture.message_id, "sender_id": "ann", "recipient_id": "bob" });
    assert_eq!(data, expected);
    assert_eq!(receiver.said("message.sent").await["recipient_id"], "ann");
    receiver.gets_nothing().await;
}

#[tokio::test]
async fn a_recall_is_told_though_the_sender_has_deleted_its_own_copy() {
    let (imd, mut receiver, _) = scene(&["message.recalled"]).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let sent = ann.say("bob", "one").await;
    ann.delete("bob", sent.seq).await.expect("deleted");
    ann.recall(&sent.message_id).await.expect("recalled");
    let data = receiver.said("message.recalled").await;
    let expected =
        json!({ "message_id": sent.message_id, "sender_id": "ann", "recipient_id": "bob" });
    assert_eq!(data, expected);
    receiver.gets_nothing().await;
}

#[tokio::test]
async fn what_its_sender_has_not_is_told_by_the_recipients_copy() {
    let (imd, mut receiver, _) = scene(&["message.*"]).await;
    imd.user("ann").await;
    imd.user_with_phone("bob").await;
    let message = AdminSendRequest {
        sender_timeline: Some(false),
        ..as_system("orders", user("bob"), "on its way")
    };
    let sent = imd.admin().send(message).await.expect("sent");
    let data = receiver.said("message.sent").await;
    assert_eq!(
        (&data["message_id"], &data["sender_id"], &data["recipient_id"], &data["text"]),
        (&json!(sent.message_id), &json!("orders"), &json!("bob"), &json!("on its way"))
    );
    receiver.gets_nothing().await;
}

#[tokio::test]
async fn groups_their_members_and_messages_are_told_in_the_groups_order() {
    let (imd, mut receiver, _) = scene(&["group.*", "member.*", "message.*"]).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    imd.user("cleo").await;
    create(&ann, &["bob"]).await;
    let data = receiver.said("group.created").await;
    let group_id = data["group_id"].clone();
    assert_eq!((&data["by"], &data["version"]), (&json!("ann"), &json!(1)));
    let data = receiver.said("member.joined").await;
    let mut joined = data["user_ids"].as_array().expect("users").clone();
    joined.sort_by_key(ToString::to_string);
    assert_eq!((&data["group_id"], joined), (&group_id, vec![json!("ann"), json!("bob")]));

    let mention = Outgoing { mentions: vec!["bob".to_owned()], ..text("hello") };
    let sent = ann.send(&mention).await.expect("sent");
    let data = receiver.said("message.sent").await;
    assert_eq!(
        (&data["message_id"], &data["group_id"], &data["sender_id"], &data["mentions"]),
        (&json!(sent.message_id), &group_id, &json!("ann"), &json!(["bob"]))
    );
    assert_eq!(data["text"], "hello");
    ann.edit(&sent.message_id, "changed").await.expect("edited");
    assert_eq!(receiver.said("message.edited").await["text"], "changed");
    let group = group_id.as_str().expect("an id").to_owned();
    let answer = Outgoing {
        reply_to: sent.message_id.clone(),
        ..Outgoing::text(&format!("group:{group}"), "yes")
    };
    bob.send(&answer).await.expect("sent");
    let data = receiver.said("message.sent").await;
    assert_eq!(data["reply_to"], json!({ "message_id": sent.message_id, "sender_id": "ann" }));
    ann.recall(&sent.message_id).await.expect("recalled");
    let data = receiver.said("message.recalled").await;
    assert_eq!(data, json!({ "message_id": sent.message_id, "group_id": group_id }));

    bob.group(GroupCall::Leave(group.clone())).await.expect("left");
    let data = receiver.said("member.left").await;
    assert_eq!(data["user_ids"], json!(["bob"]));
    ann.group(GroupCall::Dissolve(group)).await.expect("dissolved");
    assert_eq!(receiver.said("group.dissolved").await["group_id"], group_id);
    receiver.gets_nothing().await;
}

#[tokio::test]
async fn sessions_that_begin_and_end_are_told() {
    let (imd, mut receiver, _) = scene(&["session.*"]).await;
    let first = imd.user_with_phone("ann").await;
    let data = receiver.said("session.started").await;
    assert_eq!(
        (&data["user_id"], &data["session_id"], &data["terminal"]["type"]),
        (&json!("ann"), &json!(first.session_id()), &json!("phone"))
    );
    let second = imd.log_in("ann", "phone", "other").await;
    let data = receiver.said("session.ended").await;
    assert_eq!(
        (&data["session_id"], &data["end"]["reason"]),
        (&json!(first.session_id()), &json!("REPLACED"))
    );
    let data = receiver.said("session.started").await;
    assert_eq!(data["session_id"], json!(second.session_id()));
    second.logout().await.expect("logged out");
    let data = receiver.said("session.ended").await;
    assert_eq!(data["end"]["reason"], "LOGGED_OUT");
    receiver.gets_nothing().await;
}

#[tokio::test]
async fn accounts_that_are_made_disabled_enabled_and_deleted_are_told_in_order() {
    let (imd, mut receiver, _) = scene(&["user.*", "session.ended"]).await;
    let admin = imd.admin();
    imd.user_with_phone("ann").await;
    assert_eq!(receiver.said("user.created").await, json!({ "user_id": "ann" }));
    admin.disable("ann", "").await.expect("disabled");
    receiver.said("session.ended").await;
    receiver.said("user.disabled").await;
    // Once more is nothing new.
    admin.disable("ann", "").await.expect("disabled");
    let mut ids = std::collections::HashSet::new();
    for _ in 0..2 {
        admin.enable("ann").await.expect("enabled");
        admin.disable("ann", "").await.expect("disabled");
        for kind in ["user.enabled", "user.disabled"] {
            let event = receiver.event().await;
            assert_eq!((&event["type"], &event["data"]["user_id"]), (&json!(kind), &json!("ann")));
            assert!(ids.insert(event["id"].to_string()), "{event}");
        }
    }
    admin.delete("ann", false).await.expect("deleted");
    assert_eq!(receiver.said("user.deleted").await, json!({ "user_id": "ann" }));
    // The system's accounts are nobody's.
    imd.user("bob").await;
    receiver.said("user.created").await;
    imd.admin().send(as_system("orders", user("bob"), "x")).await.expect("sent");
    receiver.gets_nothing().await;
}

#[tokio::test]
async fn what_is_read_is_told_by_who_has_read_it() {
    let (imd, mut receiver, _) = scene(&["read"]).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say("bob", "one").await;
    let seq = bob.mark_read("ann", bob.timeline().await.last().expect("it").seq).await;
    let data = receiver.said("read").await;
    let expected =
        json!({ "user_id": "bob", "conversation_id": "user:ann", "seq": seq.expect("marked") });
    assert_eq!(data, expected);
    receiver.gets_nothing().await;
}

#[tokio::test]
async fn messages_of_backends_are_told_too() {
    let (imd, mut receiver, _) = scene(&["message.sent"]).await;
    imd.user("ann").await;
    let notice = as_system("orders", user("ann"), "on its way");
    imd.admin().send(notice).await.expect("sent");
    let data = receiver.said("message.sent").await;
    assert_eq!((&data["recipient_id"], &data["text"]), (&json!("ann"), &json!("on its way")));
}

#[tokio::test]
async fn a_filter_has_a_webhook_told_of_some_users_groups_or_senders_alone() {
    let imd = start(Transport::Grpc).await;
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let filtered = async |filter: WebhookFilter| {
        let receiver = Receiver::start().await;
        let kinds =
            vec!["message.sent".to_owned(), "member.*".to_owned(), "session.started".to_owned()];
        let filter = Some(filter);
        let request =
            CreateWebhookRequest { url: receiver.url.clone(), kinds, filter, ..Default::default() };
        let (webhook, _) = imd.admin().make_webhook(request).await.expect("a webhook");
        (receiver, webhook)
    };
    let ids = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    let user = WebhookFilter { user_ids: ids(&["ben"]), ..Default::default() };
    let (mut of_ben, shown) = filtered(user.clone()).await;
    assert_eq!(shown.filter, Some(user));
    let group = WebhookFilter { group_ids: ids(&["oslo"]), ..Default::default() };
    let (mut of_group, _) = filtered(group).await;
    let both = WebhookFilter {
        group_ids: ids(&["oslo"]),
        sender_ids: ids(&["cleo"]),
        ..Default::default()
    };
    let (mut of_cleo, webhook) = filtered(both).await;

    ann.say("cleo", "not for ben").await;
    ann.say("ben", "for ben").await;
    cleo.send(&text("to all")).await.expect("sent");
    ben.send(&text("from ben")).await.expect("sent");
    imd.log_in("cleo", "pc", "desk").await;
    imd.log_in("ben", "pc", "desk").await;
    // Of three timelines, so in any order.
    let mut told = Vec::new();
    for _ in 0..3 {
        let data = of_ben.event().await["data"].take();
        told.push(data["text"].as_str().or(data["user_id"].as_str()).map(str::to_owned));
    }
    told.sort();
    assert_eq!(told, ["ben", "for ben", "from ben"].map(|text| Some(text.to_owned())));
    of_ben.gets_nothing().await;
    assert_eq!(of_group.said("message.sent").await["text"], "to all");
    assert_eq!(of_group.said("message.sent").await["text"], "from ben");
    of_group.gets_nothing().await;
    assert_eq!(of_cleo.said("message.sent").await["text"], "to all");
    of_cleo.gets_nothing().await;
    eventually("nothing waits", async || {
        let webhook = imd.admin().webhook(&webhook.webhook_id).await.expect("a webhook");
        (webhook.waiting == 0).then_some(())
    })
    .await;

    let everything = UpdateWebhookRequest {
        webhook_id: webhook.webhook_id.clone(),
        filter: Some(WebhookFilter::default()),
        ..Default::default()
    };
    let changed = imd.admin().update_webhook(everything).await.expect("changed");
    assert_eq!(changed.filter, None);
    ann.say("ann", "a note").await;
    assert_eq!(of_cleo.said("message.sent").await["text"], "a note");
    let wrong = UpdateWebhookRequest {
        webhook_id: webhook.webhook_id,
        filter: Some(WebhookFilter { group_ids: ids(&["a b"]), ..Default::default() }),
        ..Default::default()
    };
    let refused = imd.admin().update_webhook(wrong).await.expect_err("no id");
    assert_eq!(refused.field(), "filter.group_ids");
}

#[tokio::test]
async fn a_webhook_is_told_once_that_no_terminal_of_a_user_gets_its_messages() {
    let (imd, mut receiver, _) = scene(&["delivery.*"]).await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    imd.users(["cleo"]).await;
    let sql = imd.database.sql().await;
    let look = async || {
        // As after the time that a message has to be got in.
        let older = "UPDATE entries SET appended_at = appended_at - interval '6 minutes'";
        sql.execute(older, &[]).await.expect("older");
        let before = imd.admin().job("undelivered").await.finished_at;
        imd.admin().retry_job("undelivered").await.expect("hurried");
        eventually("it has looked", async || {
            let job = imd.admin().job("undelivered").await;
            (job.finished_at != before).then_some(())
        })
        .await;
    };
    // As far as a terminal says that it has got.
    let gets = async |terminal: &Terminal, cursor: &str| {
        terminal.acknowledge(cursor).await.expect("acknowledged");
        let written = "SELECT count(*) FROM sessions s JOIN users u USING (user_no)
            WHERE user_id = $1 AND cursor_seq >= $2";
        let seq: i64 = cursor.rsplit('.').next().expect("a seq").parse().expect("a number");
        eventually("the cursor is written", async || {
            let row = sql.query_one(written, &[&terminal.user_id, &seq]).await.expect("n");
            (row.get::<_, i64>(0) == 1).then_some(())
        })
        .await;
    };
    look().await;
    receiver.gets_nothing().await;
    let first = ann.say("cleo", "one").await;
    ann.say("cleo", "two").await;
    // The system reads nothing.
    imd.admin().send(as_system("orders", user("ann"), "hello")).await.expect("sent");
    ben.say("orders", "where is it?").await;
    let mut feed = ann.follow("now").await;
    ben.send(&text("to all")).await.expect("sent");
    gets(&ann, &feed.entry().await.cursor).await;
    look().await;
    let told = receiver.said("delivery.undelivered").await;
    assert_eq!(
        (&told["user_id"], &told["sender_id"], &told["recipient_id"], &told["text"]),
        (&json!("cleo"), &json!("ann"), &json!("cleo"), &json!("one"))
    );
    assert_eq!(told["message_id"], first.message_id);
    look().await;
    receiver.gets_nothing().await;

    // Cleo comes back, and goes away again.
    let cleo = imd.log_in("cleo", "phone", "phone").await;
    let mut feed = cleo.follow("now").await;
    ann.say("cleo", "three").await;
    gets(&cleo, &feed.entry().await.cursor).await;
    drop(feed);
    look().await;
    receiver.gets_nothing().await;
    ann.say("cleo", "four").await;
    look().await;
    assert_eq!(receiver.said("delivery.undelivered").await["text"], "four");
}
