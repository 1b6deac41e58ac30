//! Lists of what is as new as some time, and other filters of them.

use insta::assert_snapshot;
use serde_json::Value;

use super::Shell;
use crate::{
    attachments::upload_to,
    support::{api::Transport::Grpc, process::DataFolder},
};

/// The values of a member in the rows of a list.
async fn listed(shell: &Shell<'_>, args: &[&str], member: &str) -> Vec<String> {
    let rows = shell.imctl(&[args, &["-o", "json"]].concat()).await;
    let rows: Vec<Value> = serde_json::from_str(&rows).expect("a list");
    rows.iter().map(|row| row[member].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn lists_show_what_is_asked_for() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["cleo", "ben", "ann"]).await;
    let ann = imd.log_in(Grpc, "ann", "phone").await;
    imd.log_in(Grpc, "ben", "phone").await;
    upload_to(imd.public, &ann, "plan.txt", b"the plan").await;
    shell.imctl(&["groups", "create", "team", "--owner", "ann"]).await;
    let send = ["broadcast", "send", "hello", "--system", "news", "--users", "-"];
    assert_eq!(shell.run(&send, "ann").await.code, Some(0));

    // What was made at a time is listed since then; what was made before is not.
    let ben = listed(&shell, &["users", "list", "--prefix", "ben"], "created_at").await.remove(0);
    let since_ben = ["users", "list", "--since", &ben];
    assert_eq!(listed(&shell, &since_ben, "user_id").await, ["ann", "ben", "news"]);
    let of_ben = ["sessions", "list", "--user", "ben"];
    let login = listed(&shell, &of_ben, "created_at").await.remove(0);
    let since_login = ["sessions", "list", "--since", &login];
    assert_eq!(listed(&shell, &since_login, "user_id").await, ["ben"]);
    let created = ["audit", "--action", "create_user", "--actor", "local", "--since", &ben];
    assert_eq!(listed(&shell, &created, "user_id").await, ["news", "ann", "ben"]);

    for list in [
        &["users", "list"][..],
        &["sessions", "list"],
        &["groups", "list"],
        &["attachments", "list", "--state", "stored"],
        &["broadcast", "list", "--state", "done"],
        &["audit"],
    ] {
        let whole = shell.imctl(&[list, &["--jq", "length"]].concat()).await;
        let of_an_hour = shell.imctl(&[list, &["--since", "1h", "--jq", "length"]].concat()).await;
        assert_ne!(whole, "0\n", "{list:?}");
        assert_eq!(of_an_hour, whole, "{list:?}");
    }
    let ahead =
        async |list: &[&str]| shell.imctl(&[list, &["--since", "9999-12-31"]].concat()).await;
    assert_snapshot!(ahead(&["users", "list"]).await, @"no user matches");
    assert_snapshot!(ahead(&["sessions", "list"]).await, @"no session matches");
    assert_snapshot!(ahead(&["groups", "list"]).await, @"no group matches");
    assert_snapshot!(ahead(&["attachments", "list"]).await, @"no attachment matches");
    assert_snapshot!(ahead(&["broadcast", "list"]).await, @"no broadcast matches");
    assert_snapshot!(ahead(&["push", "list", "--provider", "web_push"]).await, @"no terminal matches");
    assert_snapshot!(ahead(&["audit"]).await, @"no audit record matches");
    let waiting = ["attachments", "list", "--state", "waiting"];
    assert_snapshot!(shell.imctl(&waiting).await, @"no attachment matches");
    let aborted = ["broadcast", "list", "--state", "aborted"];
    assert_snapshot!(shell.imctl(&aborted).await, @"no broadcast matches");
    let wrong = shell.failing_imctl(&["audit", "--since", "yesterday"]).await;
    assert!(wrong.contains("--since") && wrong.ends_with("exit code 2"), "{wrong}");
}
