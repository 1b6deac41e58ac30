//! `imctl users`

use insta::assert_snapshot;

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
    let list = ["users", "list", "--limit", "1", "-o", "wide"];
    assert_snapshot!(shell.imctl(&list).await, @"
    USER  STATE  TIER  LIVE  ONLINE  LAST ENTRY  LAST SEQ  MAX AGE  MAX MESSAGES  CREATED  NAME
    ann  active  unlimited  1  0  [ago]  1  -  -  [ago]  -
    there are more than these 1 (--limit)
    ");
    assert_snapshot!(shell.imctl(&["users", "show", "ann", "-o", "yaml"]).await, @r#"
    user_id: ann
    name: ''
    state: active
    tier: unlimited
    limits_overridden: false
    max_age_seconds: null
    max_messages: null
    live_sessions: 1
    online_sessions: 0
    last_at: [time]
    last_seq: 1
    created_at: [time]
    deleted_at: null
    "#);
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
      "live_sessions": 0,
      "online_sessions": 0,
      "last_at": null,
      "last_seq": 0,
      "created_at": "[time]",
      "deleted_at": "[time]"
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
