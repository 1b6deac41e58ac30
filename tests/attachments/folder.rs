//! Attachments in a folder of the node: uploads, ranges, links.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures::{
    StreamExt,
    channel::mpsc::{self, UnboundedSender},
};
use imd::config::Settings;
use reqwest::{Body, Client, Response};
use tokio::task::JoinHandle;

use super::{file, make, make_with, upload, with_files};
use crate::support::{
    cluster::Cluster,
    eventually, on_both_transports,
    types::{FileCall, FileRequest},
};

on_both_transports! {
    a_file_is_larger_than_any_message,
    a_part_of_a_file_can_be_read,
    an_upload_of_something_else_is_refused,
    only_who_was_given_a_link_reads_and_uploads,
    a_link_expires,
    the_first_upload_that_is_finished_counts,
    nothing_is_left_of_an_upload_that_is_broken_off,
}

/// The SHA-256 of "abc".
const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

async fn a_file_is_larger_than_any_message(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
    let id = upload(&imd, &ann, "large.txt", &bytes).await;
    let sent = ann.send(&with_files("ann", "large", &[&id])).await.expect("sent");
    let read = super::read(&imd, &ann, &sent, &id).await.expect("it is there");
    assert!(read.as_bytes() == bytes);
}

async fn a_part_of_a_file_can_be_read(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let id = upload(&imd, &ann, "ä \"b\".txt", b"0123456789").await;
    let sent = ann.send(&with_files("ann", "file", &[&id])).await.expect("sent");
    let link = ann.api.attachment_link(&ann.token, &sent.message_id, &id).await.expect("a link");
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, Some("bytes 2-4/10"), "234"),
        ("bytes=7-", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=-2", 206, Some("bytes 8-9/10"), "89"),
        ("bytes=8-99999999999999999999", 206, Some("bytes 8-9/10"), "89"),
        ("bytes=10-", 416, Some("bytes */10"), ""),
        ("bytes=99-100", 416, Some("bytes */10"), ""),
        ("bytes=4-2", 200, None, "0123456789"),
        ("bytes=0-1,4-5", 200, None, "0123456789"),
        ("lines=1", 200, None, "0123456789"),
    ] {
        let answer = make_with(&link, imd.node.public_address(), &[], &[("range", range)]).await;
        assert_eq!(answer.status(), status, "{range}");
        let head = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(head("content-range"), content_range);
        assert_eq!(head("accept-ranges"), Some("bytes"));
        assert_eq!(head("x-content-type-options"), Some("nosniff"));
        assert_eq!(
            head("content-disposition"),
            Some("attachment; filename*=UTF-8''%C3%A4%20%22b%22.txt")
        );
        assert_eq!(answer.text().await.expect("a text"), body);
    }
    let whole = make(&link, imd.node.public_address(), &[]).await;
    let etag = whole.headers()["etag"].to_str().expect("a tag").to_owned();
    for (condition, status) in [(etag.as_str(), 206), ("\"another\"", 200)] {
        let more = [("range", "bytes=0-0"), ("if-range", condition)];
        let answer = make_with(&link, imd.node.public_address(), &[], &more).await;
        assert_eq!(answer.status(), status);
    }
}

async fn an_upload_of_something_else_is_refused(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let server = imd.node.public_address();
    let abc = FileCall { sha256: OF_ABC.to_owned(), ..file("a", "text/plain", b"abc") };
    let (id, request) = ann.api.create_attachment(&ann.token, &abc).await.expect("a file");
    for wrong in [&b"ab"[..], b"abcd", b"abd"] {
        let answer = make(&request, server, wrong).await;
        assert_eq!(answer.status(), 400);
        let problem: serde_json::Value = answer.json().await.expect("a problem");
        assert_eq!(
            (&problem["code"], &problem["field"]),
            (&"invalid_argument".into(), &"body".into())
        );
    }
    assert!(ann.send(&with_files("ann", "x", &[&id])).await.is_err(), "it is not there");
    for bytes in [&b"abc"[..], b"xyz"] {
        // What is there stays.
        assert_eq!(make(&request, server, bytes).await.status(), 204);
    }
    let sent = ann.send(&with_files("ann", "x", &[&id])).await.expect("sent");
    assert_eq!(super::read(&imd, &ann, &sent, &id).await.as_deref(), Ok("abc"));
    let page = ann.history("ann", 1, "").await.expect("a page");
    assert_eq!(page.entries[0].message().attachments[0].sha256, OF_ABC);
}

