//! What goes over a connection, and what is refused.

use reqwest::Client;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::{cluster, connected, expect, following, refused, send};
use crate::support::{api::Outgoing, socket::failure, within_deadline};

#[tokio::test]
async fn i5_two_hundred_messages_sent_in_one_go_keep_their_order() {
    const MESSAGES: i64 = 200;
    let imd = cluster().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let (mut socket, _) = following(&imd, &ann, "now").await;
    let messages: Vec<_> =
        (0..MESSAGES).map(|n| Outgoing::text("bob", format!("message {n}"))).collect();
    for message in &messages {
        socket.say(&send(message)).await;
    }
    // Each is answered once, and stands once in the sender's own timeline, in the order of the sends.
    let (mut seqs, mut entries) = (vec![0; messages.len()], Vec::new());
    while entries.len() < messages.len() || seqs.contains(&0) {
        match within_deadline("an answer", socket.next()).await.expect("a frame") {
            (name, data) if name == "sent" => {
                let is_this =
                    |message: &Outgoing| data["client_message_id"] == message.client_message_id;
                let index = messages.iter().position(is_this).expect("one of ours");
                assert_eq!((seqs[index], &data["duplicate"]), (0, &json!(false)));
                seqs[index] = data["seq"].as_i64().expect("a place");
            }
            (name, data) if name == "entry" => entries.push(data["message"]["text"].clone()),
            (name, data) => assert_eq!(name, "heartbeat", "{data}"),
        }
    }
    assert_eq!(seqs, (2..2 + MESSAGES).collect::<Vec<_>>());
    let texts = |n: i64| Value::from(format!("message {n}"));
    assert_eq!(entries, (0..MESSAGES).map(texts).collect::<Vec<_>>());
    let received = bob.follow("").await.entries(messages.len() + 1).await;
    assert!(received[1..].iter().zip(0..).all(|(entry, n)| entry.text() == format!("message {n}")));
}

#[tokio::test]
async fn i7_a_message_sent_again_is_answered_again() {
    let imd = cluster().await;
    let ann = imd.user_with_phone("ann").await;
    let mut socket = connected(&imd, &ann).await;
    let message = Outgoing::text("ann", "once");
    for _ in 0..3 {
        socket.say(&send(&message)).await;
    }
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(expect(&mut socket, "sent").await);
    }
    assert_eq!(answers.iter().filter(|answer| answer["duplicate"] == false).count(), 1);
    assert!(answers.iter().all(|answer| answer["seq"] == 2
        && answer["message_id"] == answers[0]["message_id"]
        && answer["client_message_id"] == message.client_message_id));
}

