//! The tables of imd, and the statements by which its lanes fill them.

use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::{SCHEMA, user_no};

/// Makes imd's own tables anew, to the last index, from those that the search path leads to. What LIKE
/// leaves out are the table's options: room on a page, for one.
const COPY_TABLES: &str = "
    DO $$
    DECLARE
        imd oid := (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('timelines'));
        original record;
    BEGIN
        FOR original IN
            SELECT relname, relnamespace::regnamespace AS schema,
                coalesce('WITH (' || array_to_string(reloptions, ', ') || ')', '') AS options
            FROM pg_class WHERE relnamespace = imd AND relkind = 'r'
        LOOP
            EXECUTE format('CREATE TABLE {schema}.%I (LIKE %s.%I INCLUDING ALL) %s',
                original.relname, original.schema, original.relname, original.options);
        END LOOP;
        FOR original IN
            SELECT replace(pg_get_functiondef(p.oid),
                format('FUNCTION %s.', p.pronamespace::regnamespace), 'FUNCTION {schema}.') AS definition
            FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
            WHERE p.pronamespace = imd AND p.prokind = 'f' AND l.lanname = 'sql'
        LOOP
            EXECUTE original.definition;
        END LOOP;
    END $$";

/// How imd sets up the connections of its lanes.
pub(super) const LANE_SETTINGS: &str = "-c enable_hashjoin=off -c enable_mergejoin=off \
     -c enable_seqscan=off -c plan_cache_mode=force_generic_plan";

/// The statements of a batch: imd's own files, since a comparison with anything but what imd really does
/// would be worth nothing.
pub(super) const COUNT: &str = include_str!("../../../../../api/src/store/append/count.sql");
pub(super) const APPEND: &str = include_str!("../../../../../api/src/store/append/append.sql");

/// Whether imd has its tables in this database.
pub(super) async fn has_tables(client: &Client) -> Result<bool, Error> {
    let row = client.query_one("SELECT to_regclass('timelines') IS NOT NULL", &[]).await?;
    Ok(row.get(0))
}

/// Makes the schema, with an empty timeline and a live session for each user. `client` sees imd's own
/// tables; from then on it sees those of the schema.
pub(super) async fn make_tables(client: &Client, sessions: &[Uuid]) -> Result<(), Error> {
    client.batch_execute(&drop_schema()).await?;
    client.batch_execute(&format!("CREATE SCHEMA {SCHEMA}")).await?;
    client.batch_execute(&COPY_TABLES.replace("{schema}", SCHEMA)).await?;
    client.batch_execute(&format!("SET search_path = {SCHEMA}")).await?;
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

    /// The plans are those of imd's lanes only with the settings of imd's lanes.
    #[test]
    fn the_settings_are_those_of_imd() {
        let source = include_str!("../../../../../api/src/store/append/session.rs");
        for setting in LANE_SETTINGS.split(" -c ") {
            assert!(source.contains(setting.trim_start_matches("-c ")), "{setting}");
        }
    }
}
