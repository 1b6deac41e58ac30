//! Browsers: the page at `/`, and a gRPC-web client in a page of another origin.

use std::net::TcpListener;

use serde_json::json;
use uuid::Uuid;

use crate::support::{
    cluster::PASSWORD,
    packages::{node_packages, printed, python, run, scratch},
    process::{DataFolder, binary},
    programs::program,
};

/// A port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

#[tokio::test]
async fn the_page_shows_the_whole_product_in_a_few_windows() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let axe = node_packages("connect").await.join("node_modules/axe-core/axe.min.js");
    let mut chat = python("browser", "chat.py").await;
    let link = imd.greeting.split_whitespace().find(|word| word.contains("/#demo="));
    chat.arg(link.expect("a link to the page")).arg(scratch("screenshots")).arg(axe);
    let told = printed(&mut chat).await;
    assert!(told.ends_with("ok  no window has complained\n"), "{told}");
    assert!(told.contains("ok  axe finds nothing wrong with the chat\n"), "{told}");
}

#[tokio::test]
async fn the_page_believes_what_happens_on_other_terminals() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let imctl = || {
        let mut imctl = tokio::process::Command::new(binary("imctl"));
        imctl
            .env("IMD_DATA_DIR", folder.path())
            .env("IMCTL_SERVER", format!("http://{}", imd.admin));
        imctl
    };
    let history = folder.path().join("history.jsonl");
    let message = json!({
        "sent_at": "2025-01-15T12:00:00Z", "sender_id": "dora", "recipient_id": "ann",
        "client_message_id": Uuid::new_v4(), "text": "A happy new year",
    });
    std::fs::write(&history, message.to_string()).expect("a file");
    run(imctl().args(["messages", "import", "--create-users"]).arg(history)).await;
    imd.admin().set_password("ann", PASSWORD).await.expect("ann is there");
    imd.create_users(&["ben", "cleo"]).await;

    let mut conversations = python("browser", "conversations.py").await;
    conversations
        .arg(format!("http://{}/", imd.public))
        .arg(binary("imctl"))
        .env("PASSWORD", PASSWORD)
        .env("IMD_DATA_DIR", folder.path())
        .env("IMCTL_SERVER", format!("http://{}", imd.admin));
    let told = printed(&mut conversations).await;
    assert!(told.ends_with("ok  no window has complained\n"), "{told}");
}

#[tokio::test]
async fn the_page_shows_groups() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "ben", "cleo", "dora"]).await;
    let axe = node_packages("connect").await.join("node_modules/axe-core/axe.min.js");
    let mut groups = python("browser", "groups.py").await;
    groups.arg(format!("http://{}/", imd.public)).arg(axe).env("PASSWORD", PASSWORD);
    let told = printed(&mut groups).await;
    assert!(told.ends_with("ok  no window has complained\n"), "{told}");
    assert!(told.contains("ok  axe finds nothing wrong with a group\n"), "{told}");
}

#[tokio::test]
async fn the_page_notifies_of_what_it_is_told_while_it_is_closed() {
    let folder = DataFolder::new();
    let imd = folder.start_with(&[("IMD_PUSH_WEB_PUSH_SUBJECT", "mailto:ops@imd.test")]).await;
    imd.create_users(&["ann", "ben"]).await;
    let mut notifications = python("browser", "notifications.py").await;
    notifications.arg(format!("http://{}/", imd.public)).env("PASSWORD", PASSWORD);
    let told = printed(&mut notifications).await;
    assert!(told.ends_with("ok  what is read elsewhere is shown no more\n"), "{told}");
}

#[tokio::test]
async fn a_grpc_web_client_of_connect_talks_from_another_origin() {
    let packages = node_packages("connect").await;
    let mut build = tokio::process::Command::new(program("npm"));
    build
        .args(["run", "--silent", "build"])
        .current_dir(&packages)
        .env("PROTO", concat!(env!("CARGO_MANIFEST_DIR"), "/../proto"));
    run(&mut build).await;

    let port = free_port();
    let folder = DataFolder::new();
    let origin = format!("http://localhost:{port}");
    let imd = folder.start_with(&[("IMD_CORS_ALLOWED_ORIGINS", &origin)]).await;
    imd.create_users(&["alice"]).await;
    let mut connect = python("browser", "connect.py").await;
    connect
        .args([&format!("http://{}", imd.public), "alice", PASSWORD])
        .arg(packages.join("out"))
        .arg(port.to_string());
    let told = printed(&mut connect).await;
    assert!(told.ends_with("ok  and a bad request as such\n"), "{told}");
}
