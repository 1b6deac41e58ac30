//! `imctl bench`: short runs, for what they print and not for how fast they are.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Shell;
use crate::support::process::{DataFolder, in_time};

/// Runs a benchmark that is to succeed; its result.
async fn bench(imctl: &Shell<'_>, args: &[&str]) -> Value {
    let args = [&["bench"], args, &["--json", "-"]].concat();
    let printed = imctl.run(&args, "").await;
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    serde_json::from_str(&printed.stdout).expect("JSON")
}

/// Arguments of a run that is over soon.
const SHORT: [&str; 4] = ["--duration", "1s", "--warmup", "0s"];

/// All is well: something was measured, and all that was sent is everywhere.
fn assert_sound(result: &Value) {
    assert!(result["messages"].as_u64() > Some(0), "{result:#}");
    assert_eq!((&result["violation_count"], &result["unfinished"]), (&0.into(), &0.into()));
    for process in ["server", "generator"] {
        assert!(result["cpu"][process]["us_per_message"].as_f64() > Some(0.0), "{result:#}");
    }
}

#[tokio::test]
async fn a_load_is_checked_and_compared_with_postgres_alone() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let imctl = Shell::new(&folder, &imd);
    let database = folder.database_url().await;
    for outstanding in ["1", "16"] {
        let load = ["--users", "4", "--outstanding", outstanding];
        let compared = ["--database", &database, "--baseline"];
        let result = bench(&imctl, &[&load[..], &compared, &SHORT].concat()).await;
        assert_sound(&result);
        assert_eq!(result["settings"]["connections"], 8, "one for each terminal");
        let postgres = &result["cpu"]["postgresql"];
        assert!(postgres["us_per_message"].as_f64() > Some(0.0), "it runs here: {result:#}");
        let batched = &result["baseline"]["batched"];
        assert_eq!(batched["connections"], 1, "one lane is the default");
        let size = batched["messages"].as_u64().expect("a number");
        // With one message under way there is nothing to gather.
        assert!(if outstanding == "1" { size == 1 } else { (2..=16).contains(&size) }, "{size}");
        assert!(batched["rate"].as_f64() > Some(0.0));
        assert_eq!(result["baseline"]["commit"].is_null(), outstanding != "1");
    }
}

#[tokio::test]
async fn a_load_is_sound_over_every_transport() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let imctl = Shell::new(&folder, &imd);
    for transport in ["grpc", "websocket", "sse"] {
        let load = ["--users", "4", "--outstanding", "8", "--transport", transport];
        let result = bench(&imctl, &[&load[..], &SHORT].concat()).await;
        assert_sound(&result);
        assert_eq!(result["settings"]["transport"], transport);
        assert_eq!((&result["errors"], &result["reconnects"]), (&json!({}), &0.into()));
        assert!(result["cpu"]["postgresql"].is_null(), "no database was given");
    }
    let shared = ["--users", "4", "--connections", "2"];
    let result = bench(&imctl, &[&shared[..], &SHORT].concat()).await;
    assert_sound(&result);
    assert_eq!(result["settings"]["connections"], 2);
}

#[tokio::test]
async fn groups_are_checked_and_compared_with_postgres_alone() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let imctl = Shell::new(&folder, &imd);
    let database = folder.database_url().await;
    for (transport, share) in [("grpc", "50"), ("websocket", "100")] {
        let load = ["--users", "8", "--outstanding", "8", "--transport", transport];
        // Neighbours share members.
        let groups = ["--groups", "3", "--group-size", "4", "--group-share", share];
        let compared = ["--database", &database, "--baseline"];
        let result = bench(&imctl, &[&load[..], &groups, &compared, &SHORT].concat()).await;
        assert_sound(&result);
        let messages = |part: &str| result[part]["messages"].as_u64().expect("a number");
        assert!(messages("to_groups") > 0, "{result:#}");
        assert_eq!(messages("to_users") > 0, share != "100");
        assert_eq!(messages("to_users") + messages("to_groups"), result["messages"]);
        let batched = &result["baseline"]["batched"];
        for figure in ["rate", "references_per_second", "imd_share"] {
            assert!(batched[figure].as_f64() > Some(0.0), "{figure}: {result:#}");
        }
        assert!(result["baseline"]["one_by_one"].is_null(), "it has other rows");
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
    for transport in ["grpc", "sse"] {
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

#[tokio::test]
async fn a_benchmark_keeps_to_the_terminal_rules_and_leaves_no_user_behind() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let imctl = Shell::new(&folder, &imd);
    imctl.imctl(&["terminals", "set", "phone", "pad", "--exclusive"]).await;
    let short = ["--users", "2", "--duration", "1s", "--warmup", "0s"];
    let result = bench(&imctl, &[&short[..], &["--terminals", "4"]].concat()).await;
    assert!(result["messages"].as_u64() > Some(0), "{result:#}");
    assert_eq!(imctl.imctl(&["users", "list"]).await, "there are no users\n");

    // Three at a time are possible, and that is said before a user is made.
    imctl.imctl(&["terminals", "delete", "watch"]).await;
    let refused = imctl.failing_imctl(&[&["bench", "--terminals", "4"], &short[..]].concat()).await;
    assert!(refused.contains("pad (1 session, not beside phone)"), "{refused}");
    assert!(refused.ends_with("exit code 2"), "{refused}");

    // A benchmark that fails, as no terminal reaches its server, and one that is told to stop.
    let nowhere = ["bench", "--public-server", "http://127.0.0.1:1"];
    let failed = imctl.failing_imctl(&[&nowhere[..], &short].concat()).await;
    assert!(failed.contains("cannot log in"), "{failed}");
    assert_eq!(imctl.imctl(&["users", "list"]).await, "there are no users\n");
    let long = imctl.start(&["bench", "--users", "2", "--duration", "1h"]);
    let admin = imd.admin();
    // On a busy machine the logins before the first message take their time.
    in_time("a message", async {
        loop {
            let users = admin.users(10, "").await.expect("a listing").users;
            if users.iter().any(|user| user.last_seq > 4) {
                return;
            }
        }
    })
    .await;
    let pid = long.id().and_then(|pid| i32::try_from(pid).ok()).expect("it runs");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
    let ended = in_time("it ends", long.wait_with_output()).await.expect("a status");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("interrupted"));
    assert_eq!(imctl.imctl(&["users", "list"]).await, "there are no users\n");
}

#[tokio::test]
async fn a_server_on_this_machine_is_not_reached_through_a_proxy() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let imctl = Shell::new(&folder, &imd);
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", proxy.local_addr().expect("it is bound"));
    let args = ["bench", "--transport", "sse", "--users", "2", "--duration", "1s", "--json", "-"];
    let mut command = imctl.command(&args);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    {
        command.env(name, &url);
    }
    tokio::select! {
        ended = command.output() => {
            let ended = ended.expect("it runs");
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        }
        _ = proxy.accept() => panic!("the proxy was asked"),
    }
}
