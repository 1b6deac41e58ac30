//! `imctl status`, and servers that do not answer it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use insta::assert_snapshot;
use nix::sys::signal::Signal;
use tokio::process::Command;

use super::Shell;
use crate::support::{
    api::Transport::Grpc,
    process::{DataFolder, binary, in_time},
};

#[tokio::test]
async fn status_shows_every_node_and_what_it_holds() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let other_folder = DataFolder::new();
    let _other = other_folder.start_node(&folder.database_url().await).await;
    imd.create_users(&["ann"]).await;
    imd.log_in(Grpc, "ann", "phone").await;
    let shell = Shell::new(&folder, &imd);
    assert_snapshot!(shell.imctl(&["status"]).await, @r#"
    imd 0.1.0 on [node], PostgreSQL [version]

    users  1
    sessions  1 live, 0 online
    entries  1
    database  [size]
    primary  [node]; no standby
    jobs  none fails

    NODE  STATE  STREAMS  VERSION  STARTED  HEARTBEAT
    [node]  alive  0  0.1.0  [ago]  [ago]
    [node]  alive  0  0.1.0  [ago]  [ago]
    "#);
    assert_snapshot!(shell.imctl(&["status", "-o", "json"]).await, @r#"
    {
      "version": "0.1.0",
      "node_id": "[node]",
      "users": 1,
      "live_sessions": 1,
      "online_sessions": 0,
      "entries": 1,
      "database_bytes": [size],
      "postgres_version": "[version]",
      "replication": {
        "primary": "[node]",
        "synchronous": false,
        "standbys": [],
        "generation": 0,
        "generation_started_at": "[time]",
        "generation_reason": "the first"
      },
      "jobs": [jobs],
      "nodes": [
        {
          "node_id": "[node]",
          "version": "0.1.0",
          "alive": true,
          "streams": 0,
          "started_at": "[time]",
          "heartbeat_at": "[time]"
        },
        {
          "node_id": "[node]",
          "version": "0.1.0",
          "alive": true,
          "streams": 0,
          "started_at": "[time]",
          "heartbeat_at": "[time]"
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn a_wrong_key_and_a_server_that_is_gone_are_told_apart() {
    let folder = DataFolder::new();
    let mut imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    let wrong = folder.path().join("wrong.key");
    fs::write(&wrong, "wrong\n").expect("a file can be written");
    fs::set_permissions(&wrong, Permissions::from_mode(0o600)).expect("it is ours");
    let wrong = wrong.to_str().expect("UTF-8");
    assert_snapshot!(shell.failing_imctl(&["status", "--admin-key-file", wrong]).await, @r#"
    error: http://[address] refused the admin key from [data]/wrong.key: the admin key is missing or wrong (invalid_admin_key)
    hint: is it the key of this server, and of this data folder?
    exit code 4
    "#);

    imd.end(Signal::SIGTERM).await;
    assert_snapshot!(shell.failing_imctl(&["status"]).await, @"
    error: cannot reach imd at http://[address]: Connection refused (os error 111)
    hint: is imd running there? --server is the URL of its admin listener; for the demo and the chat, --public-server is that of its public one
    exit code 3
    ");
}

#[tokio::test]
async fn the_commands_that_imd_greets_with_work_as_they_stand() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let (_, commands) = imd.greeting.split_once("in another terminal:").expect("commands");
    let (commands, _) = commands.split_once("Ctrl-C").expect("an end");
    assert!(commands.contains("--admin-key-file") && commands.contains("--server"), "{commands}");
    let commands = commands.replace("users create alice", "users create alice --no-password");
    let programs = binary("imctl");
    let path = format!("{}:/usr/bin:/bin", programs.parent().expect("a folder").display());
    let mut shell = Command::new("sh");
    shell.args(["-ec", &commands]).env_clear().env("PATH", path).current_dir("/");
    let ended = in_time("the commands", shell.output()).await.expect("sh runs");
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{told}{}", String::from_utf8_lossy(&ended.stderr));
    assert!(told.contains("alice") && told.contains("max_body_bytes"), "{told}");
}
