//! Who is there, for the streams that watch users. Login points in the database say it; what nodes tell each other
//! is only where to look again. So a frame that is lost delays what a stream sees until the next sweep, and
//! nothing that this node knows by itself can be wrong for longer.
//!
//! One task looks, so that what was read later is never overtaken by what was read before it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    mem,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{counter, gauge};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{gathered::Gathered, hint_queue::HintQueue, hub::Inbox};
use crate::{
    model::{Presence, PresenceDefaults, Result, UserId, UserNo, Whereabouts},
    store::Store,
    tasks::{OnPanic, Task, Tasks},
    telemetry,
};

/// How often a node looks at all that its streams watch, though nothing seems to have changed.
const SWEEP: Duration = Duration::from_mins(1);

/// How long changes are gathered: a node that stops has many users leave and come back.
const GATHERING: Duration = Duration::from_millis(100);

/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// How many users, or pairs of users, one statement looks at.
const BATCH: usize = 1000;

/// How much later than it should be gone a terminal is looked at: clocks and roundings differ.
const LATER: Duration = Duration::from_millis(50);

/// What presence is to be like.
#[derive(Debug, Clone, Copy)]
pub struct PresenceSettings {
    /// How long a terminal that has lost its stream still counts as there.
    pub grace: Duration,
    /// What users show who have not said.
    pub defaults: PresenceDefaults,
}

/// What is to be looked at again.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// Those who may have come or gone, or show themselves to others than before.
    pub(super) users: BTreeSet<UserNo>,
    /// Those who stand to somebody else in another way than before.
    pub(super) relations: BTreeSet<UserNo>,
    /// The watches that are new.
    watches: BTreeSet<u64>,
    /// Whether everything is.
    pub(super) all: bool,
}

impl Changes {
    /// All that is watched.
    pub(super) fn everything() -> Self {
        Self { all: true, ..Self::default() }
    }

    pub(super) fn of(
        users: impl IntoIterator<Item = UserNo>,
        relations: impl IntoIterator<Item = UserNo>,
    ) -> Self {
        let (users, relations) = (users.into_iter().collect(), relations.into_iter().collect());
        Self { users, relations, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.relations.is_empty() && self.watches.is_empty() && !self.all
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.users.extend(other.users);
        self.relations.extend(other.relations);
        self.watches.extend(other.watches);
        self.all |= other.all;
    }
}

/// Presence on a node.
pub(super) struct PresenceOfNode {
    store: Store,
    hint_queue: HintQueue,
    settings: PresenceSettings,
    watches: Mutex<Watches>,
    changes: Gathered<Changes>,
    next_watch: AtomicU64,
}

/// Who watches whom.
#[derive(Default)]
struct Watches {
    by_no: HashMap<u64, Watch>,
    by_user: HashMap<UserNo, Watched>,
    by_watcher: HashMap<UserNo, HashSet<u64>>,
    /// Those whom nobody watches any more: what was known of them is not kept up to date.
    unwatched: Vec<UserNo>,
    fingerprints: RandomState,
}

/// What one stream watches. There are as many as terminals, with up to hundreds of users each, so that each
/// takes only sixteen bytes.
struct Watch {
    watcher: UserNo,
    inbox: Arc<Inbox>,
    /// The users, ascending, and what the stream was told of each.
    users: Box<[(UserNo, Option<Told>)]>,
}

impl Watch {
    /// How many users it watches.
    fn count(&self) -> f64 {
        f64::from(u32::try_from(self.users.len()).unwrap_or(u32::MAX))
    }

    fn users(&self) -> impl Iterator<Item = UserNo> {
        self.users.iter().map(|(user_no, _)| *user_no)
    }

