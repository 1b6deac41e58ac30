//! The Apple Push Notification service: HTTP/2, with a token that says who sends.
//!
//! See "Sending notification requests to APNs" and "Establishing a token-based connection to APNs" in Apple's
//! documentation of User Notifications.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::{sync::Mutex, time::Instant};

use super::{
    Told,
    notification::{News, Notification},
    web_push::retry_after,
};
use crate::model::{Error, PushTarget, Result};

/// How long a token is used. Apple refuses one that is older than an hour, and more than one in 20 minutes.
const TOKEN_LASTS: Duration = Duration::from_mins(40);

/// How long Apple keeps what it cannot deliver, in seconds.
const EXPIRES: i64 = 24 * 3600;

/// The longest device token, in hexadecimal digits. Apple names no bound; today there are 64.
const MAX_DIGITS: usize = 400;

/// How Apple's service is reached.
#[derive(Debug, Clone)]
pub struct ApnsSettings {
    /// Where it is: there is one for apps under development, too.
    pub url: String,
    /// The key that signs, in PEM, as Apple gives it.
    pub key: SecretString,
    /// The key's id.
    pub key_id: String,
    /// The team's id.
    pub team_id: String,
    /// The app's bundle id.
    pub topic: String,
}

pub(super) struct Apns {
    url: String,
    topic: String,
    header: Header,
    team_id: String,
    signing: EncodingKey,
    /// The token in use, and since when.
    token: Mutex<Option<(String, Instant)>>,
    http: Client,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
}

/// What Apple says of a request that it does not take.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Reason {
    reason: String,
    /// Of a token that is none any more: when that was known, in milliseconds since 1970.
    timestamp: Option<i64>,
}

impl Reason {
    fn known_at(&self) -> Option<OffsetDateTime> {
        let nanoseconds = i128::from(self.timestamp?) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()
    }
}

/// Checks a device token.
pub(super) fn target(token: &str) -> Result<PushTarget> {
    let is_hexadecimal = token.bytes().all(|byte| byte.is_ascii_hexdigit());
    if token.is_empty() || token.len() > MAX_DIGITS || !is_hexadecimal {
        let reason = "must be a device token in hexadecimal digits";
        return Err(Error::invalid("token", reason));
    }
    Ok(PushTarget::Apns(token.to_owned().into()))
}

impl Apns {
    pub(super) fn new(settings: ApnsSettings, http: Client) -> Result<Self> {
        let signing = EncodingKey::from_ec_pem(settings.key.expose_secret().as_bytes());
        let signing = signing
            .map_err(|_| Error::invalid("push.apns_key", "is no private key of P-256 in PEM"))?;
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(settings.key_id);
        let ApnsSettings { url, team_id, topic, .. } = settings;
        Ok(Self { url, topic, header, team_id, signing, token: Mutex::default(), http })
    }

    /// The token that says who sends: a fresh one where there is none, or it is old.
    async fn token(&self) -> Option<String> {
        let mut current = self.token.lock().await;
        if let Some((token, since)) = &*current
            && since.elapsed() < TOKEN_LASTS
        {
            return Some(token.clone());
        }
        let iat = OffsetDateTime::now_utc().unix_timestamp();
        let claims = Claims { iss: &self.team_id, iat };
        let token = encode(&self.header, &claims, &self.signing).ok()?;
        *current = Some((token.clone(), Instant::now()));
        Some(token)
    }

    pub(super) async fn tell(&self, device: &SecretString, news: &News) -> Told {
        let Some(token) = self.token().await else { return Told::Refused };
        // What is told in the background alone has to come at Apple's leisure.
        let (kind, priority) = match news {
            News::Message(_) | News::Test(_) => ("alert", "10"),
            News::Cleared(_) => ("background", "5"),
        };
        let expires = OffsetDateTime::now_utc().unix_timestamp() + EXPIRES;
        let request = self
            .http
            .post(format!("{}/3/device/{}", self.url, device.expose_secret()))
            .bearer_auth(&token)
            .header("apns-topic", &self.topic)
            .header("apns-push-type", kind)
            .header("apns-priority", priority)
            .header("apns-collapse-id", news.tag())
            .header("apns-expiration", expires)
            .json(&payload(news));
        match request.send().await {
            Err(_) => Told::Later(None),
            Ok(answer) => self.read(answer, token).await,
        }
    }

    async fn read(&self, answer: Response, token: String) -> Told {
        let (status, after) = (answer.status(), retry_after(&answer));
        if status.is_success() {
            return Told::Delivered;
        }
        let said: Reason = answer.json().await.unwrap_or_default();
        match (status, said.reason.as_str()) {
            // An app that was installed again has bound the same token since.
            (StatusCode::GONE, _) => Told::Gone(said.known_at()),
            (_, "BadDeviceToken" | "DeviceTokenNotForTopic") => Told::Gone(None),
            (StatusCode::FORBIDDEN, "ExpiredProviderToken") => {
                let mut current = self.token.lock().await;
                current.take_if(|(used, _)| *used == token);
                Told::Later(after)
            }
            // A key that was revoked is a matter of the deployment's, and mended.
            (StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS, _) => Told::Later(after),
            (status, _) if status.is_server_error() => Told::Later(after),
            _ => Told::Refused,
        }
    }
}

fn payload(news: &News) -> Value {
    match news {
        News::Message(notification) => {
            let mut aps = json!({
                "alert": alert(notification),
                "badge": news.badge(),
                "thread-id": news.tag(),
                // An extension of the app may show more than this.
                "mutable-content": 1,
            });
            if !notification.silent {
                aps["sound"] = "default".into();
            }
            json!({ "aps": aps, "imd": without_text(news) })
        }
        News::Cleared(_) => json!({ "aps": { "content-available": 1 }, "imd": news }),
        News::Test(test) => {
            let alert = json!({ "title": "imd", "body": test.text });
            json!({ "aps": { "alert": alert, "badge": news.badge() }, "imd": without_text(news) })
        }
    }
}

/// What is shown. Where the terminal is not to be told what was said, the app's own words for it.
fn alert(notification: &Notification) -> Value {
    match (&notification.sender_id, &notification.text) {
        (Some(sender), Some(text)) => json!({ "title": sender, "body": text }),
        (Some(sender), None) => json!({ "title": sender, "loc-key": "imd_new_message" }),
        (None, _) => json!({ "loc-key": "imd_new_message" }),
    }
}

/// What is told beside what is shown: the text, which may fill half of it, is there already.
pub(super) fn without_text(news: &News) -> Value {
    let mut told = serde_json::to_value(news).unwrap_or_default();
    if let Value::Object(members) = &mut told {
        members.remove("text");
    }
    told
}
