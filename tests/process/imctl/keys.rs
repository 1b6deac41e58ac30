//! `imctl keys`

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

use insta::assert_snapshot;

use super::Shell;
use crate::support::process::DataFolder;

#[tokio::test]
async fn the_key_of_access_tokens_is_rotated() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    let one = shell.imctl(&["keys", "list"]).await;
    assert_eq!(one.lines().count(), 2, "{one}");
    let two = shell.imctl(&["keys", "rotate"]).await;
    let rows: Vec<_> =
        two.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(rows[0], ["KEY", "ID", "CREATED", "RETIRED", "GOOD", "UNTIL"]);
    assert_eq!(rows[1][rows[1].len() - 2..], ["-", "-"], "{two}");
    // 15 minutes for the last token, and one to be sure.
    assert_eq!(rows[2][rows[2].len() - 2..], ["in", "15m"], "{two}");
    let old_key = one.lines().nth(1).and_then(|line| line.split_whitespace().next());
    assert_eq!(Some(rows[2][0]), old_key);
    assert_eq!(shell.imctl(&["keys", "list", "-o", "json"]).await.matches("key_id").count(), 2);
}

#[tokio::test]
async fn keys_are_made_used_and_revoked() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);

    let list = ["keys", "admin", "list"];
    assert_snapshot!(shell.imctl(&list).await, @"there is no key but that of the data folder");
    let create = ["keys", "admin", "create", "zoe", "--role", "support", "--reason", "new hire"];
    let created = shell.run(&create, "").await;
    assert_snapshot!(created.stderr, @"zoe has the role support; keep the key");
    let key_file = folder.path().join("zoe.key");
    std::fs::write(&key_file, created.stdout).expect("a key file");
    std::fs::set_permissions(&key_file, Permissions::from_mode(0o600)).expect("a mode");

    let as_zoe = |args: &[&'static str]| {
        let file = ["--admin-key-file", key_file.to_str().expect("UTF-8")];
        [&file, args].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = async |args: Vec<String>| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        shell.run(&args, "").await
    };
    assert_eq!(run(as_zoe(&["users", "list"])).await.code, Some(0));
    assert_snapshot!(run(as_zoe(&["keys", "admin", "list"])).await.failure(), @r#"
    error: this needs an admin key with the role admin (permission_denied)
    exit code 1
    "#);

    let revoke = ["keys", "admin", "revoke", "zoe"];
    assert_snapshot!(shell.imctl(&revoke).await, @r#"
    NAME  ROLE  CREATED  BY  REVOKED
    zoe  support  [ago]  local  [ago]
    "#);
    assert_snapshot!(run(as_zoe(&["users", "list"])).await.failure(), @r#"
    error: http://[address] refused the admin key from [data]/zoe.key: the admin key is missing or wrong (invalid_admin_key)
    hint: is it the key of this server, and of this data folder?
    exit code 4
    "#);
    assert_snapshot!(shell.imctl(&["audit"]).await, @r#"
    AT  ACTOR  ACTION  USER  DETAILS  REASON
    [ago]  local  revoke_admin_key  -  {"name":"zoe"}  -
    [ago]  local  create_admin_key  -  {"name":"zoe","role":"support"}  new hire
    "#);
}
