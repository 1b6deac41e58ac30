//! `imd` as a process. Whatever a test starts is killed when the test drops it, PostgreSQL included.

use std::{
    env,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    net::unix::pipe,
    process::{Child, ChildStdout, Command},
    time::timeout,
};
use uuid::Uuid;

use super::{
    admin::Admin,
    api::Transport,
    cluster::{PASSWORD, login},
    scratch::scratch,
    terminal::Terminal,
};

/// How long a process may take to start, to recover or to end. Longer than it takes `imd` to give up
/// on anything, so that it is `imd` that says what is wrong.
const PATIENCE: Duration = Duration::from_mins(1);

/// Lets a program hold its standard input open as descriptor 9, and with it every process that it
/// starts. The other end of that pipe tells when the last of them has gone.
const WITH_SURVIVORS: &str = r#"exec "$0" "$@" 9<&0 0</dev/null"#;

/// Limits that a test soon reaches that does as fast as it can what users do.
const UNLIMITED: [&str; 4] = [
    "IMD_LIMITS_SENDS_PER_SESSION",
    "IMD_LIMITS_SENDS_PER_USER",
    "IMD_LIMITS_READS_PER_USER",
    "IMD_LIMITS_CHANGES_PER_USER",
];

/// The last line of what `imd` prints when it is ready.
const READY: &str = "Ctrl-C stops it.";

/// The path of a binary of this workspace, beside the test's own folder; panics when it is not built.
pub(crate) fn binary(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a process knows its program");
    let folder = test.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing: run `cargo test --workspace`", path.display());
    path
}

/// Waits for something that processes do by themselves; panics when it takes too long.
pub(crate) async fn in_time<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let happened = timeout(PATIENCE, happens).await;
    happened.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// A data folder for `imd`, not made yet, in a temporary folder that only its owner can enter.
pub(crate) struct DataFolder {
    parent: TempDir,
    path: PathBuf,
    program: PathBuf,
}

impl DataFolder {
    pub(crate) fn new() -> Self {
        let parent = TempDir::with_prefix_in("imd-test-", scratch()).expect("a folder can be made");
        let path = parent.path().join("imd-data");
        Self { parent, path, program: binary("imd") }
    }

    /// Has another `imd` run on it from the next start on.
    pub(crate) fn runs(&mut self, program: PathBuf) {
        self.program = program;
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the embedded database's files.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.path.join("postgres/cluster")
    }

    /// What the embedded PostgreSQL has logged.
    pub(crate) fn postgres_log(&self) -> String {
        fs::read_to_string(self.path.join("postgres.log")).expect("PostgreSQL has a log")
    }

    /// The first process of the embedded PostgreSQL, according to its pid file.
    pub(crate) fn postmaster(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.cluster().join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok().map(Pid::from_raw)
    }

    /// Signals all processes of the embedded PostgreSQL.
    pub(crate) fn signal_postgres(&self, signal: Signal) {
        for process in processes_of(self.postmaster().expect("PostgreSQL runs")) {
            // One that has just ended is not missed.
            let _ = kill(process, signal);
        }
    }

    /// `imd` on this folder and on free ports, with users that may send as fast as they can.
    pub(crate) fn imd(&self) -> Command {
        self.imd_by(&[])
    }

