//! Terminal types that exclude each other (I1), and whose word it is that a terminal's place is taken.

use futures::future::join_all;

use crate::support::{
    api::Login,
    cluster::{Cluster, login},
    on_both_transports,
    types::Event,
};

on_both_transports! {
    i1_a_login_ends_the_sessions_of_the_types_that_it_excludes,
    i1_a_polite_login_is_told_who_is_there_on_another_type,
    i1_two_nodes_never_leave_sessions_of_two_exclusive_types,
    i1_only_a_fresh_login_takes_a_place,
}

async fn exclude(imd: &Cluster, names: &[&str]) {
    imd.admin().set_terminal_types(names, None, Some(true)).await.expect("a change");
}

async fn i1_a_login_ends_the_sessions_of_the_types_that_it_excludes(imd: Cluster) {
    exclude(&imd, &["phone", "web"]).await;
    imd.user("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let (one, two) = (imd.log_in("ann", "web", "one").await, imd.log_in("ann", "web", "two").await);
    assert_eq!(two.replaced, [], "no type excludes itself");
    let mut feed = one.follow("now").await;

    let phone = imd.log_in("ann", "phone", "phone").await;
    let ended: Vec<_> = phone.replaced.iter().map(|s| s.session_id.as_str()).collect();
    assert_eq!(ended, [one.session_id(), two.session_id()]);
    let (_, last) = feed.to_the_end().await;
    let Event::SessionEnded(end) = last else { panic!("the stream ends with {last:?}") };
    assert_eq!((end.reason.as_str(), end.by_terminal_type.as_str()), ("REPLACED", "phone"));
    for browser in [&one, &two] {
        assert_eq!(browser.sessions().await.expect_err("ended").end_reason(), "REPLACED");
    }
    assert_eq!(pc.sessions().await.expect("a live session").len(), 2);

    let back = imd.log_in("ann", "web", "one").await;
    assert_eq!(back.replaced[0].session_id, phone.session_id(), "and the other way round");
}

async fn i1_a_polite_login_is_told_who_is_there_on_another_type(imd: Cluster) {
    exclude(&imd, &["phone", "pad"]).await;
    let phone = imd.user_with_phone("ann").await;
    let polite = Login { refuse: true, ..login("ann", "pad", "pad") };
    let refused = imd.api.login(&polite).await.expect_err("occupied");
    assert_eq!(refused.code, "terminal_occupied");
    assert_eq!(refused.detail("terminal_type"), "phone");
    assert_eq!(refused.detail("device_name"), "ann's ann-phone");
    assert!(phone.sessions().await.is_ok());
}

async fn i1_two_nodes_never_leave_sessions_of_two_exclusive_types(imd: Cluster) {
    exclude(&imd, &["phone", "pad", "watch"]).await;
    let (_node, elsewhere) = imd.start_node().await;
    for round in 0..5 {
        let user_id = format!("ann-{round}");
        imd.user(&user_id).await;
        let logins: Vec<_> = ["phone", "pad", "watch", "phone", "pad", "watch"]
            .iter()
            .enumerate()
            .map(|(n, terminal_type)| login(&user_id, terminal_type, &format!("device-{n}")))
            .collect();
        let opened = join_all(logins.iter().enumerate().map(async |(n, login)| {
            let api = if n % 2 == 0 { &imd.api } else { &elsewhere };
            api.login(login).await.expect("a login")
        }))
        .await;
        let ended: usize = opened.iter().map(|login| login.replaced.len()).sum();
        assert_eq!(ended, opened.len() - 1, "each ended the one before it");
        let mut live = 0;
        for login in &opened {
            live += usize::from(imd.api.sessions(&login.tokens.access_token).await.is_ok());
        }
        assert_eq!(live, 1);
    }
}

async fn i1_only_a_fresh_login_takes_a_place(imd: Cluster) {
    let old = imd.user_with_phone("ann").await;
    let new = imd.log_in("ann", "phone", "second").await;
    for _ in 0..3 {
        // What an app does that wakes up with what it has.
        let refused = imd.api.refresh(&old.refresh_token).await.expect_err("no way back");
        assert_eq!(refused.end_reason(), "REPLACED");
        for refused in [
            old.sessions().await.map(drop),
            old.pull("").await.map(drop),
            imd.api.subscribe(&old.token, "now").await.map(drop),
        ] {
            assert_eq!(refused.expect_err("no way back").end_reason(), "REPLACED");
        }
        imd.api.refresh(&new.refresh_token).await.expect("the one that is there");
        drop(new.follow("now").await);
    }
    assert_eq!(new.timeline().await.len(), 2, "two logins, and nothing since");

    let back = imd.log_in("ann", "phone", "ann-phone").await;
    assert_eq!(back.replaced[0].session_id, new.session_id());
    assert_eq!(new.sessions().await.expect_err("ended").end_reason(), "REPLACED");
}
