//! Who is told, of what, and who is not.

use std::time::Duration;

use imd::config::Settings;
use imd_proto::v1::{AdminSendRequest, kick_sessions_request::Which};
use reqwest::Method;
use serde_json::{Value, json};

use super::{DELAY, bind, by_webhook, call, provider::Provider, with_webhook};
use crate::{
    admin::send::{as_system, user},
    support::{
        api::{GroupCall, Outgoing, Transport},
        cluster::Cluster,
        eventually,
        feed::Feed,
    },
};

/// The token and what of a notification is asked after.
fn parts((token, told): &(String, Value)) -> (&str, &str, u64) {
    let text = told["text"].as_str().unwrap_or_default();
    (token, text, told["count"].as_u64().expect("a count"))
}

#[tokio::test]
async fn i16_whoever_has_the_message_is_not_told_and_whoever_lags_is() {
    let mut provider = Provider::start().await;
    let imd = with_webhook(Transport::Grpc, &provider.url).await;
    let ann = imd.user_with_phone("ann").await;
    let phone = imd.user_with_phone("bob").await;
    let pad = imd.log_in("bob", "pad", "tablet").await;
    let pc = imd.log_in("bob", "pc", "desk").await;
    let unbound = imd.log_in("bob", "web", "browser").await;
    for (terminal, token) in [(&phone, "phone"), (&pad, "pad"), (&pc, "pc"), (&ann, "ann")] {
        bind(&imd, terminal, token).await;
    }
    // One has a stream, one pulls in time, one is away.
    let mut on_phone = phone.follow("now").await;
    ann.say("bob", "one").await;
    assert_eq!(on_phone.entry().await.text(), "one");
    pc.pull("").await.expect("the timeline");
    assert_eq!(parts(&provider.told(1).await[0]), ("pad", "one", 1));
    provider.gets_nothing().await;
    // Now two are away; each is told of what it does not have.
    drop(on_phone);
    ann.say("bob", "two").await;
    let told = provider.told(3).await;
    let told: Vec<_> = told.iter().map(parts).collect();
    assert_eq!(told, [("pad", "two", 1), ("pc", "two", 1), ("phone", "two", 1)]);
    provider.gets_nothing().await;
    // What one's own other terminal sends is told nobody.
    unbound.say("bob", "a note").await;
    unbound.say("ann", "an answer").await;
    assert_eq!(parts(&provider.told(1).await[0]), ("ann", "an answer", 1));
    provider.gets_nothing().await;
}

#[tokio::test]
async fn of_each_conversation_the_newest_unread_message_is_told() {
    let mut provider = Provider::start().await;
    let imd = with_webhook(Transport::Grpc, &provider.url).await;
    let ann = imd.user_with_phone("ann").await;
    let carl = imd.user_with_phone("carl").await;
    let phone = imd.user_with_phone("bob").await;
    let pc = imd.log_in("bob", "pc", "desk").await;
    bind(&imd, &phone, "phone").await;
    ann.say("bob", "read elsewhere").await;
    let read = pc.timeline().await.last().expect("a message").seq;
    pc.mark_read("ann", read).await.expect("marked");
    let recalled = carl.say("bob", "a slip").await;
    for text in ["one", "two", "three"] {
        carl.say("bob", text).await;
    }
    carl.recall(&recalled.message_id).await.expect("recalled");
    let (token, told) = provider.next().await.told();
    assert_eq!(parts(&(token, told.clone())), ("phone", "three", 3));
    assert_eq!(told["conversation_id"], "user:carl");
    provider.gets_nothing().await;
}

#[tokio::test]
async fn the_badge_is_what_is_unread_whatever_comes_between_two_notifications() {
    let mut provider = Provider::start().await;
    let imd = with_webhook(Transport::Grpc, &provider.url).await;
    let [ann, carl] = [imd.user_with_phone("ann").await, imd.user_with_phone("carl").await];
    let phone = imd.user_with_phone("bob").await;
    let pc = imd.log_in("bob", "pc", "desk").await;
    bind(&imd, &phone, "phone").await;
    let mut badge = async |text: &str| {
        let told = provider.told(1).await;
        assert_eq!(told[0].1["text"].as_str(), Some(text));
        told[0].1["badge"].clone()
    };
    for (said, text) in [(1, "one"), (2, "two"), (3, "three")] {
        ann.say("bob", text).await;
        assert_eq!(badge(text).await, json!(said));
    }
    carl.say("bob", "four").await;
    assert_eq!(badge("four").await, json!(4));
    // An answer from another terminal says that what came before it is read.
    pc.say("ann", "an answer").await;
    carl.say("bob", "five").await;
    assert_eq!(badge("five").await, json!(2));
    // What is recalled is not there to be read, and neither is what the user has read elsewhere.
    let slip = ann.say("bob", "a slip").await;
    assert_eq!(badge("a slip").await, json!(3));
    ann.recall(&slip.message_id).await.expect("recalled");
    let read = pc.timeline().await.last().expect("a message").seq;
    pc.mark_read("carl", read).await.expect("marked");
    ann.say("bob", "six").await;
    // Before it, the phone may be told that conversations are cleared.
    let told = loop {
        let (_, told) = provider.next().await.told();
        if told["text"] == "six" {
            break told;
        }
    };
    assert_eq!(told["badge"], json!(1));
}

