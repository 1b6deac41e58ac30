//! What an operator is told of the database before it fails.

use imd_proto::v1::{Check, CheckResult};

use super::pair::Pair;
use crate::support::{
    eventually,
    process::{DataFolder, Imd},
};

/// What comes of a check.
async fn check(imd: &Imd, name: &str) -> (CheckResult, Check) {
    let checks = imd.admin().checks().await.expect("checks");
    let check = checks.into_iter().find(|check| check.name == name).expect("it is looked at");
    (check.result(), check)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_said_when_acknowledged_messages_are_not_safe_against_failover() {
    let mut pair = Pair::start().await;
    let folder = DataFolder::new();
    let imd = folder.start_node(&pair.url()).await;
    let (result, durability) = check(&imd, "durability").await;
    assert_eq!(result, CheckResult::Failure, "{durability:?}");
    assert!(durability.found.starts_with("fsync off, "), "{durability:?}");
    assert!(durability.advice.contains("may lose acknowledged messages"), "{durability:?}");
    let (result, alone) = check(&imd, "replication").await;
    assert_eq!(result, CheckResult::Warning, "{alone:?}");

    pair.add_standby().await;
    let (result, asynchronous) = check(&imd, "replication").await;
    assert_eq!(result, CheckResult::Failure, "{asynchronous:?}");
    assert!(asynchronous.advice.contains("not safe against failover"), "{asynchronous:?}");

    pair.wait_for_standby().await;
    eventually("commits wait for the standby", async || {
        let (result, synchronous) = check(&imd, "replication").await;
        (result == CheckResult::Ok && synchronous.found == "1 follow, 1 of them synchronously")
            .then_some(())
    })
    .await;

    pair.lose_standby().await;
    eventually("there is none to wait for", async || {
        let (result, lost) = check(&imd, "replication").await;
        (result == CheckResult::Failure && lost.found.contains("there is none")).then_some(())
    })
    .await;
}
