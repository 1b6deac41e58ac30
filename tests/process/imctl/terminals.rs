//! `imctl terminals`

use insta::assert_snapshot;

use super::Shell;
use crate::support::process::DataFolder;

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
    let make = ["terminals", "set", "tv", "--limit", "2", "-o", "json"];
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
    error: names: has one that is not a terminal type (invalid_argument)
    exit code 1
    "#);
    assert_eq!(shell.run(&["terminals", "set", "tv"], "").await.code, Some(2), "nothing to do");
    assert_snapshot!(shell.imctl(&["audit"]).await, @r#"
    AT  ACTOR  ACTION  USER  DETAILS  REASON
    [ago]  local  set_terminal_types  -  {"names":["tv"],"session_limit":2}  -
    [ago]  local  set_terminal_types  -  {"exclusive":true,"names":["pad","phone"]}  -
    "#);
}
