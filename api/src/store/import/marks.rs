//! What stands with imported messages beside what they say. It is written in the transaction that imports them.

use std::collections::HashMap;

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{ImportMessage, sent};
use crate::{
    model::{EditRecord, Error, MOST_PINS, Reaction, ReactionCount, Result, UserNo},
    store::{Transaction, reactions::summary_text},
};

/// What is to stand with a message from elsewhere: checked, with the numbers of users.
#[derive(Debug, Clone, Default)]
pub struct ImportMarks {
    /// The message of the same conversation that it quotes: who sent it, and by which id.
    pub reply_to: Option<(UserNo, Uuid)>,
    /// Who sent first what it says, and when, if it is forwarded.
    pub forwarded: Option<(UserNo, OffsetDateTime)>,
    /// Its edits, the oldest first.
    pub edits: Vec<EditRecord>,
    /// Who reacts to it, by kinds in the order in which they came; between users only those two.
    pub reactions: Vec<(Reaction, Vec<UserNo>)>,
    /// Who has pinned it, and when; between users only one of those two.
    pub pinned: Option<(UserNo, OffsetDateTime)>,
}

impl ImportMarks {
    /// Whether nothing stands with the message.
    fn is_empty(&self) -> bool {
        let Self { reply_to, forwarded, edits, reactions, pinned } = self;
        reply_to.is_none()
            && forwarded.is_none()
            && edits.is_empty()
            && reactions.is_empty()
            && pinned.is_none()
    }

    /// `entries.reactions` as the owner of a timeline sees them. A group sees none as its own.
    fn summary(&self, owner: i64) -> Result<Option<String>> {
        let count = |(reaction, users): &(Reaction, Vec<UserNo>)| ReactionCount {
            reaction: reaction.as_str().to_owned(),
            count: i32::try_from(users.len()).unwrap_or(i32::MAX),
            own: users.contains(&UserNo(owner)),
        };
        summary_text(&self.reactions.iter().map(count).collect::<Vec<_>>())
    }
}

/// A row that tells of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy {
    pub(super) owner: i64,
    pub(super) seq: i64,
    pub(super) conversation: i64,
}

/// A message that something stands with.
pub(super) struct Marked<'a> {
    message: &'a ImportMessage,
    /// The rows that hold what it says: its home comes first, and between users there is the other one's.
    copies: Vec<Copy>,
    /// The rows of members that refer to its home.
    references: Vec<Copy>,
}

impl<'a> Marked<'a> {
    /// `None` for a message that nothing stands with.
    pub(super) fn of(message: &'a ImportMessage, copies: Vec<Copy>) -> Option<Self> {
        let marked = Self { message, copies, references: Vec::new() };
        (!message.marks.is_empty()).then_some(marked)
    }

    /// Takes a row that refers to the home.
    pub(super) fn refer(&mut self, reference: Copy) {
        self.references.push(reference);
    }

    fn home(&self) -> Copy {
        self.copies[0]
    }
}

/// Writes what stands with the messages, whose rows stand already.
///
/// Errors, with the line: [`Error::TooManyPins`]; [`Error::InvalidArgument`] for a quoted message of another
/// conversation.
pub(super) async fn write_marks(tx: &Transaction<'_>, marked: &[Marked<'_>]) -> Result<()> {
    if marked.is_empty() {
        return Ok(());
    }
    write_columns(tx, marked).await?;
    write_edits(tx, marked).await?;
    write_reactions(tx, marked).await?;
    write_pins(tx, marked).await?;
    write_quotes(tx, marked).await
}

