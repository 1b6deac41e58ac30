//! Attachments: files that messages have with them.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Error, Result, UserId, parse_uuid};

/// The most attachments of a message.
pub const MOST_ATTACHMENTS: usize = 10;

/// The longest file name, in characters.
const MAX_FILE_NAME_LENGTH: usize = 255;

/// The longest content type, in characters.
const MAX_CONTENT_TYPE_LENGTH: usize = 127;

/// An attachment of a message. Stored as JSON: fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Which attachment.
    pub attachment_id: Uuid,
    /// The name that its sender gave it, without a path.
    pub file_name: String,
    /// A media type, as its sender said.
    pub content_type: String,
    /// Bytes.
    pub size: i64,
    /// The SHA-256 of its bytes in hexadecimal digits; empty where its sender has not said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
}

/// What has become of an attachment. Numbered as in the contract and in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentState {
    /// It was created, and not uploaded yet.
    Waiting = 1,
    /// It was uploaded.
    Stored = 2,
    /// No message has it any more; its bytes are about to be deleted.
    Deleting = 3,
}

impl AttachmentState {
    const ALL: [Self; 3] = [Self::Waiting, Self::Stored, Self::Deleting];

    /// The state with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i16 == number)
    }
}

/// An attachment as an administrator sees it.
#[derive(Debug, Clone)]
pub struct StoredAttachment {
    /// The attachment.
    pub attachment: Attachment,
    /// Who created it.
    pub owner: UserId,
    /// What has become of it.
    pub state: AttachmentState,
    /// How many copies of messages have it, and messages that are to be sent later; a message of a group counts once.
    pub uses: i64,
    /// When it was created.
    pub created_at: OffsetDateTime,
}

/// An HTTP request that a client makes to upload an attachment or to download it.
#[derive(Debug, Clone)]
pub struct AttachmentRequest {
    /// `PUT` or `GET`.
    pub method: &'static str,
    /// Where to; a URL that begins with `/` is of this server.
    pub url: String,
    /// The headers that it must have.
    pub headers: Vec<(&'static str, String)>,
    /// Until when it can be made.
    pub expires_at: OffsetDateTime,
}

/// Whether a file name may have a character: no path comes of it, and what is shown is what it is. Some characters make
/// `exe.txt` of `txt.exe`.
fn is_shown(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns && !matches!(c, '/' | '\\')
}

/// Whether a text is `type/subtype`, perhaps with parameters that need no quotes around them.
fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        let in_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        !part.is_empty() && part.bytes().all(in_token)
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let parameters = parameters.bytes().all(|b| b == b' ' || (0x21..0x7f).contains(&b));
    parameters && essence.split_once('/').is_some_and(|(a, b)| is_token(a) && is_token(b))
}

/// Bytes in hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl Attachment {
    /// An attachment that a client creates.
    pub fn new(file_name: String, content_type: String, size: i64, sha256: &str) -> Result<Self> {
        let length = file_name.chars().count();
        let is_path = matches!(file_name.as_str(), "." | "..");
        if length == 0
            || length > MAX_FILE_NAME_LENGTH
            || is_path
            || !file_name.chars().all(is_shown)
        {
            let reason = format!(
                "must be a file name of 1–{MAX_FILE_NAME_LENGTH} characters, without slashes, control characters and \
                 characters that change the direction of writing"
            );
            return Err(Error::invalid("file_name", reason));
        }
        if content_type.len() > MAX_CONTENT_TYPE_LENGTH || !is_media_type(&content_type) {
            return Err(Error::invalid("content_type", "must be a media type such as image/png"));
        }
        if size < 1 {
            return Err(Error::invalid("size", "must be 1 or more"));
        }
        if !sha256.is_empty()
            && (sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(Error::invalid("sha256", "must be 64 hexadecimal digits"));
        }
        let sha256 = sha256.to_ascii_lowercase();
        Ok(Self { attachment_id: Uuid::now_v7(), file_name, content_type, size, sha256 })
    }

    /// The attachments that a message names.
    pub fn parse_ids(field: &'static str, ids: &[String]) -> Result<Vec<Uuid>> {
        if ids.len() > MOST_ATTACHMENTS {
            let reason = format!("must be at most {MOST_ATTACHMENTS}");
            return Err(Error::invalid(field, reason));
        }
        let mut parsed = Vec::with_capacity(ids.len());
        for id in ids {
            let id = parse_uuid(field, id)?;
            if parsed.contains(&id) {
                return Err(Error::invalid(field, "must not name one twice"));
            }
            parsed.push(id);
        }
        Ok(parsed)
    }
}
