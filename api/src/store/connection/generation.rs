//! Which generation of the database a server holds. A server that takes over may lack what was
//! acknowledged; whoever connects first to one that was never seen before decides, ahead of every
//! append there, whether it may, and starts a new generation if so.

use std::time::{Duration, Instant};

use metrics::gauge;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio_postgres::{Client, Row, error::SqlState};

use super::error::Refusal;
use crate::telemetry;

/// What a server says of itself, beside what was noted of the last. Opens no transaction.
const LOOK: &str = "SELECT g.generation, g.started_at, g.system_identifier AS noted_system,
         g.wal_timeline AS noted_timeline, g.synchronous AS noted_synchronous,
         g.seen_at > now() - interval '2 minutes' AS recent,
         (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
         ('x' || left(pg_walfile_name(l.lsn), 8))::bit(32)::bigint AS wal_timeline,
         pg_wal_lsn_diff(l.lsn, '0/0')::bigint AS written,
         CASE WHEN current_setting('synchronous_standby_names') <> '' THEN 0
             ELSE pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint END AS kept,
         current_setting('synchronous_standby_names') <> '' AS synchronous,
         set_config('imd.generation', g.generation::text, false)
     FROM (SELECT * FROM generations ORDER BY generation DESC LIMIT 1) g
     CROSS JOIN (SELECT pg_current_wal_insert_lsn() AS lsn) l";

/// How much of the server's log stays whatever happens, and whether commits wait for a standby; notes the
/// latter, and that it was so just now, every ten seconds. Where commits wait, a standby is known to have
/// what was flushed before one of them alone; the end of the log may be of transactions that never will be
/// answered. Null where that is not known.
pub(in crate::store) const NOTE: &str =
    "WITH server AS (SELECT current_setting('synchronous_standby_names') <> '' AS synchronous), noted AS (
         UPDATE generations g SET synchronous = s.synchronous, seen_at = now()
         FROM server s
         WHERE g.generation = current_generation()
             AND (g.seen_at < now() - interval '10 seconds' OR g.synchronous <> s.synchronous)
         RETURNING g.generation
     )
     SELECT CASE WHEN NOT synchronous OR EXISTS (SELECT FROM noted)
             THEN pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint END AS kept,
         synchronous,
         (SELECT count(*)::float8 FROM pg_stat_replication) AS standbys,
         (SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::float8, 0)
          FROM pg_stat_replication) AS lag
     FROM server";

/// Has a new connection to a standby work in the generation that it holds.
pub(super) async fn follow(client: &Client) -> Result<(), Refusal> {
    let follow =
        "SELECT set_config('imd.generation', max(generation)::text, false) FROM generations";
    client.query_one(follow, &[]).await?;
    Ok(())
}

/// Held by whoever decides; what is read behind it is what others have decided.
const LOCK: &str = "BEGIN; LOCK TABLE generations IN SHARE ROW EXCLUSIVE MODE";

/// A server, as it was when it was last asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    system_identifier: String,
    /// How often a standby was promoted on the way here, as PostgreSQL counts it.
    wal_timeline: i64,
    /// How far its log reached, in bytes.
    written: i64,
    /// How far it will reach at least on whatever server takes over with all that was acknowledged.
    kept: i64,
    /// Whether commits wait for a standby.
    synchronous: bool,
}

/// A generation. Two that have the same number, because the database lost the first, differ in when they
/// started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Generation {
    number: i16,
    started_at: OffsetDateTime,
}

/// A server and the generation of its database, as this process last saw them.
#[derive(Debug, Clone)]
pub(in crate::store) struct Known {
    generation: Generation,
    server: Server,
}

/// What was noted in the database of the server that it was last seen on.
#[derive(Debug)]
struct Noted {
    generation: Generation,
    /// System identifier and timeline.
    server: Option<(String, i64)>,
    synchronous: bool,
    recent: bool,
}

/// What a server is found to be.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// The one that is noted.
    Same,
    /// Another one, which has all that was acknowledged.
    Successor,
    /// One that was a primary before the one that this process works with. It does not know yet that it
    /// was replaced; what it takes now will be gone.
    Replaced,
    /// One that may lack some of it; why.
    Lossy(&'static str),
}

