//! The pool's connections, each lent to one method of the store. Here every exchange gets its deadline,
//! a transaction that met another is run again, and a connection is not handed on while the server is
//! busy with what its last borrower has given up.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool::managed::{self, Metrics, Object, PoolError, RecycleError, RecycleResult};
use futures::{FutureExt, try_join};
use metrics::{counter, gauge};
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};
use tokio_postgres::{Row, ToStatement, error::SqlState, types::ToSql};

use super::{
    Store,
    connection::{ConnectError, Connector, Driver, FORGET_PLANS, Link, PLANS_FOR, generation},
    fault,
};
use crate::{
    model::{Error, Result},
    telemetry::{self, call},
};

/// How long a method of the store waits for a connection: for one that is free and, while the database
/// fails over, for one that can be opened.
const WAIT: Duration = Duration::from_secs(5);

/// How long the server may take for one statement and its answer. Behind `statement_timeout`: a server
/// that runs keeps that, one that hangs keeps nothing.
const ANSWER: Duration = Duration::from_secs(12);

/// How long the server may take when it keeps silent on other connections, too: then it hangs.
const HANGS: Duration = Duration::from_secs(3);

/// How long statements may take that count much.
const PATIENCE: Duration = Duration::from_mins(5);

/// A connection that has been unused for this long is asked whether it is still good.
const UNUSED: Duration = Duration::from_secs(1);

/// How long that may take.
const STILL_GOOD: Duration = Duration::from_secs(1);

/// How long the server may go on with a statement whose caller has gone.
const ABANDONED: Duration = Duration::from_millis(250);

/// For how long a transaction is begun again after a failure that passes.
const RETRY_FOR: Duration = Duration::from_secs(5);

/// The first pause before another try; it doubles with each, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

type Sql<T> = Result<T, tokio_postgres::Error>;
type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

pub(super) type Pool = managed::Pool<Manager>;

/// How much of a slow statement is logged, in characters.
const LOGGED: usize = 300;

/// A prepared statement, with its text for the log.
#[derive(Clone)]
pub(super) struct Statement {
    prepared: tokio_postgres::Statement,
    text: Arc<str>,
}

/// What can be run: a statement that was prepared, or its text.
pub(super) trait Run {
    type Statement: ToStatement + ?Sized + Sync;

    fn statement(&self) -> &Self::Statement;

    /// Without values: those are parameters.
    fn text(&self) -> &str;
}

impl Run for Statement {
    type Statement = tokio_postgres::Statement;

    fn statement(&self) -> &tokio_postgres::Statement {
        &self.prepared
    }

    fn text(&self) -> &str {
        &self.text
    }
}

impl Run for str {
    type Statement = str;

    fn statement(&self) -> &str {
        self
    }

    fn text(&self) -> &str {
        self
    }
}

impl Run for String {
    type Statement = str;

    fn statement(&self) -> &str {
        self
    }

    fn text(&self) -> &str {
        self
    }
}

/// Logs a statement that took long.
fn note_duration(text: &str, took: Duration) {
    if !call::is_slow(took) {
        return;
    }
    let words: Vec<_> = text.split_whitespace().collect();
    let statement: String = words.join(" ").chars().take(LOGGED).collect();
    let request_id = call::request_id();
    tracing::warn!(
        target: "imd::slow",
        statement,
        took_ms = call::millis(took),
        request_id = request_id.as_ref().map(call::RequestId::as_str),
        "a slow statement"
    );
}

/// Opens and keeps connections for the pool.
pub(super) struct Manager(pub(super) Arc<Connector>);

/// A connection with the statements that are prepared on it.
pub(super) struct Pooled {
    link: Link,
    statements: Statements,
    /// When the oldest of its plans may have been made.
    planned_at: Instant,
}

/// By text.
type Statements = Mutex<HashMap<String, Statement>>;

impl managed::Manager for Manager {
    type Type = Pooled;
    type Error = ConnectError;

    async fn create(&self) -> Result<Pooled, ConnectError> {
        let link = self.0.open(&[]).await?;
        Ok(Pooled { link, statements: Statements::default(), planned_at: Instant::now() })
    }

