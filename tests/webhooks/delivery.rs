//! How webhooks are told: retries, order, pauses, and nodes that die.

use std::collections::{HashMap, HashSet};

use imd::config::Settings;
use serde_json::Value;

use super::{
    local,
    receiver::{Answer, Receiver, says},
    start,
};
use crate::support::{
    api::Transport, cluster::Cluster, eventually, node::Node, postgres::Database,
    process::DataFolder,
};

#[tokio::test]
async fn i15_what_is_not_acknowledged_is_told_again_and_is_the_same() {
    let imd = start(Transport::Grpc).await;
    let mut receiver = Receiver::start().await;
    let made = imd.admin().create_webhook(&receiver.url, &["message.sent"]).await;
    let webhook_id = made.expect("a webhook").0.webhook_id;
    let ann = imd.user_with_phone("ann").await;
    for answer in [Answer::Status(500), Answer::Nothing, Answer::Elsewhere, Answer::Status(400)] {
        receiver.answers(answer);
    }
    ann.say("ann", "one").await;
    let mut got = vec![receiver.next().await];
    for failures in 1..5 {
        let webhook = eventually("the failure is noted", async || {
            let webhook = imd.admin().webhook(&webhook_id).await.expect("a webhook");
            (webhook.failures == failures).then_some(webhook)
        })
        .await;
        assert_eq!(webhook.waiting, 1, "{webhook:?}");
        assert!(webhook.failing_since.is_some());
        if failures == 1 {
            assert!(webhook.error.contains("500"), "{webhook:?}");
        }
        // What fails is tried again after a pause that doubles; nobody has to wait for it here.
        imd.database.sql().await.execute(AT_ONCE, &[]).await.expect("hurried");
        got.push(receiver.next().await);
    }
    let ids: HashSet<&str> = got.iter().map(|got| got.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1, "{got:?}");
    let events: Vec<_> = got.iter().map(super::receiver::Got::events).collect();
    assert!(events.iter().all(|other| *other == events[0]), "{events:?}");
    eventually("it is well", async || {
        let webhook = imd.admin().webhook(&webhook_id).await.expect("a webhook");
        (webhook.failures == 0 && webhook.waiting == 0 && webhook.delivered_at.is_some())
            .then_some(())
    })
    .await;
    receiver.gets_nothing().await;
}

/// Has what waits for another try be tried.
const AT_ONCE: &str = "UPDATE webhook_partitions SET retry_at = '-infinity'";

#[tokio::test]
async fn an_answer_without_an_end_is_an_answer() {
    let imd = start(Transport::Grpc).await;
    let mut receiver = Receiver::start().await;
    imd.admin().create_webhook(&receiver.url, &["message.sent"]).await.expect("a webhook");
    receiver.answers(Answer::Endless);
    let ann = imd.user_with_phone("ann").await;
    for text in ["one", "two"] {
        ann.say("ann", text).await;
        assert_eq!(receiver.said("message.sent").await["text"], text);
    }
    receiver.gets_nothing().await;
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let imd = start(Transport::Grpc).await;
    let url = format!("http://{}/", says(b"HTTP/1.1 20").await);
    let made = imd.admin().create_webhook(&url, &["message.sent"]).await.expect("a webhook").0;
    let ann = imd.user_with_phone("ann").await;
    ann.say("ann", "one").await;
    eventually("it has failed", async || {
        let webhook = imd.admin().webhook(&made.webhook_id).await.expect("a webhook");
        (webhook.failures > 0 && webhook.waiting == 1).then_some(())
    })
    .await;
    let tested = imd.admin().test_webhook(&made.webhook_id).await.expect("tested");
    assert!(!tested.delivered && !tested.error.is_empty(), "{tested:?}");
    // Where it is from now on, it gets what waits.
    let mut receiver = Receiver::start().await;
    let url = Some(receiver.url.clone());
    let webhook_id = made.webhook_id;
    let request = imd_proto::v1::UpdateWebhookRequest { webhook_id, url, ..Default::default() };
    imd.admin().update_webhook(request).await.expect("changed");
    assert_eq!(receiver.said("message.sent").await["text"], "one");
}

