//! `imctl jobs`

use insta::assert_snapshot;
use serde_json::Value;

use super::Shell;
use crate::support::{eventually, process::DataFolder};

#[tokio::test]
async fn jobs_are_listed_run_and_cancelled() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    let list = async || {
        let listed: Vec<Value> =
            serde_json::from_str(&shell.imctl(&["jobs", "list", "-o", "json"]).await).ok()?;
        let done = listed.iter().filter(|job| job["finished_at"].is_string()).count();
        (done == 11).then_some(listed)
    };
    let listed = eventually("the first runs", list).await;
    let names: Vec<&str> = listed.iter().filter_map(|job| job["name"].as_str()).collect();
    let all = [
        "access_keys",
        "assertions",
        "attachments",
        "broadcasts",
        "deletion",
        "nodes",
        "purge",
        "quotas",
        "scheduled_messages",
        "search_index",
        "session_expiry",
        "sql_requests",
        "undelivered",
        "webhook_events",
    ];
    assert_eq!(names, all);

    assert_snapshot!(shell.imctl(&["jobs", "retry", "purge"]).await, @r#"
    JOB  STATE  NEXT  DONE  NODE  ERROR
    purge  waiting  [ago]  -  -  -
    "#);
    assert_snapshot!(shell.failing_imctl(&["jobs", "cancel", "deletion"]).await, @r#"
    error: no node works at this job at present (job_not_running)
    exit code 1
    "#);
    assert_snapshot!(shell.failing_imctl(&["jobs", "retry", "dishes"]).await, @r#"
    error: there is no job of this name (job_not_found)
    exit code 1
    "#);
}
