//! `imctl users`

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::Shell;
use crate::support::{api::Transport::Grpc, cluster::PASSWORD, process::DataFolder, types::Event};

#[tokio::test]
async fn users_are_created_shown_and_changed() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);

    assert_snapshot!(shell.imctl(&["users", "list"]).await, @"there are no users");
    let create = ["users", "create", "ann", "--password-stdin"];
    assert_snapshot!(shell.run(&create, PASSWORD).await.result(), @"
    USER  STATE  TIER  LIVE  ONLINE  LAST ENTRY
    ann  active  unlimited  0  0  -
    ");
    assert_snapshot!(shell.run(&create, PASSWORD).await.failure(), @r#"
    error: the user id ann is taken (user_exists)
    exit code 1
    "#);
    let create = ["users", "create", "ben", "--password-stdin", "-o", "json"];
    assert_snapshot!(shell.run(&create, PASSWORD).await.result(), @r#"
    {
      "user_id": "ben",
      "name": "",
      "state": "active",
      "tier": "unlimited",
      "limits_overridden": false,
      "max_age_seconds": null,
      "max_messages": null,
      "max_bytes": null,
      "live_sessions": 0,
      "online_sessions": 0,
      "last_at": null,
      "last_seq": 0,
      "created_at": "[time]",
      "deleted_at": null
    }
    "#);
    let create = ["users", "create", "kim", "--password-stdin"];
    assert_snapshot!(shell.run(&create, "short").await.failure(), @r#"
    error: password: must be 8–1024 bytes long (invalid_argument)
    exit code 1
    "#);
    let create = ["users", "create", "kim!", "--password-stdin"];
    assert_snapshot!(shell.run(&create, PASSWORD).await.failure(), @r#"
    error: user_id: must be 1–64 characters of A-Z a-z 0-9 . _ @ + = - (invalid_argument)
    exit code 1
    "#);

    assert_snapshot!(shell.imctl(&["users", "create", "lea", "--no-password"]).await, @r#"
    USER  STATE  TIER  LIVE  ONLINE  LAST ENTRY
    lea  active  unlimited  0  0  -
    "#);

    let _ann = imd.log_in(Grpc, "ann", "phone").await;
    assert_snapshot!(shell.imctl(&["users", "list"]).await, @"
    USER  STATE  TIER  LIVE  ONLINE  LAST ENTRY
    ann  active  unlimited  1  0  [ago]
    ben  active  unlimited  0  0  -
    lea  active  unlimited  0  0  -
    ");
    let filtered = ["users", "list", "--jq", ".[] | select(.live_sessions > 0).user_id"];
    assert_snapshot!(shell.imctl(&filtered).await, @"ann");
    let wrong = ["users", "list", "--jq", ".[].user_id.name"];
    assert_snapshot!(shell.run(&wrong, "").await.failure(), @r#"
    error: --jq: cannot index "ann" with "name"
    exit code 2
    "#);
    let list = ["users", "list", "--limit", "1", "-o", "wide"];
    assert_snapshot!(shell.imctl(&list).await, @"
    USER  STATE  TIER  LIVE  ONLINE  LAST ENTRY  LAST SEQ  MAX AGE  MAX MESSAGES  CREATED  NAME
    ann  active  unlimited  1  0  [ago]  1  -  -  [ago]  -
    there are more than these 1 (--limit)
    ");
    assert_snapshot!(shell.failing_imctl(&["users", "show", "kim"]).await, @r#"
    error: there is no user kim (user_not_found)
    exit code 1
    "#);

    let set_password = ["users", "set-password", "ann", "--password-stdin"];
    assert_snapshot!(shell.run(&set_password, "battery staple").await.result(), @r#"
    USER  TERMINAL  DEVICE  STATE  LAST USED  SESSION
    ann  phone  ann's [uuid]  ended  [ago]  [uuid]
    1 session ended
    "#);
    let disable = ["users", "disable", "ann", "--reason", "on leave"];
    assert_snapshot!(shell.imctl(&disable).await, @"done; no session was live");
    assert_snapshot!(shell.imctl(&["users", "list"]).await, @"
    USER  STATE  TIER  LIVE  ONLINE  LAST ENTRY
    ann  disabled  unlimited  0  0  [ago]
    ben  active  unlimited  0  0  -
    lea  active  unlimited  0  0  -
    ");
    assert_snapshot!(shell.imctl(&["users", "enable", "ann"]).await, @"
    USER  STATE  TIER  LIVE  ONLINE  LAST ENTRY
    ann  active  unlimited  0  0  [ago]
    ");
}

#[tokio::test]
async fn a_user_is_shown_with_all_there_is_of_it() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann", "ben"]).await;
    imd.log_in(Grpc, "ann", "phone").await;

    let shown = shell.imctl(&["users", "show", "ann", "-o", "json"]).await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    for (name, value) in [
        ("user_id", json!("ann")),
        ("tier", json!("unlimited")),
        ("live_sessions", json!(1)),
        ("attributes", json!({})),
        ("profile_version", json!(0)),
        ("conversations", json!(0)),
        ("groups", json!(0)),
        ("entries", json!(1)),
        ("messages", json!(0)),
        ("attachment_bytes", json!(0)),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert_eq!(shown["sessions"][0]["terminal"]["type"], "phone");
    assert_snapshot!(shell.imctl(&["users", "show", "ben"]).await, @r#"
    WHAT  VALUE
    user  ben
    state  active
    created  [ago]
    deleted  -
    name  -
    avatar  -
    attributes  -
    profile version  0
    tier  unlimited
    limits  none
    sessions  0 live, 0 online
    last entry  -
    conversations  0
    groups  0
    contacts  0
    blocks  0
    scheduled  0
    timeline  0 entries with 0 bytes, up to seq 0
    messages  0
    attachments  0 with 0 bytes
    no session is live
    "#);
}

#[tokio::test]
async fn a_user_is_deleted_for_good() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann", "ben"]).await;
    let ann = imd.log_in(Grpc, "ann", "phone").await;
    let ben = imd.log_in(Grpc, "ben", "phone").await;
    ann.say("ben", "a secret").await;
    let mut feed = ann.follow("now").await;

    assert_snapshot!(shell.failing_imctl(&["users", "delete", "ann"]).await, @r#"
    error: ann and all its messages will be deleted for good; there is no terminal to ask on: confirm with --yes
    exit code 2
    "#);
    let delete = ["users", "delete", "ann", "--erase-sent", "--yes"];
    assert_snapshot!(shell.imctl(&delete).await, @r#"
    USER  SESSIONS ENDED  ENTRIES DELETED  PEERS ERASED
    ann  1  3  1
    "#);
    let (_, last) = feed.to_the_end().await;
    assert!(matches!(last, Event::SessionEnded(end) if end.reason == "USER_DELETED"));
    let history = ben.history("ann", 0, "").await.expect("a history").entries;
    assert_eq!(history[0].message().tombstone.as_deref(), Some("ERASED"));
    assert_snapshot!(shell.imctl(&["users", "list"]).await, @r#"
    USER  STATE  TIER  LIVE  ONLINE  LAST ENTRY
    ben  active  unlimited  1  0  [ago]
    "#);
    assert_snapshot!(shell.imctl(&["users", "show", "ann", "-o", "json"]).await, @r#"
    {
      "user_id": "ann",
      "name": "",
      "state": "deleted",
      "tier": "unlimited",
      "limits_overridden": false,
      "max_age_seconds": null,
      "max_messages": null,
      "max_bytes": null,
      "live_sessions": 0,
      "online_sessions": 0,
      "last_at": null,
      "last_seq": 0,
      "created_at": "[time]",
      "deleted_at": "[time]",
      "avatar_url": "",
      "attributes": {},
      "profile_version": 0,
      "conversations": 0,
      "groups": 0,
      "contacts": 0,
      "blocks": 0,
      "scheduled_messages": 0,
      "entries": 0,
      "messages": 0,
      "body_bytes": 0,
      "attachments": 0,
      "attachment_bytes": 0,
      "sessions": []
    }
    "#);
    let create = ["users", "create", "ann", "--password-stdin"];
    assert_snapshot!(shell.run(&create, PASSWORD).await.failure(), @r#"
    error: the user id ann is taken (user_exists)
    exit code 1
    "#);
    let again = ["users", "delete", "ann", "--yes", "-o", "json"];
    assert_snapshot!(shell.imctl(&again).await, @r#"
    {
      "user_id": "ann",
      "sessions_ended": 0,
      "entries_deleted": 0,
      "peers_erased": 0
    }
    "#);
}
