//! Browsers: the page at `/`, and a gRPC-web client in a page of another origin.

use std::net::TcpListener;

use crate::support::{
    cluster::PASSWORD,
    packages::{node_packages, printed, python, run, scratch},
    process::DataFolder,
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
    chat.arg(format!("http://{}/", imd.public)).arg(scratch("screenshots")).arg(axe);
    let told = printed(&mut chat).await;
    assert!(told.ends_with("ok  no window has complained\n"), "{told}");
    assert!(told.contains("ok  axe finds nothing wrong with the chat\n"), "{told}");
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
