//! What is known of the conversation, whatever order it comes in.

use std::collections::{BTreeMap, HashMap};

use imd_client::Event;
use imd_proto::v1::{
    Entry, HistoryEnd, ListHistoryResponse, Message, Quote, Reaction, Tombstone, entry::Kind,
    message::Content,
};
use time::{OffsetDateTime, macros::format_description};

use super::{
    around::Around,
    groups::{Members, group_change, member_change},
    line::News,
    peer::Peer,
};
use crate::{clock::time, output::printable};

/// How much of a message is shown that another one answers, in characters.
const MOST_QUOTED: usize = 30;

/// Who says a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// The user, on whatever terminal.
    Own,
    /// The peer.
    Peer,
    /// The user, and the server does not have it yet.
    Echo,
    /// Nobody: what happened.
    Notice,
}

/// One row to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Its place in the timeline, or behind which it stands.
    pub(super) seq: i64,
    pub(super) voice: Voice,
    pub(super) text: String,
}

struct Echo {
    client_message_id: String,
    text: String,
    /// Why it will not be sent.
    failed: Option<String>,
}

pub(super) struct Conversation {
    user: String,
    id: String,
    /// Of the group, where it is one.
    group_id: Option<String>,
    members: Members,
    /// Whether it is known who is in the group, or never will be.
    ready: bool,
    /// By place in the timeline, so that what comes twice stands once.
    places: BTreeMap<i64, Place>,
    /// By sender: all that it sent before this place is erased.
    erased_before: HashMap<String, i64>,
    /// Sent, and not yet seen in the timeline.
    echoes: Vec<Echo>,
    /// The newest place there is news of.
    last_seq: i64,
    /// Who is there, and who types.
    around: Around,
    /// The next older page: `None` while it is on its way or when there is none.
    older: Option<String>,
}

/// What stands at a place of the timeline.
#[derive(Default)]
struct Place {
    message: Option<Said>,
    /// What has become of the message, whether it is known yet or not.
    gone: Option<Tombstone>,
    /// What happened behind it.
    notices: Vec<Row>,
}

/// A message as it is shown.
struct Said {
    sender: String,
    at: String,
    text: String,
    /// How often each is given.
    reactions: Vec<Reaction>,
}

impl Conversation {
    pub(super) fn new(user: &str, peer: &Peer) -> Self {
        Self {
            user: user.to_owned(),
            id: peer.conversation_id(),
            group_id: match peer {
                Peer::User(_) => None,
                Peer::Group(group_id) => Some(group_id.clone()),
            },
            members: Members::default(),
            ready: matches!(peer, Peer::User(_)),
            places: BTreeMap::new(),
            erased_before: HashMap::new(),
            echoes: Vec::new(),
            last_seq: 0,
            around: Around::default(),
            older: None,
        }
    }

    /// Shows a text that is on its way.
    pub(super) fn echo(&mut self, client_message_id: String, text: &str) {
        self.echoes.push(Echo { client_message_id, text: text.to_owned(), failed: None });
    }

    /// Whether all is known that it takes to send a text.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// The members of the group whom a text mentions.
    pub(super) fn mentioned_in(&self, text: &str) -> Vec<String> {
        self.members.mentioned_in(text)
    }

    /// Whether some text is still on its way.
    pub(super) fn is_sending(&self) -> bool {
        self.echoes.iter().any(|echo| echo.failed.is_none())
    }

    /// Who is there and who types, in a line; empty where there is nothing to say.
    pub(super) fn around(&self) -> String {
        self.around.told()
    }

    /// Waits until somebody does not type any more.
    pub(super) async fn around_changes(&mut self) {
        self.around.expires().await;
    }

    /// The token of the next older page, once.
    pub(super) fn take_older(&mut self) -> Option<String> {
        self.older.take()
    }

