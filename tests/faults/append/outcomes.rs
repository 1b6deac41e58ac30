//! What a batch comes to when its COMMIT gets lost or fails.

use imd_proto::v1::kick_sessions_request::Which;

use super::{Stage, texts, timeline};
use crate::{
    faults::{node::Plan, proxy::Side},
    support::{api::Outgoing, types::Sent, within_deadline},
};

/// The connection of the lane is lost when `side` says COMMIT.
async fn a_lost_commit_stands_once(side: Side, pattern: &'static [u8]) {
    let stage = Stage::start().await;
    let mut feed = stage.ben.follow("now").await;
    let message = Outgoing::text("ben", "hello");
    let cut = stage.proxy.cut_at(side, pattern);
    let sent = stage.ann.send(&message).await.expect("an acknowledgement");
    within_deadline("the cut", cut).await;

    let arrived = feed.entry().await;
    assert_eq!(arrived.message().message_id, sent.message_id);
    let again = stage.ann.send(&message).await.expect("the same acknowledgement");
    assert_eq!(again, Sent { duplicate: true, ..sent.clone() });
    let own = timeline(&stage.ann).await.pop().expect("a message");
    assert_eq!((own.seq, &own.message().message_id), (sent.seq, &sent.message_id));
    assert_eq!(texts(&stage.ann).await, ["hello"]);
    assert_eq!(texts(&stage.ben).await, ["hello"]);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_stands_once_and_is_acknowledged() {
    a_lost_commit_stands_once(Side::Server, b"COMMIT\0").await;
}

#[tokio::test]
async fn a_commit_that_is_lost_on_its_way_stands_once_and_is_acknowledged() {
    a_lost_commit_stands_once(Side::Client, b"COMMIT\0").await;
}

/// The node cannot know the outcome before its sender has been kicked, on another node.
#[tokio::test]
async fn a_message_that_stands_is_not_denied_because_its_sender_was_kicked_since() {
    let stage = Stage::start().await;
    let other = Plan::on(stage.database.url()).start().await;
    let message = Outgoing::text("ben", "hello");
    let cut = stage.proxy.cut_at(Side::Server, b"COMMIT\0");
    let kick = async {
        cut.await;
        stage.proxy.refuse();
        other.admin().kick("ann", Some(Which::All(true)), "").await.expect("a kick");
        stage.proxy.clear();
    };
    let all = async { tokio::join!(stage.ann.send(&message), kick) };
    let (sent, ()) = within_deadline("all of it", Box::pin(all)).await;
    let ben = stage.ben.through(other.api());
    assert_eq!(texts(&ben).await, ["hello"]);
    if let Err(failure) = sent {
        assert!(failure.outcome_is_unknown(), "it stands, and Ann was told {failure:?}");
    }
}

/// Whatever the database refuses, at once or with the COMMIT, is not acknowledged, and the COMMIT's
/// answer to the rest of its batch is not taken for a success.
async fn a_refused_row_leaves_no_trace(trigger: &str) {
    let stage = Stage::start().await;
    let sql = stage.database.sql().await;
    let function = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$";
    sql.batch_execute(function).await.expect("the database is ours");
    sql.batch_execute(trigger).await.expect("the database is ours");

    let refused = Outgoing::text("cem", "refused");
    let (before, after) = (Outgoing::text("cem", "before"), Outgoing::text("ann", "after"));
    let batch = [(&stage.ann, &before), (&stage.ann, &refused), (&stage.cem, &after)];
    let [first, second, third] = stage.send_together(batch, async {}).await;
    assert_eq!(second.expect_err("a failure").code, "internal");
    let acknowledged = [(first, "before"), (third, "after")];
    let acknowledged: Vec<_> = acknowledged.iter().filter(|(sent, _)| sent.is_ok()).collect();
    for terminal in [&stage.ann, &stage.cem] {
        let texts = texts(terminal).await;
        assert_eq!(texts, acknowledged.iter().map(|(_, text)| *text).collect::<Vec<_>>());
    }

    stage.ann.send(&before).await.expect("an acknowledgement");
    stage.cem.send(&after).await.expect("an acknowledgement");
    for terminal in [&stage.ann, &stage.cem] {
        assert_eq!(texts(terminal).await, ["before", "after"]);
    }
}

#[tokio::test]
async fn a_failed_insert_rolls_the_batch_back_and_is_not_acknowledged() {
    a_refused_row_leaves_no_trace(
        "CREATE TRIGGER refuse BEFORE INSERT ON entries
         FOR EACH ROW WHEN (NEW.body = 'refused') EXECUTE FUNCTION refuse()",
    )
    .await;
}

#[tokio::test]
async fn a_failed_commit_rolls_the_batch_back_and_is_not_acknowledged() {
    a_refused_row_leaves_no_trace(
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW WHEN (NEW.body = 'refused') EXECUTE FUNCTION refuse()",
    )
    .await;
}
