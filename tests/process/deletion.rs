//! A deletion that is killed half-way.

use nix::sys::signal::Signal;

use crate::support::{api::Transport::Grpc, process::DataFolder};

/// Messages to delete: enough for many batches.
const MESSAGES: i64 = 20_000;

/// Has `ann` send so many messages to `ben`, more quickly than she could.
const FILL: &str = "
    WITH ids AS (
        SELECT (SELECT user_no FROM users WHERE user_id = 'ann') AS ann,
               (SELECT user_no FROM users WHERE user_id = 'ben') AS ben
    ), sent AS (
        UPDATE timelines SET last_seq = last_seq + $1, last_message_no = last_message_no + $1
        FROM ids WHERE owner IN (ann, ben) RETURNING owner, last_seq - $1 AS before
    ), of_ann AS (SELECT before FROM sent, ids WHERE owner = ann)
    INSERT INTO entries (owner, seq, message_no, appended_at, kind, conversation, sender, home_seq, body)
    SELECT owner, before + n, n, now(), 1, ann + ben - owner, ann,
        (SELECT before FROM of_ann) + n, '\\x78'
    FROM sent, ids, generate_series(1, $1::bigint) n";

#[tokio::test]
async fn i11_a_deletion_that_is_killed_is_finished() {
    let folder = DataFolder::new();
    let mut imd = folder.start().await;
    imd.create_users(&["ann", "ben"]).await;
    let ben = imd.log_in(Grpc, "ben", "phone").await;
    let url = folder.database_url().await;
    let (sql, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    sql.execute(FILL, &[&MESSAGES]).await.expect("many messages");

    let mut steps = imd.admin().start_deletion("ann", true).await.expect("begun");
    while steps.message().await.expect("a step").expect("it is at work").entries < 2_000 {}
    imd.end(Signal::SIGKILL).await;

    let imd = folder.start().await;
    let ben = ben.through(Grpc.connect(imd.public));
    let rest = imd.admin().delete("ann", true).await.expect("the rest");
    let last = rest.last().expect("a step");
    assert!((1..=MESSAGES - 2_000).contains(&last.entries), "some of it was done: {last:?}");
    assert_eq!((last.peers, last.peers_total), (1, 1));
    let history = ben.history("ann", 200, "").await.expect("a history").entries;
    let erased = |entry: &crate::support::types::Entry| {
        entry.message().tombstone.as_deref() == Some("ERASED")
    };
    assert!(history.iter().all(erased));
    assert_eq!(ben.say("ben", "it goes on").await.seq, MESSAGES + 3, "one entry told him");
}