    /// What the stream was told of a user, if it watches it.
    fn told(&mut self, user_no: UserNo) -> Option<&mut Option<Told>> {
        let at = self.users.binary_search_by_key(&user_no, |(user_no, _)| *user_no).ok()?;
        Some(&mut self.users[at].1)
    }
}

/// A fingerprint of what a stream was told of a user. Of 2^63 changes one is taken for none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Told(NonZeroU64);

impl Told {
    fn of(presence: &Presence, fingerprints: &RandomState) -> Self {
        Self(NonZeroU64::MIN | fingerprints.hash_one(presence))
    }
}

/// Somebody who is watched.
struct Watched {
    user_id: UserId,
    watches: HashSet<u64>,
}

impl Watches {
    fn remove(&mut self, no: u64) {
        let Some(watch) = self.by_no.remove(&no) else { return };
        for user_no in watch.users() {
            let Entry::Occupied(mut watched) = self.by_user.entry(user_no) else { continue };
            watched.get_mut().watches.remove(&no);
            if watched.get().watches.is_empty() {
                watched.remove();
                self.unwatched.push(user_no);
            }
        }
        if let Entry::Occupied(mut numbers) = self.by_watcher.entry(watch.watcher) {
            numbers.get_mut().remove(&no);
            if numbers.get().is_empty() {
                numbers.remove();
            }
        }
        gauge!(telemetry::WATCHED).decrement(watch.count());
    }

    fn add(
        &mut self,
        no: u64,
        watcher: UserNo,
        inbox: Arc<Inbox>,
        users: BTreeMap<UserNo, UserId>,
    ) {
        let watch =
            Watch { watcher, inbox, users: users.keys().map(|user_no| (*user_no, None)).collect() };
        for (user_no, user_id) in users {
            let by_user = self.by_user.entry(user_no);
            let new = || Watched { user_id, watches: HashSet::new() };
            by_user.or_insert_with(new).watches.insert(no);
        }
        self.by_watcher.entry(watcher).or_default().insert(no);
        gauge!(telemetry::WATCHED).increment(watch.count());
        self.by_no.insert(no, watch);
    }

    /// Tells the streams of these numbers how a user is now, where they were told otherwise.
    fn tell(
        &mut self,
        numbers: &[u64],
        user_no: UserNo,
        presence: impl FnOnce(UserId) -> Presence,
    ) {
        let Some(watched) = self.by_user.get(&user_no) else { return };
        let presence = presence(watched.user_id.clone());
        let now = Told::of(&presence, &self.fingerprints);
        for no in numbers {
            let Some(watch) = self.by_no.get_mut(no) else { continue };
            if watch.told(user_no).is_some_and(|told| told.replace(now) != Some(now)) {
                counter!(telemetry::PRESENCE_CHANGES).increment(1);
                watch.inbox.put_presence(user_no, presence.clone());
            }
        }
    }

    /// The watches of these numbers, and the users of theirs that are to be looked at for each.
    fn pairs_of(
        &self,
        moved: &HashSet<UserNo>,
        changes: &Changes,
    ) -> BTreeMap<(UserNo, UserNo), Vec<u64>> {
        let mut pairs: BTreeMap<(UserNo, UserNo), Vec<u64>> = BTreeMap::new();
        let mut add = |no: u64, user_no: UserNo| {
            if let Some(watch) = self.by_no.get(&no) {
                pairs.entry((watch.watcher, user_no)).or_default().push(no);
            }
        };
        let whole = |no: u64| self.by_no.get(&no).into_iter().flat_map(Watch::users);
        if changes.all {
            for no in self.by_no.keys() {
                whole(*no).for_each(|user_no| add(*no, user_no));
            }
            return pairs;
        }
        for user_no in moved.iter().chain(&changes.relations) {
            for no in self.by_user.get(user_no).into_iter().flat_map(|watched| &watched.watches) {
                add(*no, *user_no);
            }
        }
        let of_relations =
            changes.relations.iter().filter_map(|user_no| self.by_watcher.get(user_no));
        for no in changes.watches.iter().chain(of_relations.flatten()) {
            whole(*no).for_each(|user_no| add(*no, user_no));
        }
        pairs
    }
}

/// What a stream watches, for as long as it is open.
pub struct Watcher {
    presence: Arc<PresenceOfNode>,
    watcher: UserNo,
    inbox: Arc<Inbox>,
    no: u64,
}

impl Watcher {
    /// Watches these users, and no others any more. The stream is told at once how they are.
    pub fn watch(&self, users: impl IntoIterator<Item = (UserNo, UserId)>) {
        let users: BTreeMap<UserNo, UserId> = users.into_iter().collect();
        {
            let mut watches = self.presence.watches.lock();
            watches.remove(self.no);
            self.inbox.forget_presence();
            if users.is_empty() {
                return;
            }
            watches.add(self.no, self.watcher, self.inbox.clone(), users);
        }
        self.presence.changes.add(|changes| {
            changes.watches.insert(self.no);
        });
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.presence.watches.lock().remove(self.no);
    }
}

impl PresenceOfNode {
    pub(super) fn start(
        store: Store,
        hint_queue: HintQueue,
        settings: PresenceSettings,
        tasks: &Tasks,
    ) -> Arc<Self> {
        let presence = Arc::new(Self {
            store,
            hint_queue,
            settings,
            watches: Mutex::default(),
            changes: Gathered::default(),
            next_watch: AtomicU64::default(),
        });
        let looking = presence.clone();
        let task = Task::new("presence").on_panic(OnPanic::Restart);
        tasks.start(task, move || Looking::new(looking.clone()).run());
        presence
    }

