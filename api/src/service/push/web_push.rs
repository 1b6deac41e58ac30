//! Web Push (RFC 8030), with the content encrypted for the browser (RFC 8291) and signed requests that say who
//! sends them (RFC 8292, VAPID).

use std::time::Duration;

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral},
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Client, Response, StatusCode, Url, header::RETRY_AFTER};
use secrecy::ExposeSecret;
use serde::Serialize;
use time::OffsetDateTime;

use super::{Told, notification::News};
use crate::{
    model::{Error, PushTarget, Result, WebPushTarget},
    service::tokens::{new_key_id, random},
    store::{Key, Store},
};

/// The longest endpoint, in bytes.
const MAX_ENDPOINT_LENGTH: usize = 2048;

/// How long a push service keeps what it cannot deliver, in seconds.
const TTL: u32 = 24 * 3600;

/// How long a signature is good for, in seconds; a push service takes a day at most.
const SIGNATURE_TTL: i64 = 12 * 3600;

/// An uncompressed point of P-256, in bytes.
const POINT: usize = 65;

/// What a browser shares, in bytes.
const SECRET: usize = 16;

/// The size of the one record that all of the content is in, as its header says.
const RECORD: u32 = 4096;

pub(super) struct WebPush {
    subject: String,
    services: Vec<String>,
    http: Client,
    signing: EncodingKey,
    /// The public key, in base64url.
    key: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: String,
    exp: i64,
    sub: &'a str,
}

impl WebPush {
    /// With the key that all nodes share, which browsers subscribe with. Made at the first use.
    pub(super) async fn load(
        store: &Store,
        subject: String,
        services: Vec<String>,
        http: Client,
    ) -> Result<Self> {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let made = made.map_err(Error::internal)?;
        let candidate = Key { key_id: new_key_id(), secret: made.as_ref().to_vec() };
        let key = store.key("vapid", candidate).await?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.secret);
        let pair = pair.map_err(|_| Error::internal("the key of Web Push is not readable"))?;
        let public = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key());
        let signing = EncodingKey::from_ec_der(&key.secret);
        Ok(Self { subject, services, http, signing, key: public })
    }

    /// The public key that a browser subscribes with, in base64url.
    pub(super) fn key(&self) -> String {
        self.key.clone()
    }

    /// Checks a subscription.
    pub(super) fn target(&self, endpoint: &str, key: &str, secret: &str) -> Result<PushTarget> {
        let url = Url::parse(endpoint).ok().filter(|_| endpoint.len() <= MAX_ENDPOINT_LENGTH);
        let url = url.ok_or_else(|| Error::invalid("token", "must be the URL of an endpoint"))?;
        if !self.services.iter().any(|service| is_of(&url, service)) {
            let reason = "must be of a push service that this server writes to";
            return Err(Error::invalid("token", reason));
        }
        let decode = |field, text: &str, length: usize| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
            bytes.ok().filter(|bytes| bytes.len() == length).ok_or_else(|| {
                Error::invalid(field, format!("must be {length} bytes in base64url"))
            })
        };
        let key = decode("p256dh", key, POINT)?;
        let secret = decode("auth", secret, SECRET)?;
        // A point that is not on the curve is noticed here.
        seal(&key, &secret, b"").map_err(|_| Error::invalid("p256dh", "is no key of P-256"))?;
        let endpoint = endpoint.to_owned().into();
        Ok(PushTarget::WebPush(WebPushTarget { endpoint, key, secret }))
    }

    pub(super) async fn tell(&self, target: &WebPushTarget, news: &News) -> Told {
        let Ok(url) = Url::parse(target.endpoint.expose_secret()) else { return Told::Refused };
        if !self.services.iter().any(|service| is_of(&url, service)) {
            return Told::Refused;
        }
        let Ok(plain) = serde_json::to_vec(news) else { return Told::Refused };
        let Ok(sealed) = seal(&target.key, &target.secret, &plain) else { return Told::Refused };
        let exp = OffsetDateTime::now_utc().unix_timestamp() + SIGNATURE_TTL;
        let claims = Claims { aud: url.origin().ascii_serialization(), exp, sub: &self.subject };
        let Ok(signature) = encode(&Header::new(Algorithm::ES256), &claims, &self.signing) else {
            return Told::Refused;
        };
        let request = self
            .http
            .post(url)
            .header("authorization", format!("vapid t={signature}, k={}", self.key))
            .header("content-encoding", "aes128gcm")
            .header("content-type", "application/octet-stream")
            .header("ttl", TTL)
            .header("urgency", if matches!(news, News::Cleared(_)) { "low" } else { "high" })
            .header("topic", news.tag())
            .body(sealed);
        match request.send().await {
            Err(_) => Told::Later(None),
            Ok(answer) => match answer.status() {
                status if status.is_success() => Told::Delivered,
                StatusCode::NOT_FOUND | StatusCode::GONE => Told::Gone(None),
                StatusCode::TOO_MANY_REQUESTS => Told::Later(retry_after(&answer)),
                status if status.is_server_error() => Told::Later(retry_after(&answer)),
                _ => Told::Refused,
            },
        }
    }
}

