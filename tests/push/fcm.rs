//! Google's service: its HTTP v1 API, and the tokens of a service account that it is asked with.

use std::fs;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use rcgen::{KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{DELAY, call, provider::Provider};
use crate::support::{
    api::Transport, cluster::Cluster, eventually, node::Node, postgres::Database,
};

/// Where messages go.
const SEND: &str = "/v1/projects/chat-42/messages:send";

/// Where access tokens are had.
const TOKEN: &str = "/token";

/// A deployment whose messages go to a provider of the tests' own.
async fn start(google: &Provider) -> (Cluster, KeyPair, TempDir) {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
    let folder = tempfile::tempdir().expect("a folder");
    let account = json!({
        "type": "service_account",
        "project_id": "chat-42",
        "private_key_id": "key-1",
        "private_key": key.serialize_pem(),
        "client_email": "push@chat-42.iam.gserviceaccount.com",
        "token_uri": format!("{}{TOKEN}", google.url),
    });
    let file = folder.path().join("account.json");
    fs::write(&file, account.to_string()).expect("a file");
    let database = Database::create().await;
    let node = Node::start_with(&database, |settings| {
        settings.push.fcm_url.clone_from(&google.url);
        settings.push.fcm_credentials = Some(file);
        settings.push.delay = DELAY;
    })
    .await;
    (Cluster::of(Transport::Grpc, database, node), key, folder)
}

fn grant(google: &Provider, token: &str) {
    let granted = json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" });
    google.answers_at(TOKEN, 200, &[], granted);
}

#[tokio::test]
async fn google_is_asked_to_show_a_message_with_a_token_of_the_account() {
    let mut google = Provider::start().await;
    let (imd, key, _folder) = start(&google).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let body = json!({ "provider": "fcm", "token": "device:1" });
    call(&imd.node, &bob, Method::POST, Some(body)).await.expect("it is bound");
    grant(&google, "granted");
    let sent = ann.say("bob", "hello").await;

    let asked = google.next().await;
    assert_eq!(asked.path, TOKEN);
    assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded");
    let form = String::from_utf8(asked.body).expect("ASCII");
    let (kind, assertion) = form.split_once("&assertion=").expect("an assertion");
    assert_eq!(kind, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[format!("{}{TOKEN}", google.url)]);
    let public = DecodingKey::from_rsa_der(key.der_bytes());
    let claims = decode::<Value>(assertion, &public, &validation).expect("a good one").claims;
    assert_eq!(claims["iss"], "push@chat-42.iam.gserviceaccount.com");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/firebase.messaging");

    let got = google.next().await;
    assert_eq!((&*got.path, &*got.headers["authorization"]), (SEND, "Bearer granted"));
    let message = &got.json()["message"];
    assert_eq!(message["token"], "device:1");
    assert_eq!(message["notification"], json!({ "title": "ann", "body": "hello" }));
    assert_eq!(message["android"]["priority"], "HIGH");
    assert_eq!(message["android"]["notification"]["notification_count"], 1);
    let data = &message["data"];
    assert_eq!(
        (&data["message_id"], &data["count"], &data["conversation_id"]),
        (&json!(sent.message_id), &json!("1"), &json!("user:ann"))
    );
    let all_text = data.as_object().expect("members").values().all(Value::is_string);
    assert!(all_text, "Google takes strings alone: {data}");

    // The token is good for more than one message.
    ann.say("bob", "again").await;
    let got = google.next().await;
    assert_eq!(
        (&*got.path, &got.json()["message"]["notification"]["body"]),
        (SEND, &json!("again"))
    );
    google.gets_nothing().await;
}

#[tokio::test]
async fn what_google_says_is_heeded() {
    let mut google = Provider::start().await;
    let (imd, _key, _folder) = start(&google).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let body = json!({ "provider": "fcm", "token": "device:1" });
    call(&imd.node, &bob, Method::POST, Some(body)).await.expect("it is bound");
    // No token at first; then one that is good no longer when it is used.
    google.answers_at(TOKEN, 503, &[], json!({}));
    grant(&google, "revoked");
    grant(&google, "good");
    google.answers_at(SEND, 401, &[], json!({ "error": { "status": "UNAUTHENTICATED" } }));
    google.answers_at(SEND, 503, &[("retry-after", "2")], json!({}));
    let unregistered = json!({ "error": { "status": "NOT_FOUND", "details": [{
        "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "UNREGISTERED",
    }] } });
    google.answers_at(SEND, 404, &[], unregistered);
    ann.say("bob", "hello").await;
    let mut asked = Vec::new();
    for _ in 0..6 {
        let got = google.next().await;
        let by = got.headers.get("authorization").cloned().unwrap_or_default();
        asked.push((got.path, by));
    }
    let due = [
        (TOKEN, ""),
        (TOKEN, ""),
        (SEND, "Bearer revoked"),
        (TOKEN, ""),
        (SEND, "Bearer good"),
        (SEND, "Bearer good"),
    ];
    assert_eq!(asked, due.map(|(path, by)| (path.to_owned(), by.to_owned())));
    eventually("the token is dropped", async || {
        let state = call(&imd.node, &bob, Method::GET, None).await.expect("its state");
        (state["provider"] == "").then_some(())
    })
    .await;
}
