//! Messages that transactions of the customer's ask for in SQL: they are sent with the commit, once, and what is refused
//! says why.

mod faults;
mod rights;

use imd_proto::v1::UserState;
use serde_json::json;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::{
    append::assert_dense,
    groups::{IN_OSLO, group_of},
    support::{
        api::Transport, cluster::Cluster, eventually, node::Node, postgres::Database,
        terminal::Terminal,
    },
};

/// Asks for a text as a user: the number of the request.
async fn ask(sql: &Client, from: &str, to: &str, id: Uuid, text: &str) -> i64 {
    let ask = "SELECT imd.send($1, $2, $3, $4)";
    sql.query_one(ask, &[&from, &to, &id, &text]).await.expect("asked").get(0)
}

/// What became of a request, once it is done.
async fn done(sql: &Client, request_id: i64) -> Row {
    let read = "SELECT * FROM imd.requests WHERE request_id = $1 AND status <> 'waiting'";
    eventually("it is done", async || sql.query_opt(read, &[&request_id]).await.expect("read"))
        .await
}

/// What a terminal's timeline says, once it holds so many messages.
async fn said(terminal: &Terminal, messages: usize) -> Vec<String> {
    eventually("the messages", async || {
        let texts = terminal.texts().await;
        (texts.len() >= messages).then_some(texts)
    })
    .await
}

async fn asked(imd: &Cluster) -> i64 {
    let count = "SELECT count(*) FROM inbox";
    imd.database.sql().await.query_one(count, &[]).await.expect("a number").get(0)
}

#[tokio::test]
async fn i7_a_message_is_sent_with_its_transaction_and_once() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (_node, elsewhere) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await.through(elsewhere);
    let mut sql = imd.database.sql().await;
    sql.batch_execute("CREATE TABLE orders (order_id int)").await.expect("a table of their own");

    let kept_back = sql.transaction().await.expect("a transaction");
    kept_back.batch_execute("INSERT INTO orders VALUES (1)").await.expect("a row");
    ask(kept_back.client(), "ann", "ben", Uuid::new_v4(), "never").await;
    kept_back.rollback().await.expect("rolled back");
    assert_eq!(asked(&imd).await, 0);

    let mut feed = ben.follow("now").await;
    let id = Uuid::new_v4();
    let kept = sql.transaction().await.expect("a transaction");
    kept.batch_execute("INSERT INTO orders VALUES (2)").await.expect("a row");
    let first = ask(kept.client(), "ann", "ben", id, "shipped").await;
    let again = ask(kept.client(), "ann", "ben", id, "shipped").await;
    kept.commit().await.expect("committed");
    assert_eq!(feed.entry().await.text(), "shipped");
    let mut message_ids = Vec::new();
    for request in [first, again] {
        let row = done(&sql, request).await;
        assert_eq!(row.get::<_, &str>("status"), "sent");
        assert_eq!(row.get::<_, &str>("sender"), "user:ann");
        assert_eq!(row.get::<_, &str>("recipient"), "user:ben");
        assert_eq!(row.get::<_, Uuid>("client_message_id"), id);
        message_ids.push(row.get::<_, String>("message_id"));
    }
    assert_eq!(message_ids[0], message_ids[1]);
    let entry = ben.timeline().await.pop().expect("a message");
    assert_eq!(entry.message().message_id, message_ids[0]);

    // As a node leaves it that dies before it has noted what it did.
    let left = "UPDATE inbox SET state = 1, body = 'shipped', done_at = NULL, message_id = NULL";
    sql.execute(left, &[]).await.expect("as it was");
    let row = done(&sql, first).await;
    assert_eq!(row.get::<_, String>("message_id"), message_ids[0]);
    assert_eq!(ben.texts().await, ["shipped"]);
    assert_eq!(ann.texts().await, ["shipped"]);
    // What it says stands in the timelines alone.
    let bodies = "SELECT count(*) FROM inbox WHERE body IS NOT NULL AND state <> 1";
    assert_eq!(sql.query_one(bodies, &[]).await.expect("n").get::<_, i64>(0), 0);
    assert_dense(&imd.database).await;
}

