//! Groups that move from one system to another, with their members and what was said in them.

use imd_proto::v1::{
    AdminSendRequest, GroupDissolvedRecord, GroupMember, GroupRecord, GroupRole, ImportBegin,
    ImportEnd, ImportedGroup, ImportedGroupDissolved, ImportedMemberChange, ImportedMessage,
    MemberChange, MemberChangeRecord, MessageRecord, import_messages_request::Step,
    send_request::To,
};
use prost_types::Timestamp;
use serde_json::json;

use super::{record, records, text};
use crate::{
    admin::send::as_system,
    append::assert_dense,
    groups::{IN_OSLO, OSLO, group_of, text as to_oslo},
    support::{
        api::{GroupCall, Outgoing, Transport},
        cluster::Cluster,
        eventually,
        terminal::Terminal,
        types::{Entry, Kind},
    },
};

/// Waits until the timeline of a member has so many messages.
pub(super) async fn has(terminal: &Terminal, count: usize) {
    eventually("all messages", async || {
        let entries = terminal.timeline().await;
        let messages = entries.iter().filter(|entry| entry.as_message().is_some());
        (messages.count() >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_export_has_the_messages_of_groups_that_its_owner_has() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let mention = Outgoing { mentions: vec!["ben".to_owned()], ..to_oslo("@ben") };
    ann.send(&mention).await.expect("sent");
    let recalled = ben.say(IN_OSLO, "recalled").await;
    ben.recall(&recalled.message_id).await.expect("recalled");
    cleo.say("ben", "to you alone").await;
    let last = ann.send(&Outgoing { mention_all: true, ..to_oslo("@all") }).await.expect("sent");
    // What was taken back is there still, as a tombstone.
    for (member, messages) in [(&ann, 3), (&ben, 4), (&cleo, 4)] {
        has(member, messages).await;
    }

    let of_ben = imd.admin().export("ben", None).await.expect("an export");
    assert_eq!(of_ben[2].message_id, last.message_id);
    let of_ben = records(of_ben);
    let shown: Vec<_> =
        of_ben.iter().map(|r| (&*r.sender_id, &*r.recipient_id, &*r.group_id, text(r))).collect();
    let due =
        [("ann", "", OSLO, "@ben"), ("cleo", "ben", "", "to you alone"), ("ann", "", OSLO, "@all")];
    assert_eq!(shown, due);
    assert_eq!((&of_ben[0].mentions, of_ben[0].mention_all), (&vec!["ben".to_owned()], false));
    assert_eq!((of_ben[2].mentions.len(), of_ben[2].mention_all), (0, true));
    // Each message has one id, whoever's timeline it is taken from: its sender's, too.
    for member in ["ann", "cleo"] {
        let theirs = records(imd.admin().export(member, None).await.expect("an export"));
        let in_group: Vec<_> = theirs.iter().filter(|r| r.group_id == OSLO).collect();
        let ids = [&of_ben[0].client_message_id, &of_ben[2].client_message_id];
        assert_eq!(in_group.iter().map(|r| &r.client_message_id).collect::<Vec<_>>(), ids);
    }
}

/// A step of an import at its line, by its time.
pub(crate) struct Timed(pub(super) Timestamp, pub(super) Step);

pub(crate) fn message_steps(records: Vec<MessageRecord>) -> impl Iterator<Item = Timed> {
    let timed = |record: MessageRecord| {
        let at = record.sent_at.expect("a time");
        Timed(at, Step::Message(ImportedMessage { line: 0, message: Some(record) }))
    };
    records.into_iter().map(timed)
}

pub(crate) fn group_step(record: GroupRecord) -> Timed {
    let at = record.sent_at.expect("a time");
    Timed(at, Step::Group(ImportedGroup { line: 0, group: Some(record) }))
}

fn end_step(record: GroupDissolvedRecord) -> Timed {
    let at = record.sent_at.expect("a time");
    Timed(at, Step::Dissolved(ImportedGroupDissolved { line: 0, dissolved: Some(record) }))
}

fn change_step(record: MemberChangeRecord) -> Timed {
    let at = record.sent_at.expect("a time");
    Timed(at, Step::MemberChange(ImportedMemberChange { line: 0, change: Some(record) }))
}

/// The steps in the order of times, as `sort --merge --stable` makes it, each at its line.
pub(crate) fn in_order(mut steps: Vec<Timed>) -> Vec<Step> {
    steps.sort_by_key(|Timed(at, _)| (at.seconds, at.nanos));
    let at_line = |(line, Timed(_, mut step)): (i64, Timed)| {
        match &mut step {
            Step::Message(message) => message.line = line,
            Step::Group(group) => group.line = line,
            Step::MemberChange(change) => change.line = line,
            Step::User(user) => user.line = line,
            Step::Dissolved(end) => end.line = line,
            Step::Begin(_) | Step::End(_) => {}
        }
        step
    };
    (1..).zip(steps).map(at_line).collect()
}

fn ago(minutes: i64) -> Option<Timestamp> {
    record("ann", "", minutes, "").sent_at
}

/// The group `oslo` of these members, the first of whom owns it, so many minutes ago.
pub(crate) fn oslo_of(members: &[&str], minutes: i64) -> GroupRecord {
    let member = |(i, user_id): (usize, &&str)| GroupMember {
        user_id: (*user_id).to_owned(),
        role: if i == 0 { GroupRole::Owner } else { GroupRole::Member }.into(),
        ..GroupMember::default()
    };
    GroupRecord {
        sent_at: ago(minutes),
        group_id: OSLO.to_owned(),
        name: "Trip to Oslo".to_owned(),
        members: members.iter().enumerate().map(member).collect(),
        ..GroupRecord::default()
    }
}

fn in_oslo(sender_id: &str, minutes: i64, text: &str) -> MessageRecord {
    MessageRecord { group_id: OSLO.to_owned(), ..record(sender_id, "", minutes, text) }
}

fn changed(user_id: &str, change: MemberChange, minutes: i64) -> MemberChangeRecord {
    let member = GroupMember { user_id: user_id.to_owned(), ..GroupMember::default() };
    MemberChangeRecord {
        sent_at: ago(minutes),
        group_id: OSLO.to_owned(),
        change: change.into(),
        member: Some(member),
    }
}

/// What a timeline has of the group, in a word each.
async fn story(terminal: &Terminal) -> Vec<String> {
    let word = |entry: &Entry| match &entry.kind {
        Kind::Message(m) if m.conversation_id == IN_OSLO => {
            Some(format!("{}: {} {}", m.sender_id, entry.text(), m.mentioned))
        }
        Kind::MemberChanged(change) => {
            Some(format!("{:?} {}", change.change, change.user_ids.join(" ")))
        }
        Kind::GroupChanged(change) => Some(format!("made {}", change.name)),
        _ => None,
    };
    terminal.timeline().await.iter().filter_map(word).collect()
}

#[tokio::test]
async fn a_group_moves_with_its_members_and_all_that_was_said() {
    let old = Cluster::start(Transport::Grpc).await;
    let [ann, ben, cleo] = group_of(&old, ["ann", "ben", "cleo"]).await;
    let dan = old.user_with_phone("dan").await;
    cleo.say(IN_OSLO, "I leave soon").await;
    let mention = Outgoing { mentions: vec!["ben".to_owned()], ..to_oslo("@ben") };
    ann.send(&mention).await.expect("sent");
    cleo.group(GroupCall::Leave(OSLO.to_owned())).await.expect("left");
    old.admin().add_group_members(OSLO, &["dan"]).await.expect("added");
    let admin = json!({ "role": "ADMIN", "nickname": "Benny" });
    let set = GroupCall::UpdateMember(OSLO.to_owned(), "ben".to_owned(), admin);
    ann.group(set).await.expect("an admin");
    dan.say(IN_OSLO, "hello").await;
    ben.say("dan", "to you alone").await;
    for (member, count) in [(&ann, 3), (&ben, 4), (&dan, 2)] {
        has(member, count).await;
    }

    let (group, changes) = old.admin().export_group(OSLO).await.expect("an export");
    let first: Vec<_> = group.members.iter().map(|m| (&*m.user_id, m.role())).collect();
    let due = [
        ("ann", GroupRole::Owner),
        ("ben", GroupRole::Admin),
        // What somebody was who is in it no more is not known.
        ("cleo", GroupRole::Member),
    ];
    assert_eq!(first, due);
    let came_and_went: Vec<_> = changes
        .iter()
        .map(|c| (c.member.as_ref().map_or("", |m| &*m.user_id), c.change()))
        .collect();
    assert_eq!(came_and_went, [("cleo", MemberChange::Left), ("dan", MemberChange::Joined)]);
    let mut steps = vec![group_step(group)];
    steps.extend(changes.into_iter().map(change_step));
    for user_id in ["ann", "ben", "cleo", "dan"] {
        let messages = old.admin().export(user_id, None).await.expect("an export");
        steps.extend(message_steps(records(messages)));
    }
    let steps = in_order(steps);

    let new = Cluster::start(Transport::Grpc).await;
    new.users(["ann", "ben", "cleo", "dan"]).await;
    let done = new.admin().import_all(steps.clone()).await.expect("imported");
    // The group, two changes, and four messages once each.
    assert_eq!((done.imported, done.timelines), (7, 5));
    let said = |from: usize| ["cleo: I leave soon", "ann: @ben", "dan: hello"][from..].to_vec();
    for (user_id, due) in
        [("ann", said(0)), ("ben", said(0)), ("cleo", said(0)[..2].to_vec()), ("dan", said(2))]
    {
        let phone = new.log_in(user_id, "phone", "p1").await;
        let mut story = story(&phone).await;
        story.retain(|word| word.contains(": "));
        let marked = |text: &&str| format!("{text} {}", user_id == "ben" && text.contains("@ben"));
        assert_eq!(story, due.iter().map(marked).collect::<Vec<_>>(), "{user_id}");
        let group = phone.conversation(IN_OSLO).await;
        assert_eq!((group.unread_count, group.unread_mentions), (0, 0), "{user_id}");
    }
    let group = new.admin().group(OSLO).await.expect("a group");
    assert_eq!((&*group.owner_id, group.dissolved), ("ann", false));
    let members = new.admin().group_members(OSLO, 0, "").await.expect("members").members;
    let members: Vec<_> = members.iter().map(|m| (&*m.user_id, m.role(), &*m.nickname)).collect();
    let due = [
        ("ann", GroupRole::Owner, ""),
        ("ben", GroupRole::Admin, "Benny"),
        ("dan", GroupRole::Member, ""),
    ];
    assert_eq!(members, due);

    assert_dense(&new.database).await;

    // What was imported stands, and is found when it comes again.
    let again = new.admin().import_all(steps.clone()).await.expect("imported");
    assert_eq!((again.imported, again.timelines), (0, 0));
    assert_eq!(usize::try_from(again.duplicates), Ok(steps.len()));
}

#[tokio::test]
async fn a_group_that_was_imported_goes_on_as_any_other() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "ben", "cleo"]).await;
    let group = GroupRecord { history: 10, ..oslo_of(&["ann", "ben"], 60) };
    let steps = vec![
        group_step(group),
        change_step(changed("cleo", MemberChange::Joined, 50)),
        change_step(changed("cleo", MemberChange::Removed, 40)),
    ];
    let said = [in_oslo("ann", 30, "long ago"), in_oslo("ben", 20, "not so long ago")];
    let steps = in_order(steps.into_iter().chain(message_steps(said.to_vec())).collect());
    imd.admin().import_all(steps).await.expect("imported");

    let ann = imd.log_in("ann", "phone", "p1").await;
    let ben = imd.log_in("ben", "phone", "p1").await;
    let cleo = imd.log_in("cleo", "phone", "p1").await;
    // A message that its sender's own client still knows is the same.
    let known =
        Outgoing { client_message_id: said[0].client_message_id.clone(), ..to_oslo("long ago") };
    assert!(ann.send(&known).await.expect("sent").duplicate);
    ben.say(IN_OSLO, "now").await;
    let due = ["long ago", "not so long ago", "now"];
    has(&ann, 3).await;
    for member in [&ann, &ben] {
        assert_eq!(texts_of(member).await, due);
    }
    assert_eq!(cleo.send(&to_oslo("?")).await.expect_err("removed").code, "not_a_member");
    assert_eq!(texts_of(&cleo).await, Vec::<String>::new());
    // Who comes back sees what the group lets be seen.
    let put = GroupCall::Add(OSLO.to_owned(), "cleo".to_owned());
    ann.group(put).await.expect("added");
    has(&cleo, 3).await;
    assert_eq!(texts_of(&cleo).await, due);
    let recalled = ann.timeline().await.into_iter().find(|entry| entry.as_message().is_some());
    let recalled = recalled.and_then(|entry| Some(entry.as_message()?.message_id.clone()));
    ann.recall(&recalled.expect("a message")).await.expect("recalled");
    eventually("the tombstone", async || {
        let first = ben.conversation(IN_OSLO).await;
        let page = ben.history(IN_OSLO, 10, "").await.expect("a page");
        let said = page.entries.iter().filter(|entry| entry.message().content.is_some()).count();
        (first.unread_count == 0 && said == 2).then_some(())
    })
    .await;
}

