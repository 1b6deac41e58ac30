//! Attachments of messages that are to be sent later.

use imd::config::Settings;
use serde_json::json;
use time::Duration;

use super::{collect, file, read, upload, with_files};
use crate::{
    schedule::{list, make_due, schedule},
    support::{
        api::{Outgoing, ScheduleCall},
        cluster::Cluster,
        eventually, on_both_transports,
        types::Sent,
    },
};

on_both_transports! {
    what_is_sent_later_keeps_its_files_until_then,
    what_is_taken_back_lets_its_files_go,
    files_that_wait_go_with_the_account,
    the_files_are_asked_for_when_the_message_is_due,
    files_that_wait_count,
}

const LATER: Duration = Duration::hours(1);

async fn what_is_sent_later_keeps_its_files_until_then(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let [one, two] = [upload(&imd, &ann, "1.txt", b"1").await, upload(&imd, &ann, "2", b"2").await];
    let message = with_files("bob", "later", &[&two, &one]);
    let scheduled = schedule(&ann, &message, LATER).await.expect("scheduled");
    let shown = json!([
        { "attachment_id": two, "file_name": "2", "content_type": "text/plain", "size": 1 },
        { "attachment_id": one, "file_name": "1.txt", "content_type": "text/plain", "size": 1 },
    ]);
    assert_eq!(scheduled["scheduled_message"]["attachments"], shown);
    let mut both = [one.clone(), two.clone()];
    both.sort();
    // Days pass.
    assert_eq!(collect(&imd).await, both);
    assert_eq!(collect(&imd).await, both);
    let listed = imd.admin().attachments("ann").await.expect("a page");
    assert!(listed.iter().all(|stored| stored.uses == 1), "{listed:?}");
    let update = json!({ "text": "later, changed" });
    let update = ScheduleCall::Update(message.client_message_id.clone(), update);
    let changed = ann.schedule(update).await.expect("changed");
    assert_eq!(changed["attachments"], shown, "a change leaves them");
    make_due(&imd).await;
    let received = eventually("it is sent", async || {
        let entries = bob.timeline().await;
        entries.into_iter().find(|entry| entry.as_message().is_some())
    })
    .await;
    let names: Vec<_> = received.message().attachments.iter().map(|one| &*one.file_name).collect();
    assert_eq!((received.text(), names), ("later, changed", vec!["2", "1.txt"]));
    let message_id = received.message().message_id.clone();
    let sent = Sent { message_id: message_id.clone(), ..ann.say("ann", "a note").await };
    assert_eq!(read(&imd, &bob, &sent, &two).await.as_deref(), Ok("2"));
    eventually("it is noted", async || list(&ann).await.is_empty().then_some(())).await;
    assert_eq!(collect(&imd).await, both, "the message has them");
    ann.recall(&message_id).await.expect("recalled");
    assert_eq!(collect(&imd).await, [""; 0]);
}

async fn what_is_taken_back_lets_its_files_go(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let [one, two] = [upload(&imd, &ann, "1", b"1").await, upload(&imd, &ann, "2", b"2").await];
    let first = with_files("ann", "first", &[&one]);
    let second = with_files("ann", "second", &[&one, &two]);
    for message in [&first, &second] {
        schedule(&ann, message, LATER).await.expect("scheduled");
    }
    let cancel = |message: &Outgoing| ScheduleCall::Cancel(message.client_message_id.clone());
    ann.schedule(cancel(&second)).await.expect("taken back");
    // It may be used for a while, and then no more.
    ann.send(&with_files("ann", "now", &[&two])).await.expect("sent");
    let sent = ann.history("ann", 0, "").await.expect("a page").entries[0].message().clone();
    let mut both = [one.clone(), two];
    both.sort();
    assert_eq!(collect(&imd).await, both);
    ann.recall(&sent.message_id).await.expect("recalled");
    assert_eq!(collect(&imd).await, [one]);
    ann.schedule(cancel(&first)).await.expect("taken back");
    assert_eq!(collect(&imd).await, [""; 0]);
}

async fn files_that_wait_go_with_the_account(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let id = upload(&imd, &ann, "1", b"1").await;
    schedule(&ann, &with_files("ann", "never", &[&id]), LATER).await.expect("scheduled");
    assert_eq!(collect(&imd).await, [id]);
    imd.admin().delete("ann", false).await.expect("deleted");
    assert_eq!(collect(&imd).await, [""; 0]);
}

async fn the_files_are_asked_for_when_the_message_is_due(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let [id, of_bob] = [upload(&imd, &ann, "1", b"1").await, upload(&imd, &bob, "2", b"2").await];
    let refused = schedule(&ann, &with_files("bob", "x", &[&of_bob]), LATER).await;
    assert_eq!(refused.expect_err("it is bob's").code, "attachment_not_found");
    let waits = file("3", "text/plain", b"3");
    let (waits, _) = ann.api.create_attachment(&ann.token, &waits).await.expect("a file");
    let refused = schedule(&ann, &with_files("bob", "x", &[&waits]), LATER).await;
    assert_eq!(refused.expect_err("it is not uploaded").field(), "attachments");
    schedule(&ann, &with_files("bob", "look", &[&id]), LATER).await.expect("scheduled");
    let sql = imd.database.sql().await;
    let lose = "UPDATE attachments SET owner = -1 WHERE attachment_id::text = $1";
    assert_eq!(sql.execute(lose, &[&id]).await.expect("it is not ann's any more"), 1);
    make_due(&imd).await;
    eventually("it is refused", async || {
        (list(&ann).await == ["look: attachment_not_found"]).then_some(())
    })
    .await;
    assert!(bob.texts().await.is_empty());
}

async fn files_that_wait_count(imd: Cluster) {
    let little = |settings: &mut Settings| settings.attachments.quota_bytes = 10;
    let (node, api) = imd.start_node_with(little).await;
    let ann = imd.user_with_phone("ann").await.through(api);
    let server = node.public_address();
    let id = super::upload_to(server, &ann, "six", b"sixsix").await;
    let message = with_files("ann", "later", &[&id]);
    schedule(&ann, &message, LATER).await.expect("scheduled");
    collect(&imd).await;
    let six = file("a", "text/plain", b"sixsix");
    let refused = ann.api.create_attachment(&ann.token, &six).await.expect_err("too much");
    assert_eq!(refused.code, "attachment_quota_used");
    let cancel = ScheduleCall::Cancel(message.client_message_id);
    ann.schedule(cancel).await.expect("taken back");
    collect(&imd).await;
    ann.api.create_attachment(&ann.token, &six).await.expect("there is room again");
}
