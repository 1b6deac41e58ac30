//! `imd` with nothing configured: how it starts and how it stops.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use tokio::process::Command;

use crate::support::{
    api::Transport::{Grpc, Rest},
    process::{DataFolder, in_time},
    types::Event,
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it exists").mode() & 0o777
}

/// Every file below `folder` with its content and when it was last changed.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, (i64, i64))> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("it is a folder") {
        let path = entry.expect("it can be listed").path();
        let metadata = fs::metadata(&path).expect("it exists");
        let content = if path.is_dir() {
            files.extend(snapshot(&path));
            Vec::new()
        } else {
            fs::read(&path).expect("it can be read")
        };
        files.insert(path, (content, (metadata.mtime(), metadata.mtime_nsec())));
    }
    files
}

#[tokio::test]
async fn an_empty_place_is_all_it_needs() {
    let folder = DataFolder::new();
    // If this is root, PostgreSQL runs under another account, which cannot pass here.
    let parent = folder.path().parent().expect("a folder");
    fs::set_permissions(parent, Permissions::from_mode(0o700)).expect("it is ours");

    let imd = folder.start().await;
    assert_eq!(imd.admin_key, folder.path().canonicalize().expect("a folder").join("admin.key"));
    assert_eq!((mode(&imd.admin_key), mode(folder.path())), (0o600, 0o700));
    assert!(imd.greeting.contains("a private PostgreSQL in the data folder"), "{}", imd.greeting);

    imd.create_users(&["ann", "ben"]).await;
    let ann = imd.log_in(Grpc, "ann", "phone").await;
    let mut feed = imd.log_in(Rest, "ben", "phone").await.follow("now").await;
    let sent = ann.say("ben", "hello").await;
    assert_eq!(feed.entry().await.message().message_id, sent.message_id);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_serves_with_as_many_threads_as_it_is_told() {
    const THREADS: usize = 17;
    let folder = DataFolder::new();
    let imd = folder.start_with(&[("IMD_WORKER_THREADS", &THREADS.to_string())]).await;
    let tasks = fs::read_dir(format!("/proc/{}/task", imd.pid())).expect("it runs");
    let name = |task: std::io::Result<fs::DirEntry>| {
        fs::read_to_string(task.expect("it can be listed").path().join("comm")).unwrap_or_default()
    };
    // The threads for what blocks have the same name, but they are few by now.
    let serving = tasks.map(name).filter(|name| name.trim() == "tokio-rt-worker").count();
    assert!(serving >= THREADS, "{serving}");
}

#[tokio::test]
async fn a_stop_signal_ends_streams_and_imd_and_postgres() {
    let folder = DataFolder::new();
    let mut seqs = 0;
    for (signal, transport) in [(Signal::SIGINT, Grpc), (Signal::SIGTERM, Rest)] {
        let mut imd = folder.start().await;
        if seqs == 0 {
            imd.create_users(&["ann"]).await;
        }
        let ann = imd.log_in(transport, "ann", "pc").await;
        let mut feed = ann.follow("").await;
        let sent = ann.say("ann", "a note").await;
        seqs = sent.seq;
        feed.entries_to(sent.seq).await;

        let status = imd.end(signal).await;
        assert!(status.success(), "{signal}: {status}");
        assert_eq!(feed.event().await, Event::Reconnect);
        assert_eq!(feed.next().await, None);
        imd.nothing_left().await;
        assert_eq!(folder.postmaster(), None);
    }
    let log = folder.postgres_log();
    assert_eq!(log.matches("database system is ready").count(), 2, "{log}");
    assert!(!log.contains("recovery"), "{log}");
}

#[tokio::test]
async fn a_second_imd_on_the_folder_is_told_who_runs_there() {
    let folder = DataFolder::new();
    let mut imd = folder.start().await;
    let second = folder.run(&[]).await;
    let message = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{message}");
    assert!(message.contains(&format!("another imd (pid {}) is running", imd.pid())), "{message}");
    assert!(imd.is_running());
}

#[tokio::test]
async fn what_keeps_imd_from_starting_is_said_in_one_line() {
    let folder = DataFolder::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    for (args, said) in [
        (
            ["--listen", &address],
            &*format!(
                "cannot listen on {address} (setting `listen`): Address already in use (os error 98)"
            ),
        ),
        (["--data-dir", "/dev/null/here"], "/dev/null/here: Not a directory (os error 20)"),
    ] {
        let ended =
            in_time("the failure", folder.imd().args(args).env("RUST_BACKTRACE", "1").output());
        let ended = ended.await.expect("imd runs");
        let message = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{message}");
        assert_eq!(message.lines().last(), Some(&*format!("error: {said}")), "{message}");
    }
    assert!(!folder.cluster().exists(), "a database was made for nothing");
}

/// Some platforms do so with every volume at every start.
#[tokio::test]
async fn a_data_folder_that_was_opened_to_a_group_is_closed_again() {
    let folder = DataFolder::new();
    folder.start().await.end(Signal::SIGTERM).await;
    let opened = Command::new("chmod").args(["-R", "g+rwX,g+s"]).arg(folder.path()).status();
    assert!(opened.await.expect("chmod runs").success());

    let mut imd = folder.start().await;
    assert_eq!(mode(&folder.cluster()), 0o700);
    assert!(imd.log().contains("closing a folder to other accounts"), "{}", imd.log());
    assert!(imd.end(Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn the_database_of_another_postgres_is_left_as_it_is() {
    let folder = DataFolder::new();
    folder.start().await.end(Signal::SIGTERM).await;
    fs::write(folder.cluster().join("PG_VERSION"), "99\n").expect("it can be written");
    let before = snapshot(&folder.path().join("postgres"));

    let refused = folder.run(&[]).await;
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{message}");
    assert!(message.contains("made by PostgreSQL 99, which is not installed"), "{message}");
    assert!(message.contains("install it with") && message.contains("pg_bin"), "{message}");
    assert_eq!(snapshot(&folder.path().join("postgres")), before);
}
