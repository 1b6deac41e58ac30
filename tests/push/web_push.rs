//! Web Push, seen from the browser and its push service.

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use reqwest::Method;
use serde_json::{Value, json};

use super::{call, provider::Provider};
use crate::support::{
    api::Transport, cluster::Cluster, eventually, node::Node, postgres::Database,
};

const SECRET: [u8; 16] = *b"sixteen  letters";

/// A browser that has subscribed.
struct Browser {
    key: PrivateKey,
    public: Vec<u8>,
}

struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive<const N: usize>(salt: &[u8], input: &[u8], info: &[&[u8]]) -> [u8; N] {
    let mut derived = [0; N];
    let key = Salt::new(HKDF_SHA256, salt).extract(input);
    key.expand(info, Bytes(N)).expect("a length").fill(&mut derived).expect("as many");
    derived
}

impl Browser {
    fn new() -> Self {
        let key = PrivateKey::generate(&ECDH_P256).expect("a key");
        let public = key.compute_public_key().expect("its other half").as_ref().to_vec();
        Self { key, public }
    }

    fn subscription(&self, endpoint: &str) -> Value {
        json!({
            "provider": "web_push",
            "token": endpoint,
            "p256dh": BASE64_URL_SAFE_NO_PAD.encode(&self.public),
            "auth": BASE64_URL_SAFE_NO_PAD.encode(SECRET),
        })
    }

    /// Decrypts as RFC 8188 and RFC 8291 have it.
    fn read(&self, body: &[u8]) -> Value {
        let (salt, rest) = body.split_at(16);
        let (size, rest) = rest.split_at(4);
        assert!(u32::from_be_bytes(size.try_into().expect("four")) as usize >= rest.len());
        let (length, rest) = (usize::from(rest[0]), &rest[1..]);
        let (server, sealed) = rest.split_at(length);
        let peer = UnparsedPublicKey::new(&ECDH_P256, server);
        let info: [&[u8]; 3] = [b"WebPush: info\0", &self.public, server];
        let input = agree(&self.key, peer, (), |shared| Ok(derive::<32>(&SECRET, shared, &info)));
        let input = input.expect("a key of the curve");
        let key = derive::<16>(salt, &input, &[b"Content-Encoding: aes128gcm\0"]);
        let nonce = derive::<12>(salt, &input, &[b"Content-Encoding: nonce\0"]);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).expect("a key"));
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = key.open_in_place(nonce, Aad::empty(), &mut sealed).expect("what was sealed");
        let (last, json) = plain.split_last().expect("a delimiter");
        assert_eq!(*last, 2, "the last record");
        serde_json::from_slice(json).expect("JSON")
    }
}

async fn start(service: &str) -> Cluster {
    let database = Database::create().await;
    let node = Node::start_with(&database, |settings| {
        settings.push.web_push_subject = Some("mailto:ops@example.com".to_owned());
        service.clone_into(&mut settings.push.web_push_services);
        settings.push.delay = super::DELAY;
    })
    .await;
    Cluster::of(Transport::Grpc, database, node)
}

#[tokio::test]
async fn a_browser_can_read_what_only_it_can_read() {
    let mut service = Provider::start().await;
    let imd = start(&service.url).await;
    let ann = imd.user_with_phone("ann").await;
    let web = {
        imd.user("bob").await;
        imd.log_in("bob", "web", "browser").await
    };
    let key = call(&imd.node, &web, Method::GET, None).await.expect("the key");
    let key = key["web_push_key"].as_str().expect("a key").to_owned();
    let browser = Browser::new();
    let subscription = browser.subscription(&format!("{}/push/abc", service.url));
    call(&imd.node, &web, Method::POST, Some(subscription)).await.expect("it is bound");
    let text = "Grüße \u{1f44b} ".repeat(400);
    let sent = ann.say("bob", &text).await;
    let got = service.next().await;
    assert_eq!(got.path, "/push/abc");
    let header = |name: &str| got.headers.get(name).map(String::as_str).unwrap_or_default();
    assert_eq!((header("content-encoding"), header("urgency")), ("aes128gcm", "high"));
    assert!(header("ttl").parse::<u32>().expect("seconds") > 0);
    assert!(header("topic").len() <= 32 && !header("topic").is_empty());
    assert!(got.body.len() <= 4096, "what a push service takes");

    let told = browser.read(&got.body);
    assert_eq!((&told["message_id"], &told["sender_id"]), (&json!(sent.message_id), &json!("ann")));
    let beginning = told["text"].as_str().expect("a text");
    assert!(text.starts_with(beginning) && beginning.len() > 1900, "{}", beginning.len());

    // Who sends it is signed with the key that the browser has subscribed with.
    let (token, named) = header("authorization")
        .strip_prefix("vapid t=")
        .and_then(|rest| rest.split_once(", k="))
        .expect("a token and a key");
    assert_eq!(named, key);
    let point = BASE64_URL_SAFE_NO_PAD.decode(&key).expect("base64url");
    let half = |range: std::ops::Range<usize>| BASE64_URL_SAFE_NO_PAD.encode(&point[range]);
    let verifying = DecodingKey::from_ec_components(&half(1..33), &half(33..65)).expect("a key");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[&service.url]);
    let claims = decode::<Value>(token, &verifying, &validation).expect("a good token").claims;
    assert_eq!(claims["sub"], "mailto:ops@example.com");

    // After a restart, and on every node, the key is the same.
    let (other, _) = imd
        .start_node_with(|settings| {
            settings.push.web_push_subject = Some("mailto:ops@example.com".to_owned());
        })
        .await;
    let same = call(&other, &web, Method::GET, None).await.expect("the key");
    assert_eq!(same["web_push_key"], key);
}

#[tokio::test]
async fn a_subscription_that_is_gone_is_dropped_and_a_busy_service_asked_again() {
    let mut service = Provider::start().await;
    service.answers(500, &[]);
    service.answers(404, &[]);
    let imd = start(&service.url).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let subscription = Browser::new().subscription(&format!("{}/x", service.url));
    call(&imd.node, &bob, Method::POST, Some(subscription)).await.expect("it is bound");
    ann.say("bob", "hello").await;
    service.next().await;
    service.next().await;
    eventually("the subscription is dropped", async || {
        let state = call(&imd.node, &bob, Method::GET, None).await.expect("its state");
        (state["provider"] == "").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_no_subscription_is_refused_by_its_field() {
    let imd = start("https://push.example.com").await;
    let bob = imd.user_with_phone("bob").await;
    let good = Browser::new().subscription("https://push.example.com/x");
    let with = |member: &str, value: Value| {
        let mut body = good.clone();
        body[member] = value;
        body
    };
    let off_the_curve = BASE64_URL_SAFE_NO_PAD.encode([4; 65]);
    for (body, field) in [
        (with("provider", json!("apns")), "provider"),
        (with("token", json!("no URL")), "token"),
        (with("token", json!("https://10.0.0.1/x")), "token"),
        (with("token", json!("http://push.example.com/x")), "token"),
        (with("p256dh", json!("AAAA")), "p256dh"),
        (with("p256dh", json!(off_the_curve)), "p256dh"),
        (with("auth", json!("!")), "auth"),
        (with("content", json!("SOME")), "content"),
    ] {
        let refused = call(&imd.node, &bob, Method::POST, Some(body)).await.expect_err(field);
        assert_eq!(refused.field(), field, "{refused:?}");
    }
    call(&imd.node, &bob, Method::POST, Some(good)).await.expect("it is bound");
}
