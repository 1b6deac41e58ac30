//! These run a real Postgres each, in a temporary folder that other accounts cannot enter.
//! As root they show the change to another account, as anybody else the plain way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::{TempDir, tempdir};
use tokio::time::timeout;
use tokio_postgres::NoTls;

use super::*;

const DEADLINE: Duration = Duration::from_mins(1);

/// A data folder in a folder of its own, which goes with it.
struct Home {
    parent: TempDir,
    data: DataFolder,
}

impl Home {
    fn new() -> Self {
        Self::below("imd-data")
    }

    fn below(path: &str) -> Self {
        let parent = tempdir().unwrap();
        let data = DataFolder::open(&parent.path().join(path)).unwrap();
        Self { parent, data }
    }

    async fn start(&self) -> EmbeddedPostgres {
        EmbeddedPostgres::start(&self.data, None, None).await.unwrap()
    }

    async fn refusal(&self, bin_dir: Option<&Path>) -> String {
        let started = EmbeddedPostgres::start(&self.data, bin_dir, None).await;
        started.expect_err("it must not start").to_string()
    }

    fn cluster(&self) -> Cluster {
        let root = self.data.postgres();
        let account = Account::choose(self.data.path(), &root).unwrap();
        Cluster::new(root, account)
    }

    /// The server without anybody to look after it.
    async fn server(&self) -> Server {
        let cluster = self.cluster();
        let binaries = Binaries::find(&cluster, None, None, Path::new("none")).await.unwrap();
        cluster.prepare(&binaries).await.unwrap();
        let log = ServerLog::new(self.data.postgres_log());
        Server { cluster, binaries, log }
    }

