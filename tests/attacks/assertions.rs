//! Assertions that open no session.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{
    cluster::Cluster,
    issuer::{AUDIENCE, Issuer, SigningKey, asserted, now},
    on_both_transports,
};

on_both_transports! {
    an_unsigned_assertion_is_refused,
    a_public_key_is_no_secret,
    an_algorithm_that_is_not_pinned_is_refused,
    a_key_in_the_assertion_is_not_trusted,
    an_issuer_does_not_speak_for_another,
    a_stranger_is_not_an_issuer,
    an_assertion_for_another_audience_is_refused,
    an_expired_assertion_is_refused,
    an_assertion_of_the_future_is_refused,
    an_old_assertion_is_refused_whenever_it_ends,
    an_assertion_that_lacks_a_claim_is_refused,
    an_assertion_that_asks_for_extensions_is_refused,
    a_replayed_assertion_is_refused,
    a_changed_assertion_is_refused,
    claims_that_are_no_names_are_refused,
    an_endless_assertion_is_refused,
    what_is_no_assertion_is_refused,
}

async fn assert_refused(imd: &Cluster, assertion: &str) {
    let login = asserted(assertion.to_owned(), "phone", "p");
    let refused = imd.api.login(&login).await.expect_err("not a good assertion");
    assert_eq!(refused.code, "invalid_assertion", "{refused:?}");
}

async fn assert_all_refused(imd: &Cluster, others: &[Value]) {
    let issuer = Issuer::trusted_by(imd);
    for other in others {
        assert_refused(imd, &issuer.vouch_with("ann", other)).await;
    }
    assert_eq!(imd.admin().users(0, "").await.expect("users").users, [], "nobody was made");
    let good = asserted(issuer.vouch("ann"), "phone", "p");
    imd.try_log_in(&good).await.expect("the issuer is trusted");
}

fn part(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

async fn an_unsigned_assertion_is_refused(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let claims = part(&issuer.claims("ann"));
    for algorithm in ["none", "None", "NONE", ""] {
        let header = part(&json!({ "alg": algorithm, "typ": "JWT" }));
        for signature in ["", "AA"] {
            assert_refused(&imd, &format!("{header}.{claims}.{signature}")).await;
        }
    }
}

async fn a_public_key_is_no_secret(imd: Cluster) {
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256] {
        let issuer = Issuer::new("https://product.example", algorithm);
        // Even where the issuer may use secrets, too.
        let settings = issuer.settings_with(&issuer.key.file, &[algorithm, Algorithm::HS256]);
        imd.node.reload(|all| all.login.issuers = vec![settings]).expect("usable keys");
        let der = pem::parse(&issuer.key.file).expect("PEM").into_contents();
        for public in [issuer.key.file.as_bytes(), &der] {
            let secret = EncodingKey::from_secret(public);
            let header = Header::new(Algorithm::HS256);
            let token = encode(&header, &issuer.claims("ann"), &secret).expect("a token");
            assert_refused(&imd, &token).await;
        }
    }
}

async fn an_algorithm_that_is_not_pinned_is_refused(imd: Cluster) {
    let issuer = Issuer::new("https://product.example", Algorithm::RS256);
    issuer.be_trusted(&imd);
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let header = Header::new(algorithm);
        let token = encode(&header, &issuer.claims("ann"), &issuer.key.signing).expect("a token");
        assert_refused(&imd, &token).await;
    }
    imd.try_log_in(&asserted(issuer.vouch("ann"), "phone", "p")).await.expect("RS256 is good");
}

async fn a_key_in_the_assertion_is_not_trusted(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let own = SigningKey::new(Algorithm::EdDSA);
    let mut header = Header::new(Algorithm::EdDSA);
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": own.x() });
    header.jwk = Some(serde_json::from_value(jwk).expect("a key"));
    header.jku = Some("https://attacker.example/keys".to_owned());
    header.kid = Some("../../../../dev/null".to_owned());
    let token = encode(&header, &issuer.claims("ann"), &own.signing).expect("a token");
    assert_refused(&imd, &token).await;
}

async fn an_issuer_does_not_speak_for_another(imd: Cluster) {
    let one = Issuer::new("https://one.example", Algorithm::EdDSA);
    let two = Issuer::new("https://two.example", Algorithm::EdDSA);
    let both = vec![one.settings(), two.settings()];
    imd.node.reload(|all| all.login.issuers = both).expect("usable keys");
    assert_refused(&imd, &two.key.sign(&one.claims("ann"))).await;
    let header = part(&json!({ "alg": "EdDSA" }));
    let of_both = json!({ "iss": [one.name, two.name] });
    assert_refused(&imd, &two.vouch_with("ann", &of_both)).await;
    assert_refused(&imd, &format!("{header}.{}.", part(&of_both))).await;
}

