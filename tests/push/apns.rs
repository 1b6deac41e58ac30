//! Apple's service, as its documentation has it: HTTP/2, a token of the team's key, reasons.

use std::fs;

use imd::config::Settings;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

use super::{DELAY, call, provider::Provider};
use crate::support::{
    api::Transport, cluster::Cluster, eventually, node::Node, postgres::Database,
    terminal::Terminal,
};

/// A device token, of the length that Apple's have.
const DEVICE: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";

/// What an app is known by.
struct App {
    key: KeyPair,
    folder: TempDir,
}

impl App {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("AuthKey.p8"), key.serialize_pem()).expect("a file");
        Self { key, folder }
    }

    fn set(&self, settings: &mut Settings, url: &str) {
        let push = &mut settings.push;
        url.clone_into(&mut push.apns_url);
        push.apns_key = Some(self.folder.path().join("AuthKey.p8"));
        push.apns_key_id = Some("ABC123DEFG".to_owned());
        push.apns_team_id = Some("DEF123GHIJ".to_owned());
        push.apns_topic = Some("com.example.chat".to_owned());
        push.delay = DELAY;
    }

    /// The claims of a token that this app's team has signed.
    fn claims(&self, token: &str) -> Value {
        let header = decode_header(token).expect("a header");
        assert_eq!((header.alg, header.kid.as_deref()), (Algorithm::ES256, Some("ABC123DEFG")));
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_required_spec_claims(&["iss"]);
        validation.validate_exp = false;
        let key = DecodingKey::from_ec_der(self.key.der_bytes());
        decode::<Value>(token, &key, &validation).expect("a good token").claims
    }
}

async fn start(app: &App, provider: &Provider) -> Cluster {
    let database = Database::create().await;
    let node = Node::start_with(&database, |settings| app.set(settings, &provider.url)).await;
    Cluster::of(Transport::Grpc, database, node)
}

async fn bind_device(imd: &Cluster, terminal: &Terminal) {
    let body = json!({ "provider": "apns", "token": DEVICE });
    call(&imd.node, terminal, Method::POST, Some(body)).await.expect("it is bound");
}

#[tokio::test]
async fn apple_is_asked_to_show_a_message() {
    let (app, mut apple) = (App::new(), Provider::start().await);
    let imd = start(&app, &apple).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    bind_device(&imd, &bob).await;
    ann.say("bob", "one").await;
    let sent = ann.say("bob", &"\u{1f44b}".repeat(3000)).await;
    let got = apple.next().await;
    assert_eq!(got.version, axum::http::Version::HTTP_2);
    assert_eq!(got.path, format!("/3/device/{DEVICE}"));
    let header = |name: &str| got.headers.get(name).map(String::as_str).unwrap_or_default();
    assert_eq!(header("apns-topic"), "com.example.chat");
    assert_eq!((header("apns-push-type"), header("apns-priority")), ("alert", "10"));
    assert!((1..=64).contains(&header("apns-collapse-id").len()));
    assert!(header("apns-expiration").parse::<i64>().expect("a time") > 0);
    let token = header("authorization").strip_prefix("bearer ");
    let token = token.or(header("authorization").strip_prefix("Bearer ")).expect("a token");
    assert_eq!(app.claims(token)["iss"], "DEF123GHIJ");
    assert!(got.body.len() <= 4096, "what Apple takes: {}", got.body.len());
    let payload = got.json();
    let aps = &payload["aps"];
    assert_eq!((&aps["alert"]["title"], &aps["badge"]), (&json!("ann"), &json!(2)));
    assert_eq!(aps["sound"], "default");
    assert!(aps["alert"]["body"].as_str().expect("a text").starts_with('\u{1f44b}'));
    let told = &payload["imd"];
    assert_eq!((&told["message_id"], &told["count"]), (&json!(sent.message_id), &json!(2)));
    assert_eq!(told["conversation_id"], "user:ann");
    apple.gets_nothing().await;
}

