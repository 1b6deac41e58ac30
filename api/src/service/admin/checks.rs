//! What an operator should know, or mend, before it matters: how the answering node and its database are set up, and
//! how they do.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::statvfs,
    process::{Resource, getrlimit},
};
use time::OffsetDateTime;

use super::Admin;
use crate::{
    model::{Result, Role, WebhookState},
    store::{Job, Node, Replication, ServerState, Webhook},
};

/// By how much clocks may differ. imd goes by the database's, but what its node writes to the log does not.
const CLOCKS_APART: time::Duration = time::Duration::seconds(2);

/// How long a transaction may be open before it keeps PostgreSQL from cleaning up.
const LONG_TRANSACTION: Duration = Duration::from_mins(10);

/// How many transactions may be unfrozen; PostgreSQL warns from 2,107,483,648 on, and stops at 3,000,000 before 2³¹.
const MOST_UNFROZEN: i64 = 1_000_000_000;

/// How much of the log a standby may be behind, in bytes.
const MOST_LAG: i64 = 64 * 1024 * 1024;

/// How many files a node needs for some thousand terminals.
const FEW_FILES: u64 = 10_000;

/// How much of a disk should be free: a tenth, and in any case so many bytes.
const LITTLE_SPACE: u64 = 1024 * 1024 * 1024;

/// How long before its end a certificate is to be renewed.
const RENEWED: time::Duration = time::Duration::days(14);

/// What a node is asked about that is its own.
#[derive(Debug)]
pub struct CheckSettings {
    /// The folder of the admin key and, if there is one, of the embedded database.
    pub data_folder: PathBuf,
    /// The files of the certificates that the listeners show, each with the setting that names it.
    pub certificates: Vec<(&'static str, PathBuf)>,
    /// The settings of the node as a settings file, secrets masked.
    pub settings: String,
    /// Reads when the certificate in such a file ends.
    pub expiry: fn(&Path) -> anyhow::Result<OffsetDateTime>,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    /// It is as it should be.
    Ok,
    /// It works, and should be looked at.
    Warning,
    /// Acknowledged messages may be lost, or the service is about to stop, or part of it has.
    Failure,
}

/// One thing that was looked at.
#[derive(Debug)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What came of it.
    pub result: CheckResult,
    /// What was found.
    pub found: String,
    /// What to do; empty where all is well.
    pub advice: &'static str,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, result: CheckResult::Ok, found: found.into(), advice: "" }
    }

    fn warning(name: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self { name, result: CheckResult::Warning, found: found.into(), advice }
    }

    fn failure(name: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self { name, result: CheckResult::Failure, found: found.into(), advice }
    }
}

impl Admin<'_> {
    /// Looks at the answering node and its database. Where the database does not answer, that is what is found.
    pub async fn checks(&self) -> Result<Vec<Check>> {
        self.require(Role::Viewer)?;
        let now = OffsetDateTime::now_utc();
        let mut checks = self.database_checks().await.unwrap_or_else(|error| {
            let advice = "see that it runs, and that this node reaches it";
            vec![Check::failure("database", error.to_string(), advice)]
        });
        checks.push(tasks(self.service.delivery.check()));
        checks.push(open_files());
        let CheckSettings { data_folder, certificates, expiry, .. } = &self.service.checks;
        checks.push(disk(data_folder));
        checks.extend(
            certificates.iter().map(|(setting, file)| certificate(setting, expiry(file), now)),
        );
        Ok(checks)
    }

    async fn database_checks(&self) -> Result<Vec<Check>> {
        let store = &self.service.store;
        let mut checks = Vec::new();
        let asked = OffsetDateTime::now_utc();
        let server = store.server_state().await?;
        let answered = OffsetDateTime::now_utc();
        checks.push(Check::ok("database", format!("PostgreSQL {}", server.version)));
        checks.push(durability(&server));
        checks.push(replication(&store.replication().await?));
        checks.extend(archive(&server));
        checks.push(clocks(server.now - (asked + (answered - asked) / 2)));
        checks.push(connections(&server));
        checks.push(upkeep(&server));
        checks.push(nodes(&store.nodes().await?));
        checks.push(jobs(&store.jobs().await?));
        checks.push(webhooks(&store.webhooks().await?));
        Ok(checks)
    }
}

