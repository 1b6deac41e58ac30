//! The terminal whose session ends is told why, by its stream and by every later call, and nothing but
//! a fresh login brings it back (I2).

use crate::support::{
    api::Outgoing, cluster::Cluster, failure::Failure, on_both_transports, terminal::Terminal,
    types::Event,
};

/// Makes every call that takes a token; how each was refused.
async fn refusals(terminal: &Terminal) -> Vec<(&'static str, Failure)> {
    let (api, token) = (&terminal.api, &terminal.token);
    let own_id = terminal.session_id();
    let message = Outgoing::text(&terminal.user_id, "a note");
    let refused = |call: &'static str, refusal: Option<Failure>| {
        (call, refusal.unwrap_or_else(|| panic!("{call} succeeded")))
    };
    vec![
        refused("sessions", terminal.sessions().await.err()),
        refused("end_session", terminal.end_session(own_id).await.err()),
        refused("logout", terminal.logout().await.err()),
        refused("send", terminal.send(&message).await.err()),
        refused("subscribe", api.subscribe(token, "").await.err()),
        refused("pull", terminal.pull("").await.err()),
        refused("conversations", api.conversations(token, 0, "").await.err()),
        refused("history", terminal.history(&terminal.user_id, 0, "").await.err()),
        refused("refresh", api.refresh(&terminal.refresh_token).await.err()),
    ]
}

on_both_transports! {
    i2_the_stream_of_a_replaced_terminal_ends_with_the_reason,
    i2_every_call_with_its_tokens_is_refused_with_the_reason,
    i2_the_reason_is_the_first_one,
    i2_the_other_terminals_learn_who_came_and_who_went,
    i2_only_a_fresh_login_brings_it_back,
}

async fn i2_the_stream_of_a_replaced_terminal_ends_with_the_reason(imd: Cluster) {
    let first = imd.user_with_phone("ann").await;
    let mut feed = first.follow("now").await;
    let second = imd.log_in("ann", "phone", "second").await;

    let (entries, last) = feed.to_the_end().await;
    assert_eq!(entries, [], "nothing stands before the entry that ends the session");
    let Event::SessionEnded(end) = last else { panic!("{last:?}") };
    assert_eq!(Some(&end), second.replaced[0].end.as_ref());
    assert_eq!(end.reason, "REPLACED");
    assert_eq!(end.by_device_name, "ann's second");
}

async fn i2_every_call_with_its_tokens_is_refused_with_the_reason(imd: Cluster) {
    let first = imd.user_with_phone("ann").await;
    let second = imd.log_in("ann", "phone", "second").await;
    for (call, refusal) in refusals(&first).await {
        assert_eq!(refusal.code, "session_ended", "{call}: {refusal:?}");
        assert_eq!(refusal.detail("end_reason"), "REPLACED", "{call}");
        assert_eq!(refusal.detail("ended_by_terminal_type"), "phone", "{call}");
        assert_eq!(refusal.detail("ended_by_device_name"), "ann's second", "{call}");
        assert!(!refusal.detail("ended_at").is_empty(), "{call}");
    }
    assert!(second.sessions().await.is_ok(), "the old terminal has not won its place back");
    let pulled = second.pull("").await.expect("the timeline");
    assert_eq!(pulled.state.last_seq, 2, "two logins and nothing of the calls that were refused");
}

async fn i2_the_reason_is_the_first_one(imd: Cluster) {
    let first = imd.user_with_phone("ann").await;
    imd.log_in("ann", "phone", "second").await;
    imd.admin().disable("ann", "later").await.expect("disabled");
    assert_eq!(first.sessions().await.expect_err("ended").end_reason(), "REPLACED");
}

async fn i2_the_other_terminals_learn_who_came_and_who_went(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let mut feed = pc.follow("now").await;
    let second = imd.log_in("ann", "phone", "second").await;

    let entry = feed.entry().await;
    let change = entry.session_changed();
    let started = change.started.as_ref().expect("a session");
    assert_eq!(started.session_id, second.session_id());
    assert_eq!(started.terminal, second.session.terminal);
    assert_eq!(change.ended.len(), 1);
    assert_eq!(change.ended[0].session_id, phone.session_id());
    assert_eq!(change.ended[0].end(), second.replaced[0].end());
}

async fn i2_only_a_fresh_login_brings_it_back(imd: Cluster) {
    let first = imd.user_with_phone("ann").await;
    let second = imd.log_in("ann", "phone", "second").await;
    let back = imd.log_in("ann", "phone", "ann-phone").await;
    assert_eq!(back.replaced[0].session_id, second.session_id());
    assert!(back.sessions().await.is_ok());
    assert_eq!(first.sessions().await.expect_err("ended").end_reason(), "REPLACED");
    assert_eq!(second.sessions().await.expect_err("ended").end_reason(), "REPLACED");
}
