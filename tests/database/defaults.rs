//! Defaults of a role, a database or the server that would change what imd promises.

use std::time::Duration;

use futures::future::join_all;
use nix::sys::signal::{Signal, kill};
use tokio_postgres::{Client, Config, NoTls};

use crate::{
    faults::until,
    support::{
        api::Transport, cluster::Cluster, node::Node, postgres::Database, process::DataFolder,
    },
};

/// What imd sets for itself, whatever the database says.
const HOSTILE: &[(&str, &str)] = &[
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_deferrable", "on"),
    ("synchronous_commit", "off"),
    ("lock_timeout", "1"),
    ("idle_in_transaction_session_timeout", "1"),
    ("DateStyle", "German, YMD"),
    ("IntervalStyle", "sql_standard"),
    ("TimeZone", "Asia/Kathmandu"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "-10"),
    ("standard_conforming_strings", "off"),
    ("transform_null_equals", "on"),
    ("exit_on_error", "on"),
    ("enable_nestloop", "off"),
    ("search_path", "elsewhere"),
];

/// A connection as the superuser of a private database.
async fn superuser(url: &str) -> Client {
    let mut config: Config = url.parse().expect("a URL");
    config.user("postgres").dbname("postgres");
    let (client, connection) = config.connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn what_a_database_sets_changes_nothing() {
    let database = Database::create().await;
    // Where its tables are is found when a node starts.
    let first = Node::start(&database).await;
    let sql = database.sql().await;
    let name: String =
        sql.query_one("SELECT current_database()", &[]).await.expect("a name").get(0);
    for (setting, value) in HOSTILE {
        let set = format!("ALTER DATABASE {name} SET {setting} = '{value}'");
        sql.batch_execute(&set).await.unwrap_or_else(|error| panic!("{set}: {error}"));
    }
    // Connections that are lost come back under the new defaults.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sql.execute(end, &[]).await.expect("its owner may");
    let imd = Cluster::of(Transport::Grpc, database, first);
    let users: Vec<_> = (0..8).map(|no| format!("user-{no}")).collect();
    for user in &users {
        until("a user can be made", Duration::from_secs(10), async || {
            imd.admin().create_user(user, crate::support::cluster::PASSWORD).await.ok()
        })
        .await;
    }
    let phones = join_all(users.iter().map(|user| imd.log_in(user, "phone", user))).await;
    let sends = phones.iter().map(|phone| phone.say("user-0", "hello"));
    join_all(sends).await;
    let seq = phones[0].timeline().await.last().expect("entries").seq;
    let marks = users[1..].iter().map(|user| phones[0].mark_read(user, seq));
    for marked in join_all(marks).await {
        marked.expect("a read mark");
    }
    // A node that starts now says where the tables are instead of making others.
    let refused = Node::refused(imd.database.url()).await;
    assert!(refused.contains("search_path") && refused.contains("public"), "{refused}");
}

/// The power goes right behind the acks (I4).
#[tokio::test]
async fn acks_are_on_the_disk_whatever_the_role_says() {
    let folder = DataFolder::new();
    let mut imd = folder.start().await;
    let url = folder.database_url().await;
    let sql = superuser(&url).await;
    // Nothing but a commit that waits for it brings the log to the disk in time.
    sql.batch_execute("ALTER SYSTEM SET wal_writer_delay = '10s'").await.expect("a superuser may");
    sql.batch_execute("ALTER ROLE imd SET synchronous_commit = off").await.expect("it may");
    drop(sql);
    assert!(imd.end(Signal::SIGTERM).await.success());
    let mut imd = folder.start().await;
    imd.create_users(&["ann", "bob"]).await;
    let ann = imd.log_in(Transport::Grpc, "ann", "phone").await;
    let bob = imd.log_in(Transport::Grpc, "bob", "phone").await;
    for text in ["1", "2", "3", "4", "5"] {
        ann.say("bob", text).await;
    }
    kill(folder.postmaster().expect("it runs"), Signal::SIGQUIT).expect("it runs");
    until("PostgreSQL is back", Duration::from_secs(30), async || bob.pull("0").await.ok()).await;
    assert_eq!(bob.texts().await, ["1", "2", "3", "4", "5"]);
    assert!(imd.end(Signal::SIGTERM).await.success());
}
