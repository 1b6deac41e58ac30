//! REST as its document says: clients in `clients/rest` that know nothing but the documents.

use crate::support::{
    cluster::PASSWORD,
    packages::{client, printed, python},
    process::{DataFolder, Imd},
};

async fn start(folder: &DataFolder) -> Imd {
    let imd = folder.start().await;
    imd.create_users(&["alice", "bob"]).await;
    imd
}

#[tokio::test]
async fn a_client_generated_from_the_document_talks() {
    let folder = DataFolder::new();
    let imd = start(&folder).await;
    let mut generated = python("rest", "generated.py").await;
    generated
        .args([&format!("http://{}", imd.public), "alice", "bob"])
        .arg(client("../../openapi/openapi.json"))
        .env("PASSWORD", PASSWORD);
    let told = printed(&mut generated).await;
    assert!(told.ends_with("ok  an ended session is told why\n"), "{told}");
}

#[tokio::test]
async fn the_server_answers_nothing_that_the_document_does_not_say() {
    let folder = DataFolder::new();
    let imd = start(&folder).await;
    let mut conform = python("rest", "conform.py").await;
    conform.args([&format!("http://{}", imd.public), "alice"]).env("PASSWORD", PASSWORD);
    assert_eq!(printed(&mut conform).await.matches("ok  ").count(), 3);
}

#[tokio::test]
async fn the_admin_listener_answers_nothing_that_its_document_does_not_say() {
    let folder = DataFolder::new();
    let imd = start(&folder).await;
    let key = std::fs::read_to_string(&imd.admin_key).expect("imd has made a key");
    let mut conform = python("rest", "conform.py").await;
    conform.arg(format!("http://{}", imd.admin)).env("ADMIN_KEY", key.trim());
    assert_eq!(printed(&mut conform).await.matches("ok  ").count(), 3);
}
