//! `imctl sessions` and `imctl audit`

use insta::assert_snapshot;

use super::{Shell, up_to_date};
use crate::support::{api::Transport::Grpc, eventually, process::DataFolder, types::Event};

#[tokio::test]
async fn sessions_are_listed_the_newest_first() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann", "ben"]).await;
    let _online = imd.log_in(Grpc, "ann", "phone").await.follow("").await;
    imd.log_in(Grpc, "ann", "pc").await;
    imd.log_in(Grpc, "ben", "web").await;
    up_to_date(1, &imd).await;

    assert_snapshot!(shell.imctl(&["sessions", "list"]).await, @r#"
    USER  TERMINAL  DEVICE  STATE  LAST USED  SESSION
    ben  web  ben's [uuid]  offline  [ago]  [uuid]
    ann  pc  ann's [uuid]  offline  [ago]  [uuid]
    ann  phone  ann's [uuid]  online  [ago]  [uuid]
    "#);
    let of_ann = ["sessions", "list", "--user", "ann", "-o", "wide"];
    assert_snapshot!(shell.imctl(&of_ann).await, @r#"
    USER  TERMINAL  DEVICE  STATE  LAST USED  SESSION  DEVICE ID  CREATED  NODES  CURSOR  LAG  END REASON  BY  NOTE
    ann  pc  ann's [uuid]  offline  [ago]  [uuid]  [uuid]  [ago]  -  -  -  -  -  -
    ann  phone  ann's [uuid]  online  [ago]  [uuid]  [uuid]  [ago]  [node]  [cursor]  0  -  -  -
    "#);
    let online = ["sessions", "list", "--state", "online", "-o", "yaml"];
    assert_snapshot!(shell.imctl(&online).await, @r#"
    - user_id: ann
      session_id: [uuid]
      terminal:
        type: phone
        device_id: [uuid]
        device_name: ann's [uuid]
      state: online
      created_at: [time]
      last_used_at: [time]
      nodes:
      - [node]
      cursor: '[cursor]'
      lag: 0
      end: null
    "#);
}

#[tokio::test]
async fn a_kick_is_shown_to_the_terminal_and_kept_in_the_audit_records() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    imd.create_users(&["ann", "ben"]).await;
    let mut phone = imd.log_in(Grpc, "ann", "phone").await.follow("").await;
    up_to_date(1, &imd).await;

    let kick = ["sessions", "kick", "ann", "--terminal", "phone", "--reason", "lost device"];
    assert_snapshot!(shell.imctl(&kick).await, @r#"
    USER  TERMINAL  DEVICE  STATE  LAST USED  SESSION
    ann  phone  ann's [uuid]  ended  [ago]  [uuid]
    1 session ended
    "#);
    let (_, last) = phone.to_the_end().await;
    assert!(matches!(last, Event::SessionEnded(end) if end.note == "lost device"));
    assert_snapshot!(shell.failing_imctl(&kick).await, @r#"
    error: no live session of ann matches
    exit code 1
    "#);
    assert_snapshot!(shell.failing_imctl(&["sessions", "kick", "kim", "--all"]).await, @r#"
    error: there is no user kim (user_not_found)
    exit code 1
    "#);
    let online = ["sessions", "list", "--state", "online"];
    assert_snapshot!(shell.imctl(&online).await, @"no session matches");
    let ended = ["sessions", "list", "--state", "ended", "-o", "json"];
    // Where it was is forgotten a moment after its stream has ended.
    eventually("the session is on no node", async || {
        shell.imctl(&ended).await.contains(r#""nodes": []"#).then_some(())
    })
    .await;
    assert_snapshot!(shell.imctl(&ended).await, @r#"
    [
      {
        "user_id": "ann",
        "session_id": "[uuid]",
        "terminal": {
          "type": "phone",
          "device_id": "[uuid]",
          "device_name": "ann's [uuid]"
        },
        "state": "ended",
        "created_at": "[time]",
        "last_used_at": "[time]",
        "nodes": [],
        "cursor": "[cursor]",
        "lag": null,
        "end": {
          "reason": "KICKED",
          "by_terminal_type": "",
          "by_device_name": "",
          "ended_at": "[time]",
          "note": "lost device"
        }
      }
    ]
    "#);

    assert_snapshot!(shell.imctl(&["audit"]).await, @r#"
    AT  ACTOR  ACTION  USER  DETAILS  REASON
    [ago]  local  kick_sessions  ann  {"note":"lost device","sessions_ended":0,"which":{"terminal_type":"phone"}}  lost device
    [ago]  local  kick_sessions  ann  {"note":"lost device","sessions_ended":1,"which":{"terminal_type":"phone"}}  lost device
    [ago]  local  create_user  ben  {"tier":"unlimited"}  -
    [ago]  local  create_user  ann  {"tier":"unlimited"}  -
    "#);
    let newest = ["audit", "--user", "ann", "--limit", "1", "-o", "json"];
    assert_snapshot!(shell.imctl(&newest).await, @r#"
    [
      {
        "audit_no": 4,
        "at": "[time]",
        "actor": "local",
        "action": "kick_sessions",
        "user_id": "ann",
        "reason": "lost device",
        "address": "127.0.0.1",
        "details": {
          "note": "lost device",
          "sessions_ended": 0,
          "which": {
            "terminal_type": "phone"
          }
        }
      }
    ]
    there are more than these 1 (--limit)
    "#);
}
