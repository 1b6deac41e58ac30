//! A connection that appends: one attempt at a batch is one transaction of one round trip.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use futures::{
    future::{join, try_join5},
    try_join,
};
use tokio::sync::Notify;
use tokio_postgres::{Client, Row, Statement, types::ToSql};

use super::{
    Append, Appended,
    places::{Layout, Places},
    verdicts::{Held, held, verdict},
};
use crate::{
    model::{Error, IfBlocked, MessageIdCipher, Result, TimelineNo, WhoMay},
    store::{
        Store,
        attachments::write_attachments,
        connection::{Driver, FORGET_PLANS, Link, PLANS_FOR},
        entries::{EVERYBODY, notice_flags},
        fault::Fault,
        login_points::{OTHER_NODES, OtherNodes, read_other_nodes},
        sessions::{SessionCheck, session_end},
    },
};

/// Set on every connection that appends. The counters must be locked in the order of owners, which
/// only the nested loop over the sorted owners does. A transaction comes in one piece, so a node that
/// lets the server wait in the middle of one has stopped.
pub const LANE_SETTINGS: &str = "-c enable_hashjoin=off -c enable_mergejoin=off \
     -c enable_seqscan=off -c plan_cache_mode=force_generic_plan \
     -c idle_in_transaction_session_timeout=2s";

const COUNT: &str = include_str!("count.sql");
const APPEND: &str = include_str!("append.sql");
const REFERENCES: &str = include_str!("references.sql");

/// `APPEND` where no webhook is told of messages.
static APPEND_UNTOLD: LazyLock<String> = LazyLock::new(|| without(APPEND, "webhooks"));

/// `APPEND` where one is.
static APPEND_TOLD: LazyLock<String> = LazyLock::new(|| without(APPEND, "no-webhooks"));

/// What a statement fails with that writes no events where a webhook is to be told of them.
const WEBHOOK_WANTED: &str = "IMD01";

/// How long a connection goes on writing events before it tries whether they are wanted still: a batch has to be run
/// again when they are.
const TOLD_FOR: Duration = Duration::from_mins(1);

/// A statement without what stands between the comments `part:` and `:part`.
fn without(statement: &str, part: &str) -> String {
    let (begin, end) = (format!("-- {part}:"), format!("-- :{part}"));
    let mut left = String::with_capacity(statement.len());
    let mut leaving_out = false;
    for line in statement.lines() {
        match line.trim() {
            line if line == begin => leaving_out = true,
            line if line == end => leaving_out = false,
            _ if leaving_out => {}
            _ => left.extend([line, "\n"]),
        }
    }
    left
}

/// An open connection.
pub(in crate::store) struct LaneConnection {
    client: Client,
    driver: Driver,
    cipher: Arc<MessageIdCipher>,
    /// Of the database.
    generation: i16,
    node_no: i64,
    begin: &'static str,
    count: Statement,
    untold: Appends,
    /// Prepared when a webhook is to be told of messages for the first time.
    told: Option<Appends>,
    /// Since when the connection writes events, while it does.
    telling: Option<Instant>,
    /// When the oldest of its plans may have been made.
    planned_at: Instant,
    /// Of the node: notified when events were written.
    outbox: Arc<Notify>,
    references: Statement,
    other_nodes: Statement,
}

/// The statement that appends, in its forms.
struct Appends {
    /// For any batch.
    quotes: Statement,
    /// Where none of the batch quotes another message, is forwarded, has attachments or is kept from its sender.
    groups: Statement,
    /// Where, besides, none of the batch is for a group.
    users: Statement,
}

impl Appends {
    async fn prepare(client: &Client, statement: &str) -> Result<Self, tokio_postgres::Error> {
        let without_quotes = without(statement, "quotes");
        let to_users = without(&without_quotes, "groups");
        let (quotes, groups, users) = try_join!(
            client.prepare(statement),
            client.prepare(&without_quotes),
            client.prepare(&to_users)
        )?;
        Ok(Self { quotes, groups, users })
    }
}

/// What the round trip of an attempt returned.
struct Outcome {
    /// The timelines as they are with the whole batch.
    counters: Vec<Row>,
    /// The references that were put in front of the batch's places in their senders' timelines.
    references: Vec<Row>,
    /// The items that were not appended as they came.
    held: Vec<Row>,
    other_nodes: Option<Arc<OtherNodes>>,
}

