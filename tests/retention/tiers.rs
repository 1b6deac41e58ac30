//! Tiers: where they come from, how they change, and what a change would do.

use imd_proto::v1::TierEffect;

use super::{DAY, age};
use crate::support::{
    admin::tier, api::Transport, cluster::Cluster, node::Node, postgres::Database,
};

fn names(tiers: &[imd_proto::v1::Tier]) -> Vec<&str> {
    tiers.iter().map(|tier| tier.name.as_str()).collect()
}

#[tokio::test]
async fn settings_make_tiers_once_and_then_the_database_is_the_truth() {
    let database = Database::create().await;
    let seeded = |days| {
        move |settings: &mut imd::config::Settings| {
            let free = imd::config::Tier { days: Some(days), messages: Some(10_000), bytes: None };
            settings.tiers.insert("free".to_owned(), free);
            settings.default_tier = "free".to_owned();
        }
    };
    let first = Node::start_with(&database, seeded(7)).await;
    let tiers = first.admin().tiers().await.expect("the tiers");
    assert_eq!(tiers, [tier("free", Some(7 * DAY), Some(10_000)), tier("unlimited", None, None)]);
    let changed = first.admin().apply_tiers(vec![tier("free", Some(3 * DAY), None)]).await;
    assert_eq!(changed.expect("a change")[0], tier("free", Some(3 * DAY), None));
    first.stop().await;

    let second = Node::start_with(&database, seeded(9)).await;
    let tiers = second.admin().tiers().await.expect("the tiers");
    assert_eq!(tiers[0], tier("free", Some(3 * DAY), None), "a restart changes nothing");
    let created = second.admin().create_user("ann", "long enough").await.expect("a user");
    assert_eq!(created.retention.expect("what holds").tier, "free");
    let created = second.admin().create_user_of("unlimited", "bob", "long enough").await;
    assert_eq!(created.expect("a user").retention.expect("what holds").tier, "unlimited");
    let users: Vec<i64> =
        second.admin().tiers().await.expect("the tiers").iter().map(|tier| tier.users).collect();
    assert_eq!(users, [1, 1]);
}

#[tokio::test]
async fn a_tier_that_does_not_exist_is_given_to_nobody() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    imd.user("ann").await;
    assert_eq!(admin.set_tier("ann", "gold").await.expect_err("no tier").code, "tier_not_found");
    assert_eq!(
        admin.set_tier("bob", "unlimited").await.expect_err("nobody").code,
        "user_not_found"
    );
    let created = admin.create_user_of("gold", "bob", "long enough").await;
    assert_eq!(created.expect_err("no tier").code, "tier_not_found");
    assert_eq!(admin.user("bob").await.expect_err("nothing was made").code, "user_not_found");
}

#[tokio::test]
async fn tiers_change_all_or_none_and_a_bad_one_names_the_field() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    let good = || tier("good", None, Some(1));
    let century = 36_525 * DAY;
    let many = (0..101).map(|n| tier(&format!("t{n}"), None, None)).collect();
    let cases = [
        ("tiers", vec![]),
        ("tiers", many),
        ("tiers.name", vec![good(), tier("", None, None)]),
        ("tiers.name", vec![good(), tier("Good", None, None)]),
        ("tiers.name", vec![good(), tier(&"t".repeat(33), None, None)]),
        ("tiers.name", vec![good(), good()]),
        ("tiers.max_age", vec![good(), tier("bad", Some(-1), None)]),
        ("max_age", vec![good(), tier("bad", Some(century + 1), None)]),
        ("max_messages", vec![good(), tier("bad", None, Some(-1))]),
    ];
    for (field, tiers) in cases {
        let refused = admin.apply_tiers(tiers.clone()).await.expect_err(field);
        assert_eq!(refused.field(), field, "{tiers:?}");
        let refused = admin.preview_tiers(tiers).await.expect_err(field);
        assert_eq!(refused.field(), field);
    }
    assert_eq!(names(&admin.tiers().await.expect("the tiers")), ["unlimited"]);
    let tiers = vec![tier("long", Some(century), Some(i64::MAX)), tier("none", Some(0), Some(0))];
    let applied = admin.apply_tiers(tiers.clone()).await.expect("as far as may be");
    assert_eq!(applied, [&tiers[0], &tiers[1], &tier("unlimited", None, None)].map(Clone::clone));
}

