//! Logging in by the word of a product's own backend. What is wrong with an assertion is tested among
//! the attacks.

use futures::future::join_all;
use imd::config::Settings;
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};

use crate::support::{
    api::{Credential, Login, Transport},
    cluster::{Cluster, login},
    issuer::{Issuer, SigningKey, asserted, now},
    node::Node,
    on_both_transports,
    postgres::Database,
};

const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256, Algorithm::HS256];

on_both_transports! {
    times_may_have_fractions,
    a_refused_assertion_says_which_claim_is_wrong,
    an_assertion_opens_a_session,
    every_algorithm_is_understood,
    a_user_is_made_at_its_first_login,
    first_logins_at_once_make_one_user,
    an_issuer_that_may_not_make_users_makes_none,
    an_assertion_opens_one_session_on_whatever_node,
    a_login_that_is_refused_uses_no_assertion_up,
    an_assertion_is_good_for_its_user_alone,
    an_assertion_is_good_for_its_terminal_type_alone,
    a_user_has_the_tier_of_its_newest_assertion,
    a_disabled_user_stays_out,
    one_credential_is_needed,
}

async fn an_assertion_opens_a_session(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    imd.user("ann").await;
    let by_password = imd.log_in("ann", "pc", "desk").await;
    let login = Login {
        user_id: "ann".to_owned(),
        ..asserted(issuer.vouch_with("ann", &json!({ "name": "Ann Ä." })), "phone", "p")
    };
    let phone = imd.try_log_in(&login).await.expect("a session");
    assert_eq!(phone.sessions().await.expect("live").len(), 2);
    assert!(by_password.sessions().await.is_ok());
    imd.api.refresh(&phone.refresh_token).await.expect("new tokens");
    assert_eq!(imd.admin().user("ann").await.expect("the user").name, "Ann Ä.");
    imd.try_log_in(&asserted(issuer.vouch("ann"), "phone", "p")).await.expect("a session");
    assert_eq!(imd.admin().user("ann").await.expect("the user").name, "Ann Ä.");
}

async fn every_algorithm_is_understood(imd: Cluster) {
    for algorithm in ALGORITHMS {
        let issuer = Issuer::new("https://product.example", algorithm);
        issuer.be_trusted(&imd);
        let login = asserted(issuer.vouch("ann"), "phone", "p");
        imd.try_log_in(&login).await.unwrap_or_else(|error| panic!("{algorithm:?}: {error:?}"));
    }
}

async fn a_user_is_made_at_its_first_login(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let phone = imd.try_log_in(&asserted(issuer.vouch("new"), "phone", "p")).await.expect("new");
    assert_eq!(phone.pull("").await.expect("a timeline").state.last_seq, 1);
    imd.user_with_phone("ann").await.say("new", "hello").await;
    imd.try_log_in(&asserted(issuer.vouch("new"), "pc", "d")).await.expect("no longer new");

    let records = imd.admin().audit("new", 0, "").await.expect("the records").records;
    let record = &records[0];
    assert_eq!(records.len(), 1);
    assert_eq!(record.actor, "issuer https://product.example");
    assert_eq!(record.action, "provision_user");
    let refused = imd.api.login(&login("new", "phone", "p")).await.expect_err("no password");
    assert_eq!(refused.code, "invalid_credentials");
}

async fn first_logins_at_once_make_one_user(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let devices: Vec<String> = (0..8).map(|n| format!("phone-{n}")).collect();
    let log_in = async |device: &String| {
        imd.try_log_in(&asserted(issuer.vouch("new"), "phone", device)).await.expect("a session")
    };
    let terminals = join_all(devices.iter().map(log_in)).await;
    assert_eq!(terminals.iter().map(|terminal| terminal.replaced.len()).sum::<usize>(), 7);
    assert_eq!(imd.admin().users(0, "").await.expect("users").users.len(), 1);
}

async fn an_issuer_that_may_not_make_users_makes_none(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let mut settings = issuer.settings();
    settings.provision = false;
    imd.node.reload(|all| all.login.issuers = vec![settings]).expect("reloaded");
    let stranger = asserted(issuer.vouch("new"), "phone", "p");
    assert_eq!(imd.api.login(&stranger).await.expect_err("unknown").code, "invalid_assertion");
    assert_eq!(imd.admin().user("new").await.expect_err("nobody").code, "user_not_found");
    imd.user("ann").await;
    imd.try_log_in(&asserted(issuer.vouch("ann"), "phone", "p")).await.expect("a session");
}

