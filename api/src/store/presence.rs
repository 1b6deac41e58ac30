//! Who is there, by the login points, and who may see that.

use std::{collections::HashMap, time::Duration};

use tokio_postgres::Row;

use super::{Store, contacts::read_who, nodes::ALIVE};
use crate::model::{Relation, Result, SessionId, UserNo, Whereabouts};

impl Store {
    /// How users are. A terminal counts as there while it has a stream on a running node, and for `grace` after
    /// it has lost one, so that one that comes back at once was never away. Those that there are not
    /// any more are left out.
    pub async fn whereabouts(
        &self,
        users: &[UserNo],
        grace: Duration,
    ) -> Result<HashMap<UserNo, Whereabouts>> {
        let users: Vec<i64> = users.iter().map(|user_no| user_no.0).collect();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "SELECT t.owner, t.presence_to, t.presence_types, t.invisible IS TRUE AS invisible,
                     p.types, p.idle, p.last_seen, p.leaves_in
                 FROM unnest($1::bigint[]) asked (user_no)
                 JOIN timelines t ON t.owner = asked.user_no
                 CROSS JOIN LATERAL (
                     SELECT array_agg(DISTINCT s.terminal_type)
                             FILTER (WHERE s.held OR s.gone < $2) AS types,
                         bool_and(s.idle) FILTER (WHERE s.held) AS idle,
                         max(s.seen) AS last_seen,
                         $2 - max(s.gone) FILTER (WHERE NOT s.held AND s.gone < $2) AS leaves_in
                     FROM (
                         SELECT s.terminal_type, l.held, l.idle,
                             CASE WHEN s.ended_at IS NULL THEN
                                 extract(epoch FROM now() - s.left_at)::double precision
                             END AS gone,
                             greatest(s.last_used_at, l.died_at) AS seen
                         FROM (
                             (SELECT * FROM sessions
                              WHERE user_no = asked.user_no AND ended_at IS NULL)
                             UNION ALL
                             -- When one without a live session was there, its last one says.
                             (SELECT * FROM sessions
                              WHERE user_no = asked.user_no AND ended_at IS NOT NULL
                              ORDER BY session_id DESC LIMIT 1)
                         ) s
                         CROSS JOIN LATERAL (
                             SELECT count(*) FILTER (WHERE {ALIVE}) > 0 AND s.ended_at IS NULL AS held,
                                 bool_and(l.idle) FILTER (WHERE {ALIVE}) AS idle,
                                 max(n.heartbeat_at) FILTER (WHERE NOT {ALIVE}) AS died_at
                             FROM login_points l JOIN nodes n USING (node_no)
                             WHERE l.user_no = asked.user_no AND l.session_id = s.session_id
                         ) l
                     ) s
                 ) p"
            ))
            .await?;
        let rows = client.query(&statement, &[&users, &grace.as_secs_f64()]).await?;
        rows.iter().map(|row| Ok((UserNo(row.get("owner")), read_whereabouts(row)?))).collect()
    }

    /// How those who look stand to those whom they look at, in the order of the pairs.
    pub async fn relations(&self, pairs: &[(UserNo, UserNo)]) -> Result<Vec<Relation>> {
        let (by, of): (Vec<i64>, Vec<i64>) = pairs.iter().map(|(by, of)| (by.0, of.0)).unzip();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT p.looker = p.other AS same, own.owner IS NOT NULL OR theirs.owner IS NOT NULL AS blocked,
                     c.owner IS NOT NULL AS contact
                 FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY p (looker, other, item)
                 LEFT JOIN blocks theirs ON theirs.owner = p.other AND theirs.blocked = p.looker
                 LEFT JOIN blocks own ON own.owner = p.looker AND own.blocked = p.other
                 LEFT JOIN contacts c ON c.owner = p.other AND c.contact = p.looker AND c.state = 3
                 ORDER BY p.item",
            )
            .await?;
        let relation = |row: &Row| Relation {
            same: row.get("same"),
            blocked: row.get("blocked"),
            contact: row.get("contact"),
        };
        Ok(client.query(&statement, &[&by, &of]).await?.iter().map(relation).collect())
    }

    /// Notes whether nobody is at a terminal; whether that is new.
    pub async fn set_idle(
        &self,
        user_no: UserNo,
        session_id: SessionId,
        idle: bool,
    ) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE login_points SET idle = $3
                 WHERE user_no = $1 AND session_id = $2 AND idle <> $3",
            )
            .await?;
        let changed = client.execute(&statement, &[&user_no.0, &session_id.0, &idle]).await?;
        Ok(changed > 0)
    }
}

fn read_whereabouts(row: &Row) -> Result<Whereabouts> {
    let terminal_types: Vec<String> =
        row.get::<_, Option<Vec<String>>>("types").unwrap_or_default();
    let leaves_in: Option<f64> = row.get("leaves_in");
    let there = !terminal_types.is_empty();
    Ok(Whereabouts {
        idle: row.get("idle"),
        // Of who is there it changes all the time, and nobody gets to see it.
        last_seen: row.get::<_, Option<_>>("last_seen").filter(|_| !there),
        visible_to: read_who(row.get("presence_to"))?,
        shows_types: row.get("presence_types"),
        invisible: row.get("invisible"),
        leaves_in: leaves_in.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))),
        terminal_types,
    })
}
