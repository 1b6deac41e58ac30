//! Terminal types: where they come from, and how they change.

use std::collections::BTreeSet;

use imd::config::Settings;
use imd_proto::v1::TerminalType;

use crate::support::{
    api::Transport, cluster::Cluster, node::Node, on_both_transports, postgres::Database,
};

/// Name, limit and what it excludes.
fn shown(types: &[TerminalType]) -> Vec<(&str, i32, String)> {
    types.iter().map(|t| (t.name.as_str(), t.session_limit, t.excludes.join(" "))).collect()
}

fn phones(limit: u32, group: [&str; 2]) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.terminals.limits = [("phone", limit), ("pad", 1), ("pc", 1)]
            .map(|(name, limit)| (name.to_owned(), limit))
            .into();
        settings.terminals.exclusive.0 = vec![BTreeSet::from(group.map(str::to_owned))];
    }
}

#[tokio::test]
async fn settings_make_terminal_types_once_and_then_the_database_is_the_truth() {
    let database = Database::create().await;
    let first = Node::start_with(&database, phones(2, ["phone", "pad"])).await;
    let seeded = first.admin().terminal_types().await.expect("the types");
    let (pad, phone) = ("pad".to_owned(), "phone".to_owned());
    let expected = [("pad", 1, phone), ("pc", 1, String::new()), ("phone", 2, pad)];
    assert_eq!(shown(&seeded), expected);
    first.admin().set_terminal_types(&["phone"], Some(3), Some(false)).await.expect("a change");
    first.stop().await;

    let second = Node::start_with(&database, phones(5, ["pc", "pad"])).await;
    let kept = second.admin().terminal_types().await.expect("the types");
    let alone = String::new;
    assert_eq!(shown(&kept), [("pad", 1, alone()), ("pc", 1, alone()), ("phone", 3, alone())]);
}

#[tokio::test]
async fn a_type_is_in_one_exclusive_group_at_most() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    let set = async |names: &[&str], exclusive| {
        let types = admin.set_terminal_types(names, None, Some(exclusive)).await.expect("a change");
        let grouped = types.into_iter().filter(|t| !t.excludes.is_empty());
        grouped.map(|t| format!("{}: {}", t.name, t.excludes.join(" "))).collect::<Vec<_>>()
    };
    assert_eq!(
        set(&["pad", "phone", "watch"], true).await,
        ["pad: phone watch", "phone: pad watch", "watch: pad phone"]
    );
    // The group went by the name of the one that leaves it.
    assert_eq!(
        set(&["pad", "pc"], true).await,
        ["pad: pc", "pc: pad", "phone: watch", "watch: phone"]
    );
    assert_eq!(set(&["watch"], false).await, ["pad: pc", "pc: pad"]);
    assert_eq!(set(&["phone", "watch", "phone"], true).await.len(), 4);
}

#[tokio::test]
async fn a_change_is_audited_and_a_bad_one_changes_nothing() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    let before = admin.terminal_types().await.expect("the types");
    let many: Vec<String> = (0..33).map(|n| format!("tv{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (field, names, limit, exclusive) in [
        ("names", &[][..], Some(1), None),
        ("names", &["Phone"], Some(1), None),
        ("names", &["phone", "toaster"], None, Some(true)),
        ("names", &["phone", "phone"], None, Some(true)),
        ("names", &many, Some(1), None),
        ("session_limit", &["phone"], None, None),
        ("session_limit", &["phone"], Some(0), None),
        ("session_limit", &["phone"], Some(101), None),
    ] {
        let refused = admin.set_terminal_types(names, limit, exclusive).await;
        assert_eq!(refused.expect_err("a bad change").field(), field, "{names:?}");
    }
    assert_eq!(admin.terminal_types().await.expect("the types"), before);

    admin.set_terminal_types(&["tv", "car"], Some(2), Some(true)).await.expect("new types");
    let records = admin.audit("", 0, "").await.expect("records").records;
    assert_eq!(records.len(), 1, "the refused ones left nothing");
    assert_eq!(records[0].action, "set_terminal_types");
    let details = r#"{"exclusive":true,"names":["car","tv"],"session_limit":2}"#;
    assert_eq!(records[0].details, details);
}

on_both_transports! {
    a_changed_limit_holds_from_the_next_login_on_every_node,
}

async fn a_changed_limit_holds_from_the_next_login_on_every_node(imd: Cluster) {
    let (_node, elsewhere) = imd.start_node().await;
    let first = imd.user_with_phone("ann").await;
    imd.admin().set_terminal_types(&["phone"], Some(2), None).await.expect("a change");
    let second = crate::support::cluster::login("ann", "phone", "second");
    let second = elsewhere.login(&second).await.expect("a login");
    assert_eq!(second.replaced, []);

    imd.admin().set_terminal_types(&["phone"], Some(1), Some(false)).await.expect("a change");
    assert_eq!(first.sessions().await.expect("a change ends nothing").len(), 2);
    let third = imd.log_in("ann", "phone", "third").await;
    let mut ended: Vec<_> = third.replaced.iter().map(|s| s.session_id.as_str()).collect();
    ended.sort_unstable();
    assert_eq!(ended, [first.session_id(), &second.session.session_id]);
    for api in [&imd.api, &elsewhere] {
        let info = api.info().await.expect("facts");
        let phone = info.terminal_types.iter().find(|t| t.name == "phone").expect("phones");
        assert_eq!((phone.session_limit, phone.excludes.len()), (1, 0));
    }
    imd.admin().set_terminal_types(&["phone", "pad"], None, Some(true)).await.expect("a change");
    let info = elsewhere.info().await.expect("facts");
    let pad = info.terminal_types.iter().find(|t| t.name == "pad").expect("pads");
    assert_eq!(pad.excludes, ["phone"]);
}
