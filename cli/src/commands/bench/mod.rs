//! `imctl bench`: loads a cluster, measures it, and checks that no message was lost, doubled,
//! reordered or invented on the way.

mod args;
mod baseline;
mod cpu;
mod database;
mod fleet;
mod idle;
mod ledger;
mod load;
mod measure;
mod metrics;
mod pacer;
mod plot;
mod report;
mod roaming;
mod traffic;

use std::{io::Write as _, path::Path, time::Duration};

use futures::future::try_join;
use secrecy::ExposeSecret;
use serde::Serialize;

pub(crate) use self::args::BenchArgs;
use self::{
    args::{LoadArgs, Transport, What},
    baseline::{Baseline, Figures},
    cpu::Cpu,
    fleet::Fleet,
    load::Load,
    measure::Results,
    metrics::Metrics,
    report::Report,
};
use crate::{
    args::Connection, client::Admin, destination::Destination, error::Error,
    interrupt::unless_interrupted, output, profile::Profile, progress,
};

/// How many violations are printed.
const VIOLATIONS_SHOWN: usize = 20;

/// Files that are open besides the connections of the terminals.
const OTHER_FILES: u64 = 100;

/// Runs the benchmark.
pub(crate) async fn run(args: BenchArgs, connection: &Connection) -> Result<(), Error> {
    let profile = Profile::load(connection)?;
    let admin = Admin::connect(connection, &profile).await?;
    match args.what {
        Some(What::Idle(mut idle)) => {
            idle.target.resolve(&profile)?;
            idle::run(&idle, &admin).await
        }
        Some(What::Roaming(mut roaming)) => {
            roaming.target.resolve(&profile)?;
            Box::pin(unless_interrupted(roaming::run(&roaming, &admin))).await
        }
        None => {
            let mut args = args.load;
            args.target.resolve(&profile)?;
            load(&args, &admin, connection.timeout).await
        }
    }
}

async fn load(args: &LoadArgs, admin: &Admin, patience: Duration) -> Result<(), Error> {
    args.check()?;
    // REST sends on as many connections beside those of the streams.
    let each = if args.target.transport == Transport::Sse { 2 } else { 1 };
    raise_file_limit(each * u64::from(args.connections()))?;
    let plot = args.plot.as_deref().map(Destination::open).transpose()?;
    let json = Sink::open(args.json.as_deref())?;
    let database = args.database.as_ref().map(ExposeSecret::expose_secret);
    let cpu = Cpu::find(admin, database).await?;
    let baseline = match database {
        Some(url) if args.baseline => Some(Baseline::prepare(url, args).await?),
        _ => None,
    };
    let measured = measure(args, admin, patience, &cpu, baseline.as_ref()).await;
    if let Some(baseline) = baseline {
        baseline.remove().await?;
    }
    let (results, report) = measured?;
    if let Some(file) = plot {
        plot::draw(file, &results.all)?;
    }
    json.publish(&report)?;
    verdict(&report)
}

async fn measure(
    args: &LoadArgs,
    admin: &Admin,
    patience: Duration,
    cpu: &Cpu<'_>,
    baseline: Option<&Baseline>,
) -> Result<(Results, Report), Error> {
    let connections = args.target.connections(args.connections() as usize, &admin.trust)?;
    let measured = async |fleet: &Fleet| {
        let load = async || {
            let load = Load::start(args, fleet, patience).await?;
            let window = load.window();
            try_join(load.run(), cpu.watch(window)).await
        };
        match baseline {
            Some(baseline) => {
                let (measured, figures) = between(baseline, args, admin, load).await?;
                Ok((measured, Some(figures)))
            }
            None => Ok((load().await?, None)),
        }
    };
    let ((outcome, usage), figures) =
        Fleet::with(args.cast(), &connections, args.keep, admin, measured).await?;
    let bar = progress::spinner("checking what each terminal saw");
    let violations = outcome.history.check();
    bar.finish_and_clear();
    let report =
        Report::new(args.settings(), &outcome.results, outcome.counts, usage, &violations, figures);
    Ok((outcome.results, report))
}

/// Runs `load` and measures PostgreSQL alone before and after it. Only then are the batches known.
async fn between<T>(
    baseline: &Baseline,
    args: &LoadArgs,
    admin: &Admin,
    load: impl AsyncFnOnce() -> Result<T, Error>,
) -> Result<(T, Figures), Error> {
    // The median of a single commit is only comparable with a single message under way.
    let commits = args.rate.is_none() && args.outstanding() == 1;
    let singles = async || {
        if args.groups > 0 {
            return Ok(None);
        }
        let bar = progress::spinner("measuring PostgreSQL alone");
        let singles = baseline.singles(args.traffic(), commits).await;
        bar.finish_and_clear();
        singles.map(Some)
    };
    let before = singles().await?;
    let earlier = Metrics::read(admin).await?.batches()?;
    let outcome = load().await?;
    let shape = Metrics::read(admin).await?.batches()?.shape_since(earlier);
    let batched = baseline.batched(args.traffic(), shape).await?;
    let after = singles().await?;
    Ok((outcome, Figures { singles: before.zip(after), batched }))
}

/// Allows this process as many open files as it needs: `connections`, and some others.
fn raise_file_limit(connections: u64) -> Result<(), Error> {
    let needed = connections + OTHER_FILES;
    let allowed = rlimit::increase_nofile_limit(needed).map_err(|cause| {
        Error::Bench(format!("the limit of open files cannot be read: {cause}"))
    })?;
    if allowed < needed {
        let message = format!(
            "{needed} files have to be open at a time and {allowed} may be (ulimit -Hn): fewer --users"
        );
        return Err(Error::Usage(message));
    }
    Ok(())
}

/// Where a report goes. It is opened before the measurement, so that none is lost for a misspelt path.
enum Sink {
    /// As tables, to stdout.
    Tables,
    /// As JSON, to stdout.
    Json,
    /// As tables to stdout, and as JSON to a file.
    File(Destination),
}

impl Sink {
    /// What `--json` asks for; `-` is stdout.
    fn open(json: Option<&Path>) -> Result<Self, Error> {
        match json {
            None => Ok(Self::Tables),
            Some(path) if path.as_os_str() == "-" => Ok(Self::Json),
            Some(path) => Destination::open(path).map(Self::File),
        }
    }

    fn publish(self, report: &(impl Serialize + std::fmt::Display)) -> Result<(), Error> {
        let json = || output::document(report, output::Format::Json);
        match self {
            Self::Tables => output::print(report),
            Self::Json => output::print(json()?),
            Self::File(mut file) => {
                writeln!(file, "{}", json()?).map_err(|cause| file.failure(&cause))?;
                file.finish()?;
                output::print(report)
            }
        }
    }
}

/// A run with a violation is a failure, however fast it was.
fn verdict(report: &Report) -> Result<(), Error> {
    if report.violations.is_empty() {
        return Ok(());
    }
    for violation in report.violations.iter().take(VIOLATIONS_SHOWN) {
        output::note(violation);
    }
    Err(Error::Bench(format!("{} violations", report.violation_count)))
}
