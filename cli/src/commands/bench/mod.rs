//! `imctl bench`: loads a cluster, measures it, and checks that no message was lost, doubled,
//! reordered or invented on the way.

mod args;
mod database;
mod fleet;
mod floor;
mod idle;
mod ledger;
mod load;
mod measure;
mod metrics;
mod pacer;
mod pairs;
mod plot;
mod report;
mod roaming;

use std::{io::Write as _, path::Path, time::Duration};

use secrecy::ExposeSecret as _;
use serde::Serialize;

pub(crate) use self::args::BenchArgs;
use self::{
    args::{LoadArgs, What},
    fleet::Fleet,
    floor::{Figures, Floor},
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
    let plot = args.plot.as_deref().map(Destination::open).transpose()?;
    let json = Sink::open(args.json.as_deref())?;
    let floor = match &args.floor {
        Some(url) => Some(Floor::prepare(url.expose_secret(), args).await?),
        None => None,
    };
    let measured = measure(args, admin, patience, floor.as_ref()).await;
    if let Some(floor) = floor {
        floor.remove().await?;
    }
    let (results, report) = measured?;
    if let Some(file) = plot {
        plot::draw(file, &results)?;
    }
    json.publish(&report)?;
    verdict(&report)
}

async fn measure(
    args: &LoadArgs,
    admin: &Admin,
    patience: Duration,
    floor: Option<&Floor>,
) -> Result<(Results, Report), Error> {
    let connections = args.target.connections(usize::from(args.connections), &admin.trust)?;
    let measured = async |fleet: &Fleet| {
        let load = async || Load::start(args, fleet, patience).await?.run().await;
        match floor {
            Some(floor) => {
                let (outcome, figures) = between(floor, args, admin, load).await?;
                Ok((outcome, Some(figures)))
            }
            None => Ok((load().await?, None)),
        }
    };
    let (outcome, figures) =
        Fleet::with(args.cast(), &connections, args.keep, admin, measured).await?;
    let bar = progress::spinner("checking what each terminal saw");
    let violations = outcome.history.check();
    bar.finish_and_clear();
    let report =
        Report::new(args.settings(), &outcome.results, outcome.counts, &violations, figures);
    Ok((outcome.results, report))
}

/// Runs `load` and measures PostgreSQL alone before and after it. Only then are the batches known.
async fn between<T>(
    floor: &Floor,
    args: &LoadArgs,
    admin: &Admin,
    load: impl AsyncFnOnce() -> Result<T, Error>,
) -> Result<(T, Figures), Error> {
    // The median of a single commit is only comparable with a single message under way.
    let commits = args.rate.is_none() && args.outstanding() == 1;
    let singles = async || {
        let bar = progress::spinner("measuring PostgreSQL alone");
        let singles = floor.singles(args.pairs(), commits).await;
        bar.finish_and_clear();
        singles
    };
    let before = singles().await?;
    let earlier = Metrics::read(admin).await?.batches()?;
    let outcome = load().await?;
    let shape = Metrics::read(admin).await?.batches()?.shape_since(earlier);
    let batched = floor.batched(args.pairs(), shape).await?;
    let after = singles().await?;
    Ok((outcome, Figures { before, after, batched }))
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
