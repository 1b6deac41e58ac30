//! What the log of a node says of calls, of what is slow, of an outage and of what concerns security.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use imd_proto::v1::{Role, auth_service_client::AuthServiceClient, kick_sessions_request::Which};
use nix::sys::signal::{Signal, kill};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio_tungstenite::connect_async;
use tonic_types::StatusExt;

use crate::{
    faults::proxy::Proxy,
    support::{
        api::Transport,
        cluster::{PASSWORD, login},
        eventually,
        grpc::{channel, with_bearer},
        postgres::Database,
        process::{DataFolder, Imd, in_time},
        socket,
    },
};

/// The lines of the log that hold `text`.
fn lines(imd: &Imd, text: &str) -> Vec<String> {
    imd.log().lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

/// Waits for a line that holds all of `texts`.
async fn line(imd: &Imd, texts: &[&str]) -> String {
    let found = async || {
        let log = imd.log();
        log.lines().find(|line| texts.iter().all(|text| line.contains(text))).map(str::to_owned)
    };
    eventually(&format!("a line with {texts:?}"), found).await
}

async fn ask(public: SocketAddr, id: &str) -> (String, Value) {
    let request = Client::new().get(format!("http://{public}/v1/sessions"));
    let answer = request.header("x-request-id", id).send().await.expect("an answer");
    let given = answer.headers()["x-request-id"].to_str().expect("ASCII").to_owned();
    (given, answer.json().await.expect("a problem"))
}

#[tokio::test]
async fn a_call_has_an_id_in_its_answer_its_error_and_the_log() {
    let folder = DataFolder::new();
    let imd = folder.start_with(&[("IMD_LOG_ACCESS", "true")]).await;
    imd.create_users(&["ann"]).await;
    let ann = imd.log_in(Transport::Rest, "ann", "phone").await;

    let (given, problem) = ask(imd.public, "call-of-ann:1").await;
    assert_eq!(
        (given.as_str(), &problem["request_id"]),
        ("call-of-ann:1", &json!("call-of-ann:1"))
    );
    let said = line(&imd, &["imd::access", "call-of-ann:1"]).await;
    for text in
        ["GET", "/v1/sessions", "status=401", "invalid_token", "address=127.0.0.1", "took_ms="]
    {
        assert!(said.contains(text), "{text} in {said}");
    }
    for unfit in ["two words", &"x".repeat(129)] {
        let (given, problem) = ask(imd.public, unfit).await;
        assert_ne!(given, unfit);
        assert_eq!(problem["request_id"], json!(given));
    }

    let mut grpc = AuthServiceClient::new(channel(imd.public));
    let mut request = with_bearer(&ann.token, imd_proto::v1::ListMySessionsRequest {});
    request.metadata_mut().insert("x-request-id", "good".parse().expect("ASCII"));
    let answer = grpc.list_my_sessions(request).await.expect("a session");
    assert_eq!(answer.metadata().get("x-request-id").expect("an id"), "good");
    let said = line(&imd, &["imd::access", "request_id=\"good\""]).await;
    assert!(said.contains("ListMySessions") && said.contains("user_id=\"ann\""), "{said}");
    let mut request = with_bearer("no token", imd_proto::v1::ListMySessionsRequest {});
    request.metadata_mut().insert("x-request-id", "bad".parse().expect("ASCII"));
    let refused = grpc.list_my_sessions(request).await.expect_err("no token");
    assert_eq!(refused.metadata().get("x-request-id").expect("an id"), "bad");
    assert_eq!(refused.get_details_request_info().expect("a RequestInfo").request_id, "bad");

    let mut request = socket::request(imd.public);
    request.headers_mut().insert("x-request-id", "of-a-socket".parse().expect("ASCII"));
    let bearer = format!("Bearer {}", ann.token).parse().expect("ASCII");
    request.headers_mut().insert("authorization", bearer);
    let (mut connection, answer) = connect_async(request).await.expect("a WebSocket");
    assert_eq!(answer.headers()["x-request-id"], "of-a-socket");
    let send = json!({ "mark_read": { "conversation_id": "no conversation", "seq": 1 } });
    futures::SinkExt::send(&mut connection, send.to_string().into()).await.expect("sent");
    let error = loop {
        let frame =
            futures::StreamExt::next(&mut connection).await.expect("a frame").expect("good");
        let frame: Value = serde_json::from_str(frame.to_text().expect("a text")).expect("JSON");
        if let Some(error) = frame.get("error") {
            break error.clone();
        }
    };
    assert_eq!(error["request_id"], "of-a-socket");
    line(&imd, &["imd::access", "of-a-socket", "mark_read", "user_id=\"ann\"", "code="]).await;
}

#[tokio::test]
async fn a_log_in_json_is_json_alone() {
    let (folder, database) = (DataFolder::new(), Database::create().await);
    let mut command = folder.imd();
    command.env("IMD_DATABASE_URL", database.url()).env("IMD_LOG_FORMAT", "json");
    let mut imd = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut printed = BufReader::new(imd.stdout.take().expect("it is piped")).lines();
    let first = in_time("imd is ready", printed.next_line()).await.expect("UTF-8").expect("a line");
    let ready: Value = serde_json::from_str(&first).expect("JSON");
    let public = ready["fields"]["public"].as_str().expect("an address").to_owned();
    let answer = reqwest::get(format!("{public}/readyz")).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let pid = imd.id().and_then(|pid| i32::try_from(pid).ok()).expect("it runs");
    kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
    let mut log = String::new();
    let mut stderr = imd.stderr.take().expect("it is piped");
    in_time("imd ends", stderr.read_to_string(&mut log)).await.expect("UTF-8");
    assert!(imd.wait().await.expect("our child").success());
    while let Some(line) = printed.next_line().await.expect("UTF-8") {
        log = format!("{log}{line}\n");
    }
    assert!(log.lines().count() > 1, "{log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn what_concerns_security_is_logged_with_who_and_whence() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann"]).await;
    let api = Transport::Rest.connect(imd.public);
    api.login(&login("ann", "phone", "p").password("not hers")).await.expect_err("wrong");
    let said = line(&imd, &["imd::security", "login_failed"]).await;
    for text in ["user_id=\"ann\"", "terminal=\"phone\"", "address=\"127.0.0.1\"", "request_id="] {
        assert!(said.contains(text), "{text} in {said}");
    }
    let phone = imd.log_in(Transport::Grpc, "ann", "phone").await;
    imd.log_in(Transport::Grpc, "ann", "phone").await;
    line(&imd, &["session_ended", "REPLACED", "user_id=\"ann\"", "session_id="]).await;
    drop(phone);
    let admin = imd.admin();
    admin.kick("ann", Some(Which::All(true)), "").await.expect("kicked");
    line(&imd, &["session_ended", "KICKED", "by=\"local\"", "terminal=\"phone\""]).await;
    let key = admin.create_key("zoe", Role::Support).await.expect("a key");
    line(&imd, &["admin_key_created", "zoe, support", "by=\"local\""]).await;
    let wrong = crate::support::admin::Admin::new(imd.admin, "no key");
    wrong.create_user("eve", PASSWORD).await.expect_err("no key");
    line(&imd, &["admin_key_refused", "address=\"127.0.0.1\""]).await;
    let log = imd.log();
    assert!(!log.contains("not hers") && !log.contains(&key) && !log.contains("no key"));
}

