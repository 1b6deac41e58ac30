//! What `imctl` shows as it happens: `top`, `events`, `timeline tail`, lists with `--watch`; and `support bundle`.

use std::{fs, process::Stdio};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::Shell;
use crate::support::{
    api::Transport,
    cluster::login,
    process::{DataFolder, in_time},
};

/// Starts a command that watches, and waits until it does: its lines.
async fn watching(shell: &Shell<'_>, args: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut process = shell.start(args);
    let mut said = BufReader::new(process.stderr.take().expect("it is piped")).lines();
    let first = in_time("it watches", said.next_line()).await.expect("UTF-8");
    assert_eq!(first.as_deref(), Some("watching"));
    let printed = BufReader::new(process.stdout.take().expect("it is piped")).lines();
    (process, printed)
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    in_time("a line", lines.next_line()).await.expect("UTF-8").expect("a line")
}

#[tokio::test]
async fn events_are_shown_from_every_node_as_they_happen() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let elsewhere = DataFolder::new();
    let other = elsewhere.start_node(&folder.database_url().await).await;
    imd.create_users(&["ann", "ben"]).await;
    let shell = Shell::new(&folder, &imd);
    let (_events, mut lines) = watching(&shell, &["events", "--json"]).await;
    let (_of_ann, mut of_ann) = watching(&shell, &["events", "--user", "ann"]).await;
    let api = Transport::Rest.connect(other.public);
    api.login(&login("ben", "phone", "p").password("not his")).await.expect_err("wrong");
    let failed: Value = serde_json::from_str(&next(&mut lines).await).expect("JSON");
    assert_eq!((&failed["event"], &failed["user_id"]), (&"login_failed".into(), &"ben".into()));
    assert_eq!(
        (&failed["terminal_type"], &failed["address"]),
        (&"phone".into(), &"127.0.0.1".into())
    );
    other.log_in(Transport::Grpc, "ann", "pc").await;
    let line = next(&mut of_ann).await;
    assert!(line.contains("login") && line.contains("ann on pc  from 127.0.0.1"), "{line}");
    shell.imctl(&["sessions", "kick", "ann", "--all"]).await;
    let line = next(&mut of_ann).await;
    assert!(line.contains("session_ended") && line.contains("by local  KICKED"), "{line}");
}

#[tokio::test]
async fn a_timeline_is_followed_without_being_a_terminal() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "ben"]).await;
    let shell = Shell::new(&folder, &imd);
    let ann = imd.log_in(Transport::Grpc, "ann", "phone").await;
    ann.say("ben", "before").await;
    let (_tail, mut lines) = watching(&shell, &["timeline", "tail", "ben"]).await;
    let (_json, mut json) = watching(&shell, &["timelines", "tail", "ben", "--json"]).await;
    let sent = ann.say("ben", "what is said").await;
    let line = next(&mut lines).await;
    assert!(line.contains(&format!("message {} from ann", sent.message_id)), "{line}");
    assert!(!line.contains("what is said"), "{line}");
    let entry: Value = serde_json::from_str(&next(&mut json).await).expect("JSON");
    assert_eq!(entry["message"]["text"], "what is said");
    let sessions = shell.imctl(&["sessions", "list", "--user", "ben", "-o", "json"]).await;
    assert!(sessions.starts_with("[]"), "{sessions}");
    assert!(shell.imctl(&["audit", "--user", "ben"]).await.contains("tail_timeline"));
    let unknown = shell.failing_imctl(&["timeline", "tail", "nobody"]).await;
    assert!(unknown.contains("user_not_found"), "{unknown}");
}

#[tokio::test]
async fn top_shows_rates_calls_and_users() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "ben"]).await;
    let shell = Shell::new(&folder, &imd);
    let ann = imd.log_in(Transport::Rest, "ann", "phone").await;
    for text in ["one", "two", "three"] {
        ann.say("ben", text).await;
    }
    let picture = shell.imctl(&["top", "--once", "--interval", "200ms"]).await;
    for shown in ["alive", "p99", "waiting 0", "POST /v1/messages", "POST /v1/login", "ann"] {
        assert!(picture.contains(shown), "{shown} in\n{picture}");
    }
    // In a terminal, until a key ends it.
    let mut top = Command::new("script");
    let command = shell.command(&["top", "--interval", "100ms"]);
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let line = format!("stty cols 90 rows 30; {program} top --interval 100ms");
    top.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm");
    top.envs(command.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut top = top.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script runs");
    let mut keys = top.stdin.take().expect("it is piped");
    let mut screen = top.stdout.take().expect("it is piped");
    let mut seen = Vec::new();
    in_time("a picture", async {
        while !String::from_utf8_lossy(&seen).contains("Slowest") {
            let read = tokio::io::AsyncReadExt::read_buf(&mut screen, &mut seen).await;
            assert!(read.expect("bytes") > 0, "{}", String::from_utf8_lossy(&seen));
        }
    })
    .await;
    tokio::io::AsyncWriteExt::write_all(&mut keys, b"q").await.expect("it reads keys");
    in_time("the end", tokio::io::AsyncReadExt::read_to_end(&mut screen, &mut seen))
        .await
        .expect("bytes");
    let status = in_time("it ends", top.wait()).await.expect("our child");
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&seen));
}

#[tokio::test]
async fn a_watched_list_is_printed_again_and_again() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann"]).await;
    let shell = Shell::new(&folder, &imd);
    let mut process = shell.start(&["users", "list", "--watch=50ms"]);
    let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
    for _ in 0..3 {
        while !next(&mut lines).await.starts_with("ann") {}
    }
    imd.create_users(&["ben"]).await;
    while !next(&mut lines).await.starts_with("ben") {}
}

#[tokio::test]
async fn a_support_bundle_names_nobody_and_has_no_secret() {
    let folder = DataFolder::new();
    let settings = [
        ("IMD_WEBHOOKS_ALLOW_PRIVATE", "true"),
        ("IMD_POLICY_URL", "http://127.0.0.1:9/?token=s3cret"),
    ];
    let imd = folder.start_with(&settings).await;
    imd.create_users(&["hildegard"]).await;
    let shell = Shell::new(&folder, &imd);
    shell.imctl(&["webhooks", "create", "http://127.0.0.1:9/hook-path", "--kinds", "read"]).await;
    imd.log_in(Transport::Rest, "hildegard", "phone").await.sessions().await.expect("hers");
    let file = folder.path().with_file_name("bundle.tar.gz");
    let path = file.to_str().expect("UTF-8");
    let made = shell.run(&["support", "bundle", "--to", path], "").await;
    assert_eq!((made.code, made.stdout.trim()), (Some(0), path), "{}", made.stderr);
    let again = shell.run(&["support", "bundle", "--to", path], "").await;
    assert_eq!(again.code, Some(2), "nothing is overwritten: {}", again.stderr);
    let unpacked = Command::new("tar").args(["-xzOf", path]).output().await.expect("tar runs");
    let text = String::from_utf8(unpacked.stdout).expect("UTF-8");
    for shown in ["\"postgresql\"", "imd_append_lanes", "shutdown", "create_user", "read"] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    let key = fs::read_to_string(&imd.admin_key).expect("a key");
    for secret in ["hildegard", "hook-path", "s3cret", key.trim(), "127.0.0.1:9/"] {
        assert!(!text.contains(secret), "{secret}");
    }
}
