//! Where a message has got to.

use imd_proto::v1::{
    ClientMessage, CopyState, MessageCopy, SessionState, TracedTerminal,
    trace_message_request::Message,
};
use uuid::Uuid;

use crate::support::{
    admin::Admin,
    api::{Outgoing, Transport},
    cluster::Cluster,
    eventually,
    grpc::at,
    terminal::Terminal,
};

fn by_id(message_id: &str) -> Message {
    Message::MessageId(message_id.to_owned())
}

fn by_client(sender_id: &str, client_message_id: &str) -> Message {
    Message::ClientMessage(ClientMessage {
        sender_id: sender_id.to_owned(),
        client_message_id: client_message_id.to_owned(),
    })
}

fn terminal_type(traced: &TracedTerminal) -> Option<&str> {
    let session = traced.session.as_ref()?.session.as_ref()?;
    Some(&session.terminal.as_ref()?.r#type)
}

/// The types of the terminals that are to have a copy, and whether they do.
fn passed(copy: &MessageCopy) -> Vec<(&str, bool)> {
    copy.terminals.iter().map(|t| (terminal_type(t).expect("a terminal"), t.passed)).collect()
}

/// Waits until a trace says of the copy at `place` that these terminals have it.
async fn has_passed(
    admin: &Admin,
    id: &str,
    place: usize,
    expected: &[(&str, bool)],
) -> MessageCopy {
    eventually("the cursors", async || {
        let mut trace = admin.trace(by_id(id)).await.expect("a trace");
        let copy = trace.copies.swap_remove(place);
        (passed(&copy) == expected).then_some(copy)
    })
    .await
}

#[tokio::test]
async fn a_trace_tells_which_terminals_on_which_nodes_have_a_message() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (node, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await.through(there);
    let pc = imd.log_in("bob", "pc", "desk").await;
    let mut feeds = [ann.follow("").await, bob.follow("").await];
    bob.say("bob", "so that places differ").await;
    let message = Outgoing::text("bob", "where are you?");
    let sent = ann.send(&message).await.expect("sent");
    feeds[0].entries(2).await;
    let received = feeds[1].entries(4).await.pop().expect("the message");

    let admin = imd.admin();
    let copy = has_passed(&admin, &sent.message_id, 1, &[("pc", false), ("phone", true)]).await;
    assert_eq!((copy.user_id.as_str(), copy.seq), ("bob", received.seq));
    assert_eq!((copy.state(), at(copy.appended_at)), (CopyState::There, received.appended_at));
    let online = |n: usize| copy.terminals[n].session.clone().expect("a session");
    assert_eq!((online(0).state(), online(0).cursor), (SessionState::Offline, String::new()));
    assert_eq!((online(1).state(), online(1).cursor), (SessionState::Online, received.cursor));
    let copy = has_passed(&admin, &sent.message_id, 0, &[("phone", true)]).await;
    assert_eq!((copy.user_id.as_str(), copy.seq), ("ann", sent.seq));
    let elsewhere = copy.terminals[0].session.clone().expect("a session").nodes;
    assert_eq!((elsewhere.len(), online(1).nodes.len()), (1, 1));
    assert_ne!(elsewhere, online(1).nodes);

    // Any node tells the same, by the sender's id for the message too.
    let by_client = by_client("ann", &message.client_message_id);
    let trace = node.admin().trace(by_client).await.expect("a trace");
    assert_eq!((&trace.message_id, trace.sender_id.as_str()), (&sent.message_id, "ann"));
    assert_eq!(trace.client_message_id, message.client_message_id);
    assert_eq!(trace.copies.len(), 2);

    pc.pull("").await.expect("a pull");
    has_passed(&admin, &sent.message_id, 1, &[("pc", true), ("phone", true)]).await;
}

#[tokio::test]
async fn a_note_to_oneself_has_one_copy() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let sent = ann.say("ann", "a note").await;
    let trace = imd.admin().trace(by_id(&sent.message_id)).await.expect("a trace");
    let places: Vec<_> = trace.copies.iter().map(|copy| (&*copy.user_id, copy.seq)).collect();
    assert_eq!(places, [("ann", sent.seq)]);
}

