//! Access tokens that imd did not issue, or not as they are. Some are signed with the true key, which
//! the tests take from the database: so that nothing but the claim in question is wrong.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header, encode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    api::{Outgoing, Result},
    cluster::Cluster,
    failure::Failure,
    issuer::{SigningKey, now, with},
    on_both_transports,
    terminal::Terminal,
};

on_both_transports! {
    a_token_signed_as_imd_signs_is_good,
    an_unsigned_token_is_refused,
    a_public_key_is_no_secret,
    a_key_in_the_token_is_not_trusted,
    another_key_of_the_same_kind_is_refused,
    the_key_is_named_and_known,
    a_token_for_another_audience_is_refused,
    a_token_of_another_issuer_is_refused,
    an_expired_token_is_refused,
    a_token_of_the_future_is_refused,
    a_token_that_lacks_a_claim_is_refused,
    a_token_of_no_session_is_refused,
    a_token_of_anothers_session_is_refused,
    a_refresh_token_is_no_access_token,
}

/// The key that signs access tokens.
async fn true_key(imd: &Cluster) -> Vec<u8> {
    let sql = imd.database.sql().await;
    let query = "SELECT secret FROM keys WHERE purpose = 'access_token'";
    sql.query_one(query, &[]).await.expect("a key").get(0)
}

/// A header that names the key that signed the terminal's own token.
fn header(terminal: &Terminal, algorithm: Algorithm) -> Header {
    let kid = decode_header(&terminal.token).expect("a header").kid;
    Header { kid, ..Header::new(algorithm) }
}

fn claims_of(terminal: &Terminal) -> Value {
    let claims = terminal.token.split('.').nth(1).expect("claims");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON")
}

/// A token signed with the true key that claims something else than the terminal's own.
async fn claiming(imd: &Cluster, terminal: &Terminal, other: &Value) -> String {
    let key = EncodingKey::from_ed_der(&true_key(imd).await);
    let claims = with(claims_of(terminal), other);
    encode(&header(terminal, Algorithm::EdDSA), &claims, &key).expect("a token")
}

/// Makes calls that check the session each in its own way.
async fn attempts(terminal: &Terminal, token: &str) -> [Result<()>; 4] {
    let (api, note) = (&terminal.api, Outgoing::text("ann", "a note"));
    [
        api.send(token, &note).await.map(drop),
        api.history(token, "user:ann", 0, "").await.map(drop),
        api.subscribe(token, "").await.map(drop),
        api.sessions(token).await.map(drop),
    ]
}

async fn assert_refused(terminal: &Terminal, token: &str) {
    for attempt in attempts(terminal, token).await {
        let Failure { code, .. } = attempt.expect_err("not a token of imd's");
        assert_eq!(code, "invalid_token");
    }
    assert!(terminal.sessions().await.is_ok(), "the true token is still good");
}

async fn a_token_signed_as_imd_signs_is_good(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let token = claiming(&imd, &phone, &json!({})).await;
    for attempt in attempts(&phone, &token).await {
        attempt.expect("what the other tests rest on");
    }
}

async fn an_unsigned_token_is_refused(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let claims = phone.token.split('.').nth(1).expect("claims").to_owned();
    for algorithm in ["none", "None", "NONE", ""] {
        let header = json!({ "alg": algorithm, "kid": header(&phone, Algorithm::EdDSA).kid });
        let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
        for signature in ["", "AA"] {
            assert_refused(&phone, &format!("{header}.{claims}.{signature}")).await;
        }
    }
}

async fn a_public_key_is_no_secret(imd: Cluster) {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    let phone = imd.user_with_phone("ann").await;
    let pair = Ed25519KeyPair::from_pkcs8(&true_key(&imd).await).expect("a key");
    let public = EncodingKey::from_secret(pair.public_key().as_ref());
    let token = encode(&header(&phone, Algorithm::HS256), &claims_of(&phone), &public);
    assert_refused(&phone, &token.expect("a token")).await;
}

async fn a_key_in_the_token_is_not_trusted(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let own = SigningKey::new(Algorithm::EdDSA);
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": own.x() });
    let mut header = header(&phone, Algorithm::EdDSA);
    header.jwk = Some(serde_json::from_value(jwk).expect("a key"));
    header.jku = Some("https://attacker.example/keys".to_owned());
    let token = encode(&header, &claims_of(&phone), &own.signing).expect("a token");
    assert_refused(&phone, &token).await;
}

async fn another_key_of_the_same_kind_is_refused(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let own = SigningKey::new(Algorithm::EdDSA);
    for header in [header(&phone, Algorithm::EdDSA), Header::new(Algorithm::EdDSA)] {
        let token = encode(&header, &claims_of(&phone), &own.signing).expect("a token");
        assert_refused(&phone, &token).await;
    }
}

async fn the_key_is_named_and_known(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let key = EncodingKey::from_ed_der(&true_key(&imd).await);
    for kid in [None, Some(String::new()), Some("0".repeat(32)), Some("x".repeat(5000))] {
        let header = Header { kid, ..Header::new(Algorithm::EdDSA) };
        let token = encode(&header, &claims_of(&phone), &key).expect("a token");
        assert_refused(&phone, &token).await;
    }
}

async fn a_token_for_another_audience_is_refused(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    for aud in [json!("other"), json!(["imd", "other"]), json!(7), Value::Null] {
        let token = claiming(&imd, &phone, &json!({ "aud": aud })).await;
        assert_refused(&phone, &token).await;
    }
}

async fn a_token_of_another_issuer_is_refused(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    for iss in [json!("other"), json!(["imd"]), Value::Null] {
        let token = claiming(&imd, &phone, &json!({ "iss": iss })).await;
        assert_refused(&phone, &token).await;
    }
}

async fn an_expired_token_is_refused(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    for exp in [json!(now() - 6), json!(1), json!(0), json!(-1), json!("tomorrow"), Value::Null] {
        let token = claiming(&imd, &phone, &json!({ "exp": exp })).await;
        assert_refused(&phone, &token).await;
    }
}

async fn a_token_of_the_future_is_refused(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let token = claiming(&imd, &phone, &json!({ "nbf": now() + 60 })).await;
    assert_refused(&phone, &token).await;
}

async fn a_token_that_lacks_a_claim_is_refused(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    for claim in ["iss", "aud", "sub", "uno", "sid", "nbf", "exp"] {
        let token = claiming(&imd, &phone, &json!({ claim: null })).await;
        assert_refused(&phone, &token).await;
    }
}

async fn a_token_of_no_session_is_refused(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let token = claiming(&imd, &phone, &json!({ "sid": Uuid::now_v7() })).await;
    assert_refused(&phone, &token).await;
}

async fn a_token_of_anothers_session_is_refused(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let token = claiming(&imd, &phone, &json!({ "sid": bob.session_id() })).await;
    assert_refused(&phone, &token).await;
}

async fn a_refresh_token_is_no_access_token(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    assert_refused(&phone, &phone.refresh_token).await;
    assert_eq!(imd.api.refresh(&phone.token).await.expect_err("neither").code, "invalid_token");
}