#[tokio::test]
async fn many_events_go_together_and_no_more_than_a_hundred() {
    let imd = start(Transport::Grpc).await;
    let mut receiver = Receiver::start().await;
    let made = imd.admin().create_webhook(&receiver.url, &["message.sent"]).await;
    let webhook_id = made.expect("a webhook").0.webhook_id;
    imd.admin().pause_webhook(&webhook_id).await.expect("paused");
    let ann = imd.user_with_phone("ann").await;
    ann.say_at_once("ann", (0..250).map(|n| n.to_string())).await;
    imd.admin().resume_webhook(&webhook_id).await.expect("resumed");
    let mut texts = Vec::new();
    for size in [100, 100, 50] {
        let events = receiver.next().await.events();
        assert_eq!(events.len(), size);
        texts.extend(events.iter().map(|event| event["data"]["text"].clone()));
    }
    let stored: Vec<Value> = ann.texts().await.into_iter().map(Value::String).collect();
    assert_eq!(texts, stored);
}

/// Sends from each of these terminals at once, `each` messages to itself.
async fn talk(terminals: &[crate::support::terminal::Terminal], each: usize) {
    let talks = terminals.iter().map(async |terminal| {
        for n in 0..each {
            terminal.say(&terminal.user_id, &n.to_string()).await;
        }
    });
    futures::future::join_all(talks).await;
}

/// The messages of each sender in the order in which they were first told of, and how many events came twice.
fn by_sender(events: &[Value]) -> (HashMap<String, Vec<usize>>, usize) {
    let (mut told, mut ids) = (HashMap::<String, Vec<usize>>::new(), HashSet::new());
    for event in events {
        if !ids.insert(event["id"].as_str().expect("an id")) {
            continue;
        }
        let text = event["data"]["text"].as_str().expect("a text");
        let sender = event["data"]["sender_id"].as_str().expect("a sender").to_owned();
        told.entry(sender).or_default().push(text.parse().expect("a number"));
    }
    (told, events.len() - ids.len())
}

