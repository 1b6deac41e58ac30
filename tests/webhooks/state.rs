//! Webhooks that are paused, resumed, replayed, gone, and given other secrets.

use imd_proto::v1::WebhookState;
use serde_json::{Value, json};

use super::{
    count,
    receiver::{Answer, Receiver},
    start,
};
use crate::support::{api::Transport, cluster::Cluster, eventually, within_deadline};

async fn scene() -> (Cluster, Receiver, String, String) {
    let imd = start(Transport::Grpc).await;
    let receiver = Receiver::start().await;
    let made = imd.admin().create_webhook(&receiver.url, &["message.sent"]).await;
    let (webhook, secret) = made.expect("a webhook");
    (imd, receiver, webhook.webhook_id, secret)
}

#[tokio::test]
async fn while_a_webhook_is_paused_its_events_wait() {
    let (imd, mut receiver, webhook_id, _) = scene().await;
    let ann = imd.user_with_phone("ann").await;
    let paused = imd.admin().pause_webhook(&webhook_id).await.expect("paused");
    assert_eq!(paused.state(), WebhookState::Paused);
    ann.say("ann", "one").await;
    receiver.gets_nothing().await;
    let webhook = imd.admin().webhook(&webhook_id).await.expect("a webhook");
    assert!(webhook.waiting == 1 && webhook.oldest_at.is_some(), "{webhook:?}");
    let resumed = imd.admin().resume_webhook(&webhook_id).await.expect("resumed");
    assert_eq!(resumed.state(), WebhookState::Active);
    assert_eq!(receiver.said("message.sent").await["text"], "one");
}

#[tokio::test]
async fn what_has_been_told_is_told_once_more_when_asked() {
    let (imd, mut receiver, webhook_id, _) = scene().await;
    let ann = imd.user_with_phone("ann").await;
    let mut first = Vec::new();
    for text in ["one", "two", "three"] {
        ann.say("ann", text).await;
        first.push(receiver.event().await);
    }
    eventually("all is acknowledged", async || {
        (count(&imd, "webhook_queue").await == 0).then_some(())
    })
    .await;
    assert_eq!(imd.admin().replay_webhook(&webhook_id, 4_000_000_000).await, Ok(0));
    assert_eq!(imd.admin().replay_webhook(&webhook_id, 0).await, Ok(3));
    for event in first {
        assert_eq!(receiver.event().await, event);
    }
}

