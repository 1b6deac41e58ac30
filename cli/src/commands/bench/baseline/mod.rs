//! What PostgreSQL does alone with the rows that imd writes: no latency can be below it and no rate above
//! it, on this machine and this database.
//!
//! The server lends what is measured ([`imd::store::Baseline`]): batches and fan-outs run through the same
//! functions as those of a node, so that they cannot come to differ. Everything happens in a schema of its
//! own, which has the tables of imd and goes when it is over. The batches are as many and as large as those
//! that imd's lanes made under the load, with as many messages under way: what is measured is what imd could
//! at most do if everything but PostgreSQL cost nothing.

mod batched;
mod one_by_one;

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{FutureExt as _, future::try_join_all};
use imd::store::BASELINE_SCHEMA;
use tokio_postgres::{Client, Config, NoTls};

use self::one_by_one::Single;
use super::{args::LoadArgs, measure::per_second, metrics::Shape, traffic::Traffic};
use crate::error::Error;

/// How long each measurement runs in, before it counts.
const RUN_IN: Duration = Duration::from_millis(500);

/// Connections of the one-by-one measurement.
const SINGLES: usize = 4;

/// What PostgreSQL did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    /// Before the load and after it; none in a load with groups, whose messages are other rows.
    pub(super) singles: Option<(Singles, Singles)>,
    pub(super) batched: Batched,
}

/// With a transaction for each message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Singles {
    /// Messages a second, over several connections.
    pub(super) rate: f64,
    /// The median time of one transaction with nothing beside it.
    pub(super) commit: Option<Duration>,
}

/// With the batches that imd made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batched {
    pub(super) shape: Shape,
    /// Messages a second that stand in the timelines of all whom they are for.
    pub(super) rate: f64,
    /// References a second that members of groups got.
    pub(super) references: f64,
}

/// The schema, ready to be measured on.
pub(super) struct Baseline {
    lent: imd::store::Baseline,
    config: Config,
    body: Bytes,
    stage: Duration,
    /// How many messages are under way at a time.
    outstanding: usize,
}

/// Counts what is done from `start` to `end`.
#[derive(Debug, Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
}

impl Window {
    fn from_now(length: Duration) -> Self {
        let start = Instant::now() + RUN_IN;
        Self { start, end: start + length }
    }

    fn is_over(self) -> bool {
        Instant::now() >= self.end
    }

    fn is_open(self) -> bool {
        (self.start..self.end).contains(&Instant::now())
    }
}

impl Baseline {
    /// Makes the schema, with a timeline and a session for each user, and the groups.
    pub(super) async fn prepare(url: &str, args: &LoadArgs) -> Result<Self, Error> {
        // The parser's own words could quote the password.
        let config: Config =
            url.parse().map_err(|_| Error::Usage("--database: not a PostgreSQL URL".to_owned()))?;
        let members = args.groups().members;
        let lent = imd::store::Baseline::prepare(url, args.users as usize, &members).await;
        Ok(Self {
            lent: lent.map_err(refused)?,
            config,
            body: vec![b'.'; args.body_size as usize].into(),
            stage: (args.duration / 2).clamp(Duration::from_secs(1), Duration::from_secs(5)),
            outstanding: args.outstanding() as usize,
        })
    }

    /// Measures a transaction for each message, for some seconds. With `commits`, the time of a single
    /// one too.
    pub(super) async fn singles(
        &self,
        mut traffic: Traffic,
        commits: bool,
    ) -> Result<Singles, Error> {
        let rate = self.one_by_one(&mut traffic).await.map_err(failed)?;
        let commit =
            if commits { Some(self.commit(&mut traffic).await.map_err(failed)?) } else { None };
        Ok(Singles { rate, commit })
    }

    /// Measures batches of this shape, for some seconds.
    pub(super) async fn batched(&self, traffic: Traffic, shape: Shape) -> Result<Batched, Error> {
        self.in_batches(traffic, shape).await.map_err(refused)
    }

    /// Drops the schema.
    pub(super) async fn remove(self) -> Result<(), Error> {
        self.lent.remove().await.map_err(refused)
    }

    async fn one_by_one(&self, traffic: &mut Traffic) -> Result<f64, tokio_postgres::Error> {
        let singles = try_join_all((0..SINGLES).map(|_| Single::open(&self.config))).await?;
        let window = Window::from_now(self.stage);
        let workers = singles.iter().map(|single| {
            let mut traffic = traffic.fork();
            async move {
                let mut count = 0;
                while !window.is_over() {
                    single.append(traffic.pair(), &self.body).await?;
                    count += u64::from(window.is_open());
                }
                Ok::<u64, tokio_postgres::Error>(count)
            }
        });
        let counts = try_join_all(workers).await?;
        Ok(per_second(counts.iter().sum(), self.stage))
    }

    async fn commit(&self, traffic: &mut Traffic) -> Result<Duration, tokio_postgres::Error> {
        let single = Single::open(&self.config).await?;
        let window = Window::from_now(self.stage);
        let mut latencies = super::measure::Latencies::new();
        while !window.is_over() {
            let begun = Instant::now();
            single.append(traffic.pair(), &self.body).await?;
            if window.is_open() {
                latencies.record(begun.elapsed());
            }
        }
        Ok(latencies.quantile(0.5))
    }
}

/// A connection whose tables are those of the schema.
async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let mut config = config.clone();
    let given = config.get_options().unwrap_or_default();
    config.options(format!("{given} -c search_path={BASELINE_SCHEMA}"));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection.map(drop));
    Ok(client)
}

/// The user's place in the tables.
fn user_no(user: usize) -> i64 {
    i64::try_from(user).unwrap_or(i64::MAX - 1) + 1
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: tokio_postgres::Error) -> Error {
    let cause = error.as_db_error().map(ToString::to_string);
    Error::Bench(format!("--baseline: {}", cause.unwrap_or_else(|| error.to_string())))
}

/// The last of the causes says it.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(error: imd::model::Error) -> Error {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Error::Bench(format!("--baseline: {cause}"))
}
