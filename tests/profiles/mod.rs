//! Profiles: who sees them, how they are changed, and who is told.

use serde_json::{Value, json};

use crate::{
    append::assert_dense,
    groups::{OSLO, create, group_of},
    support::{
        api::{ContactCall, GroupCall, ProfileCall, Transport},
        cluster::Cluster,
        eventually,
        issuer::{Issuer, asserted},
        on_both_transports,
        terminal::Terminal,
        types::{Entry, Kind},
    },
};

on_both_transports! {
    i6_every_terminal_of_the_user_is_told_of_a_change,
    a_profile_is_changed_by_its_version,
    a_profile_is_checked,
    who_may_write_to_a_user_sees_its_profile,
    who_is_or_asks_to_be_a_contact_and_who_is_in_a_group_sees_the_profile,
    a_block_hides_the_profile,
    profiles_are_read_in_batches,
    those_with_a_conversation_are_told_once_of_many_changes,
    members_of_a_group_are_told_once_of_many_changes,
    the_name_of_an_assertion_is_that_of_the_profile,
    a_profile_goes_with_the_account,
}

async fn profile_of(
    terminal: &Terminal,
    user: &str,
) -> Result<Value, crate::support::failure::Failure> {
    terminal.profile(ProfileCall::Get(user.to_owned())).await
}

async fn change(terminal: &Terminal, body: Value) -> Value {
    terminal.profile(ProfileCall::Update(body)).await.expect("changed")
}

/// Whose profiles have changed, as a timeline tells it.
fn told(entries: &[Entry]) -> Vec<&str> {
    let told = entries.iter().filter_map(|entry| match &entry.kind {
        Kind::ProfileChanged(changed) => Some(changed.user_id.as_str()),
        _ => None,
    });
    told.collect()
}

/// Waits until nobody is left to be told of what has changed.
async fn all_are_told(imd: &Cluster) {
    let sql = imd.database.sql().await;
    eventually("all are told", async || {
        let walking = "SELECT count(*) FROM profile_walks WHERE told_to IS NOT NULL OR pending";
        let walking: i64 = sql.query_one(walking, &[]).await.expect("a count").get(0);
        (walking == 0).then_some(())
    })
    .await;
}

/// Has a user take messages from these.
async fn lets(terminal: &Terminal, who: &str) {
    let call = ContactCall::UpdateSettings(json!({ "messages_from": who }));
    terminal.contact(call).await.expect("set");
}

async fn i6_every_terminal_of_the_user_is_told_of_a_change(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let (_node, elsewhere) = imd.start_node().await;
    let mut feeds = [ann.follow("now").await, pc.through(elsewhere).follow("now").await];
    let empty = json!({
        "user_id": "ann", "name": "", "avatar_url": "", "attributes": {}, "version": 0,
    });
    assert_eq!(ann.profile(ProfileCall::Own).await.expect("the profile"), empty);
    let changed = change(
        &pc,
        json!({
            "name": "Ann Ä.",
            "avatar_url": "https://example.com/ann.png",
            "attributes": { "pronouns": "she/her" },
        }),
    )
    .await;
    assert_eq!(
        changed,
        json!({
            "user_id": "ann",
            "name": "Ann Ä.",
            "avatar_url": "https://example.com/ann.png",
            "attributes": { "pronouns": "she/her" },
            "version": 1,
        })
    );
    assert_eq!(ann.profile(ProfileCall::Own).await.expect("the profile"), changed);
    for feed in &mut feeds {
        assert_eq!(told(&feed.entries(1).await), ["ann"]);
    }
    let again = change(&ann, json!({ "name": "Ann Ä." })).await;
    assert_eq!(again, changed, "nothing has changed");
    assert_eq!(change(&ann, json!({})).await, changed);
    assert_eq!(told(&ann.timeline().await), ["ann"]);
    let other = change(&ann, json!({ "avatar_url": "" })).await;
    assert_eq!(
        (&other["name"], &other["avatar_url"], &other["version"]),
        (&json!("Ann Ä."), &json!(""), &json!(2))
    );
    assert_dense(&imd.database).await;
}