async fn texts_of(terminal: &Terminal) -> Vec<String> {
    let entries = terminal.timeline().await;
    let messages = entries.iter().filter(|entry| entry.as_message().is_some());
    messages.map(|entry| entry.text().to_owned()).collect()
}

#[tokio::test]
async fn nothing_else_is_appended_to_a_group_until_its_import_is_finished() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "ben"]).await;
    let steps = in_order(
        std::iter::once(group_step(oslo_of(&["ann"], 60)))
            .chain(message_steps(vec![in_oslo("ann", 50, "hello")]))
            .collect(),
    );
    let begin = Step::Begin(ImportBegin { create_users: false });
    let unfinished = std::iter::once(begin).chain(steps.clone()).collect();
    imd.admin().import_steps(unfinished).await.expect_err("no end");
    let sent = imd.admin().send(from_the_system("news")).await.expect_err("refused");
    assert_eq!(sent.code, "import_unfinished");
    let added = imd.admin().add_group_members(OSLO, &["ben"]).await.expect_err("refused");
    assert_eq!(added.code, "import_unfinished");
    assert!(!imd.admin().group(OSLO).await.expect("a group").dissolved);
    // Nothing of it is purged: no member's timeline may lack what it refers to.
    imd.admin().purge().await.expect("purged");

    let done = imd.admin().import_all(steps).await.expect("imported");
    assert_eq!((done.imported + done.duplicates, done.timelines), (2, 2));
    imd.admin().add_group_members(OSLO, &["ben"]).await.expect("added");
    imd.admin().send(from_the_system("news")).await.expect("sent");
    let ann = imd.log_in("ann", "phone", "p1").await;
    has(&ann, 2).await;
    assert_eq!(texts_of(&ann).await, ["hello", "news"]);
}

