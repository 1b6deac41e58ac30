//! The metrics of a node, by name. Every layer above the model may count.

use std::sync::OnceLock;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

use crate::model::{Error, Limit};

/// Messages appended, duplicates left out.
pub const MESSAGES: &str = "imd_messages_appended_total";
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
/// Open streams.
pub const STREAMS: &str = "imd_streams";
/// Entries handed to transports; `source` is `hub` or `log`.
pub const DELIVERED: &str = "imd_entries_delivered_total";
/// Hints sent to other nodes.
pub const HINTS_SENT: &str = "imd_hints_sent_total";
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
/// The generation of the database: how often acknowledged messages may have been lost.
pub const DATABASE_GENERATION: &str = "imd_database_generation";
/// Whether commits wait for a standby of the database.
pub const DATABASE_SYNCHRONOUS: &str = "imd_database_synchronous";
/// Standbys that follow the database's primary.
pub const DATABASE_STANDBYS: &str = "imd_database_standbys";
/// How far the standby that is furthest behind is behind, in bytes of the log.
pub const DATABASE_LAG: &str = "imd_database_lag_bytes";
/// How far this node's clock is ahead of the database's, in seconds.
pub const CLOCK_SKEW: &str = "imd_clock_skew_seconds";

/// The metrics of this process in Prometheus' text format, memory and processor time among them. Counts
/// from the first call on.
#[must_use]
pub fn render_metrics() -> String {
    let recorder = recorder();
    Collector::default().collect();
    recorder.render()
}

/// Counts an error that goes to a client, and logs the cause of one that is a fault of our own: here
/// and nowhere else, because the client does not get to see it.
pub fn note(error: &Error) {
    counter!(ERRORS, "code" => error.code()).increment(1);
    match error {
        Error::RateLimited { limit, .. } => note_limit(*limit),
        Error::Internal(cause) => {
            tracing::error!(error = cause.as_ref() as &dyn std::error::Error, "internal error");
        }
        Error::Unavailable(cause) => {
            tracing::warn!(error = cause.as_ref() as &dyn std::error::Error, "unavailable");
        }
        _ => {}
    }
}

/// Counts what is refused because one client takes too much. [`note`] does so for errors.
pub fn note_limit(limit: Limit) {
    counter!(LIMITED, "limit" => limit.name()).increment(1);
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
                b.set_buckets_for_metric(Matcher::Full(POLICY_SECONDS.to_owned()), &seconds)
            })
            .and_then(|b| b.set_buckets_for_metric(Matcher::Full(BATCH_SIZE.to_owned()), &sizes))
            .and_then(PrometheusBuilder::install_recorder)
            .expect("the buckets are not empty and nobody else installs a recorder");
        describe();
        handle
    })
}

fn describe() {
    Collector::default().describe();
    describe_counter!(MESSAGES, Unit::Count, "Messages appended, duplicates left out");
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
    describe_gauge!(CLOCK_SKEW, Unit::Seconds, "How far the clock is ahead of the database's");
    describe_counter!(ERRORS, Unit::Count, "Requests answered with an error, by code");
}
