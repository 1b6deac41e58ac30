//! The contract as buf judges it.

use std::path::Path;

use tokio::process::Command;

use crate::support::packages::{node_packages, run};

const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");

async fn buf(arguments: &[&str]) {
    let buf = node_packages("connect").await.join("node_modules/.bin/buf");
    run(Command::new(buf).args(arguments).current_dir(PROTO)).await;
}

#[tokio::test]
async fn the_contract_is_written_as_is_usual() {
    buf(&["lint"]).await;
    buf(&["format", "--diff", "--exit-code"]).await;
}

/// `released.binpb` is what clients out there were made from: `buf build -o released.binpb
/// --exclude-source-info`, when a release goes out.
#[tokio::test]
async fn the_contract_breaks_no_client_that_is_out_there() {
    assert!(Path::new(PROTO).join("released.binpb").is_file());
    buf(&["breaking", "--against", "released.binpb"]).await;
}
