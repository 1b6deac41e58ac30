//! `imctl status`

use clap::Args;
use comfy_table::{Cell, Color};
use imd_proto::v1::{GetStatusRequest, GetStatusResponse, Node, Replication, Standby};
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    client::Admin,
    clock,
    commands::jobs::JobView,
    error::Error,
    output::{self, Format, Row, WatchedOutput},
};

/// Arguments of `imctl status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    output: WatchedOutput,
}

#[derive(Debug, Serialize)]
struct StatusView {
    version: String,
    node_id: String,
    users: i64,
    live_sessions: i64,
    online_sessions: i64,
    entries: i64,
    database_bytes: i64,
    postgres_version: String,
    replication: ReplicationView,
    jobs: Vec<JobView>,
    nodes: Vec<NodeView>,
}

#[derive(Debug, Default, Serialize)]
struct ReplicationView {
    primary: String,
    synchronous: bool,
    standbys: Vec<StandbyView>,
    generation: i32,
    #[serde(with = "time::serde::rfc3339::option")]
    generation_started_at: Option<OffsetDateTime>,
    generation_reason: String,
}

#[derive(Debug, Serialize)]
struct StandbyView {
    name: String,
    synchronous: Option<bool>,
    lag_bytes: Option<i64>,
}

#[derive(Debug, Serialize)]
struct NodeView {
    node_id: String,
    version: String,
    alive: bool,
    streams: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    heartbeat_at: Option<OffsetDateTime>,
}

/// Prints the state of the cluster.
pub(crate) async fn run(args: &StatusArgs, admin: &mut Admin) -> Result<(), Error> {
    let answer = admin.calls.get_status(GetStatusRequest {}).await;
    let status = StatusView::from(answer.map_err(|status| admin.failure(status))?.into_inner());
    match args.output.output {
        format @ (Format::Json | Format::Yaml) => output::print(output::document(&status, format)?),
        format => {
            output::print(status.summary())?;
            output::list(&status.nodes, format, "no node has registered")
        }
    }
}

impl StatusView {
    fn summary(&self) -> String {
        let count = |number: i64| HumanCount(u64::try_from(number).unwrap_or(0));
        format!(
            "imd {} on {}, PostgreSQL {}\n\n\
             users      {}\n\
             sessions   {} live, {} online\n\
             entries    {}\n\
             database   {}\n\
             primary    {}\n\
             jobs       {}\n",
            self.version,
            self.node_id,
            self.postgres_version,
            count(self.users),
            count(self.live_sessions),
            count(self.online_sessions),
            count(self.entries),
            HumanBytes(u64::try_from(self.database_bytes).unwrap_or(0)),
            self.replication.summary(),
            self.jobs_summary(),
        )
    }
}

impl StatusView {
    fn jobs_summary(&self) -> String {
        let failing: Vec<String> = self
            .jobs
            .iter()
            .filter(|job| job.failures > 0)
            .map(|job| format!("{} fails: {}", job.name, job.error))
            .collect();
        match failing.as_slice() {
            [] => "none fails".to_owned(),
            failing => failing.join("; "),
        }
    }
}

impl From<GetStatusResponse> for StatusView {
    fn from(status: GetStatusResponse) -> Self {
        Self {
            version: status.version,
            node_id: status.node_id,
            users: status.users,
            live_sessions: status.live_sessions,
            online_sessions: status.online_sessions,
            entries: status.entries,
            database_bytes: status.database_bytes,
            postgres_version: status.postgres_version,
            replication: status.replication.map(ReplicationView::from).unwrap_or_default(),
            jobs: status.jobs.into_iter().map(JobView::from).collect(),
            nodes: status.nodes.into_iter().map(NodeView::from).collect(),
        }
    }
}

impl ReplicationView {
    fn summary(&self) -> String {
        let standby = |standby: &StandbyView| {
            let name = if standby.name.is_empty() { "a standby" } else { &standby.name };
            let lag = standby.lag_bytes.and_then(|lag| u64::try_from(lag).ok());
            match lag {
                Some(lag) => format!("{name}, {} behind", HumanBytes(lag)),
                None => name.to_owned(),
            }
        };
        let standbys: Vec<String> = self.standbys.iter().map(standby).collect();
        let safety = match (standbys.is_empty(), self.synchronous) {
            (true, _) => "no standby".to_owned(),
            (false, true) => format!("commits wait for a standby: {}", standbys.join("; ")),
            (false, false) => format!("commits do not wait for a standby: {}", standbys.join("; ")),
        };
        let generation = match self.generation {
            0 => String::new(),
            number => format!("\ngeneration {number}: {}", self.generation_reason),
        };
        format!("{}; {safety}{generation}", self.primary)
    }
}

impl From<Replication> for ReplicationView {
    fn from(replication: Replication) -> Self {
        let standby = |standby: Standby| StandbyView {
            name: standby.name,
            synchronous: standby.synchronous,
            lag_bytes: standby.lag_bytes,
        };
        Self {
            primary: replication.primary,
            synchronous: replication.synchronous,
            standbys: replication.standbys.into_iter().map(standby).collect(),
            generation: replication.generation,
            generation_started_at: clock::time(replication.generation_started_at),
            generation_reason: replication.generation_reason,
        }
    }
}

impl From<Node> for NodeView {
    fn from(node: Node) -> Self {
        Self {
            node_id: node.node_id,
            version: node.version,
            alive: node.alive,
            streams: node.streams,
            started_at: clock::time(node.started_at),
            heartbeat_at: clock::time(node.heartbeat_at),
        }
    }
}

impl Row for NodeView {
    const COLUMNS: &[&str] = &["NODE", "STATE", "STREAMS", "VERSION", "STARTED", "HEARTBEAT"];
    const NARROW: usize = 6;

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        let state = if self.alive {
            Cell::new("alive").fg(Color::DarkGreen)
        } else {
            Cell::new("dead").fg(Color::DarkRed)
        };
        vec![
            output::text(&self.node_id),
            state,
            Cell::new(self.streams),
            output::text(&self.version),
            Cell::new(clock::ago(self.started_at, now)),
            Cell::new(clock::ago(self.heartbeat_at, now)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_for_people() {
        let status = StatusView {
            version: "0.1.0".to_owned(),
            node_id: "n1".to_owned(),
            users: 1_200,
            live_sessions: 3_000,
            online_sessions: 2_100,
            entries: 12_345_678,
            database_bytes: 5 << 30,
            postgres_version: "17.2".to_owned(),
            replication: ReplicationView {
                primary: "10.0.0.7:5432".to_owned(),
                synchronous: true,
                standbys: vec![StandbyView {
                    name: "db2".to_owned(),
                    synchronous: Some(true),
                    lag_bytes: Some(2048),
                }],
                generation: 1,
                generation_reason: "the server has gone back to an earlier state".to_owned(),
                ..ReplicationView::default()
            },
            jobs: Vec::new(),
            nodes: Vec::new(),
        };
        insta::assert_snapshot!(status.summary(), @r#"
        imd 0.1.0 on n1, PostgreSQL 17.2

        users      1,200
        sessions   3,000 live, 2,100 online
        entries    12,345,678
        database   5.00 GiB
        primary    10.0.0.7:5432; commits wait for a standby: db2, 2.00 KiB behind
        generation 1: the server has gone back to an earlier state
        jobs       none fails
        "#);
    }
}
