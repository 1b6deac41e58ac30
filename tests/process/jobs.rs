//! Jobs of a node that is killed.

use nix::sys::signal::Signal;

use crate::support::{
    grpc::at,
    process::{DataFolder, in_time},
};

#[tokio::test]
async fn i11_a_job_of_a_killed_node_is_done_by_another() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let url = folder.database_url().await;
    let doomed_folder = DataFolder::new();
    let (sql, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    // The node that starts has its jobs due at once; one of them waits for this.
    let job = async |name: &str| imd.admin().job(name).await;
    in_time("the first run", async { while job("assertions").await.finished_at.is_none() {} })
        .await;
    sql.batch_execute("BEGIN; LOCK TABLE used_assertions").await.expect("a lock");
    // Not for the node that is there.
    let elsewhere =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(elsewhere.1);
    let doomed_id = {
        let mut doomed = doomed_folder.start_node(&url).await;
        let doomed_id = doomed.admin().status().await.expect("the status").node_id;
        let take = "UPDATE jobs SET lease = NULL, leased_until = '-infinity', due_at = now()
                    WHERE name = 'assertions' AND leased_by <> $1";
        in_time("the node takes the job", async {
            loop {
                let taken = job("assertions").await;
                if taken.node_id == doomed_id {
                    break;
                }
                elsewhere.0.execute(take, &[&doomed_id]).await.expect("a job");
            }
        })
        .await;
        doomed.end(Signal::SIGKILL).await;
        doomed_id
    };
    let left = job("assertions").await;
    assert_eq!(left.node_id, doomed_id, "the lease outlives its node");
    let before = at(left.started_at);
    sql.batch_execute("ROLLBACK").await.expect("the lock is free");
    in_time("the other node does it", async {
        loop {
            let job = job("assertions").await;
            if job.finished_at.is_some_and(|done| at(Some(done)) > before) {
                break assert_eq!(job.failures, 0);
            }
        }
    })
    .await;
}
