//! `imctl chat`: a terminal like any other.

use std::process::Stdio;

use imd_proto::v1::CreateGroupRequest;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use uuid::Uuid;

use crate::support::{
    api::{Outgoing, Transport::Grpc},
    cluster::PASSWORD,
    eventually,
    process::{DataFolder, Imd, binary, in_time},
    programs::program,
    types::Event,
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

/// A command on a terminal of its own, with the test at the keyboard.
struct Screen {
    child: Child,
    output: ChildStdout,
    seen: Vec<u8>,
}

impl Screen {
    /// Runs a command line of `sh`.
    fn run(imd: &Imd, term: &str, line: &str) -> Self {
        let mut terminal = Command::new(program("script"));
        terminal
            .args(["--quiet", "--return", "--flush", "--command", line, "/dev/null"])
            .env("IMCTL_PUBLIC_SERVER", format!("http://{}", imd.public))
            .env("TERM", term)
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = terminal.spawn().expect("script runs");
        let output = child.stdout.take().expect("it is piped");
        Self { child, output, seen: Vec::new() }
    }

    /// Waits until a text is shown; all that was shown since the last one.
    async fn shows(&mut self, text: &str) -> String {
        let shown = async {
            while !String::from_utf8_lossy(&self.seen).contains(text) {
                let read = self.output.read_buf(&mut self.seen).await.expect("output");
                assert!(read > 0, "it ends with {}", String::from_utf8_lossy(&self.seen));
            }
        };
        in_time(text, shown).await;
        String::from_utf8_lossy(&std::mem::take(&mut self.seen)).into_owned()
    }

    async fn types(&mut self, keys: &str) {
        let keyboard = self.child.stdin.as_mut().expect("it is piped");
        keyboard.write_all(keys.as_bytes()).await.expect("typed");
    }
}

/// The process that was given an argument which no other one has.
async fn process_with(argument: &str) -> Pid {
    eventually("the process", async || {
        let processes = std::fs::read_dir("/proc").expect("it is mounted").flatten();
        let mut pids = processes.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let mut arguments = line.split(|byte| *byte == 0);
            let program = arguments.next()?;
            let is_it =
                program.ends_with(b"imctl") && arguments.any(|its| its == argument.as_bytes());
            is_it.then(|| Pid::from_raw(pid))
        });
        pids.next()
    })
    .await
}

#[tokio::test]
async fn a_chat_on_a_screen_sends_what_is_typed() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "bob"]).await;
    let bob = imd.log_in(Grpc, "bob", "pc").await;
    let mut feed = bob.follow("now").await;
    let chat = format!("'{}' chat bob --user ann", binary("imctl").display());
    let mut screen = Screen::run(&imd, "xterm", &chat);
    screen.shows("Password:").await;
    screen.types(&format!("{PASSWORD}\r")).await;
    screen.shows("the conversation begins here").await;
    screen.types("Hello, Bob\r").await;
    let Event::Signal(typing) = feed.event().await else { panic!("no signal") };
    assert_eq!((typing.typing.as_deref(), typing.sender_id.as_str()), (Some("STARTED"), "ann"));
    assert_eq!(feed.entry().await.text(), "Hello, Bob");
    screen.shows("ann: Hello, Bob").await;
    bob.say("ann", "Hello, Ann").await;
    screen.shows("bob: Hello, Ann").await;
    // It is drawn anew with each key.
    screen.types("\x15").await;
    screen.shows("bob is online on pc").await;
    bob.types("ann").await;
    screen.shows("bob is typing…").await;
    bob.say("ann", "How are you?").await;
    screen.shows("bob: How are you?").await;
    screen.types("Fi").await;
    feed.entries(2).await;
    let Event::Signal(typing) = feed.event().await else { panic!("no signal") };
    assert_eq!(typing.typing.as_deref(), Some("STARTED"));
    screen.types("\x15").await;
    let Event::Signal(typing) = feed.event().await else { panic!("no signal") };
    assert_eq!(typing.typing.as_deref(), Some("STOPPED"));
    screen.types("\x03").await;
    assert!(in_time("it leaves", screen.child.wait()).await.expect("a status").success());
}

