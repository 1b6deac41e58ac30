//! `imctl bench`: short runs, for what they print and not for how fast they are.

use serde_json::Value;

use super::Shell;
use crate::support::process::DataFolder;

/// Runs a benchmark that is to succeed; its result.
async fn bench(imctl: &Shell<'_>, args: &[&str]) -> Value {
    let args = [&["bench"], args, &["--json", "-"]].concat();
    let printed = imctl.run(&args, "").await;
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    serde_json::from_str(&printed.stdout).expect("JSON")
}

#[tokio::test]
async fn a_load_is_checked_and_compared_with_postgres_alone() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let imctl = Shell::new(&folder, &imd);
    let floor = folder.database_url().await;
    for outstanding in ["1", "16"] {
        let load = ["--users", "4", "--outstanding", outstanding, "--floor", &floor];
        let short = ["--duration", "1s", "--warmup", "0s"];
        let result = bench(&imctl, &[&load[..], &short].concat()).await;
        assert!(result["messages"].as_u64() > Some(0), "{result:#}");
        assert_eq!((&result["violation_count"], &result["unfinished"]), (&0.into(), &0.into()));
        let batched = &result["floor"]["batched"];
        assert_eq!(batched["connections"], 1, "one lane is the default");
        let size = batched["messages"].as_u64().expect("a number");
        // With one message under way there is nothing to gather.
        assert!(if outstanding == "1" { size == 1 } else { (2..=16).contains(&size) }, "{size}");
        assert!(batched["rate"].as_f64() > Some(0.0));
        assert_eq!(result["floor"]["commit"].is_null(), outstanding != "1");
    }
}

#[tokio::test]
async fn long_histories_are_filled_once_and_read() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let imctl = Shell::new(&folder, &imd);
    let database = folder.database_url().await;
    for _ in 0..2 {
        let roaming = ["roaming", "--entries", "10000", "--database", &database];
        let result = bench(&imctl, &roaming).await;
        assert_eq!(result["entries"], 10_000);
        for figure in
            ["page_small_ms", "page_deep_ms", "list_2000_ms", "catch_up_ms", "hide_large_ms"]
        {
            assert!(result[figure].as_f64() > Some(0.0), "{figure}: {result:#}");
        }
    }
}

#[tokio::test]
async fn idle_terminals_are_counted_and_left_alone() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let imctl = Shell::new(&folder, &imd);
    let database = folder.database_url().await;
    for transport in ["grpc", "rest"] {
        let idle = ["idle", "--users", "3", "--terminals", "2", "--transport", transport];
        let rest = ["--settle", "0s", "--rest", "2s", "--database", &database];
        let result = bench(&imctl, &[&idle[..], &rest].concat()).await;
        assert_eq!(result["terminals"], 6);
        assert!(result["memory_after"].as_f64() > Some(1e6), "{result:#}");
        // The node says every second that it runs.
        let transactions = result["database"]["transactions_per_second"].as_f64();
        assert!(transactions > Some(0.0), "{result:#}");
    }
}
