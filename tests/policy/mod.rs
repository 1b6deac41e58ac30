//! The policy hook: a server of the customer's says what is stored.

mod failures;
mod grpc;
mod hook;
mod verdicts;

use std::{fs, time::Duration};

use imd::{config::Settings, model::PolicyOnFailure};

use self::hook::{Hook, Way};
use crate::support::{api::Transport, cluster::Cluster, node::Node, postgres::Database};

/// What requests to the hook are signed with.
const KEY: &str = "the key of the hook";

/// How long the hook may take here.
const TIMEOUT: Duration = Duration::from_millis(500);

fn asking(hook: &Hook, on_failure: PolicyOnFailure) -> impl Fn(&mut Settings) + use<> {
    // Nodes of one process read it at their start.
    let file = std::env::temp_dir().join(format!("imd-tests-{}.policy", std::process::id()));
    fs::write(&file, format!("{KEY}\n")).expect("a file");
    let url = hook.url.clone();
    move |settings| {
        settings.policy.url = Some(url.clone());
        settings.policy.key = Some(file.clone());
        settings.policy.timeout = TIMEOUT;
        settings.policy.on_failure = on_failure;
    }
}

async fn start(transport: Transport, on_failure: PolicyOnFailure) -> (Cluster, Hook) {
    start_with(Way::Http, transport, on_failure).await
}

async fn start_with(
    way: Way,
    transport: Transport,
    on_failure: PolicyOnFailure,
) -> (Cluster, Hook) {
    let hook = Hook::start(way).await;
    let database = Database::create().await;
    let node = Node::start_with(&database, asking(&hook, on_failure)).await;
    (Cluster::of(transport, database, node), hook)
}