#[tokio::test]
async fn the_terminal_is_given_back_whatever_ends_the_question_or_the_chat() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "bob"]).await;
    let imctl = binary("imctl");
    for (at_the_question, signal) in [
        (true, None),
        (true, Some(Signal::SIGINT)),
        (true, Some(Signal::SIGTERM)),
        (false, Some(Signal::SIGTERM)),
        (false, Some(Signal::SIGHUP)),
    ] {
        let device = Uuid::new_v4().to_string();
        // `trap`: a signal to the terminal's group is not to end the shell.
        let line = format!(
            "trap : INT HUP; '{}' chat bob --user ann --device-id {device}; echo; echo left; stty -a; echo done",
            imctl.display()
        );
        let mut screen = Screen::run(&imd, "xterm", &line);
        screen.shows("Password:").await;
        if !at_the_question {
            screen.types(&format!("{PASSWORD}\r")).await;
            screen.shows("the conversation begins here").await;
        }
        match signal {
            None => screen.types("\x03").await,
            Some(signal) => kill(process_with(&device).await, signal).expect("it runs"),
        }
        let left = screen.shows("done\r\n").await;
        let (shown, state) = left.rsplit_once("left\r\n").expect("it is left");
        for on in ["echo", "icanon", "isig"] {
            assert!(
                state.split_whitespace().any(|word| word == on),
                "{at_the_question} {signal:?}: {state}"
            );
        }
        assert!(at_the_question || shown.contains("\u{1b}[?1049l"), "{shown:?}");
    }
    // The chats have logged out.
    assert!(imd.admin().user("ann").await.expect("a user").live_sessions == 0);
}

#[tokio::test]
async fn a_dumb_terminal_gets_lines() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "bob"]).await;
    let bob = imd.log_in(Grpc, "bob", "pc").await;
    let chat = format!("'{}' chat bob --user ann", binary("imctl").display());
    let mut screen = Screen::run(&imd, "dumb", &chat);
    screen.shows("Password:").await;
    screen.types(&format!("{PASSWORD}\r")).await;
    let mut shown = screen.shows("the conversation begins here\r\n").await;
    bob.say("ann", "plainly").await;
    shown += &screen.shows("bob: plainly\r\n").await;
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    screen.types("\x04").await;
    assert!(in_time("it leaves", screen.child.wait()).await.expect("a status").success());
}

#[tokio::test]
async fn a_chat_shows_what_becomes_of_messages() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "bob"]).await;
    let bob = imd.log_in(Grpc, "bob", "pc").await;
    let (mut ann, mut shown) = open(chat(&imd, "ann", "bob")).await;
    line(&mut shown, "the conversation begins here").await;
    let sent = bob.say("ann", "a slip").await;
    line(&mut shown, "  bob: a slip").await;
    bob.api.recall(&bob.token, &sent.message_id).await.expect("it is new");
    line(&mut shown, "  bob: [recalled]").await;
    bob.say("ann", "\u{202e}turned").await;
    line(&mut shown, "  bob: \u{fffd}turned").await;
    imd.admin().delete("bob", true).await.expect("it is there");
    line(&mut shown, "-- the account of bob is deleted, with all that it sent").await;
    drop(ann.stdin.take());
    assert!(in_time("it leaves", ann.wait()).await.expect("a status").success());
}

#[tokio::test]
async fn a_chat_with_a_group_mentions_members_and_tells_who_comes_and_goes() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "bob", "cleo"]).await;
    let bob = imd.log_in(Grpc, "bob", "pc").await;
    let admin = imd.admin();
    let team = CreateGroupRequest {
        group_id: "team".to_owned(),
        name: "The team".to_owned(),
        member_ids: vec!["bob".to_owned()],
        ..CreateGroupRequest::default()
    };
    admin.create_group("ann", team).await.expect("a group");
    let mut feed = bob.follow("").await;

    let (mut ann, mut shown) = open(chat(&imd, "ann", "group:team")).await;
    line(&mut shown, "the conversation begins here").await;
    say(&mut ann, "hello @bob, and @cleo").await;
    line(&mut shown, "  ann: hello @bob, and @cleo").await;
    let message = loop {
        if let Some(message) = feed.entry().await.as_message().cloned() {
            break message;
        }
    };
    assert_eq!((&message.mentions[..], message.mentioned), (&["bob".to_owned()][..], true));
    bob.send(&Outgoing::text("group:team", "hello ann")).await.expect("sent");
    line(&mut shown, "  bob: hello ann").await;
    admin.add_group_members("team", &["cleo"]).await.expect("added");
    line(&mut shown, "-- an administrator has added cleo").await;
    say(&mut ann, "welcome @cleo").await;
    line(&mut shown, "  ann: welcome @cleo").await;
    admin.dissolve_group("team").await.expect("dissolved");
    line(&mut shown, "-- an administrator has dissolved the group").await;
    drop(ann.stdin.take());
    assert!(in_time("it leaves", ann.wait()).await.expect("a status").success());
}

#[tokio::test]
async fn what_is_no_text_is_not_sent_and_said_to_be_none() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "bob"]).await;
    let (mut ann, mut shown) = open(chat(&imd, "ann", "bob")).await;
    line(&mut shown, "the conversation begins here").await;
    let stdin = ann.stdin.as_mut().expect("it is piped");
    stdin.write_all(b"caf\xe9\n").await.expect("it reads");
    let ended = in_time("it ends", ann.wait_with_output()).await.expect("a status");
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    // The password was the first line.
    assert!(told.contains("of the input is not UTF-8, from byte 4 on; it was not sent"), "{told}");
    assert_eq!(ended.status.code(), Some(1));
}
