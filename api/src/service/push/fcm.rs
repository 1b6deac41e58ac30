//! Firebase Cloud Messaging, by its HTTP v1 API, with access tokens of a service account (RFC 7523).

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::{sync::Mutex, time::Instant};

use super::{
    Told,
    apns::without_text,
    notification::{News, Notification},
    web_push::retry_after,
};
use crate::model::{Error, Result};

/// What access tokens are for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

/// How long what asks for an access token is good for, in seconds.
const ASSERTION_LASTS: i64 = 3600;

/// How long before its end an access token is exchanged.
const MARGIN: Duration = Duration::from_mins(1);

/// How long to wait after 429 where nothing else is said, as Google asks for.
const QUOTA_PAUSE: Duration = Duration::from_mins(1);

/// How Google's service is reached.
#[derive(Debug, Clone)]
pub struct FcmSettings {
    /// Where it is.
    pub url: String,
    /// The file of a service account, in JSON, as Google gives it.
    pub credentials: SecretString,
}

/// The file of a service account: what of it is needed.
#[derive(Deserialize)]
struct Account {
    project_id: String,
    private_key_id: String,
    private_key: SecretString,
    client_email: String,
    token_uri: String,
}

pub(super) struct Fcm {
    /// Where messages go.
    url: String,
    account: Account,
    signing: EncodingKey,
    /// The access token in use, and until when.
    token: Mutex<Option<(String, Instant)>>,
    http: Client,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl Fcm {
    pub(super) fn new(settings: &FcmSettings, http: Client) -> Result<Self> {
        let wrong = |reason| Error::invalid("push.fcm_credentials", reason);
        let account: Account = serde_json::from_str(settings.credentials.expose_secret())
            .map_err(|_| wrong("is no file of a service account"))?;
        let signing = EncodingKey::from_rsa_pem(account.private_key.expose_secret().as_bytes())
            .map_err(|_| wrong("has no private key of RSA in PEM"))?;
        let url = format!("{}/v1/projects/{}/messages:send", settings.url, account.project_id);
        Ok(Self { url, account, signing, token: Mutex::default(), http })
    }

    /// An access token that is good for some time still. One is asked for at a time.
    async fn token(&self) -> Result<String, Told> {
        let mut current = self.token.lock().await;
        if let Some((token, until)) = &*current
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let iat = OffsetDateTime::now_utc().unix_timestamp();
        let claims = Claims {
            iss: &self.account.client_email,
            scope: SCOPE,
            aud: &self.account.token_uri,
            iat,
            exp: iat + ASSERTION_LASTS,
        };
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.account.private_key_id.clone());
        let assertion = encode(&header, &claims, &self.signing).map_err(|_| Told::Refused)?;
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"
        );
        let request = self
            .http
            .post(&self.account.token_uri)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = request.send().await.map_err(|_| Told::Later(None))?;
        let after = retry_after(&answer);
        let granted = match answer.error_for_status() {
            Ok(answer) => answer.json::<Granted>().await,
            Err(error) => Err(error),
        };
        let Granted { access_token, expires_in } = granted.map_err(|_| Told::Later(after))?;
        let lasts = Duration::from_secs(expires_in).saturating_sub(MARGIN);
        *current = Some((access_token.clone(), Instant::now() + lasts));
        Ok(access_token)
    }

    pub(super) async fn tell(&self, device: &SecretString, news: &News) -> Told {
        let token = match self.token().await {
            Ok(token) => token,
            Err(told) => return told,
        };
        let body = json!({ "message": message(device.expose_secret(), news) });
        let request = self.http.post(&self.url).bearer_auth(&token).json(&body);
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
        let said: Value = answer.json().await.unwrap_or_default();
        match status {
            StatusCode::NOT_FOUND => Told::Gone(None),
            StatusCode::FORBIDDEN if says(&said, "SENDER_ID_MISMATCH") => Told::Gone(None),
            StatusCode::BAD_REQUEST if says(&said, "message.token") => Told::Gone(None),
            StatusCode::UNAUTHORIZED => {
                let mut current = self.token.lock().await;
                current.take_if(|(used, _)| *used == token);
                Told::Later(after)
            }
            // A right that is missing is a matter of the deployment's, and mended.
            StatusCode::FORBIDDEN => Told::Later(after),
            StatusCode::TOO_MANY_REQUESTS => Told::Later(after.or(Some(QUOTA_PAUSE))),
            status if status.is_server_error() => Told::Later(after),
            _ => Told::Refused,
        }
    }
}

/// Whether the details of an error name a code, or a field.
fn says(error: &Value, what: &str) -> bool {
    let details = error["error"]["details"].as_array().into_iter().flatten();
    details.into_iter().any(|detail| {
        let violations = detail["fieldViolations"].as_array().into_iter().flatten();
        detail["errorCode"] == what || violations.into_iter().any(|at| at["field"] == what)
    })
}

fn message(token: &str, news: &News) -> Value {
    let mut message = json!({
        "token": token,
        "data": data(news),
        "android": {
            "collapse_key": news.tag(),
            "ttl": "86400s",
            "priority": if matches!(news, News::Cleared(_)) { "NORMAL" } else { "HIGH" },
        },
    });
    let shown = match news {
        News::Message(notification) => Some(shown(notification)),
        News::Test(test) => Some(json!({ "title": "imd", "body": test.text })),
        News::Cleared(_) => None,
    };
    if let Some(shown) = shown {
        message["notification"] = shown;
        message["android"]["notification"] = json!({
            "tag": news.tag(),
            "notification_count": news.badge(),
        });
    }
    message
}

/// What is shown. Where the terminal is not to be told what was said, the app makes its own of the data.
fn shown(notification: &Notification) -> Value {
    let mut shown = Map::new();
    shown.extend(notification.sender_id.clone().map(|sender| ("title".to_owned(), sender.into())));
    shown.extend(notification.text.clone().map(|text| ("body".to_owned(), text.into())));
    Value::Object(shown)
}

/// What is told beside what is shown, in strings, as Google has it.
fn data(news: &News) -> Map<String, Value> {
    let Value::Object(members) = without_text(news) else { return Map::new() };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    members.into_iter().map(|(name, value)| (name, text(value).into())).collect()
}