#[tokio::test]
async fn i15_order_holds_for_each_user_though_the_webhook_fails_now_and_then() {
    const EACH: usize = 60;
    let imd = start(Transport::Grpc).await;
    let (other, api) = imd.start_node_with(local).await;
    let mut receiver = Receiver::start().await;
    imd.admin().create_webhook(&receiver.url, &["message.sent"]).await.expect("a webhook");
    let mut terminals = Vec::new();
    for n in 0..12 {
        let terminal = imd.user_with_phone(&format!("user-{n}")).await;
        terminals.push(if n % 2 == 0 { terminal } else { terminal.through(api.clone()) });
    }
    for _ in 0..8 {
        receiver.answers(Answer::Status(204));
        receiver.answers(Answer::Status(503));
    }
    let hurry = async {
        let sql = imd.database.sql().await;
        loop {
            sql.execute(AT_ONCE, &[]).await.expect("hurried");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let work = async {
        talk(&terminals, EACH).await;
        let mut events = Vec::new();
        loop {
            events.push(receiver.event().await);
            let (told, _) = by_sender(&events);
            if told.values().map(Vec::len).sum::<usize>() == 12 * EACH {
                return told;
            }
        }
    };
    let told = tokio::select! { told = work => told, () = hurry => unreachable!("it has no end") };
    for (sender, texts) in told {
        assert_eq!(texts, (0..EACH).collect::<Vec<_>>(), "{sender}");
    }
    drop(other);
}

/// A transaction that has an earlier place and commits later is told of all the same.
#[tokio::test]
async fn i15_what_is_committed_late_is_told() {
    let imd = start(Transport::Grpc).await;
    let with_receipts = |settings: &mut Settings| {
        local(settings);
        settings.messages.read_receipts = true;
    };
    let (_other, api) = imd.start_node_with(with_receipts).await;
    let mut receiver = Receiver::start().await;
    imd.admin().create_webhook(&receiver.url, &["message.sent", "read"]).await.expect("a webhook");
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await.through(api);
    ann.say("bob", "one").await;
    receiver.said("message.sent").await;
    let mut sql = imd.database.sql().await;
    // Somebody whose events go with bob's.
    let beside = "SELECT u.user_id FROM users u, users bob
         WHERE bob.user_id = 'bob' AND u.user_no % 16 = bob.user_no % 16 AND u.user_no <> bob.user_no";
    for n in 0..16 {
        imd.user(&format!("user-{n}")).await;
    }
    let user_id: String = sql.query_one(beside, &[]).await.expect("a user").get(0);
    let cleo = imd.log_in(&user_id, "phone", "cleo").await;

    // The transaction of bob's mark has written its event, and then waits to tell ann.
    let held = sql.transaction().await.expect("a transaction");
    let insert = "INSERT INTO read_marks (owner, conversation, peer_read_seq)
         SELECT ann.user_no, bob.user_no, 0 FROM users ann, users bob
         WHERE ann.user_id = 'ann' AND bob.user_id = 'bob'";
    held.execute(insert, &[]).await.expect("held");
    let marking = tokio::spawn(async move {
        let seq = bob.timeline().await.last().expect("the message").seq;
        bob.mark_read("ann", seq).await
    });
    eventually("the mark waits", async || {
        let sql = imd.database.sql().await;
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
             AND wait_event_type = 'Lock'";
        let waiting: i64 = sql.query_one(waiting, &[]).await.expect("a number").get(0);
        (waiting > 0).then_some(())
    })
    .await;
    cleo.say(&user_id, "later").await;
    assert_eq!(receiver.said("message.sent").await["text"], "later");
    held.rollback().await.expect("let go");
    marking.await.expect("no panic").expect("marked");
    assert_eq!(receiver.said("read").await["user_id"], "bob");
}

/// Nodes are killed while they write and deliver: nothing is lost, and each user's order holds.
#[tokio::test]
async fn i15_nothing_is_lost_or_out_of_order_though_nodes_are_killed() {
    const EACH: usize = 40;
    const KILLS: usize = 4;
    let database = Database::create().await;
    let node = Node::start_with(&database, local).await;
    let imd = Cluster::of(Transport::Grpc, database, node);
    let mut receiver = Receiver::start().await;
    let made = imd.admin().create_webhook(&receiver.url, &["message.sent"]).await;
    let webhook_id = made.expect("a webhook").0.webhook_id;
    let mut terminals = Vec::new();
    for n in 0..6 {
        terminals.push(imd.user_with_phone(&format!("user-{n}")).await);
    }
    let folder = DataFolder::new();
    let settings = [
        ("IMD_DATABASE_URL", imd.database.url()),
        ("IMD_WEBHOOKS_ALLOW_PRIVATE", "true"),
        ("IMD_WEBHOOKS_TIMEOUT", "1s"),
        ("IMD_DATABASE_POOL_SIZE", "6"),
    ];
    for round in 0..KILLS {
        let mut killed = folder.start_with(&settings).await;
        // The other one delivers nothing meanwhile: who is killed has it all to do.
        if round % 2 == 0 {
            receiver.answers(Answer::Nothing);
        }
        let api = Transport::Grpc.connect(killed.public);
        let through: Vec<_> = terminals.iter().map(|t| t.through(api.clone())).collect();
        let talking = through.iter().enumerate().map(async |(n, terminal)| {
            let mut sent = 0;
            for text in round * EACH..(round + 1) * EACH {
                let message =
                    crate::support::api::Outgoing::text(&terminal.user_id, text.to_string());
                if terminal.send(&message).await.is_err() {
                    // Whether it is stored is not known: sent again, as clients do.
                    let again = terminals[n].send(&message);
                    again.await.expect("the other node takes it");
                }
                sent += 1;
            }
            sent
        });
        let kill = async {
            receiver.next_into_waiting().await;
            killed.end(nix::sys::signal::Signal::SIGKILL).await;
        };
        futures::future::join(futures::future::join_all(talking), kill).await;
    }
    let mut events = Vec::new();
    let told = loop {
        events.push(receiver.event_within(std::time::Duration::from_secs(30)).await);
        let (told, doubles) = by_sender(&events);
        if told.values().map(Vec::len).sum::<usize>() == 6 * KILLS * EACH {
            println!("{} events, {doubles} of them twice", events.len());
            break told;
        }
    };
    for (sender, texts) in told {
        assert_eq!(texts, (0..KILLS * EACH).collect::<Vec<_>>(), "{sender}");
    }
    eventually("nothing waits", async || {
        let webhook = imd.admin().webhook(&webhook_id).await.expect("a webhook");
        (webhook.waiting == 0).then_some(())
    })
    .await;
}