#[tokio::test]
async fn members_of_a_group_are_told_and_what_is_told_is_what_they_wish() {
    let mut provider = Provider::start().await;
    let imd = with_webhook(Transport::Grpc, &provider.url).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carl = imd.user_with_phone("carl").await;
    let create = json!({ "group_id": "g", "name": "G", "member_ids": ["bob", "carl"] });
    ann.group(GroupCall::Create(create)).await.expect("a group");
    for (terminal, content) in [(&bob, "SENDER"), (&carl, "ID")] {
        let body = json!({
            "provider": "webhook", "token": terminal.user_id, "content": content,
        });
        call(&imd.node, terminal, Method::POST, Some(body)).await.expect("it is bound");
    }
    let mentioning =
        Outgoing { mentions: vec!["bob".to_owned()], ..Outgoing::text("group:g", "x") };
    let sent = ann.send(&mentioning).await.expect("sent");
    let told = provider.told(2).await;
    let [(_, of_bob), (_, of_carl)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(
        (&of_bob["conversation_id"], &of_bob["sender_id"], &of_bob["mentioned"]),
        (&json!("group:g"), &json!("ann"), &json!(true))
    );
    assert_eq!(
        (&of_carl["message_id"], &of_bob["message_id"]),
        (&json!(sent.message_id), &json!(sent.message_id))
    );
    assert!(of_bob.get("text").is_none(), "{of_bob}");
    for hidden in ["text", "sender_id", "conversation_id", "mentioned"] {
        assert!(of_carl.get(hidden).is_none(), "{of_carl}");
    }
}

#[tokio::test]
async fn a_token_ends_with_its_session_and_is_nobody_elses() {
    let mut provider = Provider::start().await;
    let imd = with_webhook(Transport::Grpc, &provider.url).await;
    let ann = imd.user_with_phone("ann").await;
    let phone = imd.user_with_phone("bob").await;
    let pad = imd.log_in("bob", "pad", "tablet").await;
    let pc = imd.log_in("bob", "pc", "desk").await;
    for (terminal, token) in [(&phone, "phone"), (&pad, "pad"), (&pc, "pc")] {
        bind(&imd, terminal, token).await;
    }
    // Of another session, and of a user: nothing happens to the others.
    call(&imd.node, &ann, Method::DELETE, None).await.expect("nothing to remove");
    call(&imd.node, &pc, Method::DELETE, None).await.expect("removed");
    let which = Which::SessionId(phone.session_id().to_owned());
    imd.admin().kick("bob", Some(which), "lost").await.expect("kicked");
    ann.say("bob", "hello").await;
    assert_eq!(parts(&provider.told(1).await[0]), ("pad", "hello", 1));
    provider.gets_nothing().await;
    let state = call(&imd.node, &pad, Method::GET, None).await.expect("its state");
    assert_eq!(
        state,
        json!({ "providers": ["webhook"], "web_push_key": "", "provider": "webhook" })
    );
    let sql = imd.database.sql().await;
    eventually("what is over is forgotten", async || {
        let left: i64 = sql.query_one("SELECT count(*) FROM push_tokens", &[]).await.ok()?.get(0);
        (left == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn of_a_muted_conversation_only_what_mentions_one_is_told() {
    let mut provider = Provider::start().await;
    let imd = with_webhook(Transport::Grpc, &provider.url).await;
    let [ann, carl] = [imd.user_with_phone("ann").await, imd.user_with_phone("carl").await];
    let bob = imd.user_with_phone("bob").await;
    let create = json!({ "group_id": "g", "name": "G", "member_ids": ["bob", "carl"] });
    ann.group(GroupCall::Create(create)).await.expect("a group");
    bind(&imd, &bob, "phone").await;
    let mute = || json!({ "muted_until": "2100-01-01T00:00:00Z" });
    bob.set("group:g", mute()).await.expect("muted");
    bob.set("carl", mute()).await.expect("muted");
    ann.say("group:g", "to all").await;
    carl.say("bob", "a secret").await;
    ann.say("bob", "not muted").await;
    let told = provider.told(1).await;
    assert_eq!((parts(&told[0]), &told[0].1["badge"]), (("phone", "not muted", 1), &json!(1)));
    let mention =
        Outgoing { mentions: vec!["bob".to_owned()], ..Outgoing::text("group:g", "@bob") };
    ann.send(&mention).await.expect("sent");
    carl.say("group:g", "and on it goes").await;
    let told = provider.told(1).await;
    assert_eq!((parts(&told[0]), &told[0].1["badge"]), (("phone", "@bob", 1), &json!(2)));
    let all = Outgoing { mention_all: true, ..Outgoing::text("group:g", "@all") };
    ann.send(&all).await.expect("sent");
    assert_eq!(parts(&provider.told(1).await[0]), ("phone", "@all", 1));
    provider.gets_nothing().await;
    // No longer muted.
    bob.set("carl", json!({ "muted_until": null })).await.expect("not muted");
    carl.say("bob", "hello").await;
    let told = provider.told(1).await;
    assert_eq!((parts(&told[0]), &told[0].1["badge"]), (("phone", "hello", 1), &json!(5)));
    provider.gets_nothing().await;
}

/// As after the death of the node that appended them: it tells nobody, and another one looks.
#[tokio::test]
async fn what_one_node_has_not_told_another_does_and_two_tell_nobody_twice() {
    let mut provider = Provider::start().await;
    // Its first node tells nobody.
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let url = provider.url.clone();
    let tells = |settings: &mut Settings| by_webhook(settings, &url);
    let (one, api) = imd.start_node_with(tells).await;
    let (_two, _) = imd.start_node_with(tells).await;
    let names: Vec<String> = (0..10).map(|n| format!("user{n}")).collect();
    for name in &names {
        let terminal = imd.user_with_phone(name).await.through(api.clone());
        let body = json!({ "provider": "webhook", "token": name });
        call(&one, &terminal, Method::POST, Some(body)).await.expect("it is bound");
    }
    for name in &names {
        ann.say(name, "hello").await;
    }
    let told = provider.told(10).await;
    let tokens: Vec<&str> = told.iter().map(|(token, _)| token.as_str()).collect();
    assert_eq!(tokens, names.iter().map(String::as_str).collect::<Vec<_>>());
    // And through a node that tells: it and the sweep of the other look at the same.
    let ann = ann.through(api);
    for name in &names {
        ann.say(name, "again").await;
    }
    let told = provider.told(10).await;
    assert!(told.iter().all(|(_, told)| told["text"] == "again" && told["count"] == 1), "{told:?}");
    provider.gets_nothing().await;
}

#[tokio::test]
async fn a_terminal_is_told_no_sooner_than_it_may_have_come_back() {
    let mut provider = Provider::start().await;
    let imd = with_webhook(Transport::Grpc, &provider.url).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    bind(&imd, &bob, "phone").await;
    let carl = imd.user_with_phone("carl").await;
    bind(&imd, &carl, "carl").await;
    let began = std::time::Instant::now();
    ann.say("bob", "first").await;
    provider.next().await;
    assert!(began.elapsed() + Duration::from_millis(100) >= DELAY, "{:?}", began.elapsed());
    // It comes back before the delay is over.
    ann.say("bob", "second").await;
    let mut feed: Feed = bob.follow("last=1").await;
    assert_eq!(feed.entry().await.text(), "second");
    ann.say("carl", "third").await;
    assert_eq!(parts(&provider.told(1).await[0]), ("carl", "third", 1), "it came back in time");
}

#[tokio::test]
async fn of_a_message_that_wants_no_push_nobody_is_told() {
    let mut provider = Provider::start().await;
    let imd = with_webhook(Transport::Grpc, &provider.url).await;
    let phone = imd.user_with_phone("bob").await;
    bind(&imd, &phone, "phone").await;
    for (text, no_push) in [("told", false), ("not told", true)] {
        let message = as_system("notices", user("bob"), text);
        imd.admin().send(AdminSendRequest { no_push, ..message }).await.expect("sent");
    }
    assert_eq!(parts(&provider.told(1).await[0]), ("phone", "told", 1));
    provider.gets_nothing().await;
}