#[tokio::test]
async fn what_is_asked_for_while_no_node_runs_is_sent_by_the_next() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ben = imd.user_with_phone("ben").await;
    imd.user("ann").await;
    let sql = imd.database.sql().await;
    let Cluster { database, node, .. } = imd;
    node.stop().await;
    let request = ask(&sql, "ann", "ben", Uuid::new_v4(), "good morning").await;
    let waiting = "SELECT status FROM imd.requests WHERE request_id = $1";
    let row = sql.query_one(waiting, &[&request]).await.expect("a row");
    assert_eq!(row.get::<_, &str>(0), "waiting");

    let node = Node::start(&database).await;
    assert_eq!(done(&sql, request).await.get::<_, &str>("status"), "sent");
    let ben = ben.through(node.api(Transport::Grpc));
    assert_eq!(ben.texts().await, ["good morning"]);

    // Nobody was told of this one.
    let unheard = "INSERT INTO inbox (partition, requested_by, sender, recipient, client_message_id, body,
            silent, no_push, bypass)
        VALUES (3, session_user, 'user:ann', 'user:ben', gen_random_uuid(), 'unheard', false, false, false)";
    sql.execute(unheard, &[]).await.expect("a request");
    assert_eq!(said(&ben, 2).await, ["good morning", "unheard"]);
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    ann.block("ben").await.expect("blocked");
    let sql = imd.database.sql().await;
    let id = Uuid::new_v4();
    let taken = ask(&sql, "ann", "ann", id, "a note").await;
    assert_eq!(done(&sql, taken).await.get::<_, &str>("status"), "sent");

    let long = "x".repeat(70_000);
    for (from, to, id, text, code, words) in [
        ("nobody", "ann", Uuid::new_v4(), "x", "user_not_found", "nobody"),
        ("ann", "nobody", Uuid::new_v4(), "x", "user_not_found", "nobody"),
        ("ann", "group:nowhere", Uuid::new_v4(), "x", "group_not_found", "nowhere"),
        ("ben", "ann", Uuid::new_v4(), "x", "blocked", ""),
        ("ann", "ann", id, "another note", "client_message_id_conflict", ""),
        ("a b", "ann", Uuid::new_v4(), "x", "invalid_argument", "from.user_id"),
        ("ann", "a b", Uuid::new_v4(), "x", "invalid_argument", "to.user_id"),
        ("ann", "ben", Uuid::new_v4(), "", "invalid_argument", "text"),
        ("ben", "ben", Uuid::new_v4(), long.as_str(), "invalid_argument", "text"),
    ] {
        let request = ask(&sql, from, to, id, text).await;
        let row = done(&sql, request).await;
        let (found, detail): (&str, &str) = (row.get("code"), row.get("detail"));
        assert_eq!((row.get("status"), found), ("refused", code), "{from} to {to}");
        assert!(detail.contains(words), "{detail}");
        assert_eq!(row.get::<_, Option<&str>>("message_id"), None);
    }
    let system = "SELECT imd.send_system('ann', 'ben', gen_random_uuid(), 'x')";
    let request: i64 = sql.query_one(system, &[]).await.expect("asked").get(0);
    let row = done(&sql, request).await;
    assert_eq!(row.get::<_, &str>("code"), "invalid_argument");
    assert!(row.get::<_, &str>("detail").contains("from.system"));
    assert_eq!(ben.texts().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_call_without_what_it_needs_is_an_error_at_once() {
    let imd = Cluster::start(Transport::Grpc).await;
    let sql = imd.database.sql().await;
    for (call, why) in [
        ("imd.send(NULL, 'ben', gen_random_uuid(), 'x')", "are needed"),
        ("imd.send('ann', NULL, gen_random_uuid(), 'x')", "are needed"),
        ("imd.send('ann', 'ben', NULL, 'x')", "are needed"),
        ("imd.send('ann', 'ben', gen_random_uuid())", "either text is needed"),
        ("imd.send('ann', 'ben', gen_random_uuid(), data => 'x')", "either text is needed"),
        (
            "imd.send('ann', 'ben', gen_random_uuid(), 'x', content_type => 'a/b', data => 'x')",
            "either text is needed",
        ),
    ] {
        let refused = sql.batch_execute(&format!("SELECT {call}")).await.expect_err(call);
        let said = refused.as_db_error().expect("from PostgreSQL").message().to_owned();
        assert!(said.contains(why), "{call}: {said}");
    }
    assert_eq!(asked(&imd).await, 0);
}

#[tokio::test]
async fn the_system_speaks_to_users_and_past_what_groups_want() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let sql = imd.database.sql().await;
    let ask = async |call: &str| -> Row {
        let asked = sql.query_one(&format!("SELECT {call}"), &[]).await.expect(call);
        done(&sql, asked.get(0)).await
    };
    let sent =
        ask("imd.send_system('orders', 'ann', gen_random_uuid(), 'shipped', silent => true)").await;
    assert_eq!(sent.get::<_, &str>("sender"), "system:orders");
    let entry = ann.timeline().await.pop().expect("a message");
    assert_eq!((entry.message().sender_id.as_str(), entry.message().silent), ("orders", true));
    assert_eq!(imd.admin().user("orders").await.expect("an account").state(), UserState::System);

    let refused = ask("imd.send_system('orders', 'group:oslo', gen_random_uuid(), 'late')").await;
    assert_eq!(refused.get::<_, &str>("code"), "not_a_member");
    let past =
        "imd.send_system('orders', 'group:oslo', gen_random_uuid(), content_type => 'image/png',
        data => '\\x0102', no_push => true, bypass => true)";
    assert_eq!(ask(past).await.get::<_, &str>("status"), "sent");
    eventually("the group has it", async || {
        let timeline = ben.timeline().await;
        let message = timeline.last()?.as_message()?.clone();
        (message.conversation_id == IN_OSLO && message.no_push).then_some(())
    })
    .await;
    let records = imd.admin().audit("", 0, "").await.expect("records").records;
    let bypassing: Vec<_> = records.iter().filter(|r| r.action == "send_bypassing").collect();
    assert_eq!(bypassing.len(), 1);
    assert!(bypassing[0].actor.starts_with("sql:"), "{}", bypassing[0].actor);
    assert_eq!(bypassing[0].details, json!({ "messages": 1, "from": ["orders"] }).to_string());
}

