//! A server of the deployment's own, which tells terminals in its own way. Requests are signed as Standard
//! Webhooks has it.

use aws_lc_rs::hmac;
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use super::{Told, notification::News, web_push::retry_after};
use crate::{model::SessionId, service::webhook_signature};

pub(super) struct Webhook {
    url: String,
    key: hmac::Key,
    http: Client,
}

impl Webhook {
    pub(super) fn new(url: String, key: &SecretString, http: Client) -> Self {
        Self { url, key: webhook_signature::key(key.expose_secret().as_bytes()), http }
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
        let id = match news {
            News::Test(_) => format!("{session_id}.test.{}", Uuid::now_v7()),
            // The same for each try, so that the server can leave out what it has told already.
            _ => format!("{session_id}.{epoch}.{}", news.seq()),
        };
        let body = body.to_string().into_bytes();
        let keys = std::slice::from_ref(&self.key);
        let request = webhook_signature::sign(self.http.post(&self.url), keys, &id, body);
        match request.send().await {
            Err(_) => Told::Later(None),
            Ok(answer) => match answer.status() {
                status if status.is_success() => Told::Delivered,
                StatusCode::GONE => Told::Gone(None),
                // Any other may be the mistake of an hour: who runs both mends it.
                _ => Told::Later(retry_after(&answer)),
            },
        }
    }
}
