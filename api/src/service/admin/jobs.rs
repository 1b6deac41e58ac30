//! The jobs of the cluster.

use serde_json::json;

use super::Admin;
use crate::{
    model::{Result, Role},
    store::Job,
};

impl Admin<'_> {
    /// All jobs, by name.
    pub async fn list_jobs(&self) -> Result<Vec<Job>> {
        self.require(Role::Viewer)?;
        self.service.store.jobs().await
    }

    /// Has a job be due now, whether it waits for its time or for another try after a failure.
    ///
    /// Errors: [`crate::model::Error::JobNotFound`].
    pub async fn retry_job(&self, name: &str) -> Result<Job> {
        self.require(Role::Admin)?;
        let audit = self.audit("retry_job", json!({ "job": name }));
        self.service.store.hurry_job(name, audit).await
    }

    /// Ends the run of a job that is under way, within seconds; the next run comes at its time.
    ///
    /// Errors: [`crate::model::Error::JobNotFound`]; [`crate::model::Error::JobNotRunning`].
    pub async fn cancel_job(&self, name: &str) -> Result<Job> {
        self.require(Role::Admin)?;
        let audit = self.audit("cancel_job", json!({ "job": name }));
        self.service.store.cancel_job(name, audit).await
    }
}
