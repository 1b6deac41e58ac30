//! A server of the deployment's own, which tells terminals in its own way. Requests are signed as Standard
//! Webhooks has it.

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Told, notification::News, web_push::retry_after};
use crate::model::SessionId;

pub(super) struct Webhook {
    url: String,
    key: hmac::Key,
    http: Client,
}

impl Webhook {
    pub(super) fn new(url: String, key: &SecretString, http: Client) -> Self {
        Self { url, key: hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes()), http }
    }

    /// Tells the terminal of a session, whose timeline has this numbering.
    pub(super) async fn tell(
        &self,
        (session_id, epoch): (SessionId, i64),
        token: &SecretString,
        news: &News,
    ) -> Told {
        let body = json!({
            "token": token.expose_secret(),
            "session_id": session_id,
            "collapse_id": news.tag(),
            "notification": news,
        });
        let body = body.to_string();
        let id = match news {
            News::Test(_) => format!("{session_id}.test.{}", Uuid::now_v7()),
            // The same for each try, so that the server can leave out what it has told already.
            _ => format!("{session_id}.{epoch}.{}", news.seq()),
        };
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
