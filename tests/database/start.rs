//! What keeps a node from starting is named in one line that says what to do.

use crate::support::{node::Node, postgres::Database};

#[tokio::test]
async fn a_database_of_another_encoding_is_named() {
    let database = Database::create_with("ENCODING 'LATIN1' LOCALE 'C'").await;
    let refused = Node::refused(database.url()).await;
    assert!(refused.contains("LATIN1") && refused.contains("ENCODING 'UTF8'"), "{refused}");
    assert!(!refused.contains('\n'), "{refused}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    let database = Database::create().await;
    let url = database.url().replace(database.name(), "nowhere_to_be_found");
    let refused = Node::refused(&url).await;
    assert!(
        refused.contains("nowhere_to_be_found") && refused.contains("database.url"),
        "{refused}"
    );
    assert!(!refused.contains('\n'), "{refused}");
}

#[tokio::test]
async fn a_host_where_nobody_listens_is_named() {
    let refused = Node::refused("postgresql://imd@127.0.0.1:1/imd").await;
    assert!(refused.contains("127.0.0.1:1") && refused.contains("refused"), "{refused}");
}
