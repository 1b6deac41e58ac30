//! Attachments: creating them, links to them, and, where their bytes are in a folder of the node, the bytes.

use std::{io::SeekFrom, ops::Range, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
            CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::Response,
};
use futures::{Stream, TryStreamExt, stream};
use serde::Deserialize;
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json, Path, Query},
    problem::Problem,
    types::{AttachmentLink, CreateAttachmentRequest, CreatedAttachment},
};
use crate::{
    model::Error,
    service::{OpenAttachment, Service, disposition},
};

/// How many bytes of a file are read at a time.
const PIECE: u64 = 64 * 1024;

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(create_attachment)).routes(routes!(get_attachment_link))
}

/// What takes and gives whole files, however large they are and however long that takes.
pub(super) fn contents() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(upload_attachment, download_attachment))
        .layer(DefaultBodyLimit::disable())
}

/// Create an attachment.
///
/// The answer says how to upload it. Only an attachment that is uploaded can be named in a message. One that no message has
/// after a day is deleted, and so is one that no message has any more.
///
/// Errors: `invalid_argument` also for a type or a size that the server does not accept (`max_attachment_bytes` of
/// `GET /v1/info`); `attachment_quota_used` when the attachments of the caller would take more bytes together than the
/// server allows.
#[utoipa::path(
    post, path = "/v1/attachments", tag = "Attachments", security(("access_token" = [])),
    responses(
        (status = 200, description = "The id of the attachment, and how to upload it.", body = CreatedAttachment),
        Refusal<400>, Refusal<401>, Refusal<409>, Refusal<413>, Refusal<415>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn create_attachment(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Json(request): Json<CreateAttachmentRequest>,
) -> Result<Json<CreatedAttachment>, Problem> {
    let CreateAttachmentRequest { file_name, content_type, size, sha256 } = request;
    let created =
        service.create_attachment(bearer.token(), file_name, content_type, size, &sha256).await?;
    Ok(Json(created.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct LinkPath {
    /// A message that the caller sees.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$", example = "AAAAAAAAAAEAAAAAAAAAKg")]
    message_id: String,
    /// Which of its attachments.
    #[param(format = Uuid, example = "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e12")]
    attachment_id: String,
}

/// Get a link to an attachment of a message.
///
/// The link is good until `expires_at`, for whoever has it: it needs no access token. A download may ask for a range of bytes.
///
/// Errors: `message_not_found` when the caller has no such message, or it is gone; `attachment_not_found` when the message
/// has no such attachment.
#[utoipa::path(
    get, path = "/v1/messages/{message_id}/attachments/{attachment_id}", tag = "Attachments",
    security(("access_token" = [])), params(LinkPath),
    responses(
        (status = 200, description = "How to download it.", body = AttachmentLink),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_attachment_link(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<LinkPath>,
) -> Result<Json<AttachmentLink>, Problem> {
    let link =
        service.attachment_link(bearer.token(), &path.message_id, &path.attachment_id).await?;
    Ok(Json(link.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ContentPath {
    /// Which attachment.
    #[param(format = Uuid, example = "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e12")]
    attachment_id: String,
}

/// Upload an attachment.
///
/// The request that `POST /v1/attachments` has given, with its bearer token. Safe to repeat: what was uploaded once stays as
/// it is. A server whose attachments are in a bucket has no use for it.
///
/// Errors: `invalid_token` when the token has expired; `invalid_argument` for the `body` when its size or its SHA-256 is
/// not what the attachment was created with, or nothing comes for a minute; `attachment_not_found`.
#[utoipa::path(
    put, path = "/v1/attachments/{attachment_id}/content", tag = "Attachments",
    security(("upload_token" = [])), params(ContentPath),
    request_body(content = String, content_type = "application/octet-stream", description = "The bytes of the attachment."),
    responses(
        (status = 204, description = "The attachment is stored."),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn upload_attachment(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<ContentPath>,
    body: Body,
) -> Result<StatusCode, Problem> {
    let body = body.into_data_stream().map_err(std::io::Error::other);
    service.upload_attachment(bearer.token(), &path.attachment_id, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ContentQuery {
    /// What the link carries.
    #[serde(default)]
    token: String,
}

/// Download an attachment by a link.
///
/// All of it, or the one range that the header `range` asks for; several ranges are answered with all of it.
///
/// Errors: `invalid_token` when the link has expired; `attachment_not_found` when no message has the attachment any more.
#[utoipa::path(
    get, path = "/v1/attachments/{attachment_id}/content", tag = "Attachments",
    params(ContentPath, ContentQuery),
    responses(
        (status = 200, description = "The bytes of the attachment.", body = String, content_type = "application/octet-stream"),
        (status = 206, description = "The range that was asked for.", body = String,
            content_type = "application/octet-stream"),
        (status = 416, description = "The attachment has no such range."),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn download_attachment(
    State(service): State<Arc<Service>>,
    Path(path): Path<ContentPath>,
    Query(query): Query<ContentQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let OpenAttachment { attachment, mut file } =
        service.open_attachment(&path.attachment_id, &query.token).await?;
    let size = u64::try_from(attachment.size).unwrap_or_default();
    let etag = format!("\"{}\"", attachment.attachment_id);
    // It never changes, so a condition holds or names something else.
    let holds = headers.get(IF_RANGE).is_none_or(|asked| asked.as_bytes() == etag.as_bytes());
    let asked = headers.get(RANGE).filter(|_| holds).and_then(|range| range.to_str().ok());
    let asked = asked.map_or(Asked::Whole, |asked| range(asked, size));
    let mut head = vec![
        (ACCEPT_RANGES, "bytes".to_owned()),
        (CONTENT_TYPE, attachment.content_type),
        (CONTENT_DISPOSITION, disposition(&attachment.file_name)),
        (ETAG, etag),
        // A page that somebody uploads must not run as one of this server's.
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()),
    ];
    let (status, part) = match asked {
        Asked::Whole => (StatusCode::OK, 0..size),
        Asked::Part(part) => {
            let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            head.push((CONTENT_RANGE, range));
            (StatusCode::PARTIAL_CONTENT, part)
        }
        Asked::Nothing => {
            head.push((CONTENT_RANGE, format!("bytes */{size}")));
            (StatusCode::RANGE_NOT_SATISFIABLE, 0..0)
        }
    };
    let length = part.end - part.start;
    head.push((CONTENT_LENGTH, length.to_string()));
    file.seek(SeekFrom::Start(part.start)).await.map_err(Error::unavailable)?;
    let mut answer = Response::new(Body::from_stream(pieces(file, length)));
    *answer.status_mut() = status;
    for (name, value) in head {
        let value = HeaderValue::from_str(&value).map_err(Error::internal)?;
        answer.headers_mut().insert(name, value);
    }
    Ok(answer)
}

/// What a header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// All of it: also what is not understood, as RFC 9110 has it.
    Whole,
    Part(Range<u64>),
    /// What the file does not have.
    Nothing,
}

/// Reads `bytes=first-last`, `bytes=first-` and `bytes=-length`. More than one range is answered with the whole.
fn range(asked: &str, size: u64) -> Asked {
    let parts = asked.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'));
    let Some((first, last)) = parts else { return Asked::Whole };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(length)) if first.is_empty() => size.saturating_sub(length)..size,
        _ => return Asked::Whole,
    };
    if range.is_empty() { Asked::Nothing } else { Asked::Part(range) }
}

/// Digits and nothing else; what is larger than any file counts as the largest number.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// So many bytes of a file from where it stands, piece by piece.
fn pieces(file: File, length: u64) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold((file, length), async |(mut file, left)| {
        if left == 0 {
            return Ok(None);
        }
        let piece = usize::try_from(left.min(PIECE)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; piece];
        file.read_exact(&mut bytes).await?;
        let left = left - bytes.len() as u64;
        Ok(Some((Bytes::from(bytes), (file, left))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        for (asked, found) in [
            ("bytes=0-3", Asked::Part(0..4)),
            ("bytes=2-", Asked::Part(2..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=5-99", Asked::Part(5..10)),
            ("bytes=-99", Asked::Part(0..10)),
            ("bytes=5-99999999999999999999", Asked::Part(5..10)),
            ("bytes=99999999999999999999-", Asked::Nothing),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=1--2", Asked::Whole),
            ("bytes=10-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=3-2", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("lines=0-1", Asked::Whole),
            ("bytes=x-1", Asked::Whole),
        ] {
            assert_eq!(range(asked, 10), found, "{asked}");
        }
    }
}
