//! Bringing the database up to date, as a step of its own or at the start of a node, and nodes of two versions on one
//! database.

use std::process::Output;

use crate::support::{
    node::Node,
    postgres::Database,
    process::{DataFolder, in_time},
};

/// What `imd` says with a database, told to migrate nothing by itself.
async fn imd(database: &Database, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = DataFolder::new();
    let mut command = folder.imd();
    command.args(arguments).env("IMD_DATABASE_URL", database.url());
    command.env("IMD_DATABASE_MIGRATE", "false");
    let Output { status, stdout, stderr } =
        in_time("imd ends", command.output()).await.expect("it runs");
    let said = [stdout, stderr].map(|said| String::from_utf8(said).expect("a text"));
    (status.code(), said.concat())
}

#[tokio::test]
async fn the_database_is_migrated_by_a_step_of_its_own_where_that_is_wanted() {
    let database = Database::create_empty().await;
    let (code, said) = imd(&database, &["check-config"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("failed  database") && said.contains("`imd migrate`"), "{said}");
    let (code, said) = imd(&database, &[]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("`imd migrate`") && said.contains("database.migrate"), "{said}");

    let (code, missing) = imd(&database, &["migrate", "--dry-run"]).await;
    assert_eq!(code, Some(0), "{missing}");
    assert!(missing.starts_with("V1__"), "{missing}");
    let (code, applied) = imd(&database, &["migrate"]).await;
    // The log is behind it.
    assert!(code == Some(0) && applied.starts_with(&missing), "what was said: {applied}");
    let (code, said) = imd(&database, &["migrate"]).await;
    assert!(code == Some(0) && said.starts_with("the database has all migrations\n"), "{said}");
    let (code, said) = imd(&database, &["check-config"]).await;
    assert_eq!(code, Some(0), "{said}");
    Node::start_with(&database, |settings| settings.database.migrate = false).await.stop().await;
}

#[tokio::test]
async fn a_node_runs_on_the_tables_of_a_newer_version_as_long_as_they_work_with_it() {
    let database = Database::create().await;
    let sql = database.sql().await;
    sql.batch_execute(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
         VALUES (9999, 'of_a_newer_version', '2030-01-01T00:00:00Z', '1')",
    )
    .await
    .expect("a migration");
    Node::start(&database).await.stop().await;

    sql.batch_execute("UPDATE compatibility SET works_with = 9999").await.expect("no more");
    let refused = Node::refused(database.url()).await;
    assert!(refused.contains("newer version") && refused.contains("V9999"), "{refused}");
    assert!(!refused.contains('\n'), "{refused}");
    let (code, said) = imd(&database, &["migrate"]).await;
    assert!(code == Some(1) && said.contains("V9999"), "{said}");
}

#[tokio::test]
async fn settings_are_checked_with_what_they_name() {
    let database = Database::create().await;
    let (code, said) = imd(&database, &["check-config", "--set", "tls.cert=nowhere.pem"]).await;
    assert!(code == Some(1) && said.contains("belong together"), "{said}");
    let nowhere = ["check-config", "--set", "tls.cert=nowhere.pem", "--set", "tls.key=nowhere.key"];
    let (code, said) = imd(&database, &nowhere).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("failed  tls") && said.contains("nowhere"), "{said}");
    assert!(said.contains("ok      database"), "what else is looked at: {said}");
}
