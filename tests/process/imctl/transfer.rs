//! `imctl messages export` and `imctl messages import`

use std::{
    fs::{self, Permissions},
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink},
    path::Path,
    time::Duration,
};

use insta::assert_snapshot;
use nix::{
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::datetime};
use tokio::{io::AsyncWriteExt as _, process::Command};
use uuid::Uuid;

use super::Shell;
use crate::support::{
    api::Transport::Grpc,
    cluster::login,
    eventually,
    process::{DataFolder, Imd, in_time},
    terminal::Terminal,
    types::Entry,
};

/// When the talk of [`lines`] began.
const BEGAN: OffsetDateTime = datetime!(2026-01-01 00:00:00 UTC);

/// What a user sees of a history: the place, the time, who said what, and the id of what is its own.
fn story(entries: &[Entry]) -> Vec<String> {
    let messages = entries.iter().filter_map(|entry| Some((entry, entry.as_message()?)));
    messages
        .map(|(entry, m)| {
            let (at, id) = (entry.appended_at, &m.client_message_id);
            format!("{at} {} {} {:?} {id:?}", m.conversation_id, m.sender_id, m.content)
        })
        .collect()
}

async fn conversations(terminal: &Terminal) -> Vec<(String, Vec<String>)> {
    let page = terminal.api.conversations(&terminal.token, 0, "").await.expect("a page");
    let listed = page.conversations.into_iter();
    listed.map(|c| (c.conversation_id, story(&[c.last_message]))).collect()
}

/// Merges exports as the help says.
async fn merge(folder: &Path) {
    let sort = "LC_ALL=C sort --merge --stable --key=1,1 --field-separator=, *.jsonl > all.jsonl";
    let ended = Command::new("sh").args(["-c", sort]).current_dir(folder).status().await;
    assert!(ended.expect("sh runs").success());
}