#[tokio::test]
async fn i5_a_connection_resumes_behind_its_cursor() {
    let imd = cluster().await;
    let ann = imd.user_with_phone("ann").await;
    let (mut socket, opened) = following(&imd, &ann, "").await;
    assert_eq!((&opened["last_seq"], &opened["floor"]), (&json!(1), &json!(1)));
    let login = expect(&mut socket, "entry").await;
    assert_eq!(login["kind"], "session_changed");
    drop(socket);
    ann.say("ann", "while away").await;
    let cursor = login["cursor"].as_str().expect("a cursor");
    let (mut socket, _) = following(&imd, &ann, cursor).await;
    let missed = expect(&mut socket, "entry").await;
    assert_eq!((&missed["seq"], &missed["message"]["text"]), (&json!(2), &json!("while away")));
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_connection_goes_on() {
    let imd = cluster().await;
    let ann = imd.user_with_phone("ann").await;
    let (mut socket, _) = following(&imd, &ann, "now").await;
    let id = Uuid::new_v4().to_string();
    let typo = format!(r#"{{"send":{{"client_message_id":"{id}","text":7}}}}"#);
    for (frame, field) in [
        ("", "frame"),
        ("{", "frame"),
        ("[]", "frame"),
        ("{}", "frame"),
        (r#"{"sned":{}}"#, "frame"),
        (r#"{"send":{}}{}"#, "frame"),
        (r#"{"send":7}"#, "send"),
        (r#"{"subscribe":{"after":1}}"#, "after"),
        (r#"{"subscribe":{"after":""}}"#, "subscribe"),
        (typo.as_str(), "text"),
    ] {
        socket.say_raw(Message::text(frame)).await.expect("sent");
        let problem = expect(&mut socket, "error").await;
        let about = (frame == typo).then_some(id.as_str());
        assert_eq!(problem["client_message_id"].as_str(), about, "{frame}");
        assert_eq!(failure(problem).field(), field, "{frame}");
    }
    socket.say_raw(Message::binary(&b"{}"[..])).await.expect("sent");
    assert_eq!(expect(&mut socket, "error").await["code"], "unsupported_media_type");
    socket.say(&json!({ "ping": {} })).await;
    assert_eq!(expect(&mut socket, "pong").await, json!({}));
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_refused() {
    let imd = cluster().await;
    let ann = imd.user_with_phone("ann").await;
    let mut socket = connected(&imd, &ann).await;
    // Within the limit of a frame and beyond that of a message.
    let message = Outgoing::text("ann", "x".repeat(16_385));
    socket.say(&send(&message)).await;
    let problem = expect(&mut socket, "error").await;
    assert_eq!(problem["client_message_id"], message.client_message_id);
    assert_eq!(failure(problem).field(), "text");

    let largest = 6 * 16_384 + 16 * 1024;
    socket.say_raw(Message::text(" ".repeat(largest + 1))).await.expect("sent");
    let problem = expect(&mut socket, "error").await;
    assert_eq!((&problem["code"], &problem["status"]), (&json!("body_too_large"), &json!(413)));
    socket.say(&send(&Outgoing::text("ann", "x".repeat(16_384)))).await;
    expect(&mut socket, "sent").await;

    // No more of this one is read than it takes to see its size.
    let _ = socket.say_raw(Message::text(" ".repeat(5 * largest))).await;
    assert_eq!(within_deadline("the end", socket.next()).await, None);
}

#[tokio::test]
async fn a_connection_follows_once() {
    let imd = cluster().await;
    let ann = imd.user_with_phone("ann").await;
    let mut socket = connected(&imd, &ann).await;
    socket.say(&json!({ "subscribe": { "after": "then" } })).await;
    assert_eq!(refused(&mut socket).await.field(), "after");
    socket.say(&json!({ "subscribe": { "after": "now" } })).await;
    expect(&mut socket, "opened").await;
    socket.say(&json!({ "subscribe": { "after": "now" } })).await;
    assert_eq!(refused(&mut socket).await.field(), "subscribe");
}

#[tokio::test]
async fn a_request_that_opens_no_websocket_is_told_so() {
    let imd = cluster().await;
    let url = format!("http://{}/v1/ws", imd.node.public_address());
    let answer = Client::new().get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 426);
    assert_eq!(answer.headers()["upgrade"], "websocket");
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Value = answer.json().await.expect("a problem");
    assert_eq!(problem["code"], "upgrade_required");
}

#[tokio::test]
async fn what_is_read_can_be_marked_over_the_same_connection() {
    let imd = cluster().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    bob.say("ann", "hello").await;
    let (mut socket, opened) = following(&imd, &ann, "now").await;
    let seq = opened["last_seq"].clone();
    socket.say(&json!({ "mark_read": { "conversation_id": "user:bob", "seq": seq } })).await;
    let (mut entry, mut answer) = (Value::Null, Value::Null);
    while entry.is_null() || answer.is_null() {
        match super::next(&mut socket).await {
            (name, data) if name == "entry" => entry = data,
            (name, data) => {
                assert_eq!(name, "marked_read", "{data}");
                answer = data;
            }
        }
    }
    assert_eq!(answer, json!({ "conversation_id": "user:bob", "read_seq": seq }));
    assert_eq!(entry["read_mark"], json!({ "conversation_id": "user:bob", "seq": seq }));

    socket.say(&json!({ "mark_read": { "conversation_id": "user:nobody", "seq": 1 } })).await;
    let problem = expect(&mut socket, "error").await;
    assert_eq!(problem["conversation_id"], "user:nobody");
    assert_eq!(problem["code"], "user_not_found");
}
