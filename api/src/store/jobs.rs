//! Jobs: what the nodes do unasked, each by one node at a time. A lease says which, and only its holder may
//! renew or end it.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Audit, Store, transaction};
use crate::model::{Error, Result};

/// A job as administrators see it.
#[derive(Debug, Clone)]
pub struct Job {
    /// What it is called.
    pub name: String,
    /// The node that works at it, if one does.
    pub node_id: Option<String>,
    /// When it is to run next; in the past while it runs.
    pub due_at: OffsetDateTime,
    /// When its last run started.
    pub started_at: Option<OffsetDateTime>,
    /// When the last run ended that succeeded.
    pub finished_at: Option<OffsetDateTime>,
    /// How many runs have failed since.
    pub failures: i32,
    /// Why the last of them failed; empty when it did not.
    pub error: String,
}

/// The columns of a [`Job`].
const COLUMNS: &str = "name, due_at, started_at, finished_at, failures, error,
    CASE WHEN lease IS NOT NULL AND leased_until > now() THEN leased_by END AS node_id";

fn read(row: &Row) -> Job {
    Job {
        name: row.get("name"),
        node_id: row.get("node_id"),
        due_at: row.get("due_at"),
        started_at: row.get("started_at"),
        finished_at: row.get("finished_at"),
        failures: row.get("failures"),
        error: row.get("error"),
    }
}

impl Store {
    /// Makes a job that is due after `first` and then `every` so often, or has the one there is be due no
    /// later than that.
    pub async fn schedule_job(&self, name: &str, first: Duration, every: Duration) -> Result<()> {
        let client = self.client().await?;
        client
            .execute(
                "INSERT INTO jobs (name, due_at, every)
                 VALUES ($1, now() + make_interval(secs => $2), make_interval(secs => $3))
                 ON CONFLICT (name) DO UPDATE
                 SET due_at = least(jobs.due_at, excluded.due_at), every = excluded.every",
                &[&name, &first.as_secs_f64(), &every.as_secs_f64()],
            )
            .await?;
        Ok(())
    }

    /// Leases the job out of `names` that has been due for longest and that nobody works at: its name;
    /// `None` when there is none.
    pub async fn lease_job(
        &self,
        names: &[&str],
        node_id: &str,
        lease: Uuid,
        lasts: Duration,
    ) -> Result<Option<String>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE jobs SET lease = $3, leased_by = $2, started_at = now(),
                     leased_until = now() + make_interval(secs => $4)
                 WHERE name = (
                     SELECT name FROM jobs
                     WHERE name = ANY($1) AND due_at <= now() AND leased_until < now()
                     ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
                 ) RETURNING name",
            )
            .await?;
        let row =
            client.query_opt(&statement, &[&names, &node_id, &lease, &lasts.as_secs_f64()]).await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Renews a lease: whether it still holds. It does not once the job was cancelled, or once it has run
    /// out and another node has taken the job.
    pub async fn renew_lease(&self, lease: Uuid, lasts: Duration) -> Result<bool> {
        let client = self.client().await?;
        let renewed = client
            .execute(
                "UPDATE jobs SET leased_until = now() + make_interval(secs => $2) WHERE lease = $1",
                &[&lease, &lasts.as_secs_f64()],
            )
            .await?;
        Ok(renewed == 1)
    }

    /// Notes that a run has succeeded, and when the next one is due: at once, if the job was hurried meanwhile.
    pub async fn finish_job(&self, lease: Uuid) -> Result<()> {
        let client = self.client().await?;
        client
            .execute(
                "UPDATE jobs SET lease = NULL, leased_until = '-infinity', finished_at = now(),
                     due_at = CASE WHEN due_at > started_at THEN due_at ELSE now() + every END,
                    failures = 0, error = ''
                 WHERE lease = $1",
                &[&lease],
            )
            .await?;
        Ok(())
    }

    /// Notes why a run has failed. The next one comes after `first_pause`, doubled for each failure in a
    /// row, but never later than if it had succeeded.
    pub async fn fail_job(&self, lease: Uuid, error: &str, first_pause: Duration) -> Result<()> {
        let client = self.client().await?;
        client
            .execute(
                "UPDATE jobs SET lease = NULL, leased_until = '-infinity', error = $2,
                     due_at = now() + least(every,
                         make_interval(secs => $3::float8 * 2 ^ least(failures, 20))),
                     failures = failures + 1
                 WHERE lease = $1",
                &[&lease, &error, &first_pause.as_secs_f64()],
            )
            .await?;
        Ok(())
    }

    /// Gives a job up that has not been done: another node may take it at once.
    pub async fn release_job(&self, lease: Uuid) -> Result<()> {
        let client = self.client().await?;
        let release = "UPDATE jobs SET lease = NULL, leased_until = '-infinity' WHERE lease = $1";
        client.execute(release, &[&lease]).await?;
        Ok(())
    }

    /// All jobs, by name.
    pub async fn jobs(&self) -> Result<Vec<Job>> {
        let client = self.client().await?;
        let rows = client.query(&format!("SELECT {COLUMNS} FROM jobs ORDER BY name"), &[]).await?;
        Ok(rows.iter().map(read).collect())
    }

    /// Has a job be due now. One that runs goes on, and then is due again: it was due before that run began, and now
    /// is so after it.
    ///
    /// Errors: [`Error::JobNotFound`].
    pub async fn hurry_job(&self, name: &str, audit: Audit<'_>) -> Result<Job> {
        transaction!(self, async |tx| {
            let hurry = format!(
                "UPDATE jobs SET due_at = CASE WHEN lease IS NOT NULL AND leased_until > now()
                     THEN clock_timestamp() ELSE least(due_at, now()) END
                 WHERE name = $1 RETURNING {COLUMNS}"
            );
            let row = tx.query_opt(&hurry, &[&name]).await?.ok_or(Error::JobNotFound)?;
            audit.record(&tx, None).await?;
            tx.commit().await?;
            Ok(read(&row))
        })
    }

    /// Ends the run of a job that is under way; the next one is due as if it had succeeded.
    ///
    /// Errors: [`Error::JobNotFound`]; [`Error::JobNotRunning`].
    pub async fn cancel_job(&self, name: &str, audit: Audit<'_>) -> Result<Job> {
        transaction!(self, async |tx| {
            let find = format!("SELECT {COLUMNS} FROM jobs WHERE name = $1 FOR UPDATE");
            let found = tx.query_opt(&find, &[&name]).await?.ok_or(Error::JobNotFound)?;
            if read(&found).node_id.is_none() {
                return Err(Error::JobNotRunning);
            }
            let cancel = format!(
                "UPDATE jobs SET lease = NULL, leased_until = '-infinity', due_at = now() + every
                 WHERE name = $1 RETURNING {COLUMNS}"
            );
            let row = tx.query_one(&cancel, &[&name]).await?;
            audit.record(&tx, None).await?;
            tx.commit().await?;
            Ok(read(&row))
        })
    }
}
