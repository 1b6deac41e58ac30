//! What a machine runs out of, under the load of `chaos`: room for tables, for the write-ahead log and for logs, file
//! descriptors and memory; and clocks that jump.
//!
//! A disk that can be filled is a `tmpfs` in a mount namespace of the node. That and what lowers limits are programs of
//! `util-linux`; clocks need `libfaketime.so.1`.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use fastrand::Rng;
use nix::{
    sys::signal::Signal,
    unistd::{Pid, getegid, geteuid},
};
use tempfile::TempDir;
use tokio::time::sleep;
use tokio_postgres::{Config, NoTls};

use super::{
    chaos::{OUTAGE, Stage, postgres_is_back},
    process_node::Footing,
};
use crate::support::{
    faketime,
    process::{DataFolder, in_time},
};

/// Puts the folder `$1` on a disk of its own, on which `$0` KiB are free.
const SMALL_DISK: &str = r#"
spare=$(mktemp -d)
cp -a "$1/." "$spare"
mount -t tmpfs -o size=$(($(du -sk "$1" | cut -f1) + $0))k none "$1"
chown --reference "$spare" "$1"
chmod 700 "$1"
cp -a "$spare/." "$1"
rm -rf "$spare"
shift"#;

/// Has PostgreSQL write its log, the file `$1`, to a disk without room, and imd its own.
const NO_LOGS: &str = r#"
mount --bind /dev/full "$1"
exec 2>/dev/full
shift"#;

/// What fills a disk.
const BALLAST: &str = "ballast";

/// A footing with mounts of its own, made by a script that takes `arguments`.
fn in_mounts(script: &str, arguments: &[&str]) -> Footing {
    // As root in the eyes of the new namespaces alone, where that is needed for mounts; then as ourselves again.
    let (namespaces, back) = if geteuid().is_root() {
        ("-m", String::new())
    } else {
        let (user, group) = (geteuid(), getegid());
        ("-rm", format!("unshare --map-user={user} --map-group={group} "))
    };
    let script = format!("set -e{script}\nexec {back}\"$@\"");
    let mut by = ["unshare", namespaces, "sh", "-c", &script].map(str::to_owned).to_vec();
    by.extend(arguments.iter().copied().map(str::to_owned));
    Footing { by, ..Footing::default() }
}

/// A data folder with a database that has been stopped.
async fn used_before() -> DataFolder {
    let folder = DataFolder::new();
    let mut imd = folder.start().await;
    assert!(imd.end(Signal::SIGTERM).await.success());
    folder
}

/// A disk of a node, in the node's own view of the disks.
fn disk(node: Pid, folder: &Path) -> PathBuf {
    Path::new(&format!("/proc/{node}/root")).join(folder.strip_prefix("/").expect("absolute"))
}

/// Takes all room that is left.
fn fill(disk: &Path) {
    let mut ballast = File::create(disk.join(BALLAST)).expect("a file");
    for size in [1 << 20, 4096] {
        while ballast.write_all(&vec![1; size]).is_ok() {}
    }
}