async fn an_assertion_opens_one_session_on_whatever_node(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let settings = issuer.settings();
    let trusting = |all: &mut Settings| all.login.issuers = vec![settings];
    let other = Node::start_with(&imd.database, trusting).await;
    let there = other.api(imd.transport);
    let login = asserted(issuer.vouch("ann"), "phone", "p");
    let logins =
        (0..8).map(|n| if n % 2 == 0 { imd.api.login(&login) } else { there.login(&login) });
    let answers = join_all(logins).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_eq!(refused.code, "invalid_assertion");
        assert!(refused.message.contains("used before"), "{refused:?}");
    }
    assert_eq!(there.login(&login).await.expect_err("used").code, "invalid_assertion");
}

async fn a_login_that_is_refused_uses_no_assertion_up(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let first = imd.user_with_phone("ann").await;
    let assertion = issuer.vouch("ann");
    let careful = Login { refuse: true, ..asserted(assertion.clone(), "phone", "second") };
    assert_eq!(imd.api.login(&careful).await.expect_err("taken").code, "terminal_occupied");
    imd.try_log_in(&asserted(assertion, "phone", "second")).await.expect("a session");
    assert_eq!(first.sessions().await.expect_err("ended").end_reason(), "REPLACED");
}

async fn an_assertion_is_good_for_its_user_alone(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    imd.users(["ann", "bob"]).await;
    let login = Login { user_id: "bob".to_owned(), ..asserted(issuer.vouch("ann"), "phone", "p") };
    assert_eq!(imd.api.login(&login).await.expect_err("another").code, "invalid_assertion");
}

async fn an_assertion_is_good_for_its_terminal_type_alone(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let assertion = issuer.vouch_with("ann", &json!({ "terminal_type": "web" }));
    let refused = imd.api.login(&asserted(assertion.clone(), "phone", "p")).await;
    assert_eq!(refused.expect_err("another type").code, "invalid_assertion");
    imd.try_log_in(&asserted(assertion, "web", "w")).await.expect("a session");
}

async fn a_user_has_the_tier_of_its_newest_assertion(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let sql = imd.database.sql().await;
    sql.batch_execute("INSERT INTO tiers (name) VALUES ('free'), ('premium')")
        .await
        .expect("tiers");
    let log_in = async |claims: Value| {
        let login = asserted(issuer.vouch_with("ann", &claims), "phone", "p");
        imd.api.login(&login).await.map(drop).map_err(|refused| refused.code)
    };
    let tier = async || {
        let user = imd.admin().user("ann").await.expect("the user");
        user.retention.expect("a tier").tier
    };
    for unknown in ["gold", "", "'; --", "a\u{0}b"] {
        let refused = log_in(json!({ "tier": unknown })).await;
        assert_eq!(refused, Err("invalid_assertion".to_owned()), "{unknown:?}");
    }
    assert_eq!(imd.admin().user("ann").await.expect_err("nobody").code, "user_not_found");
    log_in(json!({ "tier": "free" })).await.expect("a session");
    assert_eq!(tier().await, "free");
    log_in(json!({ "tier": "premium" })).await.expect("a session");
    assert_eq!(tier().await, "premium");
    log_in(json!({})).await.expect("a session");
    assert_eq!(tier().await, "premium");
    assert_eq!(log_in(json!({ "tier": "gold" })).await, Err("invalid_assertion".to_owned()));
}

async fn a_disabled_user_stays_out(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    imd.user("ann").await;
    imd.admin().disable("ann", "").await.expect("disabled");
    let login = asserted(issuer.vouch("ann"), "phone", "p");
    assert_eq!(imd.api.login(&login).await.expect_err("disabled").code, "invalid_assertion");
    imd.admin().enable("ann").await.expect("enabled");
    imd.try_log_in(&login).await.expect("a session");
}

async fn one_credential_is_needed(imd: Cluster) {
    imd.user("ann").await;
    let nothing = Login { credential: Credential::Nothing, ..login("ann", "phone", "p") };
    assert_eq!(imd.api.login(&nothing).await.expect_err("nothing").field(), "password");
}

#[tokio::test]
async fn keys_are_exchanged_while_the_node_runs() {
    let imd = Cluster::start(Transport::Grpc).await;
    let issuer = Issuer::trusted_by(&imd);
    let next = SigningKey::new(Algorithm::EdDSA);
    let log_in = async |key: &SigningKey| {
        let login = asserted(key.sign(&issuer.claims("ann")), "phone", "p");
        imd.api.login(&login).await.map(drop).map_err(|refused| refused.code)
    };
    let trust = |keys: &str| {
        let settings = issuer.settings_with(keys, &[Algorithm::EdDSA]);
        imd.node.reload(|all| all.login.issuers = vec![settings])
    };
    let unknown = Err("invalid_assertion".to_owned());
    assert_eq!((log_in(&issuer.key).await, log_in(&next).await), (Ok(()), unknown.clone()));
    trust(&format!("{}\n{}", issuer.key.file, next.file)).expect("both");
    assert_eq!((log_in(&issuer.key).await, log_in(&next).await), (Ok(()), Ok(())));
    trust(&next.file).expect("the next one");
    assert_eq!((log_in(&issuer.key).await, log_in(&next).await), (unknown.clone(), Ok(())));

    let private = issuer.key.file.replace("PUBLIC", "PRIVATE");
    let other = SigningKey::new(Algorithm::ES256).file;
    let short = json!({ "keys": [{ "kty": "oct", "k": "c2hvcnQ" }] }).to_string();
    for unusable in ["", "{}", "garbage", &private, &other, &short, r#"{"keys":[]}"#] {
        let error = trust(unusable).expect_err(unusable);
        assert!(error.contains("https://product.example"), "{error}");
    }
    assert_eq!((log_in(&issuer.key).await, log_in(&next).await), (unknown, Ok(())));
}

