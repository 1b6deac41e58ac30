//! The task that tells terminals. Those that are told together are looked up together, so that a push costs the
//! database a part of a statement and not several.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, join, stream};
use metrics::counter;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    BADGE_AMONG, Told,
    notification::{Cleared, News, Notification},
};
use crate::{
    model::{
        Body, Content, ConversationId, ConversationNo, Entry, EntryKind, Message, Result, Stretch,
        TimelineNo, UserNo,
    },
    service::Service,
    store::{PushClaim, PushLook, PushMarks, PushNeed, PushOutcome},
    telemetry,
};

/// How often a node looks at the recipients of what it has appended.
const LOOK: Duration = Duration::from_millis(250);

/// How often it looks at all terminals.
const SWEEP: Duration = Duration::from_secs(5);

/// How many terminals are claimed at a time.
const BATCH: usize = 200;

/// How many are looked up and told at a time. What they do not have is in memory meanwhile.
const AT_ONCE: usize = 64;

/// How long a claim lasts: more than all that a batch may take.
const CLAIM: Duration = Duration::from_mins(2);

/// How many of the newest messages a terminal is told of at most.
const MOST_MESSAGES: i64 = 64;

/// The first pause after a failure; it doubles with each in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause, also of those that a provider asks for.
const LONGEST_PAUSE: Duration = Duration::from_mins(30);

/// After how many failures in a row a terminal is not told of what it would have been.
const MOST_FAILURES: i32 = 12;

impl Service {
    /// Tells terminals, for ever.
    pub async fn keep_pushing(self: Arc<Self>) {
        if !self.push.is_on() {
            std::future::pending::<()>().await;
        }
        self.delivery.want_recipients();
        let mut sweep_at = Instant::now();
        loop {
            sleep(LOOK).await;
            let users = self.delivery.take_recipients(self.push.delay);
            for users in users.chunks(BATCH) {
                self.push_all(PushLook::Users(users)).await;
            }
            if Instant::now() >= sweep_at {
                sweep_at = Instant::now() + SWEEP;
                if let Err(error) = self.store.forget_push().await {
                    tracing::warn!(%error, "push tokens of ended sessions stay for now");
                }
                self.push_all(PushLook::Still(self.push.delay)).await;
            }
        }
    }

    /// Tells all that are to be told of those that are looked at.
    async fn push_all(&self, look: PushLook<'_>) {
        loop {
            let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
            let mut claims =
                match self.store.claim_push(look, self.delivery.node_no(), CLAIM, limit).await {
                    Ok(claims) => claims,
                    Err(error) => {
                        tracing::warn!(%error, "cannot look which terminals to tell");
                        return;
                    }
                };
            let full = claims.len() >= BATCH;
            while !claims.is_empty() {
                let rest = claims.split_off(claims.len().min(AT_ONCE));
                if let Err(error) = self.push_together(claims).await {
                    // When the claims are over, another look finds them.
                    tracing::warn!(%error, "terminals are told later");
                }
                claims = rest;
            }
            if !full {
                return;
            }
        }
    }

    async fn push_together(&self, claims: Vec<PushClaim>) -> Result<()> {
        let news = self.news(&claims).await?;
        let needs = self.store.push_needs(&claims.iter().collect::<Vec<_>>()).await?;
        let turns = stream::iter(claims.into_iter().zip(news).zip(needs));
        let (told, mut outcomes) = mpsc::unbounded_channel();
        let telling = async move {
            let told = &told;
            let tell = |((claim, news), need)| async move {
                match self.tell(&claim, need, news).await {
                    Ok(outcome) => drop(told.send((claim, outcome))),
                    Err(error) => tracing::warn!(%error, "a terminal is told later, or twice"),
                }
            };
            turns.for_each_concurrent(AT_ONCE, tell).await;
        };
        // Beside the telling, which may hold every connection: what is told meanwhile is noted together.
        let noting = async {
            let mut finished = Vec::new();
            while outcomes.recv_many(&mut finished, AT_ONCE).await > 0 {
                if let Err(error) = self.store.finish_pushes(&finished).await {
                    tracing::warn!(%error, "terminals are told twice");
                }
                finished.clear();
            }
        };
        join!(telling, noting);
        Ok(())
    }

