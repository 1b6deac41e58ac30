//! The cluster in the contract's messages.

use imd_proto::v1;

use crate::{
    grpc::convert::timestamp,
    service::{
        Check, CheckResult, ClusterStatus, Job, Node, NodeLoad, Replication, SecurityEvent, Standby,
    },
    telemetry::{call::millis, load::SlowCall},
};

pub(super) fn status(cluster: ClusterStatus) -> v1::GetStatusResponse {
    v1::GetStatusResponse {
        version: cluster.version.to_owned(),
        node_id: cluster.node_id,
        nodes: cluster.nodes.iter().map(node).collect(),
        users: cluster.status.users,
        live_sessions: cluster.status.live_sessions,
        online_sessions: cluster.status.online_sessions,
        entries: cluster.status.entries,
        database_bytes: cluster.status.database_bytes,
        postgres_version: cluster.status.postgres_version,
        jobs: jobs(cluster.jobs),
        replication: Some(replication(cluster.status.replication)),
    }
}

pub(super) fn check(check: Check) -> v1::Check {
    let result = match check.result {
        CheckResult::Ok => v1::CheckResult::Ok,
        CheckResult::Warning => v1::CheckResult::Warning,
        CheckResult::Failure => v1::CheckResult::Failure,
    };
    v1::Check {
        name: check.name.to_owned(),
        result: result.into(),
        found: check.found,
        advice: check.advice.to_owned(),
    }
}

pub(super) fn jobs(jobs: Vec<Job>) -> Vec<v1::Job> {
    jobs.into_iter().map(job).collect()
}

pub(super) fn job(job: Job) -> v1::Job {
    v1::Job {
        name: job.name,
        node_id: job.node_id.unwrap_or_default(),
        due_at: Some(timestamp(job.due_at)),
        started_at: job.started_at.map(timestamp),
        finished_at: job.finished_at.map(timestamp),
        failures: job.failures,
        error: job.error,
    }
}

fn replication(replication: Replication) -> v1::Replication {
    let standby = |standby: Standby| v1::Standby {
        name: standby.name.unwrap_or_default(),
        synchronous: standby.synchronous,
        lag_bytes: standby.lag_bytes,
    };
    v1::Replication {
        primary: replication.primary,
        synchronous: replication.synchronous,
        standbys: replication.standbys.into_iter().map(standby).collect(),
        generation: i32::from(replication.generation),
        generation_started_at: Some(timestamp(replication.generation_started_at)),
        generation_reason: replication.generation_reason,
    }
}

fn node(node: &Node) -> v1::Node {
    v1::Node {
        node_id: node.node_id.clone(),
        started_at: Some(timestamp(node.started_at)),
        heartbeat_at: Some(timestamp(node.heartbeat_at)),
        alive: node.alive,
        version: node.version.clone(),
        streams: node.streams,
    }
}

pub(super) fn load(node: NodeLoad) -> v1::GetLoadResponse {
    let [p50_ms, p90_ms, p99_ms] = node.load.percentiles.map(millis);
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let size = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    let slow = |call: SlowCall| v1::SlowCall {
        at: Some(timestamp(call.at)),
        took_ms: millis(call.took),
        method: call.method.to_owned(),
        path: call.path,
        user_id: call.user_id,
        request_id: call.request_id,
    };
    let hot = |(user_id, calls)| v1::HotUser { user_id, calls: count(calls) };
    v1::GetLoadResponse {
        node_id: node.node_id,
        period_s: node.load.period.as_secs_f64(),
        calls: count(node.load.calls),
        errors: count(node.load.errors),
        p50_ms,
        p90_ms,
        p99_ms,
        queued: size(node.queued),
        streams: size(node.streams),
        slowest: node.load.slowest.into_iter().map(slow).collect(),
        hottest: node.load.hottest.into_iter().map(hot).collect(),
        settings: node.settings,
    }
}

pub(super) fn security_event(event: SecurityEvent) -> v1::TailEventsResponse {
    v1::TailEventsResponse {
        event: event.kind.name().to_owned(),
        at: Some(timestamp(event.at)),
        node_id: event.node_id,
        user_id: event.user_id,
        terminal_type: event.terminal_type,
        session_id: event.session_id,
        address: event.address,
        by: event.by,
        detail: event.detail.into_owned(),
        request_id: event.request_id,
    }
}
