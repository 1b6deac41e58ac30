//! Reads in masses, by one account. What they cost is the database's time, which is everybody's.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::time::timeout;

use crate::support::{
    api::Transport, cluster::Cluster, eventually, node::Node, postgres::Database,
};

/// Makes each page of a conversation take as long as PostgreSQL lets it: stands for a database that has
/// very much to read.
const ENDLESS_PAGES: &str = "
    CREATE FUNCTION endless() RETURNS boolean LANGUAGE plpgsql VOLATILE AS
        $$ BEGIN PERFORM pg_sleep(3600); RETURN true; END $$;
    ALTER TABLE entries RENAME TO entries_behind;
    CREATE VIEW entries AS SELECT * FROM entries_behind WHERE endless()";

/// How many statements of the node are under way.
async fn under_way(imd: &Cluster) -> i64 {
    let sql = imd.database.sql().await;
    let count = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'";
    sql.query_one(count, &[]).await.expect("a number").get(0)
}

async fn imd() -> Cluster {
    let database = Database::create().await;
    let node = Node::start_with(&database, |settings| {
        settings.limits.reads_at_once = 2;
        // It reads by itself.
        settings.messages.search = false;
    })
    .await;
    Cluster::of(Transport::Grpc, database, node)
}

#[tokio::test]
async fn a_read_that_nobody_waits_for_ends() {
    let imd = imd().await;
    let ann = imd.user_with_phone("ann").await;
    ann.say("ann", "a note").await;
    imd.database.sql().await.batch_execute(ENDLESS_PAGES).await.expect("a view");
    for _ in 0..3 {
        let begun = eventually("it is read", async || (under_way(&imd).await == 1).then_some(()));
        tokio::select! {
            read = ann.history("ann", 10, "") => panic!("{read:?}"),
            () = begun => {}
        }
        // Long before `statement_timeout`.
        let ended = eventually("it has ended", async || (under_way(&imd).await == 0).then_some(()));
        timeout(Duration::from_secs(5), ended).await.expect("the server is told to stop");
    }
}

#[tokio::test]
async fn the_reads_of_one_user_leave_the_database_to_the_others() {
    let imd = imd().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say("ann", "a note").await;
    imd.database.sql().await.batch_execute(ENDLESS_PAGES).await.expect("a view");
    // Given up one by one, they keep their places until the database has stopped with them.
    for _ in 0..30 {
        let read = ann.history("ann", 10, "");
        let _given_up = timeout(Duration::from_millis(20), read).await;
        assert!(under_way(&imd).await <= 2);
    }
    // At once, and waited for: two run, sixteen wait, and the others come back later.
    let mut reads: FuturesUnordered<_> =
        (0..40).map(|_| ann.history("ann", 10, "").boxed()).collect();
    for _ in 0..22 {
        let refused = reads.next().await.expect("a refusal").expect_err("too many");
        assert_eq!((&*refused.code, refused.detail("limit")), ("rate_limited", "reads_at_once"));
        assert!(refused.retry_after.is_some());
    }
    let sessions = join_all((0..20).map(|_| bob.sessions()));
    let sessions = timeout(Duration::from_secs(5), sessions).await.expect("nobody is held up");
    assert!(sessions.iter().all(Result::is_ok), "others are served");
    assert!(under_way(&imd).await <= 2);
}