fn make_room(disk: &Path) {
    fs::remove_file(disk.join(BALLAST)).expect("the file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_no_room_for_tables() {
    let folder = used_before().await;
    let tables = folder.cluster().join("base");
    let footing = in_mounts(SMALL_DISK, &["16384", tables.to_str().expect("UTF-8")]);
    let stage = Stage::on_footing(folder, [footing, Footing::default()]).await;
    let fault = async |stage: &mut Stage, _: &mut Rng| {
        let disk = disk(stage.nodes[0].pid(), &tables);
        fill(&disk);
        sleep(OUTAGE).await;
        make_room(&disk);
    };
    stage.endure(0xf011, fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_no_room_for_the_write_ahead_log() {
    let folder = used_before().await;
    let log = folder.cluster().join("pg_wal");
    let footing = in_mounts(SMALL_DISK, &["49152", log.to_str().expect("UTF-8")]);
    let stage = Stage::on_footing(folder, [footing, Footing::default()]).await;
    let fault = async |stage: &mut Stage, _: &mut Rng| {
        let mut config: Config = stage.nodes[0].database_url().parse().expect("a URL");
        config.user("postgres").dbname("postgres");
        let (sql, connection) = config.connect(NoTls).await.expect("a superuser");
        tokio::spawn(connection);
        // PostgreSQL would keep all files that it has made to use them again, and need another one in each round, until
        // the disk is too small for what it recovers from.
        sql.batch_execute("ALTER SYSTEM SET wal_recycle = off").await.expect("a superuser");
        let disk = disk(stage.nodes[0].pid(), &log);
        fill(&disk);
        // Files that were made in advance are used up first. Then PostgreSQL ends.
        let full = async {
            while sql.batch_execute("SELECT pg_switch_wal(), txid_current()").await.is_ok() {}
        };
        in_time("the log is full", full).await;
        sleep(OUTAGE).await;
        make_room(&disk);
        postgres_is_back(stage).await;
    };
    stage.endure(0xa1, fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_no_room_for_logs() {
    let folder = used_before().await;
    let log = folder.path().join("postgres.log");
    let mut footing = in_mounts(NO_LOGS, &["sh", log.to_str().expect("UTF-8")]);
    footing.environment.push(("IMD_LOG_LEVEL", "debug".to_owned()));
    let stage = Stage::on_footing(folder, [footing, Footing::default()]).await;
    // What there is to log: connections that end.
    let fault = async |stage: &mut Stage, _: &mut Rng| {
        stage.nodes[0].front.cut();
        sleep(OUTAGE).await;
    };
    stage.endure(0x109, fault).await;
}

/// Sets a limit of a process that runs.
fn limit(process: Pid, what: &str, to: &str) {
    let limit = format!("--{what}={to}:");
    let mut prlimit = Command::new("prlimit");
    let set = prlimit.args(["--pid", &process.to_string(), &limit]).status();
    assert!(set.expect("prlimit runs").success(), "{limit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_has_no_file_descriptors_left() {
    let fault = async |stage: &mut Stage, rng: &mut Rng| {
        let node = &stage.nodes[rng.usize(..2)];
        let open = format!("/proc/{}/fd", node.pid());
        let open = fs::read_dir(open).expect("it runs").count();
        limit(node.pid(), "nofile", &open.to_string());
        // What is lost cannot be opened again.
        for proxy in [Some(&node.front), node.back.as_ref()].into_iter().flatten() {
            proxy.cut();
        }
        sleep(OUTAGE).await;
        limit(node.pid(), "nofile", "4096");
    };
    let stage = Stage::on_footing(DataFolder::new(), Default::default()).await;
    stage.endure(0xfd, fault).await;
}

/// A control group of a test, in which a process gets so much memory and no more; `None` where none can be made.
struct ControlGroup {
    folder: PathBuf,
    limit: &'static str,
}

impl ControlGroup {
    fn of(process: Pid) -> Option<Self> {
        let name = format!("imd-tests-{process}");
        let all = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.kmem.usage_in_bytes"),
            ("/sys/fs/cgroup", "memory.max", "cgroup.subtree_control"),
        ];
        for (root, limit, has) in all {
            if !Path::new(root).join(has).exists() {
                continue;
            }
            let folder = Path::new(root).join(&name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Self { folder, limit };
            if group.folder.join(limit).exists()
                && fs::write(group.folder.join("cgroup.procs"), process.to_string()).is_ok()
            {
                return Some(group);
            }
        }
        None
    }

    fn limit_to(&self, bytes: &str) {
        fs::write(self.folder.join(self.limit), bytes).expect("it can be limited");
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // Once nothing runs in it.
        for _ in 0..100 {
            if fs::remove_dir(&self.folder).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The node gets less memory than it has, and whatever then ends it, another goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_has_no_memory_left() {
    let fault = async |stage: &mut Stage, _: &mut Rng| {
        let node = &mut stage.nodes[1];
        let group = ControlGroup::of(node.pid());
        match &group {
            // Only what it takes from now on counts; the system ends a process that wants more.
            Some(group) => group.limit_to("262144"),
            None => limit(node.pid(), "as", "67108864"),
        }
        sleep(OUTAGE).await;
        if node.is_running() {
            node.kill().await;
        }
        drop(group);
        node.start_again().await;
    };
    let stage = Stage::on_footing(DataFolder::new(), Default::default()).await;
    stage.endure(0x3e3, fault).await;
}

/// A clock that can be set, of whatever is started with [`Clock::environment`].
struct Clock {
    folder: TempDir,
}

impl Clock {
    fn new() -> Self {
        let folder = TempDir::with_prefix("imd-clock-").expect("a folder");
        // The account of PostgreSQL reads it, too.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let clock = Self { folder };
        clock.set("+0");
        clock
    }

    /// Sets it so far before or behind the right time: `+3600` is an hour before it.
    fn set(&self, offset: &str) {
        let draft = self.folder.path().join("draft");
        fs::write(&draft, format!("{offset}\n")).expect("a file");
        fs::rename(draft, self.folder.path().join("offset")).expect("our folder");
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
        vec![
            ("LD_PRELOAD", path(faketime::library())),
            ("FAKETIME_TIMESTAMP_FILE", path(self.folder.path().join("offset"))),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // What measures how much time passes stays right, as it does on real machines.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// PostgreSQL's programs, of which the server has this clock.
    fn programs(&self) -> PathBuf {
        let output = Command::new("pg_config").arg("--bindir").output().ok();
        let listed = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().into());
        let system = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        let system = system.filter_map(Result::ok).map(|entry| entry.path().join("bin"));
        let named = std::env::var_os("IMD_PG_BIN").map(PathBuf::from);
        let folders = named.into_iter().chain(listed).chain(system);
        let bin = folders.into_iter().find(|bin: &PathBuf| bin.join("initdb").is_file());
        let bin = bin.expect("PostgreSQL is installed");
        let programs = self.folder.path().join("bin");
        fs::create_dir(&programs).expect("a folder");
        for program in fs::read_dir(&bin).expect("a folder").filter_map(Result::ok) {
            if program.file_name() != "postgres" {
                let link = programs.join(program.file_name());
                std::os::unix::fs::symlink(program.path(), link).expect("a link");
            }
        }
        let variables = self.environment();
        let variables = variables.iter().map(|(name, value)| format!("{name}='{value}' "));
        let server = bin.join("postgres");
        let script = format!(
            "#!/bin/sh\n{}exec '{}' \"$@\"\n",
            variables.collect::<String>(),
            server.display()
        );
        let postgres = programs.join("postgres");
        fs::write(&postgres, script).expect("a file");
        fs::set_permissions(postgres, fs::Permissions::from_mode(0o755)).expect("it is ours");
        programs
    }
}

/// An hour before, back, an hour behind, and back.
const JUMPS: [&str; 4] = ["+3600", "+0", "-3600", "+0"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_of_a_node_jumps() {
    let clock = Clock::new();
    let footing = Footing { environment: clock.environment(), ..Footing::default() };
    let stage = Stage::on_footing(DataFolder::new(), [Footing::default(), footing]).await;
    let fault = async |_: &mut Stage, _: &mut Rng| {
        for jump in JUMPS {
            clock.set(jump);
            sleep(OUTAGE).await;
        }
    };
    stage.endure(0xc10c, fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_of_the_database_jumps() {
    let clock = Clock::new();
    let programs = clock.programs().to_str().expect("UTF-8").to_owned();
    let footing = Footing { environment: vec![("IMD_PG_BIN", programs)], ..Footing::default() };
    let stage = Stage::on_footing(DataFolder::new(), [footing, Footing::default()]).await;
    let fault = async |_: &mut Stage, _: &mut Rng| {
        for jump in JUMPS {
            clock.set(jump);
            sleep(OUTAGE).await;
        }
    };
    stage.endure(0xc10d, fault).await;
}
