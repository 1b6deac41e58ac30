//! The index: what it costs to look in it, and that no race leaves words in it.

use std::time::{Duration, Instant};

use futures::future::join_all;

use super::{index, indexed, words};
use crate::support::{
    api::{Outgoing, Transport},
    cluster::Cluster,
    terminal::Terminal,
    types::SearchCall,
};

/// Gives a user messages of a peer's, as if they had come and been indexed: every third has `common`, and the first one
/// `rare`.
async fn fill(imd: &Cluster, user: &str, peer: &str, count: i64) {
    let fill = "WITH owner AS (
             SELECT u.user_no, t.last_seq, p.user_no AS peer FROM users u JOIN timelines t ON t.owner = u.user_no
             JOIN users p ON p.user_id = $2 WHERE u.user_id = $1
         ), message AS (
             SELECT o.user_no, o.peer, o.last_seq + n AS seq, n,
                 CASE WHEN n = 1 THEN 'rare ' ELSE '' END || CASE WHEN n % 3 = 0 THEN 'common ' ELSE '' END
                     || 'word' || n % 1000 AS said
             FROM owner o CROSS JOIN generate_series(1, $3::bigint) n
         ), filled AS (
             INSERT INTO entries (owner, seq, conversation, sender, home_seq, message_no, appended_at, kind, body)
             SELECT user_no, seq, peer, peer, n, n, now() - make_interval(secs => $3 - n), 1,
                 convert_to(said, 'UTF8') FROM message
         ), worded AS (
             INSERT INTO search_index (owner, seq, at, words)
             SELECT user_no, seq, now() - make_interval(secs => $3 - n), array_to_tsvector(
                 (SELECT array_agg(user_no || '.' || (seq >> 12) || '.' || word)
                  FROM unnest(string_to_array(said, ' ') || ('@' || peer) || ('#' || peer)) word))
             FROM message
         ), counted AS (
             UPDATE timelines SET last_seq = o.last_seq + $3, last_message_no = $3
             FROM owner o WHERE timelines.owner = o.user_no
         )
         INSERT INTO search_progress (owner, indexed_to) SELECT user_no, last_seq + $3 FROM owner
         ON CONFLICT (owner) DO UPDATE SET indexed_to = excluded.indexed_to";
    let sql = imd.database.sql().await;
    sql.execute(fill, &[&user, &peer, &count]).await.expect("messages");
}

/// How long a search takes at best, and that it finds `count`.
async fn search_time(terminal: &Terminal, q: &str, count: usize) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let begun = Instant::now();
        let page = terminal.search(&words(q)).await.expect("a page");
        best = best.min(begun.elapsed());
        assert_eq!(page.results.len(), count, "{q}");
    }
    best
}

#[tokio::test]
async fn a_search_costs_what_it_finds_and_not_what_there_is() {
    let imd = Cluster::start(Transport::Grpc).await;
    // One connection, which keeps the plan that it made while there was nothing at all.
    let (_node, api) = imd.start_node_with(|settings| settings.database.pool_size = 1).await;
    let few = imd.user_with_phone("few").await.through(api.clone());
    let many = imd.user_with_phone("many").await.through(api);
    imd.user("peer").await;
    search_time(&few, "common", 0).await;
    fill(&imd, "few", "peer", 100).await;
    fill(&imd, "many", "peer", 100_000).await;
    for (q, of_few, count) in
        [("common", 20, 20), ("rare", 1, 1), ("common word3", 5, 20), ("nothing", 0, 0)]
    {
        let in_few = search_time(&few, q, of_few).await;
        let in_many = search_time(&many, q, count).await;
        println!("{q}: of 100 {in_few:?}, of 100,000 {in_many:?}");
        // A block of the index holds 4,096 places, and there are 25.
        assert!(in_many < in_few * 4 + Duration::from_millis(25), "{q}: {in_few:?}, {in_many:?}");
    }
    let newest =
        many.search(&words("common")).await.expect("a page").results[0].0.text().to_owned();
    assert_eq!(newest, "common word999");
    let last = SearchCall { q: "word1".to_owned(), page_size: 50, ..SearchCall::default() };
    assert_eq!(many.search(&last).await.expect("a page").results.len(), 50);
}

#[tokio::test]
async fn what_is_recalled_while_it_is_indexed_is_not_in_the_index() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    for round in 0..5 {
        let mut sent = Vec::new();
        for n in 0..20 {
            sent.push(ann.say("bob", &format!("secret {round} {n}")).await);
        }
        imd.admin().retry_job("search_index").await.expect("the job");
        let recalls = sent.iter().map(async |sent| {
            ann.recall(&sent.message_id).await.expect("recalled");
        });
        join_all(recalls).await;
        assert_eq!(ann.found("secret").await, [""; 0]);
    }
    index(&imd).await;
    assert_eq!(indexed(&imd, "secret").await, 0);
}

#[tokio::test]
async fn a_search_that_has_not_looked_at_all_messages_says_so() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let sql = imd.database.sql().await;
    // Nobody indexes.
    let hold = "UPDATE jobs SET due_at = now() + interval '1 hour' WHERE name = 'search_index'";
    sql.execute(hold, &[]).await.expect("a job");
    ann.say("bob", "needle").await;
    let sends = (0..550).map(async |n| {
        ann.send(&Outgoing::text("bob", format!("hay {n}"))).await.expect("sent");
    });
    join_all(sends).await;
    let page = ann.search(&words("needle")).await.expect("a page");
    assert_eq!((page.results.len(), page.incomplete), (0, true));
    let page = ann.search(&words("hay")).await.expect("a page");
    assert_eq!((page.results.len(), page.incomplete), (20, true));
    index(&imd).await;
    assert_eq!(ann.found("needle").await, ["[needle]"]);
}
