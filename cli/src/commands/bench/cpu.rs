//! How much processor time server, database and load generator take while it is measured.

use std::{
    fs,
    ops::Range,
    time::{Duration, Instant},
};

use cpu_time::ProcessTime;
use tokio::time::sleep_until;

use super::{database, metrics::Metrics};
use crate::{client::Admin, error::Error};

/// The unit of processor time in /proc, whatever the kernel itself counts in.
const TICKS_PER_SECOND: f64 = 100.0;

/// Tells how much processor time was taken.
pub(super) struct Cpu<'a> {
    admin: &'a Admin,
    postgres: Option<Postgres>,
}

/// The processes of the PostgreSQL server, on this machine.
#[derive(Debug, Clone, Copy)]
struct Postgres {
    /// The process that all others are children of.
    postmaster: u32,
}

/// Cores in use, on the average over the window.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// Of the node behind the admin listener.
    pub(super) server: f64,
    /// None when the server of the database runs elsewhere, or is not known.
    pub(super) postgres: Option<f64>,
    /// Of this process.
    pub(super) generator: f64,
}

/// Processor time since the processes started, in seconds.
struct Sample {
    at: Instant,
    server: f64,
    postgres: Option<f64>,
    generator: f64,
}

impl<'a> Cpu<'a> {
    /// Finds the processes. PostgreSQL's are found when imd's database is given and runs on this machine.
    pub(super) async fn find(admin: &'a Admin, database: Option<&str>) -> Result<Self, Error> {
        let postgres = match database {
            Some(url) => Postgres::find(url).await?,
            None => None,
        };
        Ok(Self { admin, postgres })
    }

    /// Watches from the start of the window to its end.
    pub(super) async fn watch(&self, window: Range<Instant>) -> Result<Usage, Error> {
        sleep_until(window.start.into()).await;
        let before = self.sample().await?;
        sleep_until(window.end.into()).await;
        let after = self.sample().await?;
        let seconds = (after.at - before.at).as_secs_f64().max(f64::MIN_POSITIVE);
        Ok(Usage {
            server: (after.server - before.server) / seconds,
            postgres: after
                .postgres
                .zip(before.postgres)
                .map(|(after, before)| (after - before) / seconds),
            generator: (after.generator - before.generator) / seconds,
        })
    }

    async fn sample(&self) -> Result<Sample, Error> {
        Ok(Sample {
            server: Metrics::read(self.admin).await?.cpu_seconds()?,
            at: Instant::now(),
            postgres: self.postgres.and_then(Postgres::seconds),
            generator: ProcessTime::now().as_duration().as_secs_f64(),
        })
    }
}

impl Postgres {
    /// Looks among the processes of this machine for the one that serves a connection opened just now. A
    /// process of that number and name that is older belongs to another server.
    async fn find(url: &str) -> Result<Option<Self>, Error> {
        let begun = Instant::now();
        let client = database::connect(url).await?;
        let row =
            client.query_one("SELECT pg_backend_pid()", &[]).await.map_err(database::failed)?;
        let pid: i32 = row.get(0);
        let backend = u32::try_from(pid).ok().and_then(Process::read);
        let backend = backend.filter(|process| {
            let young = begun.elapsed() + Duration::from_secs(1);
            process.name == "postgres" && process.age().is_some_and(|age| age <= young)
        });
        Ok(backend.map(|process| Self { postmaster: process.parent }))
    }

    /// The time of all its processes, of those that have ended, too. None once it is gone.
    fn seconds(self) -> Option<f64> {
        let postmaster = Process::read(self.postmaster)?;
        let processes = fs::read_dir("/proc").ok()?.filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Process::read(pid).filter(|process| process.parent == self.postmaster)
        });
        let ticks = processes.map(|process| process.ticks).sum::<f64>();
        Some((ticks + postmaster.ticks + postmaster.ticks_of_children) / TICKS_PER_SECOND)
    }
}

/// A process, as /proc tells.
#[derive(Debug, PartialEq)]
struct Process {
    name: String,
    parent: u32,
    ticks: f64,
    /// Of children that have ended.
    ticks_of_children: f64,
    /// When it started, in ticks since the machine did.
    started: f64,
}

impl Process {
    /// None where there is none, or no /proc.
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name may hold anything, parentheses too.
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc(5) counts from 1 and has two fields in front of these.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            name: name.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            ticks: field(14)? + field(15)?,
            ticks_of_children: field(16)? + field(17)?,
            started: field(22)?,
        })
    }

    fn age(&self) -> Option<Duration> {
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
        Duration::try_from_secs_f64((uptime - self.started / TICKS_PER_SECOND).max(0.0)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 250 50 11 22 20 0 1 0 98765 1 1";
        let process = Process::parse(stat).expect("it is well-formed");
        let expected = Process {
            name: "a) b (c".to_owned(),
            parent: 3,
            ticks: 300.0,
            ticks_of_children: 33.0,
            started: 98_765.0,
        };
        assert_eq!(process, expected);
    }

    #[test]
    fn this_process_is_found_and_is_no_older_than_the_machine() {
        let Some(process) = Process::read(std::process::id()) else { return };
        assert!(process.age().is_some());
    }
}
