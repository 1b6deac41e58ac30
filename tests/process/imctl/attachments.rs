//! `imctl attachments`

use insta::assert_snapshot;

use super::Shell;
use crate::{
    attachments::{upload_to, with_files},
    support::{api::Transport::Grpc, process::DataFolder},
};

#[tokio::test]
async fn attachments_are_listed_and_those_without_a_message_purged() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann", "ben"]).await;
    assert_snapshot!(shell.imctl(&["attachments", "list"]).await, @"there are no attachments");
    let ann = imd.log_in(Grpc, "ann", "phone").await;
    let plan = upload_to(imd.public, &ann, "plan.txt", b"the plan").await;
    upload_to(imd.public, &ann, "unused.txt", b"unused").await;
    ann.send(&with_files("ben", "look", &[&plan])).await.expect("sent");

    assert_snapshot!(shell.imctl(&["attachments", "list", "--user", "ann"]).await, @r#"
    USER  FILE  TYPE  SIZE  STATE  USES  CREATED
    ann  unused.txt  text/plain  6  stored  0  [ago]
    ann  plan.txt  text/plain  8  stored  2  [ago]
    "#);
    assert_snapshot!(shell.imctl(&["attachments", "list", "--user", "ben"]).await, @"no attachment matches");
    assert_snapshot!(shell.failing_imctl(&["attachments", "list", "--user", "carl"]).await, @r#"
    error: there is no user carl (user_not_found)
    exit code 1
    "#);
    // They are too young.
    assert_snapshot!(shell.imctl(&["attachments", "purge"]).await, @r#"
    ATTACHMENTS  BYTES
    0  0
    "#);
}