    /// For a stream of this user, which watches nobody yet.
    pub(super) fn watcher(self: &Arc<Self>, watcher: UserNo, inbox: Arc<Inbox>) -> Watcher {
        let no = self.next_watch.fetch_add(1, Ordering::Relaxed);
        Watcher { presence: self.clone(), watcher, inbox, no }
    }

    /// Has every node look how these users are.
    pub(super) fn changed(&self, users: impl IntoIterator<Item = UserNo>) {
        self.tell(Changes::of(users, []));
    }

    /// Has every node look who may see whom, where these users are concerned.
    pub(super) fn related(&self, relations: impl IntoIterator<Item = UserNo>) {
        self.tell(Changes::of([], relations));
    }

    fn tell(&self, changes: Changes) {
        self.hint_queue.presence(changes.clone());
        self.take(changes);
    }

    /// Looks again at what another node, or this one, says may have changed.
    pub(super) fn take(&self, changes: Changes) {
        let concerned = {
            let watches = self.watches.lock();
            changes.all
                || changes.users.iter().any(|user_no| watches.by_user.contains_key(user_no))
                || changes.relations.iter().any(|user_no| {
                    watches.by_user.contains_key(user_no)
                        || watches.by_watcher.contains_key(user_no)
                })
        };
        if concerned {
            self.changes.add(|waiting| waiting.extend(changes));
        }
    }

    /// Looks at everything again.
    pub(super) fn sweep(&self) {
        self.changes.add(|changes| changes.extend(Changes::everything()));
    }

    /// How these users are for one who looks, in their order.
    pub(super) async fn look(
        &self,
        watcher: UserNo,
        users: Vec<(UserNo, UserId)>,
    ) -> Result<Vec<Presence>> {
        let numbers: Vec<UserNo> = users.iter().map(|(user_no, _)| *user_no).collect();
        let known = self.store.whereabouts(&numbers, self.settings.grace).await?;
        let pairs: Vec<(UserNo, UserNo)> = numbers.iter().map(|of| (watcher, *of)).collect();
        let relations = self.store.relations(&pairs).await?;
        let seen = users.into_iter().zip(relations).map(|((user_no, user_id), by)| {
            let nowhere = Whereabouts::default();
            known.get(&user_no).unwrap_or(&nowhere).seen(user_id, by, self.settings.defaults)
        });
        Ok(seen.collect())
    }
}

/// The task that looks.
struct Looking {
    presence: Arc<PresenceOfNode>,
    /// How those that are watched are, as of the last look.
    known: HashMap<UserNo, Whereabouts>,
    /// When to look again at those that have lost a stream.
    leaving: BTreeSet<(Instant, UserNo)>,
    sweep_at: Instant,
}

impl Looking {
    fn new(presence: Arc<PresenceOfNode>) -> Self {
        let sweep_at = Instant::now() + SWEEP;
        Self { presence, known: HashMap::new(), leaving: BTreeSet::new(), sweep_at }
    }

