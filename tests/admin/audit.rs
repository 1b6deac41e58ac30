//! What administrators do leaves a record, in the same transaction.

use imd_proto::v1::{self, kick_sessions_request::Which};
use serde_json::{Value, json};

use crate::support::{admin::Admin, api::Transport, cluster::Cluster};

const PASSWORD: &str = "not to be found in any record";

/// The records about a user, the oldest first: what was done, and the particulars.
async fn records(admin: &Admin, user_id: &str) -> Vec<(String, Value)> {
    let mut records = admin.audit(user_id, 0, "").await.expect("the records").records;
    records.reverse();
    let shown = |record: v1::AuditRecord| {
        assert_eq!((record.actor.as_str(), record.user_id.as_str()), ("local", user_id));
        assert!(record.at.is_some());
        (record.action, serde_json::from_str(&record.details).expect("JSON"))
    };
    records.into_iter().map(shown).collect()
}

#[tokio::test]
async fn every_write_leaves_a_record() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    admin.create_user("ann", PASSWORD).await.expect("a user");
    admin.set_password("ann", PASSWORD).await.expect("set");
    admin.disable("ann", "unpaid").await.expect("disabled");
    admin.enable("ann").await.expect("enabled");
    admin.kick("ann", Some(Which::All(true)), "bye").await.expect("kicked");

    let records = records(&admin, "ann").await;
    let actions: Vec<_> = records.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(
        actions,
        ["create_user", "set_password", "disable_user", "enable_user", "kick_sessions"]
    );
    assert_eq!(records[2].1["note"], "unpaid");
    assert_eq!(records[4].1["note"], "bye");
    assert_eq!(records[4].1["which"], json!({ "all": true }));
    assert!(!format!("{records:?}").contains(PASSWORD));
}

#[tokio::test]
async fn what_is_refused_leaves_no_record() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user_with_phone("ann").await;
    let admin = imd.admin();
    let before = admin.audit("", 0, "").await.expect("the records").records;
    let nobody = Some(Which::SessionId("00000000-0000-7000-8000-000000000000".to_owned()));
    let refused = [
        (admin.create_user("ann", PASSWORD).await.expect_err("taken").code, "user_exists"),
        (admin.set_password("nobody", PASSWORD).await.expect_err("nobody").code, "user_not_found"),
        (admin.disable("nobody", "").await.expect_err("nobody").code, "user_not_found"),
        (admin.enable("nobody").await.expect_err("nobody").code, "user_not_found"),
        (admin.kick("ann", nobody, "").await.expect_err("none").code, "session_not_found"),
        (admin.kick("ann", None, "").await.expect_err("which?").code, "invalid_argument"),
    ];
    for (code, expected) in refused {
        assert_eq!(code, expected);
    }
    let after = admin.audit("", 0, "").await.expect("the records").records;
    assert_eq!(after, before);
}

#[tokio::test]
async fn reading_leaves_no_record() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user("ann").await;
    let admin = imd.admin();
    admin.user("ann").await.expect("the user");
    admin.users(0, "").await.expect("users");
    admin.sessions(v1::ListSessionsRequest::default()).await.expect("sessions");
    admin.status().await.expect("the status");
    assert_eq!(
        admin.audit("", 0, "").await.expect("the records").records.len(),
        1,
        "the fixture's"
    );
}

/// All pages of the records about a user, while ever more arrive.
async fn paged(admin: &Admin, user_id: &str, size: i32) -> Vec<v1::AuditRecord> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = admin.audit(user_id, size, &token).await.expect("a page");
        all.extend(page.records);
        if page.next_page_token.is_empty() {
            return all;
        }
        token = page.next_page_token;
        admin.enable("ann").await.expect("enabled");
    }
}

#[tokio::test]
async fn records_are_paged_the_newest_first() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob"]).await;
    let admin = imd.admin();
    for _ in 0..3 {
        admin.enable("ann").await.expect("enabled");
        admin.enable("bob").await.expect("enabled");
    }
    let of_bob = admin.audit("bob", 1000, "").await.expect("the records").records;
    assert_eq!(of_bob.len(), 4);
    assert!(of_bob.iter().all(|record| record.user_id == "bob"));
    assert_eq!(paged(&admin, "bob", 3).await, of_bob);
    let whole = admin.audit("", 1000, "").await.expect("the records").records;
    assert!(whole.is_sorted_by(|newer, older| newer.audit_no > older.audit_no));
    for size in [1, 4] {
        let whole = admin.audit("", 1000, "").await.expect("the records").records;
        assert_eq!(paged(&admin, "", size).await, whole, "pages of {size}");
    }
    let token = admin.audit("bob", 1, "").await.expect("a page").next_page_token;
    for other in ["", "ann"] {
        let refused = admin.audit(other, 1, &token).await.expect_err("of another listing");
        assert_eq!(refused.field(), "page_token");
    }
    assert_eq!(admin.audit("nobody", 0, "").await.expect_err("nobody").code, "user_not_found");
}
