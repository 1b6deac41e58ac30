//! Webhooks over TLS.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use crate::support::{
    certificates::{Authority, Certified},
    postgres::Database,
    process::DataFolder,
    within_deadline,
};

/// A server that shows this certificate and acknowledges everything: its URL, and what it gets.
async fn receiver(certified: &Certified) -> (String, mpsc::UnboundedReceiver<String>) {
    let acceptor = certified.acceptor(&[]);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    let (tell, got) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut read = Vec::new();
            while !read.ends_with(b"}]}") {
                match stream.read_buf(&mut read).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            let _ = tell.send(String::from_utf8_lossy(&read).into_owned());
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    (url, got)
}

#[tokio::test]
async fn only_a_server_that_is_vouched_for_is_told() {
    let (authority, other) = (Authority::new(), Authority::new());
    let database = Database::create().await;
    let folder = DataFolder::new();
    let trusted = authority.file();
    let imd = folder
        .start_with(&[
            ("IMD_DATABASE_URL", database.url()),
            ("IMD_DATABASE_POOL_SIZE", "6"),
            ("IMD_WEBHOOKS_ALLOW_PRIVATE", "true"),
            // In the place of the system's authorities.
            ("SSL_CERT_FILE", trusted.to_str().expect("UTF-8")),
        ])
        .await;
    let (url, mut got) = receiver(&authority.certify()).await;
    let good = imd.admin().create_webhook(&url, &["user.created"]).await.expect("a webhook").0;
    let tested = imd.admin().test_webhook(&good.webhook_id).await.expect("tested");
    assert!(tested.delivered, "{tested:?}");
    let told = within_deadline("a request", got.recv()).await.expect("it runs");
    assert!(told.contains("webhook.test") && told.contains("webhook-signature"), "{told}");

    let (url, mut got) = receiver(&other.certify()).await;
    let made = imd.admin().create_webhook(&url, &["user.created"]).await.expect("a webhook").0;
    let tested = imd.admin().test_webhook(&made.webhook_id).await.expect("tested");
    assert!(!tested.delivered && tested.error.contains("certificate"), "{tested:?}");
    let (url, _) = receiver(&authority.certify_for(["example.com"])).await;
    let named = imd.admin().create_webhook(&url, &["user.created"]).await.expect("a webhook").0;
    let tested = imd.admin().test_webhook(&named.webhook_id).await.expect("tested");
    assert!(!tested.delivered && tested.error.contains("certificate"), "{tested:?}");
    assert!(got.try_recv().is_err(), "nothing is said to who cannot show who it is");
}
