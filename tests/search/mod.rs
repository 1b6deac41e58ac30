//! Searching one's messages: what is found, in which order, and that nothing is found that is gone or was never to be seen.

mod groups;
mod index;
mod users;

use crate::support::{cluster::Cluster, eventually, types::SearchCall};

/// A search for these words.
fn words(q: &str) -> SearchCall {
    SearchCall { q: q.to_owned(), ..SearchCall::default() }
}

/// Has all that is stored be indexed, and waits until it is.
async fn index(imd: &Cluster) {
    let sql = imd.database.sql().await;
    let behind = "SELECT count(*) FROM timelines t LEFT JOIN search_progress p ON p.owner = t.owner
                  WHERE t.last_seq > coalesce(p.indexed_to, 0) AND t.state = 1";
    let done = async || {
        let left: i64 = sql.query_one(behind, &[]).await.expect("a count").get(0);
        if left > 0 {
            imd.admin().retry_job("search_index").await.expect("the job");
        }
        (left == 0).then_some(())
    };
    eventually("everything is indexed", done).await;
}

/// How many messages the index has a word of.
async fn indexed(imd: &Cluster, word: &str) -> i64 {
    let count = "SELECT count(*) FROM search_index WHERE words::text LIKE '%.' || $1 || '''%'";
    imd.database.sql().await.query_one(count, &[&word]).await.expect("a count").get(0)
}
