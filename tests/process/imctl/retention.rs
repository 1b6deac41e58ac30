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
    TIER  MAX AGE  MAX MESSAGES  MAX BYTES  USERS
    unlimited  -  -  -  1
    ");
    let free = ["retention", "create", "free", "--days", "7", "--messages", "10000"];
    assert_snapshot!(shell.imctl(&free).await, @"
    TIER  MAX AGE  MAX MESSAGES  MAX BYTES  USERS
    free  7 days  10000  -  0
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
    TIER  MAX AGE  MAX MESSAGES  MAX BYTES  USERS
    free  7 days  1  -  1
    ");
    assert_snapshot!(shell.imctl(&["retention", "get", "free", "-o", "json"]).await, @r#"
    {
      "tier": "free",
      "max_age_seconds": 604800,
      "max_messages": 1,
      "max_bytes": null,
      "users": 1
    }
    "#);
    assert_snapshot!(shell.imctl(&["retention", "purge"]).await, @"
    TIMELINES  PURGED  ENTRIES DELETED
    1  1  4
    ");
    assert_snapshot!(shell.imctl(&["retention", "set", "free", "--days", "none"]).await, @"
    TIER  MAX AGE  MAX MESSAGES  MAX BYTES  USERS
    free  -  1  -  1
    ");
    assert_snapshot!(shell.failing_imctl(&["retention", "get", "gold"]).await, @"
    error: there is no tier gold; there are free, unlimited
    exit code 1
    ");
}

#[tokio::test]
async fn a_file_of_tiers_is_applied_as_a_whole() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    let apply = ["retention", "apply", "-f", "-", "--create"];
    let file = "[tiers.free]\ndays = 7\nmessages = 10000\n\n[tiers.premium]\ndays = 365\n";
    assert_snapshot!(shell.run(&apply, file).await.result(), @"
    TIER  MAX AGE  MAX MESSAGES  MAX BYTES  USERS
    free  7 days  10000  -  0
    premium  365 days  -  -  0
    unlimited  -  -  -  0
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
    unknown field `weeks`, expected one of `days`, `messages`, `bytes`
    exit code 2
    ");
    let misspelt = "[tiers.fre]\ndays = 7\n";
    for command in ["apply", "preview"] {
        let refused = shell.run(&["retention", command, "-f", "-"], misspelt).await.failure();
        assert!(refused.contains(r#"there is no tier "fre"; did you mean "free"?"#), "{refused}");
    }
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
      max_bytes: null
      users: 0
    - tier: premium
      max_age_seconds: 31536000
      max_messages: null
      max_bytes: null
      users: 0
    - tier: unlimited
      max_age_seconds: null
      max_messages: null
      max_bytes: null
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
      "max_bytes": null,
      "live_sessions": 0,
      "online_sessions": 0,
      "last_at": null,
      "last_seq": 0,
      "created_at": "[time]",
      "deleted_at": null
    }
    "#);
}

#[tokio::test]
async fn a_misspelt_tier_is_an_error_and_tiers_are_made_and_deleted_by_name() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    assert_snapshot!(shell.imctl(&["retention", "create", "free", "--days", "7"]).await, @"
    TIER  MAX AGE  MAX MESSAGES  MAX BYTES  USERS
    free  7 days  -  -  0
    ");
    assert_snapshot!(shell.failing_imctl(&["retention", "create", "free"]).await, @r#"
    error: there is a tier "free" already (tier_exists)
    exit code 1
    "#);
    imd.create_users(&["ann", "ben"]).await;
    let mut said = String::new();
    for args in [
        &["retention", "preview", "fre", "--days", "3"][..],
        &["retention", "set", "fre", "--days", "3"],
        &["retention", "delete", "fre"],
        &["users", "set-tier", "ann", "fre"],
        &["users", "create", "kim", "--no-password", "--tier", "gold"],
    ] {
        said += &shell.failing_imctl(args).await;
        said.push('\n');
    }
    assert_snapshot!(said, @r#"
    error: there is no tier "fre"; did you mean "free"? (tier_not_found)
    exit code 1
    error: there is no tier "fre"; did you mean "free"? (tier_not_found)
    exit code 1
    error: there is no tier "fre"; did you mean "free"? (tier_not_found)
    exit code 1
    error: there is no tier "fre"; did you mean "free"? (tier_not_found)
    exit code 1
    error: there is no tier "gold" (tier_not_found)
    exit code 1
    "#);

    for user in ["ann", "ben"] {
        shell.imctl(&["users", "set-tier", user, "free"]).await;
    }
    let delete = ["retention", "delete", "free"];
    assert_snapshot!(shell.failing_imctl(&delete).await, @r#"
    error: the tier "free" cannot be deleted: 2 of the users have it; give them another tier first (tier_in_use)
    exit code 1
    "#);
    // A deleted user holds nothing back.
    shell.imctl(&["users", "set-tier", "ann", "unlimited"]).await;
    shell.imctl(&["users", "delete", "ben", "--yes"]).await;
    assert_snapshot!(shell.imctl(&delete).await, @"
    TIER  MAX AGE  MAX MESSAGES  MAX BYTES  USERS
    unlimited  -  -  -  2
    ");
    assert_snapshot!(shell.failing_imctl(&["retention", "delete", "unlimited"]).await, @r#"
    error: the tier "unlimited" cannot be deleted: it is the setting default_tier, which new users get (tier_in_use)
    exit code 1
    "#);
    assert_snapshot!(shell.imctl(&["audit", "--limit", "1"]).await, @r#"
    AT  ACTOR  ACTION  USER  DETAILS  REASON
    [ago]  local  delete_tier  -  {"name":"free"}  -
    there are more than these 1 (--limit)
    "#);
}

#[tokio::test]
async fn history_of_one_user_is_hidden_only_when_that_is_confirmed() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann"]).await;
    let ann = imd.log_in(Grpc, "ann", "phone").await;
    for n in 1..=4 {
        ann.say("ann", &n.to_string()).await;
    }
    shell.imctl(&["retention", "create", "small", "--messages", "1"]).await;
    for hiding in [
        &["users", "set-limits", "ann", "--messages", "0"][..],
        &["users", "set-tier", "ann", "small"],
    ] {
        let refused = shell.run(hiding, "").await;
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("of ann; there is no terminal to ask on: confirm with --yes")
        );
        assert_eq!(ann.timeline().await.len(), 5, "nothing is hidden");
    }
    let limits = ["users", "set-limits", "ann", "--messages", "2"];
    assert_snapshot!(shell.failing_imctl(&limits).await, @"
    error: this hides 3 entries of ann; there is no terminal to ask on: confirm with --yes
    exit code 2
    ");
    shell.imctl(&[&limits[..], &["--yes"]].concat()).await;
    assert_eq!(ann.timeline().await.len(), 2);
    // What shows more than before is not asked about.
    shell.imctl(&["users", "set-limits", "ann", "--messages", "none"]).await;
    assert_eq!(ann.timeline().await.len(), 5);
}
