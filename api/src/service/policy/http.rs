//! The hook over HTTP: a signed POST of JSON.

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Client, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tracing::Span;
use uuid::Uuid;

use super::{PolicyHook, PolicyQuestion, PolicyVerdict};
use crate::{
    service::{SendContent, webhook_signature},
    telemetry::trace,
};

/// How much longer than the bytes of a content its JSON may be: base64, or what JSON escapes.
const LONGEST_ESCAPE: usize = 6;

/// A hook at a URL.
#[derive(Debug)]
pub struct HttpPolicy {
    url: String,
    key: Option<hmac::Key>,
    http: Client,
}

/// What it answers.
#[derive(Debug, Deserialize)]
struct Answer {
    action: Action,
    #[serde(default)]
    code: String,
    text: Option<String>,
    content_type: Option<String>,
    data: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Allow,
    Refuse,
    Rewrite,
}

impl HttpPolicy {
    /// Requests are signed with `key`, if there is one.
    #[must_use]
    pub fn new(url: String, key: Option<&SecretString>, http: Client) -> Self {
        let key = key.map(|key| webhook_signature::key(key.expose_secret().as_bytes()));
        Self { url, key, http }
    }
}

#[async_trait]
impl PolicyHook for HttpPolicy {
    async fn ask(
        &self,
        question: &PolicyQuestion,
        largest: usize,
    ) -> Result<PolicyVerdict, String> {
        let body = serde_json::to_vec(question).map_err(|error| error.to_string())?;
        let id = format!("msg_{}", Uuid::now_v7());
        let headers = trace::headers_of(&Span::current());
        let request = self.http.post(&self.url).headers(headers);
        let request = webhook_signature::sign(request, self.key.as_slice(), &id, body);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("answered {}", answer.status()));
        }
        let body = read(answer, largest.saturating_mul(LONGEST_ESCAPE)).await?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        answer.verdict()
    }
}

impl Answer {
    fn verdict(self) -> Result<PolicyVerdict, String> {
        let content = match self.action {
            Action::Allow => return Ok(PolicyVerdict::Allow),
            Action::Refuse => {
                let text = self.text.unwrap_or_default();
                return Ok(PolicyVerdict::Refuse { code: self.code, text });
            }
            Action::Rewrite => (self.text, self.data),
        };
        match content {
            (Some(text), None) => Ok(PolicyVerdict::Rewrite(SendContent::Text(text))),
            (None, Some(data)) => {
                let data = BASE64_STANDARD.decode(data);
                let data = data.map_err(|_| "data must be base64".to_owned())?.into();
                let content_type = self.content_type.unwrap_or_default();
                Ok(PolicyVerdict::Rewrite(SendContent::Data { content_type, data }))
            }
            _ => Err("a rewrite has either text or data".to_owned()),
        }
    }
}

/// Reads an answer of at most so many bytes.
async fn read(mut answer: Response, largest: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
        body.extend_from_slice(&chunk);
        if body.len() > largest {
            return Err(format!("answered more than {largest} bytes"));
        }
    }
    Ok(body)
}
