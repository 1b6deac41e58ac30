//! `imctl webhooks`

use insta::assert_snapshot;
use serde_json::Value;

use super::Shell;
use crate::support::process::DataFolder;

#[tokio::test]
async fn webhooks_are_made_shown_changed_paused_and_deleted() {
    let folder = DataFolder::new();
    let imd = folder.start_with(&[("IMD_WEBHOOKS_ALLOW_PRIVATE", "true")]).await;
    let shell = Shell::new(&folder, &imd);
    assert_snapshot!(shell.imctl(&["webhooks", "list"]).await, @"there are no webhooks");
    // Nobody listens there.
    let create = ["webhooks", "create", "http://127.0.0.1:9/hook", "--kinds", "session.*,read"];
    let made = shell.run(&create, "").await;
    assert!(made.stdout.starts_with("whsec_") && made.stdout.trim().len() == 50, "{made:?}");
    assert!(made.stderr.contains("keep its secret"), "{made:?}");
    let listed: Vec<Value> =
        serde_json::from_str(&shell.imctl(&["webhooks", "list", "-o", "json"]).await)
            .expect("a list");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["kinds"].to_string(), r#"["session.started","session.ended","read"]"#);
    let id = listed[0]["webhook_id"].as_str().expect("an id").to_owned();
    let id = id.as_str();

    let update = ["webhooks", "update", id, "--kinds", "read", "--description", "for search"];
    assert!(shell.imctl(&update).await.contains("http://127.0.0.1:9/hook"));
    assert!(shell.imctl(&["webhooks", "pause", id]).await.contains("paused"));
    let resumed = shell.imctl(&["webhooks", "resume", id, "-o", "wide"]).await;
    assert!(resumed.contains("active") && resumed.contains("KINDS"), "{resumed}");
    let tested = shell.run(&["webhooks", "test", id], "").await;
    assert_eq!(tested.code, Some(1), "{tested:?}");
    assert!(tested.stdout.contains("failed"), "{tested:?}");
    let tailed = shell.run(&["webhooks", "tail", id, "--for", "1s", "--json"], "").await;
    assert_eq!((tailed.stdout.as_str(), tailed.stderr.trim()), ("", "watching"));
    let replayed = shell.run(&["webhooks", "replay", id, "--from", "2h"], "").await;
    assert_snapshot!(replayed.stderr, @"0 events are told once more");
    let rotated = shell.run(&["webhooks", "rotate-secret", id], "").await;
    assert!(rotated.stdout.starts_with("whsec_") && rotated.stdout != made.stdout);
    assert!(shell.imctl(&["webhooks", "show", id, "-o", "json"]).await.contains("for search"));
    assert_snapshot!(shell.run(&["webhooks", "delete", id], "").await.stderr, @"deleted");
    assert_snapshot!(shell.failing_imctl(&["webhooks", "show", id]).await, @r#"
    error: there is no such webhook (webhook_not_found)
    exit code 1
    "#);
    let wrong = ["webhooks", "create", "https://hook.example.com/", "--kinds", "read,dishes"];
    let refused = shell.failing_imctl(&wrong).await;
    assert!(refused.contains("message.sent, message.recalled"), "{refused}");
}
