//! What is refused of webhooks, and by which field.

use imd_proto::v1::{CreateWebhookRequest, UpdateWebhookRequest};

use super::receiver::Receiver;
use crate::support::{api::Transport, cluster::Cluster, eventually};

#[tokio::test]
async fn addresses_that_are_not_public_are_reached_by_no_webhook() {
    // Without `webhooks.allow_private`.
    let imd = Cluster::start(Transport::Grpc).await;
    let mut receiver = Receiver::start().await;
    for url in [
        receiver.url.as_str(),
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:192.168.0.1]/",
        "https://2130706433/",
        "http://example.com/",
    ] {
        let refused = imd.admin().create_webhook(url, &["message.sent"]).await.expect_err(url);
        assert_eq!(refused.field(), "url", "{url}: {refused:?}");
    }
    // A name is looked up at each connection.
    let url = receiver.url.replace("http://127.0.0.1", "https://localhost");
    let made = imd.admin().create_webhook(&url, &["message.sent"]).await.expect("a webhook").0;
    let tested = imd.admin().test_webhook(&made.webhook_id).await.expect("tested");
    assert!(!tested.delivered && tested.error.contains("not a public one"), "{tested:?}");
    let ann = imd.user_with_phone("ann").await;
    ann.say("ann", "one").await;
    eventually("it has failed", async || {
        let webhook = imd.admin().webhook(&made.webhook_id).await.expect("a webhook");
        (webhook.failures > 0).then(|| assert!(webhook.error.contains("not a public one")))
    })
    .await;
    receiver.gets_nothing().await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_its_field() {
    let imd = super::start(Transport::Grpc).await;
    let admin = imd.admin();
    let good = || CreateWebhookRequest {
        url: "https://hook.example.com/".to_owned(),
        kinds: vec!["message.*".to_owned()],
        ..Default::default()
    };
    let text = |text: &str| text.to_owned();
    for (field, request) in [
        ("url", CreateWebhookRequest { url: text(""), ..good() }),
        ("url", CreateWebhookRequest { url: text("hook"), ..good() }),
        ("url", CreateWebhookRequest { url: text("ftp://a.example/"), ..good() }),
        ("url", CreateWebhookRequest { url: text("https://a:b@a.example/"), ..good() }),
        ("url", CreateWebhookRequest { url: text("https://a.example/#x"), ..good() }),
        ("kinds", CreateWebhookRequest { kinds: vec![], ..good() }),
        ("kinds", CreateWebhookRequest { kinds: vec![text("message")], ..good() }),
        (
            "kinds",
            CreateWebhookRequest { kinds: vec![text("message.sent"), text("x.*")], ..good() },
        ),
        ("description", CreateWebhookRequest { description: text("a\nb"), ..good() }),
        ("secret", CreateWebhookRequest { secret: text("secret"), ..good() }),
        ("secret", CreateWebhookRequest { secret: text("whsec_c2hvcnQ="), ..good() }),
    ] {
        let refused = admin.make_webhook(request).await.expect_err(field);
        assert_eq!((refused.code.as_str(), refused.field()), ("invalid_argument", field));
    }
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let made = admin.make_webhook(CreateWebhookRequest { secret: text(secret), ..good() }).await;
    let (webhook, shown) = made.expect("a webhook");
    assert_eq!(shown, secret);
    assert_eq!(webhook.kinds, ["message.sent", "message.recalled", "message.edited"]);
    let update = UpdateWebhookRequest {
        webhook_id: webhook.webhook_id,
        url: Some(text("nowhere")),
        ..Default::default()
    };
    assert_eq!(admin.update_webhook(update).await.expect_err("no URL").field(), "url");
    for unknown in ["", "x", "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f"] {
        let refused = admin.webhook(unknown).await.expect_err("no webhook");
        assert_eq!(refused.code, "webhook_not_found", "{unknown}");
    }
    for _ in 1..20 {
        admin.make_webhook(good()).await.expect("a webhook");
    }
    let refused = admin.make_webhook(good()).await.expect_err("one too many");
    assert_eq!(refused.code, "too_many_webhooks");
}
