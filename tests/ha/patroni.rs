//! Three PostgreSQL servers under Patroni, with etcd.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::service::{folder, free_ports, give, postgres_programs, program, start};
use crate::{faults::until, support::process::processes_of};

/// How long Patroni may take to have a primary, from nothing or after a fault.
const PATIENCE: Duration = Duration::from_mins(2);

/// The members of a cluster.
const MEMBERS: usize = 3;

/// How soon a leader that says nothing is replaced, in seconds. Patroni recommends 30.
const TTL: u8 = 10;

/// A cluster that ends with its value.
pub(super) struct Patroni {
    members: Vec<Member>,
    etcd: Child,
    http: reqwest::Client,
    // Goes last.
    folder: TempDir,
}

/// A server with its Patroni.
struct Member {
    port: u16,
    rest: u16,
    data: PathBuf,
    patroni: Child,
}

impl Patroni {
    /// A cluster with a database for imd in it.
    pub(super) async fn start(synchronous: bool) -> Self {
        let folder = folder();
        let [client, peer] = free_ports();
        let etcd = start("etcd", etcd(client, peer), folder.path());
        let ports: [u16; 2 * MEMBERS] = free_ports();
        let member = |(no, ports): (usize, &[u16])| {
            let (port, rest) = (ports[0], ports[1]);
            let file = folder.path().join(format!("{no}.json"));
            let settings = settings(folder.path(), no, client, port, rest, synchronous);
            fs::write(&file, settings.to_string()).expect("a file can be made");
            give(&file);
            let data = folder.path().join(format!("data-{no}"));
            Member { port, rest, data, patroni: run(no, folder.path()) }
        };
        let members = ports.chunks(2).enumerate().map(member).collect();
        let cluster = Self { members, etcd, http: reqwest::Client::new(), folder };
        let primary = cluster.primary_other_than(None).await;
        cluster.replicated().await;
        let sql = cluster.sql(primary).await;
        for statement in ["CREATE ROLE imd LOGIN", "CREATE DATABASE imd OWNER imd"] {
            sql.batch_execute(statement).await.expect("a superuser may");
        }
        cluster
    }

    /// For nodes: all members.
    pub(super) fn url(&self) -> String {
        let hosts: Vec<_> =
            self.members.iter().map(|member| format!("127.0.0.1:{}", member.port)).collect();
        format!("postgresql://imd@{}/imd?target_session_attrs=read-write", hosts.join(","))
    }

    /// The URL of one member alone.
    pub(super) fn url_of(&self, member: usize) -> String {
        format!("postgresql://imd@127.0.0.1:{}/imd", self.members[member].port)
    }

    /// Waits until a member other than `old` is the primary.
    pub(super) async fn primary_other_than(&self, old: Option<usize>) -> usize {
        until("a primary", PATIENCE, async || {
            for no in (0..MEMBERS).filter(|no| Some(*no) != old) {
                if self.answers(no, "primary").await {
                    return Some(no);
                }
            }
            None
        })
        .await
    }

    /// Waits until all members are there, and one of them is a synchronous standby where there is to be
    /// one.
    pub(super) async fn replicated(&self) {
        until("the standbys follow", PATIENCE, async || {
            let mut following = 0;
            let mut sync = 0;
            for no in 0..MEMBERS {
                following += usize::from(self.answers(no, "replica?lag=1MB").await);
                sync += usize::from(self.answers(no, "synchronous").await);
            }
            let wanted = usize::from(self.synchronous().await);
            (following == MEMBERS - 1 && sync >= wanted).then_some(())
        })
        .await;
    }

    /// A superuser's connection to a member.
    async fn sql(&self, member: usize) -> tokio_postgres::Client {
        let url = format!("host=127.0.0.1 port={} user=postgres", self.members[member].port);
        let connected = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
        let (sql, connection) = connected.expect("the member takes connections");
        tokio::spawn(connection);
        sql
    }

    /// Waits until all standbys have replayed what this primary has.
    pub(super) async fn replayed(&self, primary: usize) {
        let sql = self.sql(primary).await;
        until("the standbys have everything", PATIENCE, async || {
            let have = "SELECT count(*) FROM pg_stat_replication
                        WHERE state = 'streaming' AND replay_lsn = pg_current_wal_lsn()";
            let standbys: i64 = sql.query_one(have, &[]).await.ok()?.get(0);
            (usize::try_from(standbys) == Ok(MEMBERS - 1)).then_some(())
        })
        .await;
    }

    /// Has the standbys of this primary get nothing any more.
    pub(super) async fn hold_standbys(&self, primary: usize) {
        let sql = self.sql(primary).await;
        let rows = sql.query("SELECT pid FROM pg_stat_replication", &[]).await.expect("an answer");
        assert_eq!(rows.len(), MEMBERS - 1);
        for row in rows {
            kill(Pid::from_raw(row.get(0)), Signal::SIGSTOP).expect("it runs");
        }
    }

    async fn synchronous(&self) -> bool {
        for member in &self.members {
            let url = format!("http://127.0.0.1:{}/config", member.rest);
            let Ok(answer) = self.http.get(url).timeout(Duration::from_secs(1)).send().await else {
                continue;
            };
            if let Ok(config) = answer.json::<Value>().await {
                return config["synchronous_mode"] == json!(true);
            }
        }
        false
    }

