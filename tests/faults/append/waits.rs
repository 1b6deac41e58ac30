//! What happens while a batch waits: for its turn in the lane, or for its locks.

use std::time::Duration;

use imd_proto::v1::kick_sessions_request::Which;
use tokio::time::{Instant, sleep, timeout};

use super::{IN_THE_WAY, Stage, texts, timeline};
use crate::{
    faults::{
        held::{Held, transaction_is_open, waiting_for_locks},
        node::Plan,
        proxy::Side,
        until,
    },
    support::{
        DEADLINE,
        api::Outgoing,
        terminal::Terminal,
        types::{Kind, Sent},
        within_deadline,
    },
};

/// How long a node that has stopped in the middle of a transaction may keep others waiting.
const STOPPED_NODE: Duration = Duration::from_secs(8);

/// The kick is first in the queue for the sender's row: the message has no place behind it (I3).
#[tokio::test]
async fn a_sender_kicked_while_the_batch_waits_for_its_locks_is_refused() {
    let stage = Stage::start().await;
    let held = Held::timeline_of("ann", &stage.database).await;
    let admin = stage.node.admin();
    let everything = Some(Which::All(true));
    let kick = admin.kick("ann", everything, "lost phone");
    let message = Outgoing::text("ben", "too late");
    let sending = async {
        waiting_for_locks(1, &stage.database).await;
        stage.ann.send(&message).await
    };
    let release = async {
        waiting_for_locks(2, &stage.database).await;
        held.release().await;
    };
    let all = async { tokio::join!(kick, sending, release) };
    let (kicked, sent, ()) = within_deadline("all of it", Box::pin(all)).await;
    assert_eq!(kicked.expect("a kick").len(), 1);
    assert_eq!(sent.expect_err("a refusal").end_reason(), "KICKED");
    assert_eq!(texts(&stage.ben).await, Vec::<String>::new());
    let phone = stage.node.log_in("ann", "phone").await;
    assert_eq!(texts(&phone).await, Vec::<String>::new());
}

/// Those that share its batch are appended without it, and without a gap.
#[tokio::test]
async fn a_sender_kicked_while_the_message_waits_in_its_lane_is_refused() {
    let stage = Stage::start().await;
    let (of_ann, of_cem) = (Outgoing::text("cem", "too late"), Outgoing::text("ann", "hello"));
    let kick = async {
        let everything = Some(Which::All(true));
        stage.node.admin().kick("ann", everything, "").await.expect("a kick");
    };
    let batch = [(&stage.ann, &of_ann), (&stage.cem, &of_cem)];
    let [refused, sent] = stage.send_together(batch, Box::pin(kick)).await;
    assert_eq!(refused.expect_err("a refusal").end_reason(), "KICKED");
    sent.expect("an acknowledgement");
    assert_eq!(texts(&stage.cem).await, ["hello"]);
    let phone = stage.node.log_in("ann", "phone").await;
    assert_eq!(texts(&phone).await, ["hello"]);
    let kinds = timeline(&phone).await;
    let kicked = kinds.iter().rposition(|e| matches!(e.kind, Kind::SessionChanged(_)));
    assert_eq!(kicked, Some(kinds.len() - 1), "the login is the last");
}

/// Those that share its batch are appended without it, and without a gap.
#[tokio::test]
async fn a_recipient_deleted_while_the_batch_waits_for_its_locks_is_not_found() {
    let stage = Stage::start().await;
    stage.node.create_users(&["dan"]).await;
    let (to_dan, to_cem) = (Outgoing::text("dan", "too late"), Outgoing::text("cem", "hello"));
    // Known to the node from now on.
    stage.ann.say("dan", "are you there?").await;
    let deletion = Held::timeline_of("dan", &stage.database).await.and_deleted("dan").await;
    let batch = [(&stage.ann, &to_dan), (&stage.ann, &to_cem)];
    let together = stage.send_together(batch, async {});
    let delete = async {
        until("the lane is free for the batch", DEADLINE, async || {
            texts(&stage.ben).await.contains(&IN_THE_WAY.to_owned()).then_some(())
        })
        .await;
        waiting_for_locks(1, &stage.database).await;
        deletion.release().await;
    };
    let ([refused, sent], ()) = tokio::join!(together, delete);
    assert_eq!(refused.expect_err("a refusal").code, "user_not_found");
    sent.expect("an acknowledgement");
    assert_eq!(texts(&stage.ann).await, ["are you there?", "hello"]);
    assert_eq!(texts(&stage.cem).await, ["hello"]);
}

/// To the database it makes no difference whether the node has stopped or nothing comes through.
#[tokio::test]
async fn a_node_stopped_in_a_transaction_holds_others_up_for_seconds_only() {
    let stage = Stage::start().await;
    let other = Plan::on(stage.database.url()).start().await;
    let message = Outgoing::text("ben", "from the stopped node");
    let middle = stage.proxy.silence_at(Side::Client, b"COMMIT\0");
    let stopped = async {
        let sending = send_until_acknowledged(&stage.ann, &message);
        let stop = async {
            middle.await;
            transaction_is_open(&stage.database).await;
            let began = Instant::now();
            let cem = stage.cem.through(other.api());
            send_until_acknowledged(&cem, &Outgoing::text("ben", "from the other")).await;
            assert!(began.elapsed() < STOPPED_NODE, "{:?}", began.elapsed());
            stage.proxy.clear();
        };
        tokio::join!(sending, stop).0
    };
    let sent = timeout(3 * STOPPED_NODE, stopped).await.expect("an acknowledgement");
    assert_eq!(texts(&stage.ben).await, ["from the other", "from the stopped node"]);
    let own = timeline(&stage.ann).await.pop().expect("a message");
    assert_eq!(own.message().message_id, sent.message_id);
}

/// Sends again, as a client does, what may or may not stand.
async fn send_until_acknowledged(terminal: &Terminal, message: &Outgoing) -> Sent {
    loop {
        match terminal.send(message).await {
            Ok(sent) => return sent,
            Err(failure) => assert!(failure.outcome_is_unknown(), "{failure:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}