#[tokio::test]
async fn what_is_slow_is_logged() {
    let (folder, database) = (DataFolder::new(), Database::create().await);
    let settings = [("IMD_DATABASE_URL", database.url()), ("IMD_LOG_SLOW", "100ms")];
    let imd = folder.start_with(&settings).await;
    imd.create_users(&["ann"]).await;
    let mut sql = database.sql().await;
    let held = sql.transaction().await.expect("begun");
    held.execute("LOCK TABLE admin_keys IN ACCESS EXCLUSIVE MODE", &[]).await.expect("locked");
    let admin = imd.admin();
    let listing = tokio::spawn(async move { admin.keys().await });
    let watch = database.superuser().await;
    eventually("it has waited for the lock for long", async || {
        let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'
            AND query LIKE '%admin_keys%' AND clock_timestamp() - query_start > interval '150ms'";
        watch.query_opt(waiting, &[]).await.expect("its state")
    })
    .await;
    held.rollback().await.expect("released");
    listing.await.expect("no panic").expect("the keys");
    line(&imd, &["imd::slow", "a slow statement", "FROM admin_keys", "request_id="]).await;
    line(&imd, &["imd::slow", "a slow call", "took_ms=", "administrator=\"local\""]).await;
}

#[tokio::test]
async fn an_outage_of_the_database_takes_few_lines_and_its_end_one() {
    let (folder, database) = (DataFolder::new(), Database::create().await);
    let (proxy, url) = Proxy::before_database(database.url()).await;
    let imd = folder.start_node(&url).await;
    imd.create_users(&["ann"]).await;
    let ann = imd.log_in(Transport::Rest, "ann", "phone").await;
    proxy.refuse();
    line(&imd, &["the database is not reached"]).await;
    let before = imd.log().lines().count();
    let calls = (0..40).map(|_| ann.api.sessions(&ann.token));
    for refused in futures::future::join_all(calls).await {
        assert_eq!(refused.expect_err("no database").code, "unavailable");
    }
    let again = line(&imd, &["a line came again", "unavailable"]).await;
    assert!(again.contains("times="), "{again}");
    let unavailable = imd.log().lines().skip(before).filter(|l| l.contains("unavailable")).count();
    assert!(unavailable < 10, "{}", imd.log());
    proxy.clear();
    line(&imd, &["the database is back", "after_s="]).await;
    ann.api.sessions(&ann.token).await.expect("her sessions");
}

#[tokio::test]
async fn a_hangup_changes_the_level_and_says_what_needs_a_restart() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    assert!(lines(&imd, "DEBUG").is_empty());
    folder
        .write_settings("[log]\nlevel = \"info,imd=debug\"\nslow = \"5s\"\n[append]\nlanes = 3\n");
    kill(imd.pid(), Signal::SIGHUP).expect("it runs");
    let said = line(&imd, &["settings reloaded"]).await;
    assert!(said.contains("applied=\"log.level, log.slow\""), "{said}");
    assert!(said.contains("need_a_restart=\"append.lanes\""), "{said}");
    reqwest::get(format!("http://{}/healthz", imd.public)).await.expect("an answer");
    line(&imd, &["DEBUG", "imd::access", "/healthz"]).await;

    folder.write_settings("[log]\nlevel = \"imd=loud\"\n");
    kill(imd.pid(), Signal::SIGHUP).expect("it runs");
    line(&imd, &["settings not reloaded", "log.level"]).await;
    let asked = Duration::from_secs(5);
    let answer = Client::new().get(format!("http://{}/readyz", imd.public)).timeout(asked);
    assert_eq!(answer.send().await.expect("an answer").status(), 200);
}