#[tokio::test]
async fn a_preview_says_what_a_change_would_do_and_does_nothing() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    admin.apply_tiers(vec![tier("free", Some(5 * DAY), None)]).await.expect("a tier");
    // Ann has ten entries, one a day; Bob five, his messages; Carol none; Dave limits of his own.
    let ann = imd.user_with_phone("ann").await;
    imd.users(["bob", "carol", "dave"]).await;
    for n in 2..=10 {
        ann.say(if n <= 6 { "bob" } else { "dave" }, &n.to_string()).await;
    }
    age(&imd).await;
    for user in ["ann", "bob", "carol", "dave"] {
        admin.set_tier(user, "free").await.expect("the user's tier");
    }
    admin.set_limits("dave", None, None).await.expect("limits of his own");
    // A user who is deleted keeps the tier, and has no timeline that a limit could hide.
    imd.user("erin").await;
    admin.set_tier("erin", "free").await.expect("the user's tier");
    admin.delete("erin", false).await.expect("deleted");
    let before: Vec<_> = admin.users(0, "").await.expect("the users").users;

    let effect = |users_losing, entries_hidden, entries_shown| {
        vec![TierEffect { name: "free".to_owned(), users_losing, entries_hidden, entries_shown }]
    };
    let cases = [
        (tier("free", Some(5 * DAY), None), effect(0, 0, 0)),
        (tier("free", Some(3 * DAY), None), effect(2, 4, 0)),
        (tier("free", Some(3 * DAY), Some(1)), effect(2, 8, 0)),
        (tier("free", Some(7 * DAY), None), effect(0, 0, 2)),
        (tier("free", None, Some(3)), effect(2, 4, 0)),
        (tier("free", None, None), effect(0, 0, 5)),
        (tier("free", Some(0), None), effect(2, 10, 0)),
    ];
    for (change, expected) in cases {
        let effects = admin.preview_tiers(vec![change.clone()]).await.expect("a preview");
        assert_eq!(effects, expected, "{change:?}");
    }
    let new = admin.preview_tiers(vec![tier("new", Some(0), None)]).await.expect("a preview");
    assert_eq!((new[0].users_losing, new[0].entries_hidden), (0, 0), "nobody has it");
    assert_eq!(admin.users(0, "").await.expect("the users").users, before);
    assert_eq!(ann.pull("").await.expect("the timeline").state.floor, 6);
}

#[tokio::test]
async fn every_change_of_limits_is_in_the_audit() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    imd.user("ann").await;
    admin.apply_tiers(vec![tier("free", Some(DAY), Some(5))]).await.expect("a tier");
    admin.set_tier("ann", "free").await.expect("the user's tier");
    admin.set_limits("ann", Some(60), None).await.expect("limits of her own");
    admin.purge().await.expect("a purge");
    let records = admin.audit("", 4, "").await.expect("the audit").records;
    let shown: Vec<_> = records
        .iter()
        .map(|record| (record.action.as_str(), record.user_id.as_str(), record.details.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("purge", "", "{}"),
            (
                "set_user_limits",
                "ann",
                r#"{"override":{"max_age_seconds":60,"max_bytes":null,"max_messages":null}}"#
            ),
            ("set_user_limits", "ann", r#"{"tier":"free"}"#),
            (
                "apply_tiers",
                "",
                r#"{"tiers":[{"max_age_seconds":86400,"max_bytes":null,"max_messages":5,"name":"free"}]}"#
            ),
        ]
    );
}