    /// Whether a member says that it is what the path names.
    async fn answers(&self, member: usize, path: &str) -> bool {
        let url = format!("http://127.0.0.1:{}/{path}", self.members[member].rest);
        let answer = self.http.get(url).timeout(Duration::from_secs(1)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Asks for another primary.
    pub(super) async fn switch_over(&self, from: usize) {
        let url = format!("http://127.0.0.1:{}/switchover", self.members[from].rest);
        let asked = self.http.post(url).body(json!({ "leader": name(from) }).to_string());
        let answer = asked.send().await.expect("Patroni answers");
        let status = answer.status();
        assert!(status.is_success(), "{status}: {}", answer.text().await.unwrap_or_default());
    }

    /// Kills a member with all that runs there.
    pub(super) async fn kill(&mut self, member: usize) {
        let member = &mut self.members[member];
        let processes = member.postgres();
        member.patroni.kill().await.expect("it runs");
        for process in processes {
            let _ = kill(process, Signal::SIGKILL);
        }
    }

    /// Starts a member that was killed.
    pub(super) fn start_again(&mut self, member: usize) {
        self.members[member].patroni = run(member, self.folder.path());
    }

    /// Has a member stand still with all that runs there, as a machine whose disk hangs: connections
    /// stand, and new ones are made, but nobody answers.
    pub(super) fn freeze(&self, member: usize) {
        self.members[member].signal(Signal::SIGSTOP);
    }

    /// Lets its PostgreSQL go on, with a Patroni that starts anew, as behind a watchdog. One that wakes up
    /// may believe its cache, write the leader's key once more, and take the primary's place back.
    pub(super) async fn thaw(&mut self, member: usize) {
        self.members[member].patroni.kill().await.expect("it runs");
        for process in self.members[member].postgres() {
            let _ = kill(process, Signal::SIGCONT);
        }
        self.start_again(member);
    }

    /// Has etcd stand still.
    pub(super) fn freeze_etcd(&self) {
        signal_child(&self.etcd, Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(super) fn thaw_etcd(&self) {
        signal_child(&self.etcd, Signal::SIGCONT);
    }
}

impl Member {
    /// The postmaster and its children.
    fn postgres(&self) -> Vec<Pid> {
        let Ok(file) = fs::read_to_string(self.data.join("postmaster.pid")) else {
            return Vec::new();
        };
        let postmaster = file.lines().next().and_then(|line| line.trim().parse().ok());
        postmaster.map(|postmaster| processes_of(Pid::from_raw(postmaster))).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        // Patroni first: it would notice what becomes of the other.
        signal_child(&self.patroni, signal);
        for process in self.postgres() {
            let _ = kill(process, signal);
        }
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.signal(Signal::SIGCONT);
            let processes = member.postgres();
            let _ = member.patroni.start_kill();
            for process in processes {
                let _ = kill(process, Signal::SIGKILL);
            }
        }
        self.thaw_etcd();
    }
}

fn signal_child(process: &Child, signal: Signal) {
    if let Some(id) = process.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(id), signal);
    }
}

fn name(member: usize) -> String {
    format!("member-{member}")
}

fn run(member: usize, folder: &Path) -> Child {
    let mut command = Command::new(program("patroni", "patroni"));
    command.arg(folder.join(format!("{member}.json")));
    start(&name(member), command, folder)
}

fn etcd(client: u16, peer: u16) -> Command {
    let mut command = Command::new(program("etcd", "etcd-server"));
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    command.args(["--data-dir", "etcd", "--name", "one", "--log-level", "error"]);
    command.args(["--unsafe-no-fsync", "--listen-client-urls", &client]);
    command.args(["--advertise-client-urls", &client, "--listen-peer-urls", &peer]);
    command.args(["--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("one={peer}")]);
    command
}

/// Patroni reads YAML, which JSON is.
fn settings(
    folder: &Path,
    member: usize,
    etcd: u16,
    port: u16,
    rest: u16,
    synchronous: bool,
) -> Value {
    let listen = |port| format!("127.0.0.1:{port}");
    let account = |name: &str| json!({ "username": name, "password": "not secret" });
    json!({
        "scope": "imd",
        "name": name(member),
        "restapi": { "listen": listen(rest), "connect_address": listen(rest) },
        "etcd3": { "hosts": listen(etcd) },
        "bootstrap": {
            "dcs": {
                "ttl": TTL,
                "loop_wait": 2,
                "retry_timeout": 3,
                "maximum_lag_on_failover": 1_048_576,
                "synchronous_mode": synchronous,
                "failsafe_mode": true,
                "postgresql": {
                    "use_pg_rewind": true,
                    "use_slots": true,
                    // What is tested survives the death of processes, not that of the machine.
                    "parameters": { "max_connections": 100, "fsync": "off" },
                },
            },
            "initdb": [{ "encoding": "UTF8" }, { "locale": "C.UTF-8" }, "data-checksums", "no-sync"],
        },
        "postgresql": {
            "listen": listen(port),
            "connect_address": listen(port),
            "data_dir": folder.join(format!("data-{member}")),
            "bin_dir": postgres_programs(),
            "pgpass": folder.join(format!("pgpass-{member}")),
            "authentication": {
                "superuser": account("postgres"),
                "replication": account("replicator"),
                "rewind": account("rewinder"),
            },
            "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
            "parameters": { "unix_socket_directories": "" },
        },
    })
}
