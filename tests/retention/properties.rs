//! What holds for any timeline and any limits.

use proptest::{
    collection::vec,
    option,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tokio::{runtime::Handle, task::block_in_place};
use tokio_postgres::Client;

use super::seqs;
use crate::support::{api::Transport, cluster::Cluster, terminal::Terminal};

/// An entry of a made-up timeline: how many seconds after the one before it, and whether a message.
type Made = (i64, bool);

/// Writes a timeline for Ann: `purged` entries that are gone, then `made`, the newest as old as now.
async fn write(sql: &Client, purged: i64, made: &[Made]) {
    let after: Vec<i64> = made.iter().map(|&(after, _)| after).collect();
    let message: Vec<bool> = made.iter().map(|&(_, message)| message).collect();
    let write = "
        WITH made AS (
            SELECT n + $2 AS seq, message,
                sum(message::int) OVER (ORDER BY n) + $2 AS message_no,
                now() - make_interval(secs => (sum(after) OVER (ORDER BY n DESC) - after)::double precision) AS at
            FROM unnest($3::bigint[], $4::bool[]) WITH ORDINALITY made (after, message, n)
        ), counted AS (
            UPDATE timelines SET purged_to = $2, last_seq = coalesce((SELECT max(seq) FROM made), $2),
                last_message_no = coalesce((SELECT max(message_no) FROM made), $2),
                last_at = (SELECT max(at) FROM made)
            WHERE owner = $1
        )
        INSERT INTO entries (owner, seq, message_no, appended_at, kind, conversation, sender, home_seq, body)
        SELECT $1, seq, message_no, at, CASE WHEN message THEN 1 ELSE 99 END,
            CASE WHEN message THEN $1 END, CASE WHEN message THEN $1 END,
            CASE WHEN message THEN seq END, '\x78'
        FROM made";
    let ann: i64 = sql
        .query_one("SELECT user_no FROM users WHERE user_id = 'ann'", &[])
        .await
        .expect("Ann")
        .get(0);
    sql.execute("DELETE FROM entries WHERE owner = $1", &[&ann]).await.expect("room");
    sql.execute(write, &[&ann, &purged, &after, &message]).await.expect("a timeline");
}

/// The floor by the plain meaning of the limits, entry by entry.
fn floor(purged: i64, made: &[Made], max_age: Option<i64>, max_messages: Option<i64>) -> i64 {
    let (mut older, mut messages_after) = (0, 0);
    let mut floor = purged + 1 + i64::try_from(made.len()).expect("few");
    for &(after, message) in made.iter().rev() {
        // An entry is seen while it is young enough and few enough messages come after it; an event
        // goes with the message before it.
        let too_old = max_age.is_some_and(|max| older > max);
        let too_many = max_messages.is_some_and(|max| messages_after >= max);
        if too_old || too_many {
            break;
        }
        floor -= 1;
        messages_after += i64::from(message);
        older += after;
    }
    floor
}

#[tokio::test(flavor = "multi_thread")]
async fn i8_the_floor_is_where_both_limits_let_go() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let (sql, admin) = (imd.database.sql().await, imd.admin());
    // Distances are multiples of 20 seconds and ages lie between them: the time that the test takes
    // decides nothing.
    let limits = (option::of(0..60_i64), option::of(0..30_i64));
    let timelines = (0..5_i64, vec((0..4_i64, any::<bool>()), 0..40), limits);
    let mut runner =
        TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&timelines, |(purged, made, (max_age, max_messages))| {
        let made: Vec<Made> =
            made.into_iter().map(|(after, message)| (after * 20, message)).collect();
        let max_age = max_age.map(|age| age * 20 + 10);
        let expected = floor(purged, &made, max_age, max_messages);
        let floor = block_in_place(|| {
            Handle::current().block_on(async {
                write(&sql, purged, &made).await;
                admin.set_limits("ann", max_age, max_messages).await.expect("limits");
                let pulled = ann.pull("").await.expect("the timeline");
                assert!(pulled.entries.iter().all(|entry| entry.seq >= pulled.state.floor));
                pulled.state.floor
            })
        });
        prop_assert_eq!(floor, expected);
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}

/// What happens between two pages.
#[derive(Debug, Clone)]
enum Meanwhile {
    Arrives(u8),
    IsSent(u8),
    Limit(i64),
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        (1..5_u8).prop_map(Meanwhile::Arrives),
        (1..5_u8).prop_map(Meanwhile::IsSent),
        (10..60_i64).prop_map(Meanwhile::Limit),
    ]
}

/// Reads Ann's whole history with Bob in pages of `size`, with something happening after each; the
/// seqs, and the highest floor that was told.
async fn read(
    imd: &Cluster,
    ann: &Terminal,
    bob: &Terminal,
    size: i32,
    between: &[Meanwhile],
) -> (Vec<i64>, i64) {
    let (mut read, mut token, mut floor) = (Vec::new(), String::new(), 0);
    let mut between = between.iter().cycle();
    loop {
        let page = ann.history("bob", size, &token).await.expect("a page");
        read.extend(seqs(&page.entries));
        floor = floor.max(page.state.floor);
        if page.next_page_token.is_empty() {
            return (read, floor);
        }
        token = page.next_page_token;
        match between.next() {
            Some(Meanwhile::Arrives(count)) => {
                bob.say_at_once("ann", (0..*count).map(|n| n.to_string())).await;
            }
            Some(Meanwhile::IsSent(count)) => {
                ann.say_at_once("bob", (0..*count).map(|n| n.to_string())).await;
            }
            Some(Meanwhile::Limit(messages)) => {
                imd.admin().set_limits("ann", None, Some(*messages)).await.expect("limits");
            }
            None => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_neither_repeat_nor_omit_while_messages_arrive_and_limits_move() {
    let imd = Cluster::start(Transport::Rest).await;
    let (ann, bob) = (imd.user_with_phone("ann").await, imd.user_with_phone("bob").await);
    let cases = (1..15_i32, vec(meanwhile(), 0..6));
    let mut runner =
        TestRunner::new(Config { cases: 15, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&cases, |(size, between)| {
        let (before, read, floor) = block_in_place(|| {
            Handle::current().block_on(async {
                imd.admin().set_limits("ann", None, None).await.expect("no limits");
                ann.say_at_once("bob", (0..10).map(|n| n.to_string())).await;
                let (before, _) = read(&imd, &ann, &bob, 200, &[]).await;
                let (read, floor) = read(&imd, &ann, &bob, size, &between).await;
                (before, read, floor)
            })
        });
        // Once read, a message stays read, even where a limit has hidden it since.
        let lowest = read.last().copied().unwrap_or(i64::MAX).min(floor);
        let expected: Vec<i64> = before.into_iter().filter(|&seq| seq >= lowest).collect();
        prop_assert_eq!(read, expected);
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}
