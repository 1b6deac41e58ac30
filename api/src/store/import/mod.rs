//! Importing messages, groups and what users have set from elsewhere, with their own times: into timelines that hold nothing
//! else, so that the order of seqs stays that of times. A timeline that an import has begun takes nothing
//! but what is imported until the import is finished.

mod filled;
mod groups;
mod marks;
mod users;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use self::{
    filled::{Filling, Place, SentRow, Timelines, fill},
    groups::members_of,
    marks::{Copy, Marked, write_marks},
};
use super::{
    Audit, Store, Transaction,
    entries::{EVERYBODY, KIND_MESSAGE, MENTIONED},
    timelines::{Closed, OPEN},
    transaction,
};
use crate::model::{
    Content, ContentHash, ConversationId, ConversationNo, Error, Mentions, Result, UserId, UserNo,
};

pub use groups::{ImportChange, ImportGroup, ImportMember};
pub use marks::ImportMarks;
pub use users::{ImportConversation, ImportUser};

/// The most rows of one transaction beyond its first message: one of a group has a row for each member.
const MOST_ROWS: usize = 20_000;

/// A message from elsewhere.
#[derive(Debug, Clone)]
pub struct ImportMessage {
    /// Where it stands in what is imported, for refusals.
    pub line: i64,
    /// Who sent it.
    pub sender: UserNo,
    /// The same, by id.
    pub sender_id: UserId,
    /// To whom, the sender for a note to oneself; or to which group.
    pub to: ConversationNo,
    /// The same, by id.
    pub to_id: ConversationId,
    /// The id that its sender gave it.
    pub client_message_id: Uuid,
    /// When it was sent.
    pub sent_at: OffsetDateTime,
    /// What it says.
    pub content: Content,
    /// [`Content::hash`] of it.
    pub content_hash: ContentHash,
    /// Whom it mentions; only in groups.
    pub mentions: Mentions,
    /// What stands with it.
    pub marks: ImportMarks,
}

impl ImportMessage {
    fn gone(&self) -> Error {
        match &self.to_id {
            ConversationId::User(user_id) => Error::UserNotFound(user_id.clone()),
            ConversationId::Group(group_id) => Error::GroupNotFound(group_id.clone()),
        }
    }
}