    async fn recycle(&self, pooled: &mut Pooled, metrics: &Metrics) -> RecycleResult<ConnectError> {
        let Pooled { link, planned_at, .. } = pooled;
        if !self.0.trusts(link) {
            return Err(RecycleError::message("closed"));
        }
        let forgets = planned_at.elapsed() > PLANS_FOR;
        if forgets || metrics.last_used() > UNUSED {
            let ask = if forgets { FORGET_PLANS } else { "" };
            let answer = link.driver.within(STILL_GOOD, link.client.simple_query(ask)).await;
            answer.map_err(|error| {
                // The others that lie unused lead to the same server.
                self.0.suspect();
                self.0.note_silence();
                RecycleError::message(error.to_string())
            })?;
        }
        if forgets {
            *planned_at = Instant::now();
        }
        Ok(())
    }
}

/// A connection of the pool, lent to one method.
pub(super) struct Client {
    /// None once dropped.
    pooled: Option<Object<Manager>>,
    connector: Arc<Connector>,
    watch: Watch,
}

/// What is known of the exchanges of one borrower.
struct Watch {
    /// How long each may take.
    answer: Duration,
    /// How many wait for an answer; when the borrower has gone, how many nobody waits for.
    waiting: AtomicUsize,
    /// Whether the transaction that failed can be run again as a whole.
    again: AtomicBool,
}

/// A transaction; rolled back unless it is committed.
pub(super) struct Transaction<'a> {
    inner: tokio_postgres::Transaction<'a>,
    statements: &'a Statements,
    exchange: Exchange<'a>,
}

/// How a borrower talks to the server.
#[derive(Clone, Copy)]
struct Exchange<'a> {
    driver: &'a Driver,
    connector: &'a Connector,
    watch: &'a Watch,
}

