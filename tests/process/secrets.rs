//! What the logs never hold, however much is logged.

use base64::{Engine, prelude::BASE64_STANDARD};
use imd_proto::v1::Role;
use jsonwebtoken::Algorithm;
use reqwest::Client;
use serde_json::json;

use crate::support::{
    api::{Outgoing, Transport},
    cluster::{PASSWORD, login},
    issuer::{AUDIENCE, Issuer, asserted},
    nats::Nats,
    process::{DataFolder, Imd},
    types::Event,
};

/// What nobody else is to know: (what it is, the secret).
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: impl Into<String>) {
        let secret = secret.into();
        assert!(secret.len() >= 8, "{what} could stand in a log by chance");
        self.0.push((what, secret));
    }

    fn assert_not_in(&self, log: &str) {
        for (what, secret) in &self.0 {
            let as_numbers = format!("{:?}", secret.as_bytes());
            let hex = |hex: String, byte: u8| format!("{hex}{byte:02x}");
            let as_hex = secret.bytes().fold(String::new(), hex);
            let forms = [secret.as_str(), as_numbers.trim_matches(['[', ']']), &as_hex];
            let line = log.lines().find(|line| forms.iter().any(|form| line.contains(form)));
            assert_eq!(line, None, "{what}");
        }
    }
}

/// Everything that a user does with secrets, good ones and bad, over one transport.
async fn use_secrets(imd: &Imd, transport: Transport, issuer: &Issuer, secrets: &mut Secrets) {
    let api = transport.connect(imd.public);
    let wrong = login("ann", "phone", "p").password("a wrong password of ann's");
    api.login(&wrong).await.expect_err("a wrong password");
    secrets.add("a wrong password", "a wrong password of ann's");

    let phone = imd.log_in(transport, "ann", "phone").await;
    let refreshed = phone.api.refresh(&phone.refresh_token).await.expect("new tokens");
    let assertion = issuer.vouch("bob");
    let bob = api.login(&asserted(assertion.clone(), "pc", "p")).await.expect("a session");
    api.login(&asserted(assertion.clone(), "pc", "p")).await.expect_err("used before");
    secrets.add("an assertion", assertion);
    for tokens in [&refreshed, &bob.tokens] {
        secrets.add("an access token", &*tokens.access_token);
        secrets.add("a refresh token", &*tokens.refresh_token);
    }
    secrets.add("an access token", &*phone.token);
    secrets.add("a refresh token", &*phone.refresh_token);

    let text = format!("a text over {transport:?} that is nobody else's business");
    let bytes = format!("bytes over {transport:?} that are nobody else's business");
    let sent = phone.say("bob", &text).await;
    let data = Outgoing::data("bob", "text/x-secret", bytes.as_bytes());
    phone.send(&data).await.expect("sent");
    let unfit = Outgoing { client_message_id: "no UUID".to_owned(), ..data.clone() };
    phone.send(&unfit).await.expect_err("no id");
    let mut feed = phone.follow("").await;
    feed.entries_to(sent.seq).await;
    phone.history("bob", 10, "").await.expect("a page");
    phone.recall(&sent.message_id).await.expect("recalled");
    secrets.add("a text", text);
    secrets.add("bytes in base64", BASE64_STANDARD.encode(&bytes));
    secrets.add("bytes", bytes);

    let bad_token = format!("{}x", phone.token);
    phone.api.sessions(&bad_token).await.expect_err("a bad token");
    phone.logout().await.expect("logged out");
    let last = feed.to_the_end().await.1;
    assert!(matches!(last, Event::SessionEnded(_)));
    phone.send(&data).await.expect_err("a session that has ended");
}

#[tokio::test]
async fn no_secret_is_logged_however_much_is_logged() {
    let mut secrets = Secrets::default();
    let nats = Nats::start().await;
    let issuer = Issuer::new("https://product.example", Algorithm::HS256);
    let folder = DataFolder::new();
    folder.write_settings(&format!(
        "[[login.issuers]]\nissuer = {:?}\naudience = {AUDIENCE:?}\nalgorithms = [\"HS256\"]\n\
         keys = [{:?}]\nprovision = true\n",
        issuer.name,
        issuer.key_file(),
    ));
    let bus = format!("nats://imd:password-of-the-bus@{}", nats.address());
    secrets.add("the bus's password", "password-of-the-bus");
    let imd = folder.start_with(&[("IMD_LOG_LEVEL", "trace"), ("IMD_BUS_URL", &bus)]).await;
    imd.create_users(&["ann"]).await;
    secrets.add("a password", PASSWORD);
    let admin_key = std::fs::read_to_string(&imd.admin_key).expect("a key");
    secrets.add("the admin key", admin_key.trim());
    let made = imd.admin().create_key("zoe", Role::Support).await.expect("a key");
    secrets.add("a named admin key", made);
    // A second node, with a stream to which the first has to send hints.
    let elsewhere = DataFolder::new();
    let url = folder.database_url().await;
    let far = [("IMD_LOG_LEVEL", "trace"), ("IMD_BUS_URL", &bus), ("IMD_DATABASE_URL", &url)];
    let far = elsewhere.start_with(&far).await;
    let pc = far.log_in(Transport::Grpc, "ann", "pc").await;
    let mut feed_of_pc = pc.follow("now").await;
    for transport in [Transport::Grpc, Transport::Rest, Transport::WebSocket] {
        use_secrets(&imd, transport, &issuer, &mut secrets).await;
    }
    let last = pc.timeline().await.pop().expect("an entry").seq;
    feed_of_pc.entries_to(last).await;
    let malformed =
        json!({ "user_id": "ann", "password": "in a body that is no login", "terminal": 7 });
    let login_url = format!("http://{}/v1/login", imd.public);
    Client::new().post(login_url).json(&malformed).send().await.expect("an answer");
    secrets.add("a password in a bad request", "in a body that is no login");
    // What it cannot do, for want of a column, it says: with the error, and without what was to be stored.
    let (sql, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let phone = imd.log_in(Transport::Grpc, "ann", "phone").await;
    sql.batch_execute("ALTER TABLE entries RENAME body TO lost").await.expect("a fault");
    let text = "what the database does not take, and says so";
    phone
        .send(&Outgoing::data("ann", "text/x-secret", text.as_bytes()))
        .await
        .expect_err("a fault");
    secrets.add("bytes that failed", text);
    imd.says("internal").await;

    for log in [imd.log(), far.log()] {
        assert!(log.contains("TRACE") && log.len() > 10_000, "much is logged");
        secrets.assert_not_in(&log);
    }
    secrets.assert_not_in(&folder.postgres_log());
}
