//! What imd prints and logs is a service to its operator: where it cannot be written, imd serves all the
//! same.

use std::{
    fs::OpenOptions,
    net::{SocketAddr, TcpListener},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use crate::support::{
    admin::Admin,
    api::Transport,
    cluster::{PASSWORD, login},
    eventually,
    postgres::Database,
    process::{DataFolder, in_time},
    terminal::Terminal,
};

/// How many messages are sent.
const MESSAGES: usize = 200;

/// An address that nothing listens on.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound")
}

/// A disk without room.
fn full_disk() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").expect("a device of this system").into()
}

/// Starts imd, which cannot say where it is, and waits until it is ready.
async fn start(mut imd: Command, public: SocketAddr, admin: SocketAddr) -> Child {
    imd.env("IMD_LISTEN", public.to_string()).env("IMD_ADMIN_LISTEN", admin.to_string());
    let mut imd = imd.spawn().expect("it runs");
    let ready = async || {
        let ended = imd.try_wait().expect("it is our child");
        assert!(ended.is_none(), "it has ended: {ended:?}");
        let answer = reqwest::get(format!("http://{public}/readyz")).await.ok()?;
        answer.status().is_success().then_some(())
    };
    eventually("imd is ready", ready).await;
    imd
}

async fn lines_dropped(admin: SocketAddr) -> u64 {
    let metrics = reqwest::get(format!("http://{admin}/metrics")).await.expect("metrics");
    let metrics = metrics.text().await.expect("a text");
    let line = metrics.lines().find_map(|l| l.strip_prefix("imd_log_lines_dropped_total "));
    line.map_or(0, |count| count.parse().expect("a count"))
}

#[tokio::test]
async fn a_full_disk_under_output_and_log_keeps_nothing_from_being_served() {
    let (folder, database) = (DataFolder::new(), Database::create().await);
    let (public, admin) = (free_address(), free_address());
    let mut command = folder.imd();
    command.env("IMD_DATABASE_URL", database.url()).env("IMD_LOG_LEVEL", "trace");
    command.stdout(full_disk()).stderr(full_disk());
    let mut imd = start(command, public, admin).await;

    let key = std::fs::read_to_string(folder.path().join("admin.key")).expect("imd has made a key");
    let administrator = Admin::new(admin, key.trim());
    for user_id in ["ann", "ben"] {
        administrator.create_user(user_id, PASSWORD).await.expect("a new user");
    }
    let api = Transport::Grpc.connect(public);
    let log_in = async |user_id: &str| {
        let logged_in = api.login(&login(user_id, "phone", user_id)).await.expect("a session");
        Terminal::new(api.clone(), user_id, logged_in)
    };
    let (ann, ben) = (log_in("ann").await, log_in("ben").await);
    let mut feed = ben.follow("now").await;
    let texts = (0..MESSAGES).map(|no| no.to_string());
    assert_eq!(ann.say_at_once("ben", texts).await.len(), MESSAGES);
    assert_eq!(feed.entries(MESSAGES).await.len(), MESSAGES);
    assert!(lines_dropped(admin).await > 0, "nothing was to be logged");

    let pid = imd.id().and_then(|pid| i32::try_from(pid).ok()).expect("it runs");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
    let status = in_time("imd ends", imd.wait()).await.expect("it is our child");
    assert!(status.success(), "{status}");
}

/// For `imd config` its output is all there is.
#[tokio::test]
async fn a_command_whose_output_cannot_be_written_fails() {
    let status = DataFolder::new().imd().arg("config").stdout(full_disk()).status().await;
    assert_eq!(status.expect("it runs").code(), Some(1));
}
