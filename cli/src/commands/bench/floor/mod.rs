//! What PostgreSQL does alone with the rows that imd writes: the floor under any latency, and the
//! ceiling over any rate, of this machine and this database.
//!
//! Everything happens in a schema of its own, which has the tables of imd and goes when it is over. The
//! batches are as many and as large as those that imd's lanes made under the load: what is measured is
//! what imd could at most do if everything but PostgreSQL cost nothing.

mod batched;
mod one_by_one;
mod sql;

use std::time::{Duration, Instant};

use futures::{FutureExt as _, future::try_join_all};
use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

use self::{batched::Lane, one_by_one::Single};
use super::{args::LoadArgs, measure::per_second, metrics::Shape, pairs::Pairs};
use crate::error::Error;

/// The schema. One that an aborted run left behind is replaced.
const SCHEMA: &str = "imd_bench_floor";

/// How long each measurement runs in, before it counts.
const RUN_IN: Duration = Duration::from_millis(500);

/// Connections of the one-by-one measurement.
const SINGLES: usize = 4;

/// What PostgreSQL did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    pub(super) before: Singles,
    pub(super) after: Singles,
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
    /// Messages a second.
    pub(super) rate: f64,
}

/// The schema, ready to be measured on.
pub(super) struct Floor {
    config: Config,
    owner: Client,
    /// By user: the live session that is checked with each message.
    sessions: Vec<Uuid>,
    body: Vec<u8>,
    stage: Duration,
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

impl Floor {
    /// Makes the schema, with a timeline and a session for each user.
    pub(super) async fn prepare(url: &str, args: &LoadArgs) -> Result<Self, Error> {
        // The parser's own words could quote the password.
        let config: Config =
            url.parse().map_err(|_| Error::Usage("--floor: not a PostgreSQL URL".to_owned()))?;
        let owner = open(&config).await.map_err(failed)?;
        if !sql::has_tables(&owner).await.map_err(failed)? {
            return Err(Error::Usage("--floor: imd has no tables in this database".to_owned()));
        }
        let sessions: Vec<Uuid> = (0..args.users).map(|_| Uuid::new_v4()).collect();
        sql::make_tables(&owner, &sessions).await.map_err(failed)?;
        Ok(Self {
            config,
            owner,
            sessions,
            body: vec![b'.'; args.body_size as usize],
            stage: (args.duration / 2).clamp(Duration::from_secs(1), Duration::from_secs(5)),
        })
    }

    /// Measures a transaction for each message, for some seconds. With `commits`, the time of a single
    /// one too.
    pub(super) async fn singles(&self, mut pairs: Pairs, commits: bool) -> Result<Singles, Error> {
        let rate = self.one_by_one(&mut pairs).await.map_err(failed)?;
        let commit =
            if commits { Some(self.commit(&mut pairs).await.map_err(failed)?) } else { None };
        Ok(Singles { rate, commit })
    }

    /// Measures batches of this shape, for some seconds.
    pub(super) async fn batched(&self, mut pairs: Pairs, shape: Shape) -> Result<Batched, Error> {
        let rate = self.in_batches(&mut pairs, shape).await.map_err(failed)?;
        Ok(Batched { shape, rate })
    }

    /// Drops the schema.
    pub(super) async fn remove(self) -> Result<(), Error> {
        self.owner.batch_execute(&sql::drop_schema()).await.map_err(failed)
    }

    async fn one_by_one(&self, pairs: &mut Pairs) -> Result<f64, tokio_postgres::Error> {
        let singles = try_join_all((0..SINGLES).map(|_| Single::open(&self.config))).await?;
        let window = Window::from_now(self.stage);
        let workers = singles.iter().map(|single| {
            let mut pairs = pairs.fork();
            async move {
                let mut count = 0;
                while !window.is_over() {
                    single.append(pairs.next(), &self.body).await?;
                    count += u64::from(window.is_open());
                }
                Ok::<u64, tokio_postgres::Error>(count)
            }
        });
        let counts = try_join_all(workers).await?;
        Ok(per_second(counts.iter().sum(), self.stage))
    }

    async fn in_batches(
        &self,
        pairs: &mut Pairs,
        shape: Shape,
    ) -> Result<f64, tokio_postgres::Error> {
        let lanes = try_join_all((0..shape.lanes).map(|_| Lane::open(&self.config))).await?;
        let window = Window::from_now(self.stage);
        let workers = lanes.iter().enumerate().map(|(number, lane)| {
            let mut pairs = pairs.fork();
            async move {
                let mut count = 0;
                while !window.is_over() {
                    // A sender's messages are all in one lane, so that they keep their order.
                    let mine = std::iter::repeat_with(|| pairs.next())
                        .filter(|(sender, _)| sender % shape.lanes == number);
                    let batch: Vec<_> = mine.take(shape.size).collect();
                    lane.append(&batch, &self.sessions, &self.body).await?;
                    count += u64::from(window.is_open()) * batch.len() as u64;
                }
                Ok::<u64, tokio_postgres::Error>(count)
            }
        });
        let counts = try_join_all(workers).await?;
        Ok(per_second(counts.iter().sum(), self.stage))
    }

    async fn commit(&self, pairs: &mut Pairs) -> Result<Duration, tokio_postgres::Error> {
        let single = Single::open(&self.config).await?;
        let window = Window::from_now(self.stage);
        let mut latencies = super::measure::Latencies::new();
        while !window.is_over() {
            let begun = Instant::now();
            single.append(pairs.next(), &self.body).await?;
            if window.is_open() {
                latencies.record(begun.elapsed());
            }
        }
        Ok(latencies.quantile(0.5))
    }
}

/// A connection whose tables are those of the schema.
async fn connect(config: &Config, settings: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config = config.clone();
    let given = config.get_options().unwrap_or_default();
    config.options(format!("{given} -c search_path={SCHEMA} {settings}"));
    open(&config).await
}

async fn open(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection.map(drop));
    Ok(client)
}

/// The user's place in the tables.
fn user_no(user: usize) -> i64 {
    i64::try_from(user).unwrap_or(i64::MAX) + 1
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: tokio_postgres::Error) -> Error {
    let cause = error.as_db_error().map(ToString::to_string);
    Error::Bench(format!("--floor: {}", cause.unwrap_or_else(|| error.to_string())))
}
