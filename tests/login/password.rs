//! A change of the password.

use crate::support::{
    cluster::{Cluster, login},
    on_both_transports,
    types::Event,
};

on_both_transports! {
    i2_a_change_of_the_password_ends_every_session,
}

async fn i2_a_change_of_the_password_ends_every_session(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let (mut on_phone, mut on_pc) = (phone.follow("now").await, pc.follow("now").await);

    let ended = imd.admin().set_password("ann", "another password").await.expect("set");
    assert_eq!(ended.len(), 2);
    for feed in [&mut on_phone, &mut on_pc] {
        let (entries, last) = feed.to_the_end().await;
        assert_eq!(entries, []);
        let Event::SessionEnded(end) = last else { panic!("{last:?}") };
        assert_eq!(end.reason, "PASSWORD_CHANGED");
    }
    for terminal in [&phone, &pc] {
        let refused = terminal.sessions().await.expect_err("ended");
        assert_eq!(refused.end_reason(), "PASSWORD_CHANGED");
        let refused = imd.api.refresh(&terminal.refresh_token).await.expect_err("ended");
        assert_eq!(refused.end_reason(), "PASSWORD_CHANGED");
    }
    let old = login("ann", "phone", "ann-phone");
    assert_eq!(imd.api.login(&old).await.expect_err("the old one").code, "invalid_credentials");
    let new = old.password("another password");
    imd.api.login(&new).await.expect("the new one");
}
