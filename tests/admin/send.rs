//! Messages of backends, which come from no terminal.

use imd_proto::v1::{
    AdminSendRequest, AdminSender, Role, SendRequest, UserState,
    admin_send_result::Result as Answer,
    admin_sender::From,
    send_request::{Content, To},
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    append::assert_dense,
    groups::{IN_OSLO, OSLO, group_of},
    support::{
        admin::Admin,
        api::{GroupCall, Outgoing},
        cluster::{Cluster, login},
        eventually, on_both_transports,
        terminal::Terminal,
    },
};

on_both_transports! {
    i6_what_a_backend_sends_as_a_user_is_on_all_terminals_of_both,
    the_system_speaks_under_a_name_that_nobody_logs_in_as,
    silence_is_told_to_every_participant,
    the_senders_own_terminals_are_spared_what_they_are_to_be_spared,
}

fn as_user(user_id: &str, to: To, text: &str) -> AdminSendRequest {
    from(From::UserId(user_id.to_owned()), to, text)
}

/// A text that the system sends under a name.
pub(crate) fn as_system(name: &str, to: To, text: &str) -> AdminSendRequest {
    from(From::System(name.to_owned()), to, text)
}

fn from(from: From, to: To, text: &str) -> AdminSendRequest {
    let message = SendRequest {
        to: Some(to),
        client_message_id: Uuid::new_v4().to_string(),
        content: Some(Content::Text(text.to_owned())),
        ..Default::default()
    };
    AdminSendRequest {
        from: Some(AdminSender { from: Some(from) }),
        message: Some(message),
        ..Default::default()
    }
}

/// To a user.
pub(crate) fn user(user_id: &str) -> To {
    To::UserId(user_id.to_owned())
}

fn oslo() -> To {
    To::GroupId(OSLO.to_owned())
}

async fn backend(imd: &Cluster) -> Admin {
    let key = imd.admin().create_key("shop", Role::Backend).await.expect("a key");
    Admin::new(imd.node.admin_address(), &key)
}

/// What a terminal's timeline says, once it holds so many messages.
async fn said(terminal: &Terminal, messages: usize) -> Vec<String> {
    eventually("the messages", async || {
        let texts = terminal.texts().await;
        (texts.len() >= messages).then_some(texts)
    })
    .await
}

async fn i6_what_a_backend_sends_as_a_user_is_on_all_terminals_of_both(imd: Cluster) {
    let (_node, elsewhere) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await.through(elsewhere);
    let ben = imd.user_with_phone("ben").await;
    let shop = backend(&imd).await;
    let mut feeds = Vec::new();
    for terminal in [&ann, &pc, &ben] {
        feeds.push(terminal.follow("now").await);
    }
    let message = as_user("ann", user("ben"), "your order is on its way");
    let sent = shop.send(message.clone()).await.expect("sent");
    assert!(!sent.duplicate);
    assert_eq!(sent.conversation_id, "user:ben");
    for feed in &mut feeds {
        let entry = feed.entry().await;
        assert_eq!(entry.text(), "your order is on its way");
        assert_eq!(entry.message().sender_id, "ann");
        assert_eq!(entry.message().message_id, sent.message_id);
    }

    let again = shop.send(message.clone()).await.expect("stored before");
    assert!(again.duplicate);
    assert_eq!((&again.message_id, &again.cursor), (&sent.message_id, &sent.cursor));
    let mut other = message.clone();
    other.message.as_mut().expect("a message").content = Some(Content::Text("other".to_owned()));
    let refused = shop.send(other).await.expect_err("another content");
    assert_eq!(refused.code, "client_message_id_conflict");

    // A user who cannot log in can be spoken for, one that is gone cannot.
    imd.admin().disable("ann", "").await.expect("disabled");
    shop.send(as_user("ann", user("ben"), "still")).await.expect("sent");
    imd.admin().delete("ann", false).await.expect("deleted");
    let refused = shop.send(as_user("ann", user("ben"), "gone")).await.expect_err("no sender");
    assert_eq!(refused.code, "user_not_found");
    assert_eq!(ben.texts().await, ["your order is on its way", "still"]);
    assert_dense(&imd.database).await;
}

