//! The metrics of a node, by name, what is logged of calls, and traces. Every layer above the model may count.

pub mod call;
pub mod load;
pub mod operation;
pub mod trace;

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use parking_lot::Mutex;

use crate::model::{Error, Limit};

/// Calls that ended, by `transport`, `method` and `code`: `ok`, or that of the error. A stream ends when it has begun.
pub const CALLS: &str = "imd_calls_total";
/// How long they took, by `transport` and `method`.
pub const CALL_SECONDS: &str = "imd_call_seconds";
/// Messages appended, duplicates left out.
pub const MESSAGES: &str = "imd_messages_appended_total";
/// Messages that wait for a batch.
pub const QUEUED: &str = "imd_append_queued";
/// How long a message waits for its batch.
pub const WAIT_SECONDS: &str = "imd_append_wait_seconds";
/// Lanes of the node.
pub const LANES: &str = "imd_append_lanes";
/// Messages in a batch.
pub const BATCH_SIZE: &str = "imd_append_batch_size";
/// How long a batch takes from its first statement to its commit.
pub const BATCH_SECONDS: &str = "imd_append_batch_seconds";
/// Batches run again after a failure that is nobody's fault.
pub const BATCH_RETRIES: &str = "imd_append_retries_total";
/// References to groups' entries appended to members' timelines.
pub const REFERENCES: &str = "imd_references_appended_total";
/// How long it takes to bring a group's members up to its timeline.
pub const FAN_OUT_SECONDS: &str = "imd_fan_out_seconds";
/// Groups that wait for their fan-out.
pub const FAN_OUT_WAITING: &str = "imd_fan_out_waiting";
/// From the commit of an entry to its hand-over to a stream of the node that committed it.
pub const DELIVERY_SECONDS: &str = "imd_delivery_seconds";
/// Open connections, by `listener`: `public` or `admin`.
pub const CONNECTIONS: &str = "imd_connections";
/// Open streams.
pub const STREAMS: &str = "imd_streams";
/// Entries handed to transports; `source` is `hub` or `log`.
pub const DELIVERED: &str = "imd_entries_delivered_total";
/// Hints sent to other nodes.
pub const HINTS_SENT: &str = "imd_hints_sent_total";
/// How often a hint of another node did not come, or a node died with which one may have gone; a sweep makes up for it.
pub const HINTS_LOST: &str = "imd_hints_lost_total";
/// Nodes of the cluster that live, this one among them.
pub const NODES: &str = "imd_nodes";
/// Security events by `event`, such as `login`, `login_failed`, `session_ended`.
pub const SECURITY_EVENTS: &str = "imd_security_events_total";
/// Signals that were admitted.
pub const SIGNALS: &str = "imd_signals_total";
/// Signals handed to transports, one for each stream.
pub const SIGNALS_DELIVERED: &str = "imd_signals_delivered_total";
/// Signals dropped, by the `reason`: `group` has too many who type, the `bus` is too slow, a `stream` does not
/// read.
pub const SIGNALS_DROPPED: &str = "imd_signals_dropped_total";
/// Users whom streams of the node watch, each counted for each stream.
pub const WATCHED: &str = "imd_presence_watched";
/// Changes of presence handed to streams that watch.
pub const PRESENCE_CHANGES: &str = "imd_presence_changes_total";
/// Requests to providers of push, by the `provider` and the `result`: `delivered`, `failed`, `refused`, `gone`.
pub const PUSHES: &str = "imd_pushes_total";
/// Requests to webhooks, by the `result`: `delivered`, `failed`, `gone`.
pub const WEBHOOK_REQUESTS: &str = "imd_webhook_requests_total";
/// Events that webhooks have acknowledged.
pub const WEBHOOK_EVENTS: &str = "imd_webhook_events_total";
/// Events that a webhook did not take in three days.
pub const WEBHOOK_EVENTS_GIVEN_UP: &str = "imd_webhook_events_given_up_total";
/// Requests in SQL that were met, by the `result`: `sent`, `refused`.
pub const INBOX_REQUESTS: &str = "imd_inbox_requests_total";
/// What the policy hook was asked, by the `result`: `allowed`, `refused`, `rewritten`, `failed`, and `skipped` while it
/// fails all the time.
pub const POLICY_REQUESTS: &str = "imd_policy_requests_total";
/// How long the policy hook takes to answer.
pub const POLICY_SECONDS: &str = "imd_policy_seconds";
/// Sweeps of all streams of the node.
pub const SWEEPS: &str = "imd_sweeps_total";
/// Entries deleted by the purge.
pub const PURGED: &str = "imd_entries_purged_total";
/// Runs of the cluster's jobs on this node, by `job` and `result`: `done`, `failed`, `given_up`.
pub const JOB_RUNS: &str = "imd_job_runs_total";
/// What was refused because one client takes too much, by the `limit` as the setting calls it.
pub const LIMITED: &str = "imd_limited_total";
/// Panics of the node's tasks, and ends that are as bad, by the name of the `task`.
pub const TASK_PANICS: &str = "imd_task_panics_total";
/// 1 from the panic of a `task` until it has been started again and has run for a second.
pub const TASK_FAILING: &str = "imd_task_failing";
/// Panics, whether of a task or of a call.
pub const PANICS: &str = "imd_panics_total";
/// Lines of the log that could not be written.
pub const LOG_LINES_DROPPED: &str = "imd_log_lines_dropped_total";
/// Connections that could not be accepted, mostly for want of file descriptors.
pub const ACCEPT_ERRORS: &str = "imd_accept_errors_total";
/// Requests answered with an error, by its `code`.
pub const ERRORS: &str = "imd_errors_total";
/// Pages read where `database.read_url` is set, by the `server` that was read: `standby` or `primary`.
pub const READS: &str = "imd_reads_total";
/// 1 while the database is reached.
pub const DATABASE_UP: &str = "imd_database_up";
/// Connections to the database for calls, by `state`: `used` or `idle`.
pub const DATABASE_CONNECTIONS: &str = "imd_database_connections";
/// Calls that wait for a connection to the database.
pub const DATABASE_WAITING: &str = "imd_database_waiting";
/// Calls that waited in vain for a connection to the database.
pub const DATABASE_TIMEOUTS: &str = "imd_database_timeouts_total";
/// When the certificate ends that a `listener` shows, in seconds since 1970.
pub const CERTIFICATE_EXPIRY: &str = "imd_certificate_expiry_timestamp_seconds";
/// 1, with the `version` of imd.
pub const BUILD_INFO: &str = "imd_build_info";
/// The generation of the database: how often acknowledged messages may have been lost.
pub const DATABASE_GENERATION: &str = "imd_database_generation";
/// Whether commits wait for a standby of the database.
pub const DATABASE_SYNCHRONOUS: &str = "imd_database_synchronous";
/// Standbys that follow the database's primary.
pub const DATABASE_STANDBYS: &str = "imd_database_standbys";
/// How far the standby that is furthest behind is behind, in bytes of the log.
pub const DATABASE_LAG: &str = "imd_database_lag_bytes";
/// Live sessions of all nodes, by terminal type, and those that have a stream open.
pub const SESSIONS: &str = "imd_sessions";
/// Events that webhooks are still to be told of, on all nodes.
pub const WEBHOOK_EVENTS_WAITING: &str = "imd_webhook_events_waiting";
/// For how long the oldest of them has waited, in seconds.
pub const WEBHOOK_EVENTS_OLDEST: &str = "imd_webhook_events_oldest_seconds";
/// When a job last succeeded, on whichever node, in seconds since 1970.
pub const JOB_SUCCEEDED: &str = "imd_job_succeeded_timestamp_seconds";
/// How far this node's clock is ahead of the database's, in seconds.
pub const CLOCK_SKEW: &str = "imd_clock_skew_seconds";

