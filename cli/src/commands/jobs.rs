//! `imctl jobs`

use clap::Subcommand;
use comfy_table::{Cell, Color};
use imd_proto::v1::{CancelJobRequest, Job, ListJobsRequest, RetryJobRequest};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    client::Admin,
    clock,
    error::Error,
    output::{self, OutputArgs, Row, WatchedOutput},
};

/// `imctl jobs …`
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List what the cluster does unasked: when, on which node, and why it failed
    List(WatchedOutput),
    /// Run a job now, whether it waits for its time or for another try
    Retry {
        /// The job's name
        name: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// End the run of a job that is under way; the next one comes at its time
    Cancel {
        /// The job's name
        name: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Runs one of the commands.
pub(crate) async fn run(command: JobsCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        JobsCommand::List(output) => {
            let answer = admin.calls.list_jobs(ListJobsRequest {}).await;
            let jobs = answer.map_err(|status| admin.failure(status))?.into_inner().jobs;
            let jobs: Vec<JobView> = jobs.into_iter().map(JobView::from).collect();
            output::list(&jobs, output.output, "no node has scheduled a job")
        }
        JobsCommand::Retry { name, output } => {
            let answer = admin.calls.retry_job(RetryJobRequest { name }).await;
            let job = answer.map_err(|status| admin.failure(status))?.into_inner().job;
            output::one(&JobView::from(job.unwrap_or_default()), output.output)
        }
        JobsCommand::Cancel { name, output } => {
            let answer = admin.calls.cancel_job(CancelJobRequest { name }).await;
            let job = answer.map_err(|status| admin.failure(status))?.into_inner().job;
            output::one(&JobView::from(job.unwrap_or_default()), output.output)
        }
    }
}

/// A job, for `imctl status`, too.
#[derive(Debug, Serialize)]
pub(crate) struct JobView {
    pub(crate) name: String,
    /// The node that works at it.
    node_id: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    due_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    finished_at: Option<OffsetDateTime>,
    pub(crate) failures: i32,
    pub(crate) error: String,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            name: job.name,
            node_id: Some(job.node_id).filter(|id| !id.is_empty()),
            due_at: clock::time(job.due_at),
            started_at: clock::time(job.started_at),
            finished_at: clock::time(job.finished_at),
            failures: job.failures,
            error: job.error,
        }
    }
}

impl Row for JobView {
    const COLUMNS: &[&str] = &["JOB", "STATE", "NEXT", "DONE", "NODE", "ERROR"];
    const NARROW: usize = 6;
    const CUT: &[&str] = &["ERROR"];

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        let state = match (&self.node_id, self.failures) {
            (Some(_), _) => Cell::new("running").fg(Color::DarkGreen),
            (None, 0) => Cell::new("waiting"),
            (None, failures) => Cell::new(format!("failed {failures}×")).fg(Color::DarkRed),
        };
        vec![
            output::text(&self.name),
            state,
            Cell::new(clock::ahead(self.due_at, now)),
            Cell::new(clock::ago(self.finished_at, now)),
            output::text(self.node_id.as_deref().unwrap_or_default()),
            output::text(&self.error),
        ]
    }
}
