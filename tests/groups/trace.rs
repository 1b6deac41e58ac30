//! Where a message of a group has got to, as an administrator sees it.

use imd_proto::v1::{
    ClientMessage, CopyState, TraceMessageResponse, trace_message_request::Message,
};

use super::{IN_OSLO, OSLO, group_of, oslo, seen, text};
use crate::support::{
    api::{GroupCall, Transport},
    cluster::Cluster,
    eventually,
};

/// Each copy: whose, where, what has become of it, how far its owner is, and whether it has read it.
fn copies(trace: &TraceMessageResponse) -> Vec<(&str, i64, CopyState, i64, Option<bool>)> {
    trace
        .copies
        .iter()
        .map(|copy| {
            let fanned_to = copy.fanned_to.unwrap_or_default();
            (copy.user_id.as_str(), copy.seq, copy.state(), fanned_to, copy.read)
        })
        .collect()
}

#[tokio::test]
async fn a_trace_tells_of_the_home_and_of_every_members_reference() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben, cleo, dan] = group_of(&imd, ["ann", "ben", "cleo", "dan"]).await;
    imd.user("eve").await;
    dan.group(GroupCall::Leave(oslo())).await.expect("left");
    cleo.say("ben", "so that places differ").await;
    let message = text("who has it?");
    let sent = ann.send(&message).await.expect("sent");
    ann.group(GroupCall::Add(oslo(), "eve".to_owned())).await.expect("added");
    let at_ben = seen(&ben, 5).await[3].seq;
    let at_cleo = seen(&cleo, 5).await[3].seq;
    ben.mark_read(IN_OSLO, at_ben).await.expect("marked");
    cleo.delete(IN_OSLO, at_cleo).await.expect("deleted");

    let by_id = Message::MessageId(sent.message_id.clone());
    let trace = eventually("the fan-out", async || {
        let trace = imd.admin().trace(by_id.clone()).await.expect("a trace");
        trace.copies.iter().all(|copy| copy.fanned_to == Some(5)).then_some(trace)
    })
    .await;
    let home = trace.home.clone().expect("a home");
    assert_eq!((home.group_id.as_str(), home.seq, home.state()), (OSLO, 4, CopyState::There));
    assert_eq!((&*trace.sender_id, &trace.client_message_id), ("ann", &message.client_message_id));
    let due = [
        ("ann", sent.seq, CopyState::There, 5, None),
        ("ben", at_ben, CopyState::There, 5, Some(true)),
        ("cleo", at_cleo, CopyState::Deleted, 5, Some(false)),
    ];
    assert_eq!(copies(&trace), due, "dan had left, and eve came later");
    // The same by the sender's id for it.
    let by_client = Message::ClientMessage(ClientMessage {
        sender_id: "ann".to_owned(),
        client_message_id: message.client_message_id,
    });
    assert_eq!(imd.admin().trace(by_client).await.expect("a trace"), trace);

    ben.pull("").await.expect("the timeline");
    let terminals = eventually("the cursor", async || {
        let trace = imd.admin().trace(by_id.clone()).await.expect("a trace");
        trace.copies[1].terminals[0].passed.then_some(trace.copies[1].terminals.len())
    })
    .await;
    assert_eq!(terminals, 1);

    ann.recall(&sent.message_id).await.expect("recalled");
    imd.admin().delete("ben", false).await.expect("deleted");
    let trace = imd.admin().trace(by_id).await.expect("a trace");
    assert_eq!(trace.home.clone().expect("a home").state(), CopyState::Recalled);
    let states: Vec<_> = trace.copies.iter().map(|c| (&*c.user_id, c.state())).collect();
    let due = [
        ("ann", CopyState::Recalled),
        ("ben", CopyState::OwnerDeleted),
        ("cleo", CopyState::Deleted),
    ];
    assert_eq!(states, due);
}

#[tokio::test]
async fn what_is_on_its_way_is_pending() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    seen(&ben, 2).await;
    // Somebody holds the timeline that it is to go to.
    let mut sql = imd.database.sql().await;
    let held = sql.transaction().await.expect("a transaction");
    let lock = "SELECT FROM timelines JOIN users ON user_no = owner
         WHERE user_id = 'ben' FOR UPDATE OF timelines";
    held.execute(lock, &[]).await.expect("held");
    let sent = ann.send(&text("on its way")).await.expect("sent");
    let by_id = Message::MessageId(sent.message_id);
    let trace = imd.admin().trace(by_id.clone()).await.expect("a trace");
    let due = [
        ("ann", sent.seq, CopyState::There, 3, None),
        ("ben", 0, CopyState::Pending, 2, Some(false)),
    ];
    assert_eq!(copies(&trace), due);
    assert!(trace.copies[1].terminals.iter().all(|terminal| !terminal.passed));
    held.rollback().await.expect("let go");
    eventually("the fan-out", async || {
        let trace = imd.admin().trace(by_id.clone()).await.expect("a trace");
        (trace.copies[1].state() == CopyState::There).then_some(())
    })
    .await;
}