    pub(super) fn take(&mut self, news: News) {
        match news {
            News::Event(Event::Entry(entry)) => self.entry(&entry),
            News::Event(Event::HistoryTruncated(gone)) => {
                self.last_seq = gone.to;
                self.notice("messages that came meanwhile can no longer be had");
            }
            News::Event(Event::TimelineReset(_)) => {
                self.places.clear();
                self.erased_before.clear();
                self.last_seq = 0;
                self.notice("the timeline begins anew");
            }
            News::Event(Event::Presence(changed)) => self.around.presence(changed),
            News::Event(Event::Signal(signal)) => {
                if signal.conversation_id == self.id {
                    self.around.signal(&signal);
                }
            }
            News::Event(Event::Opened(state)) => self.last_seq = self.last_seq.max(state.last_seq),
            // Until the timeline has it, the echo stays.
            News::Sent { outcome: Ok(()), .. } => {}
            News::Sent { client_message_id, outcome: Err(error) } => {
                let of_it = |echo: &&mut Echo| echo.client_message_id == client_message_id;
                if let Some(echo) = self.echoes.iter_mut().find(of_it) {
                    echo.failed = Some(error.to_string());
                }
            }
            News::Page(Ok(page)) => self.page(&page),
            News::Members(Ok(members)) => {
                self.ready = true;
                self.members.add(members);
            }
            News::Members(Err(why)) => {
                self.ready = true;
                self.notice(&format!("the members of the group cannot be had: {why}"));
            }
            News::Page(Err(why)) => self.notice(&format!("the history cannot be had: {why}")),
        }
    }

    fn entry(&mut self, entry: &Entry) {
        self.last_seq = self.last_seq.max(entry.seq);
        match &entry.kind {
            Some(Kind::Message(message)) if message.conversation_id == self.id => {
                self.message(entry, message);
            }
            Some(Kind::Message(message)) => {
                let with = message.conversation_id.trim_start_matches("user:").to_owned();
                self.notice(&format!("there is a message in the conversation with {with}"));
            }
            Some(Kind::SessionChanged(change)) => {
                if let Some(terminal) = change.started.as_ref().and_then(|s| s.terminal.as_ref()) {
                    let told =
                        format!("{} ({}) has logged in", terminal.device_name, terminal.r#type);
                    self.notice(&told);
                }
                for terminal in change.ended.iter().filter_map(|ended| ended.terminal.as_ref()) {
                    let told =
                        format!("{} ({}) is logged out", terminal.device_name, terminal.r#type);
                    self.notice(&told);
                }
            }
            Some(Kind::MessageEdited(edited)) => {
                if let Some(message) = &edited.message
                    && message.conversation_id == self.id
                    && let Some(said) = self.said_at(edited.seq)
                {
                    said.text = text_of(message);
                    said.reactions.clone_from(&message.reactions);
                }
            }
            Some(Kind::ReactionsChanged(changed)) if changed.conversation_id == self.id => {
                if let Some(said) = self.said_at(changed.seq) {
                    said.reactions.clone_from(&changed.reactions);
                }
            }
            Some(Kind::MessageRecalled(recalled)) if recalled.conversation_id == self.id => {
                self.lose(recalled.seq, Tombstone::Recalled);
            }
            Some(Kind::MessageDeleted(deleted)) if deleted.conversation_id == self.id => {
                self.lose(deleted.seq, Tombstone::Deleted);
            }
            Some(Kind::MessagesErased(erased)) if erased.conversation_id == self.id => {
                let sender = &erased.sender_id;
                self.erased_before.insert(sender.clone(), entry.seq);
                let told = format!("the account of {sender} is deleted, with all that it sent");
                self.notice(&told);
            }
            Some(Kind::GroupChanged(changed)) if self.is_group(&changed.group_id) => {
                self.notice(&group_change(changed));
            }
            Some(Kind::MemberChanged(changed)) if self.is_group(&changed.group_id) => {
                self.members.take(changed);
                self.notice(&member_change(changed));
            }
            // What is not known here, and what is of other conversations, is passed over.
            _ => {}
        }
    }

    /// The message at a place, if it is known.
    fn said_at(&mut self, seq: i64) -> Option<&mut Said> {
        self.places.get_mut(&seq)?.message.as_mut()
    }

    fn is_group(&self, group_id: &str) -> bool {
        self.group_id.as_deref() == Some(group_id)
    }

    /// The message at a place says nothing any more.
    fn lose(&mut self, seq: i64, tombstone: Tombstone) {
        let place = self.places.entry(seq).or_default();
        // What the user has deleted stays so, whatever its sender does.
        if place.gone != Some(Tombstone::Deleted) {
            place.gone = Some(tombstone);
        }
        if tombstone == Tombstone::Deleted
            && let Some(said) = &place.message
        {
            let told = format!("the message of {} is deleted", said.at);
            self.notice(&told);
        }
    }

    fn message(&mut self, entry: &Entry, message: &Message) {
        self.echoes.retain(|echo| echo.client_message_id != message.client_message_id);
        self.around.stops(&message.sender_id);
        let place = self.places.entry(entry.seq).or_default();
        if message.content.is_none() {
            place.gone = place.gone.or(Some(message.tombstone()));
        }
        let at = time(entry.appended_at).map(clock).unwrap_or_default();
        place.message = Some(Said {
            sender: message.sender_id.clone(),
            at,
            text: text_of(message),
            reactions: message.reactions.clone(),
        });
    }

    fn page(&mut self, page: &ListHistoryResponse) {
        for entry in &page.entries {
            if let Some(Kind::Message(message)) = &entry.kind {
                self.message(entry, message);
            }
        }
        self.older = Some(page.next_page_token.clone()).filter(|token| !token.is_empty());
        let end = match page.end() {
            HistoryEnd::Unspecified => return,
            HistoryEnd::Beginning => "the conversation begins here",
            HistoryEnd::RetentionLimit => "what was before this is not kept for this user",
        };
        let text = format!("-- {end}");
        let row = Row { seq: 0, voice: Voice::Notice, text };
        self.places.entry(0).or_default().notices = vec![row];
    }

    /// Says something behind all that there is.
    pub(super) fn notice(&mut self, text: &str) {
        let text = format!("-- {}", printable(text));
        let row = Row { seq: self.last_seq, voice: Voice::Notice, text };
        self.places.entry(self.last_seq).or_default().notices.push(row);
    }

    /// All there is to show, the oldest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        let echo = |echo: &Echo| {
            let text = printable(&echo.text);
            let (voice, text) = match &echo.failed {
                None => (Voice::Echo, format!("sending   {}: {text}", self.user)),
                Some(why) => (Voice::Notice, format!("-- not sent ({why}): {text}")),
            };
            Row { seq: i64::MAX, voice, text }
        };
        let place = |(seq, place): (&i64, &Place)| {
            let message = place.message.as_ref().and_then(|said| self.row(*seq, said, place.gone));
            message.into_iter().chain(place.notices.clone())
        };
        self.places.iter().flat_map(place).chain(self.echoes.iter().map(echo))
    }