async fn the_system_speaks_under_a_name_that_nobody_logs_in_as(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let shop = backend(&imd).await;
    let mut feed = ann.follow("now").await;
    for text in ["welcome", "your order is on its way"] {
        shop.send(as_system("orders", user("ann"), text)).await.expect("sent");
        let entry = feed.entry().await;
        assert_eq!((entry.text(), entry.message().sender_id.as_str()), (text, "orders"));
    }
    let account = imd.admin().user("orders").await.expect("an account");
    assert_eq!(account.state(), UserState::System);
    let refused = imd.api.login(&login("orders", "phone", "p")).await.expect_err("nobody's");
    assert_eq!(refused.code, "invalid_credentials");
    // A bot is asked, and its backend speaks for it again.
    ann.say("orders", "where is it?").await;

    let refused = shop.send(as_system("ann", user("ann"), "x")).await.expect_err("a user's id");
    assert_eq!(refused.field(), "from.system");
    let refused = shop.send(as_system("a b", user("ann"), "x")).await.expect_err("no id");
    assert_eq!(refused.field(), "from.system");
    let records = imd.admin().audit("orders", 0, "").await.expect("records").records;
    let of_account: Vec<_> =
        records.iter().map(|r| (r.actor.as_str(), r.action.as_str())).collect();
    assert_eq!(of_account, [("shop", "create_user")]);
}

async fn silence_is_told_to_every_participant(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let shop = backend(&imd).await;
    for (to, conversation) in [(user("ben"), "user:ann"), (oslo(), IN_OSLO)] {
        let message = as_user("ann", to, "hush");
        shop.send(AdminSendRequest { silent: true, ..message.clone() }).await.expect("sent");
        let message = AdminSendRequest { no_push: true, ..message };
        let refused = shop.send(message.clone()).await.expect("the same message");
        assert!(refused.duplicate, "how it is made known is no part of what it says");
        let client_message_id = Uuid::new_v4().to_string();
        let inner = message.message.clone().expect("a message");
        let inner = SendRequest { client_message_id, ..inner };
        shop.send(AdminSendRequest { message: Some(inner), ..message }).await.expect("sent");
        let notices = async |terminal: &Terminal, of: &str| {
            eventually("both", async || {
                let entries = terminal.timeline().await;
                let messages = entries.iter().filter_map(|entry| entry.as_message());
                let of_conversation = messages.filter(|message| message.conversation_id == of);
                let notices: Vec<_> = of_conversation.map(|m| (m.silent, m.no_push)).collect();
                (notices.len() == 2).then_some(notices)
            })
            .await
        };
        let of_ann = if conversation == IN_OSLO { IN_OSLO } else { "user:ben" };
        assert_eq!(notices(&ann, of_ann).await, [(true, false), (false, true)]);
        assert_eq!(notices(&ben, conversation).await, [(true, false), (false, true)]);
    }
    ann.say("ben", "loud").await;
    let last = ben.timeline().await.pop().expect("a message");
    assert!(!last.message().silent && !last.message().no_push);
}

async fn the_senders_own_terminals_are_spared_what_they_are_to_be_spared(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let shop = backend(&imd).await;
    let spared = |message| AdminSendRequest { sender_timeline: Some(false), ..message };
    let scenes =
        [(user("ben"), "user:ben", "user:ann", "ann"), (oslo(), IN_OSLO, IN_OSLO, IN_OSLO)];
    for (to, of_ann, of_ben, peer) in scenes {
        let mut feeds = [ann.follow("now").await, ben.follow("now").await];
        let message = spared(as_user("ann", to, "a reminder"));
        let sent = shop.send(message.clone()).await.expect("sent");
        let [own, theirs] = &mut feeds;
        let told = own.entry().await;
        assert_eq!(told.message().tombstone, Some("DELETED".to_owned()));
        assert_eq!(told.message().message_id, sent.message_id);
        assert_eq!(theirs.entry().await.text(), "a reminder");
        let again = shop.send(message).await.expect("stored before");
        assert!(again.duplicate);
        assert_eq!((&again.message_id, &again.cursor), (&sent.message_id, &sent.cursor));

        // What is read later says the same as what came.
        let read = ann.timeline().await.pop().expect("an entry");
        assert_eq!(read, told);
        let read = ben.timeline().await.pop().expect("an entry");
        assert_eq!((read.text(), read.message().conversation_id.as_str()), ("a reminder", of_ben));
        let listed = ann.conversations(0).await;
        assert!(listed.iter().all(|listed| listed.conversation_id != of_ann), "{listed:?}");
        // It can be answered, and recalled on every terminal.
        let reply_to = sent.message_id.clone();
        let answer = Outgoing { reply_to, ..Outgoing::text(peer, "thank you") };
        ben.send(&answer).await.expect("sent");
        assert_eq!(own.entry().await.text(), "thank you");
        ann.recall(&sent.message_id).await.expect("recalled");
        let messages = ben.timeline().await;
        let mut messages = messages.iter().filter_map(|entry| entry.as_message());
        let gone = messages.find(|message| message.message_id == sent.message_id);
        assert_eq!(gone.and_then(|gone| gone.tombstone.as_deref()), Some("RECALLED"));
    }
    let note = spared(as_user("ann", user("ann"), "x"));
    assert_eq!(shop.send(note).await.expect_err("to oneself").field(), "sender_timeline");
    assert_dense(&imd.database).await;
}

