//! The jobs of the cluster.

use imd_proto::v1::{Job, Role};

use crate::support::{admin::Admin, api::Transport, cluster::Cluster, eventually, grpc::at};

/// A transaction that keeps the job `assertions` at work until it is rolled back.
const HOLD: &str = "BEGIN; LOCK TABLE used_assertions";

async fn runs(imd: &Cluster, job: &str) -> String {
    eventually("the job runs", async || {
        Some(imd.admin().job(job).await.node_id).filter(|node| !node.is_empty())
    })
    .await
}

#[tokio::test]
async fn every_job_is_done_by_one_of_the_nodes_at_its_time() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (_other, _) = imd.start_node().await;
    let often = ["scheduled_messages", "search_index", "broadcasts", "undelivered"];
    // The node that came second has had its jobs run at once, so one that is done may be due again.
    let rests = |job: &Job| {
        job.finished_at.is_some()
            && (often.contains(&job.name.as_str())
                || at(job.due_at) > at(job.finished_at) + time::Duration::SECOND)
    };
    let done = async || {
        let jobs = imd.admin().jobs().await.ok()?;
        let done: Vec<_> = jobs.into_iter().filter(rests).collect();
        (done.len() == 11).then_some(done)
    };
    let done = eventually("all are done but the one that waits", done).await;
    let names: Vec<&str> = done.iter().map(|job| job.name.as_str()).collect();
    let all = [
        "access_keys",
        "assertions",
        "attachments",
        "broadcasts",
        "deletion",
        "nodes",
        "quotas",
        "scheduled_messages",
        "search_index",
        "session_expiry",
        "undelivered",
    ];
    assert_eq!(names, all);
    for job in done.iter().filter(|job| !often.contains(&job.name.as_str())) {
        assert_eq!((job.failures, job.error.as_str()), (0, ""), "{}", job.name);
        let pause = at(job.due_at) - at(job.finished_at);
        assert_eq!(pause, time::Duration::minutes(1), "{}", job.name);
    }
    let purge = imd.admin().job("purge").await;
    assert!(
        purge.started_at.is_none()
            && at(purge.due_at) > at(done[0].due_at) - time::Duration::minutes(1)
    );
    imd.admin().retry_job("purge").await.expect("there is one");
    eventually("it runs now", async || imd.admin().job("purge").await.finished_at).await;
}

#[tokio::test]
async fn a_job_that_fails_says_why_and_is_tried_again_until_it_succeeds() {
    let imd = Cluster::start(Transport::Grpc).await;
    let sql = imd.database.sql().await;
    eventually("the first run", async || imd.admin().job("assertions").await.finished_at).await;
    sql.batch_execute("ALTER TABLE used_assertions RENAME TO gone").await.expect("a table");
    imd.admin().retry_job("assertions").await.expect("there is one");
    let failed = async || Some(imd.admin().job("assertions").await).filter(|job| job.failures > 1);
    let failed = eventually("it was tried again unasked", failed).await;
    assert!(failed.error.contains("\"used_assertions\" does not exist"), "{}", failed.error);
    let shown = imd.admin().status().await.expect("the status").jobs;
    assert!(shown.iter().any(|job| job.name == "assertions" && job.failures > 1), "{shown:?}");
    let others = shown.iter().filter(|job| job.name != "assertions");
    assert!(others.into_iter().all(|job| job.failures == 0), "{shown:?}");

    sql.batch_execute("ALTER TABLE gone RENAME TO used_assertions").await.expect("a table");
    let mended = async || Some(imd.admin().job("assertions").await).filter(|job| job.failures == 0);
    let mended = eventually("it succeeds", mended).await;
    assert_eq!(mended.error, "");
    assert!(mended.finished_at.is_some());
}

