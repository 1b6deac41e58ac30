//! A server of the deployment's own, which tells terminals in its own way. Requests are signed as Standard
//! Webhooks has it.

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use time::OffsetDateTime;

use super::{Told, notification::Notification, web_push::retry_after};
use crate::{
    model::{Error, PushTarget, Result},
    store::PushClaim,
};

/// The longest token, in bytes.
const MAX_TOKEN_LENGTH: usize = 4096;

pub(super) struct Webhook {
    url: String,
    key: hmac::Key,
    http: Client,
}

/// Checks a token.
pub(super) fn target(token: &str) -> Result<PushTarget> {
    if token.is_empty() || token.len() > MAX_TOKEN_LENGTH {
        let reason = format!("must be 1 to {MAX_TOKEN_LENGTH} bytes");
        return Err(Error::invalid("token", reason));
    }
    Ok(PushTarget::Webhook { token: token.to_owned().into() })
}

impl Webhook {
    pub(super) fn new(url: String, key: &SecretString, http: Client) -> Self {
        Self { url, key: hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes()), http }
    }

    pub(super) async fn tell(
        &self,
        claim: &PushClaim,
        token: &SecretString,
        notification: &Notification,
    ) -> Told {
        let body = json!({
            "token": token.expose_secret(),
            "session_id": claim.session_id,
            "collapse_id": notification.topic,
            "notification": notification,
        });
        let body = body.to_string();
        // The same for each try, so that the server can leave out what it has told already.
        let id = format!("{}.{}.{}", claim.session_id, claim.epoch, notification.seq);
        let timestamp = OffsetDateTime::now_utc().unix_timestamp();
        let signed = format!("{id}.{timestamp}.{body}");
        let signature = BASE64_STANDARD.encode(hmac::sign(&self.key, signed.as_bytes()));
        let request = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", format!("v1,{signature}"))
            .body(body);
        match request.send().await {
            Err(_) => Told::Later(None),
            Ok(answer) => match answer.status() {
                status if status.is_success() => Told::Delivered,
                StatusCode::GONE => Told::Gone,
                // Any other may be the mistake of an hour: who runs both mends it.
                _ => Told::Later(retry_after(&answer)),
            },
        }
    }
}