/// Writes what stands in the rows themselves.
async fn write_columns(tx: &Transaction<'_>, marked: &[Marked<'_>]) -> Result<()> {
    let (mut owners, mut seqs) = (Vec::new(), Vec::new());
    let (mut edit_nos, mut edited) = (Vec::new(), Vec::new());
    let (mut from, mut first_sent) = (Vec::new(), Vec::new());
    let mut summaries = Vec::new();
    for marked in marked {
        let marks = &marked.message.marks;
        let last = marks.edits.last();
        for copy in &marked.copies {
            owners.push(copy.owner);
            seqs.push(copy.seq);
            edit_nos.push(last.and_then(|_| i32::try_from(marks.edits.len()).ok()));
            edited.push(last.map(|edit| edit.edited_at));
            from.push(marks.forwarded.map(|(sender, _)| sender.0));
            first_sent.push(marks.forwarded.map(|(_, sent_at)| sent_at));
            summaries.push(marks.summary(copy.owner)?);
        }
    }
    tx.execute(
        "UPDATE entries e
         SET edit_no = m.edit_no, edited_at = m.edited_at, forwarded_from = m.forwarded_from,
             forwarded_at = m.forwarded_at, reactions = m.reactions
         FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::timestamptz[], $5::bigint[],
                 $6::timestamptz[], $7::text[])
             m (owner, seq, edit_no, edited_at, forwarded_from, forwarded_at, reactions)
         WHERE e.owner = m.owner AND e.seq = m.seq",
        &[&owners, &seqs, &edit_nos, &edited, &from, &first_sent, &summaries],
    )
    .await?;
    Ok(())
}

/// Writes the edits. No client knows them by an id.
async fn write_edits(tx: &Transaction<'_>, marked: &[Marked<'_>]) -> Result<()> {
    let (mut homes, mut seqs, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut times, mut ids, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut types, mut bodies) = (Vec::new(), Vec::new());
    for marked in marked {
        let (message, home) = (marked.message, marked.home());
        for (number, edit) in (1..).zip(&message.marks.edits) {
            homes.push(home.owner);
            seqs.push(home.seq);
            numbers.push(number);
            times.push(edit.edited_at);
            ids.push(Uuid::new_v4());
            hashes.push(message.content_hash.as_slice());
            types.push(edit.before.as_ref().and_then(|before| before.content_type()));
            bodies.push(edit.before.as_ref().map(|before| before.body().as_ref()));
        }
    }
    tx.execute(
        "INSERT INTO message_edits (home, home_seq, edit_no, edited_at, client_edit_id, content_hash,
             content_type, body)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::timestamptz[], $5::uuid[],
             $6::bytea[], $7::text[], $8::bytea[])",
        &[&homes, &seqs, &numbers, &times, &ids, &hashes, &types, &bodies],
    )
    .await?;
    Ok(())
}

async fn write_reactions(tx: &Transaction<'_>, marked: &[Marked<'_>]) -> Result<()> {
    let (mut homes, mut seqs) = (Vec::new(), Vec::new());
    let (mut reactions, mut users) = (Vec::new(), Vec::new());
    for marked in marked {
        for (reaction, by) in &marked.message.marks.reactions {
            for user_no in by {
                homes.push(marked.home().owner);
                seqs.push(marked.home().seq);
                reactions.push(reaction.as_str());
                users.push(user_no.0);
            }
        }
    }
    tx.execute(
        "INSERT INTO reactions (home, home_seq, reaction, user_no)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[])",
        &[&homes, &seqs, &reactions, &users],
    )
    .await?;
    Ok(())
}

async fn write_pins(tx: &Transaction<'_>, marked: &[Marked<'_>]) -> Result<()> {
    let (mut owners, mut seqs, mut conversations) = (Vec::new(), Vec::new(), Vec::new());
    let (mut by, mut times) = (Vec::new(), Vec::new());
    for marked in marked {
        let Some((pinned_by, pinned_at)) = marked.message.marks.pinned else { continue };
        for copy in &marked.copies {
            owners.push(copy.owner);
            seqs.push(copy.seq);
            conversations.push(copy.conversation);
            by.push(pinned_by.0);
            times.push(pinned_at);
        }
    }
    if owners.is_empty() {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO pinned_messages (owner, seq, conversation, pinned_by, pinned_at)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[])",
        &[&owners, &seqs, &conversations, &by, &times],
    )
    .await?;
    let full = tx
        .query_opt(
            "SELECT p.owner, p.conversation FROM pinned_messages p
             JOIN (SELECT DISTINCT * FROM unnest($1::bigint[], $2::bigint[])) c (owner, conversation)
                 ON p.owner = c.owner AND p.conversation = c.conversation
             GROUP BY p.owner, p.conversation HAVING count(*) > $3 LIMIT 1",
            &[&owners, &conversations, &MOST_PINS],
        )
        .await?;
    let Some(full) = full else { return Ok(()) };
    let full: (i64, i64) = (full.get("owner"), full.get("conversation"));
    let is_one = |marked: &&Marked<'_>| {
        marked.message.marks.pinned.is_some()
            && marked.copies.iter().any(|copy| (copy.owner, copy.conversation) == full)
    };
    let last = marked.iter().rev().find(is_one).map_or(0, |marked| marked.message.line);
    Err(Error::at_line(last, Error::TooManyPins))
}