impl Exchange<'_> {
    /// Waits for an answer, but not for ever.
    async fn answer<T>(self, exchange: impl Future<Output = Sql<T>>) -> Sql<T> {
        let Self { driver, connector, watch } = self;
        watch.waiting.fetch_add(1, Ordering::Relaxed);
        let answer = driver.unless(self.given_up(), exchange).await;
        watch.waiting.fetch_sub(1, Ordering::Relaxed);
        if driver.is_broken() {
            connector.suspect();
        }
        let Err(error) = &answer else { return answer };
        if let Some(code) = error.code() {
            connector.note(code);
        }
        let lost = fault::is_lost(error);
        if lost {
            driver.cut();
        }
        if error.code().is_some_and(fault::leaves_server) {
            connector.suspect();
        }
        if lost || error.code().is_some_and(fault::is_conflict) {
            watch.again.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// As [`Exchange::answer`]; logs the statement when it is slow.
    fn timed<T>(
        self,
        text: &str,
        exchange: impl Future<Output = Sql<T>>,
    ) -> impl Future<Output = Sql<T>> {
        let began = Instant::now();
        // No `async fn`, which would keep the room for the exchange twice.
        self.answer(exchange).inspect(move |_| note_duration(text, began.elapsed()))
    }

    /// Waits until the answer to an exchange that begins now has been waited for long enough: for all
    /// the time that it has, or until the server turns out to hang. What counts much has its time.
    async fn given_up(self) {
        let Self { connector, watch, .. } = self;
        let begun = Instant::now();
        if watch.answer > ANSWER {
            return sleep(watch.answer).await;
        }
        sleep(HANGS).await;
        let _ = timeout(ANSWER.saturating_sub(HANGS), connector.silent_since(begun)).await;
    }
}

/// The exchanges that a connection and a transaction have in common.
macro_rules! exchanges {
    () => {
        /// Prepares a statement, or finds it prepared.
        pub(super) async fn prepare_cached(&self, sql: &str) -> Sql<Statement> {
            let known = self.statements().lock().get(sql).cloned();
            if let Some(known) = known {
                return Ok(known);
            }
            let prepared = self.exchange().answer(self.inner().prepare(sql)).await?;
            let prepared = Statement { prepared, text: sql.into() };
            self.statements().lock().insert(sql.to_owned(), prepared.clone());
            Ok(prepared)
        }

        pub(super) async fn query<S>(&self, statement: &S, values: Values<'_>) -> Sql<Vec<Row>>
        where
            S: Run + ?Sized,
        {
            let run = || self.inner().query(statement.statement(), values);
            self.answered(statement.text(), run).await
        }

        pub(super) async fn query_opt<S>(
            &self,
            statement: &S,
            values: Values<'_>,
        ) -> Sql<Option<Row>>
        where
            S: Run + ?Sized,
        {
            let run = || self.inner().query_opt(statement.statement(), values);
            self.answered(statement.text(), run).await
        }

        pub(super) async fn query_one<S>(&self, statement: &S, values: Values<'_>) -> Sql<Row>
        where
            S: Run + ?Sized,
        {
            let run = || self.inner().query_one(statement.statement(), values);
            self.answered(statement.text(), run).await
        }

        pub(super) async fn execute<S>(&self, statement: &S, values: Values<'_>) -> Sql<u64>
        where
            S: Run + ?Sized,
        {
            let run = || self.inner().execute(statement.statement(), values);
            self.answered(statement.text(), run).await
        }

        pub(super) async fn batch_execute(&self, statements: &str) -> Sql<()> {
            self.exchange().timed(statements, self.inner().batch_execute(statements)).await
        }
    };
}

impl Client {
    /// Queries with the plan that the statement has whatever the parameters are. Else PostgreSQL, which
    /// believes that a page of unknown size is large, plans it anew each time, for longer than it takes.
    ///
    /// That plan goes by indexes alone: it may have been made while the tables were empty, and stays when they
    /// have grown. Nor is it compiled, which the same belief would have take half a second.
    pub(super) async fn query_as_prepared(
        &self,
        statement: &Statement,
        values: Values<'_>,
    ) -> Result<Vec<Row>> {
        // On one way there and back.
        let ((), rows, ()) = try_join!(
            self.batch_execute(
                "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; SET LOCAL jit = off"
            ),
            self.query(statement, values),
            self.batch_execute("COMMIT"),
        )?;
        Ok(rows)
    }

    exchanges!();

    /// Closes the connection, which is of no use any more.
    pub(super) fn close(self) {
        self.pooled().link.driver.cut();
    }

    /// Whether the transaction that has failed is worth another try.
    pub(super) fn begin_again(&mut self) -> bool {
        *self.watch.again.get_mut()
    }

    /// Begins a transaction. [`transaction`] does, and runs it again where that helps.
    pub(super) async fn transaction(&mut self) -> Sql<Transaction<'_>> {
        let Self { pooled, connector, watch } = self;
        let Pooled { link, statements, .. } = &mut **pooled.as_mut().expect("not dropped");
        let exchange = Exchange { driver: &link.driver, connector, watch };
        let inner = exchange.answer(link.client.transaction()).await?;
        Ok(Transaction { inner, statements, exchange })
    }

    /// One statement is a transaction of its own: where it met another, it is run again.
    async fn answered<T, F>(&self, text: &str, run: impl Fn() -> F) -> Sql<T>
    where
        F: Future<Output = Sql<T>>,
    {
        let mut pauses = Pauses::new();
        loop {
            let answer = self.exchange().timed(text, run()).await;
            let conflict = |code: &SqlState| fault::is_conflict(code);
            match &answer {
                Err(error) if error.code().is_some_and(conflict) => {
                    let Some(pause) = pauses.next() else { return answer };
                    sleep(pause).await;
                }
                _ => return answer,
            }
        }
    }

    /// Notes how the server does, for the day that another one takes over.
    pub(super) async fn note_server(&self) -> Sql<()> {
        let Some(known) = &self.pooled().link.known else { return Ok(()) };
        let statement = self.prepare_cached(generation::NOTE).await?;
        let row = self.query_one(&statement, &[]).await?;
        self.connector.generations.note(known, &row);
        Ok(())
    }

    fn pooled(&self) -> &Pooled {
        self.pooled.as_ref().expect("not dropped")
    }

    fn inner(&self) -> &tokio_postgres::Client {
        &self.pooled().link.client
    }

    fn statements(&self) -> &Statements {
        &self.pooled().statements
    }

    fn exchange(&self) -> Exchange<'_> {
        let driver = &self.pooled().link.driver;
        Exchange { driver, connector: &self.connector, watch: &self.watch }
    }
}

impl Transaction<'_> {
    exchanges!();

    /// The time at which it began, by the database's clock.
    pub(super) async fn now(&self) -> Sql<OffsetDateTime> {
        Ok(self.query_one("SELECT now()", &[]).await?.get(0))
    }

    /// Commits. An error of the connection leaves open whether it has.
    pub(super) async fn commit(self) -> Sql<()> {
        let committed = self.exchange.answer(self.inner.commit()).await;
        if committed.as_ref().is_err_and(fault::is_lost) {
            self.exchange.watch.again.store(false, Ordering::Relaxed);
        }
        committed
    }

    async fn answered<T, F>(&self, text: &str, run: impl Fn() -> F) -> Sql<T>
    where
        F: Future<Output = Sql<T>>,
    {
        self.exchange.timed(text, run()).await
    }

    fn inner(&self) -> &tokio_postgres::Transaction<'_> {
        &self.inner
    }

    fn statements(&self) -> &Statements {
        self.statements
    }

    fn exchange(&self) -> Exchange<'_> {
        self.exchange
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let Some(pooled) = self.pooled.take() else { return };
        if self.watch.answer > ANSWER {
            // It has another `statement_timeout`.
            drop(Object::take(pooled));
        } else if *self.watch.waiting.get_mut() > 0
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(settle(pooled));
        }
    }
}

