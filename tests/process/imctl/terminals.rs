//! `imctl terminals`

use insta::assert_snapshot;

use super::Shell;
use crate::support::{api::Transport::Grpc, process::DataFolder};

#[tokio::test]
async fn terminal_types_are_listed_made_and_changed() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);

    assert_snapshot!(shell.imctl(&["terminals", "list"]).await, @r#"
    TYPE  LIMIT  EXCLUDES
    pad  1  -
    pc  1  -
    phone  1  -
    watch  1  -
    web  3  -
    "#);
    let exclude = ["terminals", "set", "phone", "pad", "--exclusive"];
    assert_snapshot!(shell.imctl(&exclude).await, @r#"
    TYPE  LIMIT  EXCLUDES
    pad  1  phone
    phone  1  pad
    "#);
    let make = ["terminals", "create", "tv", "--limit", "2", "-o", "json"];
    assert_snapshot!(shell.imctl(&make).await, @r#"
    [
      {
        "terminal_type": "tv",
        "session_limit": 2,
        "excludes": []
      }
    ]
    "#);
    assert_snapshot!(shell.failing_imctl(&["terminals", "set", "phone", "TV", "--limit", "2"]).await, @r#"
    error: names: "TV" must be 1–32 characters of a-z 0-9 _ - that begin with a letter (invalid_argument)
    exit code 1
    "#);
    assert_snapshot!(shell.failing_imctl(&["terminals", "set", "toaster", "--not-exclusive"]).await, @r#"
    error: names: there is no terminal type "toaster" (invalid_argument)
    exit code 1
    "#);
    assert_eq!(shell.run(&["terminals", "set", "tv"], "").await.code, Some(2), "nothing to do");
    assert_snapshot!(shell.imctl(&["audit"]).await, @r#"
    AT  ACTOR  ACTION  USER  DETAILS  REASON
    [ago]  local  set_terminal_types  -  {"names":["tv"],"session_limit":2}  -
    [ago]  local  set_terminal_types  -  {"exclusive":true,"names":["pad","phone"]}  -
    "#);
}

#[tokio::test]
async fn a_misspelt_terminal_type_is_an_error_and_types_are_deleted_by_name() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann"]).await;
    let ann = imd.log_in(Grpc, "ann", "phone").await;
    let mut said = String::new();
    for args in [
        &["terminals", "set", "phne", "--limit", "2"][..],
        &["terminals", "create", "tv", "phone", "--limit", "2"],
        &["terminals", "delete", "phne"],
        &["terminals", "delete", "pad", "phone"],
        &["sessions", "list", "--terminal", "phne"],
        &["sessions", "kick", "ann", "--terminal", "phne"],
    ] {
        said += &shell.failing_imctl(args).await;
        said.push('\n');
    }
    assert_snapshot!(said, @r#"
    error: names: there is no terminal type "phne"; did you mean "phone"? (invalid_argument)
    exit code 1
    error: there is a terminal type "phone" already (terminal_type_exists)
    exit code 1
    error: names: there is no terminal type "phne"; did you mean "phone"? (invalid_argument)
    exit code 1
    error: the terminal type "phone" cannot be deleted: 1 of its sessions are live; log them out first (terminal_type_in_use)
    exit code 1
    error: terminal_type: must be one of pad, pc, phone, watch, web (invalid_argument)
    exit code 1
    error: terminal_type: must be one of pad, pc, phone, watch, web (invalid_argument)
    exit code 1
    "#);
    ann.api.logout(&ann.token).await.expect("it is live");
    assert_snapshot!(shell.imctl(&["terminals", "delete", "pad", "phone"]).await, @"
    TYPE  LIMIT  EXCLUDES
    pc  1  -
    watch  1  -
    web  3  -
    ");
    let login = crate::support::cluster::login("ann", "phone", "new");
    let refused = Grpc.connect(imd.public).login(&login).await.expect_err("it is no type");
    assert_eq!(refused.field(), "terminal.type");
}
