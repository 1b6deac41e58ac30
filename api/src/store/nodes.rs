//! The running nodes.

use std::{collections::HashMap, time::Instant};

use time::OffsetDateTime;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

use super::{
    Store, clock,
    login_points::{MARKER, touch},
};
use crate::model::Result;

/// Whether the node `n` counts as running: its heartbeat is not older than ten seconds.
pub(super) const ALIVE: &str = "n.heartbeat_at > now() - interval '10 seconds'";

/// A node as administrators see it.
#[derive(Debug)]
pub struct Node {
    /// Its id.
    pub node_id: String,
    /// When it started.
    pub started_at: OffsetDateTime,
    /// Its last heartbeat.
    pub heartbeat_at: OffsetDateTime,
    /// Whether it counts as running.
    pub alive: bool,
    /// Its version.
    pub version: String,
    /// How many streams it holds.
    pub streams: i64,
}

/// What a node learns by its heartbeat.
#[derive(Debug)]
pub struct Heartbeat {
    /// Whether its row and its login points were there. If not, all is to be registered anew.
    pub known: bool,
    /// The other nodes.
    pub peers: Vec<PeerHeartbeat>,
}

/// Another node.
#[derive(Debug)]
pub struct PeerHeartbeat {
    /// Which.
    pub node_no: i64,
    /// Whether it counts as running.
    pub alive: bool,
    /// The number of the last hint it sent here; 0 when none.
    pub last_hint: i64,
}

impl Store {
    /// Registers a node; its number, which no node had before.
    pub async fn register_node(&self, node_id: &str, version: &str) -> Result<i64> {
        let client = self.client().await?;
        let row = client
            .query_one(
                "INSERT INTO nodes (node_id, version) VALUES ($1, $2) RETURNING node_no",
                &[&node_id, &version],
            )
            .await?;
        let node_no = row.get(0);
        drop(client);
        self.mark_login_points(node_no).await?;
        Ok(node_no)
    }

    /// Says that the node runs and how far its hints have got; what the others say. Reads the clock.
    pub async fn heartbeat(
        &self,
        node_no: i64,
        streams: i64,
        hints: &HashMap<i64, i64>,
    ) -> Result<Heartbeat> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE nodes SET heartbeat_at = now(), streams = $2, hints = $3
                 WHERE node_no = $1
                     AND EXISTS (SELECT FROM login_points WHERE user_no = $4 AND node_no = $1)",
            )
            .await?;
        let updated = client
            .execute(&statement, &[&node_no, &streams, &Json(hints), &MARKER.user_no.0])
            .await?;
        let statement = client
            .prepare_cached(&format!(
                "SELECT node_no, {ALIVE} AS alive, (hints ->> $1::bigint::text)::bigint AS last_hint
                 FROM nodes n WHERE node_no <> $1"
            ))
            .await?;
        let rows = client.query(&statement, &[&node_no]).await?;
        let question = client.prepare_cached(clock::QUESTION).await?;
        let asked = Instant::now();
        let reading = client.query_one(&question, &[]).await?.get(0);
        self.0.connector.clock.set(asked, reading);
        client.note_server().await?;
        let peer = |row: &Row| PeerHeartbeat {
            node_no: row.get("node_no"),
            alive: row.get("alive"),
            last_hint: row.get::<_, Option<i64>>("last_hint").unwrap_or_default(),
        };
        Ok(Heartbeat { known: updated == 1, peers: rows.iter().map(peer).collect() })
    }

    /// Writes a node's row anew, after it was found missing.
    pub async fn restore_node(&self, node_no: i64, node_id: &str, version: &str) -> Result<()> {
        let client = self.client().await?;
        client
            .execute(
                "INSERT INTO nodes (node_no, node_id, version) OVERRIDING SYSTEM VALUE
                 VALUES ($1, $2, $3) ON CONFLICT (node_no) DO NOTHING",
                &[&node_no, &node_id, &version],
            )
            .await?;
        Ok(())
    }

    /// Takes a node that stops off the list, with its login points. Their sessions count as used just now.
    pub async fn remove_node(&self, node_no: i64) -> Result<()> {
        let client = self.client().await?;
        let left = client
            .query(
                "DELETE FROM login_points WHERE node_no = $1 RETURNING user_no, session_id",
                &[&node_no],
            )
            .await?;
        let (users, sessions): (Vec<i64>, Vec<Uuid>) = left
            .iter()
            .map(|row| (row.get::<_, i64>("user_no"), row.get::<_, Uuid>("session_id")))
            .unzip();
        touch(&client, &users, &sessions, true).await?;
        client.execute("DELETE FROM nodes WHERE node_no = $1", &[&node_no]).await?;
        Ok(())
    }

    /// Takes off the list the nodes that have been silent for an hour, with their login points.
    pub async fn remove_dead_nodes(&self) -> Result<()> {
        let client = self.client().await?;
        client
            .execute(
                "WITH dead AS (
                     DELETE FROM nodes WHERE heartbeat_at < now() - interval '1 hour' RETURNING node_no
                 )
                 DELETE FROM login_points WHERE node_no IN (SELECT node_no FROM dead)",
                &[],
            )
            .await?;
        Ok(())
    }

    /// The nodes on the list, in the order of their start.
    pub async fn nodes(&self) -> Result<Vec<Node>> {
        let client = self.client().await?;
        let rows = client
            .query(
                &format!(
                    "SELECT node_id, started_at, heartbeat_at, {ALIVE} AS alive, version, streams
                     FROM nodes n ORDER BY node_no"
                ),
                &[],
            )
            .await?;
        let node = |row: &Row| Node {
            node_id: row.get("node_id"),
            started_at: row.get("started_at"),
            heartbeat_at: row.get("heartbeat_at"),
            alive: row.get("alive"),
            version: row.get("version"),
            streams: row.get("streams"),
        };
        Ok(rows.iter().map(node).collect())
    }
}
