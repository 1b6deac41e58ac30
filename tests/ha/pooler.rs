//! PgBouncer between imd and PostgreSQL.

use std::{fs, path::Path, time::Duration};

use imd::{app::App, config::Settings};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::service::{folder, free_ports, give, program, start};
use crate::{
    faults::until,
    support::{
        admin::Admin,
        api::Transport,
        cluster::{PASSWORD, login},
        node::ADMIN_KEY,
        postgres::Database,
        terminal::Terminal,
    },
};

/// How long PgBouncer may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pooler that ends with its value.
struct PgBouncer {
    port: u16,
    _process: Child,
    // Goes last.
    _folder: TempDir,
}

impl PgBouncer {
    async fn before(database: &Database, mode: &str) -> Self {
        let folder = folder();
        let [port] = free_ports();
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, settings(database.url(), port, mode, folder.path())).expect("a file");
        give(&file);
        let mut command = Command::new(program("pgbouncer", "pgbouncer"));
        command.arg(&file);
        let process = start("pgbouncer", command, folder.path());
        let pooler = Self { port, _process: process, _folder: folder };
        until("PgBouncer takes connections", PATIENCE, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        pooler
    }

    fn url(&self) -> String {
        format!("postgresql://imd@127.0.0.1:{}/imd", self.port)
    }
}

fn settings(url: &str, port: u16, mode: &str, folder: &Path) -> String {
    let config: tokio_postgres::Config = url.parse().expect("the URL of a database");
    let target = |name: &str, value: &str| format!("{name}='{}'", value.replace('\'', "''"));
    let host = match &config.get_hosts()[0] {
        tokio_postgres::config::Host::Tcp(host) => host.clone(),
        tokio_postgres::config::Host::Unix(folder) => folder.display().to_string(),
    };
    let mut database = vec![
        target("host", &host),
        target("port", &config.get_ports().first().copied().unwrap_or(5432).to_string()),
        target("dbname", config.get_dbname().expect("a database")),
        target("user", config.get_user().expect("a user")),
    ];
    if let Some(password) = config.get_password() {
        database.push(target("password", &String::from_utf8_lossy(password)));
    }
    format!(
        "[databases]
imd = {}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 60
max_client_conn = 100
logfile = {}
",
        database.join(" "),
        folder.join("log").display()
    )
}

/// A node behind the pooler.
async fn node(pooler: &PgBouncer) -> Result<App, String> {
    let any_port = ([127, 0, 0, 1], 0).into();
    let mut settings = Settings { listen: any_port, ..Settings::default() };
    settings.admin.listen = any_port;
    let started = App::start(&settings, &pooler.url(), ADMIN_KEY.to_owned().into()).await;
    started.map_err(|error| format!("{error:#}"))
}

#[tokio::test]
async fn imd_works_behind_pgbouncer_in_session_mode() {
    let database = Database::create().await;
    let pooler = PgBouncer::before(&database, "session").await;
    let (here, there) =
        (node(&pooler).await.expect("a node"), node(&pooler).await.expect("a node"));
    let admin = Admin::new(here.admin_address(), ADMIN_KEY);
    for user in ["ann", "bob"] {
        admin.create_user(user, PASSWORD).await.expect("a user");
    }
    let log_in = async |app: &App, user_id: &str| {
        let api = Transport::Grpc.connect(app.public_address());
        let logged_in = api.login(&login(user_id, "phone", user_id).password(PASSWORD)).await;
        Terminal::new(api, user_id, logged_in.expect("logged in"))
    };
    let (ann, bob) = (log_in(&here, "ann").await, log_in(&there, "bob").await);
    let mut feed = bob.follow("now").await;
    ann.say("bob", "hello").await;
    assert_eq!(feed.entry().await.text(), "hello");
    there.stop().await;
    here.stop().await;
}

#[tokio::test]
async fn transaction_and_statement_mode_are_refused_by_name() {
    let database = Database::create().await;
    for mode in ["transaction", "statement"] {
        let pooler = PgBouncer::before(&database, mode).await;
        let refused = node(&pooler).await.err().expect("a refusal");
        assert!(refused.contains("session mode"), "{mode}: {refused}");
        assert!(!refused.contains('\n'), "{mode}: {refused}");
    }
}
