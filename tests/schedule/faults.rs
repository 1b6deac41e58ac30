//! Scheduled messages when nodes die on the way, and when they are taken back at the last moment.

use futures::future::join;
use time::Duration;
use uuid::Uuid;

use super::{list, make_due, schedule, states};
use crate::{
    append::assert_dense,
    support::{
        api::{Outgoing, ScheduleCall, Transport},
        cluster::Cluster,
        eventually,
    },
};

/// A node that has sent a message and dies before it has noted so leaves the row to another, which finds it sent.
#[tokio::test]
async fn i11_what_was_sent_and_not_noted_is_sent_once() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let message = Outgoing::text("bob", "later");
    schedule(&ann, &message, Duration::hours(1)).await.expect("scheduled");
    ann.send(&message).await.expect("sent, as the node did that died");
    let sql = imd.database.sql().await;
    let claimed = "UPDATE scheduled_messages SET sending = true, due_at = now()";
    sql.execute(claimed, &[]).await.expect("as it left the row");
    eventually("it is noted", async || list(&ann).await.is_empty().then_some(())).await;
    assert_eq!(bob.texts().await, ["later"]);
    assert_eq!(states(&ann).await, ["WAITING", "SENT"]);
    assert_dense(&imd.database).await;
}

/// One that has claimed a message and dies leaves it to another, too; nobody takes it back any more.
#[tokio::test]
async fn i11_what_was_claimed_is_sent_and_not_taken_back() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let message = Outgoing::text("bob", "later");
    schedule(&ann, &message, Duration::hours(1)).await.expect("scheduled");
    let sql = imd.database.sql().await;
    let claimed = "UPDATE scheduled_messages SET sending = true";
    sql.execute(claimed, &[]).await.expect("as it left the row");
    let cancel = ScheduleCall::Cancel(message.client_message_id.clone());
    let refused = ann.schedule(cancel).await.expect_err("it is on its way");
    assert_eq!(refused.code, "scheduled_not_found");
    make_due(&imd).await;
    eventually("it is sent", async || (bob.texts().await == ["later"]).then_some(())).await;
}

#[tokio::test]
async fn what_is_taken_back_at_the_last_moment_is_sent_or_not_as_the_answer_says() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (_node, _) = imd.start_node().await;
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let mut kept = Vec::new();
    for n in 0..12 {
        let message = Outgoing::text("bob", format!("{n}"));
        schedule(&ann, &message, Duration::hours(1)).await.expect("scheduled");
        let cancel = async {
            if n % 2 == 0 {
                // It may have been claimed by then.
                let sending = async || {
                    let sql = imd.database.sql().await;
                    let id: Uuid = message.client_message_id.parse().expect("an id");
                    let waits =
                        "SELECT NOT sending FROM scheduled_messages WHERE client_message_id = $1";
                    let row = sql.query_opt(waits, &[&id]).await.expect("the row");
                    row.is_none_or(|row| !row.get::<_, bool>(0)).then_some(())
                };
                eventually("it is claimed", sending).await;
            }
            ann.schedule(ScheduleCall::Cancel(message.client_message_id.clone())).await
        };
        let ((), cancelled) = join(make_due(&imd), cancel).await;
        match cancelled {
            Ok(_) => {}
            Err(refused) => {
                assert_eq!(refused.code, "scheduled_not_found");
                kept.push(format!("{n}"));
            }
        }
        eventually("it is done with", async || list(&ann).await.is_empty().then_some(())).await;
    }
    assert!(kept.len() >= 6);
    assert_eq!(bob.texts().await, kept);
    assert_dense(&imd.database).await;
}
