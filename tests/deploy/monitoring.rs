//! Alert rules and dashboard, judged by Prometheus itself.

use std::{collections::BTreeSet, fs, net::SocketAddr, process::Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{file, free_port, read};
use crate::support::{
    api::Transport::Grpc,
    cluster::login,
    eventually,
    postgres::Database,
    process::{DataFolder, in_time},
    programs::program,
};

/// What the queries of the dashboard are about.
const VARIABLES: [(&str, &str); 3] =
    [("$__rate_interval", "30s"), ("$job", "imd"), ("$instance", ".*")];

/// A Prometheus that asks one node each second. It is killed when it is dropped.
struct Prometheus {
    base: String,
    _process: Child,
    _folder: TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Self {
        let folder = TempDir::with_prefix("imd-prometheus-").expect("a folder");
        let config = folder.path().join("prometheus.yaml");
        let text = format!(
            "scrape_configs: [{{job_name: imd, scrape_interval: 1s, scrape_timeout: 1s, \
             static_configs: [{{targets: ['{target}']}}]}}]\nrule_files: ['{}']\n",
            file("monitoring/alerts.yaml").display()
        );
        fs::write(&config, text).expect("written");
        let address = format!("127.0.0.1:{}", free_port());
        let process = Command::new(program("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus runs");
        Self { base: format!("http://{address}/api/v1"), _process: process, _folder: folder }
    }

    /// What a query gives; `None` while Prometheus starts.
    async fn query(&self, expr: &str) -> Option<Vec<Value>> {
        let request = reqwest::Client::new().get(format!("{}/query", self.base));
        let answer = request.query(&[("query", expr)]).send().await.ok()?;
        let answer: Value = answer.json().await.ok()?;
        assert_eq!(answer["status"], "success", "{expr}: {answer}");
        answer["data"]["result"].as_array().cloned()
    }
}

/// The queries of the dashboard, with the title of their panel.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("monitoring/dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().expect("a title").to_owned();
        let targets = panel["targets"].as_array().expect("targets").clone();
        targets.into_iter().map(move |target| {
            let expr = target["expr"].as_str().expect("a query").to_owned();
            (title.clone(), expr)
        })
    };
    panels.iter().flat_map(of_panel).collect()
}

/// The names of imd's own metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_word(c)).filter(|word| word.starts_with("imd_"));
    let name = |word: &str| {
        let parts = ["_bucket", "_sum", "_count"];
        parts.iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word).to_owned()
    };
    words.map(name).collect()
}

async fn promtool(arguments: &[&str]) {
    let mut promtool = Command::new(program("promtool"));
    promtool.args(arguments).current_dir(file("monitoring")).stdin(Stdio::null());
    let output = in_time("promtool", promtool.output()).await.expect("promtool runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}\n{complained}");
}

#[tokio::test]
async fn each_alert_fires_when_it_should() {
    promtool(&["check", "rules", "alerts.yaml"]).await;
    promtool(&["test", "rules", "alerts_test.yaml"]).await;
    let tested = read("monitoring/alerts_test.yaml");
    let guide = read("../docs/operations/monitoring.md");
    let alerts = read("monitoring/alerts.yaml");
    let names = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    for name in names {
        assert!(tested.contains(&format!("alertname: {name}\n")), "{name} has no test");
        assert!(guide.contains(&format!("\n### {name}\n")), "{name} has no runbook");
    }
}

#[test]
fn the_guide_lists_every_metric_and_nobody_asks_for_others() {
    let source = fs::read_to_string(file("../api/src/telemetry.rs")).expect("the source");
    let metrics: BTreeSet<String> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1).map(str::to_owned))
        .collect();
    assert!(metrics.contains("imd_messages_appended_total"), "{metrics:?}");
    let guide = read("../docs/operations/monitoring.md");
    for metric in &metrics {
        assert!(guide.contains(&format!("\n| `{metric}` |")), "{metric} is not in the guide");
    }
    for path in
        ["monitoring/alerts.yaml", "monitoring/alerts_test.yaml", "monitoring/dashboard.json"]
    {
        for asked in metrics_in(&read(path)) {
            assert!(metrics.contains(&asked), "{path} asks for {asked}");
        }
    }
}

#[tokio::test]
async fn every_node_says_what_there_is_on_all_of_them() {
    let database = Database::create().await;
    let folders = [DataFolder::new(), DataFolder::new()];
    let first = folders[0].start_node(database.url()).await;
    first.create_users(&["ann", "bob"]).await;
    let ann = first.log_in(Grpc, "ann", "phone").await;
    let _feed = ann.follow("now").await;
    first.log_in(Grpc, "bob", "phone").await;
    // One that starts counts at once.
    let second = folders[1].start_node(database.url()).await;
    let counted = async || {
        let metrics = reqwest::get(format!("http://{}/metrics", second.admin)).await.ok()?;
        let metrics = metrics.text().await.ok()?;
        let due = [
            r#"imd_sessions{type="phone",state="live"} 2"#,
            r#"imd_sessions{type="phone",state="online"} 1"#,
            r#"imd_sessions{type="pad",state="live"} 0"#,
            "imd_webhook_events_waiting 0",
            r#"imd_job_succeeded_timestamp_seconds{job="purge"}"#,
        ];
        due.iter().all(|line| metrics.contains(line)).then_some(())
    };
    eventually("it is counted", counted).await;
}

#[tokio::test]
async fn prometheus_answers_every_query_of_the_dashboard() {
    let folder = DataFolder::new();
    let imd = folder.start_with(&[("IMD_RETENTION_PURGE_AFTER", "0s")]).await;
    imd.create_users(&["ann", "bob"]).await;
    let ann = imd.log_in(Grpc, "ann", "phone").await;
    let bob = imd.log_in(Grpc, "bob", "pc").await;
    let mut feed = bob.follow("now").await;
    let prometheus = Prometheus::start(imd.admin);
    // Sends and errors go on until each query has an answer; some come with the first count alone.
    let wrong = login("ann", "web", "browser").password("not the password");
    for (title, expr) in queries() {
        let expr = VARIABLES.iter().fold(expr, |expr, (name, by)| expr.replace(name, by));
        // What only several nodes or a purge count.
        let is_rare = ["hints_sent", "purged", "retries", "limited", "sweeps"];
        if is_rare.iter().any(|rare| expr.contains(rare)) {
            eventually("prometheus answers", async || prometheus.query(&expr).await).await;
            continue;
        }
        let answered = async {
            loop {
                ann.say("bob", "Hello").await;
                feed.entry().await;
                let _ = Grpc.connect(imd.public).login(&wrong).await;
                if prometheus.query(&expr).await.is_some_and(|series| !series.is_empty()) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        in_time(&format!("{title}: {expr}"), answered).await;
    }
    assert_eq!(prometheus.query("up == 1").await.expect("it answers").len(), 1);
}