    /// As [`DataFolder::imd`], started by a program that becomes what the rest of its arguments say.
    fn imd_by(&self, by: &[String]) -> Command {
        let sh = ["sh", "-c", WITH_SURVIVORS].map(OsString::from);
        let mut words = by.iter().map(OsString::from).chain(sh);
        let mut command = Command::new(words.next().expect("a program"));
        command
            .args(words)
            .arg(&self.program)
            .env_clear()
            .envs(["PATH", "IMD_PG_BIN"].iter().filter_map(|name| Some((name, env::var_os(name)?))))
            .env("IMD_DATA_DIR", &self.path)
            .env("IMD_LISTEN", "127.0.0.1:0")
            .env("IMD_ADMIN_LISTEN", "127.0.0.1:0")
            .envs(UNLIMITED.map(|limit| (limit, "0")))
            .current_dir(self.parent.path())
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Writes the settings file that `imd` finds where it runs.
    pub(crate) fn write_settings(&self, toml: &str) {
        fs::write(self.parent.path().join("imd.toml"), toml).expect("a settings file");
    }

    /// Starts `imd` and waits until it says that it is ready.
    pub(crate) async fn start(&self) -> Imd {
        self.start_with(&[]).await
    }

    /// As [`DataFolder::start`], with other settings, as environment variables.
    pub(crate) async fn start_with(&self, settings: &[(&str, &str)]) -> Imd {
        self.start_by(&[], settings).await
    }

    /// As [`DataFolder::start_with`], by a program that becomes what the rest of its arguments say.
    pub(crate) async fn start_by(&self, by: &[String], settings: &[(&str, &str)]) -> Imd {
        let mut command = self.imd_by(by);
        command.envs(settings.iter().copied());
        Imd::start(command, &self.parent.path().join("imd.log")).await
    }

    /// Starts `imd` as a node on a database that is there already.
    pub(crate) async fn start_node(&self, database_url: &str) -> Imd {
        self.start_with(&[("IMD_DATABASE_URL", database_url)]).await
    }

    /// Runs `imd` to its end: for one that is expected to end by itself.
    pub(crate) async fn run(&self, args: &[&str]) -> Output {
        let mut command = self.imd();
        in_time("imd ends", command.args(args).output()).await.expect("imd runs")
    }

    /// The URL of the embedded database, as `imd config` prints it.
    pub(crate) async fn database_url(&self) -> String {
        let printed = self.run(&["config"]).await;
        let text = String::from_utf8(printed.stdout).expect("settings are UTF-8");
        let url = text.split_whitespace().find(|word| word.starts_with("postgresql://"));
        url.unwrap_or_else(|| panic!("no URL in: {text}")).to_owned()
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        let Some(postmaster) = self.postmaster() else { return };
        // The pid in a stale file can be anybody's by now.
        let command = fs::read_to_string(format!("/proc/{postmaster}/cmdline"));
        if command.is_ok_and(|command| command.contains("postgres")) {
            // Immediate shutdown: it takes its children along, and its pid file.
            let _ = kill(postmaster, Signal::SIGQUIT);
            gone_within(Duration::from_secs(10), || self.postmaster().is_none());
        }
    }
}

/// A PostgreSQL server's first process, and its children.
pub(crate) fn processes_of(postmaster: Pid) -> Vec<Pid> {
    let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    std::iter::once(postmaster).chain(children.map(Pid::from_raw)).collect()
}

/// A running `imd` that has said it is ready.
pub(crate) struct Imd {
    /// The public listener.
    pub(crate) public: SocketAddr,
    /// The admin listener.
    pub(crate) admin: SocketAddr,
    /// The file of the admin key.
    pub(crate) admin_key: PathBuf,
    /// All that it printed.
    pub(crate) greeting: String,
    process: Child,
    log: PathBuf,
    survivors: pipe::Receiver,
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Imd {
    async fn start(mut command: Command, log: &Path) -> Self {
        let (survivors, held) = io::pipe().expect("a pipe can be made");
        command.stdin(held).stdout(Stdio::piped()).stderr(open(log));
        let mut process = command.spawn().expect("sh runs");
        // Holds the other end of the pipe.
        drop(command);
        let stdout = process.stdout.take().expect("it is piped");
        let mut stdout = BufReader::new(stdout).lines();
        let Ok(greeting) = timeout(PATIENCE, greeting(&mut stdout)).await else {
            panic!("imd does not become ready: {}", read(log));
        };
        let greeting = greeting.unwrap_or_else(|| panic!("imd has ended: {}", read(log)));
        Self {
            public: address_after(&greeting, "API        "),
            admin: address_after(&greeting, "Admin API  "),
            admin_key: after(&greeting, "key in ").into(),
            greeting,
            process,
            log: log.to_owned(),
            survivors: pipe::Receiver::from_owned_fd(OwnedFd::from(survivors)).expect("a pipe"),
            _stdout: stdout,
        }
    }

    /// The administrator.
    pub(crate) fn admin(&self) -> Admin {
        let key = fs::read_to_string(&self.admin_key).expect("imd has made a key");
        Admin::new(self.admin, key.trim())
    }

    /// Creates users with [`PASSWORD`].
    pub(crate) async fn create_users(&self, user_ids: &[&str]) {
        let admin = self.admin();
        for user_id in user_ids {
            admin.create_user(user_id, PASSWORD).await.expect("a new user");
        }
    }

    /// Logs a user in on a new device.
    pub(crate) async fn log_in(
        &self,
        transport: Transport,
        user_id: &str,
        terminal_type: &str,
    ) -> Terminal {
        let api = transport.connect(self.public);
        let login = login(user_id, terminal_type, &Uuid::new_v4().to_string());
        let logged_in = api.login(&login).await.expect("a session");
        Terminal::new(api, user_id, logged_in)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Pid {
        let pid = self.process.id().and_then(|pid| i32::try_from(pid).ok());
        Pid::from_raw(pid.expect("it has not been waited for"))
    }

    /// Waits until its log holds `text`.
    pub(crate) async fn says(&self, text: &str) {
        let said = async || read(&self.log).contains(text).then_some(());
        super::eventually(text, said).await;
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().expect("it is our child").is_none()
    }

    /// Sends it a signal and waits for its end. SIGINT goes to its whole process group, as a Ctrl-C does.
    pub(crate) async fn end(&mut self, signal: Signal) -> ExitStatus {
        let sent = match signal {
            Signal::SIGINT => killpg(self.pid(), signal),
            _ => kill(self.pid(), signal),
        };
        sent.expect("it runs");
        in_time("imd ends", self.process.wait()).await.expect("it is our child")
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        in_time("imd ends", self.process.wait()).await.expect("it is our child")
    }

    /// Waits until neither it nor any process that it has started is left.
    pub(crate) async fn nothing_left(&mut self) {
        let end = in_time("no process is left", self.survivors.read_u8()).await;
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

impl Drop for Imd {
    fn drop(&mut self) {
        if self.process.start_kill().is_ok() {
            // Until then it could start PostgreSQL again.
            gone_within(Duration::from_secs(10), || !matches!(self.process.try_wait(), Ok(None)));
        }
    }
}

/// What `imd` prints until it is ready; none when it ends before.
async fn greeting(stdout: &mut Lines<BufReader<ChildStdout>>) -> Option<String> {
    let mut greeting = String::new();
    while !greeting.ends_with(READY) {
        greeting.push('\n');
        greeting.push_str(&stdout.next_line().await.expect("its output is UTF-8")?);
    }
    Some(greeting)
}

/// The word after `label`.
fn after(greeting: &str, label: &str) -> String {
    let rest = greeting.split_once(label).map(|(_, rest)| rest);
    let word = rest.and_then(|rest| rest.split_whitespace().next());
    word.unwrap_or_else(|| panic!("no \"{label}\" in: {greeting}")).to_owned()
}

/// The address in the URL after `label`.
fn address_after(greeting: &str, label: &str) -> SocketAddr {
    let url = after(greeting, label);
    let address = url.split_once("://").map(|(_, rest)| rest);
    let address = address.and_then(|address| address.parse().ok());
    address.unwrap_or_else(|| panic!("{url} is no URL of a listener"))
}

fn open(log: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(log).expect("a log can be made")
}

fn read(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_else(|error| error.to_string())
}

fn gone_within(patience: Duration, mut gone: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !gone() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
}