async fn a_profile_is_changed_by_its_version(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let (_node, api) = imd.start_node().await;
    let there = ann.through(api);
    let by_version = async |terminal: &Terminal, name: &str, version: i64| {
        let body = json!({ "name": name, "version": version });
        terminal.profile(ProfileCall::Update(body)).await
    };
    by_version(&ann, "one", 0).await.expect("changed");
    let refused = by_version(&there, "two", 0).await.expect_err("an old version");
    assert_eq!(refused.code, "version_conflict");
    let (one, other) = futures::join!(by_version(&ann, "here", 1), by_version(&there, "there", 1));
    assert_ne!(one.is_ok(), other.is_ok(), "one of the two");
    let now = ann.profile(ProfileCall::Own).await.expect("the profile");
    assert_eq!(now["version"], 2);
    assert_eq!(now["name"], if one.is_ok() { "here" } else { "there" });
}

async fn a_profile_is_checked(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bad = [
        (json!({ "name": "x".repeat(65) }), "name"),
        (json!({ "name": "two\nlines" }), "name"),
        (json!({ "avatar_url": "ann.png" }), "avatar_url"),
        (json!({ "avatar_url": "javascript:alert(1)" }), "avatar_url"),
        (json!({ "avatar_url": format!("https://{}", "x".repeat(2048)) }), "avatar_url"),
        (json!({ "attributes": { "x": "x".repeat(4096) } }), "attributes"),
    ];
    for (body, field) in bad {
        let refused = ann.profile(ProfileCall::Update(body)).await.expect_err("not valid");
        assert_eq!((refused.code.as_str(), refused.detail("field")), ("invalid_argument", field));
    }
    let largest = json!({ "attributes": { "x": "x".repeat(4096 - 8) }, "name": "ä".repeat(64) });
    assert_eq!(change(&ann, largest).await["version"], 1);
    let refused = profile_of(&ann, "not an id").await.expect_err("no id");
    assert_eq!(refused.detail("field"), "user_id");
    assert_eq!(profile_of(&ann, "nobody").await.expect_err("nobody").code, "user_not_found");
}

async fn who_may_write_to_a_user_sees_its_profile(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    change(&ann, json!({ "name": "Ann" })).await;
    assert_eq!(profile_of(&bob, "ann").await.expect("seen")["name"], "Ann");
    for who in ["CONTACTS", "NOBODY"] {
        lets(&ann, who).await;
        let refused = profile_of(&bob, "ann").await.expect_err("not for bob");
        assert_eq!((refused.code.as_str(), refused.detail("from")), ("not_accepted", who));
        let list = ProfileCall::List(vec!["ann".to_owned(), "bob".to_owned()]);
        let listed = bob.profile(list).await.expect("a list");
        let ids: Vec<&str> = listed["profiles"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|profile| profile["user_id"].as_str().expect("an id"))
            .collect();
        assert_eq!(ids, ["bob"], "what bob may not see is left out");
        assert_eq!(ann.profile(ProfileCall::Own).await.expect("ann's own")["name"], "Ann");
    }
    lets(&ann, "ANYONE").await;
    profile_of(&bob, "ann").await.expect("seen");
}

async fn who_is_or_asks_to_be_a_contact_and_who_is_in_a_group_sees_the_profile(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let carol = imd.user_with_phone("carol").await;
    lets(&ann, "CONTACTS").await;
    lets(&bob, "CONTACTS").await;
    let ask = ContactCall::Set("bob".to_owned(), json!({}));
    ann.contact(ask).await.expect("asked");
    profile_of(&bob, "ann").await.expect("ann shows itself to whom it asks");
    let refused = profile_of(&ann, "bob").await.expect_err("bob has not agreed yet");
    assert_eq!(refused.code, "not_accepted");
    let agree = ContactCall::Set("ann".to_owned(), json!({}));
    bob.contact(agree).await.expect("agreed");
    profile_of(&ann, "bob").await.expect("contacts");
    assert_eq!(profile_of(&carol, "ann").await.expect_err("a stranger").code, "not_accepted");
    create(&carol, &[]).await;
    assert_eq!(profile_of(&carol, "ann").await.expect_err("a stranger").code, "not_accepted");
    let join = GroupCall::Add("oslo".to_owned(), "ann".to_owned());
    carol.group(join).await.expect("ann takes invitations from anyone");
    profile_of(&carol, "ann").await.expect("of one group");
    let remove = GroupCall::Remove("oslo".to_owned(), "ann".to_owned());
    carol.group(remove).await.expect("removed");
    assert_eq!(profile_of(&carol, "ann").await.expect_err("no longer").code, "not_accepted");
}

