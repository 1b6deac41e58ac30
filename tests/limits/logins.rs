//! Who guesses passwords waits longer and longer, and nobody else does.

use std::sync::Arc;

use imd::config::{Networks, Settings};

use super::{counted, limited_to, over_each, refused_for};
use crate::support::{
    api::{Api, Transport},
    cluster::{Cluster, login},
    eventually,
};

over_each! {
    a_guesser_waits_longer_and_longer: Grpc grpc, Rest rest;
    a_stranger_locks_nobody_out: Grpc grpc, Rest rest;
    an_address_has_so_many_failures_a_minute: Grpc grpc, Rest rest;
    what_tells_nothing_of_a_password_does_not_count: Grpc grpc, Rest rest;
    a_site_of_ipv6_guesses_four_times_as_often_as_a_network: Rest rest;
    a_user_logs_in_so_often_a_minute: Grpc grpc, Rest rest;
}

/// Behind a proxy on this machine.
fn proxied(settings: &mut Settings) {
    settings.trusted_proxies = Networks::try_from("127.0.0.1".to_owned()).expect("a network");
}

fn from(imd: &Cluster, address: &str) -> Arc<dyn Api> {
    imd.transport.connect_from(imd.node.public_address(), address)
}

/// Tries a wrong password; what comes of it.
async fn guess(api: &Arc<dyn Api>, user_id: &str) -> crate::support::failure::Failure {
    let wrong = login(user_id, "phone", "guesser").password("not the password");
    api.login(&wrong).await.expect_err("a wrong password")
}

async fn guess_in_vain(api: &Arc<dyn Api>, user_id: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(guess(api, user_id).await.code, "invalid_credentials");
    }
}

async fn a_guesser_waits_longer_and_longer(transport: Transport) {
    let imd = limited_to(transport, |settings| {
        proxied(settings);
        settings.limits.failed_logins = 3;
    })
    .await;
    imd.user("ann").await;
    let guesser = from(&imd, "192.0.2.1");
    for user_id in ["ann", "nobody"] {
        guess_in_vain(&guesser, user_id, 3).await;
        let before = counted(&imd, "failed_logins").await;
        assert!(refused_for("failed_logins", &guess(&guesser, user_id).await) <= 1.0);
        assert!(counted(&imd, "failed_logins").await > before);
        // The right password does not help as long as it is not its turn.
        let right = guesser.login(&login(user_id, "phone", "p")).await.expect_err("too early");
        refused_for("failed_logins", &right);
    }
    eventually("the first wait is over", async || {
        (guess(&guesser, "ann").await.code == "invalid_credentials").then_some(())
    })
    .await;
    let second = refused_for("failed_logins", &guess(&guesser, "ann").await);
    assert!(second > 1.0 && second <= 2.0, "{second}");
}

async fn a_stranger_locks_nobody_out(transport: Transport) {
    let imd = limited_to(transport, |settings| {
        proxied(settings);
        settings.limits.failed_logins = 2;
    })
    .await;
    imd.users(["ann", "bob"]).await;
    let stranger = from(&imd, "2001:db8:bad:1::1");
    guess_in_vain(&stranger, "ann", 2).await;
    // All of a /64 is one.
    refused_for("failed_logins", &guess(&from(&imd, "2001:db8:bad:1::2"), "ann").await);
    refused_for("failed_logins", &guess(&stranger, "ann").await);
    for elsewhere in ["2001:db8:bad:2::1", "192.0.2.7"] {
        let api = from(&imd, elsewhere);
        api.login(&login("ann", "phone", "ann-phone")).await.expect("ann is at home there");
        guess_in_vain(&api, "ann", 1).await;
        api.login(&login("ann", "phone", "ann-phone")).await.expect("a slip is forgiven");
        guess_in_vain(&api, "ann", 1).await;
        api.login(&login("ann", "phone", "ann-phone")).await.expect("and forgotten");
    }
    stranger.login(&login("bob", "phone", "bob-phone")).await.expect("it is about ann's account");
}

async fn an_address_has_so_many_failures_a_minute(transport: Transport) {
    let imd = limited_to(transport, |settings| {
        proxied(settings);
        settings.limits.failed_logins_per_address = 4;
    })
    .await;
    imd.user("ann").await;
    let sprayer = from(&imd, "192.0.2.1");
    let before = counted(&imd, "failed_logins_per_address").await;
    for _ in 0..6 {
        // Those that succeed cost nothing.
        sprayer.login(&login("ann", "phone", "p")).await.expect("a login");
    }
    for n in 0..4 {
        guess_in_vain(&sprayer, &format!("user-{n}"), 1).await;
    }
    let refused = guess(&sprayer, "user-4").await;
    assert!(refused_for("failed_logins_per_address", &refused) <= 15.0);
    assert!(counted(&imd, "failed_logins_per_address").await > before);
    let refused = sprayer.login(&login("ann", "phone", "p")).await.expect_err("it is used up");
    refused_for("failed_logins_per_address", &refused);
    from(&imd, "192.0.2.2").login(&login("ann", "phone", "p")).await.expect("another address");
}

async fn what_tells_nothing_of_a_password_does_not_count(transport: Transport) {
    let imd = limited_to(transport, |settings| {
        settings.limits.failed_logins = 2;
        settings.limits.failed_logins_per_address = 4;
    })
    .await;
    imd.user("ann").await;
    for _ in 0..5 {
        let unknown_type = imd.api.login(&login("ann", "toaster", "p")).await;
        let unknown_type = unknown_type.expect_err("no such type");
        assert_eq!(unknown_type.field(), "terminal.type");
        assert!(unknown_type.message.contains("pad, pc, phone, watch, web"), "{unknown_type:?}");
    }
    guess_in_vain(&imd.api, "ann", 1).await;
    imd.api.login(&login("ann", "phone", "p")).await.expect("a login");
    guess_in_vain(&imd.api, "ann", 2).await;
    refused_for("failed_logins", &guess(&imd.api, "ann").await);
}

async fn a_site_of_ipv6_guesses_four_times_as_often_as_a_network(transport: Transport) {
    let imd = limited_to(transport, |settings| {
        proxied(settings);
        settings.limits.failed_logins = 2;
    })
    .await;
    imd.user("ann").await;
    for network in 0..8 {
        guess_in_vain(&from(&imd, &format!("2001:db8:bad:{network:x}::1")), "ann", 1).await;
    }
    let ninth = guess(&from(&imd, "2001:db8:bad:9::1"), "ann").await;
    refused_for("failed_logins", &ninth);
    let at_home = from(&imd, "2001:db8:900d::1").login(&login("ann", "phone", "p")).await;
    at_home.expect("another site");
}

async fn a_user_logs_in_so_often_a_minute(transport: Transport) {
    let imd = limited_to(transport, |settings| {
        proxied(settings);
        settings.limits.logins_per_user = 3;
    })
    .await;
    imd.users(["ann", "bob"]).await;
    let before = counted(&imd, "logins_per_user").await;
    guess_in_vain(&imd.api, "ann", 4).await;
    for n in 0..3 {
        let api = from(&imd, &format!("192.0.2.{n}"));
        api.login(&login("ann", "phone", "p")).await.expect("failures do not count");
    }
    let refused = imd.api.login(&login("ann", "phone", "p")).await.expect_err("one too many");
    assert!(refused_for("logins_per_user", &refused) <= 20.0);
    assert!(counted(&imd, "logins_per_user").await > before);
    imd.api.login(&login("bob", "phone", "p")).await.expect("another user");
}
