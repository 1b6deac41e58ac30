//! How the cluster does.

use super::Admin;
use crate::{
    model::{Result, Role},
    store::{Job, Node, Status},
};

/// The cluster as one node sees it.
#[derive(Debug)]
pub struct ClusterStatus {
    /// The answering node's version.
    pub version: &'static str,
    /// The answering node.
    pub node_id: String,
    /// The nodes on the list.
    pub nodes: Vec<Node>,
    /// The jobs of the cluster.
    pub jobs: Vec<Job>,
    /// What the database holds.
    pub status: Status,
}

impl Admin<'_> {
    /// The nodes, what they hold, and how large the database is.
    pub async fn status(&self) -> Result<ClusterStatus> {
        self.require(Role::Viewer)?;
        Ok(ClusterStatus {
            version: env!("CARGO_PKG_VERSION"),
            node_id: self.service.node_id.clone(),
            nodes: self.service.store.nodes().await?,
            jobs: self.service.store.jobs().await?,
            status: self.service.store.status().await?,
        })
    }
}
