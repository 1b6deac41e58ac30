//! Attachments: who may upload what, who gets them, and that they are deleted when no message has them any more.

mod bucket;
mod folder;
mod scheduled;
mod stored;

use std::net::SocketAddr;

use reqwest::{Client, Method, Response, StatusCode};

use crate::support::{
    api::Outgoing,
    cluster::Cluster,
    terminal::Terminal,
    types::{FileCall, FileRequest, Sent},
};

/// A file of these bytes.
fn file(name: &str, content_type: &str, bytes: &[u8]) -> FileCall {
    FileCall {
        file_name: name.to_owned(),
        content_type: content_type.to_owned(),
        size: i64::try_from(bytes.len()).expect("a small file"),
        sha256: String::new(),
    }
}

/// Makes a request as a client does that knows nothing of files.
async fn make(request: &FileRequest, server: SocketAddr, body: &[u8]) -> Response {
    make_with(request, server, body, &[]).await
}

/// As [`make`], with more in its head.
async fn make_with(
    request: &FileRequest,
    server: SocketAddr,
    body: &[u8],
    more: &[(&str, &str)],
) -> Response {
    let url = match request.url.strip_prefix('/') {
        Some(path) => format!("http://{server}/{path}"),
        None => request.url.clone(),
    };
    let method: Method = request.method.parse().expect("a method");
    let mut made = Client::new().request(method, url);
    for (name, value) in &request.headers {
        made = made.header(name, value);
    }
    for (name, value) in more {
        made = made.header(*name, *value);
    }
    if request.method == "PUT" {
        made = made.body(body.to_owned());
    }
    made.send().await.expect("an answer")
}

/// Uploads an attachment: its id.
pub(crate) async fn upload(imd: &Cluster, terminal: &Terminal, name: &str, bytes: &[u8]) -> String {
    upload_to(imd.node.public_address(), terminal, name, bytes).await
}

/// As [`upload`], to any server.
pub(crate) async fn upload_to(
    server: SocketAddr,
    terminal: &Terminal,
    name: &str,
    bytes: &[u8],
) -> String {
    let told = file(name, "text/plain", bytes);
    let created = terminal.api.create_attachment(&terminal.token, &told).await;
    let (id, request) = created.expect("a file");
    let answer = make(&request, server, bytes).await;
    assert!(answer.status().is_success(), "{}", answer.status());
    id
}

/// A message with files.
pub(crate) fn with_files(to: &str, text: &str, ids: &[&str]) -> Outgoing {
    let attachments = ids.iter().map(|id| (*id).to_owned()).collect();
    Outgoing { attachments, ..Outgoing::text(to, text) }
}

/// What a reader finds in a file of a message; the code of the refusal where it gets no link.
async fn read(
    imd: &Cluster,
    reader: &Terminal,
    sent: &Sent,
    attachment_id: &str,
) -> Result<String, String> {
    let link = reader.api.attachment_link(&reader.token, &sent.message_id, attachment_id).await;
    let link = link.map_err(|refusal| refusal.code)?;
    let answer = make(&link, imd.node.public_address(), &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    Ok(answer.text().await.expect("a text"))
}

/// Makes all that may be unused old enough to go, and has it be collected; which files are left.
async fn collect(imd: &Cluster) -> Vec<String> {
    let sql = imd.database.sql().await;
    let age = "UPDATE attachments SET unused_since = unused_since - interval '1 day',
               created_at = created_at - interval '1 day'";
    sql.execute(age, &[]).await.expect("older files");
    imd.admin().purge_attachments().await.expect("a purge");
    let left = "SELECT attachment_id::text FROM attachments ORDER BY attachment_id";
    let rows = sql.query(left, &[]).await.expect("files");
    rows.iter().map(|row| row.get(0)).collect()
}