#[tokio::test]
async fn a_message_that_was_recalled_meanwhile_says_nothing_when_it_is_told() {
    let (imd, mut receiver, webhook_id, _) = scene().await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    imd.admin().pause_webhook(&webhook_id).await.expect("paused");
    let sent = ann.say("bob", "secret").await;
    ann.recall(&sent.message_id).await.expect("recalled");
    imd.admin().resume_webhook(&webhook_id).await.expect("resumed");
    let data = receiver.said("message.sent").await;
    assert_eq!((&data["gone"], &data["text"]), (&"recalled".into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn a_webhook_that_answers_410_is_told_of_nothing_more_and_that_is_recorded() {
    let (imd, mut receiver, webhook_id, _) = scene().await;
    let ann = imd.user_with_phone("ann").await;
    receiver.answers(Answer::Status(410));
    ann.say("ann", "one").await;
    receiver.next().await;
    eventually("it is gone", async || {
        let webhook = imd.admin().webhook(&webhook_id).await.expect("a webhook");
        (webhook.state() == WebhookState::Gone).then_some(())
    })
    .await;
    ann.say("ann", "two").await;
    receiver.gets_nothing().await;
    let records = imd.admin().audit("", 0, "").await.expect("the records").records;
    let record = records.iter().find(|record| record.action == "webhook_gone").expect("a record");
    assert!(record.details.contains(&webhook_id), "{record:?}");
    // Whoever runs it may have mended it.
    imd.admin().resume_webhook(&webhook_id).await.expect("resumed");
    ann.say("ann", "three").await;
    let mut texts = vec![receiver.said("message.sent").await["text"].clone()];
    if texts[0] == "one" {
        texts.push(receiver.said("message.sent").await["text"].clone());
    }
    assert_eq!(texts.last(), Some(&"three".into()));
}

#[tokio::test]
async fn a_webhook_that_acknowledges_nothing_for_a_day_is_paused_and_that_is_recorded() {
    let (imd, mut receiver, webhook_id, _) = scene().await;
    let ann = imd.user_with_phone("ann").await;
    receiver.always_answers(Answer::Status(500));
    ann.say("ann", "one").await;
    receiver.next().await;
    eventually("it has failed", async || {
        let webhook = imd.admin().webhook(&webhook_id).await.expect("a webhook");
        (webhook.failures == 1).then_some(())
    })
    .await;
    let sql = imd.database.sql().await;
    let long = "UPDATE webhooks SET failing_since = now() - interval '25 hours'";
    sql.execute(long, &[]).await.expect("a day");
    sql.execute("UPDATE webhook_partitions SET retry_at = now()", &[]).await.expect("hurried");
    let webhook = eventually("it is dead", async || {
        let webhook = imd.admin().webhook(&webhook_id).await.expect("a webhook");
        (webhook.state() == WebhookState::Dead).then_some(webhook)
    })
    .await;
    assert_eq!(webhook.waiting, 1, "its events wait");
    let records = imd.admin().audit("", 0, "").await.expect("the records").records;
    assert!(records.iter().any(|record| record.action == "webhook_dead"), "{records:?}");
    receiver.always_answers(Answer::Status(200));
    imd.admin().resume_webhook(&webhook_id).await.expect("resumed");
    loop {
        let got = receiver.next().await;
        assert_eq!(got.events()[0]["data"]["text"], "one");
        if imd.admin().webhook(&webhook_id).await.expect("a webhook").failures == 0 {
            break;
        }
    }
}

#[tokio::test]
async fn an_event_that_is_not_taken_for_three_days_is_given_up_for_those_behind_it() {
    let (imd, mut receiver, webhook_id, _) = scene().await;
    let ann = imd.user_with_phone("ann").await;
    receiver.answers(Answer::Status(400));
    receiver.answers(Answer::Status(400));
    ann.say("ann", "poison").await;
    receiver.next().await;
    eventually("it has failed", async || {
        let webhook = imd.admin().webhook(&webhook_id).await.expect("a webhook");
        (webhook.failures == 1).then_some(())
    })
    .await;
    ann.say("ann", "one").await;
    let sql = imd.database.sql().await;
    let long = "UPDATE webhook_partitions SET retry_at = '-infinity', failures = 20,
                    failing_since = now() - interval '73 hours'
                WHERE failures > 0";
    assert_eq!(sql.execute(long, &[]).await.expect("three days"), 1);
    assert_eq!(receiver.next().await.events()[0]["data"]["text"], "poison");
    assert_eq!(receiver.said("message.sent").await["text"], "one");
    let records = imd.admin().audit("", 0, "").await.expect("the records").records;
    let given_up = records.iter().find(|record| record.action == "webhook_event_given_up");
    assert!(given_up.expect("a record").details.contains("evt_"));
}

#[tokio::test]
async fn while_a_secret_is_replaced_both_sign() {
    let (imd, mut receiver, webhook_id, old) = scene().await;
    let ann = imd.user_with_phone("ann").await;
    let new = imd.admin().rotate_webhook_secret(&webhook_id).await.expect("a secret");
    assert_ne!(old, new);
    ann.say("ann", "one").await;
    let got = receiver.next().await;
    assert_eq!((got.signatures_by(&old), got.signatures_by(&new)), (1, 1), "{got:?}");
    let sql = imd.database.sql().await;
    sql.execute("UPDATE webhooks SET previous_until = now()", &[]).await.expect("over");
    ann.say("ann", "two").await;
    let got = receiver.next().await;
    assert_eq!((got.signatures_by(&old), got.signatures_by(&new)), (0, 1), "{got:?}");
    let other = imd.admin().rotate_webhook_secret(&webhook_id).await.expect("a secret");
    assert!(![old, new].contains(&other));
}

#[tokio::test]
async fn a_test_is_told_and_answered_whatever_the_state() {
    let (imd, mut receiver, webhook_id, secret) = scene().await;
    imd.admin().pause_webhook(&webhook_id).await.expect("paused");
    let tested = imd.admin().test_webhook(&webhook_id).await.expect("tested");
    assert_eq!((tested.delivered, tested.status), (true, 204), "{tested:?}");
    let got = receiver.next().await;
    assert_eq!(got.signatures_by(&secret), 1);
    assert_eq!(got.events()[0]["type"], "webhook.test");
    receiver.answers(Answer::Status(418));
    let tested = imd.admin().test_webhook(&webhook_id).await.expect("tested");
    assert_eq!((tested.delivered, tested.status), (false, 418), "{tested:?}");
}

#[tokio::test]
async fn of_a_webhook_that_is_deleted_nothing_is_left() {
    let (imd, mut receiver, webhook_id, _) = scene().await;
    let ann = imd.user_with_phone("ann").await;
    imd.admin().pause_webhook(&webhook_id).await.expect("paused");
    ann.say("ann", "one").await;
    imd.admin().delete_webhook(&webhook_id).await.expect("deleted");
    ann.say("ann", "two").await;
    receiver.gets_nothing().await;
    assert_eq!(count(&imd, "outbox").await, 1, "what came when somebody wanted it");
    imd.database
        .sql()
        .await
        .execute("UPDATE outbox SET at = now() - interval '8 days'", &[])
        .await
        .expect("old");
    imd.admin().retry_job("webhook_events").await.expect("hurried");
    eventually("nothing is left", async || {
        let left = count(&imd, "outbox").await + count(&imd, "webhook_queue").await;
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_requests_to_a_webhook_are_watched_on_whichever_node_they_are_made() {
    let imd = start(Transport::Grpc).await;
    let (_node, _) = imd.start_node_with(super::local).await;
    let receiver = Receiver::start().await;
    let admin = imd.admin();
    let (webhook, _) = admin.create_webhook(&receiver.url, &["message.sent"]).await.expect("made");
    let (other, _) = admin.create_webhook(&receiver.url, &["read"]).await.expect("made");
    let ann = imd.user_with_phone("ann").await;
    let mut tail = admin.tail_webhook(&webhook.webhook_id, 0).await.expect("watched");
    let mut of_other = admin.tail_webhook(&other.webhook_id, 2).await.expect("watched");
    receiver.answers(Answer::Status(500));
    ann.say("ann", "one").await;
    let mut next = async || {
        let next = within_deadline("a request", tail.message()).await;
        next.expect("no error").expect("it goes on")
    };
    let failed = next().await;
    assert_eq!((failed.delivered, failed.status, failed.count), (false, 500, 1));
    assert!(failed.error.contains("500") && !failed.node_id.is_empty(), "{failed:?}");
    let done = next().await;
    assert_eq!((done.delivered, done.status, done.error.as_str()), (true, 204, ""));
    assert_eq!(done.events, failed.events);
    assert_eq!(done.events[0].r#type, "message.sent");
    assert!(done.events[0].id.starts_with("evt_"));
    let nothing = within_deadline("the time is over", of_other.message()).await;
    assert!(nothing.expect("no error").is_none(), "nothing of another webhook");

    for (id, seconds, code) in
        [("nothing", 0, "webhook_not_found"), (webhook.webhook_id.as_str(), -1, "invalid_argument")]
    {
        let refused = admin.tail_webhook(id, seconds).await.expect_err(code);
        assert_eq!(refused.code, code);
    }
    let url = format!(
        "http://{}/admin/v1/webhooks/{}/tail?seconds=2",
        imd.node.admin_address(),
        webhook.webhook_id
    );
    let asked = reqwest::Client::new().get(url).bearer_auth(crate::support::node::ADMIN_KEY);
    let answer = asked.send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    ann.say("ann", "two").await;
    let lines = answer.text().await.expect("lines");
    let line: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&line["delivered"], &line["count"]), (&json!(true), &json!(1)));
}
