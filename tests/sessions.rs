//! The sessions of one's own account.

use uuid::Uuid;

use crate::support::{cluster::Cluster, on_both_transports, types::Event};

on_both_transports! {
    a_user_lists_its_live_sessions_the_newest_first,
    i2_a_terminal_ends_the_session_of_another,
    to_end_a_session_again_changes_nothing,
    nobody_ends_a_session_of_another_user,
    i2_logging_out_ends_the_own_session_alone,
    a_session_is_online_while_its_stream_is_open,
}

async fn a_user_lists_its_live_sessions_the_newest_first(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    imd.log_in("ann", "web", "one").await;
    let web = imd.log_in("ann", "web", "one").await;
    imd.user_with_phone("bob").await;
    let _feed = pc.follow("").await;

    let listed = phone.sessions().await.expect("sessions");
    let ids: Vec<_> = listed.iter().map(|session| session.session_id.as_str()).collect();
    assert_eq!(ids, [web.session_id(), pc.session_id(), phone.session_id()]);
    let shown: Vec<_> = listed.iter().map(|s| (s.online, s.current, s.end.is_some())).collect();
    assert_eq!(shown, [(false, false, false), (true, false, false), (false, true, false)]);
    assert_eq!(listed[1].terminal, pc.session.terminal);
    assert!(listed.is_sorted_by(|newer, older| newer.created_at >= older.created_at));
}

async fn i2_a_terminal_ends_the_session_of_another(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let (mut on_phone, mut on_pc) = (phone.follow("now").await, pc.follow("now").await);
    phone.end_session(pc.session_id()).await.expect("ended");

    let (_, last) = on_pc.to_the_end().await;
    let Event::SessionEnded(end) = last else { panic!("{last:?}") };
    assert_eq!(end.reason, "LOGGED_OUT");
    assert_eq!(end.by_terminal_type, "phone");
    assert_eq!(end.by_device_name, "ann's ann-phone");
    let refused = pc.sessions().await.expect_err("ended");
    assert_eq!(refused.end_reason(), "LOGGED_OUT");
    assert_eq!(refused.detail("ended_by_device_name"), "ann's ann-phone");

    let entry = on_phone.entry().await;
    let change = entry.session_changed();
    assert_eq!(change.started, None);
    assert_eq!(change.ended[0].session_id, pc.session_id());
    assert_eq!(change.ended[0].end(), &end);
}

async fn to_end_a_session_again_changes_nothing(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    imd.log_in("ann", "pc", "lap").await;
    let before = phone.pull("").await.expect("the timeline").state;
    phone.end_session(pc.session_id()).await.expect("no harm");
    assert_eq!(phone.pull("").await.expect("the timeline").state, before);
    assert_eq!(pc.sessions().await.expect_err("ended").end_reason(), "REPLACED");
}

async fn nobody_ends_a_session_of_another_user(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let refused = ann.end_session(bob.session_id()).await.expect_err("not ann's");
    assert_eq!(refused.code, "session_not_found");
    let unknown = ann.end_session(&Uuid::new_v4().to_string()).await.expect_err("nobody's");
    assert_eq!(unknown, refused, "the same answer as for a session that there is not");
    assert!(bob.sessions().await.is_ok());
    assert_eq!(ann.end_session("no-uuid").await.expect_err("no UUID").field(), "session_id");
}

async fn i2_logging_out_ends_the_own_session_alone(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let (mut on_phone, mut on_pc) = (phone.follow("now").await, pc.follow("now").await);
    phone.logout().await.expect("logged out");

    let (_, last) = on_phone.to_the_end().await;
    let Event::SessionEnded(end) = last else { panic!("{last:?}") };
    assert_eq!((end.reason.as_str(), end.by_terminal_type.as_str()), ("LOGGED_OUT", "phone"));
    assert_eq!(phone.logout().await.expect_err("ended").end_reason(), "LOGGED_OUT");
    let refused = imd.api.refresh(&phone.refresh_token).await.expect_err("ended");
    assert_eq!(refused.end_reason(), "LOGGED_OUT");

    assert_eq!(on_pc.entry().await.session_changed().ended[0].end(), &end);
    assert_eq!(pc.sessions().await.expect("live").len(), 1);
}

async fn a_session_is_online_while_its_stream_is_open(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let online = async || phone.sessions().await.expect("sessions")[0].online;
    assert!(!online().await);
    let feed = phone.follow("").await;
    assert!(online().await);
    drop(feed);
    crate::support::eventually("offline", async || (!online().await).then_some(())).await;
}