/// Requires a time between that of what came before and now.
fn require_order(
    at: OffsetDateTime,
    last_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<()> {
    if at > now {
        return Err(Error::invalid("sent_at", "is in the future"));
    }
    if last_at.is_some_and(|last| at < last) {
        return Err(Error::invalid("sent_at", "is before that of the line before it"));
    }
    Ok(())
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportedBatch {
    /// How many of it were looked at: all, or fewer when they would have made too many rows.
    pub taken: usize,
    /// What stands now.
    pub imported: i64,
    /// What stood before.
    pub duplicates: i64,
}

/// A message as the sender's copy of it tells it.
type Known = (i64, Vec<u8>);

/// The rows of a batch, and what its messages leave behind beside them.
#[derive(Default)]
struct Rows<'a> {
    filled: Vec<Filling<'a>>,
    /// How far owners have read conversations: what they received they had read, where it comes from.
    read: BTreeMap<(i64, i64), i64>,
    marked: Vec<Marked<'a>>,
}

impl Store {
    /// Appends the messages with their own times, all or none; those that stand already are left. Their
    /// timelines belong to the import from now on. What is imported counts as read. `last_at` is the
    /// time of what came before them.
    ///
    /// Errors, each with the line: [`Error::UserNotFound`], [`Error::GroupNotFound`];
    /// [`Error::MemberNotFound`] for a sender, and [`Error::InvalidArgument`] for a mentioned user, who is
    /// not in the group at that time; [`Error::TimelineNotEmpty`] for a timeline that was not begun by an
    /// import; [`Error::InvalidArgument`] for a time that is before that of the line before it or of
    /// another entry of the timeline, or to come, and for a quoted message of another conversation;
    /// [`Error::ClientMessageIdConflict`]; [`Error::TooManyPins`].
    pub async fn import_batch(
        &self,
        import_id: Uuid,
        last_at: Option<OffsetDateTime>,
        batch: &[ImportMessage],
        audit: Option<Audit<'_>>,
    ) -> Result<ImportedBatch> {
        let mentions: Vec<Option<String>> = batch.iter().map(|m| m.mentions.array()).collect();
        transaction!(self, async |tx| {
            let groups: BTreeSet<i64> =
                batch.iter().filter_map(|m| m.to.group().map(|_| m.to.0)).collect();
            let members = members_of(&tx, &groups).await?;
            let users = batch.iter().flat_map(|m| [m.sender.0, m.to.0]);
            let owners = users.chain(members.values().flatten().copied()).collect();
            let mut timelines = Timelines::lock(&tx, &owners).await?;
            let now = tx.now().await?;
            let mut known = known(&tx, batch).await?;
            let (mut rows, mut last_at) = (Rows::default(), last_at);
            let mut done = ImportedBatch::default();
            for (message, mentions) in batch.iter().zip(&mentions) {
                if rows.filled.len() > MOST_ROWS {
                    break;
                }
                done.taken += 1;
                let at_line = |error| Error::at_line(message.line, error);
                require_order(message.sent_at, last_at, now).map_err(at_line)?;
                last_at = Some(message.sent_at);
                if is_known(&mut known, message).map_err(at_line)? {
                    done.duplicates += 1;
                    continue;
                }
                done.imported += 1;
                match members.get(&message.to.0) {
                    Some(members) => {
                        rows.add_to_group(message, mentions.as_deref(), members, &mut timelines)
                    }
                    None => rows.add_between_users(message, &mut timelines),
                }
                .map_err(at_line)?;
            }
            fill(&tx, &rows.filled).await?;
            write_marks(&tx, &rows.marked).await?;
            timelines.count(&tx, import_id).await?;
            mark_read(&tx, &rows.read).await?;
            groups::bring_members_up(&tx, &groups, &timelines).await?;
            if let Some(audit) = &audit {
                audit.record(&tx, None).await?;
            }
            tx.commit().await?;
            Ok(done)
        })
    }

    /// Opens up to `limit` of the timelines that the import has filled, or any import when none is
    /// named: how many.
    pub async fn finish_import_batch(&self, import_id: Option<Uuid>, limit: i64) -> Result<i64> {
        transaction!(self, async |tx| {
            let rows = tx
                .query(
                    "SELECT t.owner FROM timelines t JOIN (
                     SELECT owner FROM imports WHERE $1::uuid IS NULL OR import_id = $1
                     ORDER BY owner LIMIT $2
                 ) i USING (owner)
                 ORDER BY t.owner FOR UPDATE OF t",
                    &[&import_id, &limit],
                )
                .await?;
            let owners: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            tx.execute(
                "UPDATE timelines SET state = $2 WHERE owner = ANY($1) AND state = $3",
                &[&owners, &OPEN, &(Closed::Importing as i16)],
            )
            .await?;
            tx.execute("DELETE FROM imports WHERE owner = ANY($1)", &[&owners]).await?;
            tx.commit().await?;
            Ok(i64::try_from(owners.len()).unwrap_or(limit))
        })
    }
}

/// Those of the messages that stand already.
async fn known(
    tx: &Transaction<'_>,
    batch: &[ImportMessage],
) -> Result<HashMap<(UserNo, Uuid), Known>> {
    let rows = sent(tx, batch.iter().map(|m| (m.sender, m.client_message_id))).await?;
    let known = |row: &Row| {
        let name = (UserNo(row.get("owner")), row.get("client_message_id"));
        (name, (row.get("conversation"), row.get("content_hash")))
    };
    Ok(rows.iter().map(known).collect())
}

/// The senders' copies of messages, by who sent them and the ids that these gave.
async fn sent(
    tx: &Transaction<'_>,
    names: impl Iterator<Item = (UserNo, Uuid)>,
) -> Result<Vec<Row>> {
    let (senders, ids): (Vec<i64>, Vec<Uuid>) = names.map(|(sender, id)| (sender.0, id)).unzip();
    let rows = tx
        .query(
            "SELECT e.owner, e.client_message_id, e.seq, e.conversation, e.content_hash, e.copies
             FROM unnest($1::bigint[], $2::uuid[]) i (sender, client_message_id)
             JOIN entries e ON e.owner = i.sender AND e.client_message_id = i.client_message_id",
            &[&senders, &ids],
        )
        .await?;
    Ok(rows)
}

/// Whether the message stands already or comes for the second time. It is known from now on.
fn is_known(known: &mut HashMap<(UserNo, Uuid), Known>, message: &ImportMessage) -> Result<bool> {
    let this = (message.to.0, message.content_hash.to_vec());
    let name = (message.sender, message.client_message_id);
    match known.get(&name) {
        Some(earlier) if *earlier == this => Ok(true),
        Some(_) => Err(Error::ClientMessageIdConflict),
        None => {
            known.insert(name, this);
            Ok(false)
        }
    }
}