#[tokio::test]
async fn what_the_recipient_wants_counts_unless_it_is_bypassed_which_is_recorded() {
    let imd = Cluster::start(crate::support::api::Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("ben").await;
    ann.block("ben").await.expect("blocked");
    let shop = backend(&imd).await;
    let message = as_user("ben", user("ann"), "an urgent recall");
    let refused = shop.send(message.clone()).await.expect_err("blocked");
    assert_eq!(refused.code, "blocked");
    let back = shop.send(as_user("ann", user("ben"), "x")).await.expect_err("ann blocks ben");
    assert_eq!(back.code, "recipient_blocked");
    shop.send(AdminSendRequest { bypass: true, ..message }).await.expect("stored all the same");
    assert_eq!(ann.texts().await, ["an urgent recall"]);

    let records = imd.admin().audit("", 0, "").await.expect("records").records;
    let bypassing: Vec<_> = records.iter().filter(|r| r.action == "send_bypassing").collect();
    assert_eq!(bypassing.len(), 1);
    assert_eq!(bypassing[0].actor, "shop");
    assert_eq!(bypassing[0].details, json!({ "messages": 1, "from": ["ben"] }).to_string());
    assert_dense(&imd.database).await;
}

#[tokio::test]
async fn i13_a_group_takes_what_is_bypassed_in_its_one_order() {
    let imd = Cluster::start(crate::support::api::Transport::Grpc).await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let shop = backend(&imd).await;
    ann.group(GroupCall::Update(OSLO.to_owned(), json!({ "muted": true }))).await.expect("muted");
    for (sender, code) in [("ben", "muted"), ("orders", "not_a_member")] {
        let message = match sender {
            "ben" => as_user("ben", oslo(), "x"),
            name => as_system(name, oslo(), "x"),
        };
        assert_eq!(shop.send(message).await.expect_err(sender).code, code);
    }
    let past = |message| AdminSendRequest { bypass: true, ..message };
    shop.send(past(as_system("orders", oslo(), "the train is late"))).await.expect("stored");
    shop.send(past(as_user("ben", oslo(), "so am I"))).await.expect("stored");
    ann.send(&Outgoing::text(IN_OSLO, "never mind")).await.expect("sent");
    for member in [&ann, &ben] {
        assert_eq!(said(member, 3).await, ["the train is late", "so am I", "never mind"]);
    }
    assert_dense(&imd.database).await;
}

#[tokio::test]
async fn a_batch_is_stored_in_its_order_and_each_message_has_its_result() {
    let imd = Cluster::start(crate::support::api::Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    imd.user("cleo").await;
    let shop = backend(&imd).await;
    let senders = ["ben", "cleo"];
    let mut batch: Vec<AdminSendRequest> =
        (0..500).map(|n| as_user(senders[n % 2], user("ann"), &n.to_string())).collect();
    batch[100] = as_user("nobody", user("ann"), "x");
    batch[200] = as_user("ben", user("nobody"), "x");
    batch[300].message.as_mut().expect("a message").client_message_id = "x".to_owned();
    batch[400].from = None;
    let wrong = [100, 200, 300, 400];
    for round in 0..2 {
        let results = shop.send_batch(batch.clone()).await.expect("results");
        assert_eq!(results.len(), 500);
        let mut last: [i64; 2] = [0; 2];
        for (n, result) in results.iter().enumerate() {
            match result {
                Answer::Sent(sent) => {
                    assert_eq!(sent.duplicate, round == 1, "{n}");
                    assert!(sent.seq > last[n % 2], "{n}");
                    last[n % 2] = sent.seq;
                    assert!(!wrong.contains(&n));
                }
                Answer::Error(error) => {
                    let field = error.details.get("field").map_or("", String::as_str);
                    let (code, named) = match n {
                        100 | 200 => ("user_not_found", ""),
                        300 => ("invalid_argument", "client_message_id"),
                        _ => ("invalid_argument", "from"),
                    };
                    assert_eq!((error.code.as_str(), field), (code, named), "{n}");
                    assert!(wrong.contains(&n), "{n}");
                }
            }
        }
    }
    let texts = ann.texts().await;
    for parity in 0..2 {
        let of_sender: Vec<usize> =
            texts.iter().filter_map(|text| text.parse().ok()).filter(|n| n % 2 == parity).collect();
        let expected: Vec<usize> =
            (0..500).filter(|n| n % 2 == parity && !wrong.contains(n)).collect();
        assert_eq!(of_sender, expected);
    }
    assert_eq!(ben.texts().await.len(), 246, "what was sent as ben stands in its timeline once");
    for count in [0, 501] {
        let many = vec![as_user("ben", user("ann"), "x"); count];
        assert_eq!(shop.send_batch(many).await.expect_err("too many or none").field(), "messages");
    }
    assert_dense(&imd.database).await;
}
