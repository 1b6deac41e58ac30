//! Administrators' keys of their own.

use imd_proto::v1::{Role, kick_sessions_request::Which};

use crate::support::{
    admin::Admin,
    api::Transport,
    cluster::Cluster,
    node::{ADMIN_KEY, Node},
};

fn with_key(node: &Node, key: &str) -> Admin {
    Admin::new(node.admin_address(), key)
}

#[tokio::test]
async fn a_key_is_good_on_every_node_until_it_is_revoked() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user("ann").await;
    let (other, _) = imd.start_node().await;
    let key = imd.admin().create_key("ann@example", Role::Viewer).await.expect("a key");
    assert!(key.starts_with("imd_admin_") && key.len() > 50, "{key}");
    for node in [&imd.node, &other] {
        with_key(node, &key).user("ann").await.expect("a good key");
    }
    let revoked = other.admin().revoke_key("ann@example").await.expect("revoked");
    assert!(revoked.revoked_at.is_some());
    for node in [&imd.node, &other] {
        let refused = with_key(node, &key).user("ann").await.expect_err("revoked");
        assert_eq!(refused.code, "invalid_admin_key");
    }
}

#[tokio::test]
async fn keys_are_listed_without_their_secrets() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    assert_eq!(admin.keys().await.expect("keys"), []);
    let secret = admin.create_key("zoe", Role::Support).await.expect("a key");
    let boss = admin.create_key("boss", Role::Admin).await.expect("a key");
    with_key(&imd.node, &boss).create_key("new", Role::Viewer).await.expect("a key");
    admin.revoke_key("zoe").await.expect("revoked");
    let keys = admin.keys().await.expect("keys");
    let shown: Vec<_> = keys
        .iter()
        .map(|key| (&*key.name, key.role(), &*key.created_by, key.revoked_at.is_some()))
        .collect();
    let expected = [
        ("boss", Role::Admin, "local", false),
        ("new", Role::Viewer, "boss", false),
        ("zoe", Role::Support, "local", true),
    ];
    assert_eq!(shown, expected);

    let sql = imd.database.sql().await;
    let dump = "SELECT string_agg(k::text, '') FROM admin_keys k";
    let stored: String = sql.query_one(dump, &[]).await.expect("rows").get(0);
    assert!(!stored.contains(&secret) && !stored.contains(&boss["imd_admin_".len()..]));
}

#[tokio::test]
async fn a_name_stands_for_one_key_for_ever() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    admin.create_key("zoe", Role::Support).await.expect("a key");
    admin.revoke_key("zoe").await.expect("revoked");
    for (name, code) in [("zoe", "admin_key_exists"), ("local", "admin_key_exists")] {
        let refused = admin.create_key(name, Role::Admin).await.expect_err("taken");
        assert_eq!(refused.code, code, "{name}");
    }
    for name in ["", "a b", "'; --", &"x".repeat(65)] {
        let refused = admin.create_key(name, Role::Admin).await.expect_err("no name");
        assert_eq!(refused.field(), "name");
    }
    let unspecified = admin.create_key("ann", Role::Unspecified).await;
    assert_eq!(unspecified.expect_err("no role").field(), "role");
    for name in ["zoe", "nobody", "local"] {
        let refused = admin.revoke_key(name).await.expect_err("none to revoke");
        assert_eq!(refused.code, "admin_key_not_found");
    }
}

#[tokio::test]
async fn a_record_says_who_why_and_from_where() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user_with_phone("ann").await;
    let key = imd.admin().create_key("zoe", Role::Support).await.expect("a key");
    let zoe =
        Admin::because(imd.node.admin_address(), &key, "Ticket 4711: Gerät verloren".as_bytes());
    zoe.kick("ann", Some(Which::All(true)), "").await.expect("kicked");
    let record = &imd.admin().audit("ann", 1, "").await.expect("records").records[0];
    assert_eq!(record.actor, "zoe");
    assert_eq!(record.action, "kick_sessions");
    assert_eq!(record.reason, "Ticket 4711: Gerät verloren");
    assert_eq!(record.address, "127.0.0.1");

    let keys = imd.admin().audit("", 2, "").await.expect("records").records;
    assert_eq!(keys[1].action, "create_admin_key");
    assert_eq!(keys[1].details, r#"{"name":"zoe","role":"support"}"#);
}

#[tokio::test]
async fn a_reason_is_a_line_of_text() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user("ann").await;
    let long = "x".repeat(257);
    for reason in [&b"\xff"[..], b"a\nb", b"a\0b", "\u{202e}".as_bytes(), long.as_bytes()] {
        let admin = Admin::because(imd.node.admin_address(), ADMIN_KEY, reason);
        let refused = admin.disable("ann", "").await.expect_err("no line");
        assert_eq!(refused.field(), "reason");
    }
    assert_eq!(imd.admin().audit("", 0, "").await.expect("records").records.len(), 1);
}