#[tokio::test]
async fn a_job_that_is_cancelled_ends_and_comes_again_at_its_time() {
    let imd = Cluster::start(Transport::Grpc).await;
    eventually("the first run", async || imd.admin().job("assertions").await.finished_at).await;
    let sql = imd.database.sql().await;
    sql.batch_execute(HOLD).await.expect("a lock");
    imd.admin().retry_job("assertions").await.expect("there is one");
    let node = runs(&imd, "assertions").await;
    assert_eq!(node, imd.admin().status().await.expect("the status").node_id);

    let cancelled = imd.admin().cancel_job("assertions").await.expect("it runs");
    assert_eq!(cancelled.node_id, "");
    assert_eq!(cancelled.failures, 0);
    let elsewhere = imd.database.sql().await;
    let at_work = "SELECT count(*) FROM pg_stat_activity
                   WHERE state = 'active' AND query LIKE 'DELETE FROM used_assertions%'";
    let ended = async || {
        let left: i64 = elsewhere.query_one(at_work, &[]).await.expect("a count").get(0);
        (left == 0).then_some(())
    };
    eventually("its statement ends, though the lock is still held", ended).await;
    sql.batch_execute("ROLLBACK").await.expect("the lock is free");

    let refused = imd.admin().cancel_job("assertions").await.expect_err("it does not run");
    assert_eq!(refused.code, "job_not_running");
    for answer in [imd.admin().cancel_job("x").await, imd.admin().retry_job("").await] {
        assert_eq!(answer.expect_err("no such job").code, "job_not_found");
    }
    let records = imd.admin().audit("", 0, "").await.expect("records").records;
    let actions: Vec<_> = records.iter().map(|r| (r.action.as_str(), r.details.as_str())).collect();
    let details = r#"{"job":"assertions"}"#;
    assert_eq!(actions, [("cancel_job", details), ("retry_job", details)]);
}

#[tokio::test]
async fn a_job_is_not_done_twice_at_a_time_and_its_lease_runs_out() {
    let imd = Cluster::start(Transport::Grpc).await;
    eventually("the first run", async || imd.admin().job("nodes").await.finished_at).await;
    let sql = imd.database.sql().await;
    let ghost = "UPDATE jobs SET lease = gen_random_uuid(), leased_by = 'ghost', due_at = now(),
                     leased_until = now() + interval '3 seconds'
                 WHERE name = 'nodes' RETURNING leased_until";
    let until: time::OffsetDateTime = sql.query_one(ghost, &[]).await.expect("a job").get(0);
    assert_eq!(imd.admin().job("nodes").await.node_id, "ghost");
    let taken = async || {
        let job = imd.admin().job("nodes").await;
        (at(job.started_at) > until && at(job.finished_at) > until).then_some(())
    };
    eventually("another node takes it when the lease has run out", taken).await;
    let before = "SELECT started_at > leased_until FROM jobs WHERE name = 'nodes'";
    assert!(sql.query_one(before, &[]).await.expect("a job").get::<_, bool>(0));
}

#[tokio::test]
async fn whoever_may_see_the_cluster_sees_its_jobs_and_nothing_more() {
    let imd = Cluster::start(Transport::Grpc).await;
    let key = imd.admin().create_key("zoe", Role::Viewer).await.expect("a key");
    let viewer = Admin::new(imd.node.admin_address(), &key);
    eventually("jobs", async || viewer.jobs().await.ok().filter(|jobs| jobs.len() == 14)).await;
    let refused = viewer.retry_job("purge").await.expect_err("not for viewers");
    assert_eq!(refused.code, "permission_denied");
}

#[tokio::test]
async fn a_job_that_is_to_run_again_while_it_runs_does_so_afterwards() {
    let imd = Cluster::start(Transport::Grpc).await;
    eventually("the first run", async || imd.admin().job("assertions").await.finished_at).await;
    let sql = imd.database.sql().await;
    sql.batch_execute(HOLD).await.expect("a lock");
    imd.admin().retry_job("assertions").await.expect("there is one");
    runs(&imd, "assertions").await;
    let first = at(imd.admin().job("assertions").await.started_at);
    imd.admin().retry_job("assertions").await.expect("there is one");
    sql.batch_execute("ROLLBACK").await.expect("the lock is free");
    // Long before its time, which is in a minute.
    eventually("it runs again", async || {
        let job = imd.admin().job("assertions").await;
        (at(job.started_at) > first && job.finished_at.is_some_and(|end| at(Some(end)) > first))
            .then_some(())
    })
    .await;
}
