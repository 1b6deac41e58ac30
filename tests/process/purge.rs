//! A purge that is killed half-way.

use nix::sys::signal::Signal;

use crate::support::{api::Transport::Grpc, process::DataFolder};

/// Entries to purge: enough for many batches.
const ENTRIES: i64 = 30_000;

/// Gives every timeline so many messages to oneself.
const FILL: &str = "
    INSERT INTO entries (owner, seq, message_no, appended_at, kind, conversation, sender, home_seq, body)
    SELECT owner, last_seq + n, last_message_no + n, now(), 1, owner, owner, last_seq + n, '\\x78'
    FROM timelines, generate_series(1, $1::bigint) n";

#[tokio::test]
async fn i11_a_purge_that_is_killed_is_finished_by_the_next() {
    let folder = DataFolder::new();
    let at_once = [("IMD_RETENTION_PURGE_AFTER", "0s")];
    let mut imd = folder.start_with(&at_once).await;
    imd.create_users(&["ann"]).await;
    let ann = imd.log_in(Grpc, "ann", "phone").await;
    let url = folder.database_url().await;
    let (sql, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    sql.execute(FILL, &[&ENTRIES]).await.expect("many entries");
    let count =
        "UPDATE timelines SET last_seq = last_seq + $1, last_message_no = last_message_no + $1";
    sql.execute(count, &[&ENTRIES]).await.expect("their count");
    imd.admin().set_limits("ann", None, Some(0)).await.expect("she may see nothing");

    let mut steps = imd.admin().start_purge().await.expect("a purge");
    while steps.message().await.expect("a step").expect("it is at work").entries == 0 {}
    imd.end(Signal::SIGKILL).await;

    let imd = folder.start_with(&at_once).await;
    let ann = ann.through(Grpc.connect(imd.public));
    imd.admin().set_tier("ann", "unlimited").await.expect("she may see all that is left");
    let left = ann.pull("").await.expect("the timeline");
    assert!(left.state.floor > 1, "some of it was done");
    assert!(left.state.floor <= ENTRIES, "and some was not");
    assert_eq!(left.entries[0].seq, left.state.floor);
    imd.admin().set_limits("ann", None, Some(0)).await.expect("she may see nothing");
    let done = imd.admin().purge().await.expect("the rest");
    assert_eq!(done.entries, ENTRIES + 2 - left.state.floor);
    assert_eq!(ann.say("ann", "after it").await.seq, ENTRIES + 2);
}