#[tokio::test]
async fn requests_of_one_sender_are_met_in_their_order_by_any_nodes() {
    const EACH: usize = 150;
    let imd = Cluster::start(Transport::Grpc).await;
    let (_node, _) = imd.start_node().await;
    let ben = imd.user_with_phone("ben").await;
    imd.users(["ann", "cleo", "dan"]).await;
    let sql = imd.database.sql().await;
    for n in 0..EACH {
        for sender in ["ann", "cleo", "dan"] {
            ask(&sql, sender, "ben", Uuid::new_v4(), &format!("{sender} {n}")).await;
        }
    }
    let texts = said(&ben, 3 * EACH).await;
    for sender in ["ann", "cleo", "dan"] {
        let of_one: Vec<_> =
            texts.iter().filter(|text| text.starts_with(sender)).cloned().collect();
        let due: Vec<_> = (0..EACH).map(|n| format!("{sender} {n}")).collect();
        assert_eq!(of_one, due);
    }
    assert_dense(&imd.database).await;
}

#[tokio::test]
async fn what_was_met_a_while_ago_is_forgotten() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "ben"]).await;
    let sql = imd.database.sql().await;
    let old = ask(&sql, "ann", "ben", Uuid::new_v4(), "old").await;
    let new = ask(&sql, "ann", "ben", Uuid::new_v4(), "new").await;
    for request in [old, new] {
        done(&sql, request).await;
    }
    let age = "UPDATE inbox SET done_at = done_at - interval '8 days' WHERE request_id = $1";
    sql.execute(age, &[&old]).await.expect("aged");
    imd.admin().retry_job("sql_requests").await.expect("hurried");
    eventually("the old one is gone", async || (asked(&imd).await == 1).then_some(())).await;
    assert_eq!(done(&sql, new).await.get::<_, &str>("status"), "sent");
}

/// A node whose role may not make a schema works without, until there is one for it.
#[tokio::test]
async fn a_node_without_the_right_to_make_a_schema_starts() {
    let database = Database::create_empty().await;
    let sql = database.sql().await;
    let superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";
    if sql.query_one(superuser, &[]).await.expect("a role").get(0) {
        // The tests run on a server of another's, where imd's role may do anything.
        return;
    }
    let theirs = "CREATE SCHEMA imd";
    database.superuser().await.batch_execute(theirs).await.expect("a schema of another's");
    let node = Node::start(&database).await;
    let made = "SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE nspname = 'imd'";
    assert_eq!(sql.query_one(made, &[]).await.expect("n").get::<_, i64>(0), 0);
    node.stop().await;
    let grant = "DO $$ BEGIN EXECUTE format('GRANT ALL ON SCHEMA imd TO %I', (SELECT pg_get_userbyid(datdba)
        FROM pg_database WHERE datname = current_database())); END $$";
    database.superuser().await.batch_execute(grant).await.expect("granted");
    let _node = Node::start(&database).await;
    assert_eq!(sql.query_one(made, &[]).await.expect("n").get::<_, i64>(0), 2);
}
