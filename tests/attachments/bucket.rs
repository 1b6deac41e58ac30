//! Attachments in a bucket: of the S3 server of moto.

use std::{net::TcpListener, process::Stdio};

use imd::config::Settings;
use reqwest::Client;
use tempfile::NamedTempFile;
use tokio::process::Child;

use super::{collect, file, make, make_with, with_files};
use crate::support::{
    api::Transport, cluster::Cluster, eventually, node::Node, packages, postgres::Database,
};

/// A store. It is killed when it is dropped.
struct S3 {
    endpoint: String,
    key: NamedTempFile,
    _process: Child,
}

impl S3 {
    async fn start() -> Self {
        let port =
            TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one").port();
        let mut command = packages::python_module("attachments", "moto.server").await;
        let process = command
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a store");
        let endpoint = format!("http://127.0.0.1:{port}");
        let bucket = format!("{endpoint}/files");
        let made = async || {
            let made = Client::new().put(&bucket).send().await.ok()?;
            made.status().is_success().then_some(())
        };
        eventually("there is a bucket", made).await;
        let key = NamedTempFile::new().expect("a file");
        std::fs::write(key.path(), "secret\n").expect("a key");
        Self { endpoint, key, _process: process }
    }

    /// A cluster of one node, whose attachments are there.
    async fn cluster(&self) -> Cluster {
        let database = Database::create().await;
        let in_bucket = |settings: &mut Settings| {
            settings.attachments.folder = None;
            settings.attachments.bucket = Some("s3://files/of-imd".to_owned());
            settings.attachments.endpoint = Some(self.endpoint.clone());
            settings.attachments.key_id = Some("key".to_owned());
            settings.attachments.key = Some(self.key.path().to_owned());
        };
        let node = Node::start_with(&database, in_bucket).await;
        Cluster::of(Transport::Grpc, database, node)
    }

    /// The names of the objects of an attachment.
    async fn objects(&self, id: &str) -> Vec<String> {
        let url = format!("{}/files?list-type=2&prefix=of-imd/{id}", self.endpoint);
        let listed = Client::new().get(url).send().await.expect("an answer");
        let listed = listed.text().await.expect("a listing");
        let keys = listed.split("<Key>").skip(1);
        keys.map(|rest| rest.split('<').next().expect("a key").to_owned()).collect()
    }
}

#[tokio::test]
async fn attachments_are_uploaded_to_a_bucket_read_from_it_and_deleted_there() {
    let s3 = S3::start().await;
    let imd = s3.cluster().await;
    let server = imd.node.public_address();
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let told = file("a ö.txt", "text/plain", b"0123456789");
    let (id, upload) = ann.api.create_attachment(&ann.token, &told).await.expect("created");
    let early = ann.send(&with_files("bob", "file", &[&id])).await.expect_err("not uploaded");
    assert_eq!(early.field(), "attachments");
    assert!(make(&upload, server, b"0123456789").await.status().is_success());
    let sent = ann.send(&with_files("bob", "file", &[&id])).await.expect("sent");
    let link = bob.api.attachment_link(&bob.token, &sent.message_id, &id).await.expect("a link");
    let whole = make(&link, server, &[]).await;
    let head = |name: &str| whole.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(head("content-type"), Some("text/plain"));
    assert_eq!(head("content-disposition"), Some("attachment; filename*=UTF-8''a%20%C3%B6.txt"));
    assert_eq!(whole.text().await.expect("a text"), "0123456789");
    let part = make_with(&link, server, &[], &[("range", "bytes=2-4")]).await;
    assert_eq!((part.status().as_u16(), part.text().await.expect("a text").as_str()), (206, "234"));

    ann.recall(&sent.message_id).await.expect("recalled");
    let refused = bob.api.attachment_link(&bob.token, &sent.message_id, &id).await;
    assert_eq!(refused.expect_err("gone").code, "message_not_found");
    assert_eq!(s3.objects(&id).await.len(), 1);
    assert_eq!(collect(&imd).await, [""; 0]);
    assert_eq!(s3.objects(&id).await, [""; 0]);
}

#[tokio::test]
async fn what_was_uploaded_to_a_bucket_and_is_something_else_is_refused() {
    let s3 = S3::start().await;
    let imd = s3.cluster().await;
    let server = imd.node.public_address();
    let ann = imd.user_with_phone("ann").await;
    let told = file("a.txt", "text/plain", b"0123456789");
    let (id, upload) = ann.api.create_attachment(&ann.token, &told).await.expect("created");
    let page = ("content-type".to_owned(), "text/html".to_owned());
    let mut of_another_type = upload.clone();
    of_another_type.headers.extend([page]);
    let mut shown = upload.clone();
    shown.headers.remove("content-disposition");
    for (request, bytes) in [
        (&upload, "0123456789 and more"),
        (&upload, "012345678"),
        (&of_another_type, "0123456789"),
        (&shown, "0123456789"),
    ] {
        assert!(make(request, server, bytes.as_bytes()).await.status().is_success());
        let refused = ann.send(&with_files("ann", "x", &[&id])).await.expect_err("something else");
        assert_eq!((refused.code.as_str(), refused.field()), ("invalid_argument", "attachments"));
        assert_eq!(s3.objects(&id).await, [format!("of-imd/{id}/upload")]);
    }
    assert!(make(&upload, server, b"0123456789").await.status().is_success());
    ann.send(&with_files("ann", "x", &[&id])).await.expect("what was said");
}

