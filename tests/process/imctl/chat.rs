//! `imctl chat`: a terminal like any other.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::support::{
    api::Transport::Grpc,
    cluster::PASSWORD,
    process::{DataFolder, Imd, binary, in_time},
    programs::program,
};

fn chat(imd: &Imd, user: &str, peer: &str) -> Command {
    let mut command = Command::new(binary("imctl"));
    command
        .args(["chat", peer, "--user", user, "--terminal", "phone", "--password-stdin"])
        .env("IMCTL_PUBLIC_SERVER", format!("http://{}", imd.public))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A chat with its password given, and what it prints.
async fn open(mut command: Command) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = command.spawn().expect("imctl runs");
    let stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    say(&mut child, PASSWORD).await;
    (child, stdout)
}

async fn say(child: &mut Child, line: &str) {
    let stdin = child.stdin.as_mut().expect("it is piped");
    stdin.write_all(format!("{line}\n").as_bytes()).await.expect("it reads");
}

/// Reads on to a line that ends so.
async fn line(lines: &mut Lines<BufReader<ChildStdout>>, end: &str) -> String {
    let found = async {
        loop {
            let line = lines.next_line().await.expect("UTF-8").expect("it goes on");
            if line.ends_with(end) {
                return line;
            }
        }
    };
    in_time(end, found).await
}

#[tokio::test]
async fn a_chat_sends_follows_and_shows_what_was_before() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "bob"]).await;
    let bob = imd.log_in(Grpc, "bob", "pc").await;
    bob.say("ann", "are you there?").await;

    let (mut ann, mut shown) = open(chat(&imd, "ann", "bob")).await;
    line(&mut shown, "  bob: are you there?").await;
    say(&mut ann, "yes").await;
    line(&mut shown, "  ann: yes").await;
    bob.say("ann", "\u{1b}[2Jgood").await;
    line(&mut shown, "  bob: \u{fffd}[2Jgood").await;
    for text in ["one", "two", "three"] {
        say(&mut ann, text).await;
    }
    drop(ann.stdin.take());
    assert!(in_time("it leaves", ann.wait()).await.expect("a status").success());
    let entries = bob.pull("").await.expect("the timeline").entries;
    let texts = entries.iter().filter_map(|e| e.as_message().map(|_| e.text()));
    let texts: Vec<_> = texts.collect();
    assert_eq!(texts, ["are you there?", "yes", "\u{1b}[2Jgood", "one", "two", "three"]);
}

#[tokio::test]
async fn i2_a_chat_whose_place_is_taken_says_so_and_stops() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "bob"]).await;
    let (mut ann, mut shown) = open(chat(&imd, "ann", "bob")).await;
    let _nothing_more_is_typed = ann.stdin.take();
    line(&mut shown, "the conversation begins here").await;
    let second = imd.log_in(Grpc, "ann", "phone").await;
    let ended = in_time("it stops", ann.wait_with_output()).await.expect("a status");
    assert_eq!(ended.status.code(), Some(1));
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(told.contains("this terminal was signed out, REPLACED by ann's "), "{told}");
    assert!(second.sessions().await.is_ok(), "and it has not taken its place back");
}

#[tokio::test]
async fn a_chat_on_a_screen_sends_what_is_typed() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "bob"]).await;
    let bob = imd.log_in(Grpc, "bob", "pc").await;
    let mut feed = bob.follow("now").await;
    // A terminal of its own for the program, with this test at the keyboard.
    let chat = format!("'{}' chat bob --user ann", binary("imctl").display());
    let mut terminal = Command::new(program("script"));
    terminal
        .args(["--quiet", "--return", "--flush", "--command", &chat, "/dev/null"])
        .env("IMCTL_PUBLIC_SERVER", format!("http://{}", imd.public))
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = terminal.spawn().expect("script runs");
    let mut screen = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut seen = Vec::new();
    let mut wait_for = async |text: &str| {
        let shown = async {
            while !String::from_utf8_lossy(&seen).contains(text) {
                use tokio::io::AsyncReadExt as _;
                assert!(screen.read_buf(&mut seen).await.expect("output") > 0, "it goes on");
            }
        };
        in_time(text, shown).await;
        seen.clear();
    };
    let keys = child.stdin.as_mut().expect("it is piped");
    wait_for("Password:").await;
    keys.write_all(format!("{PASSWORD}\n").as_bytes()).await.expect("typed");
    wait_for("the conversation begins here").await;
    keys.write_all(b"Hello, Bob\r").await.expect("typed");
    assert_eq!(feed.entry().await.text(), "Hello, Bob");
    wait_for("ann: Hello, Bob").await;
    bob.say("ann", "Hello, Ann").await;
    wait_for("bob: Hello, Ann").await;
    keys.write_all(b"\x03").await.expect("typed");
    assert!(in_time("it leaves", child.wait()).await.expect("a status").success());
}
