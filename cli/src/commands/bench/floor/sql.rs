//! The tables of imd, and the statements by which its lanes fill them.

use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::{SCHEMA, user_no};

/// imd's own tables, to the last index.
const TABLES: &str = include_str!("../../../../../migrations/V1__init.sql");

/// How imd sets up the connections of its lanes.
pub(super) const LANE_SETTINGS: &str = "-c enable_hashjoin=off -c enable_mergejoin=off \
     -c enable_seqscan=off -c plan_cache_mode=force_generic_plan";

/// Takes the places of a batch.
pub(super) const COUNT: &str = "\
    UPDATE timelines t
    SET last_seq = t.last_seq + o.entries, last_message_no = t.last_message_no + o.entries,
        last_at = greatest(t.last_at, now())
    FROM unnest($1::bigint[], $2::bigint[]) o (owner, entries)
    WHERE t.owner = o.owner
    RETURNING t.owner, t.epoch, t.last_seq, t.last_message_no, t.last_at";

/// Finds what must not be appended.
pub(super) const CHECK: &str = "\
    SELECT i.item, s.session_id, s.ended_at, s.end_reason, s.ended_by_type, s.ended_by_device_name,
        s.end_note, t.epoch, e.seq, e.conversation, e.content_hash, e.appended_at, e.copies
    FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::uuid[])
        i (item, sender, session_id, client_message_id)
    LEFT JOIN sessions s ON s.user_no = i.sender AND s.session_id = i.session_id
    LEFT JOIN timelines t ON t.owner = i.sender
    LEFT JOIN entries e ON e.owner = i.sender AND e.client_message_id = i.client_message_id
    WHERE s.session_id IS NULL OR s.ended_at IS NOT NULL OR e.seq IS NOT NULL";

/// Fills the places.
pub(super) const INSERT: &str = "\
    INSERT INTO entries (owner, seq, conversation, sender, sender_seq, message_no, appended_at, kind,
        client_message_id, content_hash, copies, content_type, body)
    SELECT c.owner, c.seq, c.conversation, i.sender, i.sender_seq, c.message_no, c.appended_at, 1,
        c.client_message_id, c.content_hash, c.copies, i.content_type, i.body
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[],
                $5::bigint[], $6::bigint[], $7::bigint[], $8::timestamptz[],
                $9::uuid[], $10::bytea[], $11::text[], $12::bytea[])
        i (sender, sender_seq, sender_message_no, sender_at,
           recipient, recipient_seq, recipient_message_no, recipient_at,
           client_message_id, content_hash, content_type, body)
    CROSS JOIN LATERAL (VALUES
        (i.sender, i.sender_seq, i.recipient, i.sender_message_no, i.sender_at, i.client_message_id,
         i.content_hash, CASE WHEN i.recipient_seq IS NOT NULL THEN ARRAY[i.recipient, i.recipient_seq] END),
        (i.recipient, i.recipient_seq, i.sender, i.recipient_message_no, i.recipient_at, NULL, NULL, NULL)
    ) c (owner, seq, conversation, message_no, appended_at, client_message_id, content_hash, copies)
    WHERE c.seq IS NOT NULL";

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