impl<'a> Rows<'a> {
    /// Gives a message between users its places: the sender's, its home; and the recipient's, but for a
    /// note to oneself.
    fn add_between_users(
        &mut self,
        message: &'a ImportMessage,
        timelines: &mut Timelines,
    ) -> Result<()> {
        let (sender, recipient) = (message.sender.0, message.to.0);
        let gone = || Error::UserNotFound(message.sender_id.clone());
        let sent = timelines.take(sender, message.sent_at, true, gone)?;
        let received = if recipient == sender {
            None
        } else {
            Some(timelines.take(recipient, message.sent_at, true, || message.gone())?)
        };
        let row = |owner: i64, place: Place, conversation: i64, sent_row| Filling {
            owner,
            place,
            conversation,
            sender: Some(sender),
            home_seq: sent.seq,
            at: message.sent_at,
            kind: KIND_MESSAGE,
            sent: sent_row,
            content_type: message.content.content_type(),
            body: message.content.body(),
            mentions: None,
            flags: None,
        };
        let copy_in =
            |owner, place: Place, conversation| Copy { owner, seq: place.seq, conversation };
        let copies = [Some((sender, sent, recipient)), received.map(|at| (recipient, at, sender))];
        let copies = copies.into_iter().flatten().map(|(owner, at, of)| copy_in(owner, at, of));
        self.marked.extend(Marked::of(message, copies.collect()));
        let copy = received.map(|place| (recipient, place.seq));
        self.filled.push(row(sender, sent, recipient, Some(sent_row(message, copy))));
        if let Some(place) = received {
            self.filled.push(row(recipient, place, sender, None));
            self.read.insert((recipient, sender), place.seq);
        }
        Ok(())
    }

    /// Gives a message of a group its places: its home in the group's timeline, and a reference to it in
    /// that of each of the `members`.
    fn add_to_group(
        &mut self,
        message: &'a ImportMessage,
        mentions: Option<&'a str>,
        members: &BTreeSet<i64>,
        timelines: &mut Timelines,
    ) -> Result<()> {
        let (sender, group) = (message.sender.0, message.to.0);
        if !members.contains(&sender) {
            return Err(Error::MemberNotFound(message.sender_id.clone()));
        }
        let mentioned: BTreeSet<i64> = message.mentions.users.iter().map(|(no, _)| no.0).collect();
        if let Some((_, user_id)) =
            message.mentions.users.iter().find(|(no, _)| !members.contains(&no.0))
        {
            let reason = format!("{user_id} is not a member of the group");
            return Err(Error::invalid("mentions", reason));
        }
        let home = timelines.take(group, message.sent_at, true, || message.gone())?;
        self.filled.push(Filling {
            owner: group,
            place: home,
            conversation: group,
            sender: Some(sender),
            home_seq: home.seq,
            at: message.sent_at,
            kind: KIND_MESSAGE,
            sent: None,
            content_type: message.content.content_type(),
            body: message.content.body(),
            mentions,
            flags: message.mentions.all.then_some(EVERYBODY),
        });
        let home = Copy { owner: group, seq: home.seq, conversation: group };
        let mut marked = Marked::of(message, vec![home]);
        for &member in members {
            let gone = || Error::UserNotFound(message.sender_id.clone());
            let place = timelines.take(member, message.sent_at, true, gone)?;
            if let Some(marked) = &mut marked {
                marked.refer(Copy { owner: member, seq: place.seq, conversation: group });
            }
            let own = member == sender;
            let mentioned = message.mentions.all || mentioned.contains(&member);
            self.filled.push(Filling {
                owner: member,
                place,
                conversation: group,
                sender: Some(sender),
                home_seq: home.seq,
                at: message.sent_at,
                kind: KIND_MESSAGE,
                sent: own.then(|| sent_row(message, Some((group, home.seq)))),
                content_type: None,
                body: &[],
                mentions: None,
                flags: (mentioned && !own).then_some(MENTIONED),
            });
            if !own {
                self.read.insert((member, group), place.seq);
            }
        }
        self.marked.extend(marked);
        Ok(())
    }
}

fn sent_row(message: &ImportMessage, copy: Option<(i64, i64)>) -> SentRow<'_> {
    SentRow {
        client_message_id: message.client_message_id,
        content_hash: &message.content_hash,
        copy,
    }
}

/// Marks what was received as read: it was, where it comes from.
async fn mark_read(tx: &Transaction<'_>, read: &BTreeMap<(i64, i64), i64>) -> Result<()> {
    let owners: Vec<i64> = read.keys().map(|(owner, _)| *owner).collect();
    let conversations: Vec<i64> = read.keys().map(|(_, conversation)| *conversation).collect();
    let seqs: Vec<i64> = read.values().copied().collect();
    tx.execute(
        "INSERT INTO read_marks (owner, conversation, read_seq)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
         ON CONFLICT (owner, conversation)
             DO UPDATE SET read_seq = greatest(read_marks.read_seq, excluded.read_seq)",
        &[&owners, &conversations, &seqs],
    )
    .await?;
    Ok(())
}
