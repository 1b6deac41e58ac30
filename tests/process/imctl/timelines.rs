//! `imctl timelines`

use insta::assert_snapshot;

use super::Shell;
use crate::support::{api::Transport::Grpc, process::DataFolder, types::Event};

#[tokio::test]
async fn a_new_epoch_is_confirmed_and_told_to_the_terminals() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann", "ben"]).await;
    let mut feed = imd.log_in(Grpc, "ann", "phone").await.follow("now").await;

    let of_ann = ["timelines", "new-epoch", "--user", "ann"];
    assert_snapshot!(shell.failing_imctl(&of_ann).await, @r#"
    error: every terminal of ann will read its timeline anew; there is no terminal to ask on: confirm with --yes
    exit code 2
    "#);
    let of_ann = ["timelines", "new-epoch", "--user", "ann", "--yes"];
    assert_snapshot!(shell.imctl(&of_ann).await, @"1 timeline has a new epoch");
    assert!(matches!(feed.event().await, Event::TimelineReset { .. }));
    let of_all = ["timelines", "new-epoch", "--all", "--yes"];
    assert_snapshot!(shell.imctl(&of_all).await, @"2 timelines have a new epoch");
    let of_kim = ["timelines", "new-epoch", "--user", "kim", "--yes"];
    assert_snapshot!(shell.failing_imctl(&of_kim).await, @r#"
    error: there is no user kim (user_not_found)
    exit code 1
    "#);
}
