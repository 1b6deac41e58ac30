//! A change of the password.

use argon2::{Argon2, PasswordHasher};

use crate::support::{
    cluster::{Cluster, login},
    on_both_transports,
    types::Event,
};

on_both_transports! {
    i2_a_change_of_the_password_ends_every_session,
    a_password_is_the_same_however_it_is_typed,
    a_password_from_before_it_was_normalised_still_works,
    user_ids_differ_by_case,
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

/// As keyboards compose it, as some systems take it apart, and with the space that a phone types.
const TYPED: [&str; 3] = ["caf\u{e9} au lait", "cafe\u{301} au lait", "caf\u{e9}\u{a0}au lait"];

async fn a_password_is_the_same_however_it_is_typed(imd: Cluster) {
    for (n, set) in TYPED.into_iter().enumerate() {
        let user_id = format!("user-{n}");
        imd.admin().create_user(&user_id, set).await.expect("a user");
        for typed in TYPED {
            let asked = login(&user_id, "phone", "p").password(typed);
            imd.api.login(&asked).await.expect("the same password");
        }
        for other in ["cafe au lait", "CAF\u{c9} au lait", "caf\u{e9}  au lait"] {
            let asked = login(&user_id, "phone", "p").password(other);
            let refused = imd.api.login(&asked).await.expect_err("another password");
            assert_eq!(refused.code, "invalid_credentials");
        }
    }
}

async fn a_password_from_before_it_was_normalised_still_works(imd: Cluster) {
    imd.user("ann").await;
    let [_, typed, _] = TYPED;
    let hash = Argon2::default().hash_password(typed.as_bytes()).expect("a hash").to_string();
    let set = "UPDATE users SET password_hash = $1 WHERE user_id = 'ann'";
    imd.database.sql().await.execute(set, &[&hash]).await.expect("an old hash");
    imd.api.login(&login("ann", "phone", "p").password(typed)).await.expect("as it was set");
}

async fn user_ids_differ_by_case(imd: Cluster) {
    imd.admin().create_user("alice", "the password of one").await.expect("a user");
    imd.admin().create_user("Alice", "the password of another").await.expect("another user");
    let of_other = login("Alice", "phone", "p").password("the password of one");
    assert_eq!(imd.api.login(&of_other).await.expect_err("alice's").code, "invalid_credentials");
    let of_one = login("alice", "phone", "p").password("the password of one");
    let alice = imd.try_log_in(&of_one).await.expect("a session");
    alice.say("Alice", "to another").await;
    let of_another = login("Alice", "phone", "p").password("the password of another");
    let other = imd.try_log_in(&of_another).await.expect("a session");
    let history = other.history("alice", 10, "").await.expect("a page");
    assert_eq!(history.entries.len(), 1);
}
