//! Who may log in.

use std::time::{Duration, Instant};

use crate::support::{
    api::{Api, Login, Transport},
    cluster::{Cluster, login},
    on_both_transports,
};

on_both_transports! {
    nobody_learns_whether_a_user_exists,
    nobody_learns_a_password_by_an_unknown_terminal_type,
    a_bad_login_names_the_field,
    a_device_needs_no_name,
    a_disabled_user_is_out_and_comes_back_when_enabled,
    anybody_may_ask_for_types_and_limits,
}

async fn nobody_learns_whether_a_user_exists(imd: Cluster) {
    imd.users(["ann", "gone"]).await;
    imd.admin().disable("gone", "").await.expect("disabled");
    let wrong = login("ann", "phone", "p").password("wrong password");
    let wrong = imd.api.login(&wrong).await.expect_err("a wrong password");
    assert_eq!(wrong.code, "invalid_credentials");
    assert_eq!(
        imd.api.login(&login("nobody", "phone", "p")).await.expect_err("no such user"),
        wrong
    );
    assert_eq!(imd.api.login(&login("gone", "phone", "p")).await.expect_err("disabled"), wrong);
    let endless = login("ann", "phone", "p").password(&"x".repeat(1025));
    assert_eq!(imd.api.login(&endless).await.expect_err("too long"), wrong);
}

async fn nobody_learns_a_password_by_an_unknown_terminal_type(imd: Cluster) {
    imd.user("ann").await;
    let right = login("ann", "toaster", "p");
    let refused = imd.api.login(&right).await.expect_err("no such type");
    assert_eq!(refused.field(), "terminal.type");
    let wrong = right.clone().password("wrong password");
    assert_eq!(imd.api.login(&wrong).await.expect_err("a wrong password"), refused);
    let nobody = Login { user_id: "nobody".to_owned(), ..right };
    assert_eq!(imd.api.login(&nobody).await.expect_err("no such user"), refused);
}

async fn a_bad_login_names_the_field(imd: Cluster) {
    imd.user("ann").await;
    let good = login("ann", "phone", "p");
    let long_name = "n".repeat(65);
    let cases = [
        ("user_id", Login { user_id: String::new(), ..good.clone() }),
        ("user_id", Login { user_id: "no spaces".to_owned(), ..good.clone() }),
        ("user_id", Login { user_id: "u".repeat(65), ..good.clone() }),
        ("terminal.type", Login { terminal_type: "toaster".to_owned(), ..good.clone() }),
        ("terminal.type", Login { terminal_type: String::new(), ..good.clone() }),
        ("terminal.device_id", Login { device_id: String::new(), ..good.clone() }),
        ("terminal.device_id", Login { device_id: "a/b".to_owned(), ..good.clone() }),
        ("terminal.device_name", Login { device_name: long_name, ..good.clone() }),
        ("terminal.device_name", Login { device_name: "a\nb".to_owned(), ..good.clone() }),
    ];
    for (field, login) in cases {
        assert_eq!(imd.api.login(&login).await.expect_err(field).field(), field, "{login:?}");
    }
}

async fn a_device_needs_no_name(imd: Cluster) {
    imd.user("ann").await;
    let nameless = Login { device_name: String::new(), ..login("ann", "phone", "p") };
    let session = imd.api.login(&nameless).await.expect("a session").session;
    assert_eq!(session.terminal.device_name, "");
}

async fn a_disabled_user_is_out_and_comes_back_when_enabled(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let mut feed = phone.follow("now").await;
    imd.admin().disable("ann", "unpaid").await.expect("disabled");

    let refused = phone.sessions().await.expect_err("ended");
    assert_eq!(refused.end_reason(), "USER_DISABLED");
    assert_eq!(refused.detail("note"), "unpaid");
    let (_, last) = feed.to_the_end().await;
    assert!(
        matches!(&last, crate::support::types::Event::SessionEnded(end)
        if end.reason == "USER_DISABLED" && end.note == "unpaid"),
        "{last:?}"
    );

    let refused = imd.api.login(&login("ann", "phone", "p")).await.expect_err("disabled");
    assert_eq!(refused.code, "invalid_credentials");
    imd.admin().enable("ann").await.expect("enabled");
    imd.log_in("ann", "phone", "p").await;
    assert_eq!(phone.sessions().await.expect_err("ended").end_reason(), "USER_DISABLED");
}

async fn anybody_may_ask_for_types_and_limits(imd: Cluster) {
    let info = imd.api.info().await.expect("facts");
    assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
    let limits: Vec<_> =
        info.terminal_types.iter().map(|t| (t.name.as_str(), t.session_limit)).collect();
    assert_eq!(limits, [("pad", 1), ("pc", 1), ("phone", 1), ("watch", 1), ("web", 3)]);
    assert_eq!(info.max_body_bytes, 16_384);
    assert_eq!(info.heartbeat_interval, 1);
}

/// The median time that a login takes to be refused.
async fn time_to_refuse(api: &dyn Api, user_id: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..9 {
        let wrong = login(user_id, "phone", "p").password("wrong password");
        let began = Instant::now();
        api.login(&wrong).await.expect_err("a wrong password");
        times.push(began.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
async fn time_does_not_tell_whether_a_user_exists() {
    let imd = Cluster::start(Transport::Grpc).await;
    // With a password that costs what passwords cost.
    imd.admin().create_user("ann", "a real password").await.expect("a user");
    let known = time_to_refuse(&*imd.api, "ann").await;
    let unknown = time_to_refuse(&*imd.api, "nobody").await;
    // Without the work a refusal takes a hundredth of the time.
    let (short, long) = (known.min(unknown), known.max(unknown));
    assert!(long < short * 4, "{known:?} when the user exists, {unknown:?} when not");
}