fn from_the_system(text: &str) -> AdminSendRequest {
    let to = To::GroupId(OSLO.to_owned());
    AdminSendRequest { bypass: true, ..as_system("news", to, text) }
}

#[tokio::test]
async fn what_is_wrong_with_a_group_is_said_by_name() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "ben", "cleo"]).await;
    let refused = async |steps: Vec<Timed>| {
        let last = steps.len().to_string();
        let refused = imd.admin().import_all(in_order(steps)).await.expect_err("a refusal");
        assert_eq!(refused.detail("line"), last, "{refused:?}");
        (refused.code.clone(), refused.details.get("field").cloned().unwrap_or_default())
    };
    let whole = oslo_of(&["ann", "ben"], 60);
    let group = || whole.clone();
    let made = || group_step(group());
    let said = |record| message_steps(vec![record]).next().expect("one");
    let named = |name: &str| GroupRecord { name: name.to_owned(), ..group() };
    let both = MessageRecord { recipient_id: "ben".to_owned(), ..in_oslo("ann", 5, "hi") };
    let mention = MessageRecord { mentions: vec!["cleo".to_owned()], ..in_oslo("ann", 5, "hi") };
    let mention_between = MessageRecord { mention_all: true, ..record("ann", "ben", 5, "hi") };
    let two_owners = {
        let mut group = group();
        group.members[1].role = GroupRole::Owner.into();
        group
    };
    let second_owner = {
        let mut change = changed("cleo", MemberChange::Joined, 5);
        change.member.as_mut().expect("a member").role = GroupRole::Owner.into();
        change
    };
    for (steps, code, field) in [
        (vec![said(in_oslo("ann", 5, "hi"))], "group_not_found", ""),
        (vec![change_step(changed("ann", MemberChange::Left, 5))], "group_not_found", ""),
        (vec![group_step(named(""))], "invalid_argument", "name"),
        (vec![group_step(oslo_of(&["ann", "nobody"], 60))], "user_not_found", ""),
        (vec![group_step(oslo_of(&["ann", "ann"], 60))], "invalid_argument", "members"),
        (vec![group_step(two_owners)], "invalid_argument", "members"),
        (vec![made(), said(in_oslo("cleo", 5, "hi"))], "member_not_found", ""),
        (vec![made(), said(mention)], "invalid_argument", "mentions"),
        (vec![made(), said(mention_between)], "invalid_argument", "mention_all"),
        (vec![made(), said(both)], "invalid_argument", "group_id"),
        (vec![made(), group_step(GroupRecord { sent_at: ago(50), ..group() })], "group_exists", ""),
        (vec![made(), change_step(changed("cleo", MemberChange::Left, 5))], "member_not_found", ""),
        (
            vec![made(), change_step(changed("ben", MemberChange::Joined, 5))],
            "invalid_argument",
            "user_id",
        ),
        (
            vec![made(), change_step(changed("ben", MemberChange::Muted, 5))],
            "invalid_argument",
            "change",
        ),
        (vec![made(), change_step(second_owner)], "invalid_argument", "role"),
        (vec![made(), said(in_oslo("ann", -5, "to come"))], "invalid_argument", "sent_at"),
    ] {
        assert_eq!(refused(steps).await, (code.to_owned(), field.to_owned()));
    }
}