/// Gives a connection back once the server has finished with what its borrower has given up; has the
/// server give up, too, when that takes long.
async fn settle(pooled: Object<Manager>) {
    let link = &pooled.link;
    let _ = link.driver.within(ABANDONED, link.client.simple_query("")).await;
}

/// The pauses before other tries; they end when there has been time enough.
pub(super) struct Pauses {
    until: Instant,
    next: Duration,
}

impl Pauses {
    pub(super) fn new() -> Self {
        Self { until: Instant::now() + RETRY_FOR, next: FIRST_PAUSE }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = LONGEST_PAUSE.min(pause * 2);
        (Instant::now() + pause < self.until).then_some(pause)
    }
}

impl Store {
    /// Sets the gauges that say how busy the connections are.
    pub fn observe_connections(&self) {
        let status = self.0.pool.status();
        let gauge = |state: &'static str, connections: usize| {
            let connections = u32::try_from(connections).unwrap_or(u32::MAX);
            gauge!(telemetry::DATABASE_CONNECTIONS, "state" => state).set(connections);
        };
        gauge("used", status.size.saturating_sub(status.available));
        gauge("idle", status.available);
        let waiting = u32::try_from(status.waiting).unwrap_or(u32::MAX);
        gauge!(telemetry::DATABASE_WAITING).set(waiting);
    }

    /// A connection of the pool. Waits while all are lent and, for the same time, while the database is
    /// failing over.
    pub(super) async fn client(&self) -> Result<Client> {
        self.lend(ANSWER).await
    }

    /// A connection for statements that count much and take their time, up to five minutes. Nobody
    /// but administrators and what runs in the background asks for them.
    pub(super) async fn patient_client(&self) -> Result<Client> {
        let client = self.lend(ANSWER + PATIENCE).await?;
        let allow = format!("SET statement_timeout = {}", PATIENCE.as_millis());
        client.execute(&allow, &[]).await?;
        Ok(client)
    }

    async fn lend(&self, answer: Duration) -> Result<Client> {
        let mut failed = None;
        let connected = timeout(WAIT, async {
            let mut pauses = Pauses::new();
            loop {
                match self.0.pool.get().await {
                    Err(PoolError::Backend(error)) if error.passes() => {
                        failed = Some(error);
                        sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
                    }
                    result => return result,
                }
            }
        });
        let primary = self.0.connector.leads_to_primary();
        let pooled = match (connected.await, failed) {
            (Ok(Ok(pooled)), _) => {
                if primary {
                    telemetry::note_database_up();
                }
                pooled
            }
            (Ok(Err(PoolError::Backend(error))), _) | (Err(_), Some(error)) => {
                if primary {
                    telemetry::note_database_down(&error);
                }
                return Err(error.into());
            }
            (Ok(Err(error)), _) => return Err(Error::unavailable(error.to_string())),
            (Err(_), None) => {
                counter!(telemetry::DATABASE_TIMEOUTS).increment(1);
                return Err(Error::unavailable("no connection to the database is free"));
            }
        };
        let watch = Watch { answer, waiting: AtomicUsize::default(), again: AtomicBool::default() };
        Ok(Client { pooled: Some(pooled), connector: self.0.connector.clone(), watch })
    }
}

/// Runs a transaction, which its body must commit for it to stand: `transaction!(store, async |tx| …)`.
/// It is run again, as a whole, when it met another one, or when its connection was lost before the
/// commit. (A function that takes a closure cannot promise that its future is `Send`.)
macro_rules! transaction {
    ($store:expr, async |$tx:ident| $body:block) => {{
        let mut pauses = $crate::store::client::Pauses::new();
        loop {
            let mut client = $store.client().await?;
            let result: $crate::model::Result<_> = async {
                let $tx = client.transaction().await?;
                $body
            }
            .await;
            let again = client.begin_again();
            drop(client);
            match pauses.next() {
                Some(pause) if again && result.is_err() => tokio::time::sleep(pause).await,
                _ => break result,
            }
        }
    }};
}

pub(super) use transaction;