    /// Tells a terminal what it is to be told, of which it was just looked up whether it needs it.
    async fn tell(
        &self,
        claim: &PushClaim,
        first: PushNeed,
        news: Vec<News>,
    ) -> Result<PushOutcome> {
        let mut first = Some(first);
        for news in news {
            let need = match first.take() {
                Some(need) => need,
                // The request before has taken some time.
                None => self.push_need(claim).await?,
            };
            match need {
                PushNeed::Ended => return Ok(PushOutcome::Handled),
                PushNeed::Connected => return Ok(PushOutcome::Connected),
                PushNeed::Lags(cursor) if cursor >= news.seq() => continue,
                PushNeed::Lags(_) => {}
            }
            let provider = claim.target.provider().name();
            let terminal = (claim.session_id, claim.epoch);
            let told = self.push.tell(&claim.target, terminal, &news).await;
            let result = told.result().name();
            counter!(telemetry::PUSHES, "provider" => provider, "result" => result).increment(1);
            match told {
                Told::Delivered | Told::Refused => {}
                Told::Gone(since) => return Ok(PushOutcome::Gone(since)),
                Told::Later(_) if claim.failures >= MOST_FAILURES => {}
                Told::Later(asked) => {
                    let doubled = 2_u32.saturating_pow(claim.failures.unsigned_abs());
                    let pause = asked.unwrap_or(FIRST_PAUSE.saturating_mul(doubled));
                    return Ok(PushOutcome::Later(pause.clamp(FIRST_PAUSE, LONGEST_PAUSE)));
                }
            }
        }
        Ok(PushOutcome::Handled)
    }

    async fn push_need(&self, claim: &PushClaim) -> Result<PushNeed> {
        let needs = self.store.push_needs(&[claim]).await?;
        Ok(needs.into_iter().next().unwrap_or(PushNeed::Ended))
    }

    /// What each of the terminals is to be told: of each conversation its newest message that is unread, and that mentions
    /// the user where the conversation is muted; and of each that it was told of, and in which nothing is unread
    /// any more, that it is cleared.
    async fn news(&self, claims: &[PushClaim]) -> Result<Vec<Vec<News>>> {
        let entries = self.missing_entries(claims).await?;
        let looks: Vec<Look<'_>> = claims.iter().map(|claim| Look::new(claim, &entries)).collect();
        let numbers = self.numbers(&looks).await?;
        let asked = looks.iter().flat_map(|look| {
            let of = look.candidates.iter().map(Candidate::of);
            of.map(|of| (look.claim.user_no, numbers[of]))
        });
        let marks = self.store.push_marks(&asked.collect()).await?;
        let mut all = Vec::with_capacity(looks.len());
        for look in &looks {
            let mut news = look.messages(&numbers, &marks);
            self.add_cleared(look, &numbers, &mut news).await?;
            all.push(news);
        }
        self.set_badges(claims, &mut all).await?;
        Ok(all)
    }

    /// The newest of the entries that the terminals do not have, by user.
    async fn missing_entries(&self, claims: &[PushClaim]) -> Result<Missing> {
        let mut stretches: BTreeMap<UserNo, Stretch> = BTreeMap::new();
        for claim in claims {
            let first = first_missing(claim);
            let stretch = Stretch { owner: claim.user_no.into(), first, last: claim.last_seq };
            let known = stretches.entry(claim.user_no).or_insert(stretch);
            known.first = known.first.min(first);
            known.last = known.last.max(claim.last_seq);
        }
        let stretches: Vec<Stretch> = stretches.into_values().collect();
        let mut missing = Missing::new();
        for (owner, entry) in self.store.entries_in(&stretches, i64::MAX).await? {
            missing.entry(owner).or_default().push(entry);
        }
        Ok(missing)
    }

    /// The numbers of all conversations that entries are about.
    async fn numbers<'a>(&self, looks: &[Look<'a>]) -> Result<Numbers<'a>> {
        let mut numbers = Numbers::new();
        for of in looks.iter().flat_map(Look::conversations) {
            if !numbers.contains_key(of) {
                numbers.insert(of, self.store.conversation_no(of).await?);
            }
        }
        Ok(numbers)
    }

    async fn add_cleared(
        &self,
        look: &Look<'_>,
        numbers: &Numbers<'_>,
        news: &mut Vec<News>,
    ) -> Result<()> {
        let claim = look.claim;
        for Gone { entry, of, places } in &look.gone {
            let (after, upto) =
                (claim.cursor_seq.max(places.start() - 1), claim.handled_seq.min(*places.end()));
            if after >= upto || news.iter().any(|other| other.is_of(of)) {
                continue;
            }
            if self.store.has_received(claim.user_no, numbers[of], after, upto).await? {
                news.push(News::Cleared(Cleared::new(claim.content, of, entry)));
            }
        }
        Ok(())
    }

    async fn set_badges(&self, claims: &[PushClaim], all: &mut [Vec<News>]) -> Result<()> {
        let told = claims.iter().zip(&*all).filter(|(_, news)| !news.is_empty());
        let users: HashSet<UserNo> = told.map(|(claim, _)| claim.user_no).collect();
        if users.is_empty() {
            return Ok(());
        }
        let users: Vec<UserNo> = users.into_iter().collect();
        let unread = self.store.newest_unread(&users, BADGE_AMONG).await?;
        for (claim, news) in claims.iter().zip(all) {
            let badge = unread.get(&claim.user_no).copied().unwrap_or_default();
            for news in news {
                news.set_badge(badge);
            }
        }
        Ok(())
    }
}