/// The metrics of this process in Prometheus' text format, memory and processor time among them. Counts
/// from the first call on.
#[must_use]
pub fn render_metrics() -> String {
    let recorder = recorder();
    Collector::default().collect();
    gauge!(DATABASE_UP).set(f64::from(u8::from(!database_is_down())));
    OBSERVERS.lock().retain(|observe| observe());
    recorder.render()
}

/// What is looked at when metrics are asked for, as long as it says that it is still there.
static OBSERVERS: Mutex<Vec<Box<dyn Fn() -> bool + Send>>> = Mutex::new(Vec::new());

/// Has gauges set when metrics are asked for, until `observe` says that what it looks at is gone.
pub fn observe(observe: impl Fn() -> bool + Send + 'static) {
    OBSERVERS.lock().push(Box::new(observe));
}

/// Counts an error that goes to a client, and logs the cause of one that is a fault of our own: here
/// and nowhere else, because the client does not get to see it.
pub fn note(error: &Error) {
    counter!(ERRORS, "code" => error.code()).increment(1);
    call::note_code(error.code());
    let request_id = call::request_id();
    let request_id = request_id.as_ref().map(call::RequestId::as_str);
    match error {
        Error::RateLimited { limit, .. } => note_limit(*limit),
        Error::Internal(cause) => {
            let cause = cause.as_ref() as &dyn std::error::Error;
            tracing::error!(error = cause, request_id, "internal error");
        }
        Error::Unavailable(cause) => {
            let cause = cause.as_ref() as &dyn std::error::Error;
            tracing::warn!(error = cause, request_id, "unavailable");
        }
        _ => {}
    }
}