fn durability(server: &ServerState) -> Check {
    const NAME: &str = "durability";
    let commits = server.synchronous_commit.as_str();
    let settings = format!(
        "fsync {}, full_page_writes {}, synchronous_commit {commits}",
        on_or_off(server.fsync),
        on_or_off(server.full_page_writes)
    );
    let is_safe = server.fsync && server.full_page_writes && commits != "off";
    if is_safe {
        Check::ok(NAME, settings)
    } else {
        let advice = "turn it on: until then a crash of the server may lose acknowledged messages";
        Check::failure(NAME, settings, advice)
    }
}

/// Whether what is acknowledged survives the loss of the database's server.
fn replication(replication: &Replication) -> Check {
    const NAME: &str = "replication";
    let standbys = &replication.standbys;
    let waited_for = standbys.iter().filter(|standby| standby.synchronous == Some(true)).count();
    let behind = standbys.iter().filter_map(|standby| standby.lag_bytes).max().unwrap_or_default();
    let found = if standbys.iter().all(|standby| standby.synchronous.is_some()) {
        format!("{} follow, {waited_for} of them synchronously", standbys.len())
    } else {
        format!("{} follow; how, is shown to a role with pg_monitor", standbys.len())
    };
    match (replication.synchronous, standbys.len()) {
        (false, 0) => Check::warning(
            NAME,
            "no standby: what is acknowledged is on one server alone",
            "have a synchronous standby, or backups with archived WAL: docs/operations/high-availability.md",
        ),
        (false, _) => Check::failure(
            NAME,
            format!("{found}: a failover loses what the standbys do not have yet"),
            "set synchronous_standby_names (with Patroni: synchronous_mode): acknowledged messages are not safe against failover until then",
        ),
        (true, 0) => Check::failure(
            NAME,
            "commits wait for a standby, and there is none",
            "bring a standby back: nothing is acknowledged until then",
        ),
        (true, _) if behind > MOST_LAG => Check::warning(
            NAME,
            format!("{found}; one is {behind} bytes behind"),
            "see why the standby is slow: a failover to it takes as long as it needs to catch up",
        ),
        (true, _) => Check::ok(NAME, found),
    }
}

fn archive(server: &ServerState) -> Option<Check> {
    const NAME: &str = "archive";
    let failures = server.archive_failures?;
    (failures > 0).then(|| {
        Check::failure(
            NAME,
            format!("{failures} WAL files could not be archived"),
            "see the log of PostgreSQL: backups cannot be restored to a time after the last one, and the disk fills",
        )
    })
}

fn clocks(ahead: time::Duration) -> Check {
    const NAME: &str = "clock";
    let found = format!("the database's is {:+.1} s from this node's", ahead.as_seconds_f64());
    if ahead.abs() <= CLOCKS_APART {
        Check::ok(NAME, found)
    } else {
        let advice = "run NTP on both: imd goes by the database's clock, so messages and tokens have its time";
        Check::warning(NAME, found, advice)
    }
}

fn connections(server: &ServerState) -> Check {
    const NAME: &str = "connections";
    let ServerState { connections, max_connections, .. } = server;
    let found = format!("{connections} of {max_connections}");
    if connections * 10 > max_connections * 9 {
        let advice = "raise max_connections, or lower database.pool_size";
        Check::warning(NAME, found, advice)
    } else {
        Check::ok(NAME, found)
    }
}

fn upkeep(server: &ServerState) -> Check {
    const NAME: &str = "upkeep";
    if !server.autovacuum {
        let advice = "turn autovacuum on: without it tables grow, and PostgreSQL stops in the end";
        return Check::failure(NAME, "autovacuum is off", advice);
    }
    if server.transactions_unfrozen > MOST_UNFROZEN {
        let found = format!("the oldest row is {} transactions old", server.transactions_unfrozen);
        let advice = "run VACUUM FREEZE, and see what keeps autovacuum from it: at 2 billion PostgreSQL stops";
        return Check::failure(NAME, found, advice);
    }
    if server.longest_transaction > LONG_TRANSACTION {
        let minutes = server.longest_transaction.as_secs() / 60;
        let found = format!("a transaction has been open for {minutes} minutes");
        let advice = "end it (pg_stat_activity): nothing that was deleted since is cleaned up";
        return Check::warning(NAME, found, advice);
    }
    Check::ok(NAME, "autovacuum is on")
}

