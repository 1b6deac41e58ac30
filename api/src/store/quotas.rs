//! How many bytes the messages take that users have sent. Counted by a job and not with each send: a user that has a
//! quota is counted on from where it was, and from the beginning only where that comes to too much, since deletions,
//! recalls, edits and purges make less of what was counted before. What is behind a `quota_used` of the timeline is the
//! sends that `append.sql` refuses.

use tokio_postgres::types::ToSql;

use super::{Store, entries::KIND_MESSAGE, users::DELETED};
use crate::model::{Kind, Result, UserNo};

/// How many places of a timeline are counted in one statement.
const STRETCH: i64 = 10_000;

/// A user with a quota.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// Whose.
    pub user_no: UserNo,
    /// How many bytes the messages may take.
    pub max_bytes: i64,
}

/// What is known of the messages of a user.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    to: i64,
    purged_to: i64,
    bytes: i64,
    quota_used: bool,
}

impl Store {
    /// Users with a quota whose numbers are above `after`, in their order, at most `limit` of them.
    pub async fn quotas(&self, after: UserNo, limit: i64) -> Result<Vec<Quota>> {
        let client = self.client().await?;
        // Mostly nobody has one, and then no user is looked at.
        let any = "SELECT EXISTS (SELECT FROM tiers WHERE max_bytes IS NOT NULL)
            OR EXISTS (SELECT FROM users WHERE override_max_bytes IS NOT NULL)";
        if !client.query_one(any, &[]).await?.get::<_, bool>(0) {
            return Ok(Vec::new());
        }
        let statement = "SELECT * FROM (
                SELECT u.user_no,
                    CASE WHEN u.override THEN u.override_max_bytes ELSE t.max_bytes END AS max_bytes
                FROM users u JOIN tiers t ON t.name = u.tier
                WHERE u.user_no > $1 AND u.state <> $2
            ) q WHERE max_bytes IS NOT NULL ORDER BY user_no LIMIT $3";
        let parameters: [&(dyn ToSql + Sync); 3] = [&after.0, &DELETED, &limit];
        let rows = client.query(statement, &parameters).await?;
        let quota = |row: &tokio_postgres::Row| Quota {
            user_no: UserNo(row.get("user_no")),
            max_bytes: row.get("max_bytes"),
        };
        Ok(rows.iter().map(quota).collect())
    }

    /// Counts what a user has sent, and lets it send or not. A message may have `largest` bytes at most. Whether its
    /// quota is used.
    pub async fn count_sent_bytes(&self, quota: Quota, largest: i64) -> Result<bool> {
        let client = self.client().await?;
        let Quota { user_no, max_bytes } = quota;
        let timeline = "SELECT t.last_seq, t.purged_to, s.counted_to, s.purged_to AS counted_purged_to, s.bytes,
                s.quota_used
            FROM timelines t LEFT JOIN sent_bytes s USING (owner) WHERE t.owner = $1";
        let statement = client.prepare_cached(timeline).await?;
        let Some(row) = client.query_opt(&statement, &[&user_no.0]).await? else {
            return Ok(false);
        };
        let (last_seq, purged_to): (i64, i64) = (row.get("last_seq"), row.get("purged_to"));
        let known = row.get::<_, Option<i64>>("counted_to").map(|to| Counted {
            to,
            purged_to: row.get("counted_purged_to"),
            bytes: row.get("bytes"),
            quota_used: row.get("quota_used"),
        });
        drop(client);
        let mut counted = known.unwrap_or_default();
        let has_changed =
            known.is_none() || (counted.to, counted.purged_to) != (last_seq, purged_to);
        if has_changed && !counted.quota_used {
            counted.bytes += self.sent_bytes(user_no, counted.to, last_seq, largest).await?;
        }
        // Where it was too much, something may be gone since; where it is now, less may be there than was counted.
        let too_much = counted.bytes >= max_bytes;
        if (has_changed && counted.quota_used) || (too_much && !counted.quota_used) {
            counted.bytes = self.sent_bytes(user_no, purged_to, last_seq, 0).await?;
        }
        let quota_used = counted.bytes >= max_bytes;
        if has_changed || quota_used != counted.quota_used {
            let counted = Counted { to: last_seq, purged_to, quota_used, ..counted };
            self.note_sent_bytes(user_no, counted).await?;
        }
        Ok(quota_used)
    }

    /// The bytes of what the user has sent, in its own timeline after `after` and up to `to`. An edit counts as
    /// `largest`.
    async fn sent_bytes(&self, user_no: UserNo, after: i64, to: i64, largest: i64) -> Result<i64> {
        let client = self.client().await?;
        // What is sent to a group stands in the group's timeline.
        let own = "SELECT coalesce(sum(octet_length(e.body)) FILTER (WHERE e.kind = $4 AND e.sender = $1), 0)::bigint
                    AS bytes,
                count(*) FILTER (WHERE e.kind = $5) AS edits
            FROM entries e WHERE e.owner = $1 AND e.seq > $2 AND e.seq <= $3";
        let in_groups = "SELECT e.conversation, array_agg(e.home_seq) AS homes
            FROM entries e
            WHERE e.owner = $1 AND e.seq > $2 AND e.seq <= $3 AND e.kind = $4 AND e.sender = $1 AND e.conversation < 0
            GROUP BY e.conversation";
        let homes = "SELECT coalesce(sum(octet_length(e.body)), 0)::bigint FROM entries e
            WHERE e.owner = $1 AND e.seq = ANY ($2)";
        let own = client.prepare_cached(own).await?;
        let in_groups = client.prepare_cached(in_groups).await?;
        let homes = client.prepare_cached(homes).await?;
        let edited = Kind::MessageEdited as i16;
        let (mut bytes, mut from) = (0, after);
        while from < to {
            let end = to.min(from + STRETCH);
            let parameters: [&(dyn ToSql + Sync); 5] =
                [&user_no.0, &from, &end, &KIND_MESSAGE, &edited];
            let row = client.query_one(&own, &parameters).await?;
            bytes += row.get::<_, i64>("bytes") + row.get::<_, i64>("edits") * largest;
            for row in client.query(&in_groups, &parameters[..4]).await? {
                let (group, seqs): (i64, Vec<i64>) = (row.get("conversation"), row.get("homes"));
                bytes += client.query_one(&homes, &[&group, &seqs]).await?.get::<_, i64>(0);
            }
            from = end;
        }
        Ok(bytes)
    }

    async fn note_sent_bytes(&self, user_no: UserNo, counted: Counted) -> Result<()> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        let Counted { to, purged_to, bytes, quota_used } = counted;
        let note = "INSERT INTO sent_bytes (owner, counted_to, purged_to, bytes, quota_used) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (owner) DO UPDATE SET counted_to = excluded.counted_to, purged_to = excluded.purged_to,
                bytes = excluded.bytes, quota_used = excluded.quota_used";
        let tell = "UPDATE timelines SET quota_used = $2 WHERE owner = $1 AND quota_used <> $2";
        // First the timeline, as everywhere.
        tx.execute(tell, &[&user_no.0, &quota_used]).await?;
        tx.execute(note, &[&user_no.0, &to, &purged_to, &bytes, &quota_used]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The users whose quota is used, as far as it was counted.
    pub async fn quotas_used(&self) -> Result<Vec<UserNo>> {
        let client = self.client().await?;
        let rows = client.query("SELECT owner FROM sent_bytes WHERE quota_used", &[]).await?;
        Ok(rows.iter().map(|row| UserNo(row.get("owner"))).collect())
    }

    /// Lets a user send that has no quota any more, and forgets what was counted.
    pub async fn forget_sent_bytes(&self, user_no: UserNo) -> Result<()> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        let tell = "UPDATE timelines SET quota_used = false WHERE owner = $1 AND quota_used";
        tx.execute(tell, &[&user_no.0]).await?;
        tx.execute("DELETE FROM sent_bytes WHERE owner = $1", &[&user_no.0]).await?;
        tx.commit().await?;
        Ok(())
    }
}