/// Counts what is refused because one client takes too much. [`note`] does so for errors.
pub fn note_limit(limit: Limit) {
    counter!(LIMITED, "limit" => limit.name()).increment(1);
}

/// Since when the database has not been reached; zero while it is. In milliseconds since the first look at the clock,
/// and one more.
static DOWN_SINCE: AtomicU64 = AtomicU64::new(0);

fn clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) + 1
}

/// Notes that the database cannot be reached, and logs it when it could be before.
pub fn note_database_down(error: &(dyn std::error::Error + 'static)) {
    let up = DOWN_SINCE.compare_exchange(0, clock(), Ordering::Relaxed, Ordering::Relaxed);
    if up.is_ok() {
        tracing::warn!(
            error,
            "the database is not reached; until it is, repeated lines are folded"
        );
    }
}

/// Notes that the database has been reached, and logs it when it could not be before.
pub fn note_database_up() {
    if DOWN_SINCE.load(Ordering::Relaxed) == 0 {
        return;
    }
    let since = DOWN_SINCE.swap(0, Ordering::Relaxed);
    if since > 0 {
        let lasted = Duration::from_millis(clock().saturating_sub(since));
        tracing::info!(after_s = lasted.as_secs_f64(), "the database is back");
    }
}

/// Whether the database could not be reached at the last try.
#[must_use]
pub fn database_is_down() -> bool {
    DOWN_SINCE.load(Ordering::Relaxed) != 0
}

/// Starts counting.
pub fn start_metrics() {
    recorder();
}

fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
        let sizes = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(BATCH_SECONDS.to_owned()), &seconds)
            .and_then(|b| {
                [POLICY_SECONDS, WAIT_SECONDS, DELIVERY_SECONDS, CALL_SECONDS]
                    .into_iter()
                    .try_fold(b, |b, name| {
                        b.set_buckets_for_metric(Matcher::Full(name.to_owned()), &seconds)
                    })
            })
            .and_then(|b| b.set_buckets_for_metric(Matcher::Full(BATCH_SIZE.to_owned()), &sizes))
            .and_then(PrometheusBuilder::install_recorder)
            .expect("the buckets are not empty and nobody else installs a recorder");
        describe();
        gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        handle
    })
}