impl LaneConnection {
    /// Connects and prepares the statements; `begin` opens each transaction. Who has not said from whom it
    /// takes messages takes them from `messages_from`.
    pub(in crate::store) async fn open(
        store: &Store,
        cipher: Arc<MessageIdCipher>,
        node_no: i64,
        begin: &'static str,
        messages_from: WhoMay,
    ) -> Result<Self, Fault> {
        let messages_from = (messages_from as i16).to_string();
        let settings =
            LANE_SETTINGS.split("-c ").filter_map(|setting| setting.trim().split_once('='));
        let settings: Vec<_> =
            settings.chain([("imd.messages_from", messages_from.as_str())]).collect();
        let link = store.0.connector.open(&settings).await?;
        let generation = link.generation();
        let Link { client, driver, .. } = link;
        let (count, untold, references, other_nodes) = try_join!(
            client.prepare(COUNT),
            Appends::prepare(&client, &APPEND_UNTOLD),
            client.prepare(REFERENCES),
            client.prepare(OTHER_NODES),
        )?;
        Ok(Self {
            client,
            driver,
            cipher,
            generation,
            node_no,
            begin,
            count,
            untold,
            told: None,
            telling: None,
            planned_at: Instant::now(),
            outbox: store.0.outbox.clone(),
            references,
            other_nodes,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed() || self.driver.is_broken()
    }

    /// Whether the server did not answer in time.
    pub(super) fn is_cut(&self) -> bool {
        self.driver.is_broken()
    }

    /// Appends the batch and commits: a result for each item. `in_doubt` when an earlier attempt may
    /// have been committed. An attempt that takes longer than `deadline` ends with the connection, in
    /// doubt.
    ///
    /// After an error of the server the connection is good for another attempt: the COMMIT behind the
    /// failed statement has rolled it back.
    pub(super) async fn attempt(
        &mut self,
        batch: &[Append],
        in_doubt: bool,
        deadline: Duration,
    ) -> Result<Vec<Result<Appended>>, tokio_postgres::Error> {
        if self.telling.is_some_and(|since| since.elapsed() > TOLD_FOR) {
            self.telling = None;
        }
        if self.planned_at.elapsed() > PLANS_FOR {
            self.driver.within(deadline, self.client.batch_execute(FORGET_PLANS)).await?;
            self.planned_at = Instant::now();
        }
        let attempted = self.driver.within(deadline, self.try_append(batch, in_doubt)).await;
        let wanted = |error: &tokio_postgres::Error| {
            error.code().is_some_and(|code| code.code() == WEBHOOK_WANTED)
        };
        if self.telling.is_some() || !attempted.as_ref().is_err_and(wanted) {
            return attempted;
        }
        if self.told.is_none() {
            let preparing = Appends::prepare(&self.client, &APPEND_TOLD);
            self.told = Some(self.driver.within(deadline, preparing).await?);
        }
        self.telling = Some(Instant::now());
        self.driver.within(deadline, self.try_append(batch, in_doubt)).await
    }

    async fn try_append(
        &self,
        batch: &[Append],
        in_doubt: bool,
    ) -> Result<Vec<Result<Appended>>, tokio_postgres::Error> {
        let layout = Layout::of(batch);
        let Outcome { counters, references, held: rows, other_nodes } =
            self.append(batch, &layout).await?;
        // Items are counted from 1.
        let held_rows: HashMap<i64, &Row> = rows.iter().map(|row| (row.get("item"), row)).collect();
        let mut places = Places::new(&counters, self.generation, &self.cipher);
        for reference in &references {
            places.push_back(TimelineNo(reference.get("member")));
        }
        let mut results = Vec::with_capacity(batch.len());
        for ((item, append), behind) in (1..).zip(batch).zip(&layout.behind) {
            let row = held_rows.get(&item);
            let held = row.map(|row| held(row));
            let result = match row {
                Some(row) if held == Some(Held::Refused) => {
                    verdict(append, row, in_doubt, &self.cipher)
                }
                _ => places
                    .fill(append, *behind, held == Some(Held::Withheld))
                    .map(|appended| Appended { other_nodes: other_nodes.clone(), ..appended }),
            };
            results.push(self.with_reason(append, result).await?);
            if let Some(held) = held {
                places.give_back(append, held);
            }
        }
        Ok(results)
    }

    /// The round trip of an attempt alone, for the baseline of benchmarks: appends the batch and commits;
    /// how many items were not appended as they came.
    pub(in crate::store) async fn append_unread(
        &self,
        batch: &[Append],
        layout: &Layout,
    ) -> Result<usize, tokio_postgres::Error> {
        self.append(batch, layout).await.map(|outcome| outcome.held.len())
    }

    /// Tells a caller whose session is gone with its user that it is so.
    async fn with_reason(
        &self,
        append: &Append,
        result: Result<Appended>,
    ) -> Result<Result<Appended>, tokio_postgres::Error> {
        let Some(session_id) = append.session_id else { return Ok(result) };
        if !matches!(result, Err(Error::InvalidToken(_))) {
            return Ok(result);
        }
        let who: [&(dyn ToSql + Sync); 2] = [&append.sender.0, &session_id.0];
        let row = self.client.query_opt(&session_end(), &who).await?;
        Ok(SessionCheck::read(row.as_ref()).require_live().map_or_else(Err, |()| result))
    }

    /// The one round trip.
    async fn append(
        &self,
        batch: &[Append],
        layout: &Layout,
    ) -> Result<Outcome, tokio_postgres::Error> {
        let Layout { owners, entries, behind } = layout;
        let sent: Vec<i64> = behind.iter().map(|behind| behind.sent).collect();
        let received: Vec<Option<i64>> = behind.iter().map(|behind| behind.received).collect();
        let to_groups = batch.iter().any(|append| append.conversation.group().is_some());
        let quotes = batch.iter().any(has_more);
        let told = self.told.as_ref().filter(|_| self.telling.is_some());
        let appending = async {
            let appends = told.unwrap_or(&self.untold);
            let statement = match (quotes, to_groups) {
                (true, _) => &appends.quotes,
                (false, true) => &appends.groups,
                (false, false) => &appends.users,
            };
            let (own_targets, other_targets) =
                (column(batch, own_target), column(batch, other_target));
            let (forwarded_from, forwarded_at) = (
                column(batch, |append| append.forward.as_ref().map(|from| from.sender.0)),
                column(batch, |append| append.forward.as_ref().map(|from| from.shown.sent_at)),
            );
            // As entries have it.
            let generation = Some(self.generation).filter(|generation| *generation != 0);
            let attachments = column(batch, |append| write_attachments(&append.attachments));
            let unkept = column(batch, |append| !append.sender_timeline);
            let values: [&(dyn ToSql + Sync); 19] = [
                &column(batch, |append| append.sender.0),
                &column(batch, |append| append.session_id.map(|id| id.0)),
                &sent,
                &column(batch, |append| append.conversation.0),
                &received,
                &column(batch, drop_if_blocked),
                &column(batch, |append| append.client_message_id),
                &column(batch, |append| append.content_hash.as_slice()),
                &column(batch, |append| append.content.content_type()),
                &column(batch, |append| append.content.body().as_ref()),
                &column(batch, |append| append.mentions.array()),
                &column(batch, flags),
                &generation,
                &own_targets,
                &other_targets,
                &forwarded_from,
                &forwarded_at,
                &attachments,
                &unkept,
            ];
            // The last six are those of the statement with quotes alone.
            self.client.query(statement, &values[..if quotes { 19 } else { 13 }]).await
        };
        // Polled together, so sent together. A COMMIT behind a failed statement answers ROLLBACK and no
        // error: all must succeed. But where the nodes concerned are not told, the batch stands all the
        // same.
        let (transaction, other_nodes) = join(
            try_join5(
                self.client.batch_execute(self.begin),
                self.client.query(&self.count, &[owners, entries]),
                self.catch_up(batch, layout),
                appending,
                self.client.batch_execute("COMMIT"),
            ),
            self.client.query(&self.other_nodes, &[owners, &self.node_no]),
        )
        .await;
        let ((), counters, references, held, ()) = transaction?;
        if told.is_some() {
            self.outbox.notify_one();
        }
        let other_nodes = other_nodes.ok().map(|rows| Arc::new(read_other_nodes(&rows)));
        Ok(Outcome { counters, references, held, other_nodes })
    }

    /// Brings the timelines of those who write to groups up to these, so that they see their own
    /// messages in the group's order, too (I13). Nothing at all where the batch has none to a group.
    async fn catch_up(
        &self,
        batch: &[Append],
        layout: &Layout,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let pairs: BTreeSet<(i64, i64)> = batch
            .iter()
            .filter(|append| append.conversation.group().is_some())
            .map(|append| (append.conversation.0, append.sender.0))
            .collect();
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let (groups, members): (Vec<i64>, Vec<i64>) = pairs.into_iter().unzip();
        let taken = |owners: &[i64]| -> Vec<i64> {
            let taken = |owner| layout.owners.binary_search(owner).map(|at| layout.entries[at]);
            owners.iter().map(|owner| taken(owner).unwrap_or_default()).collect()
        };
        let (group_taken, member_taken) = (taken(&groups), taken(&members));
        let upto: Vec<Option<i64>> = vec![None; groups.len()];
        let values: [&(dyn ToSql + Sync); 5] =
            [&groups, &members, &group_taken, &member_taken, &upto];
        self.client.query(&self.references, &values).await
    }
}

/// Whether a message quotes another one, is forwarded, has attachments or is kept from its sender.
fn has_more(append: &Append) -> bool {
    append.quote.is_some()
        || append.forward.is_some()
        || !append.attachments.is_empty()
        || !append.sender_timeline
}

/// What becomes of an item whose sender is blocked; `None` where no block counts.
fn drop_if_blocked(append: &Append) -> Option<bool> {
    (!append.bypass).then_some(matches!(append.if_blocked, IfBlocked::Drop))
}

/// `entries.flags` of the message at its home.
fn flags(append: &Append) -> Option<i16> {
    let everybody = if append.mentions.all { EVERYBODY } else { 0 };
    Some(everybody | notice_flags(append.notice)).filter(|flags| *flags != 0)
}

/// The place of the quoted message in the sender's timeline.
fn own_target(append: &Append) -> Option<i64> {
    append.quote.as_ref().map(|quote| quote.own.seq)
}

/// The place of the quoted message in the other timeline, where it has one.
fn other_target(append: &Append) -> Option<i64> {
    append.quote.as_ref().map(|quote| quote.other.seq).filter(|seq| *seq > 0)
}

fn column<'a, T>(batch: &'a [Append], read: impl Fn(&'a Append) -> T) -> Vec<T> {
    batch.iter().map(read).collect()
}