#[tokio::test]
async fn what_is_read_elsewhere_is_cleared_without_a_sound() {
    let (app, mut apple) = (App::new(), Provider::start().await);
    let imd = start(&app, &apple).await;
    let ann = imd.user_with_phone("ann").await;
    let carl = imd.user_with_phone("carl").await;
    let bob = imd.user_with_phone("bob").await;
    let pc = imd.log_in("bob", "pc", "desk").await;
    bind_device(&imd, &bob).await;
    ann.say("bob", "hello").await;
    carl.say("bob", "hi").await;
    let tags = [apple.next().await, apple.next().await].map(|got| {
        let of = got.json()["imd"]["conversation_id"].clone();
        (of, got.headers["apns-collapse-id"].clone())
    });
    let of_ann = tags.iter().find(|(of, _)| of == "user:ann").expect("of ann").1.clone();
    let read = pc.timeline().await.iter().filter(|entry| entry.as_message().is_some()).count();
    assert_eq!(read, 2);
    pc.mark_read("ann", pc.conversation("ann").await.last_message.seq).await.expect("marked");
    let got = apple.next().await;
    assert_eq!(
        (&*got.headers["apns-push-type"], &*got.headers["apns-priority"]),
        ("background", "5")
    );
    assert_eq!(got.headers["apns-collapse-id"], of_ann);
    let payload = got.json();
    assert_eq!(payload["aps"], json!({ "content-available": 1 }));
    assert_eq!(
        (&payload["imd"]["cleared"], &payload["imd"]["conversation_id"], &payload["imd"]["badge"]),
        (&json!(true), &json!("user:ann"), &json!(1))
    );
    // A message that is recalled is nothing to read either.
    let slip = carl.conversation("bob").await.last_message.message().message_id.clone();
    carl.recall(&slip).await.expect("recalled");
    let cleared = apple.next().await.json();
    assert_eq!(
        (&cleared["imd"]["conversation_id"], &cleared["imd"]["badge"]),
        (&json!("user:carl"), &json!(0))
    );
    apple.gets_nothing().await;
}

#[tokio::test]
async fn what_apple_says_is_heeded() {
    let (app, mut apple) = (App::new(), Provider::start().await);
    let imd = start(&app, &apple).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    bind_device(&imd, &bob).await;
    apple.answers_at("", 403, &[], json!({ "reason": "ExpiredProviderToken" }));
    apple.answers_at("", 429, &[("retry-after", "3")], json!({ "reason": "TooManyRequests" }));
    ann.say("bob", "hello").await;
    for _ in 0..3 {
        assert_eq!(apple.next().await.json()["aps"]["alert"]["body"], "hello");
    }
    // What it will never take is not tried again, and what comes next is.
    apple.answers_at("", 413, &[], json!({ "reason": "PayloadTooLarge" }));
    ann.say("bob", "too large").await;
    apple.next().await;
    apple.answers_at("", 500, &[], json!({ "reason": "InternalServerError" }));
    ann.say("bob", "at the second try").await;
    for _ in 0..2 {
        assert_eq!(apple.next().await.json()["aps"]["alert"]["body"], "at the second try");
    }
    // The app was installed again since: its token is one again.
    apple.answers_at("", 410, &[], json!({ "reason": "Unregistered", "timestamp": 1 }));
    ann.say("bob", "of an earlier time").await;
    assert_eq!(apple.next().await.json()["aps"]["alert"]["body"], "of an earlier time");
    let later = OffsetDateTime::now_utc().unix_timestamp() * 1000 + 3_600_000;
    apple.answers_at("", 410, &[], json!({ "reason": "Unregistered", "timestamp": later }));
    ann.say("bob", "gone").await;
    assert_eq!(apple.next().await.json()["aps"]["alert"]["body"], "gone");
    eventually("the token is dropped", async || {
        let state = call(&imd.node, &bob, Method::GET, None).await.expect("its state");
        (state["provider"] == "").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_device_token_is_hexadecimal() {
    let (app, apple) = (App::new(), Provider::start().await);
    let imd = start(&app, &apple).await;
    let bob = imd.user_with_phone("bob").await;
    for token in ["", "a/b", "xyz", &"a".repeat(401)] {
        let body = json!({ "provider": "apns", "token": token });
        let refused = call(&imd.node, &bob, Method::POST, Some(body)).await.expect_err("none");
        assert_eq!(refused.field(), "token");
    }
}
