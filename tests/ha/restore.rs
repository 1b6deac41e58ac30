//! A backup that is restored to a moment, as `docs/operations/backup.md` says.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    time::Instant,
};

use nix::sys::signal::Signal;

use super::{
    pair::PATIENCE,
    server::Server,
    service::{folder, free_ports, give},
};
use crate::{
    faults::until,
    support::{api::Transport::Grpc, process::DataFolder, terminal::Terminal},
};

/// How many messages are written in each part of the story.
const MESSAGES: usize = 100;

/// Writes messages: their texts, and their ids.
async fn write(from: &Terminal, to: &str, what: &str) -> (Vec<String>, Vec<String>) {
    let (mut texts, mut ids) = (Vec::new(), Vec::new());
    for number in 0..MESSAGES {
        let text = format!("{what} {number}");
        ids.push(from.say(to, &text).await.message_id);
        texts.push(text);
    }
    (texts, ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i8_a_base_backup_and_the_log_bring_back_all_before_a_moment_and_terminals_read_anew() {
    let folder = folder();
    let archive = folder.path().join("archive");
    fs::create_dir(&archive).expect("a folder");
    give(&archive);
    let [port] = free_ports();
    let mut server = Server::new("server", folder.path(), port);
    server.init().await;
    let archived = format!("{}/%f", archive.display());
    server.start(&[
        "archive_mode=on".to_owned(),
        format!("archive_command=test ! -f {archived} && cp %p {archived}"),
    ]);
    server.create_database().await;
    let data = DataFolder::new();
    let mut imd = data.start_node(&server.url()).await;
    imd.create_users(&["ann", "ben"]).await;
    let ann = imd.log_in(Grpc, "ann", "phone").await;
    let ben = imd.log_in(Grpc, "ben", "phone").await;
    let (mut kept, _) = write(&ann, "ben", "before the backup").await;

    let began = Instant::now();
    let mut restored = Server::new("restored", folder.path(), port);
    restored.copy(&server, &["--wal-method=stream"]).await;
    println!("base backup: {:.1?}", began.elapsed());
    kept.extend(write(&ann, "ben", "before the mistake").await.0);
    let sql = server.sql("imd").await;
    let moment: String =
        sql.query_one("SELECT clock_timestamp()::text", &[]).await.expect("a time").get(0);
    let (_, lost) = write(&ann, "ben", "after that").await;
    let seen = ben.pull("").await.expect("the timeline").state;
    let seen = format!("{}.{}", seen.epoch, seen.last_seq);
    imd.admin().delete("ann", true).await.expect("the mistake");
    let row = sql.query_one("SELECT pg_walfile_name(pg_switch_wal())", &[]).await.expect("a file");
    let newest: String = row.get(0);
    until("the log is archived", PATIENCE, async || archive.join(&newest).exists().then_some(()))
        .await;

    // All nodes are stopped, and the server is gone.
    imd.end(Signal::SIGTERM).await;
    server.kill().await;
    let began = Instant::now();
    let settings = restored.data().join("postgresql.auto.conf");
    let mut settings = OpenOptions::new().append(true).open(settings).expect("a file");
    writeln!(
        settings,
        "restore_command = 'cp {archived} %p'
recovery_target_time = '{moment}'
recovery_target_action = 'promote'"
    )
    .expect("it is written");
    let signal = restored.data().join("recovery.signal");
    fs::write(&signal, "").expect("a file");
    give(&signal);
    restored.start(&[]);
    let sql = restored.sql("imd").await;
    until("recovery is over", PATIENCE, async || {
        let row = sql.query_one("SELECT pg_is_in_recovery()", &[]).await.ok()?;
        (!row.get::<_, bool>(0)).then_some(())
    })
    .await;
    imd = data.start_node(&restored.url()).await;
    println!("restored and served again: {:.1?}", began.elapsed());

    imd.says("a new generation").await;
    let [ann, ben] = [ann, ben].map(|terminal| terminal.through(Grpc.connect(imd.public)));
    // Who had what is lost now is told, and has what there is.
    let page = ben.pull(&seen).await.expect("the timeline");
    assert!(page.timeline_reset.is_some(), "{page:?}");
    assert_eq!(ben.texts().await, kept);
    assert_eq!(ann.texts().await, kept, "and whom the mistake hit is back");
    let new = ann.say("ben", "new").await;
    kept.push("new".to_owned());
    assert_eq!(ben.texts().await, kept);
    assert!(!lost.contains(&new.message_id), "in a place of before, under another id");
}
