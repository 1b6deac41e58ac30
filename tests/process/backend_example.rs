//! The backend in `clients/examples`, against a server: it vouches for users, has a say in what they write, and is told of
//! what happens.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{Ed25519KeyPair, KeyPair},
};
use imd_proto::v1::Role;
use pem::Pem;
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::support::{
    api::{Credential, Login, Outgoing, Transport},
    cluster::login,
    eventually,
    process::{DataFolder, Imd, in_time},
    programs::program,
    terminal::Terminal,
};

/// Its files, and how to start it.
struct Backend {
    folder: TempDir,
    port: u16,
}

impl Backend {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let pair = Ed25519KeyPair::generate().expect("a key");
        let private = pair.to_pkcs8v1().expect("PKCS #8");
        let public = AsDer::<PublicKeyX509Der>::as_der(pair.public_key()).expect("a public key");
        let pem = |name: &str, der: &[u8]| pem::encode(&Pem::new(name, der));
        // Free until the backend starts.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let backend = Self { folder, port: port.expect("a port").port() };
        backend.write("assertion.key", &pem("PRIVATE KEY", private.as_ref()));
        backend.write("assertion.pub", &pem("PUBLIC KEY", public.as_ref()));
        backend.write("policy.key", "the key of the hook, which both know");
        backend
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What imd has to be told of it.
    fn settings(&self) -> String {
        let (policy, assertion) = (self.path("policy.key"), self.path("assertion.pub"));
        format!(
            "webhooks.allow_private = true
             [policy]
             url = {:?}
             key = \"{}\"
             [[login.issuers]]
             issuer = \"https://shop.example\"
             audience = \"imd\"
             algorithms = [\"EdDSA\"]
             keys = [\"{}\"]
             provision = true",
            self.url("/policy"),
            policy.display(),
            assertion.display(),
        )
    }

    async fn start(&self, imd: &Imd) -> Child {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/examples/backend/server.mjs");
        let mut command = Command::new(program("node"));
        command
            .arg(script)
            .env("PORT", self.port.to_string())
            .env("ASSERTION_KEY", self.path("assertion.key"))
            .env("POLICY_KEY", self.path("policy.key"))
            .env("WEBHOOK_SECRET", self.path("webhook.secret"))
            .env("JOURNAL", self.path("events.jsonl"))
            .env("IMD_ADMIN", format!("http://{}", imd.admin))
            .env("IMD_ADMIN_KEY", self.path("shop.key"))
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut process = command.spawn().expect("node runs");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let ready = in_time("the backend listens", lines.next_line()).await;
        assert!(ready.expect("UTF-8").is_some_and(|line| line.starts_with("listening")));
        process
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = Client::new().post(self.url(path)).body(body.to_string()).send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    /// Logs a user in there, and with what it says of the user in imd.
    async fn log_in(&self, imd: &Imd, user_id: &str) -> Terminal {
        let asked = json!({ "user": user_id, "password": "secret" });
        let (status, said) = self.post("/login", asked).await;
        assert_eq!(status, 200);
        let assertion = said["assertion"].as_str().expect("an assertion").to_owned();
        let api = Transport::Rest.connect(imd.public);
        let credential = Credential::Assertion(assertion);
        let login = Login { credential, ..login(user_id, "phone", user_id) };
        let logged_in = api.login(&login).await.expect("a session");
        Terminal::new(api, user_id, logged_in)
    }

    /// The texts of the messages that it was told of, of one sender.
    fn told_of(&self, sender_id: &str) -> Vec<String> {
        let journal = fs::read_to_string(self.path("events.jsonl")).unwrap_or_default();
        let events = journal.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let messages = events.filter(|event| event["type"] == "message.sent");
        let sent = messages.filter(|event| event["data"]["sender_id"] == sender_id);
        sent.map(|event| event["data"]["text"].as_str().expect("a text").to_owned()).collect()
    }
}

#[tokio::test]
async fn the_backend_of_the_examples_does_what_it_says() {
    let backend = Backend::new();
    let folder = DataFolder::new();
    fs::create_dir_all(folder.path()).expect("a folder");
    folder.write_settings(&backend.settings());
    let imd = folder.start().await;
    let key = imd.admin().create_key("shop", Role::Backend).await.expect("a key");
    backend.write("shop.key", &key);
    let kinds = ["message.*", "session.*"];
    let made = imd.admin().create_webhook(&backend.url("/webhook"), &kinds).await;
    backend.write("webhook.secret", &made.expect("a webhook").1);
    let mut process = backend.start(&imd).await;

    let (refused, _) = backend.post("/login", json!({ "user": "ann", "password": "x" })).await;
    assert_eq!(refused, 401);
    let ann = backend.log_in(&imd, "ann").await;
    let ben = backend.log_in(&imd, "ben").await;
    for user in [&ann, &ben] {
        let welcome = format!("Welcome, {}. Write to help when you need us.", user.user_id);
        eventually("a welcome", async || (user.texts().await == [welcome.clone()]).then_some(()))
            .await;
    }

    ann.say("ben", "hello").await;
    let refused = ann.send(&Outgoing::text("ben", "the best Casino in town")).await;
    let refused = refused.expect_err("advertising");
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("policy_refused", "No advertising here.")
    );
    ann.say("ben", "my card is 4111 1111 1111 1111").await;
    assert_eq!(ben.texts().await[1..], ["hello", "my card is [card number]"]);

    ben.say("help", "where is it?").await;
    let answer = "You wrote \"where is it?\". Somebody will look at it soon.";
    eventually("an answer", async || ben.texts().await.contains(&answer.to_owned()).then_some(()))
        .await;

    // What was not signed by imd is not taken.
    for path in ["/policy", "/webhook"] {
        let (status, _) = backend.post(path, json!({ "events": [], "text": "x" })).await;
        assert_eq!(status, 401, "{path}");
    }

    // It is told of what happens while it is away.
    process.kill().await.expect("killed");
    let id = json!({ "from": { "user_id": "ann" }, "to": { "user_id": "ben" }, "text": "are you there?",
        "client_message_id": uuid::Uuid::new_v4() });
    let sent = Client::new()
        .post(format!("http://{}/admin/v1/messages", imd.admin))
        .bearer_auth(&key)
        .json(&id)
        .send()
        .await
        .expect("an answer");
    assert!(sent.status().is_success());
    let _process = backend.start(&imd).await;
    let due = ["hello", "my card is [card number]", "are you there?"];
    eventually("it is told", async || (backend.told_of("ann") == due).then_some(())).await;
}
