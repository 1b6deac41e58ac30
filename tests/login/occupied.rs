//! `if_occupied = REFUSE`.

use crate::support::{
    api::Login,
    cluster::{Cluster, login},
    on_both_transports,
    terminal::Terminal,
};

fn polite(user_id: &str, terminal_type: &str, device_id: &str) -> Login {
    Login { refuse: true, ..login(user_id, terminal_type, device_id) }
}

/// Lets it look as if the session had not been used for some minutes.
async fn forget(imd: &Cluster, terminal: &Terminal) {
    let sql = imd.database.sql().await;
    let updated = sql
        .execute(
            "UPDATE sessions SET last_used_at = now() - interval '3 minutes'
             WHERE session_id = $1::text::uuid",
            &[&terminal.session_id()],
        )
        .await;
    assert_eq!(updated.expect("an update"), 1);
}

on_both_transports! {
    i1_a_polite_login_is_refused_and_told_who_is_there,
    i1_a_polite_login_takes_a_free_place,
    i1_a_polite_login_takes_the_place_of_a_session_that_nobody_uses,
    i1_a_live_stream_occupies_its_place_however_long_it_is_quiet,
    i1_a_device_is_not_locked_out_by_its_own_ghost,
}

async fn i1_a_polite_login_is_refused_and_told_who_is_there(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let refused = imd.api.login(&polite("ann", "phone", "second")).await.expect_err("occupied");
    assert_eq!(refused.code, "terminal_occupied");
    assert_eq!(refused.detail("terminal_type"), "phone");
    assert_eq!(refused.detail("device_name"), "ann's ann-phone");
    assert!(!refused.detail("last_used_at").is_empty());
    assert!(phone.sessions().await.is_ok());
    assert_eq!(phone.pull("").await.expect("the timeline").state.last_seq, 1, "no trace");
}

async fn i1_a_polite_login_takes_a_free_place(imd: Cluster) {
    imd.user("ann").await;
    imd.log_in("ann", "web", "one").await;
    imd.log_in("ann", "web", "two").await;
    let third = imd.try_log_in(&polite("ann", "web", "three")).await.expect("the third place");
    assert_eq!(third.replaced, []);
    let fourth = imd.api.login(&polite("ann", "web", "four")).await;
    assert_eq!(fourth.expect_err("occupied").code, "terminal_occupied");
}

async fn i1_a_polite_login_takes_the_place_of_a_session_that_nobody_uses(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    forget(&imd, &phone).await;
    let second = imd.try_log_in(&polite("ann", "phone", "second")).await.expect("the place");
    assert_eq!(second.replaced[0].session_id, phone.session_id());
}

async fn i1_a_live_stream_occupies_its_place_however_long_it_is_quiet(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let _feed = phone.follow("").await;
    forget(&imd, &phone).await;
    let refused = imd.api.login(&polite("ann", "phone", "second")).await.expect_err("occupied");
    assert_eq!(refused.code, "terminal_occupied");
}

async fn i1_a_device_is_not_locked_out_by_its_own_ghost(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let again = imd.try_log_in(&polite("ann", "phone", "ann-phone")).await.expect("its own place");
    assert_eq!(again.replaced[0].session_id, phone.session_id());
    assert_eq!(again.replaced[0].end().reason, "SUPERSEDED");
}
