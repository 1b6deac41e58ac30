//! What benchmarks compare imd with is what imd does: the baseline says the same to PostgreSQL as a lane
//! and as a fan-out.

use bytes::Bytes;
use imd::{
    model::{Content, ConversationId, ConversationNo, GroupNo},
    store::{Append, BASELINE_SCHEMA, Baseline, BaselineMessage, BaselineTarget, Store},
};
use uuid::Uuid;

use super::{Sender, message, senders};
use crate::{faults::proxy::Proxy, support::postgres::Database};

/// The group of all tests here, of which everybody is a member.
const GROUP: GroupNo = GroupNo(1);

const MAKE_GROUP: &str = "
    WITH made AS (
        INSERT INTO groups (group_no, group_id, name, join_rule, history)
        OVERRIDING SYSTEM VALUE VALUES (1, 'team', '', 1, 0)
    ), timeline AS (
        INSERT INTO timelines (owner, epoch) VALUES (-1, 1)
    )
    INSERT INTO group_members (group_no, user_no, role, joined_at, joined_seq, fanned_to)
    SELECT 1, user_no, 1, now(), 0, 0 FROM users";

fn to_group(sender: &Sender) -> Append {
    Append {
        conversation: ConversationNo(-GROUP.0),
        conversation_id: ConversationId::User(sender.user_id.clone()),
        ..message(sender, sender, Uuid::new_v4(), "hello")
    }
}

/// What was said on the connections on which entries were appended: each statement that was prepared and
/// each that was run as text, in order. How a connection is set up is left out: the schema differs.
fn said(proxy: &Proxy) -> Vec<String> {
    let statements = |connection: &Vec<u8>| statements(connection);
    let connections: Vec<Vec<String>> = proxy.recorded().iter().map(statements).collect();
    let appending = connections
        .into_iter()
        .filter(|said| said.iter().any(|statement| statement.contains("INSERT INTO entries")));
    let set_up = |statement: &String| !statement.contains("timelines");
    appending.flat_map(|said| said.into_iter().skip_while(set_up)).collect()
}

/// The texts in the messages of one client, by PostgreSQL's protocol: `Parse` and `Query`.
fn statements(mut said: &[u8]) -> Vec<String> {
    let length = |at: &[u8]| u32::from_be_bytes(at[..4].try_into().expect("four bytes")) as usize;
    // A question about TLS, and the start-up, have no kind.
    while said.first() == Some(&0) {
        said = &said[length(said)..];
    }
    let mut found = Vec::new();
    while said.len() > 5 {
        let (kind, end) = (said[0], 1 + length(&said[1..]));
        let text = &said[5..end];
        let mut parts = text.split(|byte| *byte == 0);
        let statement = match kind {
            b'P' => parts.nth(1),
            b'Q' => parts.next(),
            _ => None,
        };
        found.extend(statement.map(|text| String::from_utf8_lossy(text).into_owned()));
        said = &said[end..];
    }
    found
}

async fn recorded(database: &Database) -> (Proxy, String) {
    let (proxy, url) = Proxy::before_database(database.url()).await;
    proxy.record();
    (proxy, url)
}