    fn postmaster(&self) -> Pid {
        let file = self.cluster().data().join("postmaster.pid");
        let text = fs::read_to_string(file).unwrap();
        Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
    }
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Connects as soon as the server takes connections again.
async fn reconnect(url: &str) -> Client {
    let trying = async {
        loop {
            match connect(url).await {
                Ok(client) => return client,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(DEADLINE, trying).await.expect("the server comes back")
}

async fn remember(url: &str, word: &str) {
    let client = connect(url).await.unwrap();
    client.batch_execute("CREATE TABLE IF NOT EXISTS words (word text)").await.unwrap();
    client.execute("INSERT INTO words VALUES ($1)", &[&word]).await.unwrap();
}

async fn remembered(client: &Client) -> Vec<String> {
    let rows = client.query("SELECT word FROM words", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Every file below `folder`, with its content.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(snapshot(&path));
            files.insert(path, Vec::new());
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

#[tokio::test]
async fn a_stopped_database_comes_back_with_its_data() {
    let home = Home::new();
    let postgres = home.start().await;
    assert_eq!(postgres.url(), EmbeddedPostgres::url_in(home.data.path()));
    remember(postgres.url(), "kept").await;
    postgres.stop().await.unwrap();
    assert!(!home.cluster().data().join("postmaster.pid").exists());

    let postgres = home.start().await;
    let client = connect(postgres.url()).await.unwrap();
    assert_eq!(remembered(&client).await, ["kept"]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn the_role_owns_its_database_and_nothing_more() {
    let home = Home::new();
    let postgres = home.start().await;
    let client = connect(postgres.url()).await.unwrap();
    let row = client
        .query_one(
            "SELECT current_user::text, current_database()::text, rolsuper, pg_get_userbyid(datdba)::text
             FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()",
            &[],
        )
        .await
        .unwrap();
    let (user, database, superuser, owner): (&str, &str, bool, &str) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    assert_eq!((user, database, superuser, owner), ("imd", "imd", false, "imd"));
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn safety_is_never_traded_for_speed() {
    let home = Home::new();
    let postgres = home.start().await;
    let client = connect(postgres.url()).await.unwrap();
    for (setting, value) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
    ] {
        let row = client.query_one("SELECT current_setting($1)", &[&setting]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), value, "{setting}");
    }
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_postmaster_is_started_again_even_if_a_busy_backend_outlives_it() {
    let home = Home::new();
    let postgres = home.start().await;
    remember(postgres.url(), "acked").await;

    // A backend in the middle of a calculation does not notice that its postmaster has gone.
    let busy = connect(postgres.url()).await.unwrap();
    let calculation = tokio::spawn(async move {
        busy.batch_execute("SET application_name = 'busy'").await?;
        busy.batch_execute("SELECT count(*) FROM generate_series(1, 1000000000000)").await
    });
    let watcher = connect(postgres.url()).await.unwrap();
    let is_busy = "SELECT FROM pg_stat_activity WHERE application_name = 'busy' AND state = 'active' AND query LIKE 'SELECT%'";
    timeout(DEADLINE, async { while watcher.query_opt(is_busy, &[]).await.unwrap().is_none() {} })
        .await
        .unwrap();

    kill(home.postmaster(), Signal::SIGKILL).unwrap();
    let client = timeout(DEADLINE, async {
        watcher.batch_execute("SELECT pg_sleep(600)").await.unwrap_err();
        reconnect(postgres.url()).await
    })
    .await
    .unwrap();
    assert_eq!(remembered(&client).await, ["acked"]);
    assert!(calculation.await.unwrap().is_err());
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_backend_takes_the_server_down_and_up_again() {
    let home = Home::new();
    let postgres = home.start().await;
    remember(postgres.url(), "acked").await;

    let victim = connect(postgres.url()).await.unwrap();
    let bystander = connect(postgres.url()).await.unwrap();
    let row = victim.query_one("SELECT pg_backend_pid()", &[]).await.unwrap();
    kill(Pid::from_raw(row.get(0)), Signal::SIGKILL).unwrap();
    // Its end is the server's doing: who connects before may still find the old one.
    let died = bystander.batch_execute("SELECT pg_sleep(600)");
    timeout(DEADLINE, died).await.unwrap().unwrap_err();

    let client = reconnect(postgres.url()).await;
    assert_eq!(remembered(&client).await, ["acked"]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_left_by_a_killed_imd_is_replaced() {
    let home = Home::new();
    let (orphan, superuser) = home.server().await.start().await.unwrap();
    create_database(&superuser).await.unwrap();
    let url = EmbeddedPostgres::url_in(home.data.path());
    remember(&url, "acked").await;
    let orphan_pid = home.postmaster();
    std::mem::forget(orphan);

    let postgres = home.start().await;
    assert_ne!(home.postmaster(), orphan_pid);
    let client = connect(postgres.url()).await.unwrap();
    assert_eq!(remembered(&client).await, ["acked"]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_reused_pid_in_a_stale_pid_file_is_neither_believed_nor_signalled() {
    let home = Home::new();
    home.start().await.stop().await.unwrap();

    let cluster = home.cluster();
    let mut stranger = cluster
        .account()
        .command(Path::new("/bin/sleep"))
        .arg("600")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for pid_file in [cluster.data().join("postmaster.pid"), cluster.socket_lock()] {
        fs::write(pid_file, format!("{}\n", stranger.id().unwrap())).unwrap();
    }

    home.start().await.stop().await.unwrap();
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger still runs");
}

#[tokio::test]
async fn an_initdb_killed_half_way_is_done_over() {
    let home = Home::new();
    let half_made = |home: &Home| {
        let entries = fs::read_dir(home.data.postgres()).ok()?;
        let mut paths = entries.map(|entry| entry.unwrap().path());
        paths.find(|path| path.join("PG_VERSION").exists() && !path.ends_with("cluster"))
    };
    let killed = async {
        tokio::select! {
            biased;
            () = async { while half_made(&home).is_none() { tokio::task::yield_now().await } } => {}
            _ = EmbeddedPostgres::start(&home.data, None, None) => panic!("initdb was too quick"),
        }
    };
    timeout(DEADLINE, killed).await.unwrap();
    assert!(!home.cluster().data().exists());

    let postgres = home.start().await;
    connect(postgres.url()).await.unwrap();
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_start_leaves_a_folder_that_starts() {
    let home = Home::new();
    let started = async {
        tokio::select! {
            () = async { while !home.cluster().data().exists() { tokio::task::yield_now().await } } => {}
            _ = EmbeddedPostgres::start(&home.data, None, None) => {}
        }
    };
    timeout(DEADLINE, started).await.unwrap();
    home.start().await.stop().await.unwrap();
}

#[tokio::test]
async fn a_folder_too_deep_for_a_socket_works() {
    let home = Home::below(&format!("{}/imd data", "deep/".repeat(30)));
    let postgres = home.start().await;
    assert!(postgres.url().starts_with("postgresql://imd@%2Ftmp%2Fimd-"));
    remember(postgres.url(), "deep").await;
    let url = postgres.url().to_owned();
    postgres.stop().await.unwrap();

    let postgres = home.start().await;
    assert_eq!(postgres.url(), url);
    assert_eq!(remembered(&connect(&url).await.unwrap()).await, ["deep"]);
    postgres.stop().await.unwrap();
    fs::remove_dir_all(home.cluster().socket_folder()).unwrap();
}

#[tokio::test]
async fn another_majors_cluster_is_refused_with_advice_and_left_as_it_is() {
    let home = Home::new();
    let cluster = home.data.postgres().join("cluster");
    fs::create_dir_all(&cluster).unwrap();
    fs::write(cluster.join("PG_VERSION"), "99\n").unwrap();
    let before = snapshot(home.parent.path());

    let message = home.refusal(None).await;
    assert!(message.contains("made by PostgreSQL 99") && message.contains("install"), "{message}");
    assert_eq!(snapshot(home.parent.path()), before);

    fs::write(cluster.join("PG_VERSION"), "14\n").unwrap();
    let message = home.refusal(None).await;
    assert!(message.contains("is of PostgreSQL 14; imd needs 15 or newer"), "{message}");
}

#[tokio::test]
async fn a_cluster_without_its_version_is_not_made_over() {
    let home = Home::new();
    let cluster = home.data.postgres().join("cluster");
    fs::create_dir_all(&cluster).unwrap();
    fs::write(cluster.join("precious"), "data").unwrap();

    let message = home.refusal(None).await;
    assert!(message.contains("not a whole PostgreSQL cluster"), "{message}");
    assert_eq!(fs::read_to_string(cluster.join("precious")).unwrap(), "data");
}

#[tokio::test]
async fn a_bin_folder_without_programs_is_refused_by_name() {
    let home = Home::new();
    let message = home.refusal(Some(home.parent.path())).await;
    assert!(message.contains("pg_bin") && message.contains("there is no file"), "{message}");
    assert!(!home.data.postgres().exists());
}

#[tokio::test]
async fn a_server_that_cannot_start_shows_the_end_of_its_log() {
    let home = Home::new();
    home.start().await.stop().await.unwrap();
    fs::remove_file(home.cluster().data().join("global/pg_control")).unwrap();

    let message = home.refusal(None).await;
    assert!(message.contains("PostgreSQL ended while starting"), "{message}");
    assert!(message.contains("pg_control"), "{message}");
}
