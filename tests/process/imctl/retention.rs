//! `imctl retention`: tiers are shown, tried out, changed, and what they hide is deleted.

use insta::assert_snapshot;

use super::Shell;
use crate::support::{api::Transport::Grpc, process::DataFolder};

#[tokio::test]
async fn tiers_are_tried_out_changed_and_purged() {
    let folder = DataFolder::new();
    let imd = folder.start_with(&[("IMD_RETENTION_PURGE_AFTER", "0s")]).await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["alice"]).await;
    let alice = imd.log_in(Grpc, "alice", "phone").await;
    for n in 1..=4 {
        alice.say("alice", &n.to_string()).await;
    }

    assert_snapshot!(shell.imctl(&["retention", "list"]).await, @"
    TIER  MAX AGE  MAX MESSAGES  USERS
    unlimited  -  -  1
    ");
    let free = ["retention", "set", "free", "--days", "7", "--messages", "10000"];
    assert_snapshot!(shell.imctl(&free).await, @"
    TIER  MAX AGE  MAX MESSAGES  USERS
    free  7 days  10000  0
    ");
    assert_snapshot!(shell.imctl(&["users", "set-tier", "alice", "free", "-o", "wide"]).await, @"
    USER  STATE  TIER  LIVE  ONLINE  LAST ENTRY  LAST SEQ  MAX AGE  MAX MESSAGES  CREATED  NAME
    alice  active  free  1  0  [ago]  5  7 days  10000  [ago]  -
    ");
    assert_snapshot!(
        shell.imctl(&["retention", "preview", "free", "--messages", "1"]).await, @"
    TIER  USERS LOSING  ENTRIES HIDDEN  ENTRIES SHOWN AGAIN
    free  1  4  0
    ");
    let stricter = ["retention", "set", "free", "--messages", "1"];
    assert_snapshot!(shell.failing_imctl(&stricter).await, @"
    error: this hides 4 entries of 1 user; there is no terminal to ask on: confirm with --yes
    exit code 2
    ");
    assert_snapshot!(shell.imctl(&[&stricter[..], &["--yes"]].concat()).await, @"
    TIER  MAX AGE  MAX MESSAGES  USERS
    free  7 days  1  1
    ");
    assert_snapshot!(shell.imctl(&["retention", "get", "free", "-o", "json"]).await, @r#"
    {
      "tier": "free",
      "max_age_seconds": 604800,
      "max_messages": 1,
      "users": 1
    }
    "#);
    assert_snapshot!(shell.imctl(&["retention", "purge"]).await, @"
    TIMELINES  PURGED  ENTRIES DELETED
    1  1  4
    ");
    assert_snapshot!(shell.imctl(&["retention", "set", "free", "--days", "none"]).await, @"
    TIER  MAX AGE  MAX MESSAGES  USERS
    free  -  1  1
    ");
    assert_snapshot!(shell.failing_imctl(&["retention", "get", "gold"]).await, @"
    error: there is no tier gold
    exit code 1
    ");
}

#[tokio::test]
async fn a_file_of_tiers_is_applied_as_a_whole() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    let apply = ["retention", "apply", "-f", "-"];
    let file = "[tiers.free]\ndays = 7\nmessages = 10000\n\n[tiers.premium]\ndays = 365\n";
    assert_snapshot!(shell.run(&apply, file).await.result(), @"
    TIER  MAX AGE  MAX MESSAGES  USERS
    free  7 days  10000  0
    premium  365 days  -  0
    unlimited  -  -  0
    ");
    let bad = "[tiers.premium]\ndays = 1\n\n[tiers.Free]\ndays = 1\n";
    assert_snapshot!(shell.run(&apply, bad).await.failure(), @"
    error: tiers.name: must be a letter and up to 31 of a-z 0-9 _ - (invalid_argument)
    exit code 1
    ");
    let bad = "[tiers.premium]\nweeks = 1\n";
    assert_snapshot!(shell.run(&apply, bad).await.failure(), @"
    error: -: TOML parse error at line 2, column 1
      |
    2 | weeks = 1
      | ^^^^^
    unknown field `weeks`, expected `days` or `messages`
    exit code 2
    ");
    let preview = ["retention", "preview", "-f", "-"];
    assert_snapshot!(shell.run(&preview, file).await.result(), @"
    TIER  USERS LOSING  ENTRIES HIDDEN  ENTRIES SHOWN AGAIN
    free  0  0  0
    premium  0  0  0
    ");
    assert_snapshot!(shell.imctl(&["retention", "list", "-o", "yaml"]).await, @"
    - tier: free
      max_age_seconds: 604800
      max_messages: 10000
      users: 0
    - tier: premium
      max_age_seconds: 31536000
      max_messages: null
      users: 0
    - tier: unlimited
      max_age_seconds: null
      max_messages: null
      users: 0
    ");
    let create = ["users", "create", "bob", "--tier", "premium", "--password-stdin"];
    assert_snapshot!(shell.run(&create, "correct horse").await.result(), @"
    USER  STATE  TIER  LIVE  ONLINE  LAST ENTRY
    bob  active  premium  0  0  -
    ");
    let limits = ["users", "set-limits", "bob", "--days", "3650", "-o", "json"];
    assert_snapshot!(shell.imctl(&limits).await, @r#"
    {
      "user_id": "bob",
      "name": "",
      "state": "active",
      "tier": "premium",
      "limits_overridden": true,
      "max_age_seconds": 315360000,
      "max_messages": null,
      "live_sessions": 0,
      "online_sessions": 0,
      "last_at": null,
      "last_seq": 0,
      "created_at": "[time]",
      "deleted_at": null
    }
    "#);
}
