//! Signals on their way: who may send them is looked up for many at a time, and then they go to the streams of
//! this node and, over the bus, of the others. Nothing is stored, and nothing waits for long: what is too
//! much is refused or dropped.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics::counter;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};

use super::{hint_queue::HintQueue, hub::Hub, signal_frame::OutgoingSignal};
use crate::{
    model::{Error, GroupNo, Result, SessionId, Signal, TimelineNo, WhoMay},
    store::{OtherNodes, SignalCheck, SignalVerdict, Store},
    tasks::{OnPanic, Task, Tasks},
    telemetry,
};

/// How many signals wait for their check.
const MOST_WAITING: usize = 4096;

/// How many are checked at a time.
const BATCH: usize = 512;

/// How long signals are gathered after others: a look costs PostgreSQL about as much for one as for ten. One that comes
/// after a pause does not wait.
const GATHERING: Duration = Duration::from_millis(20);

/// When to come back when too many wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A signal to be sent.
#[derive(Debug)]
pub struct NewSignal {
    /// From whom and to whom, which is checked first.
    pub check: SignalCheck,
    /// What the recipients get.
    pub signal: Signal,
    /// Set when it is pointless meanwhile: then nobody gets it.
    pub void: Arc<AtomicBool>,
}

/// The signals of a node. Cheap to clone.
#[derive(Clone)]
pub(super) struct Signals {
    store: Store,
    hub: Arc<Hub>,
    hint_queue: HintQueue,
    node_no: i64,
    messages_from: WhoMay,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    signals: Mutex<Vec<Pending>>,
    some: Notify,
}

struct Pending {
    signal: NewSignal,
    answer: oneshot::Sender<Result<()>>,
}

/// A signal that may be sent, and whose streams are to get it.
struct Admitted {
    signal: Signal,
    owners: Vec<TimelineNo>,
    /// The session that sends it.
    session_id: SessionId,
}

impl Signals {
    pub(super) fn start(
        store: Store,
        hub: Arc<Hub>,
        hint_queue: HintQueue,
        node_no: i64,
        messages_from: WhoMay,
        tasks: &Tasks,
    ) -> Self {
        let waiting = Arc::default();
        let signals = Self { store, hub, hint_queue, node_no, messages_from, waiting };
        let sending = signals.clone();
        let task = Task::new("signals").on_panic(OnPanic::Restart);
        tasks.start(task, move || sending.clone().run());
        signals
    }

    /// Sends a signal. Returns when it is on its way.
    ///
    /// Errors: those of a message to the same recipient; [`Error::Overloaded`].
    pub(super) async fn send(&self, signal: NewSignal) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting.signals.lock();
            if waiting.len() >= MOST_WAITING {
                return Err(Error::Overloaded { retry_after: RETRY_AFTER });
            }
            waiting.push(Pending { signal, answer });
        }
        self.waiting.some.notify_one();
        answered.await.map_err(Error::unavailable)?
    }

    /// Runs for ever.
    async fn run(self) {
        // What waited at a panic.
        self.waiting.some.notify_one();
        let mut next = Instant::now();
        loop {
            self.waiting.some.notified().await;
            sleep_until(next).await;
            next = Instant::now() + GATHERING;
            let waiting = mem::take(&mut *self.waiting.signals.lock());
            let mut waiting = waiting.into_iter().peekable();
            while waiting.peek().is_some() {
                let batch: Vec<Pending> = waiting.by_ref().take(BATCH).collect();
                self.send_batch(batch).await;
            }
        }
    }

    async fn send_batch(&self, batch: Vec<Pending>) {
        let checks: Vec<&SignalCheck> = batch.iter().map(|pending| &pending.signal.check).collect();
        let verdicts = match self.store.check_signals(&checks, self.messages_from).await {
            Ok(verdicts) => verdicts,
            Err(error) => return refuse(batch, &error),
        };
        let (mut answers, mut admitted) = (Vec::new(), Vec::new());
        for (Pending { signal, answer }, verdict) in batch.into_iter().zip(verdicts) {
            match verdict {
                Ok(verdict) => {
                    counter!(telemetry::SIGNALS).increment(1);
                    if verdict == SignalVerdict::Admitted && !signal.void.load(Ordering::Acquire) {
                        admitted.push(signal);
                    }
                    answers.push(answer);
                }
                Err(refusal) => drop(answer.send(Err(refusal))),
            }
        }
        let sent = self.hand_over(admitted).await;
        if let Err(error) = &sent {
            tracing::warn!(%error, "signals are lost");
        }
        for answer in answers {
            let _ = answer.send(Ok(()));
        }
    }

    async fn hand_over(&self, signals: Vec<NewSignal>) -> Result<()> {
        if signals.is_empty() {
            return Ok(());
        }
        let admitted = self.with_owners(signals).await?;
        let owners: BTreeSet<TimelineNo> =
            admitted.iter().flat_map(|admitted| admitted.owners.iter().copied()).collect();
        let elsewhere = self.store.other_nodes_of(self.node_no, &owners).await?;
        for admitted in admitted {
            self.publish(admitted, &elsewhere)?;
        }
        Ok(())
    }

    async fn with_owners(&self, signals: Vec<NewSignal>) -> Result<Vec<Admitted>> {
        let groups: BTreeSet<GroupNo> =
            signals.iter().filter_map(|signal| signal.check.to.group()).collect();
        let members = if groups.is_empty() {
            HashMap::new()
        } else {
            self.store.members_of_groups(&groups).await?
        };
        let admitted = |NewSignal { check, signal, .. }: NewSignal| {
            let owners = match check.to.group() {
                Some(group_no) => {
                    let members = members.get(&group_no).into_iter().flatten().copied();
                    members.filter(|user_no| *user_no != check.sender).map(Into::into).collect()
                }
                None => vec![TimelineNo(check.to.0)],
            };
            Admitted { signal, owners, session_id: check.session_id }
        };
        Ok(signals.into_iter().map(admitted).collect())
    }

    fn publish(&self, admitted: Admitted, elsewhere: &OtherNodes) -> Result<()> {
        let Admitted { signal, owners, session_id } = admitted;
        let signal = Arc::new(signal);
        let mut by_node: BTreeMap<i64, Vec<TimelineNo>> = BTreeMap::new();
        for owner in owners {
            self.hub.signal(owner, &signal, Some(session_id));
            for node in elsewhere.get(&owner).into_iter().flatten() {
                by_node.entry(*node).or_default().push(owner);
            }
        }
        if !by_node.is_empty() {
            let outgoing = OutgoingSignal::new(&signal, by_node, Some(session_id))?;
            self.hint_queue.signal(outgoing);
        }
        Ok(())
    }
}

/// Answers all with the same error.
fn refuse(batch: Vec<Pending>, error: &Error) {
    tracing::warn!(%error, "signals cannot be checked");
    for pending in batch {
        let _ = pending.answer.send(Err(Error::unavailable("signals cannot be checked")));
    }
}
