//! `imctl bench roaming`: what it costs to read history, however long it is.

mod args;
mod fill;
mod reader;
mod report;

use std::time::{Duration, Instant};

use imd_proto::v1::{RetentionLimits, SetUserLimitsRequest, set_user_limits_request::Limits};
use secrecy::ExposeSecret as _;

pub(crate) use self::args::RoamingArgs;
use self::{
    fill::Database,
    reader::Reader,
    report::{Figures, Report},
};
use super::{Sink, fleet, progress};
use crate::{client::Admin, error::Error};

/// How often each thing is measured; the medians count.
const ROUNDS: usize = 7;

/// Pages of a listing in one round.
const PAGES: usize = 40;

/// Messages on each.
const PAGE: i32 = 50;

/// How far down the deep pages are.
const DEPTH: usize = 100_000;

/// A user, with a timeline that has so many entries in turn with so many peers.
struct Reading {
    user_id: &'static str,
    entries: i64,
    peers: i64,
}

/// Fills the timelines and reads them.
pub(super) async fn run(args: &RoamingArgs, admin: &Admin) -> Result<(), Error> {
    let json = Sink::open(args.json.as_deref())?;
    let database = Database::connect(args.database.expose_secret()).await?;
    let readings = readings(i64::from(args.entries));
    let connections = args.target.connections(1, &admin.trust)?;
    let users = readings.each_ref().map(|reading| reading.user_id);
    let terminals = fleet::log_in_each(&users, &connections[0], admin).await?;
    fill(&database, &readings).await?;
    let mut readers = Vec::with_capacity(terminals.len());
    for terminal in &terminals {
        readers.push(Reader::new(terminal).await?);
    }
    let bar = progress::spinner("reading");
    let figures = measure(&mut readers, &readings, &database, admin).await?;
    bar.finish_and_clear();
    for terminal in &terminals {
        // Its session ends by itself one day.
        let _ = terminal.logout().await;
    }
    json.publish(&Report::new(args, &figures))
}

fn readings(large: i64) -> [Reading; 4] {
    let listed = large.min(1_000_000);
    [
        Reading { user_id: "bench-small", entries: 10_000, peers: 1 },
        Reading { user_id: "bench-large", entries: large, peers: 1 },
        Reading { user_id: "bench-list-100", entries: listed, peers: 100 },
        Reading { user_id: "bench-list-2000", entries: listed, peers: 2_000 },
    ]
}

async fn fill(database: &Database, readings: &[Reading]) -> Result<(), Error> {
    database.make_peers(readings.iter().map(|reading| reading.peers).max().unwrap_or(1)).await?;
    let entries: i64 = readings.iter().map(|reading| reading.entries).sum();
    let bar = progress::bar("entries", usize::try_from(entries).unwrap_or(usize::MAX));
    for reading in readings {
        let wrote = |entries: i64| bar.inc(entries.unsigned_abs());
        database.fill(reading.user_id, reading.entries, reading.peers, wrote).await?;
    }
    database.settle().await?;
    bar.finish_and_clear();
    Ok(())
}

/// Measures everything in turn, round by round, so that whatever else the machine does meets all alike.
async fn measure(
    readers: &mut [Reader],
    readings: &[Reading],
    database: &Database,
    admin: &Admin,
) -> Result<Figures, Error> {
    let mut figures = Figures::default();
    let [small, large, few, many] = readers else {
        return Err(Error::Bench("not everybody is logged in".to_owned()));
    };
    let depth = DEPTH.min(usize::try_from(readings[1].entries).unwrap_or(DEPTH) / 2);
    let deep = large.descend(depth).await?;
    let rows = database.entries(readings[0].user_id).await?;
    for _ in 0..ROUNDS {
        figures.small.extend(small.history(PAGES, PAGE, String::new()).await?.0);
        figures.large.extend(large.history(PAGES, PAGE, String::new()).await?.0);
        figures.deep.extend(large.history(PAGES, PAGE, deep.clone()).await?.0);
        for (reader, times) in [(&mut *few, &mut figures.few), (&mut *many, &mut figures.many)] {
            times.push(reader.conversations().await?.1);
        }
        figures.select.extend(database.select(readings[0].user_id).await?);
        figures.catch_up.push(small.catch_up(rows).await?);
        for (reader, reading, times) in [
            (&mut *small, &readings[0], &mut figures.hide_small),
            (&mut *large, &readings[1], &mut figures.hide_large),
        ] {
            times.push(hide(reader, reading.user_id, admin).await?);
        }
    }
    Ok(figures)
}

/// Hides everything from a user and shows it again; how long it took until it was hidden.
async fn hide(reader: &mut Reader, user_id: &str, admin: &Admin) -> Result<Duration, Error> {
    let limit = async |max_messages| {
        let limits =
            Limits::Override(RetentionLimits { max_messages, ..RetentionLimits::default() });
        let request = SetUserLimitsRequest { user_id: user_id.to_owned(), limits: Some(limits) };
        let limited = admin.calls.clone().set_user_limits(request).await;
        limited.map(drop).map_err(|status| admin.failure(status))
    };
    let begun = Instant::now();
    limit(Some(0)).await?;
    reader.look().await?;
    let hidden = begun.elapsed();
    limit(None).await?;
    Ok(hidden)
}
