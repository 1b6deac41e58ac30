//! `imctl bench`: loads a cluster, measures it, and checks that no message was lost, doubled,
//! reordered or invented on the way.

mod args;
mod fleet;
mod floor;
mod ledger;
mod load;
mod measure;
mod pacer;
mod pairs;
mod plot;
mod progress;
mod report;

use std::{fs, time::Duration};

use secrecy::ExposeSecret as _;
use tonic::transport::Uri;

pub(crate) use self::args::BenchArgs;
use self::{
    args::DEFAULT_SERVER, fleet::Fleet, floor::Floor, load::Load, measure::Results, report::Report,
};
use crate::{
    args::Connection,
    client::{Admin, profile_url},
    error::Error,
    output,
    profile::Profile,
};

/// How many violations are printed.
const VIOLATIONS_SHOWN: usize = 20;

/// Runs the benchmark.
pub(crate) async fn run(args: BenchArgs, connection: &Connection) -> Result<(), Error> {
    let profile = Profile::load(connection)?;
    let admin = Admin::connect(connection, &profile).await?;
    let servers = match (args.servers.as_slice(), &profile.public_server) {
        ([], Some(server)) => vec![profile_url(server)?],
        ([], None) => vec![Uri::from_static(DEFAULT_SERVER)],
        (given, _) => given.to_vec(),
    };
    let floor = match &args.floor {
        Some(url) => Some(Floor::prepare(url.expose_secret(), &args).await?),
        None => None,
    };
    let measured = tokio::select! {
        measured = measure(&args, &servers, &admin, connection.timeout, floor.as_ref()) => measured,
        _ = tokio::signal::ctrl_c() => Err(Error::Bench("interrupted".to_owned())),
    };
    if let Some(floor) = floor {
        floor.remove().await?;
    }
    let (results, report) = measured?;
    publish(&args, &results, &report)?;
    verdict(&report)
}

async fn measure(
    args: &BenchArgs,
    servers: &[Uri],
    admin: &Admin,
    patience: Duration,
    floor: Option<&Floor>,
) -> Result<(Results, Report), Error> {
    let fleet = Fleet::muster(args, servers, admin).await?;
    let before = floor_figures(args, floor).await?;
    let outcome = Load::start(args, &fleet, patience).await?.run().await?;
    let after = floor_figures(args, floor).await?;
    fleet.disband().await;
    let bar = progress::spinner("checking what each terminal saw");
    let violations = outcome.history.check();
    bar.finish_and_clear();
    let floor = before.zip(after);
    let report =
        Report::new(args.settings(servers), &outcome.results, outcome.counts, &violations, floor);
    Ok((outcome.results, report))
}

async fn floor_figures(
    args: &BenchArgs,
    floor: Option<&Floor>,
) -> Result<Option<floor::Figures>, Error> {
    let Some(floor) = floor else { return Ok(None) };
    // The median of a single commit is only comparable with a single message under way.
    let commits = args.rate.is_none() && args.outstanding() == 1;
    let bar = progress::spinner("measuring PostgreSQL alone");
    let figures = floor.measure(args.pairs(), commits).await;
    bar.finish_and_clear();
    figures.map(Some)
}

fn publish(args: &BenchArgs, results: &Results, report: &Report) -> Result<(), Error> {
    if let Some(path) = &args.plot {
        plot::draw(path, results)?;
    }
    let Some(path) = &args.json else {
        return output::print(report);
    };
    let json = output::document(report, output::Format::Json)?;
    if path.as_os_str() == "-" {
        return output::print(json);
    }
    fs::write(path, json + "\n")?;
    output::print(report)
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