/// How long the successor of a server may keep silent before that server is taken for the primary again:
/// longer than a thawed primary needs to notice that it has been replaced.
const SUCCESSOR_SILENT: Duration = Duration::from_secs(30);

/// The generation that the last connection was opened in, and its server.
#[derive(Default)]
pub(in crate::store) struct Generations(Mutex<Option<Last>>);

/// What a process last worked with.
#[derive(Debug, Clone)]
struct Last {
    known: Known,
    heard_at: Instant,
}

impl Last {
    /// Whether it was there just now.
    fn is_near(&self) -> bool {
        self.heard_at.elapsed() < SUCCESSOR_SILENT
    }
}

impl Server {
    /// Whether both are of one cluster and of one time between promotions.
    fn is(&self, other: &Self) -> bool {
        self.system_identifier == other.system_identifier && self.wal_timeline == other.wal_timeline
    }

    /// Whether it was promoted in the other's place.
    fn follows(&self, other: &Self) -> bool {
        self.system_identifier == other.system_identifier && self.wal_timeline > other.wal_timeline
    }
}

impl Known {
    pub(in crate::store) fn generation(&self) -> i16 {
        self.generation.number
    }
}

impl Generations {
    /// The number of the newest generation that this process has worked in.
    pub(in crate::store) fn current(&self) -> i16 {
        self.0.lock().as_ref().map_or(0, |last| last.known.generation())
    }

    /// Notes what a server answered to [`NOTE`] on a connection that leads there.
    pub(in crate::store) fn note(&self, seen: &Known, row: &Row) {
        let (kept, synchronous): (Option<i64>, bool) = (row.get("kept"), row.get("synchronous"));
        gauge!(telemetry::DATABASE_GENERATION).set(seen.generation());
        gauge!(telemetry::DATABASE_SYNCHRONOUS).set(f64::from(u8::from(synchronous)));
        gauge!(telemetry::DATABASE_STANDBYS).set(row.get::<_, f64>("standbys"));
        gauge!(telemetry::DATABASE_LAG).set(row.get::<_, f64>("lag"));
        if let Some(Last { known: Known { server: known, .. }, heard_at }) = &mut *self.0.lock()
            && known.is(&seen.server)
        {
            known.kept = known.kept.max(kept.unwrap_or_default());
            known.synchronous = synchronous;
            *heard_at = Instant::now();
        }
    }

    /// Has a new connection work in the generation of its server, which a new one is started for if it
    /// must be. `None` before there are tables.
    pub(super) async fn enter(&self, client: &Client) -> Result<Option<Known>, Refusal> {
        let last = self.0.lock().clone();
        let row = match client.query_one(LOOK, &[]).await {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(None),
            row => row?,
        };
        let (mut noted, mut server) = read(&row);
        match judge(&noted, &server, last.as_ref()) {
            Finding::Same => {}
            Finding::Replaced => return Err(Refusal::Replaced),
            Finding::Successor | Finding::Lossy(_) => {
                (noted, server) = self.decide(client).await?;
            }
        }
        let mut current = self.0.lock();
        if current.as_ref().is_none_or(|last| last.known.generation != noted.generation) {
            tracing::debug!(
                number = noted.generation.number,
                "working in a generation of the database"
            );
        }
        if let Some(Last { known, .. }) = &*current
            && known.server.is(&server)
            && known.generation == noted.generation
        {
            server.kept = server.kept.max(known.server.kept);
        }
        let known = Known { generation: noted.generation, server };
        *current = Some(Last { known: known.clone(), heard_at: Instant::now() });
        Ok(Some(known))
    }