    /// A message as a row; none when the user has deleted it.
    fn row(&self, seq: i64, said: &Said, gone: Option<Tombstone>) -> Option<Row> {
        let Said { sender, at, text, reactions } = said;
        let erased = self.erased_before.get(sender).is_some_and(|before| seq < *before);
        let text = match gone.or(erased.then_some(Tombstone::Erased)) {
            None => format!("{text}{}", counts_of(reactions)),
            Some(Tombstone::Deleted) => return None,
            Some(Tombstone::Recalled) => "[recalled]".to_owned(),
            Some(Tombstone::Erased) => "[erased with the account]".to_owned(),
            Some(Tombstone::Unspecified) => "[gone]".to_owned(),
        };
        let voice = if *sender == self.user { Voice::Own } else { Voice::Peer };
        Some(Row { seq, voice, text: format!("{at}  {sender}: {text}") })
    }
}

/// What a message says, in a line, with what it answers and where it comes from.
fn text_of(message: &Message) -> String {
    let said = match &message.content {
        Some(Content::Text(text)) => text.clone(),
        Some(Content::Data(data)) => format!("[{}, {} bytes]", data.content_type, data.data.len()),
        None => return String::new(),
    };
    let from = message.forwarded.as_ref().map(|from| format!("[from {}] ", from.sender_id));
    let quote = message.reply_to.as_ref().and_then(beginning).map(|quote| format!("[to {quote}] "));
    let (from, quote) = (from.unwrap_or_default(), quote.unwrap_or_default());
    let edited = if message.edit_no > 0 { " (edited)" } else { "" };
    printable(&format!("{from}{quote}{said}{edited}"))
}

/// The message that another one answers, as far as it fits beside it; none that cannot be seen.
fn beginning(quote: &Quote) -> Option<String> {
    if quote.sender_id.is_empty() {
        return None;
    }
    let said = if quote.text.is_empty() { &quote.content_type } else { &quote.text };
    let mut shown: String = said.chars().take(MOST_QUOTED).collect();
    if said.chars().nth(MOST_QUOTED).is_some() {
        shown.push('…');
    }
    Some(format!("{}: {shown}", quote.sender_id))
}

