//! What the hook is asked, and what becomes of its answers.

use aws_lc_rs::hmac;
use axum::http::HeaderMap;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use imd::model::PolicyOnFailure::Refuse;
use serde_json::json;

use super::{
    KEY,
    hook::{Answer, Way},
    start, start_with,
};
use crate::{
    admin::send::{as_system, user},
    groups::{create, text},
    support::{
        api::{Outgoing, ScheduleCall, Transport},
        types::Content,
    },
};

/// Has users write all that the hook is asked about, and checks what it is asked; the first request.
pub(super) async fn first_of_all_questions(way: Way, transport: Transport) -> (HeaderMap, Bytes) {
    let (imd, mut hook) = start_with(way, transport, Refuse).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let message = Outgoing::text("bob", "hello");
    let sent = ann.send(&message).await.expect("sent");
    let (headers, body) = hook.next().await;
    let asked: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let expected = json!({
        "kind": "message", "sender_id": "ann", "session_id": ann.session_id(),
        "terminal": { "type": "phone", "device_id": "ann-phone", "device_name": "ann's ann-phone" },
        "address": "127.0.0.1",
        "recipient_id": "bob", "client_message_id": message.client_message_id, "text": "hello",
    });
    assert_eq!(asked, expected);

    let data = Outgoing::data("bob", "image/png", &[1, 2, 3]);
    ann.send(&Outgoing { reply_to: sent.message_id.clone(), ..data }).await.expect("sent");
    let asked = hook.question().await;
    assert_eq!((&asked["content_type"], &asked["data"]), (&json!("image/png"), &json!("AQID")));
    let quoted = json!({ "message_id": sent.message_id, "sender_id": "ann" });
    assert_eq!(asked["reply_to"], quoted);

    create(&ann, &["bob"]).await;
    let mention = Outgoing { mentions: vec!["bob".to_owned()], ..text("to all") };
    ann.send(&mention).await.expect("sent");
    let asked = hook.question().await;
    assert_eq!((&asked["group_id"], &asked["mentions"]), (&json!("oslo"), &json!(["bob"])));

    ann.edit(&sent.message_id, "changed").await.expect("edited");
    let asked = hook.question().await;
    assert_eq!(
        (&asked["kind"], &asked["message_id"], &asked["text"]),
        (&json!("edit"), &json!(sent.message_id), &json!("changed"))
    );
    // A backend has no need to be asked by imd.
    imd.admin().send(as_system("orders", user("ann"), "on its way")).await.expect("sent");
    assert_eq!(hook.asked(), 4);
    (headers, body)
}

#[tokio::test]
async fn the_hook_is_asked_about_what_users_write_and_can_check_who_asks() {
    let (headers, body) = first_of_all_questions(Way::Http, Transport::Grpc).await;
    let header = |name: &str| headers[name].to_str().expect("ASCII");
    let signed =
        [format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes(), &body]
            .concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    let signature = BASE64_STANDARD.encode(hmac::sign(&key, &signed));
    assert_eq!(header("webhook-signature"), format!("v1,{signature}"));
}

#[tokio::test]
async fn what_the_hook_refuses_is_stored_nowhere_and_its_sender_is_told_why() {
    for (way, transport) in [(Way::Http, Transport::Grpc), (Way::Grpc, Transport::Rest)] {
        let (imd, hook) = start_with(way, transport, Refuse).await;
        let ann = imd.user_with_phone("ann").await;
        let bob = imd.user_with_phone("bob").await;
        let sent = ann.say("bob", "hello").await;
        let refusal = json!({ "action": "refuse", "code": "spam", "text": "No advertising here." });
        hook.answers(Answer::Json(refusal));
        let refused = ann.send(&Outgoing::text("bob", "buy!")).await.expect_err("refused");
        assert_eq!(refused.code, "policy_refused");
        assert_eq!(refused.detail("policy_code"), "spam");
        assert!(refused.message.contains("No advertising here."), "{refused:?}");
        let refused = ann.edit(&sent.message_id, "buy!").await.expect_err("refused");
        assert_eq!(refused.code, "policy_refused");
        assert_eq!(
            (ann.texts().await, bob.texts().await),
            (vec!["hello".to_owned()], vec!["hello".to_owned()])
        );
    }
}