    /// Looks again where nobody else decides, and notes the outcome.
    async fn decide(&self, client: &Client) -> Result<(Noted, Server), Refusal> {
        client.batch_execute(LOCK).await?;
        // Read before the server is asked: so what is known is not younger than the answer.
        let last = self.0.lock().clone();
        let (noted, server) = read(&client.query_one(LOOK, &[]).await?);
        let Server { system_identifier, wal_timeline, synchronous, .. } = &server;
        match judge(&noted, &server, last.as_ref()) {
            Finding::Same => {}
            Finding::Replaced => return Err(Refusal::Replaced),
            Finding::Successor => {
                client
                    .execute(
                        "UPDATE generations SET system_identifier = $2, wal_timeline = $3,
                             synchronous = $4, seen_at = now()
                         WHERE generation = $1",
                        &[&noted.generation.number, system_identifier, wal_timeline, synchronous],
                    )
                    .await?;
                tracing::info!(wal_timeline, "a server that has all that was acknowledged");
            }
            Finding::Lossy(reason) => {
                let newest = noted.generation.number.max(self.current());
                client
                    .execute(
                        "INSERT INTO generations
                             (generation, reason, system_identifier, wal_timeline, synchronous)
                         VALUES ($1::smallint + 1, $2, $3, $4, $5)",
                        &[&newest, &reason, system_identifier, wal_timeline, synchronous],
                    )
                    .await?;
                tracing::warn!(
                    reason,
                    noted_timeline = noted.server.as_ref().map(|(_, wal_timeline)| wal_timeline),
                    wal_timeline,
                    noted_synchronous = noted.synchronous,
                    noted_just_before = noted.recent,
                    kept = last.as_ref().map(|last| last.known.server.kept),
                    written = server.written,
                    "a new generation: every terminal reads its timeline anew"
                );
            }
        }
        let decided = read(&client.query_one(LOOK, &[]).await?);
        client.batch_execute("COMMIT").await?;
        Ok(decided)
    }
}

fn read(row: &Row) -> (Noted, Server) {
    let noted_system: Option<String> = row.get("noted_system");
    let noted = Noted {
        generation: Generation { number: row.get("generation"), started_at: row.get("started_at") },
        server: noted_system.zip(row.get("noted_timeline")),
        synchronous: row.get("noted_synchronous"),
        recent: row.get("recent"),
    };
    let server = Server {
        system_identifier: row.get("system_identifier"),
        wal_timeline: row.get("wal_timeline"),
        written: row.get("written"),
        kept: row.get("kept"),
        synchronous: row.get("synchronous"),
    };
    (noted, server)
}