#[tokio::test]
async fn a_key_is_found_by_its_id() {
    let imd = Cluster::start(Transport::Rest).await;
    let issuer = Issuer::new("https://product.example", Algorithm::HS256);
    let jwks = |ids: [&str; 2]| {
        let mut own: Value = serde_json::from_str(&issuer.key.file).expect("JSON");
        let other = SigningKey::new(Algorithm::HS256).file;
        let mut other: Value = serde_json::from_str(&other).expect("JSON");
        own["keys"][0]["kid"] = ids[0].into();
        other["keys"][0]["kid"] = ids[1].into();
        json!({ "keys": [other["keys"][0], own["keys"][0]] }).to_string()
    };
    for (ids, named, succeeds) in [
        (["2026", "2025"], Some("2026"), true),
        (["2026", "2025"], None, true),
        (["2026", "2025"], Some("2025"), false),
        (["2026", "2025"], Some("2024"), false),
        (["2026", "2026"], Some("2026"), true),
    ] {
        let settings = issuer.settings_with(&jwks(ids), &[Algorithm::HS256]);
        imd.node.reload(|all| all.login.issuers = vec![settings]).expect("usable keys");
        let header = Header { kid: named.map(str::to_owned), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &issuer.claims("ann"), &issuer.key.signing);
        let login = asserted(token.expect("a token"), "phone", "p");
        assert_eq!(imd.api.login(&login).await.is_ok(), succeeds, "{named:?} among {ids:?}");
    }
}

#[tokio::test]
async fn passwords_can_be_switched_off() {
    let database = Database::create().await;
    let node = Node::start_with(&database, |all| all.login.passwords = false).await;
    let imd = Cluster::of(Transport::Grpc, database, node);
    let issuer = Issuer::trusted_by(&imd);
    imd.user("ann").await;
    let refused = imd.api.login(&login("ann", "phone", "p")).await.expect_err("a password");
    assert_eq!(refused.field(), "password");
    imd.try_log_in(&asserted(issuer.vouch("ann"), "phone", "p")).await.expect("a session");

    let admin = imd.admin();
    assert_eq!(admin.create_user("bob", "long enough").await.expect_err("off").field(), "password");
    assert_eq!(
        admin.set_password("ann", "long enough").await.expect_err("off").field(),
        "password"
    );
    admin.create("", "bob", None).await.expect("a user without a password");
    imd.try_log_in(&asserted(issuer.vouch("bob"), "phone", "p")).await.expect("a session");
}

/// RFC 7519, `NumericDate`.
async fn times_may_have_fractions(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    for (n, fraction) in [".0", ".25", ".999999"].into_iter().enumerate() {
        let at = |seconds: u64| serde_json::from_str::<Value>(&format!("{seconds}{fraction}"));
        let times = json!({
            "iat": at(now()).expect("a number"),
            "exp": at(now() + 60).expect("a number"),
            "nbf": at(now()).expect("a number"),
        });
        let login = asserted(issuer.vouch_with("ann", &times), "phone", &format!("p{n}"));
        imd.try_log_in(&login).await.expect("a session");
    }
}

async fn a_refused_assertion_says_which_claim_is_wrong(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    for (claim, wrong) in [
        ("iat", json!("today")),
        ("iat", json!(-1)),
        ("exp", json!("tomorrow")),
        ("exp", json!(1)),
        ("aud", json!("another")),
        ("jti", json!(7)),
        ("jti", Value::Null),
        ("iat", Value::Null),
        ("sub", Value::Null),
        ("name", json!(7)),
        ("tier", json!("no such tier")),
        ("terminal_type", json!(["phone"])),
    ] {
        let changed = json!({ claim: wrong });
        let login = asserted(issuer.vouch_with("ann", &changed), "phone", "p");
        let refused = imd.api.login(&login).await.expect_err("not a good assertion");
        assert_eq!(refused.code, "invalid_assertion");
        let named = match (claim, &wrong) {
            ("exp", Value::Number(_)) => "expired",
            ("aud", _) => "audience",
            _ => claim,
        };
        assert!(refused.message.contains(named), "{changed}: {refused:?}");
    }
}