#[tokio::test]
async fn an_upload_to_a_bucket_does_not_change_what_a_message_has() {
    let s3 = S3::start().await;
    let imd = s3.cluster().await;
    let server = imd.node.public_address();
    let ann = imd.user_with_phone("ann").await;
    let told = file("a.txt", "text/plain", b"first");
    let (id, upload) = ann.api.create_attachment(&ann.token, &told).await.expect("created");
    assert!(make(&upload, server, b"first").await.status().is_success());
    // Messages that name it at the same time agree about what it is.
    let sends = (0..8).map(|n| {
        let (ann, id) = (&ann, &id);
        async move { ann.send(&with_files("ann", &format!("{n}"), &[id])).await.expect("sent") }
    });
    let sent = futures::future::join_all(sends).await;
    assert_eq!(s3.objects(&id).await.len(), 1, "one copy is kept");
    assert!(make(&upload, server, b"later").await.status().is_success());
    ann.send(&with_files("ann", "again", &[&id])).await.expect("sent");
    for sent in &sent {
        let link = ann.api.attachment_link(&ann.token, &sent.message_id, &id).await;
        let read = make(&link.expect("a link"), server, &[]).await;
        assert_eq!(read.text().await.expect("a text"), "first");
    }
    assert_eq!(s3.objects(&id).await.len(), 2, "the later upload is there still");

    // What is beside what is kept goes when uploads can no longer be made, and so does what no message could have.
    let (large, upload) = ann.api.create_attachment(&ann.token, &told).await.expect("created");
    assert!(make(&upload, server, &vec![b'x'; 100_000]).await.status().is_success());
    let (good, upload) = ann.api.create_attachment(&ann.token, &told).await.expect("created");
    assert!(make(&upload, server, b"first").await.status().is_success());
    let age = "UPDATE attachments SET created_at = created_at - interval '11 minutes'";
    imd.database.sql().await.execute(age, &[]).await.expect("older attachments");
    imd.admin().retry_job("attachments").await.expect("a job");
    let gone = async || s3.objects(&large).await.is_empty().then_some(());
    eventually("the large one is gone", gone).await;
    let kept = async || (s3.objects(&id).await.len() == 1).then_some(());
    eventually("one copy is left", kept).await;
    let sent = ann.send(&with_files("ann", "late", &[&good])).await.expect("sent");
    let link = ann.api.attachment_link(&ann.token, &sent.message_id, &good).await.expect("a link");
    assert_eq!(make(&link, server, &[]).await.text().await.expect("a text"), "first");
    let kept = s3.objects(&good).await;
    assert!(kept.len() == 1 && !kept[0].ends_with("/upload"), "{kept:?}");
}

#[tokio::test]
async fn a_bucket_that_does_not_answer_loses_nothing() {
    let s3 = S3::start().await;
    let imd = s3.cluster().await;
    let server = imd.node.public_address();
    let ann = imd.user_with_phone("ann").await;
    let told = file("a.txt", "text/plain", b"bytes");
    let (id, upload) = ann.api.create_attachment(&ann.token, &told).await.expect("created");
    assert!(make(&upload, server, b"bytes").await.status().is_success());
    let sent = ann.send(&with_files("ann", "x", &[&id])).await.expect("sent");
    let (unseen, _) = ann.api.create_attachment(&ann.token, &told).await.expect("created");
    drop(s3);
    let refused = ann.send(&with_files("ann", "y", &[&unseen])).await.expect_err("no bucket");
    assert_eq!(refused.code, "unavailable");
    ann.recall(&sent.message_id).await.expect("recalled");
    let age = "UPDATE attachments SET unused_since = unused_since - interval '1 day'";
    let sql = imd.database.sql().await;
    sql.execute(age, &[]).await.expect("older attachments");
    let failed = imd.admin().purge_attachments().await.expect_err("no bucket");
    assert_eq!(failed.code, "unavailable");
    let deleting = "SELECT attachment_id::text FROM attachments WHERE state = 3 ORDER BY 1";
    let rows = sql.query(deleting, &[]).await.expect("attachments");
    let left: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let mut both = [id, unseen];
    both.sort();
    assert_eq!(left, both, "they are tried again");
}
