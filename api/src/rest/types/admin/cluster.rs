//! Nodes, jobs, terminal types, audit.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::retention::Expect;
use crate::{
    model::{self, Page},
    rest::types::{id::UserId, info::TerminalType},
    service,
    telemetry::call::millis,
};

/// The terminal types, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TerminalTypeList {
    terminal_types: Vec<TerminalType>,
}

/// Terminal types to make or change, all or none.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "names": ["phone", "pad"], "exclusive": true })))]
pub(crate) struct SetTerminalTypesRequest {
    /// 1–32 names.
    #[serde(default)]
    #[schema(required = true)]
    names: Vec<String>,
    /// How many sessions of each a user may have; absent to leave it.
    session_limit: Option<i32>,
    /// Whether they exclude each other; absent to leave it.
    exclusive: Option<bool>,
    #[serde(default)]
    expect: Expect,
}

/// The cluster as one node sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    version: &'static str,
    node_id: String,
    nodes: Vec<Node>,
    /// An estimate above 100,000.
    users: i64,
    live_sessions: i64,
    online_sessions: i64,
    /// An estimate above 100,000.
    entries: i64,
    database_bytes: i64,
    postgres_version: String,
    replication: Replication,
    jobs: Vec<Job>,
}

/// How a node fares.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Load {
    node_id: String,
    /// Over how many seconds its calls were counted, up to a minute.
    period_s: f64,
    /// How many calls ended, requests over a `WebSocket` among them. A stream counts when it has begun.
    calls: u64,
    /// How many of them were answered with an error.
    errors: u64,
    /// The duration in milliseconds that half of them did not exceed, with an error of a tenth.
    p50_ms: f64,
    /// That of 90 of 100.
    p90_ms: f64,
    /// That of 99 of 100.
    p99_ms: f64,
    /// Messages that wait for a batch.
    queued: usize,
    /// Open streams.
    streams: usize,
    /// Up to 20 calls of that time, the slowest first.
    slowest: Vec<SlowCall>,
    /// Up to 20 users, those with the most calls first.
    hottest: Vec<HotUser>,
    /// The settings of the node as a settings file, secrets masked. Empty unless the caller has the role `admin`.
    settings: String,
}

/// A call that took long.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlowCall {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// How long it took, in milliseconds.
    took_ms: f64,
    /// The method of HTTP, or the name of a frame over a WebSocket.
    method: &'static str,
    /// The path without its query.
    path: String,
    /// Who called; empty when that is not known.
    user_id: String,
    /// The id of the call, as in the log.
    request_id: String,
}

/// A user with many calls.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HotUser {
    user_id: String,
    calls: u64,
}

/// Something that concerns security. What is not known, or does not apply, is empty.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecurityEvent {
    /// What happened: `login`, `login_failed`, `session_ended`, `password_set`, `user_disabled`, `user_enabled`,
    /// `user_deleted`, `admin_key_created`, `admin_key_revoked`, `admin_key_refused`, `access_key_rotated`. The set is open.
    event: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    node_id: String,
    user_id: String,
    terminal_type: String,
    session_id: String,
    /// From where the call came.
    address: String,
    /// The administrator that did it, or the login that replaced a session.
    by: String,
    /// More, as the reason of an end, or a key's name and role.
    detail: String,
    /// The id of the call, as in the log.
    request_id: String,
}

/// What was looked at, in a fixed order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckList {
    checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "name": "replication",
    "result": "FAILURE",
    "found": "2 follow, 0 of them synchronously: a failover loses what the standbys do not have yet",
    "advice": "set synchronous_standby_names (with Patroni: synchronous_mode): acknowledged messages are not safe against failover until then",
})))]
struct Check {
    name: &'static str,
    result: CheckResult,
    /// In English.
    found: String,
    /// What to do, in English; empty where all is well.
    advice: &'static str,
}

/// What came of a check. The set is open.
///
/// `OK`: it is as it should be. `WARNING`: it works, and should be looked at. `FAILURE`: acknowledged messages may be
/// lost, or the service is about to stop, or part of it has.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum CheckResult {
    Ok,
    Warning,
    Failure,
}

/// A running `imd`, or one that has lately stopped.
#[derive(Debug, Serialize, ToSchema)]
struct Node {
    node_id: String,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    heartbeat_at: OffsetDateTime,
    alive: bool,
    version: String,
    streams: i64,
}

/// How safe what is acknowledged is against the loss of the database's server.
#[derive(Debug, Serialize, ToSchema)]
struct Replication {
    primary: String,
    /// Whether commits wait for a standby.
    synchronous: bool,
    standbys: Vec<Standby>,
    generation: i16,
    #[serde(with = "time::serde::rfc3339")]
    generation_started_at: OffsetDateTime,
    generation_reason: String,
}

/// A server that follows the primary; null is what imd's role may not see.
#[derive(Debug, Serialize, ToSchema)]
struct Standby {
    #[schema(required = true)]
    name: Option<String>,
    #[schema(required = true)]
    synchronous: Option<bool>,
    #[schema(required = true)]
    lag_bytes: Option<i64>,
}

