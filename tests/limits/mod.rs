//! What one client may take. Each refusal says which limit it is about and when to come back, and is
//! counted.

mod addresses;
mod connections;
mod logins;
mod reads;
mod sends;
mod streams;

use imd::config::Settings;

use crate::support::{
    api::Transport, cluster::Cluster, failure::Failure, node::Node, postgres::Database,
};

/// A cluster of one node with other limits than those of the tests.
pub(crate) async fn limited_to(
    transport: Transport,
    change: impl FnOnce(&mut Settings),
) -> Cluster {
    let database = Database::create().await;
    let node = Node::start_with(&database, change).await;
    Cluster::of(transport, database, node)
}

/// How often a limit has been reached, in this process.
async fn counted(imd: &Cluster, limit: &str) -> u64 {
    let url = format!("http://{}/metrics", imd.node.admin_address());
    let metrics = reqwest::get(url).await.expect("metrics").text().await.expect("a text");
    let line = format!("imd_limited_total{{limit=\"{limit}\"}} ");
    let count = metrics.lines().find_map(|text| text.strip_prefix(&line));
    count.map_or(0, |count| count.parse().expect("a count"))
}

/// Checks that a call was refused for a limit; for how many seconds.
#[track_caller]
fn refused_for(limit: &str, refused: &Failure) -> f64 {
    assert_eq!((&*refused.code, refused.detail("limit")), ("rate_limited", limit), "{refused:?}");
    let wait = refused.retry_after.expect("when to come back").as_secs_f64();
    assert!(wait > 0.0);
    wait
}

/// Makes a test of each `async fn behaviour(transport: Transport)` for each transport.
macro_rules! over_each {
    ($($behaviour:ident: $($transport:ident $name:ident),+;)+) => {$(
        mod $behaviour {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$behaviour(crate::support::api::Transport::$transport).await;
                }
            )+
        }
    )+};
}
use over_each;
