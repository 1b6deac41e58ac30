//! The tables of imd, and the statements by which its lanes fill them.

use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::{SCHEMA, user_no};

/// imd's own tables, to the last index.
const TABLES: &str = include_str!("../../../../../migrations/V1__init.sql");

/// How imd sets up the connections of its lanes.
pub(super) const LANE_SETTINGS: &str = "-c enable_hashjoin=off -c enable_mergejoin=off \
     -c enable_seqscan=off -c plan_cache_mode=force_generic_plan";

/// The statements of a batch: imd's own files, since a comparison with anything but what imd really does
/// would be worth nothing.
pub(super) const COUNT: &str = include_str!("../../../../../api/src/store/append/count.sql");
pub(super) const CHECK: &str = include_str!("../../../../../api/src/store/append/check.sql");
pub(super) const INSERT: &str = include_str!("../../../../../api/src/store/append/insert.sql");

/// Makes the schema, with an empty timeline and a live session for each user.
pub(super) async fn make_tables(client: &Client, sessions: &[Uuid]) -> Result<(), Error> {
    client.batch_execute(&drop_schema()).await?;
    client.batch_execute(&format!("CREATE SCHEMA {SCHEMA}")).await?;
    client.batch_execute(TABLES).await?;
    let owners: Vec<i64> = (0..sessions.len()).map(user_no).collect();
    client
        .execute("INSERT INTO timelines (owner, epoch) SELECT unnest($1::bigint[]), 1", &[&owners])
        .await?;
    client
        .execute(
            "INSERT INTO sessions (user_no, session_id, terminal_type, device_id, device_name,
                created_at, last_used_at, refresh_hash, refresh_expires_at)
             SELECT u.user_no, u.session_id, 'phone', '', '', now(), now(), '', now()
             FROM unnest($1::bigint[], $2::uuid[]) u (user_no, session_id)",
            &[&owners, &sessions],
        )
        .await?;
    client.batch_execute("ANALYZE timelines, sessions").await
}

/// Drops the schema, if there is one.
pub(super) fn drop_schema() -> String {
    format!("SET client_min_messages = warning; DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A comparison with anything but what imd really does would be worth nothing.
    #[test]
    fn the_statements_are_those_of_imd() {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let source = words(include_str!("../../../../../api/src/store/append.rs"));
        for statement in [COUNT, CHECK, INSERT] {
            assert!(source.contains(&words(statement)), "not in imd any more: {statement}");
        }
        for setting in LANE_SETTINGS.split(" -c ") {
            assert!(source.contains(setting.trim_start_matches("-c ")), "{setting}");
        }
    }
}
