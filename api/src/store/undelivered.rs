//! Users none of whose terminals has got what was sent to them a while ago. Webhooks are told of the oldest such message,
//! and of none behind it until some terminal has got that one.

use std::time::Duration;

use super::{Store, outbox::tell_of_user_at, transaction, users::read_state};
use crate::model::{EventKind, Result, UserNo, UserState};

/// How long messages are looked at beyond the time when they should have been got: a webhook that is new is not told of
/// what is older.
const LOOKED_AT: &str = "interval '1 day'";

impl Store {
    /// Whether some webhook is to be told of messages that nobody has got.
    pub async fn tells_of_undelivered(&self) -> Result<bool> {
        let client = self.client().await?;
        let wanted = "SELECT EXISTS (SELECT FROM webhook_kinds WHERE kind = $1)";
        let row = client.query_one(wanted, &[&(EventKind::Undelivered as i16)]).await?;
        Ok(row.get(0))
    }

    /// Writes an event for each of up to `limit` users whose oldest message that no terminal has got was appended longer
    /// ago than `after`, and was not told of: how many users that were.
    pub async fn tell_of_undelivered(&self, after: Duration, limit: i64) -> Result<i64> {
        let client = self.client().await?;
        let late = client
            .prepare_cached(&format!(
                "SELECT t.owner, oldest.seq
                 FROM timelines t
                 CROSS JOIN LATERAL (
                     SELECT coalesce(max(s.cursor_seq), 0) AS seq FROM sessions s
                     WHERE s.user_no = t.owner AND s.cursor_epoch = stamp(t.epoch)
                 ) got
                 LEFT JOIN undelivered u ON u.owner = t.owner
                 CROSS JOIN LATERAL (
                     SELECT e.seq, e.appended_at FROM entries e
                     WHERE e.owner = t.owner AND e.seq > got.seq AND e.kind = 1 AND e.tombstone IS NULL
                         AND e.sender <> t.owner
                         AND e.appended_at > now() - make_interval(secs => $1) - {LOOKED_AT}
                     ORDER BY e.seq LIMIT 1
                 ) oldest
                 WHERE t.owner > 0 AND t.last_at > now() - make_interval(secs => $1) - {LOOKED_AT}
                     AND t.last_seq > got.seq AND coalesce(u.told_seq, 0) <= got.seq
                     AND oldest.appended_at <= now() - make_interval(secs => $1)
                 LIMIT $2"
            ))
            .await?;
        let late = client.query(&late, &[&after.as_secs_f64(), &limit]).await?;
        drop(client);
        for row in &late {
            self.tell_of_one(row.get("owner"), row.get("seq")).await?;
        }
        if !late.is_empty() {
            self.look_for_events();
        }
        Ok(i64::try_from(late.len()).unwrap_or(limit))
    }

    async fn tell_of_one(&self, owner: i64, seq: i64) -> Result<()> {
        transaction!(self, async |tx| {
            let lock = tx
                .prepare_cached("SELECT FROM timelines WHERE owner = $1 FOR NO KEY UPDATE")
                .await?;
            tx.query(&lock, &[&owner]).await?;
            let told = tx
                .prepare_cached(
                    "INSERT INTO undelivered (owner, told_seq) VALUES ($1, $2)
                     ON CONFLICT (owner) DO UPDATE SET told_seq = excluded.told_seq
                     WHERE undelivered.told_seq < excluded.told_seq",
                )
                .await?;
            if tx.execute(&told, &[&owner, &seq]).await? == 0 {
                return Ok(());
            }
            let state = tx.prepare_cached("SELECT state FROM users WHERE user_no = $1").await?;
            let state = tx.query_opt(&state, &[&owner]).await?;
            // Nobody waits for what bots and disabled users do not read.
            if state.is_some_and(|row| matches!(read_state(&row), UserState::Active)) {
                tell_of_user_at(&tx, UserNo(owner), EventKind::Undelivered, Some(seq)).await?;
            }
            tx.commit().await?;
            Ok(())
        })
    }
}