#[tokio::test]
async fn a_group_that_no_import_has_made_takes_none() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann] = group_of(&imd, ["ann"]).await;
    imd.users(["ben"]).await;
    let said = in_order(message_steps(vec![in_oslo("ann", 5, "hi")]).collect());
    let refused = imd.admin().import_all(said).await.expect_err("in use");
    assert_eq!(refused.code, "timeline_not_empty");
    let joins = in_order(vec![change_step(changed("ben", MemberChange::Joined, 5))]);
    let refused = imd.admin().import_all(joins).await.expect_err("in use");
    assert_eq!((&*refused.code, refused.detail("line")), ("timeline_not_empty", "1"));
    assert_eq!(texts_of(&ann).await, Vec::<String>::new());
    ann.say(IN_OSLO, "still mine").await;
}

#[tokio::test]
async fn a_large_group_takes_as_many_transactions_as_it_needs() {
    const MEMBERS: usize = 120;
    const MESSAGES: usize = 400;
    let imd = Cluster::start(Transport::Grpc).await;
    let members: Vec<String> = (0..MEMBERS).map(|i| format!("user-{i}")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let said: Vec<MessageRecord> =
        (0..MESSAGES).map(|i| in_oslo(members[i % 7], 30, &i.to_string())).collect();
    let steps = std::iter::once(group_step(oslo_of(&members, 60))).chain(message_steps(said));
    let begin = Step::Begin(ImportBegin { create_users: true });
    let end = Step::End(ImportEnd { finish_all: false });
    let steps = std::iter::once(begin).chain(in_order(steps.collect())).chain([end]).collect();
    let done = imd.admin().import_steps(steps).await.expect("imported");
    let last = done.last().expect("an answer");
    assert_eq!(usize::try_from(last.imported), Ok(MESSAGES + 1));
    assert_eq!(usize::try_from(last.timelines), Ok(MEMBERS + 1));
    let counted = imd
        .database
        .sql()
        .await
        .query_one(
            "SELECT count(*), count(DISTINCT (e.owner, e.home_seq)), count(DISTINCT e.owner),
                 bool_and(e.seq = e.home_seq)
             FROM entries e WHERE e.kind = 1",
            &[],
        )
        .await
        .expect("a count");
    let due = i64::try_from((MEMBERS + 1) * MESSAGES).expect("a number");
    let owners = i64::try_from(MEMBERS + 1).expect("a number");
    assert_dense(&imd.database).await;
    // Each once, in the group's order.
    let found = (counted.get(0), counted.get(1), counted.get(2), counted.get(3));
    assert_eq!(found, (due, due, owners, true));
}

#[tokio::test]
async fn a_group_that_was_dissolved_moves_and_stays_so() {
    let from = Cluster::start(Transport::Grpc).await;
    let [ann, ben] = group_of(&from, ["ann", "ben"]).await;
    ann.send(&to_oslo("the last word")).await.expect("sent");
    has(&ben, 1).await;
    ann.group(GroupCall::Dissolve(OSLO.to_owned())).await.expect("dissolved");
    let (group, changes, end) = from.admin().export_whole_group(OSLO).await.expect("an export");
    assert!(changes.is_empty());
    let said = records(from.admin().export("ben", None).await.expect("an export"));
    assert_eq!(said.iter().map(text).collect::<Vec<_>>(), ["the last word"]);

    let there = Cluster::start(Transport::Grpc).await;
    there.users(["ann", "ben"]).await;
    let steps = [group_step(group), end_step(end.expect("its end"))];
    let steps = in_order(steps.into_iter().chain(message_steps(said)).collect());
    let done = there.admin().import_all(steps.clone()).await.expect("an import");
    assert_eq!((done.imported, done.duplicates), (3, 0));
    let again = there.admin().import_all(steps).await.expect("an import");
    assert_eq!((again.imported, again.duplicates), (0, 3));

    let ben = there.log_in("ben", "phone", "new").await;
    assert_eq!(ben.texts().await, ["the last word"]);
    let entries = ben.timeline().await;
    let is_end =
        |entry: &Entry| matches!(&entry.kind, Kind::GroupChanged(change) if change.dissolved);
    assert_eq!(entries.iter().position(is_end), Some(3), "{entries:?}");
    let refused = ben.send(&to_oslo("too late")).await.expect_err("it is dissolved");
    assert_eq!(refused.code, "group_not_found");
    assert_dense(&there.database).await;
}

#[tokio::test]
async fn a_dissolved_group_of_which_nothing_is_left_does_not_come_back_to_life() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, _] = group_of(&imd, ["ann", "ben"]).await;
    ann.group(GroupCall::Dissolve(OSLO.to_owned())).await.expect("dissolved");
    let sql = imd.database.sql().await;
    // As a purge leaves it.
    sql.execute("DELETE FROM entries WHERE owner < 0", &[]).await.expect("a table");
    let refused = imd.admin().export_whole_group(OSLO).await.expect_err("nothing is left");
    assert_eq!(refused.code, "group_not_found");
}
