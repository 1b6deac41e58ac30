//! A role of the customer's may ask for messages, and nothing else.

use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::{ask, done};
use crate::support::{api::Transport, cluster::Cluster};

/// As the guide has it.
const GRANTS: &str = "GRANT USAGE ON SCHEMA imd TO {role};
    GRANT EXECUTE ON FUNCTION imd.send, imd.send_system TO {role};
    GRANT SELECT ON imd.requests TO {role};";

/// What PostgreSQL says to who lacks a right.
const DENIED: &str = "42501";

#[test]
fn the_recipe_is_that_of_the_guide() {
    let guide = include_str!("../../docs/server-api.md");
    for line in GRANTS.replace("{role}", "shop").lines() {
        assert!(guide.contains(line.trim()), "{line}");
    }
}

#[tokio::test]
async fn the_role_of_a_backend_may_do_this_and_nothing_else() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let shop = imd.database.role("shop", GRANTS).await;
    let other = imd.database.role("other", GRANTS).await;
    let stranger = imd.database.role("stranger", "").await;

    let request = ask(&shop, "ann", "ben", Uuid::new_v4(), "shipped").await;
    assert_eq!(done(&shop, request).await.get::<_, &str>("status"), "sent");
    assert_eq!(ben.texts().await, ["shipped"]);
    let all = "SELECT count(*) FROM imd.requests";
    assert_eq!(shop.query_one(all, &[]).await.expect("n").get::<_, i64>(0), 1);
    assert_eq!(other.query_one(all, &[]).await.expect("n").get::<_, i64>(0), 0, "another's");

    let tables = "SELECT relname::text FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let tables = imd.database.sql().await.query(tables, &[]).await.expect("the tables");
    assert!(tables.len() > 30, "{} tables", tables.len());
    let mut attempts: Vec<String> = vec![
        "INSERT INTO inbox (partition) VALUES (0)".to_owned(),
        "UPDATE inbox_partitions SET lease = NULL".to_owned(),
        "DELETE FROM imd.requests".to_owned(),
        "SELECT put_into_inbox('user:ann', 'ben', gen_random_uuid(), 'x', NULL, NULL, false, false, false)"
            .to_owned(),
        "CREATE TABLE imd.mine (a int)".to_owned(),
        "CREATE OR REPLACE VIEW imd.requests AS SELECT 1".to_owned(),
    ];
    attempts.extend(tables.iter().map(|row| format!("SELECT FROM {}", row.get::<_, &str>(0))));
    for attempt in &attempts {
        let refused = shop.batch_execute(attempt).await.expect_err(attempt);
        assert_eq!(refused.code().map(SqlState::code), Some(DENIED), "{attempt}: {refused}");
    }
    for attempt in ["SELECT imd.send('ann', 'ben', gen_random_uuid(), 'x')", all] {
        let refused = stranger.batch_execute(attempt).await.expect_err(attempt);
        assert_eq!(refused.code().map(SqlState::code), Some(DENIED), "{attempt}: {refused}");
    }
}

/// The functions run with imd's rights: what a caller makes must not be found in place of what they mean.
#[tokio::test]
async fn a_role_puts_nothing_of_its_own_under_the_functions() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let shop = imd.database.role("shop", GRANTS).await;
    shop.batch_execute(
        "CREATE TEMP TABLE inbox (LIKE imd.requests);
         CREATE FUNCTION pg_temp.put_into_inbox(text, text, uuid, text, text, bytea, boolean, boolean, boolean)
             RETURNS bigint LANGUAGE sql AS 'SELECT 1 / 0';
         SET search_path = pg_temp, public",
    )
    .await
    .expect("what a role may make");
    let request = ask(&shop, "ann", "ben", Uuid::new_v4(), "shipped").await;
    assert_eq!(done(&shop, request).await.get::<_, &str>("status"), "sent");
    assert_eq!(ben.texts().await, ["shipped"]);
}