/// What a server is, by what is noted in it and by what this process saw last.
///
/// A promotion alone does not tell whether anything is missing. With synchronous replication it is not:
/// what was acknowledged stood on a standby, and none but such a one is promoted. That commits waited is
/// believed when it was so just before, for a backup that is restored to an earlier moment has a new
/// timeline, too.
fn judge(noted: &Noted, server: &Server, last: Option<&Last>) -> Finding {
    let known = last.map(|last| &last.known);
    let replaced = known.is_some_and(|known| known.server.follows(server));
    if replaced && last.is_some_and(Last::is_near) {
        return Finding::Replaced;
    }
    let is_lost = |generation: Generation| {
        generation.number > noted.generation.number
            || generation.number == noted.generation.number && generation != noted.generation
    };
    if known.is_some_and(|known| is_lost(known.generation)) {
        return Finding::Lossy("the database does not know its last generation any more");
    }
    let known = known.map(|known| &known.server);
    let Some((system_identifier, wal_timeline)) = &noted.server else { return Finding::Successor };
    if *system_identifier != server.system_identifier {
        return Finding::Lossy("the database was restored or copied to another cluster");
    }
    if replaced {
        return Finding::Lossy("a server took over again that another had replaced");
    }
    let known = known.filter(|known| known.system_identifier == server.system_identifier);
    let went_back = known.is_some_and(|known| known.kept > server.written);
    if *wal_timeline == server.wal_timeline {
        let same = known.is_some_and(|known| known.is(server));
        return if same && went_back {
            Finding::Lossy("the server has gone back to an earlier state")
        } else {
            Finding::Same
        };
    }
    let waited = noted.synchronous && noted.recent && known.is_none_or(|known| known.synchronous);
    if *wal_timeline < server.wal_timeline && waited && !went_back {
        return Finding::Successor;
    }
    Finding::Lossy("a server took over that may lack what was acknowledged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(wal_timeline: i64, written: i64) -> Server {
        Server {
            system_identifier: "one".to_owned(),
            wal_timeline,
            written,
            kept: written,
            synchronous: true,
        }
    }

    fn generation(number: i16, second: i64) -> Generation {
        let started_at = OffsetDateTime::from_unix_timestamp(second).expect("a time");
        Generation { number, started_at }
    }

    fn noted(wal_timeline: i64) -> Noted {
        let server = Some(("one".to_owned(), wal_timeline));
        Noted { generation: generation(1, 0), server, synchronous: true, recent: true }
    }

    fn find(noted: &Noted, server: &Server, known: Option<&Server>) -> Finding {
        let last = known.cloned().map(|server| last(noted.generation, server));
        judge(noted, server, last.as_ref())
    }

    /// A server that was last heard of long ago.
    fn last(generation: Generation, server: Server) -> Last {
        let heard_at = Instant::now().checked_sub(2 * SUCCESSOR_SILENT).expect("long ago");
        Last { known: Known { generation, server }, heard_at }
    }

    fn is_lossy(noted: &Noted, server: &Server, known: Option<&Server>) -> bool {
        matches!(find(noted, server, known), Finding::Lossy(_))
    }

    #[test]
    fn the_first_server_is_taken_as_it_is() {
        let noted = Noted { server: None, synchronous: false, ..noted(1) };
        assert_eq!(find(&noted, &server(3, 10), None), Finding::Successor);
    }

    #[test]
    fn a_server_that_goes_on_is_the_same() {
        assert_eq!(find(&noted(1), &server(1, 10), None), Finding::Same);
        assert_eq!(find(&noted(1), &server(1, 10), Some(&server(1, 10))), Finding::Same);
        let quiet = Noted { recent: false, synchronous: false, ..noted(1) };
        assert_eq!(find(&quiet, &server(1, 10), None), Finding::Same);
    }

    #[test]
    fn a_promoted_standby_has_everything_only_where_commits_waited_for_one() {
        assert_eq!(find(&noted(1), &server(2, 10), Some(&server(1, 9))), Finding::Successor);
        assert!(is_lossy(&Noted { synchronous: false, ..noted(1) }, &server(2, 10), None));
        // A backup that was restored to an earlier moment.
        assert!(is_lossy(&Noted { recent: false, ..noted(1) }, &server(2, 10), None));
        // This process saw more than the server has, or that commits did not wait any more.
        assert!(is_lossy(&noted(1), &server(2, 10), Some(&server(1, 11))));
        let alone = Server { synchronous: false, ..server(1, 9) };
        assert!(is_lossy(&noted(1), &server(2, 10), Some(&alone)));
    }

    #[test]
    fn a_server_that_went_back_is_noticed() {
        assert!(is_lossy(&noted(2), &server(2, 10), Some(&server(2, 11))));
        assert!(is_lossy(&noted(2), &server(1, 20), None));
        // The primary that was replaced, with nothing in it of what its successor took.
        assert!(is_lossy(&noted(1), &server(1, 20), Some(&server(2, 10))));
        let other = Server { system_identifier: "two".to_owned(), ..server(2, 20) };
        assert!(is_lossy(&noted(2), &other, None));
    }

    #[test]
    fn a_server_whose_successor_is_there_is_not_used() {
        let near = Last { heard_at: Instant::now(), ..last(generation(1, 0), server(2, 10)) };
        assert_eq!(judge(&noted(1), &server(1, 20), Some(&near)), Finding::Replaced);
        assert_eq!(judge(&noted(2), &server(2, 20), Some(&near)), Finding::Same);
        let later = Last { heard_at: Instant::now(), ..last(generation(2, 5), server(2, 10)) };
        assert_eq!(judge(&noted(1), &server(1, 20), Some(&later)), Finding::Replaced);
    }

    #[test]
    fn what_no_standby_is_known_to_have_may_be_missing() {
        let seen = Server { kept: 9, ..server(1, 20) };
        assert_eq!(find(&noted(1), &server(2, 10), Some(&seen)), Finding::Successor);
        assert_eq!(find(&noted(1), &server(1, 10), Some(&seen)), Finding::Same);
    }

    #[test]
    fn a_server_that_does_not_know_the_last_generation_lacks_what_came_in_it() {
        let knows = |generation| last(generation, server(2, 9));
        let judged = |known: Generation| judge(&noted(2), &server(2, 10), Some(&knows(known)));
        assert_eq!(judged(generation(1, 0)), Finding::Same);
        assert_eq!(judged(generation(0, 5)), Finding::Same);
        assert!(matches!(judged(generation(2, 5)), Finding::Lossy(_)));
        assert!(matches!(judged(generation(1, 5)), Finding::Lossy(_)));
    }
}