/// Entries, ascending, by whose they are.
type Missing = HashMap<TimelineNo, Vec<Entry>>;

type Numbers<'a> = HashMap<&'a ConversationId, ConversationNo>;

/// The first entry that a terminal does not have, or of so many the first that it may be told of.
fn first_missing(claim: &PushClaim) -> i64 {
    claim.has().max(claim.last_seq.saturating_sub(MOST_MESSAGES)) + 1
}

/// A message that a terminal may be told of.
struct Candidate<'a> {
    entry: &'a Entry,
    message: &'a Message,
    content: &'a Content,
}

impl<'a> Candidate<'a> {
    /// Not one of the user's own, nor one that its sender wants nobody to be told of.
    fn read(entry: &'a Entry) -> Option<Self> {
        let EntryKind::Message(message) = &entry.kind else { return None };
        let Body::Content(content) = &message.body else { return None };
        let untold = message.client_message_id.is_some() || message.notice.no_push;
        (!untold).then_some(Self { entry, message, content })
    }

    fn of(&self) -> &'a ConversationId {
        &self.message.conversation_id
    }
}

/// An entry by which messages of a conversation are unread no longer.
struct Gone<'a> {
    entry: &'a Entry,
    of: &'a ConversationId,
    /// Where in the timeline they are.
    places: RangeInclusive<i64>,
}

impl<'a> Gone<'a> {
    fn read(entry: &'a Entry) -> Option<Self> {
        let (of, places) = match &entry.kind {
            EntryKind::ReadMark(read) => (&read.conversation_id, 1..=read.seq),
            EntryKind::MessageRecalled(gone) | EntryKind::MessageDeleted(gone) => {
                (&gone.conversation_id, gone.seq..=gone.seq)
            }
            EntryKind::MessagesErased(erased) => (&erased.conversation_id, 1..=i64::MAX),
            _ => return None,
        };
        Some(Self { entry, of, places })
    }
}

/// What a terminal does not have.
struct Look<'a> {
    claim: &'a PushClaim,
    candidates: Vec<Candidate<'a>>,
    gone: Vec<Gone<'a>>,
}

impl<'a> Look<'a> {
    fn new(claim: &'a PushClaim, missing: &'a Missing) -> Self {
        let stretch = first_missing(claim)..=claim.last_seq;
        let entries = missing.get(&claim.user_no.into()).into_iter().flatten();
        let entries = entries.filter(|entry| stretch.contains(&entry.seq()));
        Self {
            claim,
            candidates: entries.clone().filter_map(Candidate::read).collect(),
            gone: entries.filter_map(Gone::read).collect(),
        }
    }

    fn conversations(&self) -> impl Iterator<Item = &'a ConversationId> {
        let candidates = self.candidates.iter().map(Candidate::of);
        candidates.chain(self.gone.iter().map(|gone| gone.of))
    }

    /// Of each conversation the newest message that the terminal is to be told of, and how many there are.
    fn messages(
        &self,
        numbers: &Numbers<'_>,
        marks: &HashMap<(UserNo, ConversationNo), PushMarks>,
    ) -> Vec<News> {
        let is_told = |candidate: &&Candidate<'_>| {
            let mark = marks.get(&(self.claim.user_no, numbers[candidate.of()]));
            let PushMarks { read_seq, muted } = mark.copied().unwrap_or_default();
            candidate.entry.seq() > read_seq && (!muted || candidate.message.mentioned)
        };
        let told: Vec<&Candidate<'_>> = self.candidates.iter().filter(is_told).collect();
        let mut counts: HashMap<&ConversationId, u32> = HashMap::new();
        for candidate in &told {
            *counts.entry(candidate.of()).or_default() += 1;
        }
        let newest = told.into_iter().rev().filter_map(|candidate| {
            let count = counts.remove(candidate.of())?;
            let Candidate { entry, message, content } = candidate;
            let told = (self.claim.content, count);
            Some(News::Message(Notification::new(told, message, content, entry)))
        });
        let mut news: Vec<News> = newest.collect();
        news.reverse();
        news
    }
}
