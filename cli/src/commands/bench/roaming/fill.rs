//! Timelines of any length, written straight into the database: sending so many messages would take
//! hours.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use tokio::process::Command;
use tokio_postgres::Client;

use crate::{
    commands::bench::database::{connect, failed},
    error::Error,
};

/// How many entries are written in one transaction.
const STRETCH: i64 = 100_000;

/// Makes users `bench-peer-00001` … to talk to.
const PEERS: &str = "
    WITH made AS (
        INSERT INTO users (user_id, tier)
        SELECT 'bench-peer-' || lpad(n::text, 5, '0'), 'unlimited' FROM generate_series(1, $1::bigint) n
        ON CONFLICT (user_id) DO NOTHING RETURNING user_no
    )
    INSERT INTO timelines (owner, epoch) SELECT user_no, 1 FROM made";

/// Appends messages with peers in turn, up to seq `$2`, as if each had been sent by its owner or its peer
/// by turns. The senders' copies are not there: nobody reads them.
const FILL: &str = "
    WITH owner AS (
        UPDATE timelines t
        SET last_seq = t.last_seq + $2, last_message_no = t.last_message_no + $2, last_at = now()
        FROM users u WHERE u.user_id = $1 AND t.owner = u.user_no
        RETURNING t.owner, t.last_seq - $2 AS seq, t.last_message_no - $2 AS message_no
    ), peers AS (
        SELECT array_agg(user_no ORDER BY user_no) AS peers FROM (
            SELECT user_no FROM users WHERE user_id LIKE 'bench-peer-%' ORDER BY user_id LIMIT $3
        ) peers
    )
    INSERT INTO entries (owner, seq, conversation, sender, home_seq, message_no, appended_at, kind, body)
    SELECT owner, seq + n, peers[1 + n % $3], CASE WHEN n % 2 = 0 THEN owner ELSE peers[1 + n % $3] END,
        seq + n, message_no + n, now(), 1, convert_to(rpad(md5(n::text), 100, '.'), 'UTF8')
    FROM owner, peers, generate_series(1, $2::bigint) n";

/// A connection to imd's database.
pub(super) struct Database {
    client: Client,
    url: String,
}

impl Database {
    pub(super) async fn connect(url: &str) -> Result<Self, Error> {
        Ok(Self { client: connect(url).await?, url: url.to_owned() })
    }

    pub(super) async fn make_peers(&self, count: i64) -> Result<(), Error> {
        self.client.execute(PEERS, &[&count]).await.map_err(failed)?;
        Ok(())
    }

    /// Fills the user's timeline up to so many entries, in turn with so many peers; `wrote` is told how
    /// many more there are, from time to time.
    pub(super) async fn fill(
        &self,
        user_id: &str,
        entries: i64,
        peers: i64,
        wrote: impl Fn(i64),
    ) -> Result<(), Error> {
        let reach =
            "SELECT last_seq FROM timelines JOIN users ON user_no = owner WHERE user_id = $1";
        let mut filled: i64 =
            self.client.query_one(reach, &[&user_id]).await.map_err(failed)?.get(0);
        while filled < entries {
            let stretch = STRETCH.min(entries - filled);
            self.client.execute(FILL, &[&user_id, &stretch, &peers]).await.map_err(failed)?;
            filled += stretch;
            wrote(stretch);
        }
        Ok(())
    }

    /// Leaves the tables as they are after a while in use.
    pub(super) async fn settle(&self) -> Result<(), Error> {
        self.client.batch_execute("VACUUM ANALYZE entries").await.map_err(failed)
    }

    /// How many entries a user's timeline has.
    pub(super) async fn entries(&self, user_id: &str) -> Result<usize, Error> {
        let count = "SELECT count(*) FROM entries JOIN users ON user_no = owner WHERE user_id = $1";
        let count: i64 = self.client.query_one(count, &[&user_id]).await.map_err(failed)?.get(0);
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Has psql fetch the rows of a timeline; how long it took, its start and its connecting included.
    /// None where there is no psql.
    pub(super) async fn select(&self, user_id: &str) -> Result<Option<Duration>, Error> {
        let select = format!(
            "SELECT e.* FROM entries e JOIN users u ON e.owner = u.user_no
             WHERE u.user_id = '{user_id}' ORDER BY e.seq"
        );
        let mut psql = Command::new("psql");
        // The plainest there is: no columns to align, no file of settings to read.
        psql.args(["-X", "-A", "-t", "-c", &select]).arg(&self.url);
        let begun = Instant::now();
        match psql.output().await {
            Ok(printed) if printed.status.success() => Ok(Some(begun.elapsed())),
            Ok(_) => Err(Error::Bench("psql cannot read the timeline".to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Bench(format!("psql cannot be run: {error}"))),
        }
    }
}
