//! `imctl groups`

use insta::assert_snapshot;

use super::Shell;
use crate::support::process::DataFolder;

#[tokio::test]
async fn groups_are_made_shown_changed_and_dissolved() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann", "ben", "cleo"]).await;

    assert_snapshot!(shell.imctl(&["groups", "list"]).await, @"there are no groups");
    let create = ["groups", "create", "team", "--owner", "ann", "--members", "ben,cleo"];
    assert_snapshot!(shell.imctl(&create).await, @"
    GROUP  NAME  OWNER  MEMBERS  JOIN  STATE  CREATED
    team  team  ann  3  invite  active  [ago]
    ");
    let other =
        ["groups", "create", "news", "--owner", "ben", "--name", "All news", "--join", "open"];
    shell.imctl(&other).await;
    let list = ["groups", "list", "--user", "cleo", "-o", "json"];
    assert_snapshot!(shell.imctl(&list).await, @r#"
    [
      {
        "group_id": "team",
        "name": "team",
        "owner_id": "ann",
        "members": 3,
        "join": "invite",
        "history": 0,
        "muted": false,
        "dissolved": false,
        "announcement": "",
        "attributes": {},
        "version": 1,
        "created_at": "[time]"
      }
    ]
    "#);
    let set = [
        "groups",
        "set",
        "team",
        "--name",
        "The team",
        "--muted",
        "--history",
        "20",
        "--attributes",
        r#"{"colour": "red"}"#,
        "-o",
        "wide",
    ];
    assert_snapshot!(shell.imctl(&set).await, @r#"
    GROUP  NAME  OWNER  MEMBERS  JOIN  STATE  CREATED  HISTORY  VERSION  ANNOUNCEMENT  ATTRIBUTES
    team  The team  ann  3  invite  muted  [ago]  20  2  -  {"colour":"red"}
    "#);
    assert_snapshot!(shell.failing_imctl(&["groups", "dissolve", "team"]).await, @"
    error: the group team (The team) with 3 members will be dissolved for good; there is no terminal to ask on: confirm with --yes
    exit code 2
    ");
    let dissolve = ["groups", "dissolve", "team", "--yes", "--reason", "done"];
    assert_snapshot!(shell.imctl(&dissolve).await, @"
    GROUP  NAME  OWNER  MEMBERS  JOIN  STATE  CREATED
    team  The team  ann  3  invite  dissolved  [ago]
    ");
    assert_snapshot!(shell.imctl(&["groups", "list"]).await, @"
    GROUP  NAME  OWNER  MEMBERS  JOIN  STATE  CREATED
    team  The team  ann  3  invite  dissolved  [ago]
    news  All news  ben  1  open  active  [ago]
    ");
    assert_snapshot!(shell.imctl(&["groups", "list", "--limit", "1"]).await, @"
    GROUP  NAME  OWNER  MEMBERS  JOIN  STATE  CREATED
    team  The team  ann  3  invite  dissolved  [ago]
    there are more than these 1 (--limit)
    ");
    assert_snapshot!(shell.imctl(&["audit", "--limit", "3"]).await, @r#"
    AT  ACTOR  ACTION  USER  DETAILS  REASON
    [ago]  local  dissolve_group  -  {"group_id":"team"}  done
    [ago]  local  change_group  -  {"attributes":"changed","group_id":"team","history":20,"muted":true,"name":"The team"}  -
    [ago]  local  create_group  ben  {"group_id":"news","members":1}  -
    there are more than these 3 (--limit)
    "#);
}

#[tokio::test]
async fn members_are_listed_added_changed_and_removed() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann", "ben", "cleo", "dora"]).await;
    shell.imctl(&["groups", "create", "team", "--owner", "ann"]).await;

    let add = ["groups", "members", "add", "team", "ben", "cleo", "ann"];
    assert_snapshot!(shell.imctl(&add).await, @"
    ben
    cleo
    ");
    assert_snapshot!(shell.imctl(&add).await, @"all of them were members already");
    let set = ["groups", "members", "set", "team", "ben"];
    shell
        .imctl(&[&set[..], &["--role", "owner", "--mute", "2h", "--nickname", "Benny"]].concat())
        .await;
    assert_snapshot!(shell.imctl(&["groups", "members", "list", "team"]).await, @"
    USER  ROLE  NICKNAME  MUTED  JOINED
    ann  admin  -  -  [ago]
    ben  owner  Benny  ends in 1h  [ago]
    cleo  member  -  -  [ago]
    ");
    shell.imctl(&[&set[..], &["--not-muted"]].concat()).await;
    assert_snapshot!(shell.imctl(&["groups", "members", "remove", "team", "ann"]).await, @"ann");
    assert_snapshot!(shell.imctl(&["groups", "members", "list", "team"]).await, @"
    USER  ROLE  NICKNAME  MUTED  JOINED
    ben  owner  Benny  -  [ago]
    cleo  member  -  -  [ago]
    ");
    assert_eq!(shell.run(&set, "").await.code, Some(2), "nothing to do");
}

#[tokio::test]
async fn what_is_wrong_about_a_group_is_said() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann", "ben"]).await;
    shell.imctl(&["groups", "create", "team", "--owner", "ann"]).await;

    assert_snapshot!(shell.failing_imctl(&["groups", "show", "taem"]).await, @r#"
    error: there is no group taem; did you mean "team"? (group_not_found)
    exit code 1
    "#);
    let nobody = ["groups", "create", "x", "--owner", "ann", "--members", "nobody"];
    assert_snapshot!(shell.failing_imctl(&nobody).await, @"
    error: there is no user nobody (user_not_found)
    exit code 1
    ");
    let many = ["groups", "set", "team", "--history", "1001"];
    assert_snapshot!(shell.failing_imctl(&many).await, @"
    error: history: must be 0 to 1000 (invalid_argument)
    exit code 1
    ");
    let list = ["groups", "set", "team", "--attributes", "[]"];
    assert_snapshot!(shell.failing_imctl(&list).await, @"
    error: attributes: must be a JSON object (invalid_argument)
    exit code 1
    ");
    let owner = ["groups", "members", "remove", "team", "ann"];
    assert!(shell.failing_imctl(&owner).await.contains("(owner_must_stay)"));
    let stranger = ["groups", "members", "remove", "team", "ben"];
    assert!(shell.failing_imctl(&stranger).await.contains("(member_not_found)"));
    let stale = ["groups", "set", "team", "--muted", "--version", "7"];
    assert!(shell.failing_imctl(&stale).await.contains("(version_conflict)"));
}