/// A job of the cluster: what the nodes do unasked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Job {
    name: String,
    /// The node that works at it; null while none does.
    #[schema(required = true)]
    node_id: Option<String>,
    /// When it is to run next; in the past while it runs.
    #[serde(with = "time::serde::rfc3339")]
    due_at: OffsetDateTime,
    /// When its last run started; null before the first.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    started_at: Option<OffsetDateTime>,
    /// When the last run ended that succeeded; null before the first.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    finished_at: Option<OffsetDateTime>,
    /// How many runs have failed since then.
    failures: i32,
    /// Why the last of them failed; empty when it did not.
    error: String,
}

/// The jobs, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobList {
    jobs: Vec<Job>,
}

/// What an administrator did.
#[derive(Debug, Serialize, ToSchema)]
struct AuditRecord {
    /// Grows with time.
    audit_no: i64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// The name of the admin key, or who else did it.
    actor: String,
    action: String,
    /// To whom; absent where it was not about one user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_id: Option<UserId>,
    #[schema(value_type = Object)]
    details: Value,
    /// Why; may be empty.
    reason: String,
    /// From which address; empty when that is not known.
    address: String,
}

/// A page of audit records, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditRecordList {
    records: Vec<AuditRecord>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

impl From<Vec<model::TerminalType>> for TerminalTypeList {
    fn from(types: Vec<model::TerminalType>) -> Self {
        Self { terminal_types: types.into_iter().map(Into::into).collect() }
    }
}

impl From<SetTerminalTypesRequest> for service::TerminalTypeChange {
    fn from(request: SetTerminalTypesRequest) -> Self {
        Self {
            names: request.names,
            session_limit: request.session_limit,
            exclusive: request.exclusive,
            expect: request.expect.into(),
        }
    }
}

impl From<service::Job> for Job {
    fn from(job: service::Job) -> Self {
        Self {
            name: job.name,
            node_id: job.node_id,
            due_at: job.due_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            failures: job.failures,
            error: job.error,
        }
    }
}

impl From<Vec<service::Job>> for JobList {
    fn from(jobs: Vec<service::Job>) -> Self {
        Self { jobs: jobs.into_iter().map(Into::into).collect() }
    }
}

impl From<Vec<service::Check>> for CheckList {
    fn from(checks: Vec<service::Check>) -> Self {
        let check = |check: service::Check| Check {
            name: check.name,
            result: match check.result {
                service::CheckResult::Ok => CheckResult::Ok,
                service::CheckResult::Warning => CheckResult::Warning,
                service::CheckResult::Failure => CheckResult::Failure,
            },
            found: check.found,
            advice: check.advice,
        };
        Self { checks: checks.into_iter().map(check).collect() }
    }
}

impl From<service::ClusterStatus> for Status {
    fn from(cluster: service::ClusterStatus) -> Self {
        let node = |node: service::Node| Node {
            node_id: node.node_id,
            started_at: node.started_at,
            heartbeat_at: node.heartbeat_at,
            alive: node.alive,
            version: node.version,
            streams: node.streams,
        };
        let standby = |standby: service::Standby| Standby {
            name: standby.name,
            synchronous: standby.synchronous,
            lag_bytes: standby.lag_bytes,
        };
        let (status, replication) = (cluster.status.users, cluster.status.replication);
        Self {
            version: cluster.version,
            node_id: cluster.node_id,
            nodes: cluster.nodes.into_iter().map(node).collect(),
            users: status,
            live_sessions: cluster.status.live_sessions,
            online_sessions: cluster.status.online_sessions,
            entries: cluster.status.entries,
            database_bytes: cluster.status.database_bytes,
            postgres_version: cluster.status.postgres_version,
            replication: Replication {
                primary: replication.primary,
                synchronous: replication.synchronous,
                standbys: replication.standbys.into_iter().map(standby).collect(),
                generation: replication.generation,
                generation_started_at: replication.generation_started_at,
                generation_reason: replication.generation_reason,
            },
            jobs: cluster.jobs.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Page<service::AuditRecord>> for AuditRecordList {
    fn from(page: Page<service::AuditRecord>) -> Self {
        let record = |record: service::AuditRecord| AuditRecord {
            audit_no: record.audit_no,
            at: record.at,
            actor: record.actor,
            action: record.action,
            user_id: record.user_id.as_ref().map(Into::into),
            details: record.details,
            reason: record.reason,
            address: record.address.map(|address| address.to_string()).unwrap_or_default(),
        };
        Self {
            records: page.items.into_iter().map(record).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<service::NodeLoad> for Load {
    fn from(node: service::NodeLoad) -> Self {
        let [p50_ms, p90_ms, p99_ms] = node.load.percentiles.map(millis);
        let slow = |call: crate::telemetry::load::SlowCall| SlowCall {
            at: call.at,
            took_ms: millis(call.took),
            method: call.method,
            path: call.path,
            user_id: call.user_id,
            request_id: call.request_id,
        };
        let hot = |(user_id, calls)| HotUser { user_id, calls };
        Self {
            node_id: node.node_id,
            period_s: node.load.period.as_secs_f64(),
            calls: node.load.calls,
            errors: node.load.errors,
            p50_ms,
            p90_ms,
            p99_ms,
            queued: node.queued,
            streams: node.streams,
            slowest: node.load.slowest.into_iter().map(slow).collect(),
            hottest: node.load.hottest.into_iter().map(hot).collect(),
            settings: node.settings,
        }
    }
}

impl From<service::SecurityEvent> for SecurityEvent {
    fn from(event: service::SecurityEvent) -> Self {
        Self {
            event: event.kind.name(),
            at: event.at,
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
}
