//! Terminals without a stream are told of messages: those whose cursors are behind, and no others (I16).

mod acknowledged;
mod admin;
mod apns;
mod decision;
mod exactness;
mod fcm;
mod goes_away;
mod provider;
mod quiet;
mod refused;
mod web_push;
mod webhook;

use std::{fs, time::Duration};

use imd::config::Settings;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::{
    api::Transport, cluster::Cluster, failure::Failure, node::Node, postgres::Database,
    terminal::Terminal,
};

/// What requests to the webhook are signed with.
const KEY: &str = "the key of the webhook";

/// Longer than the cursor of a terminal takes to be written down.
const DELAY: Duration = Duration::from_secs(3);

/// Has terminals told by a server of the tests' own.
fn by_webhook(settings: &mut Settings, url: &str) {
    // Nodes of one process read it at their start.
    let file = std::env::temp_dir().join(format!("imd-tests-{}.webhook", std::process::id()));
    fs::write(&file, format!("{KEY}\n")).expect("a file");
    settings.push.webhook_url = Some(url.to_owned());
    settings.push.webhook_key = Some(file);
    settings.push.delay = DELAY;
}

/// A cluster of a node that tells terminals by a webhook.
pub(crate) async fn with_webhook(transport: Transport, url: &str) -> Cluster {
    let database = Database::create().await;
    let node = Node::start_with(&database, |settings| by_webhook(settings, url)).await;
    Cluster::of(transport, database, node)
}

/// A call of push over REST, at whichever node the terminal talks to.
async fn call(
    node: &Node,
    terminal: &Terminal,
    method: Method,
    body: Option<Value>,
) -> Result<Value, Failure> {
    let url = format!("http://{}/v1/push", node.public_address());
    let mut request = Client::new().request(method, url).bearer_auth(&terminal.token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.map_err(Failure::lost)?;
    let status = answer.status();
    let text = answer.text().await.map_err(Failure::lost)?;
    if status.is_success() {
        return Ok(serde_json::from_str(&text).unwrap_or_default());
    }
    let problem = serde_json::from_str(&text).expect("a problem");
    Err(Failure::from_problem(status.as_u16(), problem))
}

/// Has the webhook tell a terminal, which it knows by this token.
async fn bind(imd: &Cluster, terminal: &Terminal, token: &str) {
    let body = json!({ "provider": "webhook", "token": token });
    call(&imd.node, terminal, Method::POST, Some(body)).await.expect("it is bound");
}
