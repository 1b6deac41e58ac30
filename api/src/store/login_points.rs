//! Where the streams are.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Client, Store};
use crate::model::{Result, SessionId, TimelineNo, UserNo};

/// One open stream of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoginPoint {
    /// Whose.
    pub user_no: UserNo,
    /// Of which session.
    pub session_id: SessionId,
    /// Tells the streams of a session on one node apart.
    pub stream_no: i64,
}

/// Timelines with the nodes that hold streams over them, other than the one that asks. Over one that is
/// not among them there is none.
pub type OtherNodes = HashMap<TimelineNo, Vec<i64>>;

/// Of the users `$1`, those that hold streams on nodes other than `$2`.
pub(super) const OTHER_NODES: &str =
    "SELECT DISTINCT user_no, node_no FROM login_points WHERE user_no = ANY($1) AND node_no <> $2";

/// Reads what [`OTHER_NODES`] returns.
pub(super) fn read_other_nodes(rows: &[Row]) -> OtherNodes {
    let mut nodes = OtherNodes::new();
    for row in rows {
        nodes.entry(TimelineNo(row.get("user_no"))).or_default().push(row.get("node_no"));
    }
    nodes
}

/// The key of the row that each node keeps so as to notice when the table was emptied.
pub(super) const MARKER: LoginPoint =
    LoginPoint { user_no: UserNo(0), session_id: SessionId(Uuid::nil()), stream_no: 0 };

impl Store {
    /// Adds login points, of terminals that somebody is at unless they are `idle`; those that stand already are
    /// left. Their sessions count as used just now.
    pub async fn add_login_points(
        &self,
        node_no: i64,
        points: &[LoginPoint],
        idle: bool,
    ) -> Result<()> {
        let (users, sessions, streams) = columns(points);
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO login_points (user_no, session_id, node_no, stream_no, idle)
                 SELECT p.user_no, p.session_id, $1, p.stream_no, $5
                 FROM unnest($2::bigint[], $3::uuid[], $4::bigint[]) p (user_no, session_id, stream_no)
                 ON CONFLICT DO NOTHING",
            )
            .await?;
        client.execute(&statement, &[&node_no, &users, &sessions, &streams, &idle]).await?;
        touch(&client, &users, &sessions, false).await
    }

    /// Adds the marker of a node, which says that its login points stand.
    pub async fn mark_login_points(&self, node_no: i64) -> Result<()> {
        self.add_login_points(node_no, &[MARKER], false).await
    }

    /// Removes login points by their exact keys. Their sessions count as used just now.
    pub async fn remove_login_points(&self, node_no: i64, points: &[LoginPoint]) -> Result<()> {
        let (users, sessions, streams) = columns(points);
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "DELETE FROM login_points l
                 USING unnest($2::bigint[], $3::uuid[], $4::bigint[]) p (user_no, session_id, stream_no)
                 WHERE l.user_no = p.user_no AND l.session_id = p.session_id
                     AND l.node_no = $1 AND l.stream_no = p.stream_no",
            )
            .await?;
        client.execute(&statement, &[&node_no, &users, &sessions, &streams]).await?;
        touch(&client, &users, &sessions, true).await
    }

    /// The nodes other than `node_no` that hold streams over these timelines.
    pub async fn other_nodes_of(
        &self,
        node_no: i64,
        owners: &BTreeSet<TimelineNo>,
    ) -> Result<OtherNodes> {
        let owners: Vec<i64> = owners.iter().map(|owner| owner.0).collect();
        let client = self.client().await?;
        let statement = client.prepare_cached(OTHER_NODES).await?;
        Ok(read_other_nodes(&client.query(&statement, &[&owners, &node_no]).await?))
    }
}

/// Notes that sessions were used just now, and if so, that they have `left` a stream. One that somebody else
/// is changing at this moment is left alone: so there is no lock to wait for and none to deadlock on.
pub(super) async fn touch(
    client: &Client,
    users: &[i64],
    sessions: &[Uuid],
    left: bool,
) -> Result<()> {
    let statement = client
        .prepare_cached(
            "UPDATE sessions s SET last_used_at = now(),
                 left_at = CASE WHEN $3 THEN now() ELSE left_at END
             FROM (SELECT s.user_no, s.session_id
                   FROM unnest($1::bigint[], $2::uuid[]) p (user_no, session_id)
                   JOIN sessions s USING (user_no, session_id)
                   WHERE s.ended_at IS NULL FOR UPDATE OF s SKIP LOCKED) used
             WHERE s.user_no = used.user_no AND s.session_id = used.session_id",
        )
        .await?;
    client.execute(&statement, &[&users, &sessions, &left]).await?;
    Ok(())
}

fn columns<'a>(
    points: impl IntoIterator<Item = &'a LoginPoint>,
) -> (Vec<i64>, Vec<Uuid>, Vec<i64>) {
    points.into_iter().map(|p| (p.user_no.0, p.session_id.0, p.stream_no)).collect()
}
