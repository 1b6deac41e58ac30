//! The signature of requests to servers of the customer's, as Standard Webhooks 1.0 has it: HMAC-SHA256 over
//! `id.timestamp.body`, so that the server knows who asks, what, and when.

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::RequestBuilder;
use time::OffsetDateTime;

/// The key that a secret is.
pub(super) fn key(secret: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret)
}

/// Gives a request its JSON body, and a signature over it by each key: while a secret is changed there are two. The id
/// is the same for each try, so that the server can tell what it has had already.
pub(super) fn sign(
    request: RequestBuilder,
    keys: &[hmac::Key],
    id: &str,
    body: Vec<u8>,
) -> RequestBuilder {
    let timestamp = OffsetDateTime::now_utc().unix_timestamp();
    let signed = [format!("{id}.{timestamp}.").as_bytes(), &body].concat();
    let sign = |key| format!("v1,{}", BASE64_STANDARD.encode(hmac::sign(key, &signed)));
    let signatures = keys.iter().map(sign).collect::<Vec<_>>().join(" ");
    let request = request
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp);
    let request = match keys {
        [] => request,
        _ => request.header("webhook-signature", signatures),
    };
    request.body(body)
}
