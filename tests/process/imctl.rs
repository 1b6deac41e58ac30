//! `imctl` against a server: what it prints and how it ends.

mod attachments;
mod bench;
mod broadcast;
mod chat;
mod completion;
mod contacts;
mod demo;
mod doctor;
mod groups;
mod jobs;
mod keys;
mod messages;
mod retention;
mod sessions;
mod since;
mod status;
mod terminals;
mod timelines;
mod tls;
mod transfer;
mod users;
mod watching;
mod webhooks;

use std::{fs, net::SocketAddr, process::Stdio};

use imd_proto::v1::{AdminSession, ListSessionsRequest};
use insta::{Settings, internals::SettingsBindDropGuard};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

use crate::support::{
    admin::Admin,
    eventually,
    process::{DataFolder, Imd, binary, in_time},
};

/// What differs from run to run, and the blanks that depend on it.
const FILTERS: [(&str, &str); 16] = [
    (r#"(?s)"jobs": \[.*?\n  \]"#, r#""jobs": [jobs]"#),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[uuid]"),
    (r"\b\d{10}\.\d+\b", "[cursor]"),
    // It may begin with a hyphen, where no word begins.
    (r"\b[A-Za-z0-9_-]{22}\b|-[A-Za-z0-9_-]{21}\b", "[message]"),
    (r"demo-(alice|bob|carol)-[0-9a-f]{8}", "demo-$1-[tag]"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z|\d\d:\d\d:\d\d UTC", "[time]"),
    (r"\b(now|\d+(s|m) ago)\b", "[ago]"),
    (r"\d+\.\d ms", "[ms]"),
    (r"127\.0\.0\.1:\d+", "[address]"),
    (r"\b[\w.-]+:\d{4,5}\b", "[node]"),
    (r"PostgreSQL \d.*", "PostgreSQL [version]"),
    (r#"postgres_version": ".*""#, r#"postgres_version": "[version]""#),
    (r"\d+\.\d+ MiB", "[size]"),
    (r#"database_bytes": \d+"#, r#"database_bytes": [size]"#),
    (r"/\S+/imd-data", "[data]"),
    (r"(\S) {2,}", "$1  "),
];

/// `imctl` as an administrator runs it beside a server. Snapshots are filtered as long as it is there.
struct Shell<'a> {
    folder: &'a DataFolder,
    admin: SocketAddr,
    public: SocketAddr,
    _filters: SettingsBindDropGuard,
}

impl<'a> Shell<'a> {
    fn new(folder: &'a DataFolder, imd: &Imd) -> Self {
        let mut settings = Settings::clone_current();
        for (pattern, replacement) in FILTERS {
            settings.add_filter(pattern, replacement);
        }
        Self { folder, admin: imd.admin, public: imd.public, _filters: settings.bind_to_scope() }
    }

    /// Runs a command that is to succeed; what it printed.
    async fn imctl(&self, args: &[&str]) -> String {
        self.run(args, "").await.result()
    }

    /// Runs a command that is to fail; why it did, and its exit code.
    async fn failing_imctl(&self, args: &[&str]) -> String {
        self.run(args, "").await.failure()
    }

    async fn run(&self, args: &[&str], stdin: &str) -> Printed {
        let mut process = self.start(args);
        let mut input = process.stdin.take().expect("it is piped");
        input.write_all(stdin.as_bytes()).await.expect("it reads its input");
        drop(input);
        let ended = in_time("imctl", process.wait_with_output()).await.expect("it ends");
        Printed {
            code: ended.status.code(),
            stdout: String::from_utf8(ended.stdout).expect("UTF-8"),
            stderr: String::from_utf8(ended.stderr).expect("UTF-8"),
        }
    }

    fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().expect("imctl runs")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("imctl"));
        command
            .args(args)
            .env_clear()
            .env("IMD_DATA_DIR", self.folder.path())
            .env("IMCTL_SERVER", format!("http://{}", self.admin))
            .env("IMCTL_PUBLIC_SERVER", format!("http://{}", self.public))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// Waits until so many sessions are seen to have all of their timelines.
async fn up_to_date(sessions: usize, imd: &Imd) {
    let key = fs::read_to_string(&imd.admin_key).expect("imd has made a key");
    let admin = Admin::new(imd.admin, key.trim());
    let is_up_to_date = |seen: &AdminSession| seen.lag == Some(0);
    eventually("the cursors", async || {
        let listed = admin.sessions(ListSessionsRequest::default()).await.expect("a listing");
        let up_to_date = listed.sessions.into_iter().filter(is_up_to_date).count();
        (up_to_date == sessions).then_some(())
    })
    .await;
}

/// How a command ended and what it printed.
#[derive(Debug)]
struct Printed {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Printed {
    /// The result, and then what was said beside it.
    fn result(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout + &self.stderr
    }

    fn failure(self) -> String {
        assert_eq!(self.stdout, "");
        format!("{}exit code {:?}", self.stderr, self.code.expect("it was not killed"))
    }
}