/// A quoted message: where its sender has it, in which conversation, and where it stands beside.
struct Quoted {
    conversation: i64,
    own: (i64, i64),
    other: Option<(i64, i64)>,
}

impl Quoted {
    /// The place of the copy that stands in a timeline; 0 where there is none.
    fn seq_in(&self, owner: i64) -> i64 {
        let places = [Some(self.own), self.other];
        let here = places.into_iter().flatten().find(|place| place.0 == owner);
        here.map_or(0, |place| place.1)
    }
}

/// Has messages quote others. One that does not stand here is quoted as one that is gone.
async fn write_quotes(tx: &Transaction<'_>, marked: &[Marked<'_>]) -> Result<()> {
    let quoting: Vec<(&Marked<'_>, (UserNo, Uuid))> =
        marked.iter().filter_map(|marked| Some((marked, marked.message.marks.reply_to?))).collect();
    if quoting.is_empty() {
        return Ok(());
    }
    let found = quoted(tx, &quoting).await?;
    let (mut owners, mut seqs, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    let (mut groups, mut homes) = (Vec::new(), Vec::new());
    for (marked, name) in quoting {
        let found = found.get(&name);
        if found.is_some_and(|found| !is_of_conversation(found, marked.message)) {
            let error = Error::invalid("reply_to", "is a message of another conversation");
            return Err(Error::at_line(marked.message.line, error));
        }
        for copy in &marked.copies {
            owners.push(copy.owner);
            seqs.push(copy.seq);
            targets.push(found.map_or(0, |found| found.seq_in(copy.owner)));
            groups.push(None);
            homes.push(None);
        }
        for reference in &marked.references {
            owners.push(reference.owner);
            seqs.push(reference.seq);
            targets.push(0);
            groups.push(Some(reference.conversation));
            homes.push(found.map(|found| found.seq_in(reference.conversation)));
        }
    }
    tx.execute(
        "UPDATE entries e SET target_seq = CASE WHEN m.of_group IS NULL THEN m.target ELSE coalesce((
             SELECT q.seq FROM entries q
             WHERE q.owner = m.owner AND q.conversation = m.of_group AND q.home_seq = m.home
                 AND q.kind = 1 AND q.tombstone IS NULL
             ORDER BY q.seq DESC LIMIT 1
         ), 0) END
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
             m (owner, seq, target, of_group, home)
         WHERE e.owner = m.owner AND e.seq = m.seq",
        &[&owners, &seqs, &targets, &groups, &homes],
    )
    .await?;
    Ok(())
}

/// Whether a quoted message is of the conversation of one that quotes it.
fn is_of_conversation(quoted: &Quoted, by: &ImportMessage) -> bool {
    let (sender, to) = (by.sender.0, by.to.0);
    match by.to.group() {
        Some(_) => quoted.conversation == to,
        None => [(sender, to), (to, sender)].contains(&(quoted.own.0, quoted.conversation)),
    }
}

/// The quoted messages that stand here, by their names.
async fn quoted(
    tx: &Transaction<'_>,
    quoting: &[(&Marked<'_>, (UserNo, Uuid))],
) -> Result<HashMap<(UserNo, Uuid), Quoted>> {
    let rows = sent(tx, quoting.iter().map(|(_, name)| *name)).await?;
    let quoted = |row: &Row| {
        let owner: i64 = row.get("owner");
        let copies: Option<Vec<i64>> = row.get("copies");
        let found = Quoted {
            conversation: row.get("conversation"),
            own: (owner, row.get("seq")),
            other: copies.and_then(|copies| Some((*copies.first()?, *copies.get(1)?))),
        };
        ((UserNo(owner), row.get("client_message_id")), found)
    };
    Ok(rows.iter().map(quoted).collect())
}