async fn a_block_hides_the_profile(imd: Cluster) {
    let drops = |s: &mut imd::config::Settings| {
        s.messages.if_blocked = imd::model::IfBlocked::Drop;
    };
    let (_drops, drops) = imd.start_node_with(drops).await;
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    ann.block("bob").await.expect("blocked");
    assert_eq!(profile_of(&bob, "ann").await.expect_err("blocked").code, "blocked");
    profile_of(&bob.through(drops), "ann").await.expect("bob is not to know");
    profile_of(&ann, "bob").await.expect("ann sees whom it blocks");
}

async fn profiles_are_read_in_batches(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    change(&bob, json!({ "name": "Bob" })).await;
    let list = async |users: &[&str]| {
        let users = users.iter().copied().map(str::to_owned).collect();
        ann.profile(ProfileCall::List(users)).await
    };
    let listed = list(&["bob", "nobody", "ann", "bob"]).await.expect("a list");
    let names: Vec<&Value> =
        listed["profiles"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, [&json!(""), &json!("Bob")], "by id, each once");
    let many: Vec<String> = (0..201).map(|n| format!("user-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for bad in [&[][..], &["ann", "not an id"], &many] {
        let refused = list(bad).await.expect_err("not valid");
        assert_eq!(refused.detail("field"), "user_ids");
    }
    assert_eq!(list(&many[..200]).await.expect("a list")["profiles"], json!([]));
}

async fn those_with_a_conversation_are_told_once_of_many_changes(imd: Cluster) {
    let (_node, _) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let mut peers = Vec::new();
    for name in ["bob", "carol", "dan"] {
        peers.push(imd.user_with_phone(name).await);
    }
    let stranger = imd.user_with_phone("eve").await;
    ann.say("bob", "hello").await;
    peers[1].say("ann", "hello").await;
    ann.say("dan", "hello").await;
    ann.say("ann", "a note").await;
    peers[2].block("ann").await.expect("blocked");
    let mut feed = peers[0].follow("now").await;
    for n in 0..5 {
        change(&ann, json!({ "name": format!("Ann {n}") })).await;
    }
    assert_eq!(told(&feed.entries(1).await), ["ann"]);
    assert_eq!(profile_of(&peers[0], "ann").await.expect("seen")["name"], "Ann 4");
    all_are_told(&imd).await;
    assert_eq!(told(&peers[0].timeline().await), ["ann"]);
    assert_eq!(told(&peers[1].timeline().await), ["ann"]);
    assert_eq!(told(&peers[2].timeline().await), [""; 0], "who blocks ann is told nothing");
    assert_eq!(told(&stranger.timeline().await), [""; 0]);
    assert_eq!(told(&ann.timeline().await).len(), 5, "ann's terminals of each change");
    assert_dense(&imd.database).await;
}

async fn members_of_a_group_are_told_once_of_many_changes(imd: Cluster) {
    let (_node, _) = imd.start_node().await;
    let [ann, bob, carol, dan, eve] = group_of(&imd, ["ann", "bob", "carol", "dan", "eve"]).await;
    let stranger = imd.user_with_phone("finn").await;
    // With bob ann talks beside, and is in a second group.
    ann.say("bob", "hello").await;
    let second = json!({ "group_id": "bergen", "name": "Bergen", "member_ids": ["bob"] });
    ann.group(GroupCall::Create(second)).await.expect("a group");
    ann.group(GroupCall::Remove(OSLO.to_owned(), "dan".to_owned())).await.expect("removed");
    eve.block("ann").await.expect("blocked");
    let mut feed = carol.follow("now").await;
    for n in 0..5 {
        change(&ann, json!({ "name": format!("Ann {n}") })).await;
    }
    let told_now = eventually("carol is told", async || {
        let entries = feed.entries(1).await;
        (!told(&entries).is_empty()).then_some(entries)
    });
    assert_eq!(told(&told_now.await), ["ann"]);
    assert_eq!(profile_of(&carol, "ann").await.expect("seen")["name"], "Ann 4");
    all_are_told(&imd).await;
    for (terminal, of) in
        [(&bob, &["ann"][..]), (&carol, &["ann"]), (&dan, &[]), (&eve, &[]), (&stranger, &[])]
    {
        assert_eq!(told(&terminal.timeline().await), of);
    }
    assert_dense(&imd.database).await;
}

async fn the_name_of_an_assertion_is_that_of_the_profile(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let log_in = async |name: &str| {
        let vouched = issuer.vouch_with("ann", &json!({ "name": name }));
        imd.try_log_in(&asserted(vouched, "phone", "p")).await.expect("a session")
    };
    let ann = log_in("Ann").await;
    let profile = ann.profile(ProfileCall::Own).await.expect("the profile");
    assert_eq!((&profile["name"], &profile["version"]), (&json!("Ann"), &json!(1)));
    change(&ann, json!({ "name": "Annie", "avatar_url": "https://example.com/a" })).await;
    let ann = log_in("Ann").await;
    let profile = ann.profile(ProfileCall::Own).await.expect("the profile");
    assert_eq!((&profile["name"], &profile["version"]), (&json!("Ann"), &json!(3)));
    assert_eq!(profile["avatar_url"], "https://example.com/a");
    let ann = log_in("Ann").await;
    assert_eq!(ann.profile(ProfileCall::Own).await.expect("the same")["version"], 3);
    assert_eq!(imd.admin().user("ann").await.expect("the user").name, "Ann");
}

async fn a_profile_goes_with_the_account(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    ann.say("bob", "hello").await;
    change(&ann, json!({ "name": "Ann Secret", "attributes": { "secret": 1 } })).await;
    imd.admin().delete("ann", false).await.expect("deleted");
    assert_eq!(profile_of(&bob, "ann").await.expect_err("gone").code, "user_not_found");
    let sql = imd.database.sql().await;
    let left = "SELECT count(*) FROM users WHERE users::text LIKE '%ecret%'";
    assert_eq!(sql.query_one(left, &[]).await.expect("a count").get::<_, i64>(0), 0);
    let left = "SELECT count(*) FROM profile_walks";
    assert_eq!(sql.query_one(left, &[]).await.expect("a count").get::<_, i64>(0), 0);
}

/// More than are told in one turn, by two nodes.
#[tokio::test]
async fn everybody_in_a_large_group_is_told_once() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (_node, _) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let members: Vec<String> = (0..230).map(|n| format!("member-{n}")).collect();
    for member in &members {
        imd.user(member).await;
    }
    create(&ann, &members.iter().map(String::as_str).collect::<Vec<_>>()).await;
    change(&ann, json!({ "name": "Ann" })).await;
    let sql = imd.database.sql().await;
    eventually("all are told", async || {
        let count = "SELECT count(*) FROM entries e JOIN users u ON u.user_no = e.owner
                     WHERE e.kind = 16 AND u.user_id LIKE 'member-%'";
        let told: i64 = sql.query_one(count, &[]).await.expect("a count").get(0);
        (told >= 230).then_some(())
    })
    .await;
    all_are_told(&imd).await;
    let twice = "SELECT count(*), count(DISTINCT owner) FROM entries WHERE kind = 16";
    let row = sql.query_one(twice, &[]).await.expect("counts");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (231, 231), "and ann's own");
    assert_dense(&imd.database).await;
}

/// A node that dies on its way through the conversations of a user leaves the rest to another.
#[tokio::test]
async fn i11_where_a_node_has_stopped_telling_another_goes_on() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let [bob, carol] = [imd.user_with_phone("bob").await, imd.user_with_phone("carol").await];
    for peer in ["bob", "carol"] {
        ann.say(peer, "hello").await;
    }
    let sql = imd.database.sql().await;
    // As a node leaves it that has told bob and is gone.
    sql.batch_execute(
        "INSERT INTO profile_walks (user_no, told_to, due_at, pending)
         SELECT ann.user_no, bob.user_no, now(), false FROM users ann, users bob
         WHERE ann.user_id = 'ann' AND bob.user_id = 'bob'",
    )
    .await
    .expect("a walk");
    let mut feed = carol.follow("now").await;
    assert_eq!(told(&feed.entries(1).await), ["ann"]);
    assert_eq!(told(&bob.timeline().await), [""; 0], "who was told is not told again");
    assert_dense(&imd.database).await;
}
