//! The PostgreSQL of the tests: one server to throw away for this process, and a database for each
//! test.
//!
//! The server is imd's own embedded one, in a temporary folder, unless `TEST_DATABASE_URL` names
//! another: the URL of a superuser, database included, of PostgreSQL 15 or newer. There one database,
//! `imd_tests_…`, is left behind by each run. A runner with a process for each test makes a server for
//! each, too.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use imd::{data_folder::DataFolder, embedded_postgres::EmbeddedPostgres, store::Store};
use tokio::{
    runtime::{self, Handle},
    sync::{Semaphore, SemaphorePermit},
};
use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

use super::scratch::scratch;

/// How many databases there are at a time: the embedded server takes 100 connections.
const DATABASES: usize = 4;

/// Runs beside this process, with a pipe from it as standard input: when the process ends, in
/// whatever way, the pipe closes. Then the server ends and its folder goes.
const SUPERVISOR: &str = r#"
cat
pid=$(head -n 1 "$1/postgres/cluster/postmaster.pid") && kill -QUIT "$pid"
while kill -0 "$pid"; do sleep 0.1; done
rm -rf "$1"
"#;

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
static PLACES: Semaphore = Semaphore::const_new(DATABASES);
static NUMBER: AtomicU32 = AtomicU32::new(0);

struct Server {
    /// For the tests, with any database.
    url: String,
    /// May create databases.
    superuser: Config,
    /// The migrated database that others are copied from.
    template: String,
    /// Outlives every test.
    runtime: Handle,
    /// `None` when the server is another's.
    supervisor: Option<Child>,
}

impl Server {
    /// Starts on a thread of its own, whose runtime lives as long as the process: that of the test
    /// that happens to come first does not.
    fn start() -> Self {
        let (ready, started) = mpsc::channel();
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let (server, embedded) = Self::connect_or_embed().await;
                ready.send(server).expect("the tests wait for the server");
                std::future::pending::<()>().await;
                drop(embedded);
            });
        });
        started.recv().expect("no PostgreSQL to test with")
    }

    async fn connect_or_embed() -> (Self, Option<EmbeddedPostgres>) {
        if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
            let superuser = url.parse().expect("TEST_DATABASE_URL");
            return (Self::prepare(url, superuser, None).await, None);
        }
        let folder = tempfile::Builder::new().prefix("imd-tests-").tempdir_in(scratch());
        let folder = folder.expect("a folder").keep();
        let supervisor = supervise(&folder);
        let data_folder = DataFolder::open(&folder).expect("a data folder");
        let embedded =
            EmbeddedPostgres::start(&data_folder, None, None).await.expect("a PostgreSQL");
        let url = embedded.url().to_owned();
        let mut superuser: Config = url.parse().expect("the URL of the embedded PostgreSQL");
        superuser.user("postgres").dbname("postgres");
        (Self::prepare(url, superuser, Some(supervisor)).await, Some(embedded))
    }

    async fn prepare(url: String, superuser: Config, supervisor: Option<Child>) -> Self {
        let template = format!("imd_tests_{}", Uuid::new_v4().simple());
        let runtime = Handle::current();
        let server = Self { url, superuser, template, runtime, supervisor };
        server.create(&server.template, "template0").await;
        let store = Store::new(&server.url_of(&server.template), 1).expect("a store");
        store.migrate().await.expect("the migrations");
        server
    }

    /// Makes a database that belongs to the role of the tests.
    async fn create(&self, name: &str, options: &str) {
        let config: Config = self.url.parse().expect("a URL");
        let owner = config.get_user().expect("a URL with a user");
        let create = format!(r#"CREATE DATABASE {name} TEMPLATE {options} OWNER "{owner}""#);
        let created = connect(&self.superuser).await.batch_execute(&create).await;
        created.unwrap_or_else(|error| panic!("{create}: {error}"));
    }

    /// The URL of the tests with this database.
    fn url_of(&self, name: &str) -> String {
        let (base, parameters) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let (server, _) = base.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{name}?{parameters}")
    }
}

fn supervise(folder: &Path) -> Child {
    use std::os::unix::process::CommandExt;
    Command::new("sh")
        .args(["-c", SUPERVISOR, "supervisor"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A Ctrl-C is for the tests; this has work to do then.
        .process_group(0)
        .spawn()
        .expect("a shell")
}

async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// A database of one test, dropped with this value.
pub(crate) struct Database {
    name: String,
    url: String,
    _place: SemaphorePermit<'static>,
}

impl Database {
    /// A database that nodes have used before: its migrations are done.
    pub(crate) async fn create() -> Self {
        Self::copy_of(&SERVER.template).await
    }

    /// A database as a first start finds it.
    pub(crate) async fn create_empty() -> Self {
        Self::copy_of("template0").await
    }

    /// A database as a first start finds it, with these options.
    pub(crate) async fn create_with(options: &str) -> Self {
        Self::copy_of(&format!("template0 {options}")).await
    }

    async fn copy_of(template: &str) -> Self {
        let place = PLACES.acquire().await.expect("never closed");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}_{number}", SERVER.template);
        SERVER.create(&name, template).await;
        Self { url: SERVER.url_of(&name), name, _place: place }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// For nodes.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A connection as a superuser.
    pub(crate) async fn superuser(&self) -> Client {
        connect(SERVER.superuser.clone().dbname(&self.name)).await
    }

    /// A connection as a role of its own with these grants, where `{role}` stands for it. It goes with the database.
    pub(crate) async fn role(&self, name: &str, grants: &str) -> Client {
        let role = format!("{}_{name}", self.name);
        let make = format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'");
        connect(&SERVER.superuser).await.batch_execute(&make).await.expect("a role");
        let grants = grants.replace("{role}", &role);
        self.sql().await.batch_execute(&grants).await.expect("granted");
        let mut config: Config = self.url.parse().expect("a URL");
        connect(config.user(&role).password("secret")).await
    }

    /// A connection for a look behind the contract. What it makes is where nodes look: the role of the private
    /// database is called `imd`, as the schema of the functions that send in SQL, which would come first.
    pub(crate) async fn sql(&self) -> Client {
        let mut config: Config = self.url.parse().expect("a URL");
        connect(config.options("-c search_path=public")).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (done, dropped) = mpsc::channel();
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let roles = format!(
            "DO $$ DECLARE role text; BEGIN
                 FOR role IN SELECT rolname FROM pg_roles WHERE starts_with(rolname, '{}_') LOOP
                     EXECUTE format('DROP ROLE %I', role);
                 END LOOP;
             END $$",
            self.name
        );
        SERVER.runtime.spawn(async move {
            // What stays only takes up space.
            let superuser = connect(&SERVER.superuser).await;
            let _ = superuser.batch_execute(&drop).await;
            let _ = superuser.batch_execute(&roles).await;
            let _ = done.send(());
        });
        // What is left in a server of our own goes with it.
        if SERVER.supervisor.is_none() {
            let _ = dropped.recv_timeout(Duration::from_secs(5));
        }
    }
}
