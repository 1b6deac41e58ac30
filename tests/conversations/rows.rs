//! The list shows what the timeline holds, whatever of it has been folded into rows before.

use std::time::Duration;

use futures::future::join_all;
use imd::config::Settings;

use super::fill;
use crate::support::{api::Transport, cluster::Cluster, terminal::Terminal};

/// The newest messages of Ann's conversations as her timeline has them, each with the number of the peer.
async fn in_timeline(imd: &Cluster, floor: i64) -> Vec<i64> {
    let newest = "
        SELECT max(seq) FROM entries JOIN users ON user_no = owner
        WHERE user_id = 'ann' AND kind = 1 AND tombstone IS DISTINCT FROM 2 AND seq >= $1
        GROUP BY conversation ORDER BY 1 DESC";
    let rows = imd.database.sql().await.query(newest, &[&floor]).await.expect("the timeline");
    rows.iter().map(|row| row.get(0)).collect()
}

async fn listed(ann: &Terminal) -> Vec<i64> {
    ann.conversations(1000).await.iter().map(|c| c.last_message.seq).collect()
}

/// How many of Ann's conversations have a row.
async fn rows(imd: &Cluster) -> i64 {
    let count =
        "SELECT count(*) FROM conversations JOIN users ON user_no = owner WHERE user_id = 'ann'";
    imd.database.sql().await.query_one(count, &[]).await.expect("a count").get(0)
}

async fn assert_same(imd: &Cluster, ann: &Terminal, what: &str) {
    let floor = ann.pull("now").await.expect("the timeline").state.floor;
    assert_eq!(listed(ann).await, in_timeline(imd, floor).await, "{what}");
}

/// The ids of Ann's conversations at these places of the list, with the seqs of their newest messages.
async fn at(ann: &Terminal, places: &[usize]) -> Vec<(String, i64)> {
    let all = ann.conversations(1000).await;
    let found = |place: &usize| {
        let id = all[*place].conversation_id.strip_prefix("user:").expect("user:<id>");
        (id.to_owned(), all[*place].last_message.seq)
    };
    places.iter().map(found).collect()
}

#[tokio::test]
async fn what_has_been_folded_follows_the_timeline() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    bob.say("ann", "hello").await;
    assert_same(&imd, &ann, "nothing is folded").await;
    assert_eq!(rows(&imd).await, 0, "a short timeline needs no rows");

    fill(&imd, "ann", 150, 2).await;
    assert_same(&imd, &ann, "two messages each").await;
    assert_eq!(rows(&imd).await, 151);
    fill(&imd, "ann", 1_500, 3).await;
    assert_same(&imd, &ann, "in several chunks").await;
    bob.say("ann", "again").await;
    ann.say("bob", "an answer").await;
    assert_same(&imd, &ann, "with entries behind the watermark").await;

    // Of the second there is nothing left, of the others one message.
    let gone = at(&ann, &[0, 5, 900, 1_640]).await;
    for (peer, newest) in &gone {
        ann.delete(peer, *newest).await.expect("deleted");
    }
    let (peer, _) = &gone[1];
    for entry in ann.history(peer, 0, "").await.expect("a page").entries {
        ann.delete(peer, entry.seq).await.expect("deleted");
    }
    assert_same(&imd, &ann, "newest messages are deleted").await;
    assert_eq!(ann.conversations(1000).await.len(), 1_650);
    assert_eq!(rows(&imd).await, 1_650);

    imd.admin().set_limits("ann", None, Some(2_000)).await.expect("limits");
    assert_same(&imd, &ann, "under a limit").await;
    imd.admin().set_limits("ann", None, Some(3)).await.expect("limits");
    // The answer to bob, the newest of the three, is deleted.
    assert_same(&imd, &ann, "under a narrow limit").await;
    assert_eq!(listed(&ann).await.len(), 2);
    imd.admin().set_limits("ann", None, None).await.expect("limits");
    assert_same(&imd, &ann, "the limit is lifted").await;
    let purged = "UPDATE timelines SET purged_to = 3000 FROM users
         WHERE user_no = owner AND user_id = 'ann';
         DELETE FROM entries USING users WHERE user_no = owner AND user_id = 'ann' AND seq <= 3000";
    imd.database.sql().await.batch_execute(purged).await.expect("a purge");
    assert_same(&imd, &ann, "some of it is purged").await;
}

#[tokio::test]
async fn a_purge_deletes_the_rows_of_what_it_purges() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    fill(&imd, "ann", 400, 1).await;
    assert_eq!((listed(&ann).await.len(), rows(&imd).await), (400, 400));
    imd.admin().set_limits("ann", None, Some(50)).await.expect("limits");
    let at_once = |settings: &mut Settings| settings.retention.purge_after = Duration::ZERO;
    let (impatient, _) = imd.start_node_with(at_once).await;
    impatient.admin().purge().await.expect("a purge");
    assert_eq!((listed(&ann).await.len(), rows(&imd).await), (50, 50));
}

#[tokio::test]
async fn the_rows_of_a_long_timeline_are_built_once() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let first = bob.say("ann", "hello").await;
    bob.recall(&first.message_id).await.expect("recalled");
    fill(&imd, "ann", 4_500, 5).await;
    // All at once, while it grows.
    let at_once = join_all((0..8).map(|_| listed(&ann)));
    let (all, _) = tokio::join!(at_once, bob.say_at_once("ann", (0..20).map(|n| n.to_string())));
    assert!(all.iter().all(|listed| listed.len() >= 4_501));
    assert_same(&imd, &ann, "a recalled message is one, too").await;
    assert_eq!(rows(&imd).await, 4_501);

    // A second time behind a watermark.
    fill(&imd, "ann", 3, 7_000).await;
    let gone = at(&ann, &[0, 1]).await;
    for (peer, newest) in &gone {
        ann.delete(peer, *newest).await.expect("deleted");
    }
    assert_same(&imd, &ann, "built anew").await;
    let state = "SELECT folded_to > 40000, building_to IS NULL AND built_down_to IS NULL
         FROM conversation_lists";
    let state = imd.database.sql().await.query_one(state, &[]).await.expect("the watermark");
    assert_eq!((state.get(0), state.get(1)), (true, true));
}
