//! `imctl contacts`

use insta::assert_snapshot;
use serde_json::json;

use super::Shell;
use crate::support::{
    api::{ContactCall, Transport::Grpc},
    process::DataFolder,
};

#[tokio::test]
async fn contacts_of_a_user_are_listed() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann", "ben", "cleo"]).await;
    let ask = json!({ "remark": "nobody else's business", "note": "It is me" });
    for (user, other) in [("ann", "ben"), ("ben", "ann"), ("cleo", "ann")] {
        let terminal = imd.log_in(Grpc, user, "phone").await;
        let call = ContactCall::Set(other.to_owned(), ask.clone());
        terminal.contact(call).await.expect("asked, or agreed");
    }

    assert_snapshot!(shell.imctl(&["contacts", "list", "ann"]).await, @"
    USER  STATE  SINCE  NOTE
    ben  accepted  [ago]  It is me
    cleo  received  [ago]  It is me
    ");
    let asking = ["contacts", "list", "ann", "--state", "received", "-o", "json"];
    assert_snapshot!(shell.imctl(&asking).await, @r#"
    [
      {
        "user_id": "cleo",
        "state": "received",
        "changed_at": "[time]",
        "note": "It is me"
      }
    ]
    "#);
    assert_snapshot!(shell.imctl(&["contacts", "list", "ben", "--state", "sent"]).await, @"there are no such contacts");
    assert_snapshot!(shell.failing_imctl(&["contacts", "list", "bene"]).await, @"
    error: there is no user bene (user_not_found)
    exit code 1
    ");
}
