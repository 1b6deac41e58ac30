//! What a message says.

use aws_lc_rs::digest::{Context, SHA256};
use base64::{DecodeError, Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Attachment, Error, MessageId, Result};

/// The longest content type, in characters.
const MAX_CONTENT_TYPE_LENGTH: usize = 127;

/// Tells a retry of a send from a reuse of its id: the first half of the content's SHA-256.
pub type ContentHash = [u8; 16];

/// The content of a message: text, or typed bytes. Never empty. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Portable", try_from = "Portable")]
pub struct Content {
    /// A media type; `None` for text.
    content_type: Option<String>,
    /// UTF-8 when it is text.
    body: Bytes,
}

impl Content {
    /// Text from a client.
    pub fn text(text: String, max_bytes: usize) -> Result<Self> {
        let content = Self { content_type: None, body: text.into() };
        content.check_size("text", max_bytes)?;
        Ok(content)
    }

    /// Typed bytes from a client.
    pub fn data(content_type: String, data: Bytes, max_bytes: usize) -> Result<Self> {
        let printable = content_type.bytes().all(|b| (0x20..0x7f).contains(&b));
        let slashes = content_type.matches('/').count();
        if content_type.len() > MAX_CONTENT_TYPE_LENGTH || !printable || slashes != 1 {
            let reason = format!(
                "must be a media type such as image/png: at most {MAX_CONTENT_TYPE_LENGTH} printable ASCII characters, one slash"
            );
            return Err(Error::invalid("content_type", reason));
        }
        let content = Self { content_type: Some(content_type), body: data };
        content.check_size("data", max_bytes)?;
        Ok(content)
    }

    /// Content that was checked when it was stored.
    #[must_use]
    pub fn from_stored(content_type: Option<String>, body: Bytes) -> Self {
        Self { content_type, body }
    }

    /// The media type; `None` for text.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The bytes; UTF-8 when it is text.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// See [`ContentHash`].
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        let mut sha = Context::new(&SHA256);
        // No content type holds a NUL, so no two contents feed the same bytes.
        sha.update(self.content_type.as_deref().unwrap_or_default().as_bytes());
        sha.update(&[0]);
        sha.update(&self.body);
        let digest = sha.finish();
        std::array::from_fn(|i| digest.as_ref()[i])
    }

    /// As [`Content::hash`], of a message that has attachments.
    #[must_use]
    pub fn hash_with(&self, attachments: &[Attachment]) -> ContentHash {
        if attachments.is_empty() {
            return self.hash();
        }
        let mut sha = Context::new(&SHA256);
        // No content type begins so.
        sha.update(b"\x01attachments\0");
        sha.update(&self.hash());
        for attachment in attachments {
            sha.update(attachment.attachment_id.as_bytes());
        }
        let digest = sha.finish();
        std::array::from_fn(|i| digest.as_ref()[i])
    }

    /// What stands for the content of a message that forwards another one, whatever that says at the time: so that a
    /// retry is known though the other was edited meanwhile.
    #[must_use]
    pub fn hash_of_forward(message_id: MessageId) -> ContentHash {
        let MessageId { home, seq, generation } = message_id;
        let mut sha = Context::new(&SHA256);
        // No content type begins so.
        sha.update(b"\x01forward\0");
        sha.update(&home.0.to_be_bytes());
        sha.update(&seq.to_be_bytes());
        sha.update(&generation.to_be_bytes());
        let digest = sha.finish();
        std::array::from_fn(|i| digest.as_ref()[i])
    }

    fn check_size(&self, field: &'static str, max_bytes: usize) -> Result<()> {
        match self.body.len() {
            0 => Err(Error::invalid(field, "must not be empty")),
            n if n > max_bytes => {
                Err(Error::invalid(field, format!("is {n} bytes long; the limit is {max_bytes}")))
            }
            _ => Ok(()),
        }
    }
}

/// Content on its way from node to node.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Portable {
    Text(String),
    /// A media type, and bytes in base64.
    Data(String, String),
}

impl From<Content> for Portable {
    fn from(Content { content_type, body }: Content) -> Self {
        match content_type {
            None => Self::Text(String::from_utf8_lossy(&body).into_owned()),
            Some(content_type) => Self::Data(content_type, BASE64_STANDARD.encode(body)),
        }
    }
}

impl TryFrom<Portable> for Content {
    type Error = DecodeError;

    fn try_from(portable: Portable) -> Result<Self, DecodeError> {
        Ok(match portable {
            Portable::Text(text) => Self { content_type: None, body: text.into() },
            Portable::Data(content_type, data) => {
                let body = BASE64_STANDARD.decode(data)?.into();
                Self { content_type: Some(content_type), body }
            }
        })
    }
}
