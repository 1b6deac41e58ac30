//! `imctl doctor`

use std::fs;

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::Shell;
use crate::support::{certificates::Authority, process::DataFolder};

#[tokio::test]
async fn a_new_server_is_well_but_for_its_only_disk() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    let report = shell.imctl(&["doctor"]).await;
    let found = |text: &str| report.lines().any(|line| line.starts_with(text));
    assert!(found("ok       database     PostgreSQL "), "{report}");
    assert!(found("ok       durability   fsync on, full_page_writes on, "), "{report}");
    assert!(found("warning  replication  no standby"), "{report}");
    assert!(report.contains("→ have a synchronous standby, or backups"), "{report}");
    assert!(!report.contains("failed"), "{report}");
    let checks: Value =
        serde_json::from_str(&shell.imctl(&["doctor", "-o", "json"]).await).expect("JSON");
    let names: Vec<_> =
        checks.as_array().expect("a list").iter().map(|c| c["name"].as_str()).collect();
    for name in [
        "clock",
        "connections",
        "upkeep",
        "nodes",
        "jobs",
        "webhooks",
        "tasks",
        "open files",
        "disk",
    ] {
        assert!(names.contains(&Some(name)), "{name}: {names:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_to_be_renewed() {
    let authority = Authority::new();
    let now = OffsetDateTime::now_utc();
    let server = authority.certify_until(now + Duration::days(3));
    let folder = DataFolder::new();
    folder.write_settings(&format!("[tls]\ncert = {:?}\nkey = {:?}\n", server.cert, server.key));
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    let soon = shell.imctl(&["doctor"]).await;
    let until = (now + Duration::days(3)).date();
    let line = |report: &str| {
        let lines =
            report.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| line.contains("tls.cert")).collect::<String>()
    };
    assert_eq!(line(&soon), format!("warning tls.cert until {until}"));
    assert!(soon.contains("→ renew it, and send imd a SIGHUP"), "{soon}");

    // As some editors leave it, which the listener takes, too.
    let pem = fs::read_to_string(&server.cert).expect("it was there");
    fs::write(&server.cert, format!("\u{feff}{pem}")).expect("it is replaced");
    assert_eq!(line(&shell.imctl(&["doctor"]).await), line(&soon));

    let old = authority.certify_until(now - Duration::days(1));
    fs::copy(old.cert, &server.cert).expect("it is replaced");
    let expired = shell.run(&["doctor"], "").await;
    let date = (now - Duration::days(1)).date();
    assert_eq!(line(&expired.stdout), format!("failed tls.cert expired on {date}"));
    assert_eq!((expired.code, &*expired.stderr), (Some(1), "error: 1 check has failed\n"));
    fs::remove_file(&server.cert).expect("it was there");
    let gone = shell.run(&["doctor"], "").await;
    let gone = line(&gone.stdout);
    assert!(gone.starts_with("failed tls.cert ") && gone.contains("No such file"), "{gone}");
}
