//! `imctl messages`

use insta::assert_snapshot;

use super::{Shell, up_to_date};
use crate::support::{api::Transport::Grpc, process::DataFolder};

#[tokio::test]
async fn a_trace_tells_which_terminals_have_a_message() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann", "ben"]).await;
    let ann = imd.log_in(Grpc, "ann", "phone").await;
    let ben = imd.log_in(Grpc, "ben", "phone").await;
    imd.log_in(Grpc, "ben", "pc").await;
    let mut feeds = [ann.follow("").await, ben.follow("").await];
    let sent = ann.say("ben", "where are you?").await;
    feeds[0].entries(2).await;
    feeds[1].entries(3).await;
    up_to_date(2, &imd).await;

    let trace = ["messages", "trace", &sent.message_id];
    assert_snapshot!(shell.imctl(&trace).await, @r#"
    USER  SEQ  STATE  APPENDED  PASSED  TERMINAL  DEVICE  CURSOR  NODES
    ann  2  there  [ago]  yes  phone  ann's [uuid]  [cursor]  [node]
    ben  3  there  [ago]  no  pc  ben's [uuid]  -  -
    ben  3  there  [ago]  yes  phone  ben's [uuid]  [cursor]  [node]
    "#);
    let of_ben = ["sessions", "list", "--user", "ben", "-o", "wide"];
    assert_snapshot!(shell.imctl(&of_ben).await, @r#"
    USER  TERMINAL  DEVICE  STATE  LAST USED  SESSION  DEVICE ID  CREATED  NODES  CURSOR  LAG  END REASON  BY  NOTE
    ben  pc  ben's [uuid]  offline  [ago]  [uuid]  [uuid]  [ago]  -  -  -  -  -  -
    ben  phone  ben's [uuid]  online  [ago]  [uuid]  [uuid]  [ago]  [node]  [cursor]  0  -  -  -
    "#);
    let nothing = ["messages", "trace", "AAAAAAAAAAEAAAAAAAAAKg"];
    assert_snapshot!(shell.failing_imctl(&nothing).await, @r#"
    error: there is no such message (message_not_found)
    exit code 1
    "#);
}