fn describe() {
    Collector::default().describe();
    describe_counter!(MESSAGES, Unit::Count, "Messages appended, duplicates left out");
    describe_gauge!(QUEUED, Unit::Count, "Messages that wait for a batch");
    describe_histogram!(WAIT_SECONDS, Unit::Seconds, "How long a message waits for its batch");
    describe_gauge!(FAN_OUT_WAITING, Unit::Count, "Groups that wait for their fan-out");
    describe_histogram!(
        DELIVERY_SECONDS,
        Unit::Seconds,
        "From a commit to the hand-over to a stream"
    );
    describe_gauge!(CONNECTIONS, Unit::Count, "Open connections, by listener");
    describe_counter!(HINTS_LOST, Unit::Count, "How often hints of another node were missing");
    describe_gauge!(NODES, Unit::Count, "Nodes of the cluster that live");
    describe_counter!(SECURITY_EVENTS, Unit::Count, "Security events, by event");
    describe_gauge!(DATABASE_UP, Unit::Count, "Whether the database is reached");
    describe_gauge!(DATABASE_CONNECTIONS, Unit::Count, "Connections for calls, by state");
    describe_gauge!(DATABASE_WAITING, Unit::Count, "Calls that wait for a connection");
    describe_counter!(DATABASE_TIMEOUTS, Unit::Count, "Calls that waited in vain for a connection");
    describe_gauge!(CERTIFICATE_EXPIRY, Unit::Seconds, "When a listener's certificate ends");
    describe_gauge!(BUILD_INFO, Unit::Count, "The version of imd");
    describe_counter!(CALLS, Unit::Count, "Calls, by transport, method and code");
    describe_histogram!(
        CALL_SECONDS,
        Unit::Seconds,
        "How long calls take, by transport and method"
    );
    describe_gauge!(LANES, Unit::Count, "Lanes of the node");
    describe_histogram!(BATCH_SIZE, Unit::Count, "Messages in a batch");
    describe_histogram!(
        BATCH_SECONDS,
        Unit::Seconds,
        "From a batch's first statement to its commit"
    );
    describe_counter!(BATCH_RETRIES, Unit::Count, "Batches run again after a passing failure");
    describe_gauge!(STREAMS, Unit::Count, "Open streams");
    describe_counter!(DELIVERED, Unit::Count, "Entries handed to transports, by source");
    describe_counter!(HINTS_SENT, Unit::Count, "Hints sent to other nodes");
    describe_counter!(SIGNALS, Unit::Count, "Signals admitted");
    describe_counter!(SIGNALS_DELIVERED, Unit::Count, "Signals handed to transports");
    describe_counter!(SIGNALS_DROPPED, Unit::Count, "Signals dropped, by reason");
    describe_gauge!(WATCHED, Unit::Count, "Users watched, for each stream that watches them");
    describe_counter!(PRESENCE_CHANGES, Unit::Count, "Changes of presence handed to streams");
    describe_counter!(PUSHES, Unit::Count, "Requests to providers of push, by provider and result");
    describe_counter!(WEBHOOK_REQUESTS, Unit::Count, "Requests to webhooks, by result");
    describe_counter!(WEBHOOK_EVENTS, Unit::Count, "Events that webhooks have acknowledged");
    describe_counter!(
        WEBHOOK_EVENTS_GIVEN_UP,
        Unit::Count,
        "Events that a webhook did not take in three days"
    );
    describe_counter!(INBOX_REQUESTS, Unit::Count, "Requests in SQL that were met, by result");
    describe_counter!(POLICY_REQUESTS, Unit::Count, "What the policy hook was asked, by result");
    describe_histogram!(POLICY_SECONDS, Unit::Seconds, "How long the policy hook takes");
    describe_counter!(SWEEPS, Unit::Count, "Sweeps of all streams of the node");
    describe_counter!(PURGED, Unit::Count, "Entries deleted by the purge");
    describe_counter!(JOB_RUNS, Unit::Count, "Runs of jobs on this node, by job and result");
    describe_counter!(LIMITED, Unit::Count, "Refused because one client takes too much, by limit");
    describe_counter!(TASK_PANICS, Unit::Count, "Panics of the node's tasks, by task");
    describe_gauge!(TASK_FAILING, Unit::Count, "Whether a task has failed and does not run again");
    describe_counter!(PANICS, Unit::Count, "Panics, whether of a task or of a call");
    describe_counter!(LOG_LINES_DROPPED, Unit::Count, "Lines of the log that were not written");
    describe_counter!(ACCEPT_ERRORS, Unit::Count, "Connections that could not be accepted");
    describe_counter!(READS, Unit::Count, "Pages read, by server");
    describe_gauge!(DATABASE_GENERATION, Unit::Count, "The generation of the database");
    describe_gauge!(DATABASE_SYNCHRONOUS, Unit::Count, "Whether commits wait for a standby");
    describe_gauge!(DATABASE_STANDBYS, Unit::Count, "Standbys that follow the primary");
    describe_gauge!(DATABASE_LAG, Unit::Bytes, "How far the last standby is behind");
    describe_gauge!(SESSIONS, Unit::Count, "Sessions of all nodes, by terminal type and state");
    describe_gauge!(WEBHOOK_EVENTS_WAITING, Unit::Count, "Events that webhooks wait for");
    describe_gauge!(WEBHOOK_EVENTS_OLDEST, Unit::Seconds, "How long the oldest of them has waited");
    describe_gauge!(JOB_SUCCEEDED, Unit::Seconds, "When a job last succeeded");
    describe_gauge!(CLOCK_SKEW, Unit::Seconds, "How far the clock is ahead of the database's");
    describe_counter!(ERRORS, Unit::Count, "Requests answered with an error, by code");
}