async fn only_who_was_given_a_link_reads_and_uploads(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let server = imd.node.public_address();
    let id = upload(&imd, &ann, "a", b"abc").await;
    let sent = ann.send(&with_files("ann", "x", &[&id])).await.expect("sent");
    let link = ann.api.attachment_link(&ann.token, &sent.message_id, &id).await.expect("a link");
    let path = link.url.split_once('?').expect("a token").0.to_owned();
    let (_, other) = ann
        .api
        .create_attachment(&ann.token, &file("b", "text/plain", b"b"))
        .await
        .expect("a file");
    let token = other.headers["authorization"].clone();
    // A link is for one attachment, whoever's the other is.
    let second = upload(&imd, &ann, "c", b"c").await;
    let of_second = link.url.replace(&id, &second);
    assert_ne!(of_second, link.url);
    for url in
        [path.clone(), format!("{path}?token=x"), format!("{path}?token={}", ann.token), of_second]
    {
        let wrong = FileRequest { url, ..link.clone() };
        assert_eq!(make(&wrong, server, &[]).await.status(), 401);
    }
    for header in [token, format!("Bearer {}", ann.token), String::new()] {
        let mut wrong = FileRequest { method: "PUT".to_owned(), url: path.clone(), ..link.clone() };
        wrong.headers.insert("authorization".to_owned(), header);
        assert_eq!(make(&wrong, server, b"abc").await.status(), 401);
    }
}

async fn a_link_expires(imd: Cluster) {
    let short = |settings: &mut Settings| settings.attachments.link_ttl = Duration::from_secs(3);
    let (node, api) = imd.start_node_with(short).await;
    let ann = imd.user_with_phone("ann").await.through(api);
    let id = upload(&imd, &ann, "a", b"abc").await;
    let sent = ann.send(&with_files("ann", "x", &[&id])).await.expect("sent");
    let told = file("b", "text/plain", b"b");
    let (_, late) = ann.api.create_attachment(&ann.token, &told).await.expect("created");
    let link = ann.api.attachment_link(&ann.token, &sent.message_id, &id).await.expect("a link");
    assert!(link.expires_at > late.expires_at - Duration::from_secs(1));
    for request in [late, link] {
        let refused = async || {
            let answer = make(&request, node.public_address(), b"b").await;
            (answer.status() == 401).then_some(answer)
        };
        let refused = eventually("it has expired", refused).await;
        let problem: serde_json::Value = refused.json().await.expect("a problem");
        assert_eq!(problem["code"], "invalid_token");
    }
}

/// A body that is sent as it comes.
fn slow() -> (UnboundedSender<Bytes>, Body) {
    let (sender, parts) = mpsc::unbounded();
    (sender, Body::wrap_stream(parts.map(Ok::<_, Infallible>)))
}

/// Begins an upload whose body comes later.
fn begin(imd: &Cluster, request: &FileRequest, body: Body) -> JoinHandle<Option<Response>> {
    let url = format!("http://{}{}", imd.node.public_address(), request.url);
    let begun = Client::new().put(url).header("authorization", &request.headers["authorization"]);
    let begun = begun.body(body).send();
    tokio::spawn(async move { begun.await.ok() })
}

/// How many uploads of an attachment are in the folder, finished or not.
fn uploads(imd: &Cluster, id: &str) -> usize {
    let name = id.replace('-', "");
    let folder = imd.node.attachments().join(&name[30..]).join(name);
    std::fs::read_dir(folder).map(Iterator::count).unwrap_or_default()
}

async fn the_first_upload_that_is_finished_counts(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let told = file("a", "text/plain", b"first");
    let (id, request) = ann.api.create_attachment(&ann.token, &told).await.expect("created");
    let (parts, body) = slow();
    parts.unbounded_send(Bytes::from_static(b"lat")).expect("sent");
    let late = begin(&imd, &request, body);
    eventually("it has begun", async || (uploads(&imd, &id) == 1).then_some(())).await;
    assert_eq!(make(&request, imd.node.public_address(), b"first").await.status(), 204);
    let sent = ann.send(&with_files("ann", "x", &[&id])).await.expect("sent");
    parts.unbounded_send(Bytes::from_static(b"er")).expect("sent");
    drop(parts);
    let answer = late.await.expect("a task").expect("an answer");
    assert_eq!(answer.status(), 204, "the attachment is there");
    assert_eq!(super::read(&imd, &ann, &sent, &id).await.as_deref(), Ok("first"));
    assert_eq!(uploads(&imd, &id), 1, "nothing is left of the other");
}

async fn nothing_is_left_of_an_upload_that_is_broken_off(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let told = file("a", "text/plain", &vec![b'x'; 100_000]);
    let (id, request) = ann.api.create_attachment(&ann.token, &told).await.expect("created");
    let (parts, body) = slow();
    parts.unbounded_send(Bytes::from_static(b"xxx")).expect("sent");
    let broken = begin(&imd, &request, body);
    eventually("it has begun", async || (uploads(&imd, &id) == 1).then_some(())).await;
    broken.abort();
    drop(parts);
    eventually("it is gone", async || (uploads(&imd, &id) == 0).then_some(())).await;
    let refused = ann.send(&with_files("ann", "x", &[&id])).await.expect_err("not uploaded");
    assert_eq!(refused.field(), "attachments");
    assert_eq!(make(&request, imd.node.public_address(), &vec![b'x'; 100_000]).await.status(), 204);
    ann.send(&with_files("ann", "x", &[&id])).await.expect("sent");
}
