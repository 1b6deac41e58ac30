//! `imctl bench idle`: what terminals cost that are connected and do nothing.

mod args;
mod database;
mod report;

use std::time::Instant;

use futures::{StreamExt as _, stream::FuturesUnordered};
use imd_client::Event;
use secrecy::ExposeSecret as _;
use tokio::time::sleep;

pub(crate) use self::args::IdleArgs;
use self::{
    database::Database,
    report::{Report, Resting},
};
use super::{
    Sink,
    fleet::{Fleet, Following},
    metrics::Metrics,
    progress, raise_file_limit,
};
use crate::{client::Admin, error::Error};

/// Opens the terminals, lets them rest, and tells what that took.
pub(super) async fn run(args: &IdleArgs, admin: &Admin) -> Result<(), Error> {
    let json = Sink::open(args.json.as_deref())?;
    if args.target.servers.len() > 1 {
        return Err(Error::Usage("the memory of one server is measured: name no other".to_owned()));
    }
    raise_file_limit(u64::from(args.all_terminals()))?;
    let database = match &args.database {
        Some(url) => Some(Database::connect(url.expose_secret()).await?),
        None => None,
    };
    let before = Metrics::read(admin).await?.resident_memory()?;
    let connections = args.target.connections(args.all_terminals() as usize, &admin.trust)?;
    let measured = async |fleet: &Fleet| {
        let begun = Instant::now();
        let following = fleet.follow(args.watch.into()).await?;
        let opening = begun.elapsed();
        let resting = undisturbed(fleet, following, rest(args, admin, database.as_ref())).await?;
        Ok((opening, resting, Metrics::read(admin).await?.resident_memory()?))
    };
    let (opening, resting, after) =
        Fleet::with(args.cast(), &connections, args.keep, admin, measured).await?;
    json.publish(&Report::new(args, opening, before, after, &resting))
}

/// Watches node and database for as long as the rest lasts.
async fn rest(
    args: &IdleArgs,
    admin: &Admin,
    database: Option<&Database>,
) -> Result<Resting, Error> {
    let activity = async || match database {
        Some(database) => database.activity().await.map(Some),
        None => Ok(None),
    };
    let bar = progress::spinner("resting");
    // PostgreSQL's statistics and the server's allocator are still at the opening.
    sleep(args.settle).await;
    let (cpu, before) = (Metrics::read(admin).await?.cpu_seconds()?, activity().await?);
    sleep(args.rest).await;
    let after = activity().await?;
    let cpu = Metrics::read(admin).await?.cpu_seconds()? - cpu;
    bar.finish_and_clear();
    Ok(Resting { time: args.rest, cpu, database: before.zip(after) })
}

/// Waits for `rest` while the terminals listen. To each of them nothing must happen, but that those come whom it watches.
async fn undisturbed<T>(
    fleet: &Fleet,
    following: Vec<Following>,
    rest: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let listen = |(terminal, mut following): (usize, Following)| async move {
        loop {
            match following.timeline.next().await {
                Ok(Event::Presence(_)) => {}
                other => return (terminal, other),
            }
        }
    };
    let mut listening: FuturesUnordered<_> =
        following.into_iter().enumerate().map(listen).collect();
    tokio::select! {
        rested = rest => rested,
        Some((terminal, event)) = listening.next() => {
            Err(Error::Bench(format!("{} was disturbed: {event:?}", fleet.name(terminal))))
        }
    }
}