/// Reactions behind a message, with a star behind those that the user gives; empty for none.
fn counts_of(reactions: &[Reaction]) -> String {
    let count = |Reaction { reaction, count, own }: &Reaction| {
        format!("  {} {count}{}", printable(reaction), if *own { "*" } else { "" })
    };
    reactions.iter().map(count).collect()
}

/// A time of day, in UTC: a terminal does not say where it is.
pub(super) fn clock(at: OffsetDateTime) -> String {
    at.format(format_description!("[hour]:[minute]:[second]")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use imd_proto::v1::{
        HistoryTruncated, MessageDeleted, MessageEdited, MessageRecalled, MessagesErased,
        ReactionsChanged, Session, SessionChanged, Terminal, TimelineState,
    };

    use super::*;

    fn message(seq: i64, from: &str, to: &str, text: &str, id: &str) -> Entry {
        let message = Message {
            conversation_id: format!("user:{to}"),
            sender_id: from.to_owned(),
            client_message_id: id.to_owned(),
            content: Some(Content::Text(text.to_owned())),
            ..Message::default()
        };
        Entry { seq, kind: Some(Kind::Message(message)), ..Entry::default() }
    }

    fn shown(conversation: &Conversation) -> Vec<String> {
        conversation.rows().map(|row| row.text.trim().to_owned()).collect()
    }

    fn entry(entry: Entry) -> News {
        News::Event(Event::Entry(entry))
    }

    #[test]
    fn an_echo_gives_way_to_the_entry_and_nothing_stands_twice() {
        let mut chat = Conversation::new("ann", &Peer::User("bob".to_owned()));
        chat.echo("id".to_owned(), "hello");
        assert_eq!(shown(&chat), ["sending   ann: hello"]);
        assert!(chat.is_sending());
        let stored = message(7, "ann", "bob", "hello", "id");
        chat.take(entry(stored.clone()));
        chat.take(News::Sent { client_message_id: "id".to_owned(), outcome: Ok(()) });
        chat.take(News::Page(Ok(ListHistoryResponse {
            entries: vec![stored],
            ..Default::default()
        })));
        assert_eq!(shown(&chat), ["ann: hello"]);
        assert!(!chat.is_sending());
    }

    #[test]
    fn edits_quotes_and_reactions_stand_with_the_message() {
        let mut chat = Conversation::new("ann", &Peer::User("bob".to_owned()));
        let mut answer = message(7, "bob", "bob", "at six", "");
        if let Some(Kind::Message(message)) = &mut answer.kind {
            let (sender_id, text) =
                ("ann".to_owned(), "When do we meet, and where, by the way?".to_owned());
            message.reply_to = Some(Quote { sender_id, text, ..Quote::default() });
        }
        chat.take(entry(answer.clone()));
        assert_eq!(shown(&chat), ["bob: [to ann: When do we meet, and where, by…] at six"]);
        let Some(Kind::Message(mut edited)) = answer.kind else { unreachable!() };
        edited.content = Some(Content::Text("at seven".to_owned()));
        (edited.edit_no, edited.reply_to) = (1, None);
        let edited = MessageEdited { seq: 7, message: Some(edited) };
        let kind = Some(Kind::MessageEdited(edited));
        chat.take(entry(Entry { seq: 8, kind, ..Entry::default() }));
        let reaction =
            |reaction: &str, count, own| Reaction { reaction: reaction.to_owned(), count, own };
        let changed = ReactionsChanged {
            conversation_id: "user:bob".to_owned(),
            seq: 7,
            reactions: vec![reaction("👍", 2, true), reaction("🎉", 1, false)],
            ..ReactionsChanged::default()
        };
        let kind = Some(Kind::ReactionsChanged(changed));
        chat.take(entry(Entry { seq: 9, kind, ..Entry::default() }));
        assert_eq!(shown(&chat), ["bob: at seven (edited)  👍 2*  🎉 1"]);
    }

    #[test]
    fn pages_come_before_and_events_behind() {
        let mut chat = Conversation::new("ann", &Peer::User("bob".to_owned()));
        chat.take(News::Event(Event::Opened(TimelineState { last_seq: 5, ..Default::default() })));
        chat.take(entry(message(6, "bob", "bob", "new", "")));
        let mut page = ListHistoryResponse {
            entries: vec![
                message(5, "ann", "bob", "old", ""),
                message(4, "bob", "bob", "older", ""),
            ],
            next_page_token: "more".to_owned(),
            ..Default::default()
        };
        chat.take(News::Page(Ok(page.clone())));
        assert_eq!(chat.take_older().as_deref(), Some("more"));
        assert_eq!(chat.take_older(), None, "a page is asked for once");
        page = ListHistoryResponse {
            entries: vec![message(2, "bob", "bob", "oldest", "")],
            ..Default::default()
        };
        page.set_end(HistoryEnd::RetentionLimit);
        chat.take(News::Page(Ok(page)));
        assert_eq!(
            shown(&chat),
            [
                "-- what was before this is not kept for this user",
                "bob: oldest",
                "bob: older",
                "ann: old",
                "bob: new"
            ]
        );
    }

    #[test]
    fn what_happens_is_told_in_its_place() {
        let mut chat = Conversation::new("ann", &Peer::User("bob".to_owned()));
        chat.take(entry(message(3, "bob", "bob", "hi", "")));
        chat.take(News::Event(Event::HistoryTruncated(HistoryTruncated {
            from: 4,
            to: 8,
            ..Default::default()
        })));
        let terminal = Terminal {
            r#type: "pad".to_owned(),
            device_name: "Ann's pad".to_owned(),
            ..Default::default()
        };
        let change = SessionChanged {
            started: Some(Session { terminal: Some(terminal), ..Default::default() }),
            ended: vec![],
        };
        chat.take(entry(Entry {
            seq: 9,
            kind: Some(Kind::SessionChanged(change)),
            ..Default::default()
        }));
        chat.take(entry(message(10, "cleo", "cleo", "psst", "")));
        chat.take(entry(Entry { seq: 11, kind: None, ..Default::default() }));
        assert_eq!(
            shown(&chat),
            [
                "bob: hi",
                "-- messages that came meanwhile can no longer be had",
                "-- Ann's pad (pad) has logged in",
                "-- there is a message in the conversation with cleo",
            ]
        );
    }

    fn kind(seq: i64, kind: Kind) -> News {
        entry(Entry { seq, kind: Some(kind), ..Entry::default() })
    }

    #[test]
    fn what_is_gone_is_shown_no_longer_in_whatever_order_that_is_told() {
        let (with, page) = ("user:bob".to_owned(), ListHistoryResponse::default());
        let mut chat = Conversation::new("ann", &Peer::User("bob".to_owned()));
        for seq in 1..=4 {
            chat.take(entry(message(seq, "bob", "bob", &format!("text {seq}"), "")));
        }
        chat.take(entry(message(5, "ann", "bob", "mine", "")));
        let recalled =
            MessageRecalled { conversation_id: with.clone(), seq: 2, ..Default::default() };
        chat.take(kind(6, Kind::MessageRecalled(recalled)));
        let deleted =
            MessageDeleted { conversation_id: with.clone(), seq: 3, ..Default::default() };
        chat.take(kind(7, Kind::MessageDeleted(deleted)));
        assert_eq!(
            shown(&chat),
            [
                "bob: text 1",
                "bob: [recalled]",
                "bob: text 4",
                "ann: mine",
                "-- the message of  is deleted"
            ]
        );
        // A page that was read before all that.
        let entries =
            vec![message(2, "bob", "bob", "text 2", ""), message(3, "bob", "bob", "text 3", "")];
        chat.take(News::Page(Ok(ListHistoryResponse { entries, ..page })));
        let erased = MessagesErased { conversation_id: with, sender_id: "bob".to_owned() };
        chat.take(kind(8, Kind::MessagesErased(erased)));
        assert_eq!(
            shown(&chat),
            [
                "bob: [erased with the account]",
                "bob: [recalled]",
                "bob: [erased with the account]",
                "ann: mine",
                "-- the message of  is deleted",
                "-- the account of bob is deleted, with all that it sent",
            ]
        );
    }

    #[test]
    fn a_message_can_neither_move_the_cursor_nor_turn_the_text_around() {
        let mut chat = Conversation::new("ann", &Peer::User("bob".to_owned()));
        chat.take(entry(message(1, "bob", "bob", "two\nlines \u{1b}[2J\u{7}", "")));
        chat.take(entry(message(2, "bob", "bob", "\u{202e}evil\u{2066}", "")));
        assert_eq!(
            shown(&chat),
            ["bob: two ⏎ lines \u{fffd}[2J\u{fffd}", "bob: \u{fffd}evil\u{fffd}"]
        );
    }
}
