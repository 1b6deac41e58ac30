//! `imctl broadcast`

use insta::assert_snapshot;
use serde_json::Value;

use super::Shell;
use crate::support::process::DataFolder;

#[tokio::test]
async fn broadcasts_are_sent_shown_and_ended() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "ben"]).await;
    let shell = Shell::new(&folder, &imd);
    assert_snapshot!(shell.imctl(&["broadcast", "list"]).await, @"there are no broadcasts");
    let send =
        ["broadcast", "send", "we are back", "--system", "news", "--users", "-", "-o", "wide"];
    let told = shell.run(&send, "ann\n\n ben \nnobody\n").await;
    assert!(told.stderr.contains("imctl broadcast abort"), "{told:?}");
    assert_snapshot!(told.stdout, @r"
    BROADCAST  STATE  FROM  TO  USERS  SENT  REFUSED  CREATED  RATE  WHY REFUSED  BY
    [uuid]  done  system:news  users  3  2  1  [ago]  -  user_not_found 1  local
    ");
    let detached =
        ["broadcast", "send", "slowly", "--user", "ann", "--all", "--rate", "1", "--detach"];
    shell.imctl(&detached).await;
    let listed: Vec<Value> =
        serde_json::from_str(&shell.imctl(&["broadcast", "list", "-o", "json"]).await)
            .expect("a list");
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["from"], "user:ann");
    let id = listed[1]["broadcast_id"].as_str().expect("an id").to_owned();
    assert!(shell.imctl(&["broadcast", "show", &id]).await.contains("done"));
    assert_snapshot!(shell.failing_imctl(&["broadcast", "abort", &id]).await, @r"
    error: the broadcast has ended (broadcast_ended)
    exit code 1
    ");
    assert_snapshot!(shell.failing_imctl(&["broadcast", "pause", "nothing"]).await, @r"
    error: there is no such broadcast (broadcast_not_found)
    exit code 1
    ");
}