/// When a provider wants to be asked again, where it says so in seconds.
pub(in crate::service) fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Whether a URL is of a service: of its origin, in which a host that begins with `*.` stands for those below.
fn is_of(url: &Url, service: &str) -> bool {
    let (scheme, host) = service.split_once("://").unwrap_or(("https", service));
    match host.strip_prefix("*.") {
        None => url.origin().ascii_serialization() == format!("{scheme}://{host}"),
        Some(above) => {
            url.scheme() == scheme
                && url.port().is_none()
                && url
                    .host_str()
                    .and_then(|host| host.strip_suffix(above))
                    .is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
        }
    }
}

/// How many bytes are to be derived.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// Encrypts a content for a browser, with a key for this content alone.
fn seal(browser_key: &[u8], secret: &[u8], plain: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())?;
    let own_key = own.compute_public_key()?;
    let browser = UnparsedPublicKey::new(&ECDH_P256, browser_key);
    let info = [b"WebPush: info\0", browser_key, own_key.as_ref()];
    let input =
        agree_ephemeral(own, browser, Unspecified, |shared| derive::<32>(secret, shared, &info))?;
    let salt = random::<16>().map_err(|_| Unspecified)?;
    let key = derive::<16>(&salt, &input, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce = derive::<NONCE_LEN>(&salt, &input, &[b"Content-Encoding: nonce\0"])?;
    // The last record, which is the only one, ends so.
    let mut sealed = [plain, &[2]].concat();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed)?;
    let own_key = own_key.as_ref();
    let length = u8::try_from(own_key.len()).map_err(|_| Unspecified)?;
    Ok([&salt[..], &RECORD.to_be_bytes(), &[length], own_key, &sealed].concat())
}

fn derive<const N: usize>(
    salt: &[u8],
    input: &[u8],
    info: &[&[u8]],
) -> Result<[u8; N], Unspecified> {
    let mut derived = [0; N];
    let key = Salt::new(HKDF_SHA256, salt).extract(input);
    key.expand(info, Bytes(N))?.fill(&mut derived)?;
    Ok(derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_endpoints_of_listed_services_are_written_to() {
        let of = |url: &str, service| is_of(&Url::parse(url).expect("a URL"), service);
        let mozilla = "https://*.push.services.mozilla.com";
        assert!(of("https://updates.push.services.mozilla.com/wpush/v2/x", mozilla));
        assert!(of("https://fcm.googleapis.com/fcm/send/x", "https://fcm.googleapis.com"));
        assert!(of("http://127.0.0.1:4000/x", "http://127.0.0.1:4000"));
        for other in [
            "http://updates.push.services.mozilla.com/x",
            "https://push.services.mozilla.com/x",
            "https://updates.push.services.mozilla.com:8443/x",
            "https://evilpush.services.mozilla.com.example/x",
            "https://x@127.0.0.1/updates.push.services.mozilla.com",
        ] {
            assert!(!of(other, mozilla), "{other}");
        }
        assert!(!of("https://fcm.googleapis.com.evil.example/x", "https://fcm.googleapis.com"));
    }
}
