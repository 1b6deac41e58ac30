//! `imctl doctor`

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use clap::Args;
use imd_proto::v1::{Check, CheckResult, ListChecksRequest};
use serde::Serialize;

use crate::{
    client::Admin,
    error::Error,
    output::{self, Format, OutputArgs, printable},
};

/// Arguments of `imctl doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
It looks at the node behind --server and at its database: whether what is acknowledged survives a crash and a failover,
clocks, connections, disk, certificates, jobs, webhooks. It ends with 1 when a check has failed; warnings do not count.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Serialize)]
struct CheckView {
    name: String,
    result: &'static str,
    found: String,
    advice: String,
}

/// Prints what was looked at; fails when a check has.
pub(crate) async fn run(args: &DoctorArgs, admin: &mut Admin) -> Result<(), Error> {
    let answer = admin.calls.list_checks(ListChecksRequest {}).await;
    let checks = answer.map_err(|status| admin.failure(status))?.into_inner().checks;
    let failed = checks.iter().filter(|check| check.result() == CheckResult::Failure).count();
    let checks: Vec<CheckView> = checks.into_iter().map(CheckView::from).collect();
    match args.output.output {
        format @ (Format::Json | Format::Yaml) => output::print(output::document(&checks, format)?),
        Format::Table | Format::Wide => output::print(report(&checks)),
    }?;
    match failed {
        0 => Ok(()),
        1 => Err(Error::Doctor("1 check has failed".to_owned())),
        failed => Err(Error::Doctor(format!("{failed} checks have failed"))),
    }
}

/// A line for each check, and one behind it for what to do.
fn report(checks: &[CheckView]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    let mut report = String::new();
    for CheckView { name, result, found, advice } in checks {
        let style = match *result {
            "ok" => AnsiColor::Green.on_default(),
            "failed" => AnsiColor::Red.on_default().bold(),
            "warning" => AnsiColor::Yellow.on_default(),
            _ => Style::new(),
        };
        // Writing to a string does not fail.
        let (name, found) = (printable(name), printable(found));
        let _ = writeln!(report, "{style}{result:<7}{style:#}  {name:<width$}  {found}");
        if !advice.is_empty() {
            let _ = writeln!(report, "{:9}{:width$}  → {}", "", "", printable(advice));
        }
    }
    report.truncate(report.trim_end().len());
    report
}

impl From<Check> for CheckView {
    fn from(check: Check) -> Self {
        let result = match check.result() {
            CheckResult::Ok => "ok",
            CheckResult::Warning => "warning",
            CheckResult::Failure => "failed",
            CheckResult::Unspecified => "unknown",
        };
        Self { name: check.name, result, found: check.found, advice: check.advice }
    }
}