async fn a_stranger_is_not_an_issuer(imd: Cluster) {
    let stranger = Issuer::new("https://product.example", Algorithm::EdDSA);
    assert_refused(&imd, &stranger.vouch("ann")).await;
    let issuer = Issuer::trusted_by(&imd);
    assert_refused(&imd, &stranger.vouch("ann")).await;
    let other = json!({ "iss": "https://product.example/" });
    assert_refused(&imd, &issuer.vouch_with("ann", &other)).await;
}

async fn an_assertion_for_another_audience_is_refused(imd: Cluster) {
    let others = [json!("other"), json!(["other"]), json!([]), json!(""), Value::Null];
    assert_all_refused(&imd, &others.map(|aud| json!({ "aud": aud }))).await;
    let issuer = Issuer::trusted_by(&imd);
    let of_several = json!({ "aud": ["other", AUDIENCE] });
    let login = asserted(issuer.vouch_with("ann", &of_several), "phone", "p");
    imd.try_log_in(&login).await.expect("one of its audiences");
}

async fn an_expired_assertion_is_refused(imd: Cluster) {
    let ends = [json!(now() - 6), json!(0), json!(-1), json!("tomorrow")];
    assert_all_refused(&imd, &ends.map(|exp| json!({ "exp": exp }))).await;
}

async fn an_assertion_of_the_future_is_refused(imd: Cluster) {
    let soon = now() + 60;
    assert_all_refused(&imd, &[json!({ "nbf": soon }), json!({ "iat": soon })]).await;
}

async fn an_old_assertion_is_refused_whenever_it_ends(imd: Cluster) {
    let (old, never) = (now() - 126, 4_102_444_800_u64);
    let ages = [json!({ "iat": old, "exp": never }), json!({ "iat": 0, "exp": u64::MAX })];
    assert_all_refused(&imd, &ages).await;
}

async fn an_assertion_that_lacks_a_claim_is_refused(imd: Cluster) {
    let claims = ["iss", "aud", "sub", "iat", "exp", "jti"];
    assert_all_refused(&imd, &claims.map(|claim| json!({ claim: null }))).await;
}

async fn an_assertion_that_asks_for_extensions_is_refused(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let mut header = Header::new(Algorithm::EdDSA);
    header.crit = Some(vec!["b64".to_owned()]);
    let token = encode(&header, &issuer.claims("ann"), &issuer.key.signing).expect("a token");
    assert_refused(&imd, &token).await;
}

async fn a_replayed_assertion_is_refused(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let claims = issuer.claims("ann");
    let first = asserted(issuer.key.sign(&claims), "phone", "p");
    let phone = imd.try_log_in(&first).await.expect("a session");
    assert_refused(&imd, &issuer.key.sign(&claims)).await;
    let later = json!({ "jti": claims["jti"], "iat": now() - 1, "terminal_type": "phone" });
    assert_refused(&imd, &issuer.vouch_with("ann", &later)).await;
    assert!(phone.sessions().await.is_ok());
}

async fn a_changed_assertion_is_refused(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let assertion = issuer.vouch("ann");
    let parts: Vec<&str> = assertion.split('.').collect();
    let of_bob = part(&issuer.claims("bob"));
    assert_refused(&imd, &[parts[0], &of_bob, parts[2]].join(".")).await;
    assert_refused(&imd, &[parts[0], parts[1], &parts[2][4..]].join(".")).await;
    assert_refused(&imd, &format!("{assertion}.{}", parts[2])).await;
}

async fn claims_that_are_no_names_are_refused(imd: Cluster) {
    let long = "x".repeat(65);
    assert_all_refused(
        &imd,
        &[
            json!({ "sub": "" }),
            json!({ "sub": "ann'; DROP TABLE users; --" }),
            json!({ "sub": "ann\u{0}" }),
            json!({ "sub": long }),
            json!({ "sub": 7 }),
            json!({ "name": long }),
            json!({ "name": "a\u{0}b" }),
            json!({ "name": "\u{202e}nna" }),
            json!({ "name": 7 }),
            json!({ "jti": "" }),
            json!({ "jti": "x".repeat(257) }),
            json!({ "jti": 7 }),
            json!({ "terminal_type": "toaster" }),
        ],
    )
    .await;
}

async fn an_endless_assertion_is_refused(imd: Cluster) {
    assert_all_refused(&imd, &[json!({ "padding": "x".repeat(8 * 1024) })]).await;
}

async fn what_is_no_assertion_is_refused(imd: Cluster) {
    let issuer = Issuer::trusted_by(&imd);
    let phone = imd.user_with_phone("ann").await;
    let nested = "[".repeat(4000);
    let nested = format!("{0}.{0}.", BASE64_URL_SAFE_NO_PAD.encode(&nested[..2000]));
    for token in ["", ".", "..", "...", "a.b.c", "\u{0}", "é.é.é", &phone.token, &nested] {
        assert_refused(&imd, token).await;
    }
    assert_refused(&imd, &format!(" {}", issuer.vouch("ann"))).await;
}
