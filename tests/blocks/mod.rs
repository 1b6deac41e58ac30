//! Blocks: whose messages do not arrive, what their senders learn, and that a race does not help.

mod dropped;
mod list;
mod races;
mod refused;

use std::sync::Arc;

use crate::support::{
    api::Api,
    cluster::Cluster,
    node::Node,
    types::{BlockChanged, Kind},
};

/// A node that drops what blocked senders send; that of the cluster refuses it.
async fn that_drops(imd: &Cluster) -> (Node, Arc<dyn Api>) {
    imd.start_node_with(|settings| settings.messages.if_blocked = imd::model::IfBlocked::Drop).await
}

fn block_changed(user_id: &str, blocked: bool) -> Kind {
    Kind::BlockChanged(BlockChanged { user_id: user_id.to_owned(), blocked })
}
