//! gRPC-web, byte by byte over HTTP/1.1.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use prost::Message;
use reqwest::{Client, RequestBuilder, Response};

use crate::support::cluster::Cluster;

/// The flag of the frame that holds the trailers.
pub(super) const TRAILERS: u8 = 0x80;

/// A call. `form` is `proto`, or `text` for all in base64.
pub(super) async fn call(
    imd: &Cluster,
    form: &str,
    method: &str,
    token: &str,
    message: &impl Message,
) -> Response {
    let response = request(imd, form, method, token, message).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], content_type(form));
    response
}

fn content_type(form: &str) -> &'static str {
    match form {
        "text" => "application/grpc-web-text+proto",
        _ => "application/grpc-web+proto",
    }
}

/// A call that is not made yet.
pub(super) fn request(
    imd: &Cluster,
    form: &str,
    method: &str,
    token: &str,
    message: &impl Message,
) -> RequestBuilder {
    let body = framed(&message.encode_to_vec());
    let body = if form == "text" { BASE64_STANDARD.encode(body).into_bytes() } else { body };
    Client::new()
        .post(format!("http://{}/im.v1.{method}", imd.node.public_address()))
        .header("content-type", content_type(form))
        .header("accept", content_type(form))
        .header("x-grpc-web", "1")
        .bearer_auth(token)
        .body(body)
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a small message").to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// Takes the first frame off `bytes`, if it is there as a whole: its flag and what it holds.
pub(super) fn take_frame(bytes: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (&flag, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).expect("it fits");
    let data = rest.get(..length)?.to_vec();
    bytes.drain(..5 + length);
    Some((flag, data))
}

pub(super) fn trailers(data: &[u8]) -> BTreeMap<String, String> {
    let text = std::str::from_utf8(data).expect("UTF-8");
    let pair = |line: &str| {
        let (name, value) = line.split_once(':').expect("a trailer");
        (name.trim().to_owned(), value.trim().to_owned())
    };
    text.lines().filter(|line| !line.is_empty()).map(pair).collect()
}

/// The message and the trailers of a whole answer.
pub(super) async fn answer<M: Message + Default>(
    form: &str,
    response: Response,
) -> (M, BTreeMap<String, String>) {
    let mut body = response.bytes().await.expect("a body").to_vec();
    if form == "text" {
        // Each piece that was written is padded, so that base64 may end in the middle.
        let quads = body.chunks(4).map(|quad| BASE64_STANDARD.decode(quad).expect("base64"));
        body = quads.flatten().collect();
    }
    let (flag, message) = take_frame(&mut body).expect("a message");
    assert_eq!(flag, 0);
    let (flag, last) = take_frame(&mut body).expect("trailers");
    assert_eq!((flag, body.len()), (TRAILERS, 0));
    (M::decode(&message[..]).expect("a message"), trailers(&last))
}
