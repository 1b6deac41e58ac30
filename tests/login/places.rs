//! A place for each session (I1).

use std::collections::BTreeMap;

use futures::future::join_all;

use crate::support::{
    cluster::{Cluster, login},
    on_both_transports,
    terminal::Terminal,
};

/// How each terminal's session ended; an empty reason for those that live.
async fn ends(terminals: &[&Terminal]) -> BTreeMap<String, String> {
    let mut ends = BTreeMap::new();
    for terminal in terminals {
        let reason = match terminal.sessions().await {
            Ok(_) => String::new(),
            Err(failure) => failure.end_reason().to_owned(),
        };
        ends.insert(terminal.session.terminal.device_id.clone(), reason);
    }
    ends
}

fn expected(ends: &[(&str, &str)]) -> BTreeMap<String, String> {
    ends.iter().map(|(device, reason)| ((*device).to_owned(), (*reason).to_owned())).collect()
}

on_both_transports! {
    i1_a_login_beyond_the_limit_ends_the_oldest_session,
    i1_a_limit_of_three_holds_and_the_oldest_goes_first,
    i1_terminals_of_different_types_leave_each_other_alone,
    i1_a_device_supersedes_its_own_session_and_no_other,
    i1_a_device_that_becomes_another_type_leaves_its_old_place,
    i1_logins_of_the_same_device_id_by_two_users_are_strangers,
    i1_of_many_logins_at_once_one_is_left,
    the_order_of_logins_decides_and_not_that_of_use,
    a_refused_login_ends_nothing,
}

async fn i1_a_login_beyond_the_limit_ends_the_oldest_session(imd: Cluster) {
    let first = imd.user_with_phone("ann").await;
    assert_eq!(first.replaced, []);
    let second = imd.log_in("ann", "phone", "second").await;

    assert_eq!(second.replaced.len(), 1);
    let replaced = &second.replaced[0];
    assert_eq!(replaced.session_id, first.session_id());
    assert_eq!(replaced.terminal, first.session.terminal);
    let end = replaced.end();
    assert_eq!(end.reason, "REPLACED");
    assert_eq!(
        (end.by_terminal_type.as_str(), end.by_device_name.as_str()),
        ("phone", "ann's second")
    );
    assert_eq!(end.ended_at, second.session.created_at);
    assert_eq!(
        ends(&[&first, &second]).await,
        expected(&[("ann-phone", "REPLACED"), ("second", "")])
    );
}

async fn i1_a_limit_of_three_holds_and_the_oldest_goes_first(imd: Cluster) {
    imd.user("ann").await;
    let one = imd.log_in("ann", "web", "one").await;
    let two = imd.log_in("ann", "web", "two").await;
    let three = imd.log_in("ann", "web", "three").await;
    assert_eq!(three.replaced, []);
    let four = imd.log_in("ann", "web", "four").await;
    assert_eq!(
        ends(&[&one, &two, &three, &four]).await,
        expected(&[("one", "REPLACED"), ("two", ""), ("three", ""), ("four", "")]),
    );
}

async fn i1_terminals_of_different_types_leave_each_other_alone(imd: Cluster) {
    imd.user("ann").await;
    let mut terminals = Vec::new();
    for terminal_type in ["phone", "pc", "web", "pad", "watch"] {
        terminals.push(imd.log_in("ann", terminal_type, terminal_type).await);
    }
    for terminal in &terminals {
        assert_eq!(terminal.replaced, []);
        assert_eq!(terminal.sessions().await.expect("a live session").len(), 5);
    }
}

async fn i1_a_device_supersedes_its_own_session_and_no_other(imd: Cluster) {
    imd.user("ann").await;
    let one = imd.log_in("ann", "web", "one").await;
    let two = imd.log_in("ann", "web", "two").await;
    let again = imd.log_in("ann", "web", "one").await;
    assert_eq!(again.replaced.len(), 1);
    assert_eq!(again.replaced[0].session_id, one.session_id());
    assert_eq!(again.replaced[0].end().reason, "SUPERSEDED");
    assert!(two.sessions().await.is_ok());
    assert_eq!(one.sessions().await.expect_err("ended").end_reason(), "SUPERSEDED");
}

async fn i1_a_device_that_becomes_another_type_leaves_its_old_place(imd: Cluster) {
    imd.user("ann").await;
    let as_pad = imd.log_in("ann", "pad", "foldable").await;
    let phone = imd.log_in("ann", "phone", "phone").await;
    let as_phone = imd.log_in("ann", "phone", "foldable").await;
    assert_eq!(as_pad.sessions().await.expect_err("ended").end_reason(), "SUPERSEDED");
    assert_eq!(phone.sessions().await.expect_err("ended").end_reason(), "REPLACED");
    assert_eq!(as_phone.replaced.len(), 2);
}

async fn i1_logins_of_the_same_device_id_by_two_users_are_strangers(imd: Cluster) {
    imd.users(["ann", "bob"]).await;
    let ann = imd.log_in("ann", "phone", "shared").await;
    let bob = imd.log_in("bob", "phone", "shared").await;
    assert!(ann.sessions().await.is_ok() && bob.sessions().await.is_ok());
}

async fn i1_of_many_logins_at_once_one_is_left(imd: Cluster) {
    imd.user("ann").await;
    let devices: Vec<String> = (0..12).map(|n| format!("phone-{n}")).collect();
    let terminals = join_all(devices.iter().map(|device| imd.log_in("ann", "phone", device))).await;

    let ended: Vec<_> = terminals.iter().flat_map(|terminal| &terminal.replaced).collect();
    assert_eq!(ended.len(), 11, "each login ends the one before it");
    let mut alive = Vec::new();
    for terminal in &terminals {
        alive.extend(terminal.sessions().await.ok());
    }
    assert_eq!(alive.len(), 1);
    assert_eq!(alive[0].len(), 1);
}

async fn the_order_of_logins_decides_and_not_that_of_use(imd: Cluster) {
    imd.user("ann").await;
    let one = imd.log_in("ann", "web", "one").await;
    imd.log_in("ann", "web", "two").await;
    imd.log_in("ann", "web", "three").await;
    imd.api.refresh(&one.refresh_token).await.expect("new tokens");
    let four = imd.log_in("ann", "web", "four").await;
    assert_eq!(four.replaced[0].session_id, one.session_id());
}

async fn a_refused_login_ends_nothing(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let wrong = login("ann", "phone", "second").password("not the password");
    assert_eq!(imd.api.login(&wrong).await.expect_err("refused").code, "invalid_credentials");
    assert!(phone.sessions().await.is_ok());
    assert_eq!(phone.pull("").await.expect("the timeline").state.last_seq, 1);
}
