//! The list of conversations: its order, its pages, and what it costs.

mod cost;
mod drafts;
mod groups;
mod pages;
mod rows;
mod settings;

use crate::support::cluster::Cluster;

/// Appends `rounds` messages of each of `peers` new users to the timeline of `user_id`: the first of each,
/// then the second of each, and so on.
async fn fill(imd: &Cluster, user_id: &str, peers: i64, rounds: i64) {
    let statement = "
        WITH peer AS (
            INSERT INTO users (user_id)
            SELECT 'peer-' || gen_random_uuid() FROM generate_series(1, $2::bigint) RETURNING user_no
        ), numbered AS (
            SELECT user_no, row_number() OVER (PARTITION BY round ORDER BY user_no) + (round - 1) * $2 AS n
            FROM peer, generate_series(1, $3::bigint) round
        ), grown AS (
            UPDATE timelines SET last_seq = last_seq + $2 * $3, last_at = now(),
                last_message_no = last_message_no + $2 * $3
            WHERE owner = (SELECT user_no FROM users WHERE user_id = $1)
            RETURNING owner, last_seq - $2 * $3 AS seq, last_message_no - $2 * $3 AS message_no
        )
        INSERT INTO entries (owner, seq, message_no, appended_at, kind, conversation, sender, home_seq, body)
        SELECT owner, seq + n, message_no + n, now(), 1, user_no, user_no, n, 'hello'
        FROM grown, numbered";
    let sql = imd.database.sql().await;
    sql.execute(statement, &[&user_id, &peers, &rounds]).await.expect("a filled timeline");
    sql.batch_execute("ANALYZE").await.expect("statistics");
}