#[tokio::test]
async fn the_baseline_says_to_postgres_what_a_lane_and_a_fan_out_say() {
    let database = Database::create().await;
    let users = senders(&database, 3).await;
    database.sql().await.batch_execute(MAKE_GROUP).await.expect("a group");
    let [ann, bob, _] = users.as_slice() else { panic!("three users") };

    let (imd, url) = recorded(&database).await;
    let store = Store::new(&url, 1).expect("a store");
    let mut lane = store.append_connection(0);
    let batch = [message(ann, bob, Uuid::new_v4(), "hello"), to_group(ann)];
    for appended in lane.commit(&batch).await {
        appended.expect("appended");
    }
    let lane_said = said(&imd);
    imd.record();
    let store = Store::new(&url, 1).expect("a store");
    let made = store.fan_out(GROUP, 0).await.expect("a fan-out");
    assert_eq!(made.references.len(), 2, "ann has her own already");
    assert!(store.fan_out(GROUP, 0).await.expect("a fan-out").references.is_empty(), "all is done");
    let fan_out_said = said(&imd);

    let (alone, url) = recorded(&database).await;
    let baseline = Baseline::prepare(&url, 3, &[vec![0, 1, 2]]).await.expect("a baseline");
    alone.record();
    let lane = baseline.lane().await.expect("a connection");
    let targets = [BaselineTarget::User(1), BaselineTarget::Group(0)];
    let batch = targets.map(|to| BaselineMessage { sender: 0, to });
    let batch = baseline.batch(&batch, &Bytes::from_static(b"hello"));
    lane.append(&batch).await.expect("appended");
    assert_eq!(said(&alone), lane_said);
    alone.record();
    assert_eq!(baseline.fan_out(0).await.expect("a fan-out"), 2);
    let alone_said = said(&alone);
    assert!(alone_said.iter().any(|statement| statement.contains("INSERT INTO entries")));
    // Whom to tell is asked for afterwards, and what to tell them: neither writes anything.
    for statement in alone_said.iter().filter(|statement| *statement != "START TRANSACTION") {
        assert!(fan_out_said.contains(statement), "{statement}");
    }
    baseline.remove().await.expect("dropped");
    let sql = database.sql().await;
    let left = "SELECT to_regnamespace($1) IS NOT NULL";
    let left: bool = sql.query_one(left, &[&BASELINE_SCHEMA]).await.expect("an answer").get(0);
    assert!(!left, "the schema is still there");
}

#[tokio::test]
async fn the_baseline_writes_the_rows_that_imd_writes() {
    // Everything but ids, times and whose schema it is.
    const ROWS: &str = "
        SELECT owner, seq, conversation, sender, home_seq, message_no, kind, copies, body, flags,
            content_type, client_message_id IS NULL, content_hash IS NULL
        FROM entries ORDER BY owner, seq";
    const COUNTERS: &str = "SELECT owner, last_seq, last_message_no FROM timelines ORDER BY owner";
    let database = Database::create().await;
    let users = senders(&database, 3).await;
    let mut sql = database.sql().await;
    // So that both number their users from 1.
    let first: i64 = users[0].user_no.0;
    assert_eq!(first, 1);
    sql.batch_execute(MAKE_GROUP).await.expect("a group");
    let store = Store::new(database.url(), 2).expect("a store");
    let hello = Content::text("hello".to_owned(), 100).expect("a text");
    let batch = [message(&users[0], &users[1], Uuid::new_v4(), "hello"), to_group(&users[2])];
    for appended in store.append_connection(0).commit(&batch).await {
        appended.expect("appended");
    }
    store.fan_out(GROUP, 0).await.expect("a fan-out");

    let baseline = Baseline::prepare(database.url(), 3, &[vec![0, 1, 2]]).await.expect("ready");
    let messages = [(0, BaselineTarget::User(1)), (2, BaselineTarget::Group(0))];
    let messages = messages.map(|(sender, to)| BaselineMessage { sender, to });
    let batch = baseline.batch(&messages, hello.body());
    baseline.lane().await.expect("a connection").append(&batch).await.expect("appended");
    baseline.fan_out(0).await.expect("a fan-out");

    for rows in [ROWS, COUNTERS] {
        let text = format!("SELECT string_agg(r::text, E'\\n') FROM ({rows}) r");
        let real: String = sql.query_one(&text, &[]).await.expect("rows").get(0);
        let there = sql.transaction().await.expect("a transaction");
        let path = format!("SET LOCAL search_path = {BASELINE_SCHEMA}");
        there.batch_execute(&path).await.expect("the schema");
        let alone: String = there.query_one(&text, &[]).await.expect("rows").get(0);
        assert_eq!(alone, real);
    }
    baseline.remove().await.expect("dropped");
}