fn nodes(nodes: &[Node]) -> Check {
    const NAME: &str = "nodes";
    let alive: Vec<_> = nodes.iter().filter(|node| node.alive).collect();
    let found = format!("{} of {} run", alive.len(), nodes.len());
    if alive.len() < nodes.len() {
        let advice = "see `imctl status`: a node that was lost is forgotten after a while";
        return Check::warning(NAME, found, advice);
    }
    if alive.iter().any(|node| node.version != alive[0].version) {
        let advice = "finish the upgrade: nodes of two versions are meant for its duration alone";
        return Check::warning(NAME, format!("{found}, not all of one version"), advice);
    }
    Check::ok(NAME, found)
}

fn jobs(jobs: &[Job]) -> Check {
    const NAME: &str = "jobs";
    match jobs.iter().filter(|job| job.failures > 0).max_by_key(|job| job.failures) {
        None => Check::ok(NAME, "none fails"),
        Some(job) => Check::warning(
            NAME,
            format!("{} has failed {} times: {}", job.name, job.failures, job.error),
            "mend what it says; `imctl jobs retry` runs it at once",
        ),
    }
}

fn webhooks(webhooks: &[Webhook]) -> Check {
    const NAME: &str = "webhooks";
    let failing = webhooks
        .iter()
        .filter(|webhook| webhook.state == WebhookState::Dead || webhook.failures > 0);
    match failing.max_by_key(|webhook| webhook.waiting) {
        None => Check::ok(NAME, format!("{} are told", webhooks.len())),
        Some(webhook) => Check::warning(
            NAME,
            format!("{}: {}, {} events wait", webhook.url, webhook.error, webhook.waiting),
            "mend the server; `imctl webhooks resume` goes on where one was given up",
        ),
    }
}

fn tasks(health: Result<()>) -> Check {
    const NAME: &str = "tasks";
    match health {
        Ok(()) => Check::ok(NAME, "all work"),
        Err(error) => {
            let advice = "see the log: the node restarts what has failed, or leaves the cluster";
            Check::failure(NAME, error.to_string(), advice)
        }
    }
}

fn open_files() -> Check {
    const NAME: &str = "open files";
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < FEW_FILES => Check::warning(
            NAME,
            format!("at most {limit}"),
            "raise it (LimitNOFILE, ulimit -n): each terminal that is online takes one",
        ),
        Some(limit) => Check::ok(NAME, format!("at most {limit}")),
        None => Check::ok(NAME, "any number"),
    }
}

fn disk(folder: &Path) -> Check {
    const NAME: &str = "disk";
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let state = match statvfs(&folder) {
        Ok(state) => state,
        Err(error) => {
            let advice = "make the data folder one that imd may read";
            return Check::warning(NAME, format!("{}: {error}", folder.display()), advice);
        }
    };
    let free = state.f_bavail.saturating_mul(state.f_frsize);
    let all = state.f_blocks.saturating_mul(state.f_frsize);
    let found = format!("{} MiB of {} MiB free", free >> 20, all >> 20);
    if free < LITTLE_SPACE || free < all / 10 {
        let advice =
            "make room on the disk of the data folder: a database without any takes no messages";
        Check::warning(NAME, found, advice)
    } else {
        Check::ok(NAME, found)
    }
}

/// How long a certificate holds.
fn certificate(
    setting: &'static str,
    end: anyhow::Result<OffsetDateTime>,
    now: OffsetDateTime,
) -> Check {
    const ADVICE: &str = "renew it, and send imd a SIGHUP";
    let end = match end {
        Ok(end) => end,
        Err(error) => return Check::failure(setting, format!("{error:#}"), ADVICE),
    };
    let found = format!("until {}", end.date());
    if end <= now {
        Check::failure(setting, format!("expired on {}", end.date()), ADVICE)
    } else if end - now < RENEWED {
        Check::warning(setting, found, ADVICE)
    } else {
        Check::ok(setting, found)
    }
}

fn on_or_off(setting: bool) -> &'static str {
    if setting { "on" } else { "off" }
}