    /// Runs for ever.
    async fn run(mut self) {
        // What was looked at when the task began anew.
        self.presence.sweep();
        loop {
            let changes = self.next().await;
            if changes.is_empty() {
                continue;
            }
            if let Err(error) = self.look(&changes).await {
                tracing::warn!(%error, "cannot look who is there");
                sleep(PAUSE).await;
                // What was looked at and not told is not known any more.
                self.presence.sweep();
            }
        }
    }

    /// What is to be looked at next.
    async fn next(&mut self) -> Changes {
        let due = self.leaving.first().map_or(self.sweep_at, |(at, _)| self.sweep_at.min(*at));
        let mut changes = match timeout_at(due, self.presence.changes.take()).await {
            Ok(changes) => {
                if changes.watches.is_empty() {
                    sleep_until(Instant::now() + GATHERING).await;
                }
                changes
            }
            Err(_) => Changes::default(),
        };
        let now = Instant::now();
        let later = self.leaving.split_off(&(now, UserNo(i64::MAX)));
        changes.users.extend(mem::replace(&mut self.leaving, later).into_iter().map(|(_, no)| no));
        if now >= self.sweep_at {
            changes.all = true;
        }
        if changes.all {
            self.sweep_at = now + SWEEP;
        }
        changes
    }

    async fn look(&mut self, changes: &Changes) -> Result<()> {
        let moved = self.look_at_users(changes).await?;
        let pairs = self.presence.watches.lock().pairs_of(&moved, changes);
        let pairs: Vec<_> = pairs.into_iter().collect();
        for pairs in pairs.chunks(BATCH) {
            let (asked, watches): (Vec<_>, Vec<_>) = pairs.iter().cloned().unzip();
            let relations = self.presence.store.relations(&asked).await?;
            let mut all = self.presence.watches.lock();
            for (((_, user_no), numbers), by) in asked.into_iter().zip(watches).zip(relations) {
                let nowhere = Whereabouts::default();
                let known = self.known.get(&user_no).unwrap_or(&nowhere);
                let defaults = self.presence.settings.defaults;
                all.tell(&numbers, user_no, |id| known.seen(id, by, defaults));
            }
        }
        Ok(())
    }

    /// Looks how users are; those of whom something has changed.
    async fn look_at_users(&mut self, changes: &Changes) -> Result<HashSet<UserNo>> {
        let asked = {
            let mut watches = self.presence.watches.lock();
            for user_no in mem::take(&mut watches.unwatched) {
                self.known.remove(&user_no);
            }
            let mut asked: BTreeSet<UserNo> = if changes.all {
                watches.by_user.keys().copied().collect()
            } else {
                let known = |user_no: &&UserNo| watches.by_user.contains_key(*user_no);
                changes.users.iter().filter(known).copied().collect()
            };
            let new = changes.watches.iter().filter_map(|no| watches.by_no.get(no));
            // Whoever is watched by another stream already is known, and looked at when that changes.
            asked.extend(
                new.flat_map(Watch::users).filter(|user_no| !self.known.contains_key(user_no)),
            );
            asked
        };
        let asked: Vec<UserNo> = asked.into_iter().collect();
        let mut moved = HashSet::new();
        for users in asked.chunks(BATCH) {
            let mut found =
                self.presence.store.whereabouts(users, self.presence.settings.grace).await?;
            let now = Instant::now();
            for user_no in users {
                let mut is = found.remove(user_no).unwrap_or_default();
                if let Some(leaves_in) = is.leaves_in.take() {
                    self.leaving.insert((now + leaves_in + LATER, *user_no));
                }
                let was = self.known.get(user_no);
                if !is.terminal_types.is_empty() {
                    // Who has just lost all streams is as idle as before.
                    is.idle = is.idle.or(was.and_then(|was| was.idle));
                }
                if was != Some(&is) {
                    self.known.insert(*user_no, is);
                    moved.insert(*user_no);
                }
            }
        }
        Ok(moved)
    }
}