#[tokio::test]
async fn a_history_moves_to_another_deployment_as_it_is() {
    let (here, there) = (DataFolder::new(), DataFolder::new());
    let (old, new) = (here.start().await, there.start().await);
    old.create_users(&["ann", "ben"]).await;
    let ann = old.log_in(Grpc, "ann", "phone").await;
    let ben = old.log_in(Grpc, "ben", "phone").await;
    for text in ["Where are you?", "Hello?", "\"…\"\n"] {
        ann.say("ben", text).await;
        ben.say("ann", "On my way").await;
    }
    ann.say("ann", "a note").await;

    let shell = Shell::new(&here, &old);
    assert_snapshot!(shell.imctl(&["messages", "export", "ann", "--since", "2020-01-01"]).await, @r#"
    {"sent_at":"[time]","sender_id":"ann","recipient_id":"ben","client_message_id":"[uuid]","text":"Where are you?","message_id":"[message]","seq":2}
    {"sent_at":"[time]","sender_id":"ben","recipient_id":"ann","client_message_id":"[uuid]","text":"On my way","message_id":"[message]","seq":3}
    {"sent_at":"[time]","sender_id":"ann","recipient_id":"ben","client_message_id":"[uuid]","text":"Hello?","message_id":"[message]","seq":4}
    {"sent_at":"[time]","sender_id":"ben","recipient_id":"ann","client_message_id":"[uuid]","text":"On my way","message_id":"[message]","seq":5}
    {"sent_at":"[time]","sender_id":"ann","recipient_id":"ben","client_message_id":"[uuid]","text":"\"…\"\n","message_id":"[message]","seq":6}
    {"sent_at":"[time]","sender_id":"ben","recipient_id":"ann","client_message_id":"[uuid]","text":"On my way","message_id":"[message]","seq":7}
    {"sent_at":"[time]","sender_id":"ann","recipient_id":"ann","client_message_id":"[uuid]","text":"a note","message_id":"[message]","seq":8}
    7 messages exported
    "#);
    for user in ["ann", "ben"] {
        let file = here.path().join(format!("{user}.jsonl"));
        let file = file.to_str().expect("UTF-8");
        shell.imctl(&["messages", "export", user, "-o", file]).await;
    }
    merge(here.path()).await;
    let all = here.path().join("all.jsonl");
    let import = ["messages", "import", all.to_str().expect("UTF-8"), "--create-users"];
    let shell = Shell::new(&there, &new);
    assert_snapshot!(shell.imctl(&import).await, @r#"
    IMPORTED  DUPLICATES  USERS CREATED  TIMELINES
    7  6  2  2
    "#);
    assert_snapshot!(shell.imctl(&import).await, @r#"
    IMPORTED  DUPLICATES  USERS CREATED  TIMELINES
    0  13  0  0
    "#);
    assert_snapshot!(shell.imctl(&["audit"]).await, @r#"
    AT  ACTOR  ACTION  USER  DETAILS  REASON
    [ago]  local  import_messages  -  {"duplicates":13,"imported":0,"timelines":0,"users_created":0}  -
    [ago]  local  import_messages  -  {"begun":true}  -
    [ago]  local  import_messages  -  {"duplicates":6,"imported":7,"timelines":2,"users_created":2}  -
    [ago]  local  import_messages  -  {"begun":true}  -
    [ago]  local  create_user  ben  {"imported":true}  -
    [ago]  local  create_user  ann  {"imported":true}  -
    "#);

    for before in [ann, ben] {
        let user = before.user_id.as_str();
        new.admin().set_password(user, crate::support::cluster::PASSWORD).await.expect("set");
        let after = new.log_in(Grpc, user, "phone").await;
        let moved = after.timeline().await;
        assert_eq!(story(&moved), story(&before.timeline().await));
        assert!((1..).zip(&moved).all(|(seq, entry)| entry.seq == seq));
        assert_eq!(conversations(&after).await, conversations(&before).await);
    }
}

#[tokio::test]
async fn a_group_moves_with_the_files_of_its_members() {
    let (here, there) = (DataFolder::new(), DataFolder::new());
    let (old, new) = (here.start().await, there.start().await);
    old.create_users(&["ann", "ben"]).await;
    let ann = old.log_in(Grpc, "ann", "phone").await;
    let ben = old.log_in(Grpc, "ben", "phone").await;
    let shell = Shell::new(&here, &old);
    let create =
        ["groups", "create", "oslo", "--owner", "ann", "--members", "ben", "--join", "open"];
    shell.imctl(&create).await;
    ann.say("group:oslo", "Who is in?").await;
    ben.say("group:oslo", "I am").await;
    shell.imctl(&["groups", "members", "remove", "oslo", "ben"]).await;
    assert_snapshot!(shell.imctl(&["groups", "export", "oslo"]).await, @r#"
    {"sent_at":"[time]","group":{"group_id":"oslo","name":"oslo","join":"OPEN","history":0,"muted":false,"members":[{"user_id":"ann","role":"OWNER"},{"user_id":"ben","role":"MEMBER"}]}}
    {"sent_at":"[time]","group_id":"oslo","change":"REMOVED","member":{"user_id":"ben","role":"MEMBER"}}
    "#);
    for (kind, name) in [("messages", "ann"), ("messages", "ben"), ("groups", "oslo")] {
        let file = here.path().join(format!("{name}.jsonl"));
        shell.imctl(&[kind, "export", name, "-o", file.to_str().expect("UTF-8")]).await;
    }
    merge(here.path()).await;
    let all = here.path().join("all.jsonl");
    let import = ["messages", "import", all.to_str().expect("UTF-8"), "--create-users"];
    let shell = Shell::new(&there, &new);
    assert_snapshot!(shell.imctl(&import).await, @r#"
    IMPORTED  DUPLICATES  USERS CREATED  TIMELINES
    4  2  2  3
    "#);
    assert_snapshot!(shell.imctl(&["groups", "members", "list", "oslo"]).await, @r#"
    USER  ROLE  NICKNAME  MUTED  JOINED
    ann  owner  -  -  [ago]
    "#);
    for user in ["ann", "ben"] {
        new.admin().set_password(user, crate::support::cluster::PASSWORD).await.expect("set");
        let after = new.log_in(Grpc, user, "phone").await.timeline().await;
        let said: Vec<&str> =
            after.iter().filter(|e| e.as_message().is_some()).map(Entry::text).collect();
        assert_eq!(said, ["Who is in?", "I am"], "{user}");
    }
}

#[tokio::test]
async fn an_export_is_written_to_what_is_there_and_leaves_nothing_else_behind() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann"]).await;
    let ann = imd.log_in(Grpc, "ann", "phone").await;
    ann.say("ann", "a note").await;
    let shell = Shell::new(&folder, &imd);
    let out = tempfile::tempdir().expect("a folder");
    let path = |name: &str| out.path().join(name);
    let export = async |to: &Path| {
        let to = to.to_str().expect("UTF-8");
        shell.run(&["messages", "export", "ann", "-o", to], "").await
    };
    let is_whole = |text: &str| text.ends_with(",\"seq\":2}\n") && text.lines().count() == 1;

    // A file keeps its permissions, and a link stays one.
    let old = "what was there before, and more than what comes; ".repeat(10);
    fs::write(path("file"), &old).expect("a file");
    fs::set_permissions(path("file"), Permissions::from_mode(0o640)).expect("it is ours");
    symlink("file", path("link")).expect("a link");
    export(&path("link")).await.result();
    assert!(path("link").is_symlink());
    assert!(is_whole(&fs::read_to_string(path("file")).expect("a file")));
    let mode = fs::metadata(path("file")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);

    // A link to nothing yet, and a second name of a file.
    symlink("new", path("to-new")).expect("a link");
    export(&path("to-new")).await.result();
    assert!(path("to-new").is_symlink() && is_whole(&fs::read_to_string(path("new")).unwrap()));
    fs::write(path("one"), &old).expect("a file");
    fs::hard_link(path("one"), path("other")).expect("a second name");
    export(&path("one")).await.result();
    assert!(is_whole(&fs::read_to_string(path("other")).expect("a file")));

    // A FIFO and a device are written to, and are there afterwards.
    mkfifo(&path("fifo"), Mode::S_IRWXU).expect("a FIFO");
    let reader = path("fifo");
    let read = tokio::task::spawn_blocking(move || fs::read_to_string(reader).expect("it opens"));
    export(&path("fifo")).await.result();
    assert!(is_whole(&in_time("the FIFO", read).await.expect("it is read")));
    assert!(fs::metadata(path("fifo")).expect("it").file_type().is_fifo());
    let to_stdout = export(Path::new("/dev/stdout")).await;
    assert!(is_whole(&to_stdout.stdout), "{}{}", to_stdout.stdout, to_stdout.stderr);
    assert!(Path::new("/dev/stdout").is_symlink());
    export(Path::new("/dev/null")).await.result();
    assert!(fs::metadata("/dev/null").expect("it").file_type().is_char_device());

    // What cannot be written is said so, and what was there stays.
    let told = export(out.path()).await.failure();
    assert!(told.contains("it is a folder; name a file in it"), "{told}");
    let told = export(&path("no/such/folder")).await.failure();
    assert!(told.contains("No such file or directory"), "{told}");
    fs::write(path("kept"), &old).expect("a file");
    let kept = path("kept");
    let args = ["messages", "export", "nobody", "-o", kept.to_str().expect("UTF-8")];
    assert!(shell.failing_imctl(&args).await.contains("user_not_found"));
    assert_eq!(fs::read_to_string(kept).expect("a file"), old);

    let mut left: Vec<_> = fs::read_dir(out.path())
        .expect("a folder")
        .map(|entry| entry.expect("a file").file_name().into_string().expect("UTF-8"))
        .collect();
    left.sort();
    assert_eq!(left, ["fifo", "file", "kept", "link", "new", "one", "other", "to-new"]);
}

/// So many lines that tell how ann and ben talked, a second each.
fn lines(count: u64) -> Vec<String> {
    let line = |n: u64| {
        let (from, to) = if n.is_multiple_of(2) { ("ann", "ben") } else { ("ben", "ann") };
        let at = BEGAN + Duration::from_secs(n);
        let at = at.format(&Rfc3339).expect("a time");
        let id = Uuid::from_u64_pair(0x4a7b_e2a2_64a3_4a59, n);
        let line = json!({
            "sent_at": at, "sender_id": from, "recipient_id": to, "client_message_id": id,
            "text": n.to_string(),
        });
        format!("{line}\n")
    };
    (0..count).map(line).collect()
}

/// How many messages of ann's timeline stand.
async fn imported(imd: &Imd) -> i64 {
    imd.admin().user("ann").await.expect("a user").last_seq
}

#[tokio::test]
async fn i11_an_import_that_is_killed_is_run_again() {
    let folder = DataFolder::new();
    let mut imd = folder.start().await;
    imd.create_users(&["ann", "ben"]).await;
    let lines = lines(1_500);

    // First imctl dies, then imd. As long as the input is open it cannot have come to its end.
    for (stretch, kill_imd) in [(700_usize, false), (1_300, true)] {
        let shell = Shell::new(&folder, &imd);
        let mut process = shell.start(&["messages", "import", "-"]);
        let input = process.stdin.as_mut().expect("it is piped");
        input.write_all(lines[..stretch].concat().as_bytes()).await.expect("it reads");
        eventually("some is imported", async || {
            let most = i64::try_from(stretch).expect("a count");
            (imported(&imd).await > most - 300).then_some(())
        })
        .await;
        if kill_imd {
            imd.end(Signal::SIGKILL).await;
            drop(process);
            imd = folder.start().await;
        } else {
            process.kill().await.expect("it runs");
        }
        let refused = Grpc.connect(imd.public).login(&login("ann", "phone", "new")).await;
        assert_eq!(refused.expect_err("not yet").code, "import_unfinished");
    }

    let stood = imported(&imd).await;
    let shell = Shell::new(&folder, &imd);
    let done =
        shell.run(&["messages", "import", "-", "-o", "json"], &lines.concat()).await.result();
    let done: Value = serde_json::from_str(&done).expect("JSON");
    assert_eq!((&done["imported"], &done["duplicates"]), (&(1_500 - stood).into(), &stood.into()));
    for user in ["ann", "ben"] {
        let terminal = imd.log_in(Grpc, user, "phone").await;
        // And the login.
        let entries = terminal.follow("").await.entries(1_501).await;
        for (n, entry) in (0..).zip(&entries[..1_500]) {
            assert_eq!((entry.seq, entry.text()), (n + 1, &*n.to_string()), "{user}");
        }
    }
}

/// The most memory that a process has used so far, in KiB.
fn peak_memory(pid: impl std::fmt::Display) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    peak.and_then(|peak| peak.trim().parse().ok()).expect("its peak")
}

#[tokio::test]
async fn i10_an_import_takes_the_same_memory_however_long_it_is() {
    const MANY: u64 = 100_000;
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "ben"]).await;
    let shell = Shell::new(&folder, &imd);
    let mut process = shell.start(&["messages", "import", "-", "-o", "json"]);
    let (server, client) = (imd.pid(), process.id().expect("it runs"));
    let lines = lines(MANY);
    let mut peaks = Vec::new();
    for tenth in lines.chunks(lines.len() / 10) {
        let input = process.stdin.as_mut().expect("it is piped");
        input.write_all(tenth.concat().as_bytes()).await.expect("it reads");
        peaks.push((peak_memory(server), peak_memory(client)));
    }
    let ended = process.wait_with_output().await.expect("it ends");
    let done: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(done["imported"], json!(MANY));
    // All of it is 17 MB, and more than that in memory.
    let (first, last) = (peaks[0], peaks[9]);
    assert!(last.0 < first.0 + 10_000 && last.1 < first.1 + 5_000, "{peaks:?}");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_line_and_field() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "ben"]).await;
    let shell = Shell::new(&folder, &imd);
    let lines = lines(4);
    let mut said = String::new();
    for (member, wrong) in [
        (r#""sender_id":"ann""#, r#""sender_id":7"#),
        (r#""sender_id":"ann","#, ""),
        (r#""sender_id":"ann""#, r#""sender_id":"an n""#),
        (r#""sender_id":"ann""#, r#""sender_id":"kim""#),
        (r#""client_message_id":"4a7b"#, r#""client_message_id":"x"#),
        (r#""text":"2""#, r#""content_type":"image/png","data":"?""#),
        (r#""text":"2""#, r#""content_type":"a picture","data":"AA==""#),
        (r#""text":"2""#, r#""content_type":"image/png""#),
        (r#""text":"2""#, r#""text":"2","colour":"red""#),
        ("2026-01-01T00:00:02Z", "yesterday"),
        ("2026-01-01T00:00:02Z", "2126-01-01T00:00:02Z"),
        ("2026-01-01T00:00:02Z", "2025-12-31T23:00:00Z"),
        (r#"2"}"#, r#"2""#),
    ] {
        let mut lines = lines.clone();
        assert!(lines[2].contains(member), "{}", lines[2]);
        lines[2] = lines[2].replace(member, wrong);
        let printed = shell.run(&["messages", "import", "-"], &lines.concat()).await;
        assert_eq!((printed.code, printed.stdout.as_str()), (Some(1), ""));
        // Beside it, it may say how far it has come.
        said.extend(printed.stderr.split_inclusive('\n').filter(|line| line.starts_with("error")));
    }
    assert_snapshot!(said, @r#"
    error: stdin: line 3: sender_id: invalid type: integer `7`, expected a string
    error: line 3: sender_id: must be 1–64 characters of A-Z a-z 0-9 . _ @ + = - (invalid_argument)
    error: line 3: sender_id: must be 1–64 characters of A-Z a-z 0-9 . _ @ + = - (invalid_argument)
    error: line 3: there is no user kim (user_not_found)
    error: line 3: client_message_id: must be a UUID (invalid_argument)
    error: stdin: line 3: data: must be base64
    error: line 3: content_type: must be a media type such as image/png: at most 127 printable ASCII characters, one slash (invalid_argument)
    error: stdin: line 3: either text or content_type and data must be given
    error: stdin: line 3: colour: unknown field `colour`, expected one of `sent_at`, `group`, `sender_id`, `recipient_id`, `group_id`, `change`, `member`, `client_message_id`, `mentions`, `mention_all`, `text`, `content_type`, `data`, `reply_to`, `forwarded`, `edits`, `reactions`, `pinned`, `user`, `dissolved`, `message_id`, `seq`
    error: stdin: line 3: sent_at: must be a time such as [time]
    error: line 3: sent_at: is in the future (invalid_argument)
    error: line 3: sent_at: is before that of the line before it (invalid_argument)
    error: stdin: line 3: EOF while parsing an object
    "#);
    // Nothing is lost: with the lines as they were it goes on.
    let done =
        shell.run(&["messages", "import", "-", "-o", "json"], &lines.concat()).await.result();
    let done: Value = serde_json::from_str(&done).expect("JSON");
    let count = |what: &str| done[what].as_i64().expect("a count");
    assert_eq!((count("imported") + count("duplicates"), count("timelines")), (4, 2));

    let ann = imd.log_in(Grpc, "ann", "phone").await;
    ann.say("ben", "and on it goes").await;
    let line = lines[0].replace("4a7be2a2", "5a7be2a2");
    let import = ["messages", "import", "-"];
    assert_snapshot!(shell.run(&import, &line).await.failure(), @r#"
    error: line 1: the timeline of ann is not empty (timeline_not_empty)
    exit code 1
    "#);
    let missing = ["messages", "import", "there-is-no.jsonl"];
    assert_snapshot!(shell.failing_imctl(&missing).await, @r#"
    error: cannot read there-is-no.jsonl: No such file or directory (os error 2)
    exit code 1
    "#);
    assert_snapshot!(shell.imctl(&["messages", "import", "--finish"]).await, @r#"
    IMPORTED  DUPLICATES  USERS CREATED  TIMELINES
    0  0  0  0
    "#);
}
