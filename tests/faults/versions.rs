//! One version takes the place of the one before, node by node, under load.
//!
//! The version before is the `imd` that `IMD_PREVIOUS` names, or else this one: then the test shows the way and not
//! the difference. `just previous REVISION` builds another one and runs this with it.

use std::{env, path::PathBuf, time::Duration};

use super::{
    load::{Cast, Load},
    process_node::ProcessNode,
};
use crate::{
    append::assert_dense,
    support::{
        postgres::Database,
        process::{DataFolder, binary, in_time},
    },
};

/// How long the terminals may take to have everything, when no message is written any more.
const PATIENCE: Duration = Duration::from_mins(1);

/// How many messages are acknowledged in each state that the cluster goes through.
const EACH: u64 = 100;

fn previous() -> PathBuf {
    env::var_os("IMD_PREVIOUS").map_or_else(|| binary("imd"), PathBuf::from)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i1_nothing_is_lost_while_the_nodes_of_one_version_take_the_place_of_the_one_before() {
    let database = Database::create_empty().await;
    let mut one = ProcessNode::start_version(previous(), database.url()).await;
    let mut other = ProcessNode::start_version(previous(), database.url()).await;
    let servers = vec![one.address(), other.address()];
    let cast = Cast { users: 12, pause: 5..50, seed: 1, servers };
    one.create_users(&cast.user_ids()).await;
    let load = Load::start(cast).await;
    load.go_on_for(EACH).await;

    // The tables of the next version, under nodes of the one before.
    let migrate =
        DataFolder::new().imd().arg("migrate").env("IMD_DATABASE_URL", database.url()).output();
    let migrated = in_time("imd ends", migrate).await.expect("it runs");
    assert!(migrated.status.success(), "{migrated:?}");
    load.go_on_for(EACH).await;
    one.replace(binary("imd")).await;
    load.go_on_for(EACH).await;
    // One of the version before, that dies and is started again meanwhile.
    other.kill().await;
    other.start_again().await;
    load.go_on_for(EACH).await;
    other.replace(binary("imd")).await;
    load.go_on_for(EACH).await;

    let story = load.finish(database.url(), PATIENCE).await;
    println!("{story}");
    story.assert_sound();
    assert_dense(&database).await;
}