/// As the retention of a tier will leave it.
async fn purge_all_of(user_id: &str, imd: &Cluster) {
    let purge = "
        WITH t AS (
            UPDATE timelines t SET purged_to = last_seq FROM users u
            WHERE u.user_no = t.owner AND u.user_id = $1 RETURNING owner
        ) DELETE FROM entries USING t WHERE entries.owner = t.owner";
    imd.database.sql().await.execute(purge, &[&user_id]).await.expect("a purge");
}

#[tokio::test]
async fn copies_that_are_gone_are_told_as_such() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let message = Outgoing::text("bob", "hello");
    let sent = ann.send(&message).await.expect("sent");
    let states = async || {
        let trace = imd.admin().trace(by_id(&sent.message_id)).await.expect("a trace");
        trace.copies.iter().map(|c| (c.user_id.clone(), c.state())).collect::<Vec<_>>()
    };
    purge_all_of("bob", &imd).await;
    let (of_ann, of_bob) = ("ann".to_owned(), "bob".to_owned());
    let expected = [(of_ann.clone(), CopyState::There), (of_bob, CopyState::Purged)];
    assert_eq!(states().await, expected);
    // The sender's copy alone knows of the others.
    purge_all_of("ann", &imd).await;
    assert_eq!(states().await, [(of_ann, CopyState::Purged)]);
    let by_client = by_client("ann", &message.client_message_id);
    let gone = imd.admin().trace(by_client).await.expect_err("the name is gone");
    assert_eq!(gone.code, "message_not_found");
}

#[tokio::test]
async fn copies_that_went_with_their_owner_are_told_as_such() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let sent = ann.say("bob", "hello").await;
    let states = async || {
        let trace = imd.admin().trace(by_id(&sent.message_id)).await.expect("a trace");
        trace.copies.iter().map(MessageCopy::state).collect::<Vec<_>>()
    };
    imd.admin().delete("bob", false).await.expect("done");
    assert_eq!(states().await, [CopyState::There, CopyState::OwnerDeleted]);
    imd.admin().delete("ann", false).await.expect("done");
    assert_eq!(states().await, [CopyState::OwnerDeleted]);
}

async fn refusal(imd: &Cluster, message: Message) -> String {
    imd.admin().trace(message).await.expect_err("no message").code
}

/// The id of what would be the message at a place of the sender's timeline.
fn at_place(of: &str, seq: i64) -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(of).expect("a message id");
    bytes[8..].copy_from_slice(&seq.to_be_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn what_is_no_message_is_not_found() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann: Terminal = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let of_ann = ann.say("bob", "hello").await;
    let of_bob = bob.say("ann", "hello").await;
    // Ann's timeline: her login, her message, bob's message.
    for seq in [0, 1, 3, 4, -1, i64::MAX] {
        let id = at_place(&of_ann.message_id, seq);
        assert_eq!(refusal(&imd, by_id(&id)).await, "message_not_found", "{seq}");
    }
    let id = Uuid::new_v4().to_string();
    assert_eq!(refusal(&imd, by_client("ann", &id)).await, "message_not_found");
    assert_eq!(refusal(&imd, by_client("nobody", &id)).await, "user_not_found");
    for bad in ["", "hello", &of_bob.message_id[1..]] {
        let refused = imd.admin().trace(by_id(bad)).await.expect_err("no id");
        assert_eq!(refused.field(), "message_id");
    }
    let refused = imd.admin().trace(by_client("ann", "7")).await.expect_err("no uuid");
    assert_eq!(refused.field(), "client_message_id");
}

#[tokio::test]
async fn a_trace_leaves_a_record_that_says_nothing_of_the_message() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let sent = ann.say("ann", "a secret").await;
    imd.admin().trace(by_id(&sent.message_id)).await.expect("a trace");
    let records = imd.admin().audit("ann", 1, "").await.expect("the records").records;
    assert_eq!(records[0].action, "trace_message");
    assert_eq!(records[0].details, format!(r#"{{"message_id":"{}"}}"#, sent.message_id));
}