#[tokio::test]
async fn what_the_hook_says_instead_is_stored_and_a_retry_is_known() {
    for way in [Way::Http, Way::Grpc] {
        Box::pin(rewrite(way)).await;
    }
}

async fn rewrite(way: Way) {
    let (imd, mut hook) = start_with(way, Transport::Grpc, Refuse).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    hook.answers(Answer::Json(json!({ "action": "rewrite", "text": "d**n" })));
    let message = Outgoing::text("bob", "damn");
    let sent = ann.send(&message).await.expect("sent");
    hook.question().await;
    assert_eq!(
        (ann.texts().await, bob.texts().await),
        (vec!["d**n".to_owned()], vec!["d**n".to_owned()])
    );
    hook.answers(Answer::Status(500));
    let again = ann.send(&message).await.expect("known");
    assert!(again.duplicate && again.message_id == sent.message_id, "{again:?}");
    assert_eq!(hook.asked(), 1, "the hook is not asked about a message that stands");
    let other = Outgoing { content: Some(Content::Text("other".to_owned())), ..message };
    let refused = ann.send(&other).await.expect_err("another message");
    assert_eq!(refused.code, "client_message_id_conflict");

    let picture = json!({ "action": "rewrite", "content_type": "image/png", "data": "AQID" });
    hook.answers(Answer::Json(picture));
    ann.edit(&sent.message_id, "once more").await.expect("edited");
    let entry = bob.timeline().await.into_iter().find(|entry| entry.as_message().is_some());
    let content = entry.expect("the message").message().content.clone();
    assert_eq!(
        content,
        Some(Content::Data { content_type: "image/png".to_owned(), data: vec![1, 2, 3] })
    );
}

#[tokio::test]
async fn what_imd_refuses_itself_the_hook_is_not_asked_about() {
    let (imd, hook) = start(Transport::Grpc, Refuse).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    bob.block("ann").await.expect("blocked");
    for (to, code) in [("bob", "blocked"), ("nobody", "user_not_found"), ("", "invalid_argument")] {
        let refused = ann.send(&Outgoing::text(to, "x")).await.expect_err(code);
        assert_eq!(refused.code, code);
    }
    let old = ann.token.clone();
    imd.log_in("ann", "phone", "other").await;
    let refused = ann.send(&Outgoing::text("ann", "x")).await.expect_err("ended");
    assert_eq!((refused.code.as_str(), old.is_empty()), ("session_ended", false));
    assert_eq!(hook.asked(), 0);
}

#[tokio::test]
async fn the_hook_is_asked_about_a_scheduled_message_when_it_is_scheduled_and_changed() {
    let (imd, hook) = start(Transport::Grpc, Refuse).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let later = (time::OffsetDateTime::now_utc() + time::Duration::hours(1))
        .format(&time::format_description::well_known::Rfc3339)
        .expect("a time");
    let message = Outgoing::text("bob", "buy!");
    let schedule = || ScheduleCall::Schedule(message.clone(), later.clone());
    hook.answers(Answer::Json(json!({ "action": "refuse" })));
    let refused = ann.schedule(schedule()).await.expect_err("refused");
    assert_eq!(refused.code, "policy_refused");
    hook.answers(Answer::Json(json!({ "action": "rewrite", "text": "good day" })));
    let scheduled = ann.schedule(schedule()).await.expect("scheduled");
    assert_eq!(scheduled["scheduled_message"]["text"], "good day");
    hook.answers(Answer::Json(json!({ "action": "refuse" })));
    let change = ScheduleCall::Update(message.client_message_id.clone(), json!({ "text": "buy!" }));
    assert_eq!(ann.schedule(change).await.expect_err("refused").code, "policy_refused");
    assert_eq!(hook.asked(), 3);
    let listed = ann.schedule(ScheduleCall::List(0, String::new())).await.expect("a page");
    assert_eq!(listed["scheduled_messages"][0]["text"], "good day");
}
